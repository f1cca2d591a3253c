#pragma once

#include <cstdint>
#include <expected>
#include <string_view>

namespace bastion {

/// ErrorCode says whose fault it was and what follows from it. "More bytes are needed" is never an
/// error: functions that can need more say so in their value.
enum class ErrorCode : std::uint8_t {
  kProtocol,     // the peer broke SSH: disconnect with SSH_DISCONNECT_PROTOCOL_ERROR
  kMac,          // a packet's tag or MAC is wrong: disconnect with SSH_DISCONNECT_MAC_ERROR
  kKeyExchange,  // no common algorithm, or a bad key exchange value
  kHostKey,      // a host key is wrong, unknown or revoked
  kAuth,         // a signature, key or certificate is not acceptable
  kLimit,        // one of the limits of base/limits.h or of the configuration was reached
  kMalformed,    // bytes that are not what their format says (a key file, a message, a name)
  kUnsupported,  // well-formed, but of a kind that we do not speak
  kIo,           // the system refused; `detail` is errno
  kInternal,     // our own fault; the session ends
};

/// Error is a code, a constant text and a number. The text is a literal in our source (never a
/// peer's bytes, never built at run time), so an unauthenticated peer cannot make us format or
/// allocate; `detail` carries the one figure that helps (a length, an errno, a message number).
struct Error {
  ErrorCode code;
  std::string_view text;
  std::int64_t detail = 0;

  friend bool operator==(const Error&, const Error&) = default;
};

template <typename T>
using Result = std::expected<T, Error>;
using Status = Result<void>;

/// fail makes the error value that any Result takes: `return fail(ErrorCode::kMac, "...");`
[[nodiscard]] inline std::unexpected<Error> fail(ErrorCode code, std::string_view literal,
                                                 std::int64_t detail = 0) {
  return std::unexpected<Error>(Error{code, literal, detail});
}

}  // namespace bastion

/// TRY returns the error of a Result from the enclosing function, or goes on.
#define BASTION_TRY(expression)                          \
  do {                                                   \
    if (auto&& try_result_ = (expression); !try_result_) \
      return std::unexpected(try_result_.error());       \
  } while (false)
