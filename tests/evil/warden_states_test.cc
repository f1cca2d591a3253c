#include <gtest/gtest.h>

#include "tests/evil/attack.h"

/// Every message, by every sender, in every state of a session, against a table of its own: what
/// permits.h says is not looked at here.
namespace bastion::test {
namespace {

namespace ipc = daemon::ipc;
using daemon::PeerId;
using ipc::Type;

enum class State {
  kNoSession,      // header.session is 0
  kNever,          // an id that was never given
  kEnded,          // one whose session is over
  kForeignGate,    // keyed, at another gate
  kForeignWorker,  // adopted, at another worker
  kKeyed,
  kAuthenticated,
  kDialling,  // from here on at worker 0
  kConnected,
  kVerified,
  kMenu,
  kRefused,
};
constexpr std::array kStates = {State::kNoSession,     State::kNever,         State::kEnded,
                                State::kForeignGate,   State::kForeignWorker, State::kKeyed,
                                State::kAuthenticated, State::kDialling,      State::kConnected,
                                State::kVerified,      State::kMenu,          State::kRefused};

std::string user_name_of(State state) {
  switch (state) {
    case State::kMenu: return "alice";
    case State::kRefused: return "root@web1";
    default: return "deploy@web1";
  }
}

/// bring makes a session in a state.
Connection bring(World& world, State state) {
  Connection connection;
  switch (state) {
    case State::kNoSession:
      connection.exchange = world.exchange(ipc::Cookie{});
      connection.hash = hash_of(connection.exchange);
      return connection;
    case State::kNever:
      connection = world.connect();
      connection.session ^= 0xff'0000'0000;
      return connection;
    case State::kEnded:
      connection = world.connect();
      world.say(kGate0, connection.session, ipc::ConnectionGone{"left"});
      return connection;
    case State::kForeignGate: return world.connect(kGate1);
    case State::kForeignWorker: {
      // The least loaded worker takes it, and gate 1 brings it.
      const Connection busy = world.adopted("alice");
      world.warden.add_peer(kWorker1, 102);
      connection = world.connect(kGate1);
      EXPECT_TRUE(world.log_in(connection, "alice"));
      world.hand_over(connection);
      EXPECT_TRUE(world.last<ipc::Adopt>(kWorker1));
      return connection;
    }
    case State::kKeyed: return world.connect();
    case State::kAuthenticated:
      connection = world.connect();
      EXPECT_TRUE(world.log_in(connection, "deploy@web1"));
      return connection;
    case State::kVerified: return world.verified("deploy@web1");
    default:
      connection = world.adopted(user_name_of(state));
      if (state == State::kConnected) {
        world.connect_target();
      }
      return connection;
  }
}

enum class Outcome { kServed, kRefused, kEnds };

bool at_worker_0(State state) { return state >= State::kDialling; }

/// expected is docs/architecture.md, "Who may send what".
Outcome expected(Type type, PeerId from, State state) {
  if (state == State::kNever || state == State::kEnded) {
    return Outcome::kRefused;
  }
  bool allowed = false;
  if (from == kGate0) {
    switch (type) {
      case Type::kTakeCookies:
      case Type::kSignFirstExchange: allowed = state == State::kNoSession; break;
      case Type::kKeyQuery:
      case Type::kKeyVerify: allowed = state == State::kKeyed; break;
      case Type::kHandOver: allowed = state == State::kAuthenticated; break;
      case Type::kConnectionGone:
        allowed = state == State::kKeyed || state == State::kAuthenticated;
        break;
      default: break;
    }
  } else if (from == kWorker0) {
    switch (type) {
      case Type::kSignRekey:
      case Type::kSessionEvent:
      case Type::kSessionStats:
      case Type::kSessionEnded: allowed = at_worker_0(state); break;
      case Type::kWorkerStats: allowed = state == State::kNoSession; break;
      case Type::kAskListing:
      case Type::kOpenTunnel: allowed = state == State::kMenu; break;
      case Type::kTargetVerify: allowed = state == State::kConnected; break;
      case Type::kTargetSign: allowed = state == State::kVerified; break;
      default: break;
    }
  }
  return allowed ? Outcome::kServed : Outcome::kEnds;
}

class EveryMessage : public ::testing::TestWithParam<State> {};

TEST_P(EveryMessage, IsServedWhereItIsDueAndNowhereElse) {
  const State state = GetParam();
  for (const PeerId from : {kGate0, kWorker0, kResolver}) {
    for (const Type type : kTypes) {
      SCOPED_TRACE(std::string(ipc::type_name(type)) + " from " +
                   std::to_string(static_cast<int>(from.role)));
      World world;
      const Connection connection = bring(world, state);
      const ipc::SessionId session = state == State::kNoSession ? 0 : connection.session;
      Attack attack = best_message(world, type, from, connection, session, user_name_of(state));
      const Gains before = gains(world);
      const std::size_t sessions = world.warden.num_sessions();
      ASSERT_TRUE(world.io.ended.empty());
      world.deliver(from, std::move(attack.packet), std::move(attack.fd));

      const Outcome outcome = expected(type, from, state);
      EXPECT_EQ(world.was_ended(from), outcome == Outcome::kEnds);
      EXPECT_LE(world.io.ended.size(), 1U) << "nobody else is ended";
      if (outcome == Outcome::kRefused) {
        EXPECT_EQ(world.refusal(9000), "");
        EXPECT_EQ(world.warden.num_sessions(), sessions);
      }
      if (outcome != Outcome::kServed) {
        EXPECT_EQ(gains(world), before);
      } else if (type == Type::kTargetVerify || type == Type::kTargetSign ||
                 type == Type::kKeyVerify || type == Type::kSignRekey || type == Type::kHandOver ||
                 type == Type::kSignFirstExchange) {
        EXPECT_NE(gains(world), before) << "the table is not so strict that nothing works";
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(InEveryState, EveryMessage, ::testing::ValuesIn(kStates),
                         [](const auto& each) {
                           return std::to_string(static_cast<int>(each.param));
                         });

TEST(EveryMessageTwice, OnceOnlyMessagesEndTheirSenderTheSecondTime) {
  {
    World world;
    const Connection connection = world.adopted("deploy@web1");
    const Gains before = gains(world);
    world.say(kGate0, connection.session, ipc::HandOver{SecretBytes(1), SecretBytes()});
    EXPECT_TRUE(world.was_ended(kGate0));
    EXPECT_EQ(gains(world), before);
    EXPECT_EQ(world.warden.num_sessions(), 1U) << "the session is the worker's by now";
  }
  {
    World world;
    const Connection connection = world.verified("deploy@web1");
    const Gains before = gains(world);
    world.verify_target(connection, world.target_exchange());
    EXPECT_TRUE(world.was_ended(kWorker0));
    EXPECT_EQ(gains(world), before);
  }
  {
    World world;
    const Connection connection = world.connect();
    ASSERT_TRUE(world.log_in(connection, "deploy@web1"));
    EXPECT_FALSE(world.log_in(connection, "deploy@web2"));
    EXPECT_TRUE(world.was_ended(kGate0));
    EXPECT_EQ(world.warden.num_sessions(), 0U);
  }
  {
    World world;
    const Connection connection = world.adopted("deploy@web1");
    world.say(kWorker0, connection.session, ipc::SessionEnded{"", 0, 0});
    const std::uint32_t again =
        world.say(kWorker0, connection.session, ipc::SessionEnded{"", 0, 0});
    EXPECT_EQ(world.refusal(again), "");
    EXPECT_FALSE(world.was_ended(kWorker0));
  }
}

TEST(TargetRefused, NothingMoreIsSignedAfterAWrongTarget) {
  World world;
  const Connection connection = world.adopted("deploy@web1");
  const auto target_end = world.connect_target();
  world.verify_target(connection, world.target_exchange(Keys::get().mallory));
  const Gains before = gains(world);
  world.verify_target(connection, world.target_exchange());
  EXPECT_TRUE(world.was_ended(kWorker0)) << "one try, and the right key comes too late";
  EXPECT_EQ(gains(world), before);
}

}  // namespace
}  // namespace bastion::test
