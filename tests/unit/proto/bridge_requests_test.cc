#include "proto/allow.h"
#include "proto/connection_limits.h"
#include "tests/unit/proto/bridge_support.h"

namespace bastion::proto {
namespace {

using namespace connection_test;  // NOLINT: the messages and peers of these tests

class BridgeRequests : public BridgeTest {
 protected:
  /// passes expects that the user's request reaches the target as it is.
  void passes(const Bytes& to_us, const Bytes& to_target) {
    user_sends(to_us);
    EXPECT_EQ(target.next(), to_target);
    expect_quiet();
  }
};

TEST_F(BridgeRequests, RelaysWhatAShellNeeds) {
  const ChannelNumber number = open_session();
  user_sends(pty(number));
  user_sends(env(number, "LANG", "C.UTF-8"));
  user_sends(shell(number));
  EXPECT_EQ(target.next(), pty(kTargetNumber));
  EXPECT_EQ(target.next(), env(kTargetNumber, "LANG", "C.UTF-8"));
  EXPECT_EQ(target.next(), shell(kTargetNumber));
  target_sends(success(number));
  target_sends(success(number));
  EXPECT_EQ(user.next(), success(kUserNumber));
  EXPECT_EQ(user.next(), success(kUserNumber));
  const auto change = [](std::uint32_t recipient) {
    return Bytes(request(recipient, "window-change", false).u32(100).u32(40).u32(0).u32(0));
  };
  passes(change(number), change(kTargetNumber));
  passes(signal(number, "INT"), signal(kTargetNumber, "INT"));
  passes(request(number, "break", false).u32(500), request(kTargetNumber, "break", false).u32(500));
  passes(request(number, "eow@openssh.com", false),
         request(kTargetNumber, "eow@openssh.com", false));
  EXPECT_TRUE(log.has("allowed pty-req xterm-256color"));
  EXPECT_TRUE(log.has("started shell"));
  const ChannelInfo info = bridge->channels().at(0);
  EXPECT_TRUE(info.pty);
  EXPECT_EQ(info.use, ChannelUse::kShell);
}

TEST_F(BridgeRequests, RelaysCommandsAndSubsystems) {
  for (const bool command : {true, false}) {
    restart(allow_all());
    const ChannelNumber number = open_session();
    if (command) {
      passes(exec(number, "uname -sn"), exec(kTargetNumber, "uname -sn"));
    } else {
      passes(subsystem(number, "netconf"), subsystem(kTargetNumber, "netconf"));
    }
    target_sends(success(number));
    EXPECT_EQ(user.next(), success(kUserNumber));
    EXPECT_TRUE(log.has(command ? "started exec" : "started netconf"));
  }
}

TEST_F(BridgeRequests, WantsToKnowWhatBecameOfAShellThatTheClientDoesNotAskAbout) {
  const ChannelNumber number = open_session();
  passes(shell(number, false), shell(kTargetNumber, true));
  target_sends(success(number));
  expect_quiet();
  EXPECT_TRUE(log.has("started shell"));
}

TEST_F(BridgeRequests, NormalisesWantReply) {
  const ChannelNumber number = open_session();
  Bytes odd = shell(number);
  odd.back() = 7;
  passes(odd, shell(kTargetNumber));
}

TEST_F(BridgeRequests, StartsASessionOnlyOnce) {
  const ChannelNumber number = open_session();
  start_shell(number);
  user_sends(exec(number, "id"));
  EXPECT_EQ(user.next(), failure(kUserNumber));
  expect_quiet();
}

TEST_F(BridgeRequests, AllowsACommandAfterASubsystemThatTheTargetDoesNotHave) {
  const ChannelNumber number = open_session();
  passes(subsystem(number, "sftp"), subsystem(kTargetNumber, "sftp"));
  target_sends(failure(number));
  EXPECT_EQ(user.next(), failure(kUserNumber));
  passes(exec(number, "/usr/lib/sftp-server"), exec(kTargetNumber, "/usr/lib/sftp-server"));
}

TEST_F(BridgeRequests, StartsNothingAfterWhatWasSentToAProgramThatDidNotStart) {
  // Dropbear keeps such bytes for what is started next, and whoever follows that saw none of them.
  const ChannelNumber number = open_session();
  passes(subsystem(number, "nosuch"), subsystem(kTargetNumber, "nosuch"));
  passes(data(number, "smuggled"), data(kTargetNumber, "smuggled"));
  target_sends(failure(number));
  EXPECT_EQ(user.next(), failure(kUserNumber));
  for (const Bytes& start : {exec(number, "sftp-server"), shell(number)}) {
    user_sends(start);
    EXPECT_EQ(user.next(), failure(kUserNumber));
    expect_quiet();
  }
  EXPECT_TRUE(log.has("denied exec sftp-server"));
}

TEST_F(BridgeRequests, AllowsNoTerminalWhenSomethingRuns) {
  // Dropbear gives one, and what is then sent to the command would pass for what is typed.
  for (const bool answered : {false, true}) {
    restart(allow_all());
    const ChannelNumber number = open_session();
    passes(exec(number, "cat"), exec(kTargetNumber, "cat"));
    if (answered) {
      target_sends(success(number));
      user.next();
    }
    user_sends(pty(number));
    if (!answered) {
      target_sends(success(number));
      user.next();
    }
    EXPECT_EQ(user.next(), failure(kUserNumber));
    expect_quiet();
    EXPECT_FALSE(bridge->channels().at(0).pty);
    EXPECT_TRUE(log.has("denied pty-req xterm-256color"));
  }
}

struct RefusedStart {
  const char* what;
  Bytes (*make)(std::uint32_t);
  const char* line;
};

TEST_F(BridgeRequests, TellsARefusedUserWhyOnStderr) {
  const RefusedStart cases[] = {
      {"shell", [](std::uint32_t n) { return shell(n); },
       "bastion: alice may not open a shell as deploy on web1; allowed: sftp.   (7q2m)"},
      {"exec", [](std::uint32_t n) { return exec(n, "id"); },
       "bastion: alice may not run commands as deploy on web1; allowed: sftp.   (7q2m)"},
      {"subsystem", [](std::uint32_t n) { return subsystem(n, "netconf"); },
       "bastion: alice may not use netconf as deploy on web1; allowed: sftp.   (7q2m)"},
  };
  Permissions sftp_only;
  sftp_only.subsystems = {"sftp"};
  sftp_only.pty = true;
  for (const bool with_pty : {false, true}) {
    for (const RefusedStart& refused : cases) {
      restart(sftp_only);
      const ChannelNumber number = open_session();
      if (with_pty) {
        user_sends(pty(number));
        target.next();
      }
      user_sends(refused.make(number));
      if (with_pty) {
        expect_quiet();  // the target's answer about the terminal comes first
        target_sends(success(number));
        EXPECT_EQ(user.next(), success(kUserNumber));
      }
      EXPECT_EQ(user.next(), success(kUserNumber)) << refused.what;
      EXPECT_EQ(read_stderr(user.next()), std::string(refused.line) + (with_pty ? "\r\n" : "\n"));
      EXPECT_EQ(user.next(), exit_status(kUserNumber, 255));
      EXPECT_EQ(user.next(), eof(kUserNumber));
      EXPECT_EQ(user.next(), close(kUserNumber));
      EXPECT_EQ(target.next(), close(kTargetNumber));
      expect_quiet();
      // What crossed the close is dropped; then both sides close.
      user_sends(data(number, "ls\n"));
      user_sends(shell(number));
      target_sends(data(number, "motd"));
      expect_quiet();
      user_sends(close(number));
      target_sends(close(number));
      expect_quiet();
      EXPECT_EQ(bridge->num_channels(), 0U);
      EXPECT_FALSE(log.has("finished"));
    }
  }
}

TEST_F(BridgeRequests, RefusesWithoutAnAnswerThatWasNotWanted) {
  restart(Permissions{});
  const ChannelNumber number = open_session();
  user_sends(shell(number, false));
  EXPECT_EQ(read_stderr(user.next()),
            "bastion: alice may not open a shell as deploy on web1.   (7q2m)\n");
  EXPECT_EQ(user.next()[0], kMsgChannelRequest);
}

TEST_F(BridgeRequests, RefusesEvenWhereTheTargetClosesBeforeItAnswers) {
  Permissions only_pty;
  only_pty.pty = true;
  restart(only_pty);
  const ChannelNumber number = open_session();
  user_sends(pty(number));
  user_sends(shell(number));
  target.next();
  target_sends(close(number));
  EXPECT_EQ(user.next(), failure(kUserNumber));
  EXPECT_EQ(user.next(), success(kUserNumber));
  EXPECT_NE(read_stderr(user.next()).find("may not open a shell"), std::string::npos);
  EXPECT_EQ(user.next(), exit_status(kUserNumber, 255));
  EXPECT_EQ(user.next(), eof(kUserNumber));
  EXPECT_EQ(user.next(), close(kUserNumber));
  EXPECT_EQ(target.next(), close(kTargetNumber));
  user_sends(close(number));
  EXPECT_EQ(bridge->num_channels(), 0U);
}

TEST_F(BridgeRequests, CutsTheReasonOffWhereTheUsersWindowEnds) {
  restart(Permissions{});
  const ChannelNumber number = open_session(20, kPacket);
  user_sends(shell(number));
  EXPECT_EQ(user.next(), success(kUserNumber));
  EXPECT_EQ(read_stderr(user.next()), "bastion: alice may n");
  EXPECT_TRUE(user.empty()) << "the rest waits for the window";
  user_sends(adjust(number, 1000));
  EXPECT_NE(read_stderr(user.next()).find("ot open a shell"), std::string::npos);
  EXPECT_EQ(user.next(), exit_status(kUserNumber, 255));
}

TEST_F(BridgeRequests, AnswersInTheOrderOfTheRequestsWhoeverAnswers) {
  Permissions some = allow_all();
  some.x11 = false;
  some.env = {"LANG"};
  restart(some);
  const ChannelNumber number = open_session();
  user_sends(pty(number));                                     // the target answers
  user_sends(x11_req(number));                                 // we refuse
  user_sends(env(number, "LANG", "C", true));                  // the target
  user_sends(env(number, "HOME", "/", true));                  // we
  user_sends(request(number, "x@y", true));                    // we
  user_sends(shell(number));                                   // the target
  user_sends(request(number, "keepalive@openssh.com", true));  // we
  EXPECT_TRUE(user.empty());
  EXPECT_EQ(target.messages.size(), 3U);
  target_sends(success(number));
  EXPECT_EQ(user.next(), success(kUserNumber));
  EXPECT_EQ(user.next(), failure(kUserNumber));
  EXPECT_TRUE(user.empty());
  target_sends(failure(number));
  EXPECT_EQ(user.next(), failure(kUserNumber));
  EXPECT_EQ(user.next(), failure(kUserNumber));
  EXPECT_EQ(user.next(), failure(kUserNumber));
  EXPECT_TRUE(user.empty());
  target_sends(success(number));
  EXPECT_EQ(user.next(), success(kUserNumber));
  EXPECT_EQ(user.next(), failure(kUserNumber));
  EXPECT_TRUE(user.empty());
}

TEST_F(BridgeRequests, sec_064_DropsAnswersThatNobodyAskedFor) {
  const ChannelNumber number = open_session();
  for (int i = 0; i < 10'000; ++i) {
    user_sends(success(number));
    user_sends(failure(number));
    target_sends(success(number));
    target_sends(failure(number));
  }
  expect_quiet();
  start_shell(number);
}

TEST_F(BridgeRequests, BoundsTheRequestsThatWaitForAnAnswer) {
  const ChannelNumber number = open_session();
  for (std::size_t i = 0; i < kChannelRepliesMax; ++i) {
    user_sends(request(number, "break", true).u32(1));
  }
  expect_error(Leg::kDownstream, request(number, "break", true).u32(1), ErrorCode::kLimit);
  expect_error(Leg::kDownstream, request(number, "unknown", true), ErrorCode::kLimit);
}

TEST_F(BridgeRequests, RefusesUnknownTypesAndNeverPassesThem) {
  const ChannelNumber number = open_session();
  for (const char* name : {"", "x@y", "Shell", "shell ", "subsystem@x", "auth-agent-req@other",
                           "exit-status@x", "zmodem"}) {
    user_sends(request(number, name, true).text("anything").u32(1));
    EXPECT_EQ(user.next(), failure(kUserNumber)) << name;
    user_sends(request(number, name, false).text("anything"));
    target_sends(request(number, name, true).text("anything"));
    EXPECT_EQ(target.next(), failure(kTargetNumber)) << name;
    target_sends(request(number, name, false));
    expect_quiet();
  }
}

TEST_F(BridgeRequests, RefusesRequestsOfTheWrongSide) {
  const ChannelNumber number = open_session();
  const auto want = [](Bytes message, std::size_t offset) {
    message[offset] = 1;
    return message;
  };
  user_sends(want(exit_status(number, 0), 5 + 4 + 11));
  EXPECT_EQ(user.next(), failure(kUserNumber));
  user_sends(exit_signal(number, "TERM"));
  user_sends(request(number, "xon-xoff", true).u8(1));
  EXPECT_EQ(user.next(), failure(kUserNumber));
  for (const Bytes& message : {shell(number), exec(number, "id"), subsystem(number, "sftp"),
                               pty(number), x11_req(number), env(number, "LANG", "C", true)}) {
    target_sends(message);
    EXPECT_EQ(target.next(), failure(kTargetNumber));
  }
  target_sends(signal(number, "INT"));
  expect_quiet();
  EXPECT_FALSE(bridge->channels().at(0).exit_status);
}

TEST_F(BridgeRequests, RelaysTheTargetsRequests) {
  const ChannelNumber number = open_session();
  target_sends(request(number, "xon-xoff", false).u8(1));
  EXPECT_EQ(user.next(), Bytes(request(kUserNumber, "xon-xoff", false).u8(1)));
  target_sends(exit_signal(number, "KILL"));
  EXPECT_EQ(user.next(), exit_signal(kUserNumber, "KILL"));
  target_sends(request(number, "eow@openssh.com", false));
  EXPECT_EQ(user.next(), Bytes(request(kUserNumber, "eow@openssh.com", false)));
  expect_quiet();
}

TEST_F(BridgeRequests, AnswersKeepalivesPerLeg) {
  const ChannelNumber number = open_session();
  target_sends(request(number, "keepalive@openssh.com", true));
  EXPECT_EQ(target.next(), failure(kTargetNumber));
  user_sends(request(number, "keepalive@openssh.com", true));
  EXPECT_EQ(user.next(), failure(kUserNumber));
  expect_quiet();
  EXPECT_EQ(log.lines.size(), 1U) << "nothing to log but the channel";
}

TEST_F(BridgeRequests, RefusesEveryRequestOnAChannelThatIsNoSession) {
  const ChannelNumber number = open(open_tcpip("direct-tcpip", kUserNumber, "db", 1));
  for (const Bytes& message : {shell(number), exec(number, "id"), pty(number)}) {
    user_sends(message);
    EXPECT_EQ(user.next(), failure(kUserNumber));
    expect_quiet();
  }
  target_sends(exit_status(number, 1));
  expect_quiet();
}

TEST_F(BridgeRequests, sec_066_EndsAPeerWhoseRequestsAreCutShort) {
  const std::vector<std::pair<Leg, Bytes>> messages = {
      {Leg::kDownstream, pty(0)},
      {Leg::kDownstream, shell(0)},
      {Leg::kDownstream, exec(0, "id")},
      {Leg::kDownstream, subsystem(0, "sftp")},
      {Leg::kDownstream, env(0, "LANG", "C")},
      {Leg::kDownstream, x11_req(0)},
      {Leg::kDownstream, signal(0, "INT")},
      {Leg::kDownstream, request(0, "window-change", false).u32(1).u32(1).u32(1).u32(1)},
      {Leg::kDownstream, request(0, "break", false).u32(1)},
      {Leg::kDownstream, request(0, "auth-agent-req@openssh.com", false)},
      {Leg::kUpstream, exit_status(0, 1)},
      {Leg::kUpstream, exit_signal(0, "TERM")},
      {Leg::kUpstream, request(0, "xon-xoff", false).u8(1)},
  };
  open_session();
  for (const auto& [leg, message] : messages) {
    for (std::size_t len = 1; len < message.size(); ++len) {
      expect_error(leg, Bytes(message.begin(), message.begin() + static_cast<long>(len)));
    }
    Bytes longer = message;
    longer.push_back(0);
    expect_error(leg, longer);
    expect_quiet();
  }
}

TEST_F(BridgeRequests, sec_096_PassesOnlyVariablesThatAreListedAndHarmless) {
  Permissions some = allow_all();
  some.env = {"LANG", "LC_*", "GIT_*", "LD_*", "*PATH"};
  restart(some);
  const ChannelNumber number = open_session();
  for (const char* name : {"LANG", "LC_ALL", "LC_", "_PATH"}) {
    user_sends(env(number, name, "x"));
    EXPECT_EQ(target.next(), env(kTargetNumber, name, "x"));
  }
  for (const char* name : {"TERM", "LD_PRELOAD", "ld_preload", "GIT_SSH_COMMAND", "LC_A=B", "LC_ ",
                           "", "1LANG", "LC_\xc3\xa9", "LANGUAGE", "PATH", "LC_-"}) {
    user_sends(env(number, name, "() { :;}; echo owned", true));
    EXPECT_EQ(user.next(), failure(kUserNumber)) << name;
    expect_quiet();
  }
  user_sends(env(number, "LC_" + std::string(kEnvNameBytesMax - 3, 'X'), "x"));
  EXPECT_FALSE(target.empty());
  target.messages.clear();
  user_sends(env(number, "LC_" + std::string(kEnvNameBytesMax - 2, 'X'), "x"));
  user_sends(env(number, "LC_X", std::string(kEnvValueBytesMax + 1, 'x')));
  user_sends(env(number, "LC_X", std::string_view("a\0b", 3)));
  expect_quiet();
  user_sends(env(number, "LC_X", std::string(kEnvValueBytesMax, 'x')));
  EXPECT_FALSE(target.empty());
}

TEST_F(BridgeRequests, sec_096_CountsVariables) {
  const ChannelNumber number = open_session();
  for (std::size_t i = 0; i < kEnvCountMax; ++i) {
    user_sends(env(number, "LC_A", "x"));
    target.next();
  }
  user_sends(env(number, "LC_A", "x", true));
  EXPECT_EQ(user.next(), failure(kUserNumber));
  expect_quiet();
}

TEST_F(BridgeRequests, RefusesWhatThePolicyDoesNotAllow) {
  restart(Permissions{});
  const ChannelNumber number = open_session();
  for (const Bytes& message :
       {pty(number), x11_req(number), Bytes(request(number, "auth-agent-req@openssh.com", true)),
        env(number, "LANG", "C", true)}) {
    user_sends(message);
    EXPECT_EQ(user.next(), failure(kUserNumber));
    expect_quiet();
  }
}

TEST_F(BridgeRequests, RefusesATerminalTypeThatIsNoName) {
  const ChannelNumber number = open_session();
  for (const std::string& term :
       {std::string("x\x1b[2J"), std::string(257, 'x'), std::string("a b")}) {
    user_sends(request(number, "pty-req", true).text(term).u32(80).u32(24).u32(0).u32(0).text(""));
    EXPECT_EQ(user.next(), failure(kUserNumber));
  }
  expect_quiet();
}

TEST_F(BridgeRequests, AllowsExactlyTheSubsystemsThatAreNamed) {
  Permissions some;
  some.subsystems = {"sftp", "backup"};
  for (const char* name : {"sftp", "backup"}) {
    restart(some);
    const ChannelNumber number = open_session();
    passes(subsystem(number, name), subsystem(kTargetNumber, name));
  }
  for (const char* name : {"sftp2", "SFTP", "", "sftp "}) {
    restart(some);
    user_sends(subsystem(open_session(), name));
    EXPECT_EQ(user.next(), success(kUserNumber));
    EXPECT_EQ(user.next()[0], kMsgChannelExtendedData) << name;
    EXPECT_EQ(target.next(), close(kTargetNumber));
  }
}

TEST_F(BridgeRequests, ReplacesWhatIsAskedForByTheForcedCommand) {
  Permissions forced = allow_all();
  forced.force_command = "/usr/local/bin/backup --read-only";
  for (const Bytes& message : {shell(0), exec(0, "rm -rf /"), subsystem(0, "sftp")}) {
    restart(forced);
    open_session();
    passes(message, exec(kTargetNumber, forced.force_command));
    target_sends(success(0));
    EXPECT_EQ(user.next(), success(kUserNumber));
    EXPECT_NE(log.lines.at(1).find(" forced"), std::string::npos) << log.lines.at(1);
  }
}

TEST_F(BridgeRequests, ReplacesItWithoutAnAnswerToo) {
  Permissions forced = allow_all();
  forced.force_command = "true";
  restart(forced);
  open_session();
  passes(shell(0, false), exec(kTargetNumber, "true"));
  target_sends(success(0));
  expect_quiet();
}

TEST_F(BridgeRequests, sec_071_RefusesSignalsWithAForcedCommand) {
  Permissions forced = allow_all();
  forced.force_command = "true";
  restart(forced);
  const ChannelNumber number = open_session();
  user_sends(signal(number, "KILL"));
  user_sends(request(number, "break", true).u32(1));
  EXPECT_EQ(user.next(), failure(kUserNumber));
  expect_quiet();
  EXPECT_TRUE(log.has("denied signal KILL"));
}

TEST_F(BridgeRequests, RefusesAForcedCommandWhereNothingMayRun) {
  Permissions forced;
  forced.force_command = "true";
  forced.subsystems = {"sftp"};
  restart(forced);
  for (const bool sftp : {false, true}) {
    const ChannelNumber number = open_session();
    user_sends(sftp ? subsystem(number, "sftp") : shell(number));
    EXPECT_EQ(user.next(), success(kUserNumber));
    EXPECT_EQ(target.next(), close(kTargetNumber)) << "not the command, by way of what is allowed";
    restart(forced);
  }
}

TEST_F(BridgeRequests, PutsTheNoticeBehindTheAnswerAndBeforeTheOutput) {
  log.notice = "This session is recorded (7q2m).";
  const ChannelNumber number = open_session();
  start_shell(number);
  EXPECT_TRUE(log.notice_sent);
  target_sends(data(number, "$ "));
  EXPECT_EQ(read_stderr(user.next()), "This session is recorded (7q2m).\n");
  EXPECT_EQ(user.next(), data(kUserNumber, "$ "));
}

TEST_F(BridgeRequests, TellsItsOwnerOfABoundedNumber) {
  const ChannelNumber number = open_session();
  for (int i = 0; i < 1000; ++i) {
    user_sends(request(number, "unknown", false));
  }
  EXPECT_EQ(log.lines.size(), 1U + kToldRequestsMax);
  EXPECT_EQ(bridge->channels().at(0).num_untold, 1000U - kToldRequestsMax);
}

TEST_F(BridgeRequests, TellsWhatRunsWhateverCameBefore) {
  const ChannelNumber number = open_session();
  for (int i = 0; i < 100; ++i) {
    user_sends(request(number, "unknown", false));
  }
  user_sends(pty(number));
  user_sends(request(number, "auth-agent-req@openssh.com", true));
  user_sends(exec(number, "not to be seen"));
  EXPECT_TRUE(log.has("allowed pty-req xterm-256color"));
  EXPECT_TRUE(log.has("allowed auth-agent-req@openssh.com "));
  EXPECT_TRUE(log.has("allowed exec not to be seen"));
}

}  // namespace
}  // namespace bastion::proto
