#pragma once

#include <memory>
#include <optional>

#include "base/bytes.h"

struct ZSTD_CCtx_s;
struct ZSTD_DCtx_s;

namespace bastion::recording {

/// Compressor and Decompressor hold zstd's contexts (about 1 MiB and 160 KiB): one per process,
/// whatever the number of files. Not thread-safe.
class Compressor {
 public:
  Compressor();
  ~Compressor();
  Compressor(const Compressor&) = delete;
  Compressor& operator=(const Compressor&) = delete;

  /// compress appends one zstd frame to `out`. false: it would not be smaller; `out` is as it was.
  bool compress(ByteView raw, Bytes& out);

 private:
  ZSTD_CCtx_s* context_;
};

class Decompressor {
 public:
  Decompressor();
  ~Decompressor();
  Decompressor(const Decompressor&) = delete;
  Decompressor& operator=(const Decompressor&) = delete;

  /// decompress takes one frame that gives exactly out.size() bytes and nothing after it.
  bool decompress(ByteView frame, MutBytes out);

 private:
  ZSTD_DCtx_s* context_;
};

}  // namespace bastion::recording
