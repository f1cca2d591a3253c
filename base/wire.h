#pragma once

#include <algorithm>
#include <optional>

#include "base/bytes.h"
#include "base/result.h"
#include "base/secret.h"

namespace bastion {

/// Reader takes the data types of RFC 4251 5 out of a byte string, in order. The first failure
/// sticks: later reads give empty values and ok() is false, so that a parser can read all fields
/// and check once. Views point into the bytes given at construction and live as long as those.
/// No count or length ever makes it allocate.
class Reader {
 public:
  explicit Reader(ByteView bytes) : rest_(bytes) {}

  std::uint8_t u8();
  /// boolean accepts 0 and 1 only, as our own writer writes; use `lenient_boolean` where RFC 4251 5
  /// obliges us to take any non-zero value as TRUE.
  bool boolean();
  bool lenient_boolean();
  std::uint32_t u32();
  std::uint64_t u64();
  ByteView bytes(std::size_t n);
  /// string: a 4-byte length and that many bytes, at most `max`.
  ByteView string(std::size_t max = SIZE_MAX);
  std::string_view text(std::size_t max = SIZE_MAX) { return as_text(string(max)); }
  /// mpint gives the magnitude of a non-negative mpint without its leading zero; negative and
  /// non-minimal encodings fail.
  ByteView mpint();

  ByteView rest() const { return rest_; }
  bool ok() const { return ok_; }
  /// done is true where everything was read and nothing is left over.
  bool done() const { return ok_ && rest_.empty(); }
  void set_failed() {
    ok_ = false;
    rest_ = {};
  }

 private:
  ByteView rest_;
  bool ok_ = true;
};

/// BasicWriter appends RFC 4251 5 data types to a vector of its own or to one that it is lent.
template <typename Buffer>
class BasicWriter {
 public:
  BasicWriter() : out_(&own_) {}
  explicit BasicWriter(Buffer& out) : out_(&out) {}
  BasicWriter(const BasicWriter&) = delete;
  BasicWriter& operator=(const BasicWriter&) = delete;

  BasicWriter& u8(std::uint8_t v) { return bytes({&v, 1}); }
  BasicWriter& boolean(bool v) { return u8(v ? 1 : 0); }
  BasicWriter& u32(std::uint32_t v) {
    std::uint8_t b[4];
    store_u32(b, v);
    return bytes(b);
  }
  BasicWriter& u64(std::uint64_t v) {
    std::uint8_t b[8];
    store_u64(b, v);
    return bytes(b);
  }
  BasicWriter& bytes(ByteView v) {
    if (out_->capacity() - out_->size() < v.size()) {
      grow(v.size());
    }
    out_->insert(out_->end(), v.begin(), v.end());
    return *this;
  }
  BasicWriter& string(ByteView v) {
    u32(static_cast<std::uint32_t>(v.size()));
    return bytes(v);
  }
  BasicWriter& text(std::string_view v) { return string(as_bytes(v)); }
  /// mpint writes a non-negative big-endian magnitude (leading zeros allowed) as RFC 4251 5 says.
  BasicWriter& mpint(ByteView magnitude) {
    while (!magnitude.empty() && magnitude.front() == 0) {
      magnitude = magnitude.subspan(1);
    }
    const bool pad = !magnitude.empty() && (magnitude.front() & 0x80) != 0;
    u32(static_cast<std::uint32_t>(magnitude.size() + (pad ? 1 : 0)));
    if (pad) {
      u8(0);
    }
    return bytes(magnitude);
  }

  ByteView view() const { return *out_; }
  std::size_t size() const { return out_->size(); }
  /// take gives the written bytes away; only for a writer with a vector of its own.
  Buffer take() { return std::move(*out_); }

 private:
  /// Most of what is written is a few dozen to a few hundred bytes in many small pieces: from one
  /// byte on, doubling would move (and wipe) them eight times.
  static constexpr std::size_t kFirstBytes = 256;
  void grow(std::size_t more) {
    out_->reserve(std::max({kFirstBytes, 2 * out_->capacity(), out_->size() + more}));
  }

  Buffer own_;
  Buffer* out_;
};

using Writer = BasicWriter<Bytes>;
using SecretWriter = BasicWriter<SecretBytes>;

}  // namespace bastion
