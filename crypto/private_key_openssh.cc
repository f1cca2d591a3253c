#include <openssl/bn.h>
#include <openssl/curve25519.h>
#include <openssl/ec.h>
#include <openssl/ec_key.h>
#include <openssl/rsa.h>

#include <algorithm>
#include <array>

#include "base/wire.h"
#include "crypto/key_material.h"

namespace bastion::crypto {
namespace {

using Number = bssl::UniquePtr<BIGNUM>;

constexpr std::string_view kMagic{"openssh-key-v1\0", 15};
constexpr std::size_t kBlockLen = 8;     // what the section is padded to where nothing encrypts it
constexpr std::size_t kPaddingMax = 15;  // some writers pad to a cipher's block of 16
constexpr std::size_t kLineWidth = 70;

std::unexpected<Error> malformed(std::string_view text) {
  return fail(ErrorCode::kMalformed, text);
}

Number number_from(ByteView magnitude) {
  return Number(BN_bin2bn(magnitude.data(), magnitude.size(), nullptr));
}

SecretBytes number_bytes(const BIGNUM* number) {
  SecretBytes bytes(BN_num_bytes(number));
  BN_bn2bin(number, bytes.data());
  return bytes;
}

Status read_ed25519(Reader& reader, PrivateMaterial& out) {
  const ByteView point = reader.string();
  const ByteView secret = reader.string();
  if (point.size() != kEd25519PublicLen || secret.size() != kEd25519SecretLen) {
    return malformed("an Ed25519 private key has a wrong length");
  }
  std::array<std::uint8_t, kEd25519PublicLen> derived;
  ED25519_keypair_from_seed(derived.data(), out.ed25519.data(), secret.data());
  if (!equal(derived, point) || !equal_secret(out.ed25519, secret)) {
    return malformed("the public and the private part of an Ed25519 key do not match");
  }
  return {};
}

Status read_ecdsa(Reader& reader, PrivateMaterial& out) {
  const std::string_view curve = reader.text();
  const ByteView point = reader.string();
  const ByteView scalar = reader.mpint();
  out.ec.reset(EC_KEY_new_by_curve_name(curve_nid(out.type)));
  if (out.ec == nullptr) {
    return fail(ErrorCode::kInternal, "an elliptic curve cannot be set up");
  }
  const auto order_len =
      static_cast<std::size_t>((EC_GROUP_order_bits(EC_KEY_get0_group(out.ec.get())) + 7) / 8);
  if (!reader.ok() || curve != curve_name(out.type) || scalar.size() > order_len) {
    return malformed("an ECDSA private key is not one of its curve");
  }
  SecretBytes padded(order_len - scalar.size());
  padded.insert(padded.end(), scalar.begin(), scalar.end());
  if (EC_KEY_oct2key(out.ec.get(), point.data(), point.size(), nullptr) != 1 ||
      EC_KEY_oct2priv(out.ec.get(), padded.data(), padded.size()) != 1 ||
      EC_KEY_check_key(out.ec.get()) != 1) {
    return malformed("the public and the private part of an ECDSA key do not match");
  }
  return {};
}

Status read_rsa(Reader& reader, PrivateMaterial& out) {
  const ByteView fields[] = {reader.mpint(), reader.mpint(), reader.mpint(),
                             reader.mpint(), reader.mpint(), reader.mpint()};
  if (!reader.ok() ||
      std::ranges::any_of(fields, [](ByteView f) { return f.size() > kRsaBytesMax; })) {
    return malformed(
        "an RSA private key is cut short, or a number in it is not minimal or too long");
  }
  Number n = number_from(fields[0]);
  Number e = number_from(fields[1]);
  Number d = number_from(fields[2]);
  Number inverse = number_from(fields[3]);
  Number p = number_from(fields[4]);
  Number q = number_from(fields[5]);
  Number d_p(BN_new());
  Number d_q(BN_new());
  Number less_one(BN_new());
  const bssl::UniquePtr<BN_CTX> context(BN_CTX_new());
  out.rsa.reset(RSA_new());
  if (n == nullptr || e == nullptr || d == nullptr || inverse == nullptr || p == nullptr ||
      q == nullptr || d_p == nullptr || d_q == nullptr || less_one == nullptr ||
      context == nullptr || out.rsa == nullptr) {
    return fail(ErrorCode::kInternal, "an RSA key cannot be set up");
  }
  // The file has no CRT exponents: d mod (p - 1) and d mod (q - 1). Both primes have two bits or
  // more, so neither divisor is zero.
  if (BN_num_bits(p.get()) < 2 || BN_num_bits(q.get()) < 2 ||
      BN_sub(less_one.get(), p.get(), BN_value_one()) != 1 ||
      BN_div(nullptr, d_p.get(), d.get(), less_one.get(), context.get()) != 1 ||
      BN_sub(less_one.get(), q.get(), BN_value_one()) != 1 ||
      BN_div(nullptr, d_q.get(), d.get(), less_one.get(), context.get()) != 1) {
    return malformed("the numbers of an RSA private key do not belong together");
  }
  // Each call takes its numbers over where it succeeds.
  RSA* const rsa = out.rsa.get();
  if (RSA_set0_key(rsa, n.get(), e.get(), d.get()) != 1) {
    return malformed("the numbers of an RSA private key do not belong together");
  }
  static_cast<void>(n.release());
  static_cast<void>(e.release());
  static_cast<void>(d.release());
  if (RSA_set0_factors(rsa, p.get(), q.get()) != 1) {
    return malformed("the numbers of an RSA private key do not belong together");
  }
  static_cast<void>(p.release());
  static_cast<void>(q.release());
  if (RSA_set0_crt_params(rsa, d_p.get(), d_q.get(), inverse.get()) != 1) {
    return malformed("the numbers of an RSA private key do not belong together");
  }
  static_cast<void>(d_p.release());
  static_cast<void>(d_q.release());
  static_cast<void>(inverse.release());
  if (RSA_check_key(rsa) != 1) {
    return malformed("the numbers of an RSA private key do not belong together");
  }
  return {};
}

Status read_private_fields(Reader& reader, PrivateMaterial& out) {
  switch (out.type) {
    case KeyType::kEd25519: return read_ed25519(reader, out);
    case KeyType::kRsa: return read_rsa(reader, out);
    case KeyType::kEcdsaP256:
    case KeyType::kEcdsaP384:
    case KeyType::kEcdsaP521: return read_ecdsa(reader, out);
    case KeyType::kSkEd25519:
    case KeyType::kSkEcdsaP256: break;
  }
  return fail(ErrorCode::kUnsupported,
              "the private key is inside a FIDO authenticator: only its owner can use it");
}

/// read_section reads what PROTOCOL.key would encrypt: two equal check numbers, the key, a comment
/// and the padding 1, 2, 3….
Status read_section(ByteView section, const PublicKey& announced, PrivateMaterial& out) {
  Reader reader(section);
  const std::uint32_t first_check = reader.u32();
  const std::uint32_t second_check = reader.u32();
  if (section.size() % kBlockLen != 0 || first_check != second_check) {
    return malformed("the private part of a key file is damaged");
  }
  if (reader.text() != announced.type_name()) {
    return malformed("the public and the private part of a key file are of different types");
  }
  out.type = announced.type();
  BASTION_TRY(read_private_fields(reader, out));
  reader.string();  // the comment
  const ByteView padding = reader.rest();
  bool padding_ok = reader.ok() && padding.size() <= kPaddingMax;
  for (std::size_t i = 0; padding_ok && i < padding.size(); ++i) {
    padding_ok = padding[i] == i + 1;
  }
  return padding_ok ? Status{} : malformed("the padding of a private key file is wrong");
}

void write_private_fields(const PrivateMaterial& key, ByteView public_blob, SecretWriter& out) {
  if (key.rsa != nullptr) {
    for (const BIGNUM* number :
         {RSA_get0_n(key.rsa.get()), RSA_get0_e(key.rsa.get()), RSA_get0_d(key.rsa.get()),
          RSA_get0_iqmp(key.rsa.get()), RSA_get0_p(key.rsa.get()), RSA_get0_q(key.rsa.get())}) {
      out.mpint(number_bytes(number));
    }
  } else if (key.ec != nullptr) {
    Reader reader(public_blob);
    reader.string();  // the type's name
    out.bytes(reader.rest());
    out.mpint(number_bytes(EC_KEY_get0_private_key(key.ec.get())));
  } else {
    out.string(ByteView(key.ed25519).last(kEd25519PublicLen));
    out.string(key.ed25519);
  }
}

}  // namespace

std::unexpected<Error> encrypted_private_key() {
  return fail(ErrorCode::kUnsupported,
              "the private key is encrypted: remove its passphrase with ssh-keygen -p -f FILE");
}

Result<PrivateKey> parse_openssh_content(ByteView content) {
  Reader reader(content);
  if (as_text(reader.bytes(kMagic.size())) != kMagic) {
    return malformed("a private key file does not begin with openssh-key-v1");
  }
  const std::string_view cipher = reader.text();
  const std::string_view kdf = reader.text();
  const ByteView kdf_options = reader.string();
  const std::uint32_t num_keys = reader.u32();
  const ByteView public_blob = reader.string();
  const ByteView section = reader.string();
  if (!reader.done()) {
    return malformed("a private key file is cut short or something trails its key");
  }
  if (cipher != "none" || kdf != "none") {
    return encrypted_private_key();
  }
  if (!kdf_options.empty() || num_keys != 1) {
    return malformed("a private key file does not hold exactly one key");
  }
  const auto announced = PublicKey::parse(public_blob);
  if (!announced) {
    return std::unexpected(announced.error());
  }
  PrivateMaterial material;
  BASTION_TRY(read_section(section, *announced, material));
  auto key = make_private_key(std::move(material));
  if (key && key->public_key() != *announced) {
    return malformed("the public and the private part of a key file do not match");
  }
  return key;
}

SecretBytes PrivateKey::to_openssh(std::string_view comment) const {
  SecretWriter section;
  std::array<std::uint8_t, 4> check;
  system_random().fill(check);
  section.bytes(check).bytes(check).text(public_key_.type_name());
  write_private_fields(*material_, public_key_.blob(), section);
  section.text(comment);
  for (std::uint8_t i = 1; section.size() % kBlockLen != 0; ++i) {
    section.u8(i);
  }
  SecretWriter content;
  content.bytes(as_bytes(kMagic)).text("none").text("none").text("").u32(1);
  content.string(public_key_.blob()).string(section.view());

  std::string base64 = base64_encode(content.view());
  SecretWriter file;
  file.bytes(as_bytes("-----BEGIN ")).bytes(as_bytes(kOpensshKeyLabel)).bytes(as_bytes("-----\n"));
  for (std::size_t at = 0; at < base64.size(); at += kLineWidth) {
    file.bytes(as_bytes(std::string_view(base64).substr(at, kLineWidth))).u8('\n');
  }
  file.bytes(as_bytes("-----END ")).bytes(as_bytes(kOpensshKeyLabel)).bytes(as_bytes("-----\n"));
  wipe({reinterpret_cast<std::uint8_t*>(base64.data()), base64.size()});
  return file.take();
}

}  // namespace bastion::crypto
