#include "daemon/audit/verify.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "tests/support/random.h"
#include "tests/unit/audit/support.h"

namespace bastion::audit {
namespace {

std::string problems_of(const Report& report) {
  std::string out;
  for (const Problem& problem : report.problems) {
    out += std::to_string(problem.line) + ": " + problem.text + "\n";
  }
  return out;
}

/// verify_parts reads lines [from, to) of a log as one file after the other.
Report verify_parts(const test::TestLog& log, const std::vector<std::pair<int, int>>& parts) {
  Verifier verifier({log.key()});
  verifier.expect(log.head());
  for (const auto& [from, to] : parts) {
    verifier.begin_file("part");
    verifier.feed(test::TestLog::text_of({log.lines().begin() + from, log.lines().begin() + to}));
    verifier.end_file();
  }
  return verifier.finish();
}

TEST(Verifier, FindsNothingWrongWithAGoodLog) {
  test::TestLog log;
  log.fill(20);
  const Report report = log.verify(log.text(), SIZE_MAX, log.ends());
  EXPECT_TRUE(report.ok()) << problems_of(report);
  EXPECT_EQ(report.num_lines, 24u);
  EXPECT_EQ(report.num_signatures, 4u);
  EXPECT_EQ(report.first_seq, 1u);
  EXPECT_EQ(report.head, log.head());
  EXPECT_EQ(report.signed_seq, 23u);
}

TEST(Verifier, ReadsALogInPiecesOfAnySize) {
  test::TestLog log;
  log.fill(5);
  for (std::size_t step = 1; step < 200; ++step) {
    ASSERT_TRUE(log.verify(log.text(), step, log.ends()).ok()) << step;
  }
}

TEST(Verifier, AnEmptyLogIsGoodUnlessMoreIsExpected) {
  test::TestLog log;
  EXPECT_TRUE(log.verify("").ok());
  log.fill(1);
  EXPECT_FALSE(log.verify("", SIZE_MAX, log.ends()).ok());
}

TEST(Verifier, ALogMayBeInSeveralFilesAndBeginMidway) {
  test::TestLog log;
  log.fill(20);
  const Report report = verify_parts(log, {{7, 12}, {12, 24}});
  EXPECT_TRUE(report.ok()) << problems_of(report);
  EXPECT_EQ(report.first_seq, 8u);
}

TEST(Verifier, LinesThatAreMissingAtEitherEndShowWhereTheyAreKnown) {
  test::TestLog log;
  log.fill(20);
  const std::vector<std::string> all = log.lines();
  const std::string headless = test::TestLog::text_of({all.begin() + 1, all.end()});
  EXPECT_TRUE(log.verify(headless).ok());
  EXPECT_EQ(problems_of(log.verify(headless, SIZE_MAX, log.ends())),
            "0: line 1 is missing: the log begins behind it\n");
  const std::string short_one = test::TestLog::text_of({all.begin(), all.end() - 1});
  EXPECT_TRUE(log.verify(short_one).ok());
  EXPECT_EQ(problems_of(log.verify(short_one, SIZE_MAX, log.ends())),
            "0: line 24 is missing: the log ends before it\n");
}

TEST(Verifier, AMissingFileInTheMiddleShows) {
  test::TestLog log;
  log.fill(20);
  const Report report = verify_parts(log, {{0, 7}, {12, 24}});
  ASSERT_FALSE(report.ok());
  EXPECT_EQ(report.problems[0].text, "line 13 stands behind line 7");
  EXPECT_EQ(report.problems[0].file, "part");
  EXPECT_EQ(report.problems[0].line, 1u);
}

TEST(Verifier, ASignatureMayComeSomeLinesLater) {
  test::TestLog log;
  log.fill(4);
  const Head signed_one = log.head();
  log.fill(3);
  log.sign(signed_one);
  const Report report = log.verify(log.text());
  EXPECT_TRUE(report.ok()) << problems_of(report);
  EXPECT_EQ(report.signed_seq, 4u);
  EXPECT_EQ(report.head.seq, 8u);
}

TEST(Verifier, ASignatureOverAnotherLineIsNone) {
  test::TestLog log;
  log.fill(4);
  log.sign({3, hash_text("something else")});
  EXPECT_EQ(problems_of(log.verify(log.text())), "5: the signature is over another line 3\n");
}

TEST(Verifier, ASignatureAheadOfItselfIsNone) {
  test::TestLog log;
  log.fill(1);
  log.sign({9, no_hash()});
  EXPECT_FALSE(log.verify(log.text()).ok());
}

TEST(Verifier, AnotherKeyVouchesForNothing) {
  test::TestLog log;
  log.fill(5);
  const test::TestLog other;
  EXPECT_FALSE(other.verify(log.text()).ok());
  Verifier without({});
  without.begin_file("f");
  without.feed(log.text());
  without.end_file();
  const Report report = without.finish();
  EXPECT_TRUE(report.ok());
  EXPECT_EQ(report.num_unchecked, 1u);
  EXPECT_EQ(report.signed_seq, 0u);
}

TEST(Verifier, ATornLineIsGoodWhereTheNextOneTellsOfIt) {
  for (const bool told : {true, false}) {
    test::TestLog log;
    log.fill(3);
    const std::string torn = R"({"v":1,"seq":4,"time":"2026)";
    Event event(Name::kAuditTorn);
    event.text(Key::kTorn, torn).text(Key::kTornHash, hash_text(told ? torn : "another"));
    std::string text = log.text();
    log.add(event);
    text += torn + "\n" + log.lines().back() + "\n";
    const Report report = log.verify(text, SIZE_MAX, log.ends());
    EXPECT_EQ(report.ok(), told) << problems_of(report);
    EXPECT_EQ(report.num_torn, told ? 1u : 0u);
    EXPECT_FALSE(log.verify(log.text()).ok()) << "the torn line was taken away";
  }
}

TEST(Verifier, AnUnfinishedLineIsAProblem) {
  test::TestLog log;
  log.fill(3);
  const std::string text = log.text();
  EXPECT_EQ(problems_of(log.verify(text.substr(0, text.size() - 1))),
            "3: the last line is not whole\n");
}

TEST(Verifier, AnOverlongLineIsAProblem) {
  const test::TestLog log;
  const Report report = log.verify(std::string(kLineBytesMax * 3, 'x') + "\n", 4096);
  EXPECT_EQ(problems_of(report), "1: the line is too long\n");
}

TEST(Verifier, OneChangeIsNotToldOfEveryLineBehindIt) {
  test::TestLog log;
  log.fill(20);
  std::string& changed = log.lines()[6];
  changed[changed.find("alice")] = 'A';
  EXPECT_EQ(problems_of(log.verify(log.text())), "8: the line before it was changed\n");
}

/// mutated changes a log in one of the ways in which somebody could.
std::string mutated(const test::TestLog& log, bastion::test::SeededRandom& random) {
  const auto pick = [&](std::size_t n) { return static_cast<std::size_t>(random.next() % n); };
  const auto offset = [](std::size_t n) { return static_cast<std::ptrdiff_t>(n); };
  std::vector<std::string> lines = log.lines();
  std::string text = log.text();
  const std::size_t at = pick(text.size());
  const std::size_t line = pick(lines.size());
  const std::size_t other = pick(lines.size());
  switch (pick(9)) {
    case 0: text[at] = static_cast<char>(text[at] ^ (1 << pick(8))); return text;
    case 1: return text.erase(at, 1 + pick(300));
    case 2: return text.insert(at, std::string(1 + pick(4), static_cast<char>(pick(256))));
    case 3: return text.substr(0, at);
    case 4: lines.erase(lines.begin() + offset(line)); break;
    case 5: lines.insert(lines.begin() + offset(line), lines[other]); break;
    case 6: std::swap(lines[line], lines[other]); break;
    case 7: lines.resize(line); break;
    default: {  // the chain made anew from a changed line on, as somebody without the key can
      Head head;
      std::vector<std::string> forged;
      for (std::size_t i = 0; i < lines.size(); ++i) {
        std::string body = lines[i].substr(lines[i].find("\"time\""));
        body.resize(body.find(",\"prev\""));
        if (i == line) {
          body += R"(,"reason":"forged")";
        }
        forged.push_back(append_line(head, body));
      }
      lines = forged;
      break;
    }
  }
  return test::TestLog::text_of(lines);
}

TEST(Verifier, EveryChangeIsFound) {
  const char* configured = std::getenv("BASTION_LONG");
  const int rounds = configured != nullptr && std::string_view(configured) == "1" ? 10'000 : 1'000;
  test::TestLog log;
  log.fill(40);
  bastion::test::SeededRandom random(10);
  int changed = 0;
  for (int i = 0; i < rounds; ++i) {
    const std::string text = mutated(log, random);
    if (text == log.text()) {
      continue;
    }
    ++changed;
    ASSERT_FALSE(log.verify(text, SIZE_MAX, log.ends()).ok()) << "round " << i << "\n" << text;
  }
  EXPECT_GT(changed, rounds * 9 / 10);
}

}  // namespace
}  // namespace bastion::audit
