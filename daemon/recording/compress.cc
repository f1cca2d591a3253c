#include "daemon/recording/compress.h"

#include <zstd.h>

#include <cstdlib>

namespace bastion::recording {
namespace {

/// Level 1 keeps one core ahead of two legs at full speed; 3 costs half as much again for 5 % less.
constexpr int kLevel = 1;

}  // namespace

Compressor::Compressor() : context_(ZSTD_createCCtx()) {
  if (context_ == nullptr) {
    std::abort();  // no memory for the process's one context
  }
}

Compressor::~Compressor() { ZSTD_freeCCtx(context_); }

bool Compressor::compress(ByteView raw, Bytes& out) {
  if (raw.size() < 2) {
    return false;
  }
  const std::size_t before = out.size();
  // One octet less than raw: whatever does not fit is stored as it is.
  out.resize(before + raw.size() - 1);
  const std::size_t len = ZSTD_compressCCtx(context_, out.data() + before, raw.size() - 1,
                                            raw.data(), raw.size(), kLevel);
  if (ZSTD_isError(len) != 0) {
    out.resize(before);
    return false;
  }
  out.resize(before + len);
  return true;
}

Decompressor::Decompressor() : context_(ZSTD_createDCtx()) {
  if (context_ == nullptr) {
    std::abort();  // no memory for the process's one context
  }
}

Decompressor::~Decompressor() { ZSTD_freeDCtx(context_); }

bool Decompressor::decompress(ByteView frame, MutBytes out) {
  if (ZSTD_getFrameContentSize(frame.data(), frame.size()) != out.size() ||
      ZSTD_findFrameCompressedSize(frame.data(), frame.size()) != frame.size()) {
    return false;
  }
  const std::size_t len =
      ZSTD_decompressDCtx(context_, out.data(), out.size(), frame.data(), frame.size());
  return ZSTD_isError(len) == 0 && len == out.size();
}

}  // namespace bastion::recording
