#include "crypto/packet_cipher.h"

#include <gtest/gtest.h>

#include "tests/support/hex.h"
#include "tests/support/random.h"

namespace bastion::crypto {
namespace {

using test::SeededRandom;

struct Suite {
  std::string_view cipher;
  std::string_view mac;  // empty for AEAD modes
};

std::vector<Suite> all_suites() {
  std::vector<Suite> suites;
  for (const std::string_view aead :
       {"aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "chacha20-poly1305@openssh.com"}) {
    suites.push_back({aead, ""});
  }
  for (const std::string_view ctr : {"aes128-ctr", "aes192-ctr", "aes256-ctr"}) {
    for (const std::string_view mac :
         {"hmac-sha2-256", "hmac-sha2-512", "hmac-sha2-256-etm@openssh.com",
          "hmac-sha2-512-etm@openssh.com"}) {
      suites.push_back({ctr, mac});
    }
  }
  return suites;
}

PacketKeys random_keys(const Suite& suite, SeededRandom& random) {
  PacketKeys keys;
  keys.cipher = find_cipher(suite.cipher);
  keys.key = to_secret(random.bytes(keys.cipher->key_len));
  keys.iv = to_secret(random.bytes(keys.cipher->iv_len));
  if (!suite.mac.empty()) {
    keys.mac = find_mac(suite.mac);
    keys.mac_key = to_secret(random.bytes(keys.mac->key_len));
  }
  return keys;
}

class EachPacketCipher : public testing::TestWithParam<Suite> {
 protected:
  void SetUp() override {
    keys_ = random_keys(GetParam(), random_);
    sealer_ = make_sealer(keys_).value();
    opener_ = make_opener(keys_).value();
  }

  // A clear packet for a payload of this length, padded as RFC 4253 6 says for this cipher.
  Bytes clear_packet(std::size_t payload_len) {
    const std::size_t block = sealer_->block_len();
    const std::size_t aligned = 4 + 1 + payload_len - sealer_->aad_len();
    std::size_t padding = block - aligned % block;
    padding += padding < 4 ? block : 0;
    Bytes packet = random_.bytes(5 + payload_len + padding);
    store_u32(packet.data(), static_cast<std::uint32_t>(packet.size() - 4));
    packet[4] = static_cast<std::uint8_t>(padding);
    return packet;
  }

  Bytes sealed(std::uint32_t seq, ByteView clear) {
    Bytes wire(clear.size() + sealer_->tag_len());
    sealer_->seal(seq, clear, wire);
    return wire;
  }

  void expect_opens(std::uint32_t seq, Bytes wire, const Bytes& clear) {
    const ByteView prefix = ByteView(wire).first(opener_->length_prefix_len());
    ASSERT_EQ(opener_->packet_length(seq, prefix), clear.size() - 4);
    ASSERT_EQ(opener_->packet_length(seq, prefix), clear.size() - 4);
    ASSERT_TRUE(opener_->open(seq, wire));
    wire.resize(clear.size());
    ASSERT_EQ(wire, clear);
  }

  SeededRandom random_{11};
  PacketKeys keys_;
  std::unique_ptr<PacketSealer> sealer_;
  std::unique_ptr<PacketOpener> opener_;
};

INSTANTIATE_TEST_SUITE_P(PacketCipher, EachPacketCipher, testing::ValuesIn(all_suites()),
                         [](const auto& p) {
                           std::string name =
                               std::string(p.param.cipher) + "_" + std::string(p.param.mac);
                           std::ranges::replace_if(
                               name, [](char c) { return std::isalnum(c) == 0; }, '_');
                           return name;
                         });

TEST_P(EachPacketCipher, OpensWhatItSealedAtEveryPayloadLength) {
  std::uint32_t seq = 0xfffffff0;  // the sequence number wraps on the way
  for (std::size_t payload = 0; payload <= 600; ++payload) {
    const Bytes clear = clear_packet(payload);
    expect_opens(seq, sealed(seq, clear), clear);
    ++seq;
  }
  for (std::size_t payload = 32 * 1024 - 20; payload <= 32 * 1024 + 20; ++payload) {
    const Bytes clear = clear_packet(payload);
    expect_opens(seq, sealed(seq, clear), clear);
    ++seq;
  }
}

TEST_P(EachPacketCipher, SealsInPlaceAndApartToTheSameBytes) {
  auto in_place = make_sealer(keys_).value();
  std::uint32_t seq = 3;
  for (const std::size_t payload : {0UL, 1UL, 63UL, 64UL, 600UL, 32UL * 1024 + 9}) {
    const Bytes clear = clear_packet(payload);
    Bytes packet = clear;
    packet.resize(clear.size() + in_place->tag_len());
    in_place->seal(seq, ByteView(packet).first(clear.size()), packet);
    EXPECT_EQ(packet, sealed(seq, clear));
    ++seq;
  }
}

TEST_P(EachPacketCipher, RefusesAFlipOfAnyBit) {
  const Bytes clear = clear_packet(20);
  const Bytes wire = sealed(5, clear);
  for (std::size_t i = 0; i < wire.size() * 8; ++i) {
    auto opener = make_opener(keys_).value();
    Bytes flipped = wire;
    flipped[i / 8] = static_cast<std::uint8_t>(flipped[i / 8] ^ 1 << i % 8);
    const Status opened = opener->open(5, flipped);
    ASSERT_FALSE(opened) << "bit " << i;
    ASSERT_EQ(opened.error().code, ErrorCode::kMac);
  }
  expect_opens(5, wire, clear);
}

TEST_P(EachPacketCipher, RefusesAPacketCutAnywhere) {
  const Bytes clear = clear_packet(20);
  const Bytes wire = sealed(5, clear);
  for (std::size_t len = 0; len < wire.size(); ++len) {
    auto opener = make_opener(keys_).value();
    Bytes cut(wire.begin(), wire.begin() + static_cast<long>(len));
    const Status opened = opener->open(5, cut);
    ASSERT_FALSE(opened) << "length " << len;
    ASSERT_EQ(opened.error().code, ErrorCode::kMac);
  }
}

TEST_P(EachPacketCipher, RefusesAPacketOutOfItsTurn) {
  const Bytes clear = clear_packet(40);
  const Bytes first = sealed(0, clear);
  const Bytes second = sealed(1, clear);
  Bytes replayed = first;
  Bytes early = second;
  EXPECT_FALSE(opener_->open(0, early));
  opener_ = make_opener(keys_).value();
  expect_opens(0, first, clear);
  EXPECT_FALSE(opener_->open(1, replayed));
}

TEST_P(EachPacketCipher, GoesOnMidStreamWithExportedKeys) {
  std::uint32_t seq = 0;
  for (int round = 0; round < 5; ++round) {
    for (const std::size_t payload : {0UL, 17UL, 300UL, 4096UL}) {
      const Bytes clear = clear_packet(payload);
      expect_opens(seq, sealed(seq, clear), clear);
      ++seq;
    }
    const PacketKeys sealing = sealer_->export_keys();
    const PacketKeys opening = opener_->export_keys();
    EXPECT_EQ(sealing.iv, opening.iv);
    EXPECT_EQ(sealing.key, keys_.key);
    EXPECT_EQ(sealing.mac_key, keys_.mac_key);
    EXPECT_EQ(sealing.cipher, keys_.cipher);
    EXPECT_EQ(sealing.mac, keys_.mac);
    sealer_ = make_sealer(sealing).value();
    opener_ = make_opener(opening).value();
  }
}

TEST_P(EachPacketCipher, ExportsAnIvThatReadingALengthDoesNotMove) {
  const Bytes clear = clear_packet(100);
  const Bytes wire = sealed(0, clear);
  opener_->packet_length(0, wire);
  EXPECT_EQ(opener_->export_keys().iv, keys_.iv);
  opener_ = make_opener(opener_->export_keys()).value();
  expect_opens(0, wire, clear);
}

TEST_P(EachPacketCipher, RefusesKeysOfTheWrongLength) {
  const auto refused = [](const PacketKeys& keys) {
    const auto sealer = make_sealer(keys);
    const auto opener = make_opener(keys);
    return !sealer && !opener && sealer.error().code == ErrorCode::kInternal &&
           opener.error().code == ErrorCode::kInternal;
  };
  PacketKeys keys = keys_;
  keys.key.push_back(0);
  EXPECT_TRUE(refused(keys));
  keys.key.resize(keys_.key.size() - 1);
  EXPECT_TRUE(refused(keys));
  keys = keys_;
  keys.iv.push_back(0);
  EXPECT_TRUE(refused(keys));
  keys = keys_;
  keys.mac_key.push_back(0);
  EXPECT_TRUE(refused(keys));
  keys = keys_;
  keys.mac = keys_.mac == nullptr ? find_mac("hmac-sha2-256") : nullptr;
  EXPECT_TRUE(refused(keys));
  keys = keys_;
  keys.cipher = nullptr;
  EXPECT_TRUE(refused(keys));
}

}  // namespace
}  // namespace bastion::crypto
