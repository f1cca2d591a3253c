#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>
#include <map>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/secret.h"

namespace bastion::config {

/// FileKind says what a file holds, and so who else may read it and how large it may be.
enum class FileKind : std::uint8_t {
  kText,        // YAML, known_hosts: readable by anybody, 8 MiB
  kPublicKey,   // certificates: readable by anybody, 64 KiB
  kPrivateKey,  // readable by its owner only (and by our own or root's group), 64 KiB
};
std::size_t file_bytes_max(FileKind kind);

/// FileContents is a file's bytes, or one line that says what is wrong with the file and how to
/// cure it; the line does not repeat the path.
using FileContents = std::expected<SecretBytes, std::string>;

/// FileSource is where the loader gets files from. `path` is absolute or relative to the working
/// directory; see resolve_path for the paths inside files.
class FileSource {
 public:
  virtual ~FileSource() = default;
  virtual FileContents read(const std::string& path, FileKind kind) const = 0;
};

/// SystemFiles reads the real file system, in the spirit of sshd's StrictModes:
/// - The file is opened with O_NOFOLLOW, O_NONBLOCK and O_CLOEXEC. It must be a regular file, not a
///   symbolic link; the folders on the way may be links.
/// - It belongs to root or to us, and neither group nor others may write to it.
/// - A private key may be read by its owner, and by its group if that is root's or our own.
/// - Its folder, and every folder above that, belongs to root or to us, and others may not write to
///   it unless it is sticky. Where a link is on the way, these are the folders that it leads to.
class SystemFiles final : public FileSource {
 public:
  FileContents read(const std::string& path, FileKind kind) const override;
};

/// FileBundle is a set of files in memory. The supervisor makes one while it loads and checks the
/// configuration, and passes it on; the warden, which has no files, loads from it.
class FileBundle final : public FileSource {
 public:
  void add(std::string path, SecretBytes contents);
  /// read gives a copy. A path that is not in the bundle is an error, whatever the file system has.
  FileContents read(const std::string& path, FileKind kind) const override;
  bool contains(const std::string& path) const { return files_.contains(path); }
  std::size_t size() const { return files_.size(); }

  /// serialise and parse are for a memfd between processes of one build.
  SecretBytes serialise() const;
  static Result<FileBundle> parse(ByteView bytes);

 private:
  std::map<std::string, SecretBytes> files_;
};

/// CollectingFiles reads from another source and keeps what was read in a bundle. Both live longer.
class CollectingFiles final : public FileSource {
 public:
  CollectingFiles(const FileSource& source, FileBundle& bundle)
      : source_(source), bundle_(bundle) {}
  FileContents read(const std::string& path, FileKind kind) const override;

 private:
  const FileSource& source_;
  FileBundle& bundle_;
};

/// resolve_path gives the path that `named` means in the file `in_file`: itself where it is
/// absolute, else relative to the folder of that file.
std::string resolve_path(std::string_view in_file, std::string_view named);

}  // namespace bastion::config
