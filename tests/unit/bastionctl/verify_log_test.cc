// Recordings held against the audit log, by the program itself: what is missing, what is too much,
// what is another.
#include <gtest/gtest.h>

#include <cstdlib>
#include <nlohmann/json.hpp>

#include "tests/support/program.h"
#include "tests/unit/audit/support.h"
#include "tests/unit/recording/recording_support.h"

namespace bastion::ctl {
namespace {

using audit::Key;
using audit::Name;
using bastion::test::ProgramResult;
using recording::test::Made;
using recording::test::Said;

constexpr std::uint64_t kStart = 1'700'000'000'000'000;  // as recording_support.h has it
constexpr const char* kDay = "2023-11-14";

std::string session(char which) {
  std::string name = recording::test::kSession;
  name[3] = which;
  return name;
}

/// another_shell is a session with one more line.
std::vector<Said> another_shell() {
  std::vector<Said> entries = recording::test::a_shell();
  entries.push_back(
      {kStart + 3'000'000, 1, recording::EntryKind::kStdout, to_bytes("rm -rf /srv\r\n")});
  return entries;
}

/// Three recordings, a, b and c, and the log that tells of them.
class VerifyLog : public testing::Test {
 protected:
  VerifyLog() {
    std::filesystem::create_directories(dir_.path() / "recordings" / kDay);
    audit::Event start(Name::kServiceStart);
    start.time_us = kStart - 1;
    log_.add(start);
    for (const char which : {'a', 'b', 'c'}) {
      const Made made = recording::test::make(recording::test::a_shell(), 3, {}, session(which));
      put(which, made.file);
      tell_open(which);
      tell_close(which, made);
    }
    key_ =
        dir_.write("audit.pub", as_bytes(recording::test::audit_key().public_key().line() + "\n"));
    log_key_ = dir_.write("log.pub", as_bytes(log_.key().line() + "\n"));
  }

  std::string path(char which, const std::string& day = kDay) const {
    return dir_.file("recordings/" + day + "/" + session(which) + ".rec");
  }
  void put(char which, ByteView bytes, const std::string& day = kDay) {
    std::filesystem::create_directories(dir_.path() / "recordings" / day);
    dir_.write("recordings/" + day + "/" + session(which) + ".rec", bytes);
  }
  void tell(Name name, char which, const std::function<void(audit::Event&)>& more = {}) {
    audit::Event event(name);
    event.time_us = kStart;
    event.text(Key::kSession, session(which));
    event.text(Key::kRecording, std::string(kDay) + "/" + session(which) + ".rec");
    if (more) {
      more(event);
    }
    ASSERT_TRUE(event.check());
    log_.add(event);
  }
  void tell_open(char which) { tell(Name::kRecordingOpen, which); }
  void tell_close(char which, const Made& made) {
    const recording::VerifyResult end = end_of(made, 2);
    tell(Name::kRecordingClose, which, [&](audit::Event& event) {
      event.number(Key::kBlocks, end.head.seq).text(Key::kHead, audit::hex_of(end.head.hash));
    });
  }
  /// tell_head: the file as it was before its last `less` blocks.
  void tell_head(char which, const Made& made, std::size_t less) {
    const recording::VerifyResult at = end_of(made, less + 1);
    audit::Event event(Name::kAuditRecordings);
    event.time_us = kStart;
    event.list(Key::kHeads, {session(which) + " " + std::to_string(at.head.seq) + " " +
                             audit::hex_of(at.head.hash)});
    log_.add(event);
  }
  static recording::VerifyResult end_of(const Made& made, std::size_t from_last) {
    return recording::test::verify(
        ByteView(made.file).first(made.ends[made.ends.size() - from_last]), "");
  }

