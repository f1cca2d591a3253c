#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "crypto/keys.h"
#include "daemon/audit/verify.h"
#include "daemon/recording/format.h"

namespace bastion::ctl {

/// Told is what an audit log says of one session's recording.
struct Told {
  std::string day;                      // its folder; empty: the log does not say
  bool removed = false;                 // by retention: it need not be there
  std::optional<recording::Head> last;  // seq and hash of a block: the last while it was open, …
  std::optional<recording::Head> end;   // … and the end block
};

/// ToldRecordings is an audit log as one who looks after recordings reads it
/// (docs/audit-events.md).
class ToldRecordings {
 public:
  /// read takes all files of the log, oldest first, and holds it against itself and the audit keys.
  /// The error is one line: a file that cannot be read.
  static std::expected<ToldRecordings, std::string> read(const std::string& path,
                                                         std::vector<crypto::PublicKey> keys);

  /// take reads one line; what tells of no recording is passed over.
  void take(std::string_view line);

  const Told* find(const std::string& session) const;
  const std::unordered_map<std::string, Told>& sessions() const { return sessions_; }
  /// first_us is the time of the first line: of what began before, the log need not tell.
  std::uint64_t first_us() const { return first_us_.value_or(UINT64_MAX); }
  /// report is whether the log itself is good.
  const audit::Report& report() const { return report_; }

 private:
  std::unordered_map<std::string, Told> sessions_;
  std::optional<std::uint64_t> first_us_;
  audit::Report report_;
};

}  // namespace bastion::ctl
