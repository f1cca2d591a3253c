#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace bastion::config {

/// Problem is one thing that is wrong in a file that a person wrote: where, what was found and what
/// was expected. Lines and columns count from 1; 0 means that the place is not known.
struct Problem {
  std::string file;
  int line = 0;
  int column = 0;
  std::string message;

  /// text: "FILE:LINE:COLUMN: message", without the numbers that are not known.
  std::string text() const;
  friend bool operator==(const Problem&, const Problem&) = default;
};

/// Problems collects all that was found, so that a person can mend a file in one go.
/// An error refuses the configuration; a warning does not.
struct Problems {
  std::vector<Problem> errors;
  std::vector<Problem> warnings;

  bool ok() const { return errors.empty(); }
  /// text has one line for each, errors first; a warning's message begins with "warning: ".
  std::string text() const;
};

}  // namespace bastion::config
