#include <cstdlib>

#include "base/limits.h"
#include "crypto/keys.h"

// A certificate as a peer sends it: parsed, and its CA's signature verified.

using namespace bastion;
using namespace bastion::crypto;

namespace {

void require(bool condition) {
  if (!condition) {
    std::abort();
  }
}

void check_options(const std::vector<CertificateOption>& options) {
  for (std::size_t i = 0; i < options.size(); ++i) {
    require(i == 0 || options[i - 1].name < options[i].name);
    require(find_option(options, options[i].name) == &options[i]);
    const auto content = parse_critical_option_string(options[i].data);
    require(!content || equal(make_option_string(*content), options[i].data));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t len) {
  const ByteView blob(bytes, len);
  const auto certificate = Certificate::parse(blob);
  if (!certificate) {
    return 0;
  }
  require(is_certificate_blob(blob));
  require(!PublicKey::parse(blob));
  require(equal(certificate->blob, blob));
  // The blob is the signed part and the signature as one string, and nothing else.
  require(certificate->signed_part.size() + 4 + certificate->signature.size() == blob.size());
  require(equal(certificate->signed_part, blob.first(certificate->signed_part.size())));
  require(certificate->principals.size() <= limits::kCertificatePrincipalsMax);
  require(!is_certificate_blob(certificate->ca_key.blob()));
  check_options(certificate->critical_options);
  check_options(certificate->extensions);
  require(!certificate->valid_at(-1));
  if (certificate->verify_signature()) {
    Certificate changed = *certificate;
    changed.signed_part.back() ^= 1;
    require(!changed.verify_signature());
  }
  return 0;
}
