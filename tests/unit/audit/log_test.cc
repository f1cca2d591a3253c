#include "daemon/audit/log.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <fstream>

#include "tests/support/program.h"
#include "tests/unit/audit/support.h"

namespace bastion::audit {
namespace {

using ::testing::ElementsAre;

/// LogTest is a recorder's place: a folder, a clock that the test moves, and a warden that signs
/// when it is told to.
class LogTest : public ::testing::Test, public LogOwner {
 protected:
  LogTest() : folder_(::open(dir_.path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)) {
    settings_.file = "audit.jsonl";
  }

  void sign(const Head& head) override { asked_.push_back(head); }
  std::vector<std::string> open_recordings() override { return recordings_; }
  MonoTime now() override { return now_; }
  std::uint64_t now_us() override {
    return test::kTimeUs + static_cast<std::uint64_t>(now_.ns / 1000);
  }

  Log& log() {
    if (!log_) {
      log_ = std::make_unique<Log>(folder_.get(), settings_, *this);
      log_->start();
    }
    return *log_;
  }
  void restart() { log_.reset(); }
  void pass(std::int64_t seconds) {
    now_ = after(now_, seconds * kNsPerSecond);
    log().on_time();
  }
  void answer() {
    const Head head = asked_.back();
    asked_.pop_back();
    log().on_signature(key_.public_key().fingerprint(),
                       crypto::base64_encode(*sign_head(key_, head)));
  }
  void add(std::string_view user) {
    Event event(Name::kSessionStart);
    event.time_us = now_us();
    event.text(Key::kUser, user);
    log().add(event);
  }
  void add_and_flush(std::string_view user) {
    add(user);
    log().flush();
  }

  std::string text(const std::string& name = "audit.jsonl") const {
    return std::string(as_text(dir_.read(name)));
  }
  static std::vector<std::string> events_of(const std::string& text) {
    std::vector<std::string> out;
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
      const auto parsed = parse_line(line);
      out.push_back(parsed ? parsed->event : "?");
    }
    return out;
  }
  Report verify(const std::vector<std::string>& files) const {
    Verifier verifier({key_.public_key()});
    for (const std::string& name : files) {
      verifier.begin_file(name);
      verifier.feed(text(name));
      verifier.end_file();
    }
    return verifier.finish();
  }
  std::string rotated() const {
    for (const auto& entry : std::filesystem::directory_iterator(dir_.path())) {
      const std::string name = entry.path().filename();
      if (name.starts_with("audit.jsonl.2")) {
        return name;
      }
    }
    return "";
  }

