#include "crypto/backend.h"

#include <openssl/base.h>

namespace bastion::crypto {

int backend_api_version() noexcept { return BORINGSSL_API_VERSION; }

}  // namespace bastion::crypto
