#include <cstdlib>

#include "crypto/keys.h"

// A key file. The first byte chooses whether the rest is the file as it stands or the content that
// belongs between the lines of one of its forms, so that mutations need not survive base64.

using namespace bastion;
using namespace bastion::crypto;

namespace {

void require(bool condition) {
  if (!condition) {
    std::abort();
  }
}

constexpr std::string_view kLabels[] = {"OPENSSH PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY",
                                        "PRIVATE KEY"};

void check_file(ByteView file) {
  const auto key = PrivateKey::parse_openssh(file);
  if (!key) {
    return;
  }
  const auto again = PrivateKey::parse_openssh(key->to_openssh("comment"));
  require(again && again->public_key() == key->public_key());
  const SignatureAlgorithm& algorithm =
      *pick_signature_algorithms(key->public_key().type()).front();
  const auto signature = again->sign(algorithm, file);
  require(!signature || key->public_key().verify(algorithm, file, *signature).has_value());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t len) {
  if (len == 0) {
    return 0;
  }
  const ByteView rest(bytes + 1, len - 1);
  if (bytes[0] >= std::size(kLabels)) {
    check_file(rest);
    return 0;
  }
  const std::string label(kLabels[bytes[0]]);
  check_file(as_bytes("-----BEGIN " + label + "-----\n" + base64_encode(rest) + "\n-----END " +
                      label + "-----\n"));
  return 0;
}
