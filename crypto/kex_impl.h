#pragma once

#include <memory>

#include "base/wire.h"
#include "crypto/kex.h"
#include "crypto/secret_array.h"

// What the files of the key exchange share; of no use outside crypto/kex*.cc.
namespace bastion::crypto::impl {

/// Errors of a peer's values; the texts say which rule was broken.
inline std::unexpected<Error> bad_value(std::string_view literal, std::int64_t detail = 0) {
  return fail(ErrorCode::kKeyExchange, literal, detail);
}

/// string_field encodes a public value as an RFC 4251 string.
inline Bytes string_field(ByteView value) { return Writer().string(value).take(); }
/// read_string_field gives back the content of such a field, which must be all there is and exactly
/// `len` bytes long.
Result<ByteView> read_string_field(ByteView field, std::size_t len);
/// secret_mpint and secret_string encode a shared secret as it enters the exchange hash.
SecretBytes secret_mpint(ByteView magnitude);
SecretBytes secret_string(ByteView value);

inline constexpr std::size_t kX25519Len = 32;

/// X25519Key is one ephemeral key of RFC 7748.
class X25519Key {
 public:
  explicit X25519Key(RandomSource& random);
  ByteView public_value() const { return public_; }
  /// agree writes the 32 bytes that both sides share. Errors: kKeyExchange where they are zero
  /// (RFC 8731 3: the peer's point has a small order).
  [[nodiscard]] Status agree(ByteView peer, MutBytes out) const;

 private:
  SecretArray<kX25519Len> private_;
  std::array<std::uint8_t, kX25519Len> public_{};
};

/// Each family of methods: the client's object, and the server's answer.
using MakeClient = Result<std::unique_ptr<KexClient>> (*)(std::string_view name,
                                                          RandomSource& random);
using Respond = Result<KexReply> (*)(std::string_view name, ByteView client_field,
                                     RandomSource& random);

Result<std::unique_ptr<KexClient>> make_x25519_client(std::string_view name, RandomSource& random);
Result<KexReply> respond_x25519(std::string_view name, ByteView client_field, RandomSource& random);
Result<std::unique_ptr<KexClient>> make_ecdh_client(std::string_view name, RandomSource& random);
Result<KexReply> respond_ecdh(std::string_view name, ByteView client_field, RandomSource& random);
Result<std::unique_ptr<KexClient>> make_dh_client(std::string_view name, RandomSource& random);
Result<KexReply> respond_dh(std::string_view name, ByteView client_field, RandomSource& random);
Result<std::unique_ptr<KexClient>> make_hybrid_client(std::string_view name, RandomSource& random);
Result<KexReply> respond_hybrid(std::string_view name, ByteView client_field, RandomSource& random);

}  // namespace bastion::crypto::impl
