#include <cstdlib>

#include "base/wire.h"
#include "crypto/keys.h"

// A public key blob, the data that was signed and a signature blob, as a peer sends them in
// USERAUTH_REQUEST or a target in its key exchange reply: string blob, string data, the rest.

using namespace bastion;
using namespace bastion::crypto;

namespace {

void require(bool condition) {
  if (!condition) {
    std::abort();
  }
}

void check_key(ByteView blob, ByteView data, ByteView signature) {
  const auto key = PublicKey::parse(blob);
  if (!key) {
    return;
  }
  // What is accepted is the only encoding of itself.
  require(equal(key->blob(), blob));
  require(!is_certificate_blob(blob));
  const auto from_line = PublicKey::parse_line(key->line());
  require(from_line && *from_line == *key);
  require(key->bits() != 0);

  for (const SignatureAlgorithm* algorithm : pick_signature_algorithms(key->type())) {
    SkFlags flags;
    const bool verified = key->verify(*algorithm, data, signature, &flags).has_value();
    require(verified || (!flags.user_present && !flags.user_verified && flags.counter == 0));
    require(!verified || Reader(signature).text() == algorithm->signature_name);
    if (verified) {
      Bytes longer = to_bytes(signature);
      longer.push_back(0);
      require(!key->verify(*algorithm, data, longer, &flags));
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t len) {
  Reader reader(ByteView(bytes, len));
  const ByteView blob = reader.string();
  const ByteView data = reader.string();
  if (reader.ok()) {
    check_key(blob, data, reader.rest());
  }
  const auto line = PublicKey::parse_line(as_text({bytes, len}));
  require(!line || PublicKey::parse(line->blob()).has_value());
  return 0;
}
