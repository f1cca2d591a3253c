#include "proto/sftp_stream.h"

#include <gtest/gtest.h>

#include "tests/unit/proto/sftp_support.h"

namespace bastion::proto {
namespace {

using namespace sftp_test;  // NOLINT: the messages of these tests
using Answers = std::vector<std::pair<std::uint32_t, std::uint32_t>>;
using Lines = std::vector<std::string>;

FileRules read_only() {
  FileRules rules;
  rules.upload = false;
  return rules;
}
FileRules with_paths(std::vector<std::string> paths, std::vector<std::string> denied = {}) {
  FileRules rules;
  rules.paths = std::move(paths);
  rules.deny_paths = std::move(denied);
  return rules;
}

TEST(SftpStream, TellsAnUploadAndADownloadSplitAtEveryByte) {
  Bytes up = init();
  up += path_request(16, 1, ".");
  up += sftp_test::open(2, "/a/new", kFileWrite | kFileCreate | kFileTruncate);
  const Bytes first = up;
  Bytes second = write(3, "H", 0, "hello ");
  second += write(4, "H", 6, "world");
  second += sftp_test::close(5, "H");
  second += sftp_test::open(6, "old", kFileRead);
  Bytes third = sftp_test::read(7, "H", 0, 100);
  third += sftp_test::read(8, "H", 4, 100);
  third += sftp_test::close(9, "H");
  third += two_paths(18, 10, "/a/new", "/b");
  Bytes down1 = version();
  down1 += name(1, "/people/kim");
  down1 += handle(2, "H");
  Bytes down2 = status(3, 0);
  down2 += status(4, 0);
  down2 += status(5, 0);
  down2 += handle(6, "H");
  Bytes down3 = data(7, "abcd");
  down3 += status(8, 1);
  down3 += status(9, 0);
  down3 += status(10, 3);
  const Lines expected{"session done",
                       "open done #1 /a/new",
                       "close done #1 /a/new read 0 written 11!",
                       "open done #2 old",
                       "close done #2 old read 4! written 0",
                       "rename failed /a/new -> /b status 3"};
  for (const bool ruled : {false, true}) {
    FileRules rules;
    rules.digest = true;
    rules.size_max = ruled ? 1000 : 0;
    for (std::size_t at = 0; at <= second.size(); ++at) {
      SCOPED_TRACE((ruled ? "ruled, split at " : "split at ") + std::to_string(at));
      Watched watched(rules);
      const auto in_two = [&](const Bytes& bytes, auto say) {
        const std::size_t cut = std::min(at, bytes.size());
        EXPECT_TRUE(say(Bytes(bytes.begin(), bytes.begin() + static_cast<long>(cut))));
        EXPECT_TRUE(say(Bytes(bytes.begin() + static_cast<long>(cut), bytes.end())));
      };
      const auto client = [&](const Bytes& bytes) { return watched.client(bytes); };
      const auto server = [&](const Bytes& bytes) { return watched.server(bytes); };
      in_two(first, client);
      in_two(down1, server);
      in_two(second, client);
      in_two(down2, server);
      in_two(third, client);
      in_two(down3, server);
      Bytes all = first;
      all += second;
      all += third;
      EXPECT_EQ(watched.out.all, all);
      EXPECT_TRUE(watched.exact);
      EXPECT_EQ(watched.log.lines, expected);
      EXPECT_EQ(watched.log.uploaded, "hello world");
      EXPECT_EQ(watched.log.downloaded, "abcd");
    }
  }
}

TEST(SftpStream, LowersTheVersionThatAClientOffers) {
  Watched watched;
  ASSERT_TRUE(watched.client(init(6)));
  EXPECT_EQ(watched.out.all, init(3));
  EXPECT_FALSE(watched.server(version(4)));
}

TEST(SftpStream, ReadOnlyAnswersEveryChangeAndPassesTheRest) {
  Watched watched(read_only());
  watched.begin();
  const Bytes none = Writer().u32(0).take();
  const std::vector<Bytes> refused{
      sftp_test::open(1, "/a", kFileWrite | kFileCreate),
      path_request(13, 2, "/a"),
      mkdir(3, "/d"),
      path_request(15, 4, "/d"),
      two_paths(18, 5, "/a", "/b"),
      two_paths(20, 6, "/a", "/b"),
      frame(9, Writer().u32(7).text("/a").u32(0).take()),
      extended(8, "posix-rename@openssh.com", Writer().text("/a").text("/b").take()),
      extended(9, "hardlink@openssh.com", Writer().text("/a").text("/b").take()),
      extended(10, "lsetstat@openssh.com", Writer().text("/a").u32(0).take()),
      sftp_test::open(11, "/a", kFileRead | kFileTruncate)};
  Answers expected;
  for (std::uint32_t id = 1; id <= refused.size(); ++id) {
    ASSERT_TRUE(watched.client(refused[id - 1]));
    expected.emplace_back(id, kSftpPermissionDenied);
  }
  EXPECT_TRUE(watched.out.all.empty());
  EXPECT_EQ(watched.answers(), expected);
  ASSERT_TRUE(watched.client(extended(12, "wipe@example.org", {})));
  EXPECT_EQ(watched.answers(), (Answers{{12, kSftpUnsupported}}));

  Bytes passing = path_request(17, 20, "/a");
  passing += sftp_test::open(21, "/a", kFileRead);
  ASSERT_TRUE(watched.client(passing));
  EXPECT_EQ(watched.out.all, passing);
  EXPECT_TRUE(watched.exact);
}

TEST(SftpStream, AHandleServesOnlyForWhatItWasOpened) {
  FileRules rules;
  rules.download = false;
  Watched watched(rules);
  watched.begin();
  watched.open_file(1, "/a", kFileWrite, "H");
  // A server opens for reading where nothing is asked for.
  ASSERT_TRUE(watched.client(sftp_test::open(2, "/b", 0)));
  ASSERT_TRUE(watched.client(sftp_test::open(3, "/b", kFileCreate)));
  ASSERT_TRUE(watched.client(sftp_test::read(4, "H", 0, 10)));
  ASSERT_TRUE(watched.client(sftp_test::read(5, "other", 0, 10)));
  EXPECT_TRUE(watched.out.all.empty());
  EXPECT_EQ(watched.answers(), (Answers{{2, 3}, {3, 3}, {4, 3}, {5, 4}}));
}

TEST(SftpStream, TakesARefusedWriteOutWithItsContentHoweverItIsSplit) {
  FileRules rules;
  rules.size_max = 8;
  const Bytes before = write(2, "H", 0, "12345678");
  const Bytes bad = write(3, "H", 8, std::string(300, 'x'));
  const Bytes after = sftp_test::close(4, "H");
  Bytes all = before;
  all += bad;
  all += after;
  Bytes good = before;
  good += after;
  for (std::size_t at = 0; at < all.size(); ++at) {
    SCOPED_TRACE("split at " + std::to_string(at));
    Watched watched(rules);
    watched.begin();
    watched.open_file(1, "/a", kFileWrite | kFileTruncate, "H");
    ASSERT_TRUE(watched.client({all.begin(), all.begin() + static_cast<long>(at)}));
    EXPECT_LE(watched.stream.kept_bytes(), kSftpWriteHeaderMax);
    ASSERT_TRUE(watched.client({all.begin() + static_cast<long>(at), all.end()}));
    EXPECT_EQ(watched.out.all, good);
    EXPECT_EQ(watched.answers(), (Answers{{3, 3}}));
    EXPECT_TRUE(watched.exact);
  }
}

TEST(SftpStream, ShortensAReadAtTheSizeLimit) {
  FileRules rules;
  rules.size_max = 100;
  Watched watched(rules);
  watched.begin();
  watched.open_file(1, "/a", kFileRead, "H");
  ASSERT_TRUE(watched.client(sftp_test::read(2, "H", 60, 32768)));
  EXPECT_EQ(watched.out.all, sftp_test::read(2, "H", 60, 41));
  ASSERT_TRUE(watched.client(sftp_test::read(3, "H", 101, 1)));
  EXPECT_EQ(watched.answers(), (Answers{{3, 3}}));
  // A server that sends more than that is no server.
  EXPECT_FALSE(watched.server(data(2, std::string(42, 'x'))));
}

TEST(SftpStream, PathsAreComparedAfterNormalising) {
  Watched watched(with_paths({"/srv/up/**"}, {"/srv/up/secret/**"}));
  watched.begin();
  const auto may_open = [&](std::string_view path) {
    static std::uint32_t id = 100;
    watched.out.all.clear();
    EXPECT_TRUE(watched.client(sftp_test::open(++id, path, kFileRead)));
    watched.answers();
    return !watched.out.all.empty();
  };
  EXPECT_TRUE(may_open("/srv/up/a"));
  EXPECT_TRUE(may_open("//srv/./up//x/../a/b"));
  EXPECT_FALSE(may_open("/srv/up/../a"));
  EXPECT_FALSE(may_open("/srv/upper"));
  EXPECT_FALSE(may_open("/srv/up/secret/key"));
  EXPECT_FALSE(may_open("/srv/up/x/../secret"));
  // Relative to what, nobody has said yet.
  EXPECT_FALSE(may_open("a"));
  ASSERT_TRUE(watched.client(path_request(16, 1, ".")));
  ASSERT_TRUE(watched.server(name(1, "/srv/up")));
  EXPECT_TRUE(may_open("a"));
  EXPECT_FALSE(may_open("secret/key"));
  EXPECT_FALSE(may_open("../a"));
}

TEST(SftpStream, ADenyRuleOfTheHomeHoldsBeforeTheHomeIsKnown) {
  Watched watched(with_paths({}, {"~/.ssh/**"}));
  watched.begin();
  ASSERT_TRUE(watched.client(sftp_test::open(1, "/people/kim/.ssh/id", kFileRead)));
  ASSERT_TRUE(watched.client(sftp_test::open(2, ".ssh/id", kFileRead)));
  EXPECT_EQ(watched.answers(), (Answers{{1, 3}, {2, 3}}));
  ASSERT_TRUE(watched.client(path_request(16, 3, "")));
  ASSERT_TRUE(watched.server(name(3, "/people/kim")));
  ASSERT_TRUE(watched.client(sftp_test::open(4, "/people/kim/.ssh/id", kFileRead)));
  // The folder that holds it may not be moved to where it is not denied.
  ASSERT_TRUE(watched.client(two_paths(18, 5, "/people/kim/.ssh", "/tmp/x")));
  ASSERT_TRUE(watched.client(two_paths(18, 6, "/people", "/tmp/x")));
  EXPECT_EQ(watched.answers(), (Answers{{4, 3}, {5, 3}, {6, 3}}));
  watched.out.all.clear();
  ASSERT_TRUE(watched.client(sftp_test::open(7, "/people/kim/notes", kFileRead)));
  EXPECT_FALSE(watched.out.all.empty());
}

TEST(SftpStream, TheHomeIsNotWhereALinkLeads) {
  // "up" is a link into the folder that is allowed: what "up/.." is says nothing of the home.
  Watched watched(with_paths({"/srv/up/**"}, {"~/.ssh/**"}));
  watched.begin();
  ASSERT_TRUE(watched.client(path_request(16, 1, "up/..")));
  ASSERT_TRUE(watched.server(name(1, "/srv/up")));
  ASSERT_TRUE(watched.client(sftp_test::open(2, ".bashrc", kFileRead)));
  ASSERT_TRUE(watched.client(sftp_test::open(3, "/srv/up/../../people/kim/.ssh/id", kFileRead)));
  EXPECT_EQ(watched.answers(), (Answers{{2, 3}, {3, 3}}));
  ASSERT_TRUE(watched.client(path_request(16, 4, "./")));
  ASSERT_TRUE(watched.server(name(4, "/people/kim")));
  ASSERT_TRUE(watched.client(sftp_test::open(5, ".bashrc", kFileRead)));
  EXPECT_EQ(watched.answers(), (Answers{{5, 3}}));
  watched.out.all.clear();
  ASSERT_TRUE(watched.client(sftp_test::open(6, "../../srv/up/x", kFileRead)));
  EXPECT_FALSE(watched.out.all.empty());
}

TEST(SftpStream, WhatLeadsToAnAllowedPathMayBeLookedAtAndNoLinkBeMade) {
  Watched watched(with_paths({"/srv/up/*.csv"}));
  watched.begin();
  Bytes passing = path_request(17, 1, "/srv");
  passing += path_request(11, 2, "/srv/up/");
  passing += path_request(17, 3, "/");
  ASSERT_TRUE(watched.client(passing));
  EXPECT_EQ(watched.out.all, passing);
  ASSERT_TRUE(watched.client(path_request(11, 4, "/etc")));
  ASSERT_TRUE(watched.client(sftp_test::open(5, "/srv/up", kFileRead)));
  ASSERT_TRUE(watched.client(two_paths(20, 6, "/etc/shadow", "/srv/up/a.csv")));
  ASSERT_TRUE(watched.client(sftp_test::open(7, "/srv/up/d/a.csv", kFileRead)));
  EXPECT_EQ(watched.answers(), (Answers{{4, 3}, {5, 3}, {6, 3}, {7, 3}}));
}

TEST(SftpStream, ARefusalNamesTheRule) {
  FileRules rules;
  rules.upload = false;
  rules.rule = "auditors";
  Watched watched(rules);
  watched.begin();
  ASSERT_TRUE(watched.client(path_request(13, 1, "/a")));
  EXPECT_EQ(watched.log.lines.back(), "remove refused /a");
  EXPECT_EQ(watched.log.rule, "auditors");
}

TEST(SftpStream, TellsAtTheEndWhatWasOpenAndUnanswered) {
  Watched watched;
  watched.begin();
  watched.open_file(1, "/a", kFileWrite | kFileTruncate, "H");
  ASSERT_TRUE(watched.client(write(2, "H", 0, "abc")));
  ASSERT_TRUE(watched.client(path_request(13, 3, "/b")));
  watched.log.lines.clear();
  watched.stream.finish(5);
  watched.stream.finish(6);
  EXPECT_EQ(watched.log.lines,
            (Lines{"remove unanswered /b", "close unanswered #1 /a read 0 written 3"}));
}

TEST(SftpStream, sec_094_WhatIsNotSftpIsAnError) {
  const auto fails_client = [](const Bytes& bytes) {
    Watched watched;
    watched.begin();
    watched.open_file(1, "/a", kFileRead, "H");
    (void)watched.client(sftp_test::read(2, "H", 0, 4));
    const bool failed = !watched.client(bytes);
    return failed && watched.log.lines.back() == "session failed";
  };
  EXPECT_TRUE(fails_client(sftp_test::read(2, "H", 0, 4))) << "a number in use";
  EXPECT_TRUE(fails_client({0, 0, 0, 0, 0}));
  EXPECT_TRUE(fails_client({0xff, 0xff, 0xff, 0xff, 17}));
  EXPECT_TRUE(fails_client({0x00, 0x04, 0x00, 0x01, 6})) << "256 KiB and a byte";
  EXPECT_TRUE(fails_client({0x00, 0x01, 0x00, 0x01, 17})) << "64 KiB and a byte without content";
  EXPECT_TRUE(fails_client(init()));
  EXPECT_TRUE(fails_client(path_request(17, 9, std::string_view("/a\0/b", 5))));
  EXPECT_TRUE(fails_client(path_request(17, 9, std::string(5000, 'a'))));
  EXPECT_TRUE(fails_client(frame(6, Writer().u32(9).text("H").u64(0).u32(50).u8(1).take())));

  const auto fails_server = [](const Bytes& bytes) {
    Watched watched;
    watched.begin();
    watched.open_file(1, "/a", kFileRead, "H");
    (void)watched.client(sftp_test::read(2, "H", 0, 4));
    return !watched.server(bytes);
  };
  EXPECT_TRUE(fails_server(status(7, 0))) << "nobody asked";
  EXPECT_TRUE(fails_server(handle(2, "X"))) << "a handle for a READ";
  EXPECT_TRUE(fails_server(data(2, "abcde"))) << "more than was asked for";
  EXPECT_TRUE(fails_server(version()));
  EXPECT_TRUE(fails_server(to_bytes("Welcome to web1\n")));
  Watched early;
  EXPECT_FALSE(early.client(path_request(17, 1, "/a"))) << "before INIT";
}

TEST(SftpStream, NothingPassesByAHandleThatWasGuessed) {
  // OpenSSH's first handle is four zeros: whoever opens and reads in one go needs no answer.
  Watched reader;
  reader.begin();
  Bytes pipelined = sftp_test::open(1, "/a", kFileRead);
  pipelined += sftp_test::read(2, "H", 0, 100);
  ASSERT_TRUE(reader.client(pipelined));
  ASSERT_TRUE(reader.server(handle(1, "H")));
  EXPECT_FALSE(reader.server(data(2, "unseen")));
  EXPECT_EQ(reader.log.lines.back(), "session failed");
  EXPECT_FALSE(reader.log.reasons.back().empty());

  const Bytes copy =
      extended(3, "copy-data", Writer().text("H").u64(0).u64(0).text("G").u64(0).take());
  for (const Bytes& change : {write(3, "G", 0, "unseen"), set_size(3, "G", 0), copy}) {
    Watched writer;
    writer.begin();
    writer.open_file(1, "/a", kFileRead, "H");
    Bytes guessed = sftp_test::open(2, "/b", kFileWrite | kFileTruncate);
    guessed += change;
    EXPECT_FALSE(writer.client(guessed));
    EXPECT_EQ(writer.log.lines.back(), "session failed");
    EXPECT_TRUE(writer.out.all.empty());
  }
}

TEST(SftpStream, AReadBehindTheCloseComesToNothing) {
  // Paramiko's prefetch goes on after the file was closed.
  Watched watched;
  watched.begin();
  watched.open_file(1, "/a", kFileRead, "H");
  ASSERT_TRUE(watched.client(sftp_test::close(2, "H")));
  ASSERT_TRUE(watched.client(sftp_test::read(3, "H", 0, 100)));
  ASSERT_TRUE(watched.server(status(2, 0)));
  EXPECT_TRUE(watched.server(status(3, 4)));
}

TEST(SftpStream, AnOpenWithNeitherFlagIsOneForReading) {
  FileRules rules;
  rules.digest = true;
  Watched watched(rules);
  watched.begin();
  watched.open_file(1, "/a", 0, "H");
  Bytes reads = sftp_test::read(2, "H", 0, 100);
  reads += sftp_test::read(3, "H", 4, 100);
  ASSERT_TRUE(watched.client(reads));
  ASSERT_TRUE(watched.server(data(2, "abcd")));
  ASSERT_TRUE(watched.server(status(3, 1)));
  ASSERT_TRUE(watched.client(sftp_test::close(4, "H")));
  ASSERT_TRUE(watched.server(status(4, 0)));
  EXPECT_EQ(watched.log.lines.back(), "close done #1 /a read 4! written 0");
}

TEST(SftpStream, IsCongestedWhileTooManyRequestsWait) {
  Watched watched;
  watched.begin();
  watched.open_file(1, "/a", kFileRead, "H");
  Bytes many;
  for (std::uint32_t id = 10; id < 10 + SftpStream::kRequestsMax + 1; ++id) {
    many += sftp_test::read(id, "H", 0, 1);
  }
  ASSERT_TRUE(watched.client(many));
  EXPECT_TRUE(watched.stream.congested());
  ASSERT_TRUE(watched.server(status(10, 1)));
  EXPECT_FALSE(watched.stream.congested());
}

}  // namespace
}  // namespace bastion::proto
