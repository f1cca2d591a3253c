// A recording from anybody: the reader takes it or says what is wrong, and never reads past the
// end. The first octet: 0 as it comes, else with the hashes and the chain made right, so that what
// is inside is reached. Verification and reading agree on what the blocks are.
#include <algorithm>
#include <cstdint>
#include <cstdlib>

#include "crypto/hash.h"
#include "daemon/recording/little_endian.h"
#include "daemon/recording/reader.h"
#include "daemon/recording/verify.h"

namespace {

using namespace bastion;
using namespace bastion::recording;

/// mend gives each block its number, the previous hash and its own.
void mend(Bytes& file) {
  Hash32 previous{};
  std::uint64_t seq = 0;
  for (std::size_t at = 0; file.size() - at >= kBlockOverhead; ++seq) {
    const std::size_t stored = load_le32(file.data() + at + 8);
    if (stored > file.size() - at - kBlockOverhead) {
      return;
    }
    store_le64(file.data() + at + 16, seq);
    std::ranges::copy(previous, file.begin() + static_cast<std::ptrdiff_t>(at + kHeaderLen));
    const std::size_t hashed = kHeaderLen + kHashLen + stored;
    const crypto::Digest hash =
        crypto::hash(crypto::HashAlgorithm::kSha256, ByteView(file).subspan(at, hashed));
    std::ranges::copy(hash.view(), previous.begin());
    std::ranges::copy(previous, file.begin() + static_cast<std::ptrdiff_t>(at + hashed));
    at += hashed + kHashLen;
  }
}

std::uint64_t read_all(ByteView file, std::size_t piece) {
  static Decompressor decompressor;
  RecordingReader reader(decompressor, {});
  std::uint64_t octets = 0;
  while (true) {
    const auto item = reader.next();
    if (std::holds_alternative<RecordingReader::NeedBytes>(item)) {
      if (file.empty()) {
        break;
      }
      const std::size_t n = std::min(piece, file.size());
      reader.feed(file.first(n));
      file = file.subspan(n);
    } else if (const auto* entry = std::get_if<Entry>(&item)) {
      octets += 1 + entry->bytes.size();
      (void)parse_pty(entry->bytes);
      (void)parse_start(entry->bytes);
      (void)parse_env(entry->bytes);
      (void)parse_exit_signal(entry->bytes);
      (void)parse_cap(entry->bytes);
    } else if (std::holds_alternative<Problem>(item)) {
      break;
    }
  }
  (void)reader.finish();
  return octets;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) {
    return 0;
  }
  Bytes file(data + 1, data + size);
  if (data[0] != 0) {
    mend(file);
  }
  if (read_all(file, file.size() + 1) != read_all(file, 61)) {
    std::abort();  // how the bytes come must not matter
  }
  Verifier verifier({}, {});
  verifier.feed(file);
  const VerifyResult result = verifier.finish();
  if (result.verdict != Verdict::kBad && result.head.offset != file.size()) {
    std::abort();  // bytes that nothing vouches for
  }
  return 0;
}
