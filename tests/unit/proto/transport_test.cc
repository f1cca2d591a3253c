#include "proto/transport.h"

#include <gtest/gtest.h>

#include "tests/support/transport_pair.h"

namespace bastion::proto {
namespace {

using test::channel_data;
using test::Leg;
using test::TransportPair;

/// lists_of offers exactly one name of each kind.
AlgorithmLists lists_of(const std::string& kex, const std::string& cipher, const std::string& mac,
                        const std::string& host_key = "ssh-ed25519") {
  return {.kex = {kex},
          .host_keys = {host_key},
          .ciphers = {cipher},
          .macs = {mac},
          .public_keys = {"ssh-ed25519"}};
}

TransportPair pair_with(const AlgorithmLists& lists) {
  auto server = test::server_options();
  server->algorithms = lists;
  server->host_keys = {test::offered_host_key(lists.host_keys.at(0))};
  auto client = test::client_options();
  client->algorithms = lists;
  return {server, client};
}

void expect_conversation(TransportPair& pair) {
  pair.log_in();
  ASSERT_FALSE(pair.server.error.has_value()) << pair.server.error->text;
  ASSERT_FALSE(pair.client.error.has_value()) << pair.client.error->text;
  ASSERT_EQ(pair.server->phase(), Phase::kAuthenticated);
  ASSERT_EQ(pair.client->phase(), Phase::kAuthenticated);
  for (const std::size_t len : {0u, 1u, 7u, 8u, 15u, 16u, 17u, 100u, 32u * 1024}) {
    pair.client->send(channel_data(1, len));
    pair.server->send(channel_data(2, len));
    pair.pump();
    ASSERT_EQ(pair.server.delivered.size(), 1u);
    ASSERT_EQ(pair.client.delivered.size(), 1u);
    EXPECT_EQ(pair.server.delivered[0], channel_data(1, len));
    EXPECT_EQ(pair.client.delivered[0], channel_data(2, len));
    pair.server.delivered.clear();
    pair.client.delivered.clear();
  }
}

TEST(Transport, SpeaksEveryKexWithEveryKindOfCipher) {
  for (const std::string& kex : compatible_algorithms().kex) {
    for (const char* cipher :
         {"aes256-gcm@openssh.com", "chacha20-poly1305@openssh.com", "aes128-ctr"}) {
      SCOPED_TRACE(kex + " " + cipher);
      TransportPair pair = pair_with(lists_of(kex, cipher, "hmac-sha2-256-etm@openssh.com"));
      expect_conversation(pair);
      EXPECT_EQ(pair.server->algorithms().kex->name, kex);
      EXPECT_EQ(pair.client->algorithms(), pair.server->algorithms());
      EXPECT_TRUE(equal(pair.client->session_id(), pair.server->session_id()));
      EXPECT_FALSE(pair.client->session_id().empty());
    }
  }
}

TEST(Transport, SpeaksEveryCipherWithEveryMac) {
  for (const std::string& cipher : compatible_algorithms().ciphers) {
    for (const std::string& mac : compatible_algorithms().macs) {
      SCOPED_TRACE(cipher + " " + mac);
      TransportPair pair = pair_with(lists_of("curve25519-sha256", cipher, mac));
      expect_conversation(pair);
      const NegotiatedAlgorithms& names = pair.server->algorithms();
      EXPECT_EQ(names.cipher_to_client->name, cipher);
      EXPECT_EQ(names.cipher_to_server->name, cipher);
      EXPECT_EQ(names.mac_to_client == nullptr, names.cipher_to_client->aead);
      if (!names.cipher_to_client->aead) {
        EXPECT_EQ(names.mac_to_client->name, mac);
        EXPECT_EQ(names.mac_to_server->name, mac);
      }
    }
  }
}

TEST(Transport, SpeaksEveryPlainHostKeyAlgorithm) {
  for (const std::string& name : compatible_algorithms().host_keys) {
    if (name.find("-cert-") != std::string::npos) {
      continue;
    }
    SCOPED_TRACE(name);
    TransportPair pair =
        pair_with(lists_of("curve25519-sha256", "aes128-gcm@openssh.com", "hmac-sha2-256", name));
    expect_conversation(pair);
    EXPECT_EQ(pair.client->algorithms().host_key->name, name);
  }
}

TEST(Transport, NegotiatesTheDirectionsApart) {
  // The client's order decides, and each direction is a list of its own on the wire; both of ours
  // are the same, so the difference must come from what the server lacks.
  auto server = test::server_options();
  auto client = test::client_options();
  client->algorithms.ciphers = {"aes192-ctr", "aes128-gcm@openssh.com"};
  client->algorithms.macs = {"hmac-sha2-512-etm@openssh.com", "hmac-sha2-256-etm@openssh.com"};
  TransportPair pair(server, client);
  expect_conversation(pair);
  EXPECT_EQ(pair.server->algorithms().cipher_to_client->name, "aes192-ctr");
  EXPECT_EQ(pair.server->algorithms().mac_to_client->name, "hmac-sha2-512-etm@openssh.com");
}

TEST(Transport, TellsWhatTheyAgreedOnByDefault) {
  TransportPair pair;
  expect_conversation(pair);
  const NegotiatedAlgorithms& names = pair.server->algorithms();
  EXPECT_EQ(names.kex->name, "mlkem768x25519-sha256");
  EXPECT_EQ(names.host_key->name, "ssh-ed25519");
  EXPECT_EQ(names.cipher_to_client->name, "aes128-gcm@openssh.com");
  EXPECT_TRUE(pair.server->strict_kex());
  EXPECT_TRUE(pair.client->strict_kex());
  EXPECT_EQ(pair.server->client_ident(), kIdent);
  EXPECT_EQ(pair.client->server_ident(), kIdent);
}

class TransportSplit : public testing::TestWithParam<std::size_t> {};

TEST_P(TransportSplit, GivesTheSameForAnyPieces) {
  for (const char* cipher :
       {"aes128-gcm@openssh.com", "chacha20-poly1305@openssh.com", "aes256-ctr"}) {
    for (const char* mac : {"hmac-sha2-256-etm@openssh.com", "hmac-sha2-512"}) {
      TransportPair pair = pair_with(lists_of("mlkem768x25519-sha256", cipher, mac));
      pair.piece_bytes = GetParam();
      expect_conversation(pair);
    }
  }
}
INSTANTIATE_TEST_SUITE_P(Pieces, TransportSplit, testing::Values(1, 2, 3, 5, 16, 100, 1000));

TEST(Transport, SaysHowManyBytesItNeeds) {
  TransportPair pair;
  pair.log_in();
  pair.client->send(channel_data(7, 1000));
  const Bytes wire = pair.client.take_output();
  for (std::size_t have = 0; have < wire.size(); ++have) {
    Bytes in(wire.begin(), wire.begin() + static_cast<std::ptrdiff_t>(have));
    const auto step = pair.server->next(in, {});
    ASSERT_TRUE(step.has_value());
    ASSERT_EQ(step->kind, StepKind::kNeedBytes);
    ASSERT_EQ(step->consumed, 0u);
    ASSERT_EQ(step->need_bytes, have < 4 ? 4 : wire.size());
  }
  pair.server.receive(wire);
  EXPECT_EQ(pair.server.delivered.size(), 1u);
}

TEST(Transport, AsksForNoMoreThanTheLargestPacket) {
  // A wrong length in the clear, before any key: the value is refused, not waited for.
  TransportPair pair;
  pair.start();
  Bytes wire = to_bytes("SSH-2.0-test\r\n");
  for (const std::uint32_t length :
       {0u, 1u, 4u, 5u, 11u, 13u, 35'001u, 35'004u, 0x7fffffffu, 0x80000000u, 0xffffffffu}) {
    ChunkPool pool(4096);
    Leg leg(test::server_options(), pool, 1);
    leg->start(std::nullopt, {});
    Writer writer;
    writer.bytes(wire).u32(length).bytes(Bytes(12, 4));
    leg.receive(writer.view());
    ASSERT_TRUE(leg.error.has_value()) << length;
    EXPECT_EQ(leg.error->code, ErrorCode::kProtocol);
  }
  Leg leg(test::server_options(), pair.pool, 1);
  leg->start(std::nullopt, {});
  Writer writer;
  writer.bytes(wire).u32(34'996).bytes(Bytes(12, 4));
  leg.receive(writer.view());
  EXPECT_FALSE(leg.error.has_value());
  EXPECT_EQ(leg.last_need_bytes, 35'000u);
}

TEST(Transport, RefusesASingleFlippedBitAnywhere) {
  for (const std::string& cipher : compatible_algorithms().ciphers) {
    for (const char* mac : {"hmac-sha2-256-etm@openssh.com", "hmac-sha2-512"}) {
      TransportPair pair = pair_with(lists_of("curve25519-sha256", cipher, mac));
      pair.log_in();
      const auto state = pair.server->export_state();
      ASSERT_TRUE(state.has_value());
      pair.client->send(channel_data(7, 40));
      const Bytes wire = pair.client.take_output();
      for (std::size_t i = 0; i < wire.size(); ++i) {
        ASSERT_TRUE(pair.server.import_state(*state).has_value());
        Bytes bad = wire;
        bad[i] ^= static_cast<std::uint8_t>(1 << (i % 8));
        // A longer length must fail as soon as the bytes that it asks for are there.
        bad.resize(bad.size() + limits::kPacketBytesMax);
        const auto step = pair.server->next(bad, {});
        ASSERT_FALSE(step.has_value()) << cipher << " byte " << i;
        ASSERT_TRUE(step.error().code == ErrorCode::kMac ||
                    step.error().code == ErrorCode::kProtocol);
        if (i >= 16) {
          ASSERT_EQ(step.error().code, ErrorCode::kMac);
        }
      }
    }
  }
}

TEST(Transport, RelaysInPlaceWithoutCopying) {
  TransportPair pair;
  pair.log_in();
  TransportPair onward;
  onward.log_in();
  pair.server.on_payload = [&](Payload payload) { onward.client->send_in_place(payload); };
  const std::uint64_t copied_before = onward.client->counters().bytes_copied;
  std::size_t relayed = 0;
  for (std::uint32_t i = 0; i < 40; ++i) {
    pair.client->send(channel_data(i, i * 801));
    relayed += channel_data(i, i * 801).size();
  }
  pair.pump();
  onward.pump();
  ASSERT_EQ(onward.server.delivered.size(), 40u);
  for (std::uint32_t i = 0; i < 40; ++i) {
    EXPECT_EQ(onward.server.delivered[i], channel_data(i, i * 801));
  }
  EXPECT_EQ(onward.client->counters().bytes_copied, copied_before);
  EXPECT_EQ(onward.client->counters().bytes_relayed, relayed);
}

TEST(Transport, HoldsNoChunkWhenIdle) {
  TransportPair pair;
  pair.log_in();
  EXPECT_EQ(pair.pool.num_lent(), 0u);
  pair.client->send(channel_data(1, 10));
  EXPECT_EQ(pair.pool.num_lent(), 1u);
  EXPECT_GT(pair.client->queued_bytes(), 0u);
  pair.pump();
  EXPECT_EQ(pair.pool.num_lent(), 0u);
  EXPECT_EQ(pair.client->queued_bytes(), 0u);
  RecordProperty("sizeof_transport", static_cast<int>(sizeof(Transport)));
  EXPECT_LE(sizeof(Transport), 1024u);
}

TEST(Transport, AnswersPingInOrderAndWhole) {
  TransportPair pair;
  pair.log_in();
  Writer ping;
  ping.u8(kMsgPing).text("keystroke");
  // Of our own messages PING is nothing special: it goes out, and what comes back is dropped.
  pair.client->send(ping.view());
  const std::uint64_t before = pair.client->counters().packets_in;
  pair.pump();
  EXPECT_EQ(pair.client->counters().packets_in, before + 1);
  EXPECT_FALSE(pair.client.error.has_value());
  EXPECT_TRUE(pair.client.delivered.empty());
}

TEST(Transport, ReportsThePeersDisconnect) {
  TransportPair pair;
  pair.log_in();
  pair.client->disconnect(DisconnectReason::kByApplication, "bye\x1b[2J");
  pair.client->send(channel_data(1));
  pair.pump();
  EXPECT_EQ(pair.server.num_reports(StepKind::kDisconnected), 1u);
  EXPECT_EQ(pair.server->disconnect_reason(), 11u);
  EXPECT_EQ(pair.server->disconnect_text(), "bye\x1b[2J");
  EXPECT_TRUE(pair.server.delivered.empty());
  // It stays said.
  pair.server.work();
  EXPECT_EQ(pair.server.num_reports(StepKind::kDisconnected), 2u);
}

TEST(Transport, KeepsABoundedPartOfADisconnectText) {
  TransportPair pair;
  pair.log_in();
  pair.client->disconnect(DisconnectReason::kByApplication, std::string(30'000, 'x'));
  pair.pump();
  EXPECT_EQ(pair.server->disconnect_text().size(), 1024u);
}

TEST(Transport, WaitsForTheWardenAndConsumesNothing) {
  TransportPair pair;
  pair.server.answer = false;
  pair.start();
  pair.pump();
  ASSERT_EQ(pair.server.reports.back(), StepKind::kWaiting);
  pair.server.receive(to_bytes("bytes that came meanwhile"));
  EXPECT_EQ(pair.server.reports.back(), StepKind::kWaiting);
  EXPECT_EQ(pair.server.unread().size(), 25u);
  const Exchange exchange = pair.server->exchange();
  EXPECT_TRUE(exchange.first);
  EXPECT_TRUE(exchange.signature.empty());
  EXPECT_EQ(as_text(exchange.parts.server_ident), kIdent);
  EXPECT_EQ(exchange.parts.client_kexinit[0], kMsgKexInit);
}

TEST(Transport, TakesOnlyTheAnswerThatItWaitsFor) {
  TransportPair pair;
  const crypto::Digest hash = crypto::hash(crypto::HashAlgorithm::kSha256, as_bytes("x"));
  const Bytes signature(10, 1);
  EXPECT_FALSE(pair.server->provide_host_signature(hash, signature).has_value());
  pair.server.answer = false;
  pair.start();
  pair.pump();
  EXPECT_FALSE(pair.server->provide_host_verified(hash).has_value());
  EXPECT_FALSE(pair.server->provide_host_signature(hash, {}).has_value());
  const crypto::Digest other = crypto::hash(crypto::HashAlgorithm::kSha512, as_bytes("x"));
  EXPECT_FALSE(pair.server->provide_host_signature(other, signature).has_value());
  EXPECT_TRUE(pair.server->provide_host_signature(hash, signature).has_value());
  EXPECT_FALSE(pair.server->provide_host_signature(hash, signature).has_value());
}

TEST(Transport, UsesTheCookiesItIsGiven) {
  ChunkPool pool;
  Leg leg(test::server_options(), pool, 1);
  Cookie cookie;
  cookie.fill(0xc7);
  EXPECT_TRUE(leg->wants_cookie());
  leg->start(cookie, {});
  EXPECT_TRUE(leg->wants_cookie());
  const Bytes wire = leg.take_output();
  // ident, then packet_length, padding_length, message number.
  const std::size_t at = kIdent.size() + 2 + 4 + 1 + 1;
  EXPECT_TRUE(equal(ByteView(wire).subspan(at, 16), cookie));
}

TEST(Transport, UsesTheNextCookieForTheNextExchange) {
  TransportPair pair;
  pair.log_in();
  Cookie cookie;
  cookie.fill(0xd8);
  pair.server->set_next_cookie(cookie);
  EXPECT_FALSE(pair.server->wants_cookie());
  pair.server.answer = false;
  pair.server->request_rekey({});
  pair.pump();
  EXPECT_TRUE(pair.server->wants_cookie());
  const Exchange exchange = pair.server->exchange();
  EXPECT_FALSE(exchange.first);
  EXPECT_TRUE(equal(exchange.parts.server_kexinit.subspan(1, 16), cookie));
}

TEST(Transport, RefusesABadHostSignature) {
  // sec_039: nothing leaves the client once the signature is wrong.
  TransportPair pair;
  pair.server.answer = false;
  pair.start();
  pair.pump();
  const Exchange exchange = pair.server->exchange();
  const crypto::Digest hash = crypto::exchange_hash(exchange.kex->hash, exchange.parts);
  auto signature =
      test::host_key_for("ssh-ed25519").sign(*exchange.host_key_algorithm, hash.view());
  ASSERT_TRUE(signature.has_value());
  signature->back() ^= 1;
  ASSERT_TRUE(pair.server->provide_host_signature(hash, *signature).has_value());
  pair.client.receive(pair.server.take_output());
  ASSERT_TRUE(pair.client.error.has_value());
  EXPECT_EQ(pair.client.error->code, ErrorCode::kHostKey);
  EXPECT_TRUE(pair.client->output().empty());
}

TEST(Transport, TakesAFloodOfQuietPacketsInBoundedBites) {
  TransportPair pair = pair_with(
      lists_of("curve25519-sha256", "aes128-gcm@openssh.com", "hmac-sha2-256-etm@openssh.com"));
  pair.log_in();
  const std::size_t num_packets = 5 * Transport::kQuietPacketsMax + 1;
  for (std::size_t i = 0; i < num_packets; ++i) {
    pair.client->send(Leg::message_with_text(kMsgIgnore, ""));
  }
  Bytes flood = pair.client.take_output();
  const std::uint64_t before = pair.server->counters().packets_in;
  std::size_t pos = 0;
  for (std::size_t bite = 1; bite <= 5; ++bite) {
    const auto step = pair.server->next(MutBytes(flood).subspan(pos), pair.server.now);
    ASSERT_TRUE(step.has_value());
    ASSERT_EQ(step->kind, StepKind::kConsumed);
    EXPECT_EQ(pair.server->counters().packets_in - before, bite * Transport::kQuietPacketsMax);
    pos += step->consumed;
  }
  const auto last = pair.server->next(MutBytes(flood).subspan(pos), pair.server.now);
  ASSERT_TRUE(last.has_value());
  EXPECT_EQ(last->kind, StepKind::kNeedBytes);
  EXPECT_EQ(pos + last->consumed, flood.size());
}

}  // namespace
}  // namespace bastion::proto
