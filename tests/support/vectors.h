#pragma once

#include <fstream>
#include <map>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include "tests/support/hex.h"
#include "tests/support/test_data.h"

namespace bastion::test {

/// Vector is one record of a file in tests/vectors: "name = value" lines up to an empty one. It
/// throws for a field that is not there, and remembers which were read: a test that ends with
/// unread() not empty has not looked at everything that its vectors say.
class Vector {
 public:
  void set(const std::string& name, std::string value) { fields_[name] = std::move(value); }
  bool empty() const { return fields_.empty(); }

  const std::string& text(const std::string& name) const {
    const auto found = fields_.find(name);
    if (found == fields_.end()) {
      throw std::out_of_range("vector without a field " + name);
    }
    read_.insert(name);
    return found->second;
  }
  Bytes hex(const std::string& name) const { return from_hex(text(name)); }
  std::uint64_t number(const std::string& name) const { return std::stoull(text(name)); }

  std::string unread() const {
    std::string names;
    for (const auto& [name, value] : fields_) {
      names += read_.contains(name) ? "" : name + " ";
    }
    return names;
  }

 private:
  std::map<std::string, std::string> fields_;
  mutable std::set<std::string> read_;
};

/// read_vectors gives all records of tests/vectors/`name`; it throws where there are none.
inline std::vector<Vector> read_vectors(const std::string& name) {
  std::ifstream file(test_data("vectors/" + name));
  std::vector<Vector> records;
  Vector record;
  const auto finish = [&] {
    if (!record.empty()) {
      records.push_back(std::exchange(record, {}));
    }
  };
  for (std::string line; std::getline(file, line);) {
    if (line.empty()) {
      finish();
    } else if (line[0] != '#') {
      const std::size_t equals = line.find(" =");
      if (equals == std::string::npos) {
        throw std::runtime_error("not a vector's line: " + line);
      }
      const std::size_t value = line.find_first_not_of(' ', equals + 2);
      record.set(line.substr(0, equals), value == std::string::npos ? "" : line.substr(value));
    }
  }
  finish();
  if (records.empty()) {
    throw std::runtime_error("no vectors in " + name);
  }
  return records;
}

}  // namespace bastion::test