  /// verify runs it on all recordings, with the log as it is by now.
  ProgramResult verify(const std::vector<std::string>& more = {}) {
    log_.sign();
    const std::string file = dir_.write("audit.jsonl", as_bytes(log_.text()));
    const char* program = std::getenv("BASTIONCTL");
    std::vector<std::string> argv{program != nullptr ? program : "bastionctl",
                                  "recordings",
                                  "--dir",
                                  dir_.file("recordings"),
                                  "verify",
                                  "--all",
                                  "--key",
                                  key_,
                                  "--key",
                                  log_key_,
                                  "--audit-log",
                                  file};
    argv.insert(argv.end(), more.begin(), more.end());
    return bastion::test::run_program(argv);
  }
  static bool says(const ProgramResult& result, const std::string& part) {
    return result.output.find(part) != std::string::npos;
  }

  bastion::test::TempDir dir_;
  audit::test::TestLog log_;
  std::string key_;
  std::string log_key_;
};

TEST_F(VerifyLog, IsGoodWhereEachHasItsOther) {
  const ProgramResult result = verify();
  EXPECT_EQ(result.exit_code, 0) << result.output;
  EXPECT_TRUE(says(result, "3 of 3 recordings are proven\n")) << result.output;
  EXPECT_TRUE(says(result, "tells of 3; 0 missing\n")) << result.output;
}

TEST_F(VerifyLog, AWholeFileThatIsGoneIsNamed) {
  std::filesystem::remove(path('b'));
  const ProgramResult result = verify();
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_TRUE(says(result, session('b') + "  MISSING  the audit log tells of it in 2023-11-14"))
      << result.output;
  EXPECT_TRUE(says(result, "tells of 3; 1 missing\n")) << result.output;
  EXPECT_FALSE(says(result, session('a')));
}

TEST_F(VerifyLog, WhatRetentionRemovedIsNotMissed) {
  std::filesystem::remove(path('b'));
  tell(Name::kRecordingRemoved, 'b', [](audit::Event& event) { event.text(Key::kReason, "age"); });
  const ProgramResult result = verify();
  EXPECT_EQ(result.exit_code, 0) << result.output;
}

TEST_F(VerifyLog, TwoThatAreSwappedAreBothNamed) {
  const std::string between = dir_.file("between");
  std::filesystem::rename(path('a'), between);
  std::filesystem::rename(path('b'), path('a'));
  std::filesystem::rename(between, path('b'));
  const ProgramResult result = verify();
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_TRUE(says(result, session('a') + "  BAD  block 0")) << result.output;
  EXPECT_TRUE(says(result, session('b') + "  BAD  block 0")) << result.output;
}

TEST_F(VerifyLog, AnotherThatIsSignedAllTheSameIsNamed) {
  // As one of the same session would be that was sealed before, were such a copy put back.
  put('b', recording::test::make(another_shell(), 3, {}, session('b')).file);
  const ProgramResult result = verify();
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_TRUE(says(result, session('b') + "  BAD  block 4")) << result.output;
  EXPECT_TRUE(says(result, "it is not the block that the audit log tells of")) << result.output;
  EXPECT_EQ(verify({"--json"}).exit_code, 1);
}

TEST_F(VerifyLog, AnOldCopyOfOneThatWasOpenIsNamed) {
  const Made made = recording::test::make(another_shell(), 1, {}, session('d'));
  tell_open('d');
  tell_head('d', made, 4);
  put('d', ByteView(made.file).first(made.ends[made.ends.size() - 5]));
  EXPECT_EQ(verify({"--allow-open"}).exit_code, 0);
  put('d', ByteView(made.file).first(made.ends[made.ends.size() - 6]));
  const ProgramResult result = verify({"--allow-open"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_TRUE(says(result, "before a block that the audit log tells of")) << result.output;
}

TEST_F(VerifyLog, OneTooManyIsNamed) {
  put('x', recording::test::make(recording::test::a_shell(), 3, {}, session('x')).file);
  const ProgramResult result = verify();
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_TRUE(says(result, session('x') + "  EXTRA  the audit log tells of no such recording"))
      << result.output;
}

TEST_F(VerifyLog, OneInAnotherFolderIsBothTooManyAndMissing) {
  std::filesystem::create_directories(dir_.path() / "recordings" / "2023-11-15");
  std::filesystem::rename(path('a'), path('a', "2023-11-15"));
  const ProgramResult result = verify();
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_TRUE(says(result, session('a') + "  EXTRA  the audit log tells of it in 2023-11-14"))
      << result.output;
  EXPECT_TRUE(says(result, session('a') + "  MISSING")) << result.output;
}

TEST_F(VerifyLog, OneThatIsOlderThanTheLogIsCountedAndNotBlamed) {
  audit::test::TestLog later;
  std::swap(log_, later);
  dir_.write("log.pub", as_bytes(log_.key().line() + "\n"));
  audit::Event start(Name::kServiceStart);
  start.time_us = kStart + 1'000'000;
  log_.add(start);
  const ProgramResult result = verify();
  EXPECT_EQ(result.exit_code, 0) << result.output;
  EXPECT_TRUE(says(result, "3 began before the audit log's first line")) << result.output;
}

TEST_F(VerifyLog, OneThatNeverCameToBeIsNotMissed) {
  tell(Name::kRecordingFailed, 'f',
       [](audit::Event& event) { event.text(Key::kReason, "no space left on the disk"); });
  EXPECT_EQ(verify().exit_code, 0);
}

TEST_F(VerifyLog, ALogThatWasChangedVouchesForNothing) {
  std::filesystem::remove(path('b'));
  std::erase_if(log_.lines(), [](const std::string& line) {
    return line.find("recording.") != std::string::npos &&
           line.find(session('b')) != std::string::npos;
  });
  const ProgramResult result = verify();
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_TRUE(says(result, "the audit log is not good")) << result.output;
}

TEST_F(VerifyLog, WhatALogIsMadeToSayIsNotRun) {
  const std::string evil = "\x1b]0;evil\x07";
  log_.lines().push_back(R"({"v":1,"seq":1,"event":"recording.open","session":")" + session('g') +
                         R"(","recording":"\u001b[2J2023-11/)" + session('g') + R"(.rec"})");
  log_.lines().push_back(R"({"v":1,"event":"audit.recordings","heads":[")" + evil + " 1 " +
                         std::string(64, 'a') + R"("]})");
  log_.lines().push_back(R"({"v":1,"event":"audit.recordings","heads":["\u001b[31mx 1 )" +
                         std::string(64, 'a') + R"("]})");
  const ProgramResult result = verify();
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_TRUE(says(result, session('g') + "  MISSING")) << result.output;
  for (const char c : result.output) {
    EXPECT_TRUE(c == '\n' || (c >= 0x20 && c < 0x7f)) << static_cast<int>(c);
  }
}

