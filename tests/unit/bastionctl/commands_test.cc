// The program itself, on files as the recorder makes them.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>

#include "daemon/indexer/index.h"
#include "daemon/indexer/statement.h"
#include "tests/support/program.h"
#include "tests/unit/recording/recording_support.h"

namespace bastion::ctl {
namespace {

using bastion::test::ProgramResult;
using recording::EntryKind;
using recording::test::Said;

constexpr std::uint64_t kStart = 1'700'000'100'000'000;
const std::string kEvil =
    "caf\xc3\xa9\n\x1b]0;title\x07\x9b"
    "31m\x00\xff end\n";

class Commands : public testing::Test {
 protected:
  Commands() {
    std::filesystem::create_directories(dir_.path() / "recordings" / "2023-11-14");
    put('a', recording::test::make(recording::test::a_shell(), 3, {}, session('a')).file);
    put('b', recording::test::make(recording::test::a_shell(), 3, std::span(&recipient_, 1),
                                   session('b'))
                 .file);
    const std::vector<Said> entries{
        {kStart, 1, EntryKind::kChannelOpen, recording::encode(recording::ChannelOpen{"session"})},
        {kStart, 1, EntryKind::kStart,
         recording::encode(recording::Start{recording::StartKind::kExec, "cat\x1b[2J file"})},
        {kStart + 5, 1, EntryKind::kStdout, to_bytes(kEvil.substr(0, 4))},
        {kStart + 6, 1, EntryKind::kStdout, to_bytes(kEvil.substr(4))},
        {kStart + 7, 1, EntryKind::kStderr, to_bytes("warning\n")},
        {kStart + 8, 1, EntryKind::kExitStatus, recording::encode_number(3)}};
    put('c', recording::test::make(entries, 100, {}, session('c')).file);
    key_ =
        dir_.write("audit.pub", as_bytes(recording::test::audit_key().public_key().line() + "\n"));
    identity_file_ = dir_.write("identity", identity_.file());
  }

  static std::string session(char which) {
    std::string name = recording::test::kSession;
    name[3] = which;
    return name;
  }
  void put(char which, ByteView bytes) {
    dir_.write("recordings/2023-11-14/" + session(which) + ".rec", bytes);
  }
  ProgramResult run(std::vector<std::string> arguments) const {
    const char* program = std::getenv("BASTIONCTL");
    std::vector<std::string> argv{program != nullptr ? program : "bastionctl", "recordings",
                                  "--dir", dir_.file("recordings")};
    argv.insert(argv.end(), arguments.begin(), arguments.end());
    return bastion::test::run_program(argv);
  }

