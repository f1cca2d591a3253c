#include "config/problem.h"

namespace bastion::config {

std::string Problem::text() const {
  std::string out = file;
  if (line > 0) {
    out += ":" + std::to_string(line);
    if (column > 0) {
      out += ":" + std::to_string(column);
    }
  }
  return out + ": " + message;
}

std::string Problems::text() const {
  std::string out;
  for (const Problem& problem : errors) {
    out += problem.text() + "\n";
  }
  for (const Problem& problem : warnings) {
    Problem marked = problem;
    marked.message = "warning: " + problem.message;
    out += marked.text() + "\n";
  }
  return out;
}

}  // namespace bastion::config
