#include "proto/ident.h"

#include <algorithm>

#include "base/limits.h"

namespace bastion::proto {
namespace {

constexpr std::string_view kPrefix = "SSH-";

bool may_begin_with_prefix(std::string_view text) {
  const std::size_t n = std::min(text.size(), kPrefix.size());
  return text.substr(0, n) == kPrefix.substr(0, n);
}

Status check_ident(std::string_view ident) {
  for (const char c : ident) {
    // Bytes above ASCII are against the letter of the RFC, but seen in comments, and do no harm.
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      return fail(ErrorCode::kProtocol, "control character in the identification string");
    }
  }
  const std::string_view rest = ident.substr(kPrefix.size());
  const std::size_t dash = rest.find('-');
  if (dash == std::string_view::npos) {
    return fail(ErrorCode::kProtocol, "identification string without a software version");
  }
  const std::string_view version = rest.substr(0, dash);
  if (version != "2.0" && version != "1.99") {
    return fail(ErrorCode::kUnsupported, "not SSH protocol version 2.0");
  }
  if (rest.size() == dash + 1) {
    return fail(ErrorCode::kProtocol, "identification string without a software version");
  }
  return {};
}

}  // namespace

Result<IdentScan> scan_ident(Role role, ByteView in, std::size_t& pre_lines) {
  IdentScan scan;
  while (true) {
    const std::string_view text = as_text(in.subspan(scan.consumed));
    const bool ident = may_begin_with_prefix(text);
    if (!ident && role == Role::kServer) {
      return fail(ErrorCode::kProtocol, "the client does not speak SSH");
    }
    const std::size_t bytes_max = ident ? limits::kIdentLineMax : limits::kPreIdentLineBytesMax;
    const std::string_view window = text.substr(0, bytes_max);
    const std::size_t newline = window.find('\n');
    const std::string_view seen = window.substr(0, newline);
    if (seen.find('\0') != std::string_view::npos) {
      return fail(ErrorCode::kProtocol, "NUL before the end of the identification string");
    }
    if (newline == std::string_view::npos) {
      if (text.size() >= bytes_max) {
        return fail(ErrorCode::kLimit, ident ? "identification string over 255 bytes"
                                             : "line before the identification string too long");
      }
      return scan;
    }
    const std::size_t line_bytes = newline + 1;
    if (ident && text.size() >= kPrefix.size()) {
      std::string_view line = seen;
      if (line.ends_with('\r')) {
        line.remove_suffix(1);
      }
      // A line such as "SSH" alone begins like the prefix and is shorter than it.
      if (line.starts_with(kPrefix)) {
        BASTION_TRY(check_ident(line));
        scan.consumed += line_bytes;
        scan.complete = true;
        scan.ident = line;
        return scan;
      }
    }
    if (role == Role::kServer) {
      return fail(ErrorCode::kProtocol, "the client does not speak SSH");
    }
    if (++pre_lines > limits::kPreIdentLinesMax) {
      return fail(ErrorCode::kLimit, "too many lines before the identification string");
    }
    scan.consumed += line_bytes;
  }
}

}  // namespace bastion::proto
