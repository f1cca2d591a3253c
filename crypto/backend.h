#pragma once

namespace bastion::crypto {

// backend_api_version is the API version of the BoringSSL that this program was compiled against
// (BORINGSSL_API_VERSION); `bastiond --version` prints it.
[[nodiscard]] int backend_api_version() noexcept;

}  // namespace bastion::crypto
