#pragma once

#include <cstddef>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "proto/message_permits.h"

namespace bastion::proto {

/// IdentScan is what scan_ident found.
struct IdentScan {
  std::size_t consumed = 0;  // whole lines that are done with, the identification string's too
  bool complete = false;     // else more bytes are needed behind `consumed`
  std::string_view ident;    // when complete: inside `in`, without CR LF
};

/// scan_ident looks for the peer's identification string (RFC 4253 4.2) at the start of `in`. We
/// accept CR LF and LF as the line's end, and protocol versions 2.0 and 1.99 (RFC 4253 5.1).
/// `role` is ours: a server takes nothing before the string and refuses at the first octet that
/// cannot belong to it; a client passes over limits::kPreIdentLinesMax lines, counted in
/// `pre_lines` over all calls. Errors: kProtocol, kLimit, kUnsupported (another version).
[[nodiscard]] Result<IdentScan> scan_ident(Role role, ByteView in, std::size_t& pre_lines);

}  // namespace bastion::proto
