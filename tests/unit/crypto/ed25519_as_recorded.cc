// The transcripts have the signatures of RFC 8032, which are the same each time. lib25519's are
// not: here BoringSSL signs in its place, since a program's own definition goes before a library's.
#include <openssl/curve25519.h>

#include <cstring>

extern "C" void lib25519_sign_ed25519(unsigned char* signed_message, long long* signed_len,
                                      const unsigned char* message, long long len,
                                      const unsigned char* key) {
  const auto size = static_cast<std::size_t>(len);
  std::memmove(signed_message + ED25519_SIGNATURE_LEN, message, size);
  ED25519_sign(signed_message, signed_message + ED25519_SIGNATURE_LEN, size, key);
  *signed_len = len + ED25519_SIGNATURE_LEN;
}
