// The identification string, in both roles: the first byte of the input is the role.
#include <cstdlib>

#include "base/limits.h"
#include "proto/ident.h"

using namespace bastion;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) {
    return 0;
  }
  const proto::Role role = data[0] % 2 == 0 ? proto::Role::kServer : proto::Role::kClient;
  const ByteView in(data + 1, size - 1);
  std::size_t pre_lines = 0;
  const auto whole = proto::scan_ident(role, in, pre_lines);
  if (whole && whole->consumed > in.size()) {
    std::abort();
  }
  if (whole && whole->complete &&
      (whole->ident.size() > limits::kIdentLineMax || !whole->ident.starts_with("SSH-") ||
       whole->ident.find('\n') != std::string_view::npos)) {
    std::abort();
  }
  // A byte at a time must come to the same end.
  std::size_t lines = 0;
  std::size_t pos = 0;
  for (std::size_t end = 0; end <= in.size() && in.size() < 4096; ++end) {
    const auto part = proto::scan_ident(role, in.subspan(pos, end - pos), lines);
    if (!part) {
      if (whole && whole->complete) {
        std::abort();
      }
      break;
    }
    pos += part->consumed;
    if (part->complete) {
      if (!whole || !whole->complete || pos != whole->consumed) {
        std::abort();
      }
      break;
    }
  }
  return 0;
}
