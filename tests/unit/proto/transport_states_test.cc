// Every message number in every state of the transport, in both roles (SECURITY guarantee 5): the
// table is compared with lists written here by hand, and the transport with the table.
#include <gtest/gtest.h>

#include <set>

#include "proto/transport.h"
#include "tests/support/raw_peer.h"

namespace bastion::proto {
namespace {

using test::Duel;
using test::Leg;

using Numbers = std::set<int>;

Numbers with_verdict(Verdict verdict, Role role, Phase phase, PeerKex kex, bool strict) {
  Numbers numbers;
  for (int message = 0; message < 256; ++message) {
    if (permitted(role, phase, kex, strict, static_cast<std::uint8_t>(message)) == verdict) {
      numbers.insert(message);
    }
  }
  return numbers;
}

TEST(MessagePermits, AStrictFirstExchangeAllowsNothingElse) {
  for (const Role role : {Role::kServer, Role::kClient}) {
    const int method = role == Role::kServer ? 30 : 31;
    const auto allowed = [&](PeerKex kex) {
      EXPECT_TRUE(with_verdict(Verdict::kDeliver, role, Phase::kInitialKex, kex, true).empty());
      EXPECT_TRUE(
          with_verdict(Verdict::kUnimplemented, role, Phase::kInitialKex, kex, true).empty());
      return with_verdict(Verdict::kTransport, role, Phase::kInitialKex, kex, true);
    };
    EXPECT_EQ(allowed(PeerKex::kNone), (Numbers{1, 20}));
    EXPECT_EQ(allowed(PeerKex::kMethod), (Numbers{1, method}));
    EXPECT_EQ(allowed(PeerKex::kNewKeys), (Numbers{1, 21}));
  }
}

const Numbers kConnection = {80, 81, 82, 90, 91, 92, 93, 94, 95, 96, 97, 98, 99, 100};

TEST(MessagePermits, OtherExchangesAllowWhatMayAlwaysBeSaid) {
  for (const Role role : {Role::kServer, Role::kClient}) {
    const int method = role == Role::kServer ? 30 : 31;
    for (const Phase phase :
         {Phase::kInitialKex, Phase::kService, Phase::kAuth, Phase::kAuthenticated}) {
      for (const bool strict : {false, true}) {
        if (strict && phase == Phase::kInitialKex) {
          continue;
        }
        EXPECT_EQ(with_verdict(Verdict::kTransport, role, phase, PeerKex::kMethod, strict),
                  (Numbers{1, 2, 3, 4, method}));
        EXPECT_EQ(with_verdict(Verdict::kTransport, role, phase, PeerKex::kNewKeys, strict),
                  (Numbers{1, 2, 3, 4, 21}));
        for (const PeerKex kex : {PeerKex::kMethod, PeerKex::kNewKeys}) {
          // Old AsyncSSH sends data in a rekey; nothing but that, and nobody who is not logged in.
          EXPECT_EQ(with_verdict(Verdict::kDeliver, role, phase, kex, strict),
                    phase == Phase::kAuthenticated ? kConnection : Numbers{});
          EXPECT_TRUE(with_verdict(Verdict::kUnimplemented, role, phase, kex, strict).empty());
        }
      }
    }
  }
}

TEST(MessagePermits, DeliversOnlyWhatThePhaseIsFor) {
  const auto delivered = [](Role role, Phase phase) {
    return with_verdict(Verdict::kDeliver, role, phase, PeerKex::kNone, true);
  };
  EXPECT_EQ(delivered(Role::kServer, Phase::kInitialKex), Numbers{});
  EXPECT_EQ(delivered(Role::kServer, Phase::kService), Numbers{5});
  EXPECT_EQ(delivered(Role::kServer, Phase::kAuth), (Numbers{5, 50, 61}));
  EXPECT_EQ(delivered(Role::kServer, Phase::kAuthenticated), kConnection);
  EXPECT_EQ(delivered(Role::kClient, Phase::kInitialKex), Numbers{});
  EXPECT_EQ(delivered(Role::kClient, Phase::kService), Numbers{6});
  EXPECT_EQ(delivered(Role::kClient, Phase::kAuth), (Numbers{6, 51, 52, 53, 60}));
  EXPECT_EQ(delivered(Role::kClient, Phase::kAuthenticated), kConnection);
}

TEST(MessagePermits, HandlesItselfOnlyWhatBelongsToTheTransport) {
  const auto handled = [](Role role, Phase phase) {
    return with_verdict(Verdict::kTransport, role, phase, PeerKex::kNone, true);
  };
  EXPECT_EQ(handled(Role::kServer, Phase::kService), (Numbers{1, 2, 3, 4, 7, 20, 192, 193}));
  EXPECT_EQ(handled(Role::kServer, Phase::kAuth), (Numbers{1, 2, 3, 4, 20, 192, 193}));
  EXPECT_EQ(handled(Role::kServer, Phase::kAuthenticated), (Numbers{1, 2, 3, 4, 20, 50, 192, 193}));
  EXPECT_EQ(handled(Role::kClient, Phase::kService), (Numbers{1, 2, 3, 4, 7, 20, 192, 193}));
  EXPECT_EQ(handled(Role::kClient, Phase::kAuth), (Numbers{1, 2, 3, 4, 7, 20, 192, 193}));
  EXPECT_EQ(handled(Role::kClient, Phase::kAuthenticated), (Numbers{1, 2, 3, 4, 20, 192, 193}));
}

TEST(MessagePermits, AnswersUnimplementedOnlyToAnAuthenticatedPeer) {
  for (const Role role : {Role::kServer, Role::kClient}) {
    for (const Phase phase : {Phase::kInitialKex, Phase::kService, Phase::kAuth}) {
      EXPECT_TRUE(with_verdict(Verdict::kUnimplemented, role, phase, PeerKex::kNone, true).empty());
    }
    const Numbers unknown =
        with_verdict(Verdict::kUnimplemented, role, Phase::kAuthenticated, PeerKex::kNone, true);
    EXPECT_TRUE(unknown.contains(83));
    EXPECT_TRUE(unknown.contains(101));
    EXPECT_TRUE(unknown.contains(255));
    for (const int never : {0, 5, 6, 7, 21, 30, 31, 49, 51, 52, 53, 60, 61, 79}) {
      EXPECT_FALSE(unknown.contains(never)) << never;
    }
  }
}

/// State is one state that a peer can bring the transport into.
struct State {
  Role role;
  Phase phase;
  PeerKex kex;
  bool strict;
  bool ours_sent;  // outside of the peer's part of an exchange, we have begun one
};

std::vector<State> all_states() {
  std::vector<State> states;
  for (const Role role : {Role::kServer, Role::kClient}) {
    for (const bool strict : {true, false}) {
      for (const PeerKex kex : {PeerKex::kNone, PeerKex::kMethod, PeerKex::kNewKeys}) {
        for (const Phase phase :
             {Phase::kInitialKex, Phase::kService, Phase::kAuth, Phase::kAuthenticated}) {
          states.push_back({role, phase, kex, strict, false});
        }
      }
      states.push_back({role, Phase::kAuthenticated, PeerKex::kNone, strict, true});
    }
  }
  return states;
}

/// reach leads a fresh transport into the state.
std::unique_ptr<Duel> reach(const State& state) {
  auto duel = std::make_unique<Duel>(state.role);
  duel->peer.strict = state.strict;
  duel->ident();
  if (state.phase != Phase::kInitialKex) {
    duel->kexinit();
    duel->method();
    duel->newkeys();
  }
  if (state.phase == Phase::kAuth) {
    duel->to_auth();
  } else if (state.phase == Phase::kAuthenticated) {
    duel->to_authenticated();
  }
  if (state.ours_sent) {
    duel->leg->request_rekey({});
    duel->exchange();
  }
  if (state.kex != PeerKex::kNone) {
    duel->kexinit();
  }
  if (state.kex == PeerKex::kNewKeys) {
    duel->method();
  }
  duel->leg.delivered.clear();
  duel->peer.got.clear();
  return duel;
}

/// say sends a well-formed message of the number, as far as the state can have one.
void say(Duel& duel, std::uint8_t message) {
  Writer writer;
  writer.u8(message);
  switch (message) {
    case kMsgDisconnect: writer.u32(11).text("bye").text(""); break;
    case kMsgExtInfo: writer.u32(0); break;
    case kMsgKexInit:
      duel.peer.send_kexinit();
      duel.exchange();
      return;
    case kMsgKexMethodInit:
    case kMsgKexMethodReply:
      if (permitted(duel.role, duel.leg->phase(), PeerKex::kMethod, true, message) ==
              Verdict::kTransport &&
          duel.peer.got.empty()) {
        duel.peer.packet(duel.peer.make_method());
        duel.exchange();
        return;
      }
      writer.string(Bytes(32, 9));
      break;
    case kMsgNewKeys: break;
    default: writer.text("ssh-userauth"); break;
  }
  duel.peer.packet(writer.view());
  duel.exchange();
}

class TransportStates : public testing::TestWithParam<State> {};

TEST_P(TransportStates, EveryMessageGetsItsVerdict) {
  const State& state = GetParam();
  // A strict peer is only known by its KEXINIT.
  const bool strict_known =
      state.strict && (state.phase != Phase::kInitialKex || state.kex != PeerKex::kNone);
  for (int number = 0; number < 256; ++number) {
    const auto message = static_cast<std::uint8_t>(number);
    SCOPED_TRACE(number);
    const auto duel = reach(state);
    ASSERT_FALSE(duel->leg.error.has_value()) << duel->leg.error->text;
    ASSERT_EQ(duel->leg->phase(), state.phase);
    const std::uint32_t seq = duel->peer.next_seq();
    // make_method needs an exchange that has got as far.
    if ((message == 30 || message == 31) && state.kex != PeerKex::kMethod) {
      duel->peer.got.push_back({0});
    }
    say(*duel, message);
    const Verdict verdict = permitted(state.role, state.phase, state.kex, strict_known, message);
    if (verdict == Verdict::kRefused) {
      ASSERT_TRUE(duel->leg.error.has_value());
      EXPECT_EQ(duel->leg.error->code, ErrorCode::kProtocol);
      EXPECT_EQ(duel->leg.error->detail, number);
    } else {
      ASSERT_FALSE(duel->leg.error.has_value()) << duel->leg.error->text;
    }
    ASSERT_EQ(duel->leg.delivered.size(), verdict == Verdict::kDeliver ? 1u : 0u);
    if (verdict == Verdict::kDeliver) {
      EXPECT_EQ(duel->leg.delivered[0][0], message);
    }
    ASSERT_EQ(duel->peer.has_got(kMsgUnimplemented), verdict == Verdict::kUnimplemented);
    if (verdict == Verdict::kUnimplemented) {
      EXPECT_EQ(load_u32(duel->peer.got.back().data() + 1), seq);
    }
    EXPECT_FALSE(duel->peer.broken);
  }
}
INSTANTIATE_TEST_SUITE_P(All, TransportStates, testing::ValuesIn(all_states()));

}  // namespace
}  // namespace bastion::proto