  bastion::test::TempDir dir_;
  recording::Identity identity_ = recording::Identity::generate();
  recording::Recipient recipient_ = identity_.recipient();
  std::string key_;
  std::string identity_file_;
};

void expect_harmless(const std::string& output) {
  for (const char c : output) {
    EXPECT_TRUE(c == '\n' || (c >= 0x20 && c < 0x7f)) << static_cast<int>(c) << " in " << output;
  }
}

TEST_F(Commands, RawIsWhatTheUserGot) {
  EXPECT_EQ(run({"export", "7q2c", "--format", "raw", "-o", dir_.file("out")}).exit_code, 0);
  EXPECT_EQ(as_text(dir_.read("out")), kEvil);
  EXPECT_EQ(run({"export", "7q2c", "--format", "raw", "--stream", "stderr"}).output, "warning\n");
  EXPECT_EQ(run({"export", "7q2a", "--format", "raw", "--stream", "stdin"}).output, "ls\r");
}

TEST_F(Commands, NothingElseRunsWhatWasRecorded) {
  for (const std::vector<std::string>& arguments : {std::vector<std::string>{"list"},
                                                    {"search", "file"},
                                                    {"show", "7q2c"},
                                                    {"play", "7q2c"},
                                                    {"play", "7q2a", "--safe"},
                                                    {"export", "7q2c"},
                                                    {"show", "7q2c", "--json"},
                                                    {"list", "--json"}}) {
    const ProgramResult result = run(arguments);
    EXPECT_EQ(result.exit_code, 0) << arguments[0];
    EXPECT_FALSE(result.output.empty());
    expect_harmless(result.output);
  }
  const std::string text = run({"export", "7q2c", "--format", "text"}).output;
  EXPECT_EQ(text.find('\x1b'), std::string::npos);
  EXPECT_NE(text.find("caf\xc3\xa9\n"), std::string::npos);
}

TEST_F(Commands, AnIndexThatSomebodyMadeUpSaysNothingToTheTerminal) {
  std::filesystem::create_directories(dir_.path() / "index");
  const std::string path = dir_.file("index/recordings.sqlite");
  ASSERT_TRUE(index::Index::open(path, index::Index::Mode::kWrite));
  sqlite3* database = nullptr;
  ASSERT_EQ(sqlite3_open(path.c_str(), &database), SQLITE_OK);
  // SQLite's own message has the name in it.
  EXPECT_EQ(sqlite3_exec(database,
                         "PRAGMA writable_schema = ON;"
                         "UPDATE sqlite_master SET sql = 'CREATE ' || char(27) || '[2J' WHERE name "
                         "= 'by_day';"
                         "UPDATE sqlite_master SET name = char(27) || '[31mevil' || char(10) || "
                         "char(155) WHERE name = 'by_day';",
                         nullptr, nullptr, nullptr),
            SQLITE_OK)
      << sqlite3_errmsg(database);
  sqlite3_close(database);
  const ProgramResult result = run({"list"});
  EXPECT_NE(result.exit_code, 0);
  EXPECT_NE(result.output.find("evil"), std::string::npos) << result.output;
  expect_harmless(result.output);
}

TEST_F(Commands, AnExecSessionIsReadable) {
  const std::string played = run({"play", "7q2c"}).output;
  EXPECT_NE(played.find("-- exec: cat\\x1b[2J file\n"), std::string::npos) << played;
  EXPECT_NE(played.find("\\x1b]0;title\\x07"), std::string::npos) << played;
  EXPECT_NE(played.find("warning\n"), std::string::npos);
  EXPECT_NE(played.find("-- exit status 3\n"), std::string::npos);
}

TEST_F(Commands, IdsAreUniqueBeginnings) {
  EXPECT_EQ(run({"show", "7q2c"}).exit_code, 0);
  const ProgramResult several = run({"show", "7q2"});
  EXPECT_EQ(several.exit_code, 1);
  EXPECT_NE(several.output.find("3 recordings begin with 7q2"), std::string::npos);
  EXPECT_EQ(run({"show", "zz"}).exit_code, 1);
  EXPECT_EQ(run({"show", "../x"}).exit_code, 1);
}

TEST_F(Commands, EncryptedOnesTakeAnIdentity) {
  EXPECT_EQ(run({"play", "7q2b"}).exit_code, 1);
  EXPECT_NE(run({"play", "7q2b"}).output.find("--identity"), std::string::npos);
  EXPECT_EQ(run({"show", "7q2b"}).exit_code, 0);
  const ProgramResult played = run({"play", "7q2b", "--identity", identity_file_});
  EXPECT_EQ(played.exit_code, 0);
  EXPECT_NE(played.output.find("secret.txt"), std::string::npos);
  const ProgramResult blind = run({"search", "secret", "--json"});
  EXPECT_EQ(blind.output.find(session('b')), std::string::npos);
  EXPECT_NE(blind.output.find("not searched: 1 recording that is encrypted"), std::string::npos);
  EXPECT_EQ(run({"search", "secret", "--identity", identity_file_}).output.find("not searched"),
            std::string::npos);
  EXPECT_NE(
      run({"search", "secret", "--json", "--identity", identity_file_}).output.find(session('b')),
      std::string::npos);
}

TEST_F(Commands, AnExportThatCannotReadLeavesTheFileAlone) {
  const std::string cast = identity_file_ + ".cast";
  EXPECT_EQ(run({"export", "7q2b", "-o", cast}).exit_code, 1);
  EXPECT_FALSE(std::filesystem::exists(cast));
  EXPECT_EQ(run({"export", "7q2b", "-o", cast, "--identity", identity_file_}).exit_code, 0);
  const auto bytes = std::filesystem::file_size(cast);
  EXPECT_GT(bytes, 0U);
  EXPECT_EQ(run({"export", "7q2b", "-o", cast}).exit_code, 1);
  EXPECT_EQ(std::filesystem::file_size(cast), bytes);
}

TEST_F(Commands, AnExportWritesToNoFileOfOthersAndFollowsNoLink) {
  dir_.write("precious", as_bytes("precious"));
  const std::string precious = dir_.file("precious");
  const std::string trap = dir_.file("trap");
  std::filesystem::create_symlink(precious, trap);
  const ProgramResult linked = run({"export", "7q2c", "-o", trap});
  EXPECT_EQ(linked.exit_code, 1);
  EXPECT_NE(linked.output.find("it is a link"), std::string::npos) << linked.output;
  std::filesystem::remove(trap);
  std::filesystem::create_hard_link(precious, trap);
  EXPECT_EQ(run({"export", "7q2c", "-o", trap}).exit_code, 1);
  EXPECT_EQ(as_text(dir_.read("precious")), "precious");
  if (geteuid() == 0) {
    std::filesystem::remove(trap);
    ASSERT_EQ(chown(precious.c_str(), 65534, 65534), 0);
    EXPECT_EQ(run({"export", "7q2c", "-o", precious}).exit_code, 1);
    EXPECT_EQ(as_text(dir_.read("precious")), "precious");
  }
  // One of ours is written anew, and is ours alone then.
  dir_.write("own", as_bytes("longer than what is written instead, or so it may be"));
  std::filesystem::permissions(dir_.file("own"), std::filesystem::perms(0644));
  EXPECT_EQ(run({"export", "7q2c", "--format", "raw", "-o", dir_.file("own")}).exit_code, 0);
  EXPECT_EQ(std::filesystem::status(dir_.file("own")).permissions(), std::filesystem::perms(0600));
  EXPECT_EQ(run({"export", "7q2c", "-o", "/dev/null"}).exit_code, 0);
}

TEST_F(Commands, VerifyNeedsAKeyOrToBeToldThatThereIsNone) {
  EXPECT_EQ(run({"verify", "--all"}).exit_code, 2);
  EXPECT_EQ(run({"verify", "--all", "--key", key_}).exit_code, 0);
  EXPECT_EQ(run({"verify", "--all", "--chain-only"}).exit_code, 0);
  EXPECT_EQ(run({"verify", "--all", "--key", identity_file_}).exit_code, 2);
  EXPECT_EQ(run({"verify", "7q2a", "--all", "--key", key_}).exit_code, 2);
}

TEST_F(Commands, AnOptionThatMayBeRepeatedTakesOneFileEachTime) {
  const ProgramResult one = run({"verify", "--key", key_, "7q2a"});
  EXPECT_EQ(one.exit_code, 0) << one.output;
  EXPECT_EQ(run({"verify", "--key", key_, "--key", key_, "7q2a"}).exit_code, 0);
  EXPECT_EQ(run({"play", "--identity", identity_file_, "7q2b"}).exit_code, 0);
}

TEST_F(Commands, VerifySaysWhatIsWrong) {
  auto open = recording::test::make(recording::test::a_shell(), 3, {}, session('d'), false).file;
  put('d', open);
  EXPECT_EQ(run({"verify", "7q2d", "--key", key_}).exit_code, 1);
  EXPECT_EQ(run({"verify", "7q2d", "--key", key_, "--allow-open"}).exit_code, 0);
  auto bad = recording::test::make(recording::test::a_shell(), 3, {}, session('a')).file;
  bad[600] ^= 1;
  put('a', bad);
  const ProgramResult result = run({"verify", "--all", "--key", key_, "--allow-open"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_NE(result.output.find(session('a') + "  BAD  block"), std::string::npos);
  put('a', recording::test::make(recording::test::a_shell(), 3, {}, session('e')).file);
  EXPECT_EQ(run({"verify", "7q2a", "--key", key_}).exit_code, 1);
}

TEST_F(Commands, TheIndexIsMadeFromTheFiles) {
  const ProgramResult made = run({"index", "--rebuild"});
  EXPECT_EQ(made.exit_code, 0);
  EXPECT_NE(made.output.find("3 recordings in the index; 3 read now"), std::string::npos);
  const ProgramResult found = run({"list", "--user", "alice", "--target", "web1"});
  EXPECT_EQ(found.exit_code, 0);
  EXPECT_NE(found.output.find("7q2aabcd"), std::string::npos);
  EXPECT_EQ(run({"list", "--user", "bob"}).output, "no recordings\n");
  EXPECT_EQ(run({"search", "nowhere"}).exit_code, 1);
  EXPECT_EQ(run({"list", "--since", "someday"}).exit_code, 2);
}

TEST_F(Commands, NoFolderIsSaid) {
  const char* program = std::getenv("BASTIONCTL");
  ASSERT_NE(program, nullptr);
  const ProgramResult result =
      bastion::test::run_program({program, "recordings", "--dir", dir_.file("none"), "list"});
  EXPECT_EQ(result.exit_code, 3);
  EXPECT_NE(result.output.find("--dir"), std::string::npos);
}

TEST_F(Commands, KeygenMakesWhatReads) {
  const ProgramResult made = run({"keygen", dir_.file("new")});
  EXPECT_EQ(made.exit_code, 0);
  const auto identity = recording::Identity::parse(as_text(dir_.read("new")));
  ASSERT_TRUE(identity);
  EXPECT_NE(made.output.find(identity->recipient().line() + "\n"), std::string::npos);
  EXPECT_EQ(run({"keygen", dir_.file("new")}).exit_code, 1);  // nothing is overwritten
}

TEST_F(Commands, AsciinemaPlaysTheExport) {
  for (const char which : {'a', 'c'}) {
    ASSERT_EQ(run({"export", session(which), "-o", dir_.file("x.cast")}).exit_code, 0);
    // asciinema wants a terminal, even to cat.
    const ProgramResult played = bastion::test::run_program(
        {"script", "-qec", "asciinema cat " + dir_.file("x.cast"), "/dev/null"});
    EXPECT_EQ(played.exit_code, 0) << played.output;
    EXPECT_NE(played.output.find(which == 'a' ? "secret.txt" : "caf\xc3\xa9"), std::string::npos)
        << played.output;
  }
}

}  // namespace
}  // namespace bastion::ctl
