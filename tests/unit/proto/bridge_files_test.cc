#include <map>

#include "tests/support/random.h"
#include "tests/unit/proto/bridge_support.h"
#include "tests/unit/proto/sftp_support.h"

namespace bastion::proto {
namespace {

using namespace connection_test;  // NOLINT: the messages and peers of these tests

/// BridgeFiles is a bridge with an sftp channel on it.
class BridgeFiles : public BridgeTest {
 protected:
  ChannelNumber begin(const FileRules& rules, std::uint32_t window = kWindow) {
    Permissions with = allow_all();
    with.sftp_files = with.exec_files = rules;
    restart(with);
    const ChannelNumber number = open_session(window);
    user_sends(request(number, "subsystem", true).text("sftp"));
    target.next();
    target_sends(success(number));
    user.next();
    user_says(number, sftp_test::init());
    EXPECT_EQ(heard(target), sftp_test::init());
    target_says(number, sftp_test::version());
    EXPECT_EQ(heard(user), sftp_test::version());
    return number;
  }
  void user_says(ChannelNumber number, const Bytes& bytes) {
    user_sends(data(number, as_text(bytes)));
  }
  void target_says(ChannelNumber number, const Bytes& bytes) {
    target_sends(data(number, as_text(bytes)));
  }
  /// heard is all data that a peer has received since; other messages are left out.
  static Bytes heard(LegSink& sink) {
    Bytes all;
    while (!sink.empty()) {
      const Bytes message = sink.next();
      if (message[0] == kMsgChannelData) {
        all.insert(all.end(), message.begin() + 9, message.end());
      }
    }
    return all;
  }
  static std::uint64_t granted(LegSink& sink) {
    std::uint64_t sum = 0;
    while (!sink.empty()) {
      const Bytes message = sink.next();
      sum += message[0] == kMsgChannelWindowAdjust ? u32_at(message, 5) : 0;
    }
    return sum;
  }
  static FileRules read_only() {
    FileRules rules;
    rules.upload = false;
    return rules;
  }
  static std::uint32_t id_of(const Bytes& answer) { return u32_at(answer, 5); }
};

TEST_F(BridgeFiles, ARefusalWaitsForTheEndOfTheMessageUnderWay) {
  const ChannelNumber number = begin(read_only());
  user_says(number, sftp_test::path_request(17, 1, "/a"));
  heard(target);
  const Bytes answer = sftp_test::attrs(1, 5);
  const auto half = answer.begin() + 7;
  target_says(number, {answer.begin(), half});
  EXPECT_EQ(heard(user), Bytes(answer.begin(), half));
  user_says(number, sftp_test::path_request(13, 2, "/a"));
  EXPECT_TRUE(heard(target).empty());
  EXPECT_TRUE(heard(user).empty());
  // The rest comes together with the next message: the refusal goes between the two.
  user_says(number, sftp_test::path_request(17, 3, "/b"));
  const Bytes next = sftp_test::attrs(3, 6);
  Bytes rest(half, answer.end());
  rest.insert(rest.end(), next.begin(), next.end());
  target_says(number, rest);
  const Bytes got = heard(user);
  const auto first = static_cast<std::size_t>(answer.end() - half);
  ASSERT_GT(got.size(), rest.size());
  EXPECT_EQ(Bytes(got.begin(), got.begin() + static_cast<long>(first)), Bytes(half, answer.end()));
  EXPECT_EQ(got[first + 4], 101);
  EXPECT_EQ(u32_at(got, first + 5), 2U);
  EXPECT_EQ(Bytes(got.end() - static_cast<long>(next.size()), got.end()), next);
}

TEST_F(BridgeFiles, WhatIsTakenOutIsGrantedAnew) {
  FileRules rules;
  rules.size_max = 10;
  const ChannelNumber number = begin(rules);
  user_says(number, sftp_test::open(1, "/a", kFileWrite | kFileTruncate));
  target_says(number, sftp_test::handle(1, "H"));
  heard(user);
  target.messages.clear();
  // The target never grants more, and sees nothing; the user may go on for ever.
  std::uint64_t sent = 0;
  std::uint64_t again = 0;
  for (std::uint32_t id = 2; id < 402; ++id) {
    const Bytes message = sftp_test::write(id, "H", 100, std::string(30'000, 'x'));
    sent += message.size();
    user_says(number, message);
    again += granted(user);
  }
  EXPECT_TRUE(target.empty());
  EXPECT_GT(again + kWindow, sent);
}

TEST_F(BridgeFiles, AnswersGoOnForAsLongAsTheUserReadsThem) {
  const ChannelNumber number = begin(read_only());
  // The target has nothing to say and holds what it was granted; the user adjusts when half of its
  // window is used up, as some do.
  std::uint64_t unread = 0;
  std::uint32_t next = 1;
  for (std::uint32_t id = 1; id <= 60'000; ++id) {
    user_says(number, sftp_test::path_request(13, id, "/a"));
    const Bytes got = heard(user);
    unread += got.size();
    for (std::size_t at = 0; at < got.size(); at += 4 + u32_at(got, at)) {
      EXPECT_EQ(u32_at(got, at + 5), next++);
    }
    if (unread >= kWindow / 2) {
      user_sends(adjust(number, static_cast<std::uint32_t>(unread)));
      unread = 0;
    }
  }
  EXPECT_EQ(next, 60'001U);
  EXPECT_TRUE(target.empty());
}

TEST_F(BridgeFiles, ASmallWindowGetsItsAnswersAsItOpens) {
  const ChannelNumber number = begin(read_only(), 64);
  user_sends(adjust(number, 64));
  for (std::uint32_t id = 1; id <= 20; ++id) {
    user_says(number, sftp_test::path_request(13, id, "/a"));
  }
  std::uint32_t next = 1;
  for (int i = 0; i < 200 && next <= 20; ++i) {
    const Bytes got = heard(user);
    for (std::size_t at = 0; at < got.size(); at += 4 + u32_at(got, at)) {
      EXPECT_EQ(u32_at(got, at + 5), next++);
    }
    user_sends(adjust(number, 100));
  }
  EXPECT_EQ(next, 21U);
}

TEST_F(BridgeFiles, WhatIsNotSftpEndsTheChannelWithALine) {
  const ChannelNumber number = begin({});
  target_says(number, to_bytes("Welcome to web1\n"));
  bool told = false;
  bool closed = false;
  while (!user.empty()) {
    const Bytes message = user.next();
    told = told || message[0] == kMsgChannelExtendedData;
    closed = closed || message[0] == kMsgChannelClose;
    EXPECT_NE(message[0], kMsgChannelData);
  }
  EXPECT_TRUE(told && closed);
}

TEST_F(BridgeFiles, SftpByACommandIsRuledLikeTheSubsystem) {
  Permissions with = allow_all();
  with.exec_files = read_only();
  restart(with);
  const ChannelNumber number = open_session();
  user_sends(request(number, "exec", true).text("/usr/lib/openssh/sftp-server"));
  target.next();
  target_sends(success(number));
  user.next();
  user_says(number, sftp_test::init());
  target_says(number, sftp_test::version());
  heard(target);
  heard(user);
  user_says(number, sftp_test::path_request(13, 9, "/a"));
  EXPECT_TRUE(heard(target).empty());
  EXPECT_EQ(id_of(heard(user)), 9U);
}

TEST_F(BridgeFiles, AForcedSftpIsRuledAsTheCommandThatItIs) {
  Permissions with = allow_all();
  with.force_command = "internal-sftp";
  with.exec_files = read_only();
  restart(with);
  const ChannelNumber number = open_session();
  user_sends(request(number, "subsystem", true).text("sftp"));
  target.next();
  target_sends(success(number));
  user.next();
  user_says(number, sftp_test::init());
  target_says(number, sftp_test::version());
  heard(target);
  heard(user);
  user_says(number, sftp_test::path_request(13, 9, "/a"));
  EXPECT_TRUE(heard(target).empty());
  EXPECT_EQ(id_of(heard(user)), 9U);
}

TEST_F(BridgeFiles, ScpIsAllowedAndRefusedByItsDirection) {
  const auto starts = [&](const Permissions& with, const char* command) {
    restart(with);
    const ChannelNumber number = open_session();
    user_sends(request(number, "exec", true).text(command));
    const bool started = !target.empty() && target.next()[0] == kMsgChannelRequest;
    user.messages.clear();
    target.messages.clear();
    return started;
  };
  Permissions with = allow_all();
  with.exec_files = read_only();
  EXPECT_TRUE(starts(with, "scp -f /a"));
  EXPECT_FALSE(starts(with, "scp -t /a"));
  EXPECT_TRUE(starts(with, "scp -t /a; true")) << "a command, which exec allows";
  with.exec_files.rsync = FileRules::Command::kRefused;
  EXPECT_FALSE(starts(with, "rsync --server --sender -re.i . /a"));
  Permissions only_sftp;
  only_sftp.subsystems = {"sftp"};
  EXPECT_FALSE(starts(only_sftp, "scp -f /a"));
  only_sftp.sftp_files.scp = FileRules::Command::kAllowed;
  EXPECT_TRUE(starts(only_sftp, "scp -f /a"));
  EXPECT_FALSE(starts(only_sftp, "sudo scp -f /a"));
  EXPECT_FALSE(starts(only_sftp, "id"));
}

/// A client with many requests of all kinds in any pieces, a server that answers in any order, and
/// what the rule lets through reckoned by hand.
TEST_F(BridgeFiles, ManyRequestsInAnyPiecesAndOrder) {
  for (std::uint64_t seed = 1; seed <= 30; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    bastion::test::SeededRandom random(seed);
    const auto below = [&](std::uint64_t n) { return random.next() % n; };
    FileRules rules;
    rules.deny_paths = {"/no/**"};
    rules.size_max = 50'000;
    const ChannelNumber number = begin(rules);
    user_says(number, sftp_test::open(1, "/a", kFileRead | kFileWrite | kFileTruncate));
    target_says(number, sftp_test::handle(1, "H"));
    heard(user);
    heard(target);
    Bytes asked;
    Bytes passing;
    std::vector<std::pair<std::uint32_t, Bytes>> answers;  // of the target
    std::map<std::uint32_t, bool> awaited;                 // by id: refused
    for (std::uint32_t id = 10; id < 210; ++id) {
      const bool bad = below(3) == 0;
      Bytes message;
      Bytes answer = sftp_test::status(id, 0);
      switch (below(4)) {
        case 0: message = sftp_test::path_request(13, id, bad ? "/no/x" : "/yes/x"); break;
        case 1:
          message = sftp_test::write(id, "H", bad ? 50'001 : 0, std::string(below(9'000) + 1, 'w'));
          break;
        case 2:
          message = sftp_test::read(id, "H", bad ? 50'002 : 0, 9'000);
          answer = sftp_test::data(id, std::string(below(9'000), 'r'));
          break;
        default:
          message = sftp_test::two_paths(18, id, "/yes/x", bad ? "/no/../no/y" : "/yes/y");
          break;
      }
      asked.insert(asked.end(), message.begin(), message.end());
      awaited[id] = bad;
      if (!bad) {
        passing.insert(passing.end(), message.begin(), message.end());
        answers.emplace_back(id, answer);
      }
    }
    Bytes at_target;
    Bytes at_user;
    std::map<std::uint32_t, bool> seen_by_target;
    std::size_t asked_at = 0;
    Bytes saying;  // what the target has begun to say
    std::size_t parsed = 0;
    std::size_t complete = 0;
    for (int step = 0; step < 100'000 && complete < awaited.size(); ++step) {
      if (asked_at < asked.size() && below(2) == 0) {
        const std::size_t n = std::min<std::size_t>(asked.size() - asked_at, below(3'000) + 1);
        user_says(number, {asked.begin() + static_cast<long>(asked_at),
                           asked.begin() + static_cast<long>(asked_at + n)});
        asked_at += n;
      }
      // Window adjustments to either are answered by more window.
      while (!target.empty()) {
        const Bytes message = target.next();
        if (message[0] == kMsgChannelData) {
          at_target.insert(at_target.end(), message.begin() + 9, message.end());
          target_sends(adjust(number, static_cast<std::uint32_t>(message.size() - 9)));
        }
      }
      while (parsed + 9 <= at_target.size() &&
             parsed + 4 + u32_at(at_target, parsed) <= at_target.size()) {
        seen_by_target[u32_at(at_target, parsed + 5)] = true;
        parsed += 4 + u32_at(at_target, parsed);
      }
      if (saying.empty() && !answers.empty()) {
        const std::size_t i = below(answers.size());
        if (seen_by_target.contains(answers[i].first)) {
          saying = answers[i].second;
          answers.erase(answers.begin() + static_cast<long>(i));
        }
      }
      if (!saying.empty()) {
        const std::size_t n = std::min<std::size_t>(saying.size(), below(5'000) + 1);
        target_says(number, {saying.begin(), saying.begin() + static_cast<long>(n)});
        saying.erase(saying.begin(), saying.begin() + static_cast<long>(n));
      }
      const Bytes got = heard(user);
      at_user.insert(at_user.end(), got.begin(), got.end());
      if (!got.empty()) {
        user_sends(adjust(number, static_cast<std::uint32_t>(got.size())));
      }
      complete = 0;
      for (std::size_t at = 0;
           at + 9 <= at_user.size() && at + 4 + u32_at(at_user, at) <= at_user.size();
           at += 4 + u32_at(at_user, at)) {
        ++complete;
      }
      ASSERT_FALSE(HasFailure());
    }
    EXPECT_EQ(at_target, passing);
    std::size_t num_refused = 0;
    for (std::size_t at = 0; at < at_user.size(); at += 4 + u32_at(at_user, at)) {
      const std::uint32_t id = u32_at(at_user, at + 5);
      ASSERT_TRUE(awaited.contains(id));
      if (at_user[at + 4] == 101 && u32_at(at_user, at + 9) == kSftpPermissionDenied) {
        EXPECT_TRUE(awaited[id]);
        ++num_refused;
      } else {
        EXPECT_FALSE(awaited[id]);
      }
      awaited.erase(id);
    }
    EXPECT_TRUE(awaited.empty());
    EXPECT_GT(num_refused, 20U);
  }
}

}  // namespace
}  // namespace bastion::proto
