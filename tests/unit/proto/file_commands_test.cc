#include "proto/file_commands.h"

#include <gtest/gtest.h>

#include "proto/scp_stream.h"
#include "tests/unit/proto/sftp_support.h"

namespace bastion::proto {
namespace {

using Kind = FileCommand::Kind;
using Lines = std::vector<std::string>;

TEST(FileCommands, RecognisesWhatClientsSend) {
  const FileCommand up = recognise_command("scp -v -r -t -- '/srv/my files'");
  EXPECT_EQ(up.kind, Kind::kScp);
  EXPECT_TRUE(up.uploads && !up.downloads && up.plain);
  EXPECT_EQ(up.paths, (std::vector<std::string>{"/srv/my files"}));
  const FileCommand down = recognise_command("/usr/bin/scp -pf a b*.c");
  EXPECT_TRUE(down.kind == Kind::kScp && down.downloads && !down.uploads);
  EXPECT_EQ(down.paths.size(), 2U);
  EXPECT_FALSE(recognise_command("sudo -n -u root scp -f /etc/hosts").plain);
  EXPECT_EQ(recognise_command("sudo -n -u root scp -f /etc/hosts").kind, Kind::kScp);
  const FileCommand sender =
      recognise_command("rsync --server --sender -vlogDtpre.iLsfxCIvu . src/");
  EXPECT_TRUE(sender.kind == Kind::kRsync && sender.downloads && !sender.uploads);
  const FileCommand receiver =
      recognise_command("rsync --server -vlogDtpre.iLsfxCIvu --delete . /srv/up");
  EXPECT_TRUE(receiver.kind == Kind::kRsync && receiver.uploads && !receiver.downloads);
  EXPECT_TRUE(recognise_command("rsync --server --sender -re.i --remove-source-files . a").uploads);
  EXPECT_EQ(recognise_command("/usr/lib/openssh/sftp-server").kind, Kind::kSftp);
  EXPECT_EQ(recognise_command("exec sftp-server -e").kind, Kind::kSftp);
  EXPECT_TRUE(recognise_command("git-upload-pack 'a.git'").downloads);
  EXPECT_TRUE(recognise_command("git receive-pack 'a.git'").uploads);
}

TEST(FileCommands, LeavesEverythingElseToExec) {
  for (const char* command : {
           "scp",
           "scp -t",
           "scp -f -t a",
           "scp a b:",
           "scp -t a; id",
           "scp -t $(id)",
           "scp -t `id`",
           "scp -t a && id",
           "scp -t a | id",
           "scp -t \"$HOME\"",
           "scp -t 'a",
           "scp -t a > b",
           "X=1 scp -t a",
           "echo scp -t a",
           "./scp -t a",
           "/tmp/scp -t a",
           "~/bin/scp -t a",
           "scp -t a\nid",
           "scp -S id -t a",
           "sh -c 'scp -t a'",
           "env scp -t a",
           "sudo -s scp -t a",
           "rsync --server --daemon .",
           "rsync --server --config=x .",
           "rsync a b",
           "rsync --server --log-file=/x . a",
           "rsync --server -ersh . a",
           "cat sftp-server",
           "rsync --server",
           "git status",
           "git-upload-pack",
           "",
           "#scp -t a",
           "scp -t a &",
       }) {
    EXPECT_EQ(recognise_command(command).kind, Kind::kNone) << command;
  }
}

TEST(FileCommands, DirectionIsWhatTheProgramMakesOfIt) {
  // bash makes words of braces, rsync takes options from behind its ".", the word behind an option
  // that wants a value is that value, and a glob may be a file that is called like an option.
  for (const char* command : {
           "scp -t {-f,/etc/passwd}",
           "scp -t *",
           "scp -t [-]f",
           "scp -t ?f",
           "scp -t \"\"*",
           "scp -t -[f] a",
           "rsync --server -re.LsfxCIvu . --sender /etc/passwd",
           "rsync --server -re.LsfxCIvu . /srv/up --sender",
           "rsync --server . --daemon --config=/tmp/rsyncd.conf",
           "rsync --server -re.LsfxCIvu . -- a",
           "rsync --server -re.LsfxCIvu . *",
           "rsync --server -re.LsfxCIvu . up [-]x",
           "rsync --server --log-format --sender -re.LsfxCIvu . /srv/up",
           "rsync --server --timeout --sender . /srv/up",
           "rsync --server -B --sender . /srv/up",
           "rsync --server -r1 . /srv/up",
           "rsync --server -B10x . /srv/up",
           "rsync --server - . /srv/up",
           "rsync --server --sender=x . /srv/up",
           "rsync --server --partial-dir --sender . /srv/up",
           "rsync --server --partial-dir * . /srv/up",
           "rsync --server --suffix",
           "rsync --server --suffix=* . /srv/up",
           "rsync --server -re.LsfxCIvu {--sender,.} /etc",
       }) {
    EXPECT_EQ(recognise_command(command).kind, Kind::kNone) << command;
  }
  EXPECT_TRUE(recognise_command("scp -t -- '*'").uploads);
  EXPECT_TRUE(recognise_command("scp -t '*'").uploads);
  EXPECT_TRUE(recognise_command("scp -t up/*").uploads);
  EXPECT_TRUE(recognise_command("scp -f *.c").downloads);
  EXPECT_TRUE(recognise_command("rsync --server --sender -re.i -B700 . src/*.c").downloads);
  EXPECT_TRUE(recognise_command("rsync --server -re.i --log-format=%i . up").uploads);
  EXPECT_TRUE(recognise_command("rsync --server -re.i --suffix= --backup-dir old . up").uploads);
}

TEST(ScpStream, TellsEachFileSplitAtEveryByte) {
  using namespace std::string_literals;  // NOLINT: NULs in texts
  const std::vector<std::pair<Leg, std::string>> conversation{
      {Leg::kUpstream, "\0"s},          {Leg::kDownstream, "T1 0 1 0\n"s},
      {Leg::kUpstream, "\0"s},          {Leg::kDownstream, "C0644 5 a.txt\n"s},
      {Leg::kUpstream, "\0"s},          {Leg::kDownstream, "hello\0"s},
      {Leg::kUpstream, "\0"s},          {Leg::kDownstream, "D0755 0 sub\n"s},
      {Leg::kUpstream, "\0"s},          {Leg::kDownstream, "C0600 9 taken\n"s},
      {Leg::kUpstream, "\1no room\n"s}, {Leg::kDownstream, "C0600 0 empty\n\0"s},
      {Leg::kUpstream, "\0\0"s},        {Leg::kDownstream, "E\nC0644 1 ../x\nx\0"s},
      {Leg::kUpstream, "\0\0"s}};
  for (std::size_t at = 0; at <= 20; ++at) {
    SCOPED_TRACE("split at " + std::to_string(at));
    sftp_test::Log log;
    ScpStream stream(true, true, log);
    std::string spoken;
    for (const auto& [from, text] : conversation) {
      const std::size_t cut = std::min(at, text.size());
      for (const auto& part :
           {std::string_view(text).substr(0, cut), std::string_view(text).substr(cut)}) {
        const Bytes told = stream.pass(from, as_bytes(part), 0);
        spoken += from == Leg::kDownstream ? as_text(told) : "";
        EXPECT_TRUE(from == Leg::kDownstream || as_text(told) == part);
      }
    }
    EXPECT_EQ(spoken,
              "T1 0 1 0\nC0644 5 a.txt\n\0D0755 0 sub\nC0600 9 taken\nC0600 0 empty\n\0E\nC0644 1 "
              "../x\nx\0"s)
        << "all but the content that the sink took while it complained of nothing";
    stream.finish(9);
    EXPECT_EQ(
        log.lines,
        (Lines{"open done #1 a.txt", "close done #1 a.txt read 0 written 5!", "mkdir done sub",
               "open done #2 sub/taken", "close failed #2 sub/taken read 0 written 0 status 1",
               "open done #3 sub/empty", "close done #3 sub/empty read 0 written 0!",
               "open done #4 ../x", "close unanswered #4 ../x read 0 written 1"}));
    EXPECT_FALSE(log.reasons[7].empty()) << "a name that leads elsewhere";
    EXPECT_EQ(log.uploaded, "hellox");
  }
}

TEST(ScpStream, sec_095_SaysThatANameLeadsElsewhere) {
  const auto reason_of = [](const std::string& name) {
    sftp_test::Log log;
    ScpStream stream(true, true, log);
    (void)stream.pass(Leg::kUpstream, as_bytes(std::string_view("\0", 1)), 0);
    (void)stream.pass(Leg::kDownstream, as_bytes("C0644 1 " + name + "\n"), 0);
    (void)stream.pass(Leg::kUpstream, as_bytes(std::string_view("\0", 1)), 0);
    EXPECT_EQ(log.lines, (Lines{"open done #1 " + name}));
    return log.reasons.at(0);
  };
  for (const char* name : {"../x", "..", ".", "/etc/passwd", "a/b"}) {
    EXPECT_FALSE(reason_of(name).empty()) << name;
  }
  for (const char* name : {"x", "..x", ".x", "a b", "%n%s"}) {
    EXPECT_TRUE(reason_of(name).empty()) << name;
  }
}

// What a sink refuses has no content: it reads on, and what follows may name other files.
TEST(ScpStream, TakesNothingForContentThatTheSinkMayReadAsLines) {
  using namespace std::string_literals;  // NOLINT: NULs in texts
  constexpr std::string_view kHidden = "C0644 2 hidden\nxx";
  const auto said = [](ScpStream& stream, std::string_view text) {
    return std::string(as_text(stream.pass(Leg::kDownstream, as_bytes(text), 0)));
  };
  {
    SCOPED_TRACE("sent with the line that begins the file, which is refused");
    sftp_test::Log log;
    ScpStream stream(true, false, log);
    stream.pass(Leg::kUpstream, as_bytes("\0"s), 0);
    const std::string sent = "C0644 500 folder\n" + std::string(kHidden);
    EXPECT_EQ(said(stream, sent), sent);
    stream.pass(Leg::kUpstream, as_bytes("\1folder: Is a directory\n"), 0);
    EXPECT_EQ(said(stream, kHidden), kHidden);
    stream.finish(0);
    EXPECT_EQ(log.lines.back(), "session failed") << "that it cannot be followed is told";
  }
  {
    SCOPED_TRACE("a whole file sent at once, which is refused");
    sftp_test::Log log;
    ScpStream stream(true, false, log);
    stream.pass(Leg::kUpstream, as_bytes("\0"s), 0);
    const std::string sent = "C0644 17 folder\n" + std::string(kHidden) + "\0"s;
    EXPECT_EQ(said(stream, sent), sent);
    stream.pass(Leg::kUpstream, as_bytes("\1folder: Is a directory\n"), 0);
    stream.finish(0);
    EXPECT_EQ(log.lines.back(), "session failed");
  }
  {
    SCOPED_TRACE("after a complaint, whatever it was about");
    sftp_test::Log log;
    ScpStream stream(true, false, log);
    stream.pass(Leg::kUpstream, as_bytes("\0\1sub: set times: not permitted\n"s), 0);
    said(stream, "C0644 500 a\n");
    stream.pass(Leg::kUpstream, as_bytes("\0"s), 0);
    EXPECT_EQ(said(stream, kHidden), kHidden);
    stream.finish(0);
    EXPECT_EQ(log.lines.back(), "close unanswered #1 a read 0 written 17");
  }
}

TEST(ScpStream, SaysOnceThatItCannotFollow) {
  sftp_test::Log log;
  ScpStream stream(false, false, log);
  for (const std::string_view text : {"Welcome to web1\n", "C0644 5 a\nhello"}) {
    EXPECT_EQ(as_text(stream.pass(Leg::kUpstream, as_bytes(text), 0)), text)
        << "none of it is known";
  }
  stream.finish(0);
  EXPECT_EQ(log.lines, (Lines{"session failed"}));
}

}  // namespace
}  // namespace bastion::proto
