// Rekeying, and sessions that move: in any direction, at any moment, under load (SECURITY 38, 43).
#include <gtest/gtest.h>

#include "proto/transport.h"
#include "tests/support/raw_peer.h"

namespace bastion::proto {
namespace {

using test::channel_data;
using test::Duel;
using test::Leg;
using test::TestRandom;
using test::TransportPair;

constexpr std::int64_t kSecond = kNsPerSecond;

std::uint32_t number_of(const Bytes& message) { return load_u32(message.data() + 1); }

/// expect_in_order: `leg` has received the messages 0…count-1, whole.
void expect_in_order(const Leg& leg, std::uint32_t count) {
  ASSERT_FALSE(leg.error.has_value()) << leg.error->text;
  ASSERT_EQ(leg.delivered.size(), count);
  for (std::uint32_t i = 0; i < count; ++i) {
    ASSERT_EQ(number_of(leg.delivered[i]), i);
    ASSERT_EQ(leg.delivered[i], channel_data(i, i % 97));
  }
}

struct LoadCase {
  const char* kex;
  const char* cipher;
  std::uint64_t seed;
};

class RekeyUnderLoad : public testing::TestWithParam<LoadCase> {};

TEST_P(RekeyUnderLoad, LosesAndReordersNothing) {
  const LoadCase& param = GetParam();
  auto server = test::server_options();
  auto client = test::client_options();
  server->algorithms.kex = client->algorithms.kex = {param.kex};
  server->algorithms.ciphers = client->algorithms.ciphers = {param.cipher};
  TransportPair pair(server, client);
  pair.log_in();
  TestRandom random(param.seed);
  std::uint32_t to_client = 0;
  std::uint32_t to_server = 0;
  for (int turn = 0; turn < 600; ++turn) {
    switch (random.below(6)) {
      case 0: pair.client->request_rekey({}); break;
      case 1: pair.server->request_rekey({}); break;
      case 2:
        pair.client->request_rekey({});
        pair.server->request_rekey({});
        break;
      default:
        for (std::size_t i = random.below(5); i > 0; --i) {
          pair.client->send(channel_data(to_server, to_server % 97));
          ++to_server;
        }
        for (std::size_t i = random.below(5); i > 0; --i) {
          pair.server->send(channel_data(to_client, to_client % 97));
          ++to_client;
        }
        break;
    }
    pair.piece_bytes = 1 + random.below(400);
    pair.step();
    if (turn % 50 == 0) {
      // Whatever is in flight stays in flight: either side may move between processes meanwhile.
      Leg& leg = random.below(2) == 0 ? pair.client : pair.server;
      if (!leg->in_key_exchange()) {
        const Status moved = leg.move_process();
        ASSERT_TRUE(moved.has_value()) << moved.error().text;
      }
    }
  }
  pair.piece_bytes = SIZE_MAX;
  pair.pump();
  expect_in_order(pair.client, to_client);
  expect_in_order(pair.server, to_server);
  EXPECT_GT(pair.client->num_exchanges(), 5u);
  EXPECT_EQ(pair.client->num_exchanges(), pair.server->num_exchanges());
  EXPECT_EQ(pair.client->queued_bytes(), 0u);
}
INSTANTIATE_TEST_SUITE_P(
    Kinds, RekeyUnderLoad,
    testing::Values(LoadCase{"curve25519-sha256", "aes128-gcm@openssh.com", 1},
                    LoadCase{"curve25519-sha256", "aes128-gcm@openssh.com", 2},
                    LoadCase{"curve25519-sha256", "chacha20-poly1305@openssh.com", 3},
                    LoadCase{"curve25519-sha256", "aes256-ctr", 4},
                    LoadCase{"mlkem768x25519-sha256", "aes256-gcm@openssh.com", 5}));

TEST(Rekey, AfterEveryPacketIsStillAConversation) {
  for (const bool forced : {false, true}) {
    auto server = test::server_options();
    auto client = test::client_options();
    server->algorithms.kex = client->algorithms.kex = {"curve25519-sha256"};
    server->rekey.packets = client->rekey.packets = 1;
    if (forced) {
      server->rekey.bytes = client->rekey.bytes = 1;
    }
    TransportPair pair(server, client);
    pair.log_in();
    for (std::uint32_t i = 0; i < 50; ++i) {
      pair.client->send(channel_data(i, i % 97));
      pair.server->send(channel_data(i, i % 97));
      if (!forced) {
        EXPECT_TRUE(pair.client->rekey_due({}) || pair.client->in_key_exchange());
        pair.client->request_rekey({});
      }
      // Both sides answer each end of an exchange with the next beginning, so it never gets quiet.
      for (int step = 0; step < 12; ++step) {
        pair.step();
      }
    }
    expect_in_order(pair.client, 50);
    expect_in_order(pair.server, 50);
    EXPECT_GE(pair.client->num_exchanges(), 50u);
  }
}

TEST(Rekey, KeepsTheFirstSessionId) {
  TransportPair pair;
  pair.log_in();
  const Bytes first = to_bytes(pair.client->session_id());
  pair.server->request_rekey({});
  pair.pump();
  EXPECT_EQ(pair.client->num_exchanges(), 2u);
  EXPECT_TRUE(equal(pair.client->session_id(), first));
  EXPECT_TRUE(equal(pair.server->session_id(), first));
  EXPECT_EQ(pair.client.num_reports(StepKind::kKeysChanged), 2u);
  EXPECT_EQ(pair.server.num_reports(StepKind::kKeysChanged), 2u);
}

TEST(Rekey, MaySwitchTheKeyExchangeMethod) {
  Duel duel(Role::kServer);
  duel.handshake();
  duel.to_authenticated();
  duel.peer.lists.kex = {"sntrup761x25519-sha512"};
  duel.peer.lists.ciphers = {"aes256-ctr"};
  duel.rekey();
  ASSERT_FALSE(duel.leg.error.has_value()) << duel.leg.error->text;
  EXPECT_EQ(duel.leg->algorithms().kex->name, "sntrup761x25519-sha512");
  EXPECT_EQ(duel.leg->algorithms().cipher_to_client->name, "aes256-ctr");
  duel.peer.packet(channel_data(1));
  duel.exchange();
  EXPECT_EQ(duel.leg.delivered.size(), 1u);
}

TEST(Rekey, DataGoesOnAndIsTakenEvenFromAsyncSsh) {
  for (const Role role : {Role::kServer, Role::kClient}) {
    Duel duel(role);
    duel.handshake();
    duel.to_authenticated();
    duel.leg->request_rekey({});
    EXPECT_TRUE(duel.leg->in_key_exchange());
    duel.peer.packet(channel_data(1));
    duel.exchange();
    EXPECT_EQ(duel.leg.delivered.size(), 1u);
    // What comes after its KEXINIT is against RFC 4253 7.1, and comes in order all the same.
    duel.kexinit();
    duel.peer.packet(channel_data(2));
    duel.exchange();
    duel.method();
    duel.peer.packet(channel_data(3));
    duel.newkeys();
    duel.peer.packet(channel_data(4));
    duel.exchange();
    ASSERT_FALSE(duel.leg.error.has_value()) << duel.leg.error->text;
    ASSERT_EQ(duel.leg.delivered.size(), 4u);
    EXPECT_EQ(duel.leg.delivered[3], channel_data(4));
  }
}

TEST(Rekey, OurDataWaitsAndIsCounted) {
  Duel duel(Role::kServer);
  duel.handshake();
  duel.to_authenticated();
  duel.leg->request_rekey({});
  duel.peer.receive(duel.leg.take_output());
  duel.peer.got.clear();
  EXPECT_EQ(duel.leg->queued_bytes(), 0u);
  for (std::uint32_t i = 0; i < 100; ++i) {
    duel.leg->send(channel_data(i, 1000));
  }
  EXPECT_TRUE(duel.leg->output().empty());
  EXPECT_GE(duel.leg->queued_bytes(), 100'000u);
  EXPECT_LE(duel.leg->queued_bytes(), 105'000u);
  duel.rekey();
  ASSERT_EQ(duel.peer.got.size(), 102u);  // REPLY, NEWKEYS and the data
  for (std::uint32_t i = 0; i < 100; ++i) {
    EXPECT_EQ(duel.peer.got[i + 2], channel_data(i, 1000));
  }
  EXPECT_EQ(duel.leg->queued_bytes(), 0u);
  EXPECT_EQ(duel.pool.num_lent(), 0u);
}

TEST(Rekey, DataOfOursLeavesBeforeThePeersNewkeys) {
  Duel duel(Role::kServer);
  duel.handshake();
  duel.to_authenticated();
  duel.peer.got.clear();
  duel.leg->request_rekey({});
  duel.leg->send(channel_data(1));
  duel.kexinit();
  duel.method();
  EXPECT_TRUE(duel.leg->in_key_exchange());
  EXPECT_EQ(duel.peer.got.back(), channel_data(1));
  duel.leg->send(channel_data(2));
  duel.exchange();
  EXPECT_EQ(duel.peer.got.back(), channel_data(2));
  duel.newkeys();
  EXPECT_FALSE(duel.leg->in_key_exchange());
}

TEST(Rekey, DisconnectDoesNotWait) {
  Duel duel(Role::kServer);
  duel.handshake();
  duel.to_authenticated();
  duel.leg->request_rekey({});
  duel.leg->send(channel_data(1));
  duel.leg->disconnect(DisconnectReason::kByApplication, "enough");
  duel.exchange();
  EXPECT_EQ(duel.peer.got.back()[0], kMsgDisconnect);
  EXPECT_EQ(duel.leg->queued_bytes(), 0u);
}

TEST(Rekey, IsDueByPacketsBytesAndTimeInEitherDirection) {
  for (const bool from_client : {true, false}) {
    auto server = test::server_options();
    server->rekey = {.bytes = 64 * 1024, .packets = 1000, .seconds = 100};
    TransportPair pair(server, test::client_options());
    pair.set_now({5 * kSecond});
    pair.log_in();
    Leg& sender = from_client ? pair.client : pair.server;
    EXPECT_FALSE(pair.server->rekey_due({5 * kSecond}));
    EXPECT_FALSE(pair.server->rekey_due({105 * kSecond - 1}));
    EXPECT_TRUE(pair.server->rekey_due({105 * kSecond}));
    ASSERT_TRUE(pair.server->next_deadline().has_value());
    EXPECT_EQ(pair.server->next_deadline()->ns, 105 * kSecond);

    sender->send(channel_data(1, 65 * 1024 - 40'000));
    pair.pump();
    EXPECT_FALSE(pair.server->rekey_due({5 * kSecond}));
    sender->send(channel_data(1, 32'000));
    sender->send(channel_data(1, 8'000));
    pair.pump();
    EXPECT_TRUE(pair.server->rekey_due({5 * kSecond}));

    pair.server->request_rekey({6 * kSecond});
    EXPECT_FALSE(pair.server->rekey_due({6 * kSecond}));
    EXPECT_EQ(pair.server->next_deadline()->ns, (6 + limits::kRekeyFinishSeconds) * kSecond);
    pair.set_now({7 * kSecond});
    pair.pump();
    EXPECT_EQ(pair.server->num_exchanges(), 2u);
    EXPECT_FALSE(pair.server->rekey_due({7 * kSecond}));
    EXPECT_EQ(pair.server->next_deadline()->ns, 107 * kSecond);
    for (int i = 0; i < 1000; ++i) {
      EXPECT_FALSE(pair.server->rekey_due({7 * kSecond})) << i;
      sender->send(channel_data(1, 0));
      pair.pump();
    }
    EXPECT_TRUE(pair.server->rekey_due({7 * kSecond}));
  }
}

TEST(Rekey, BeginsByItselfWhereTheOwnerDoesNot) {
  for (const bool from_client : {true, false}) {
    auto server = test::server_options();
    server->rekey.bytes = 64 * 1024;
    TransportPair pair(server, test::client_options());
    pair.log_in();
    Leg& sender = from_client ? pair.client : pair.server;
    for (int i = 0; i < 8; ++i) {
      sender->send(channel_data(1, 30'000));
      pair.pump();
    }
    EXPECT_EQ(pair.server->num_exchanges(), 1u);
    sender->send(channel_data(1, 30'000));
    pair.pump();
    EXPECT_EQ(pair.server->num_exchanges(), 2u);
    EXPECT_EQ((from_client ? pair.server : pair.client).delivered.size(), 9u);
  }
}

TEST(Rekey, IsNotBegunBeforeAuthentication) {
  auto options = test::server_options();
  options->rekey = {.bytes = 1, .packets = 1, .seconds = 1};
  Duel duel(options);
  duel.handshake();
  EXPECT_FALSE(duel.leg->rekey_due({100 * kSecond}));
  duel.leg->request_rekey({});
  EXPECT_FALSE(duel.leg->in_key_exchange());
  duel.to_auth();
  EXPECT_FALSE(duel.leg->rekey_due({100 * kSecond}));
}

TEST(Rekey, sec_038_APeerThatNeverFinishesIsCut) {
  Duel duel(Role::kServer);
  duel.handshake();
  duel.to_authenticated();
  duel.leg->request_rekey({10 * kSecond});
  const std::int64_t deadline = (10 + limits::kRekeyFinishSeconds) * kSecond;
  EXPECT_TRUE(duel.leg->check_deadlines({deadline - 1}).has_value());
  const Status cut = duel.leg->check_deadlines({deadline});
  ASSERT_FALSE(cut.has_value());
  EXPECT_EQ(cut.error().code, ErrorCode::kLimit);
  // Half an exchange is none, and what the peer says does not move the deadline.
  duel.leg.now = {60 * kSecond};
  duel.kexinit();
  duel.method();
  EXPECT_FALSE(duel.leg->check_deadlines({deadline}).has_value());
  duel.newkeys();
  EXPECT_TRUE(duel.leg->check_deadlines({deadline}).has_value());
}

TEST(Rekey, TheFirstExchangeHasADeadlineToo) {
  Duel duel(Role::kServer);
  EXPECT_FALSE(duel.leg->check_deadlines({limits::kRekeyFinishSeconds * kSecond}).has_value());
}

TEST(SequenceNumbers, sec_043_WrapWithoutHarm) {
  for (const std::string& cipher : compatible_algorithms().ciphers) {
    for (const char* mac : {"hmac-sha2-256-etm@openssh.com", "hmac-sha2-512"}) {
      auto server = test::server_options();
      auto client = test::client_options();
      server->algorithms.ciphers = client->algorithms.ciphers = {cipher};
      server->algorithms.macs = client->algorithms.macs = {mac};
      TransportPair pair(server, client);
      pair.log_in();
      for (Leg* leg : {&pair.client, &pair.server}) {
        auto state = (*leg)->export_state();
        ASSERT_TRUE(state.has_value());
        state->in.seq = state->out.seq = 0xfffffffd;
        ASSERT_TRUE(leg->import_state(std::move(*state)).has_value());
      }
      for (std::uint32_t i = 0; i < 8; ++i) {
        pair.client->send(channel_data(i, i % 97));
        pair.server->send(channel_data(i, i % 97));
      }
      pair.pump();
      expect_in_order(pair.client, 8);
      expect_in_order(pair.server, 8);
      EXPECT_EQ(pair.client->export_state()->in.seq, 5u);
    }
  }
}

TEST(SequenceNumbers, sec_043_APeerThatDoesNotRekeyIsCut) {
  // The peer sends on under the old key while our KEXINIT waits for its answer.
  auto state_after = [](std::uint64_t packets) {
    TransportPair pair;
    pair.log_in();
    auto server = pair.server->export_state();
    server->in.key_packets = packets;
    EXPECT_TRUE(pair.server.import_state(std::move(*server)).has_value());
    pair.client->send(channel_data(0));
    pair.client->send(channel_data(1));
    pair.server.receive(pair.client.take_output());
    return std::tuple(pair.server->in_key_exchange(), pair.server.error);
  };
  const auto [in_exchange, no_error] = state_after(limits::kRekeyPackets / 2 * 3);
  EXPECT_TRUE(in_exchange);
  EXPECT_FALSE(no_error.has_value());
  const auto [still, error] = state_after(limits::kRekeyPacketsHard - 1);
  EXPECT_TRUE(still);
  ASSERT_TRUE(error.has_value());
  EXPECT_EQ(error->code, ErrorCode::kLimit);
}

TEST(SequenceNumbers, sec_043_OurOwnPacketsStopLongBeforeTheWrap) {
  TransportPair pair;
  pair.log_in();
  auto state = pair.server->export_state();
  state->out.key_packets = limits::kRekeyPackets / 2 * 3 - 2;
  ASSERT_TRUE(pair.server.import_state(std::move(*state)).has_value());
  for (std::uint32_t i = 0; i < 20; ++i) {
    pair.server->send(channel_data(i, i % 97));
  }
  EXPECT_TRUE(pair.server->in_key_exchange());
  pair.pump();
  expect_in_order(pair.client, 20);
  EXPECT_EQ(pair.client->num_exchanges(), 2u);
}

TEST(MovingSession, GoesOnWithUnsentAndUnreadBytes) {
  TransportPair pair;
  pair.log_in();
  pair.server->count_copied(5);
  for (std::uint32_t i = 0; i < 10; ++i) {
    pair.server->send(channel_data(i, i % 97));
    pair.client->send(channel_data(i, i % 97));
  }
  // Half a packet is at the server, and part of its output has left.
  pair.server.receive(pair.client.take_output(333));
  pair.client.receive(pair.server.take_output(77));
  const Bytes session_id = to_bytes(pair.server->session_id());
  ASSERT_TRUE(pair.server.move_process().has_value());
  ASSERT_TRUE(pair.client.move_process().has_value());
  EXPECT_EQ(pair.server->phase(), Phase::kAuthenticated);
  EXPECT_TRUE(equal(pair.server->session_id(), session_id));
  EXPECT_TRUE(pair.client->peer().hostbound);
  EXPECT_EQ(pair.client->peer().server_sig_algs.size(), 8u);
  EXPECT_EQ(pair.server->client_ident(), kIdent);
  pair.pump();
  expect_in_order(pair.client, 10);
  expect_in_order(pair.server, 10);
  pair.client->request_rekey({});
  pair.pump();
  EXPECT_EQ(pair.server->num_exchanges(), 2u);
  EXPECT_TRUE(pair.server->strict_kex());
}

TEST(MovingSession, RekeysUnderTheIdentificationItBeganWith) {
  // An upgrade changes our string in the middle of a session; the exchange hash needs the old one.
  auto old_server = test::server_options();
  old_server->ident = "SSH-2.0-bastiond_0.0";
  TransportPair pair(old_server, test::client_options());
  pair.log_in();
  auto state = pair.server->export_state();
  ASSERT_TRUE(state.has_value());
  test::TestRandom random(3);
  ChunkPool pool;
  Leg successor(test::server_options(), pool, 1);
  ASSERT_TRUE(successor.import_state(std::move(*state)).has_value());
  EXPECT_EQ(successor->server_ident(), "SSH-2.0-bastiond_0.0");
  successor->request_rekey({});
  for (int i = 0; i < 5; ++i) {
    pair.client.receive(successor.take_output());
    successor.receive(pair.client.take_output());
  }
  EXPECT_FALSE(pair.client.error.has_value());
  EXPECT_EQ(successor->num_exchanges(), 2u);
}

TEST(MovingSession, IsRefusedInAnExchangeAndAtTheEnds) {
  TransportPair pair;
  EXPECT_FALSE(pair.server->export_state().has_value());
  pair.start();
  EXPECT_FALSE(pair.server->export_state().has_value());
  pair.pump();
  EXPECT_TRUE(pair.server->export_state().has_value());
  pair.client->send(Leg::message_with_text(kMsgServiceRequest, "ssh-userauth"));
  pair.pump();
  pair.server->request_rekey({});
  EXPECT_FALSE(pair.server->export_state().has_value());
  pair.pump();
  EXPECT_TRUE(pair.server->export_state().has_value());
  pair.server->disconnect(DisconnectReason::kByApplication, "");
  EXPECT_FALSE(pair.server->export_state().has_value());
}

TEST(MovingSession, DoesNotChangeRoles) {
  TransportPair pair;
  pair.log_in();
  auto state = pair.client->export_state();
  ASSERT_TRUE(state.has_value());
  EXPECT_FALSE(pair.server.import_state(std::move(*state)).has_value());
}

TEST(SessionState, RefusesEveryCutAndEveryByteThatMatters) {
  TransportPair pair;
  pair.log_in();
  pair.server->send(channel_data(1));
  const auto state = pair.server->export_state();
  ASSERT_TRUE(state.has_value());
  SecretWriter writer;
  state->encode(writer);
  const Bytes whole = to_bytes(writer.view());
  for (std::size_t len = 0; len < whole.size(); ++len) {
    Reader reader(ByteView(whole).first(len));
    EXPECT_FALSE(SessionState::decode(reader).has_value()) << len;
  }
  // Any change of a byte is either refused or another state; it never harms the decoder.
  std::size_t refused = 0;
  for (std::size_t i = 0; i < whole.size(); ++i) {
    Bytes bad = whole;
    bad[i] ^= 0xff;
    Reader reader(bad);
    auto decoded = SessionState::decode(reader);
    if (!decoded.has_value()) {
      ++refused;
      continue;
    }
    ChunkPool pool;
    test::TestRandom random(1);
    (void)Transport::from_state(std::move(*decoded), test::server_options(), pool, random);
  }
  EXPECT_GT(refused, 150u);
}

TEST(SessionState, SurvivesTheRoundTripWhole) {
  TransportPair pair;
  pair.log_in();
  pair.client->send(channel_data(1, 5000));
  const auto state = pair.client->export_state();
  ASSERT_TRUE(state.has_value());
  SecretWriter once;
  state->encode(once);
  Reader reader(once.view());
  const auto decoded = SessionState::decode(reader);
  ASSERT_TRUE(decoded.has_value());
  EXPECT_TRUE(reader.done());
  SecretWriter twice;
  decoded->encode(twice);
  EXPECT_TRUE(equal(once.view(), twice.view()));
  EXPECT_EQ(decoded->algorithms, state->algorithms);
  EXPECT_EQ(decoded->peer, state->peer);
}

}  // namespace
}  // namespace bastion::proto
