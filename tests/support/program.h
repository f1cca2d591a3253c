#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"

namespace bastion::test {

/// ProgramResult is what a program left behind: its exit code (-1 where it did not exit by itself)
/// and what it wrote to standard output and standard error, together.
struct ProgramResult {
  int exit_code = -1;
  std::string output;
};

/// run_program runs argv[0], found on the PATH, without a shell and without a terminal, feeds it
/// `input` and waits for its end. It throws where the program cannot be started.
ProgramResult run_program(const std::vector<std::string>& argv, std::string_view input = {});

/// TempDir is a folder of its own, 0700, removed with all that is in it.
class TempDir {
 public:
  TempDir();
  ~TempDir();
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;

  const std::filesystem::path& path() const { return path_; }
  /// write makes a file of mode 0600 and gives its path; read takes one whole.
  std::string write(std::string_view name, ByteView content) const;
  Bytes read(std::string_view name) const;
  std::string file(std::string_view name) const { return (path_ / name).string(); }

 private:
  std::filesystem::path path_;
};

/// read_file takes a file whole; it throws where it cannot.
Bytes read_file(const std::filesystem::path& path);

}  // namespace bastion::test
