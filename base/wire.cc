#include "base/wire.h"

namespace bastion {

ByteView Reader::bytes(std::size_t n) {
  if (!ok_ || rest_.size() < n) {
    set_failed();
    return {};
  }
  const ByteView taken = rest_.first(n);
  rest_ = rest_.subspan(n);
  return taken;
}

std::uint8_t Reader::u8() {
  const ByteView b = bytes(1);
  return b.empty() ? std::uint8_t{0} : b[0];
}

bool Reader::boolean() {
  const std::uint8_t v = u8();
  if (v > 1) {
    set_failed();
  }
  return v == 1;
}

bool Reader::lenient_boolean() { return u8() != 0; }

std::uint32_t Reader::u32() {
  const ByteView b = bytes(4);
  return b.empty() ? 0 : load_u32(b.data());
}

std::uint64_t Reader::u64() {
  const ByteView b = bytes(8);
  return b.empty() ? 0 : load_u64(b.data());
}

ByteView Reader::string(std::size_t max) {
  const std::uint32_t n = u32();
  if (n > max) {
    set_failed();
    return {};
  }
  return bytes(n);
}

ByteView Reader::mpint() {
  ByteView v = string();
  if (v.empty()) {
    return v;
  }
  if ((v[0] & 0x80) != 0 || (v[0] == 0 && (v.size() == 1 || (v[1] & 0x80) == 0))) {
    set_failed();
    return {};
  }
  return v[0] == 0 ? v.subspan(1) : v;
}

}  // namespace bastion
