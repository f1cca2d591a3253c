#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "crypto/keys.h"
#include "daemon/recording/format.h"
#include "daemon/recording/metadata.h"
#include "daemon/recording/problem.h"
#include "daemon/recording/reader.h"

namespace bastion::recording {

/// How far a file can be trusted.
enum class Verdict : std::uint8_t {
  kProven,    // whole, sealed, and signed by one of the keys given
  kUnproven,  // whole and sealed, but no key was given to check the signature with
  kUnsealed,  // all blocks right, but no end or, where a key was given, no signature: still being
              // recorded, or its tail is missing
  kBad,       // damaged, changed, cut, or signed by another
};
std::string_view verdict_name(Verdict verdict);

/// VerifyResult says all that verification found. Up to `head` the file is right in any case.
struct VerifyResult {
  Verdict verdict = Verdict::kBad;
  std::optional<Problem> problem;  // what keeps it from kProven, but for a key that was not given
  std::optional<Metadata> metadata;
  std::optional<End> end;
  std::optional<Signature> signature;
  std::uint64_t num_blocks = 0;
  Totals totals;  // of the blocks: entries and raw_bytes
  std::uint64_t last_time_us = 0;
  BlockHeader last_header;
  Head head;
};

/// Verifier takes a file's bytes in any pieces. It needs no decryption key.
class Verifier {
 public:
  /// `session_id` is what the file's name says; empty: not compared. `keys`: the audit keys that
  /// are believed; none: signatures are not checked.
  Verifier(std::string_view session_id, std::span<const crypto::PublicKey> keys)
      : session_id_(session_id), keys_(keys) {}

  /// expect: the file must have this block, with this hash; what else knows it, such as the audit
  /// log, says so. The offset is not looked at.
  void expect(const Head& block) { expected_.push_back(block); }

  /// feed takes bytes; false: it is bad, and more of it changes nothing.
  bool feed(ByteView bytes);
  VerifyResult finish();

 private:
  std::optional<ProblemKind> take(const Block& block);
  std::optional<ProblemKind> signature_problem();
  bool is_expected(const Head& block) const;
  void add(const Problem& problem);

  std::string session_id_;
  std::span<const crypto::PublicKey> keys_;
  BlockReader reader_;
  Head end_head_;
  std::vector<Head> expected_;
  bool stopped_ = false;
  VerifyResult result_;
};

}  // namespace bastion::recording