TEST_F(VerifyLog, JsonHasTheSame) {
  std::filesystem::remove(path('b'));
  put('x', recording::test::make(recording::test::a_shell(), 3, {}, session('x')).file);
  const auto json = nlohmann::json::parse(verify({"--json"}).output);
  std::map<std::string, std::string> verdicts;
  for (const auto& each : json) {
    verdicts[each["session"]] = each["verdict"];
  }
  EXPECT_EQ(verdicts, (std::map<std::string, std::string>{{session('a'), "proven"},
                                                          {session('b'), "missing"},
                                                          {session('c'), "proven"},
                                                          {session('x'), "extra"}}));
}

TEST_F(VerifyLog, ALogThatIsNotThereIsSaid) {
  std::filesystem::remove(dir_.file("audit.jsonl"));
  const char* program = std::getenv("BASTIONCTL");
  ASSERT_NE(program, nullptr);
  const ProgramResult result =
      bastion::test::run_program({program, "recordings", "--dir", dir_.file("recordings"), "verify",
                                  "--all", "--key", key_, "--audit-log", dir_.file("audit.jsonl")});
  EXPECT_EQ(result.exit_code, 3);
  EXPECT_TRUE(says(result, "cannot read the audit log"));
}

}  // namespace
}  // namespace bastion::ctl
