// Opens what a peer may send, under every cipher. The input: which cipher and MAC, how a sealed
// packet is changed, and bytes that serve once as a wire packet of a stranger's and once as a
// payload. Nothing but what was sealed in its turn may ever open.

#include <cstdlib>

#include "crypto/packet_cipher.h"

namespace {

using namespace bastion;
using namespace bastion::crypto;

struct Suite {
  std::string_view cipher;
  std::string_view mac;
};
constexpr Suite kSuites[] = {
    {"aes128-gcm@openssh.com", ""},
    {"aes256-gcm@openssh.com", ""},
    {"chacha20-poly1305@openssh.com", ""},
    {"aes128-ctr", "hmac-sha2-256"},
    {"aes192-ctr", "hmac-sha2-256-etm@openssh.com"},
    {"aes256-ctr", "hmac-sha2-512"},
    {"aes256-ctr", "hmac-sha2-512-etm@openssh.com"},
};

void require(bool holds) {
  if (!holds) {
    std::abort();
  }
}

PacketKeys keys_of(const Suite& suite) {
  PacketKeys keys;
  keys.cipher = find_cipher(suite.cipher);
  keys.key.resize(keys.cipher->key_len, 0x11);
  keys.iv.resize(keys.cipher->iv_len, 0xff);
  if (!suite.mac.empty()) {
    keys.mac = find_mac(suite.mac);
    keys.mac_key.resize(keys.mac->key_len, 0x33);
  }
  return keys;
}

// A stranger's bytes, whole: as long as they are, and as long as they say.
void open_a_strangers_packet(const PacketKeys& keys, std::uint32_t seq, ByteView bytes) {
  const auto opener = make_opener(keys).value();
  Bytes packet = to_bytes(bytes);
  if (packet.size() >= opener->length_prefix_len()) {
    const ByteView prefix = ByteView(packet).first(opener->length_prefix_len());
    const std::uint32_t length = opener->packet_length(seq, prefix);
    require(opener->packet_length(seq, prefix) == length && equal(packet, bytes));
    const std::uint64_t whole = std::uint64_t{4} + length + opener->tag_len();
    if (whole < packet.size()) {
      packet.resize(whole);
    }
  }
  require(!opener->open(seq, packet));
}

Bytes clear_packet(const PacketSealer& sealer, ByteView payload) {
  const std::size_t block = sealer.block_len();
  std::size_t padding = block - (5 + payload.size() - sealer.aad_len()) % block;
  padding += padding < 4 ? block : 0;
  Bytes packet(5 + payload.size() + padding);
  store_u32(packet.data(), static_cast<std::uint32_t>(packet.size() - 4));
  packet[4] = static_cast<std::uint8_t>(padding);
  std::copy(payload.begin(), payload.end(), packet.begin() + 5);
  return packet;
}

// Our own packet opens; the same one changed in one bit, or cut, does not.
void open_a_changed_packet(const PacketKeys& keys, std::uint32_t seq, ByteView payload,
                           std::uint32_t change) {
  const auto sealer = make_sealer(keys).value();
  const Bytes clear = clear_packet(*sealer, payload);
  Bytes sealed(clear.size() + sealer->tag_len());
  sealer->seal(seq, clear, sealed);

  Bytes packet = sealed;
  require(make_opener(keys).value()->open(seq, packet).has_value());
  packet.resize(clear.size());
  require(packet == clear);

  packet = sealed;
  const std::size_t bit = change % (8 * sealed.size());
  packet[bit / 8] = static_cast<std::uint8_t>(packet[bit / 8] ^ 1 << bit % 8);
  require(!make_opener(keys).value()->open(seq, packet));

  packet = sealed;
  packet.resize(change % sealed.size());
  require(!make_opener(keys).value()->open(seq, packet));

  // After its own packet, an opener that can tell does not open it a second time.
  const auto opener = make_opener(keys).value();
  packet = sealed;
  require(opener->open(seq, packet).has_value());
  packet = sealed;
  require(!opener->open(seq + 1, packet));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 9 || size > 40'000) {
    return 0;
  }
  const PacketKeys keys = keys_of(kSuites[data[0] % std::size(kSuites)]);
  const std::uint32_t seq = load_u32(data + 1);
  const std::uint32_t change = load_u32(data + 5);
  const ByteView rest(data + 9, size - 9);
  open_a_strangers_packet(keys, seq, rest);
  open_a_changed_packet(keys, seq, rest, change);
  return 0;
}