  bastion::test::TempDir dir_;
  daemon::UniqueFd folder_;
  LogSettings settings_;
  MonoTime now_{kNsPerSecond};
  crypto::PrivateKey key_ = *crypto::PrivateKey::generate(crypto::KeyType::kEd25519);
  std::vector<Head> asked_;
  std::vector<std::string> recordings_;
  std::unique_ptr<Log> log_;
};

TEST_F(LogTest, BeginsAFileAndAcceptsWhatIsInIt) {
  add("alice");
  EXPECT_EQ(log().accepted(), 0u);
  log().flush();
  EXPECT_EQ(log().accepted(), 1u);
  EXPECT_FALSE(log().failing());
  EXPECT_THAT(events_of(text()), ElementsAre("audit.start", "session.start"));
  EXPECT_TRUE(verify({"audit.jsonl"}).ok());
  struct stat status{};
  ASSERT_EQ(stat(dir_.file("audit.jsonl").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0640u & ~umask(umask(0)));
}

TEST_F(LogTest, GoesOnWithTheChainAfterARestart) {
  add_and_flush("alice");
  restart();
  add_and_flush("bob");
  const Report report = verify({"audit.jsonl"});
  EXPECT_TRUE(report.ok());
  EXPECT_EQ(report.head.seq, 4u);
  EXPECT_NE(log().last_lines().find("alice"), std::string::npos)
      << "what is known of the events that were accepted last";
}

TEST_F(LogTest, ALineTornAtAnyByteIsKeptAndToldOf) {
  add_and_flush("alice");
  const std::string before = text();
  add_and_flush("bob\xff");
  const std::string all = text();
  for (std::size_t at = before.size() + 1; at < all.size(); ++at) {
    restart();
    std::filesystem::remove_all(dir_.file("audit.jsonl"));
    dir_.write("audit.jsonl", as_bytes(all.substr(0, at)));
    log();
    const Report report = verify({"audit.jsonl"});
    ASSERT_TRUE(report.ok()) << at;
    const std::string now = text();
    ASSERT_TRUE(now.starts_with(all.substr(0, at) + "\n"));
    const bool whole = at + 1 == all.size();
    ASSERT_EQ(report.num_torn, whole ? 0u : 1u) << at;
    ASSERT_EQ(report.head.seq, whole ? 4u : 4u) << at;
  }
}

TEST_F(LogTest, WillNotWriteIntoSomethingElse) {
  dir_.write("audit.jsonl", as_bytes("root:x:0:0\n"));
  EXPECT_TRUE(log().failing());
  add_and_flush("alice");
  EXPECT_EQ(log().accepted(), 0u);
  EXPECT_EQ(text(), "root:x:0:0\n");
}

TEST_F(LogTest, FollowsNoLink) {
  dir_.write("elsewhere", as_bytes(""));
  std::filesystem::create_symlink(dir_.file("elsewhere"), dir_.file("audit.jsonl"));
  EXPECT_TRUE(log().failing());
  EXPECT_EQ(text("elsewhere"), "");
}

TEST_F(LogTest, EventsWaitForAFileThatCannotBeOpenedYet) {
  std::filesystem::create_directory(dir_.file("audit.jsonl"));
  add_and_flush("alice");
  EXPECT_TRUE(log().failing());
  EXPECT_EQ(log().accepted(), 0u);
  std::filesystem::remove(dir_.file("audit.jsonl"));
  pass(1);
  EXPECT_FALSE(log().failing()) << log().why();
  EXPECT_EQ(log().accepted(), 1u);
  EXPECT_TRUE(verify({"audit.jsonl"}).ok());
  EXPECT_NE(text().find("alice"), std::string::npos);
}

TEST_F(LogTest, IsSignedAtIntervalsAndOnlyWhereSomethingCame) {
  add_and_flush("alice");
  pass(10);
  ASSERT_EQ(asked_.size(), 1u);
  EXPECT_EQ(asked_[0], log().head());
  answer();
  EXPECT_THAT(events_of(text()), ElementsAre("audit.start", "session.start", "audit.head"));
  pass(10);
  EXPECT_TRUE(asked_.empty()) << "nothing new to sign";
  add_and_flush("bob");
  pass(10);
  ASSERT_EQ(asked_.size(), 1u);
  add_and_flush("carol");  // while the signature is made
  answer();
  pass(10);
  ASSERT_EQ(asked_.size(), 1u) << "carol came after what was signed";
  answer();
  const Report report = verify({"audit.jsonl"});
  EXPECT_TRUE(report.ok());
  EXPECT_EQ(report.num_signatures, 3u);
}

TEST_F(LogTest, TheHeadsOfOpenRecordingsStandBeforeTheSignature) {
  recordings_ = {"s1 3 aa", "s2 4 bb"};
  log();
  pass(10);
  answer();
  EXPECT_THAT(events_of(text()), ElementsAre("audit.start", "audit.recordings", "audit.head"));
  EXPECT_NE(text().find(R"("heads":["s1 3 aa","s2 4 bb"])"), std::string::npos);
}

TEST_F(LogTest, AWardenThatNeverAnswersIsAskedAgain) {
  log();
  pass(10);
  pass(10);
  EXPECT_EQ(asked_.size(), 2u);
}

TEST_F(LogTest, RotatesBySizeBehindASignature) {
  settings_.rotate_bytes = 2000;
  for (int i = 0; i < 20; ++i) {
    add_and_flush("alice");
  }
  pass(1);
  ASSERT_EQ(asked_.size(), 1u);
  EXPECT_EQ(rotated(), "");
  answer();
  const std::string old = rotated();
  EXPECT_EQ(old, "audit.jsonl.20260301T091404Z");
  EXPECT_EQ(events_of(text(old)).back(), "audit.head");
  EXPECT_THAT(events_of(text()), ElementsAre("audit.start"));
  EXPECT_NE(text().find("\"previous_file\":\"" + old + "\",\"reason\":\"size\""),
            std::string::npos);
  const Report report = verify({old, "audit.jsonl"});
  EXPECT_TRUE(report.ok());
  EXPECT_EQ(report.first_seq, 1u);
}

TEST_F(LogTest, RotatesByAgeOfTheFileNotOfTheProcess) {
  settings_.rotate_seconds = 3600;
  add_and_flush("alice");
  pass(1800);
  answer();
  restart();
  pass(1799);
  EXPECT_EQ(rotated(), "");
  pass(2);
  answer();
  EXPECT_NE(rotated(), "");
}

TEST_F(LogTest, RotatesWithoutAKey) {
  settings_.rotate_bytes = 100;
  log();
  pass(1);
  log().on_signature("", "");
  EXPECT_NE(rotated(), "");
  EXPECT_TRUE(verify({rotated(), "audit.jsonl"}).ok());
}

TEST_F(LogTest, GoesOnInANewFileWhereSomebodyMovedOrRemovedIt) {
  add_and_flush("alice");
  std::filesystem::rename(dir_.file("audit.jsonl"), dir_.file("audit.jsonl.1"));
  pass(1);
  EXPECT_NE(text().find("\"reason\":\"moved\""), std::string::npos);
  EXPECT_TRUE(verify({"audit.jsonl.1", "audit.jsonl"}).ok());
  std::filesystem::remove(dir_.file("audit.jsonl"));
  pass(1);
  add_and_flush("bob");
  EXPECT_NE(text().find("\"reason\":\"missing\""), std::string::npos);
  EXPECT_FALSE(log().failing());
}

TEST_F(LogTest, SaysSoWhereSomebodyCutTheFile) {
  add_and_flush("alice");
  add_and_flush("bob");
  std::filesystem::resize_file(dir_.file("audit.jsonl"), 0);
  pass(1);
  add_and_flush("carol");
  EXPECT_THAT(events_of(text()), ElementsAre("audit.start", "session.start"));
  EXPECT_NE(text().find("\"reason\":\"truncated\""), std::string::npos);
}

TEST_F(LogTest, GoesOnWithTheChainWhereTheFileWasMovedWhileNobodyRan) {
  add_and_flush("alice");
  log().finish();
  restart();
  std::filesystem::rename(dir_.file("audit.jsonl"), dir_.file("audit.jsonl.1"));
  log();
  EXPECT_TRUE(verify({"audit.jsonl.1", "audit.jsonl"}).ok());
  EXPECT_NE(text().find("\"seq\":3"), std::string::npos);
}

TEST_F(LogTest, RefusesWhatIsNotOfTheSchemaAndSaysSo) {
  Event wrong(Name::kServiceStop);
  wrong.text(Key::kPath, "x");
  log().add(wrong);
  pass(1);
  EXPECT_THAT(events_of(text()), ElementsAre("audit.start", "audit.dropped"));
}

TEST_F(LogTest, AUdpReceiverThatIsNotThereIsToldOfOnce) {
  const daemon::UniqueFd bound(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ASSERT_EQ(bind(bound.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  socklen_t length = sizeof address;
  getsockname(bound.get(), reinterpret_cast<sockaddr*>(&address), &length);
  // It is bound and connected elsewhere: it hears nobody, and nobody else gets its port.
  ASSERT_EQ(connect(bound.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  settings_.head_interval_ns = 3600 * kNsPerSecond;
  settings_.sinks.emplace_back(
      SinkAddress{SinkAddress::Kind::kUdp, "",
                  *Endpoint::parse("127.0.0.1:" + std::to_string(ntohs(address.sin_port)))},
      OnFailure::kDrop);
  add_and_flush("alice");
  for (int second = 0; second < 60; ++second) {
    pass(1);
  }
  EXPECT_THAT(events_of(text()), ElementsAre("audit.start", "session.start", "audit.failed"));
}

/// FileLimit makes every write beyond so many bytes of a file fail with EFBIG, as a full disk does
/// with ENOSPC.
class FileLimit {
 public:
  explicit FileLimit(rlim_t bytes) {
    getrlimit(RLIMIT_FSIZE, &before_);
    old_ = std::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{bytes, before_.rlim_max};
    setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileLimit() {
    setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, old_);
  }

 private:
  rlimit before_{};
  void (*old_)(int) = nullptr;
};

TEST_F(LogTest, AFullDiskFailsItAndRoomBringsItBackWithoutALoss) {
  settings_.head_interval_ns = 3600 * kNsPerSecond;
  add_and_flush("alice");
  {
    // In the middle of a line, wherever that falls.
    const FileLimit limit(text().size() + 100);
    add_and_flush("bob");
    EXPECT_TRUE(log().failing());
    EXPECT_EQ(log().accepted(), 1u);
    add_and_flush("carol");
    pass(1);
    EXPECT_TRUE(log().failing());
  }
  pass(1);
  EXPECT_FALSE(log().failing()) << log().why();
  EXPECT_EQ(log().accepted(), 3u);
  EXPECT_THAT(events_of(text()), ElementsAre("audit.start", "session.start", "session.start",
                                             "audit.failed", "session.start", "audit.recovered"));
  EXPECT_TRUE(verify({"audit.jsonl"}).ok());
}

TEST_F(LogTest, AFileAtItsLimitThatIsMovedGivesWayToANewOne) {
  settings_.head_interval_ns = 3600 * kNsPerSecond;
  const FileLimit limit(100'000);
  while (!log().failing()) {
    add_and_flush(std::string(4000, 'x'));
  }
  EXPECT_NE(log().why().find("raise LimitFSIZE="), std::string::npos) << log().why();
  add_and_flush("bob");
  pass(1);
  EXPECT_TRUE(log().failing());
  std::filesystem::rename(dir_.file("audit.jsonl"), dir_.file("audit.jsonl.1"));
  pass(1);
  EXPECT_FALSE(log().failing()) << log().why();
  EXPECT_NE(text().find("\"user\":\"bob\""), std::string::npos);
  EXPECT_NE(text().find("\"reason\":\"moved\""), std::string::npos);
  EXPECT_TRUE(text("audit.jsonl.1").ends_with('\n')) << "no line is in two halves";
  EXPECT_TRUE(verify({"audit.jsonl.1", "audit.jsonl"}).ok());
}

TEST_F(LogTest, AFileAtItsLimitIsRotated) {
  settings_.head_interval_ns = 3600 * kNsPerSecond;
  settings_.rotate_bytes = 50'000;
  const FileLimit limit(100'000);
  while (!log().failing()) {
    add_and_flush(std::string(4000, 'x'));
  }
  pass(1);
  ASSERT_EQ(asked_.size(), 1u);
  answer();
  ASSERT_NE(rotated(), "");
  pass(1);
  EXPECT_FALSE(log().failing()) << log().why();
  const Report report = verify({rotated(), "audit.jsonl"});
  EXPECT_TRUE(report.ok());
  EXPECT_EQ(report.num_signatures, 1u);
}

TEST_F(LogTest, TheEndOfATornLineIsWrittenBeforeTheFileIsLeft) {
  settings_.head_interval_ns = 3600 * kNsPerSecond;
  add_and_flush("alice");
  const std::string torn = text() + R"({"v":1,"seq":3,"ti)";
  restart();
  dir_.write("audit.jsonl", as_bytes(torn));
  {
    const FileLimit limit(torn.size());
    log();
    std::filesystem::rename(dir_.file("audit.jsonl"), dir_.file("audit.jsonl.1"));
    pass(1);
    EXPECT_TRUE(log().failing());
    EXPECT_EQ(text("audit.jsonl.1"), torn);
  }
  pass(1);
  pass(1);
  EXPECT_FALSE(log().failing()) << log().why();
  const Report report = verify({"audit.jsonl.1", "audit.jsonl"});
  EXPECT_TRUE(report.ok());
  EXPECT_EQ(report.num_torn, 1u);
}

TEST_F(LogTest, ADiskThatIsFullAnywhereInASignatureCostsNothing) {
  settings_.head_interval_ns = 10 * kNsPerSecond;
  std::size_t signature_bytes = 600;
  for (std::size_t room = 0; room <= signature_bytes; room += 7) {
    restart();
    for (const auto& entry : std::filesystem::directory_iterator(dir_.path())) {
      std::filesystem::remove(entry.path());
    }
    asked_.clear();
    add_and_flush("alice");
    pass(10);
    ASSERT_EQ(asked_.size(), 1u);
    const std::size_t before = text().size();
    {
      const FileLimit limit(before + room);
      answer();
      if (text().size() < before + room) {
        signature_bytes = 0;  // the last round: it fitted
      } else {
        EXPECT_TRUE(log().failing()) << room;
        EXPECT_FALSE(log().settled());
      }
      add_and_flush("bob");
      EXPECT_EQ(log().accepted(), 2u - (log().failing() ? 1u : 0u));
    }
    if (room % 2 == 0) {
      restart();  // what was not accepted is told again by whoever had it
      add_and_flush("bob");
    }
    pass(1);
    EXPECT_FALSE(log().failing()) << log().why();
    pass(10);
    ASSERT_FALSE(asked_.empty()) << room;
    answer();
    EXPECT_TRUE(log().settled());
    const Report report = verify({"audit.jsonl"});
    EXPECT_TRUE(report.ok()) << room << ": " << report.problems.front().text;
    EXPECT_NE(text().find("\"user\":\"bob\""), std::string::npos);
    EXPECT_EQ(report.head.seq, report.signed_seq + 1) << "signed to its end";
  }
  EXPECT_EQ(signature_bytes, 0u) << "it was tried to the signature's end";
}

TEST_F(LogTest, WithDropSessionsGoOnAndTheLossIsToldOf) {
  settings_.on_failure = OnFailure::kDrop;
  add_and_flush("alice");
  {
    const FileLimit limit(text().size());
    const std::string much(4000, 'x');
    for (std::size_t bytes = 0; bytes < Log::kWaitingBytesMax + 100'000; bytes += 4000) {
      add_and_flush(much);
    }
    EXPECT_FALSE(log().failing());
  }
  pass(1);
  pass(1);
  EXPECT_NE(text().find("\"event\":\"audit.dropped\""), std::string::npos);
  EXPECT_TRUE(verify({"audit.jsonl"}).ok());
}

}  // namespace
}  // namespace bastion::audit
