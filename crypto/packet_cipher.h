#pragma once

#include <memory>
#include <optional>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "base/secret.h"

namespace bastion::crypto {

/// CipherInfo describes one encryption algorithm name of IANA's or OpenSSH's list.
struct CipherInfo {
  std::string_view name;  // "aes128-gcm@openssh.com"
  std::size_t key_len;    // 64 for chacha20-poly1305@openssh.com
  std::size_t iv_len;     // 12 for AES-GCM, 16 for AES-CTR, 0 for ChaCha20
  std::size_t block_len;  // what padding must align to: 16 for AES, 8 for ChaCha20
  std::size_t tag_len;    // 16 for AEAD modes, 0 where a MAC algorithm is negotiated
  bool aead;              // then no MAC algorithm applies
};
struct MacInfo {
  std::string_view name;  // "hmac-sha2-256-etm@openssh.com"
  std::size_t key_len;
  std::size_t tag_len;
  bool etm;  // encrypt-then-MAC: packet_length stays in clear
};
/// find_* return nullptr for a name that we do not have.
const CipherInfo* find_cipher(std::string_view name);
const MacInfo* find_mac(std::string_view name);

/// PacketKeys is everything that one direction of a transport needs, as plain data, so that a
/// session can move between processes. `iv` is kept current by export_keys (AES-GCM: fixed field
/// and invocation counter; AES-CTR: the counter block). mac_key is empty for AEAD modes.
struct PacketKeys {
  const CipherInfo* cipher = nullptr;
  const MacInfo* mac = nullptr;  // nullptr for AEAD modes
  SecretBytes key;
  SecretBytes iv;
  SecretBytes mac_key;
};

/// PacketSealer encrypts one direction of one transport (RFC 4253 6, RFC 4344, RFC 5647 as changed
/// by OpenSSH PROTOCOL 1.6, PROTOCOL.chacha20poly1305, OpenSSH's EtM MACs in PROTOCOL 1.1).
///
/// A *clear packet* is the contiguous bytes packet_length (4) | padding_length (1) | payload |
/// padding, complete and padded for this cipher. seal writes the wire packet, that is the clear
/// packet's size plus tag_len() bytes, to `out`. `out` begins exactly where `clear` begins (in
/// place; then `out` runs on tag_len() bytes behind it) or does not overlap it at all.
/// `seq` is the packet's sequence number; sealing must happen in order (AES-GCM, AES-CTR count).
class PacketSealer {
 public:
  virtual ~PacketSealer() = default;
  virtual void seal(std::uint32_t seq, ByteView clear, MutBytes out) = 0;
  virtual PacketKeys export_keys() const = 0;

  std::size_t block_len() const { return block_len_; }
  std::size_t tag_len() const { return tag_len_; }
  /// aad_len: how many of the leading bytes padding alignment leaves out: 4 where packet_length is
  /// not encrypted with the rest (AEAD and EtM), else 0.
  std::size_t aad_len() const { return aad_len_; }

 protected:
  PacketSealer(std::size_t block_len, std::size_t tag_len, std::size_t aad_len)
      : block_len_(block_len), tag_len_(tag_len), aad_len_(aad_len) {}

 private:
  std::size_t block_len_;
  std::size_t tag_len_;
  std::size_t aad_len_;
};

/// PacketOpener decrypts one direction of one transport, in place.
class PacketOpener {
 public:
  virtual ~PacketOpener() = default;
  /// length_prefix_len is how many bytes of a packet must be there before its length can be known:
  /// 4, or a cipher block where packet_length is encrypted with the rest (plain CTR + MAC).
  virtual std::size_t length_prefix_len() const = 0;
  /// packet_length reads (decrypting as needed, without changing `prefix` or any state that open
  /// relies on) the packet_length field. It checks nothing: the caller holds it against limits and
  /// block_len before it uses it.
  virtual std::uint32_t packet_length(std::uint32_t seq, ByteView prefix) = 0;
  /// open authenticates and decrypts in place a whole wire packet of 4 + packet_length + tag_len()
  /// bytes, so that its first 4 + packet_length bytes become the clear packet. Errors: kMac, after
  /// which nothing in `packet` may be used. Constant time in the tag.
  [[nodiscard]] virtual Status open(std::uint32_t seq, MutBytes packet) = 0;
  virtual PacketKeys export_keys() const = 0;

  std::size_t block_len() const { return block_len_; }
  std::size_t tag_len() const { return tag_len_; }
  std::size_t aad_len() const { return aad_len_; }

 protected:
  PacketOpener(std::size_t block_len, std::size_t tag_len, std::size_t aad_len)
      : block_len_(block_len), tag_len_(tag_len), aad_len_(aad_len) {}

 private:
  std::size_t block_len_;
  std::size_t tag_len_;
  std::size_t aad_len_;
};

/// make_* build one direction. Errors: kInternal for keys of the wrong length.
/// A null cipher (before the first NEWKEYS) is made by make_null_*: block 8, no tag.
Result<std::unique_ptr<PacketSealer>> make_sealer(const PacketKeys& keys);
Result<std::unique_ptr<PacketOpener>> make_opener(const PacketKeys& keys);
std::unique_ptr<PacketSealer> make_null_sealer();
std::unique_ptr<PacketOpener> make_null_opener();

}  // namespace bastion::crypto
