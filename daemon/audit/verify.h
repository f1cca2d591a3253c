#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/audit/chain.h"

namespace bastion::audit {

/// Problem is one thing that is wrong with a log: where, and in our words what.
struct Problem {
  std::string file;
  std::uint64_t line = 0;  // from 1; 0: the log as a whole
  std::string text;
};

struct Report {
  std::uint64_t num_lines = 0;
  std::uint64_t num_signatures = 0;  // that were verified
  std::uint64_t num_unchecked = 0;   // signatures that were not: no key was given
  std::uint64_t num_torn = 0;        // lines torn by a crash, told of by the line behind them
  std::uint64_t first_seq = 0;       // 0: the log is empty
  Head head;                         // the last whole line
  std::uint64_t signed_seq = 0;      // up to here a signature vouches for all lines
  std::uint64_t num_problems = 0;
  std::vector<Problem> problems;  // the first kProblemsMax of them
  static constexpr std::size_t kProblemsMax = 100;

  bool ok() const { return num_problems == 0; }
};

/// Verifier holds a log against its own chain and the audit keys: every line present, whole, in its
/// place and unchanged. Bytes in, a report out. A log may be in several files, which are given in
/// the order of their first numbers. What is missing at the front (files that were removed when
/// they were old) is no problem, but first_seq tells of it. What is missing at the end shows only
/// where the true head is known from elsewhere: expect().
class Verifier {
 public:
  /// Without keys the signatures are counted, not checked.
  explicit Verifier(std::vector<crypto::PublicKey> keys) : keys_(std::move(keys)) {}

  /// expect: the log must hold the line of this number with this hash.
  void expect(const Head& head) { expected_.push_back(head); }

  void begin_file(std::string file);
  /// feed takes the next bytes of the file, cut anywhere.
  void feed(std::string_view bytes);
  void end_file();
  Report finish();

 private:
  /// Lines whose hashes are kept for signatures that come some lines later.
  static constexpr std::size_t kHashesMax = 1 << 16;

  void take_line(std::string_view line);
  void check_signature(const Line& line);
  void problem(std::uint64_t line, std::string text);
  const HashText* hash_of(std::uint64_t seq) const;
  struct Bad {
    std::uint64_t line;
    HashText hash;
    std::string text;
  };

  std::vector<crypto::PublicKey> keys_;
  std::vector<Head> expected_;
  Report report_;
  std::string file_;
  std::uint64_t line_ = 0;
  std::string partial_;
  bool overlong_ = false;
  std::optional<Bad> bad_;  // the line before, which is none, unless this one says that it was torn
  std::deque<Head> recent_;
};

}  // namespace bastion::audit
