// The binary packet protocol, both halves, under every cipher (SECURITY 34, 46).
#include <gtest/gtest.h>

#include "base/limits.h"
#include "proto/algorithms.h"
#include "proto/packet_reader.h"
#include "proto/packet_writer.h"
#include "tests/support/test_random.h"

namespace bastion::proto {
namespace {

struct Suite {
  const crypto::CipherInfo* cipher;  // nullptr: in the clear
  const crypto::MacInfo* mac;
};

std::vector<Suite> all_suites() {
  std::vector<Suite> suites = {{nullptr, nullptr}};
  for (const std::string& cipher : compatible_algorithms().ciphers) {
    const auto* info = crypto::find_cipher(cipher);
    if (info->aead) {
      suites.push_back({info, nullptr});
      continue;
    }
    for (const std::string& mac : compatible_algorithms().macs) {
      suites.push_back({info, crypto::find_mac(mac)});
    }
  }
  return suites;
}

crypto::PacketKeys keys_of(const Suite& suite) {
  test::TestRandom random(8);
  crypto::PacketKeys keys{
      .cipher = suite.cipher, .mac = suite.mac, .key = {}, .iv = {}, .mac_key = {}};
  keys.key.resize(suite.cipher->key_len);
  keys.iv.resize(suite.cipher->iv_len);
  keys.mac_key.resize(suite.mac == nullptr ? 0 : suite.mac->key_len);
  random.fill(keys.key);
  random.fill(keys.iv);
  random.fill(keys.mac_key);
  return keys;
}

std::unique_ptr<crypto::PacketSealer> sealer_of(const Suite& suite) {
  return suite.cipher == nullptr ? crypto::make_null_sealer()
                                 : std::move(*crypto::make_sealer(keys_of(suite)));
}

void use(PacketReader& reader, const Suite& suite) {
  if (suite.cipher != nullptr) {
    reader.set_opener(std::move(*crypto::make_opener(keys_of(suite))), true);
  }
}

/// aligned_length is the least packet_length of at least `wanted` that fits the suite's block.
std::uint32_t aligned_length(const Suite& suite, std::uint32_t wanted) {
  const auto sealer = sealer_of(suite);
  const std::size_t extra = 4 - sealer->aad_len();
  while ((wanted + extra) % sealer->block_len() != 0) {
    ++wanted;
  }
  return wanted;
}

/// seal makes a wire packet with exactly the fields given, right or wrong, followed by enough room
/// for a reader to take its length at its word.
Bytes seal(const Suite& suite, std::uint32_t length, std::uint8_t padding_length) {
  const auto sealer = sealer_of(suite);
  Bytes clear(4 + std::size_t{aligned_length(suite, length)}, 0x41);
  store_u32(clear.data(), length);
  clear[4] = padding_length;
  Bytes wire(clear.size() + sealer->tag_len());
  sealer->seal(0, clear, wire);
  wire.resize(std::max(wire.size(), limits::kPacketBytesMax));
  return wire;
}

Result<PacketReader::Packet> read(const Suite& suite, Bytes& wire) {
  PacketReader reader;
  use(reader, suite);
  return reader.read(wire);
}

TEST(PacketReader, RejectsPaddingBelowFour) {
  for (const Suite& suite : all_suites()) {
    const std::uint32_t length = aligned_length(suite, 40);
    for (std::uint8_t padding = 0; padding < 8; ++padding) {
      Bytes wire = seal(suite, length, padding);
      const auto packet = read(suite, wire);
      ASSERT_EQ(packet.has_value(), padding >= 4);
      if (!packet) {
        EXPECT_EQ(packet.error().code, ErrorCode::kProtocol);
      }
    }
  }
}

TEST(PacketReader, RejectsAnEmptyPayloadAndPaddingBeyondThePacket) {
  for (const Suite& suite : all_suites()) {
    const std::uint32_t length = aligned_length(suite, 40);
    for (std::uint32_t padding = length - 4; padding <= 255; ++padding) {
      Bytes wire = seal(suite, length, static_cast<std::uint8_t>(padding));
      const auto packet = read(suite, wire);
      ASSERT_EQ(packet.has_value(), padding + 2 <= length) << padding << " of " << length;
    }
  }
}

TEST(PacketReader, RejectsLengthsThatAreNoMultipleOfTheBlock) {
  for (const Suite& suite : all_suites()) {
    const std::uint32_t first = aligned_length(suite, 40);
    for (std::uint32_t length = first; length < first + 33; ++length) {
      Bytes wire = seal(suite, length, 10);
      const auto packet = read(suite, wire);
      ASSERT_EQ(packet.has_value(), aligned_length(suite, length) == length) << length;
      if (!packet) {
        EXPECT_EQ(packet.error().code, ErrorCode::kProtocol);
      }
    }
  }
}

TEST(PacketReader, sec_034_RejectsLengthsOutOfRange) {
  for (const Suite& suite : all_suites()) {
    Bytes largest = seal(suite, aligned_length(suite, 34'960), 10);
    EXPECT_TRUE(read(suite, largest).has_value());
    const std::uint32_t beyond = aligned_length(suite, limits::kPacketLengthMax + 1);
    Bytes wire = seal(suite, beyond, 10);
    const auto packet = read(suite, wire);
    ASSERT_FALSE(packet.has_value());
    EXPECT_EQ(packet.error().code, ErrorCode::kProtocol);
    EXPECT_EQ(packet.error().detail, beyond);
  }
}

TEST(PacketReader, sec_034_TakesNoLengthOnTrust) {
  // The first four bytes as they come over the wire, under every cipher: what is asked for, if
  // anything, is never more than the largest packet.
  for (const Suite& suite : all_suites()) {
    test::TestRandom random(6);
    for (int i = 0; i < 3000; ++i) {
      Bytes wire = seal(suite, aligned_length(suite, 40), 10);
      wire.resize(32);
      const std::uint32_t edges[] = {0,          1,          4,          5,         12,
                                     16,         28,         35'000,     35'001,    0x7fffffff,
                                     0x80000000, 0xfffffff0, 0xfffffffc, 0xffffffff};
      store_u32(wire.data(), i < 14 ? edges[i] : static_cast<std::uint32_t>(random.next()));
      const auto packet = read(suite, wire);
      ASSERT_TRUE(!packet || packet->need_bytes <= limits::kPacketBytesMax);
    }
  }
}

TEST(PacketWriter, PadsToTheBlockWithAtLeastFour) {
  for (const Suite& suite : all_suites()) {
    ChunkPool pool;
    test::TestRandom random(2);
    PacketWriter writer(pool, random);
    PacketReader reader;
    if (suite.cipher != nullptr) {
      writer.set_sealer(sealer_of(suite), true, random);
    }
    use(reader, suite);
    for (std::size_t len = 1; len < 70; ++len) {
      const Bytes payload(len, static_cast<std::uint8_t>(len));
      writer.write(payload);
      // The same payload in place: between the room that an opened packet leaves around it.
      Bytes around(limits::kPayloadHeadroom + len + limits::kPayloadTailroom, 0xee);
      std::copy(payload.begin(), payload.end(), around.begin() + limits::kPayloadHeadroom);
      writer.write_in_place({around.data() + limits::kPayloadHeadroom, len});
      for (int i = 0; i < 2; ++i) {
        const MutBytes wire = writer.queue().front();
        const auto packet = reader.read(wire);
        ASSERT_TRUE(packet.has_value()) << packet.error().text;
        ASSERT_TRUE(equal(packet->payload.view(), payload));
        const std::size_t padding = wire[4];
        ASSERT_GE(padding, 4u);
        ASSERT_LT(padding, 4u + writer.sealer().block_len());
        writer.queue().consume(packet->wire_bytes);
      }
    }
    EXPECT_EQ(writer.seq(), reader.seq());
    EXPECT_EQ(writer.key_bytes(), reader.key_bytes());
    EXPECT_EQ(writer.key_packets(), 138u);
  }
}

TEST(PacketWriter, FillsPaddingWithSomethingElseEachTime) {
  ChunkPool pool;
  test::TestRandom random(2);
  PacketWriter writer(pool, random);
  const Bytes payload(1, 9);
  writer.write(payload);
  writer.write(payload);
  const MutBytes wire = writer.queue().front();
  ASSERT_EQ(wire.size(), 32u);
  EXPECT_FALSE(equal(wire.subspan(6, 10), wire.subspan(22, 10)));
}

}  // namespace
}  // namespace bastion::proto
