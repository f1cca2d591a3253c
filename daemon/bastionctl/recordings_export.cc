#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <expected>
#include <memory>
#include <utility>

#include "daemon/bastionctl/asciicast.h"
#include "daemon/bastionctl/recordings.h"
#include "daemon/bastionctl/terminal.h"
#include "daemon/screen/screen.h"
#include "daemon/unique_fd.h"

namespace bastion::ctl {
namespace {

using recording::Entry;
using recording::EntryKind;

/// Output is the file or stdout. The first failure sticks.
class Output {
 public:
  explicit Output(std::FILE* file) : file_(file) {}
  void write(std::string_view bytes) {
    ok_ = ok_ && std::fwrite(bytes.data(), 1, bytes.size(), file_) == bytes.size();
  }
  bool ok() const { return ok_; }

 private:
  std::FILE* file_;
  bool ok_ = true;
};

/// Writer takes one channel's entries.
class Writer {
 public:
  virtual ~Writer() = default;
  virtual void take(const Entry& entry, Output& out) = 0;
  virtual void finish(Output& out) = 0;
  /// left_out says what is missing; empty: nothing.
  virtual std::string_view left_out() const { return {}; }
};

class RawWriter final : public Writer {
 public:
  explicit RawWriter(const std::string& stream)
      : kind_(stream == "stdin"    ? EntryKind::kStdin
              : stream == "stderr" ? EntryKind::kStderr
                                   : EntryKind::kStdout) {}
  void take(const Entry& entry, Output& out) override {
    if (entry.kind == kind_) {
      out.write(as_text(entry.bytes));
    }
  }
  void finish(Output& /*out*/) override {}

 private:
  EntryKind kind_;
};

class TextWriter final : public Writer {
 public:
  void take(const Entry& entry, Output& /*out*/) override {
    if (entry.kind == EntryKind::kPty) {
      if (const auto pty = recording::parse_pty(entry.bytes)) {
        screen_ =
            std::make_unique<screen::Screen>(pty->size.columns, pty->size.rows, false, &budget_);
      }
    } else if (entry.kind == EntryKind::kResize) {
      if (const auto size = recording::parse_size(entry.bytes); size && screen_) {
        screen_->resize(size->columns, size->rows);
      }
    } else if (entry.kind == EntryKind::kStdout || entry.kind == EntryKind::kStderr) {
      if (!screen_) {
        screen_ = std::make_unique<screen::Screen>(screen::Screen::kColumnsMax, 50, true, &budget_);
      }
      // What an editor shows is kept as it stood before its last output.
      (void)screen_->shown();
      screen_->write(entry.bytes);
    }
  }
  void finish(Output& out) override {
    if (screen_) {
      for (const std::string& line : screen_->transcript()) {
        out.write(line + "\n");
      }
    }
  }
  std::string_view left_out() const override {
    return budget_.used_up() ? "the text ends where it took too long to make: --format raw has all"
                             : std::string_view();
  }

 private:
  /// A minute or two of a processor.
  screen::Screen::Budget budget_{.cells = std::uint64_t{1} << 31};
  std::unique_ptr<screen::Screen> screen_;
};

class CastWriter final : public Writer {
 public:
  CastWriter(int version, const recording::Metadata& metadata) : version_(version) {
    header_.start_us = metadata.start_us;
    header_.title = metadata.user + " as " + metadata.login + "@" + metadata.target + " (" +
                    metadata.session + ")";
  }
  void take(const Entry& entry, Output& out) override {
    if (cast_ == nullptr && entry.kind == EntryKind::kPty) {
      if (const auto pty = recording::parse_pty(entry.bytes)) {
        header_.columns = pty->size.columns;
        header_.rows = pty->size.rows;
        header_.term = pty->term;
      }
      return;
    }
    if (cast_ == nullptr && entry.kind == EntryKind::kStart) {
      if (const auto start = recording::parse_start(entry.bytes)) {
        header_.command = start->command;
      }
      header_.start_us = entry.time_us;
      begin(out);
      return;
    }
    if (cast_ == nullptr && recording::is_stream(entry.kind)) {
      begin(out);
    }
    if (cast_ != nullptr) {
      out.write(cast_->event(entry));
    }
  }
  void finish(Output& out) override {
    if (cast_ == nullptr) {
      begin(out);
    }
    out.write(cast_->finish());
  }

 private:
  void begin(Output& out) {
    cast_ = std::make_unique<Asciicast>(version_, header_);
    out.write(cast_->header());
  }

  int version_;
  Asciicast::Header header_;
  std::unique_ptr<Asciicast> cast_;
};

/// open_output makes the file, or takes one that is ours: who exports may be root, in a folder
/// where somebody else could have put a link to another file, or a file of his own to read along.
/// What is no file (a pipe, a device) is taken as it is. An error says why not.
std::expected<daemon::UniqueFd, std::string> open_output(const std::string& path) {
  daemon::UniqueFd fd(
      open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (fd || errno != EEXIST) {
    return fd ? std::expected<daemon::UniqueFd, std::string>(std::move(fd))
              : std::unexpected(std::string(std::strerror(errno)));
  }
  fd.reset(open(path.c_str(), O_WRONLY | O_NOFOLLOW | O_CLOEXEC));
  struct stat found{};
  if (!fd || fstat(fd.get(), &found) != 0) {
    return std::unexpected(errno == ELOOP ? std::string("it is a link: name the file itself")
                                          : std::string(std::strerror(errno)));
  }
  const bool is_file = S_ISREG(found.st_mode);
  const bool ours = found.st_uid == geteuid() || (!is_file && found.st_uid == 0);
  if (!ours || (is_file && found.st_nlink != 1)) {
    return std::unexpected("it is there, and somebody else's: name another");
  }
  if (!is_file) {
    return fd;
  }
  // What was recorded is for those who may read the recording.
  if (fchmod(fd.get(), 0600) != 0 || ftruncate(fd.get(), 0) != 0) {
    return std::unexpected(std::string(std::strerror(errno)));
  }
  return fd;
}

struct CloseFile {
  void operator()(std::FILE* file) const {
    if (file != stdout) {
      std::fclose(file);
    }
  }
};

}  // namespace

int recordings_export(const RecordingsOptions& options) {
  if (options.output.empty() && options.format == "raw" && isatty(STDOUT_FILENO)) {
    return complain("raw bytes of a recording can do anything to a terminal: give -o FILE", 2);
  }
  const auto recordings = Recordings::open(options);
  if (!recordings) {
    return complain(recordings.error(), 3);
  }
  const auto file = recordings->find(options.id);
  if (!file) {
    return complain(file.error(), 1);
  }
  std::optional<std::uint32_t> channel = options.channel;
  if (!channel) {
    const auto main = main_channel(*recordings, *file);
    if (!main) {
      return complain(main.error(), 3);
    }
    if (*main) {
      channel = (*main)->number;
      if ((*main)->others > 0) {
        (void)complain("channel " + std::to_string(*channel) + " of " +
                           std::to_string((*main)->others + 1) + "; --channel N for another",
                       0);
      }
    }
  }
  // What cannot be read makes no file, and empties none.
  const auto readable = recordings->read(*file, [](const recording::RecordingReader::Item& item) {
    return !std::holds_alternative<Entry>(item);
  });
  if (readable && readable->hidden) {
    return say_outcome(*readable);
  }
  std::unique_ptr<std::FILE, CloseFile> to(stdout);
  if (!options.output.empty()) {
    auto fd = open_output(options.output);
    to.reset(fd ? fdopen(fd->get(), "wb") : nullptr);
    if (!to) {
      return complain(
          "cannot write " + options.output + ": " + (fd ? std::strerror(errno) : fd.error()), 1);
    }
    (void)fd->release();
  }
  Output out(to.get());
  std::unique_ptr<Writer> writer;
  const auto outcome = recordings->read(*file, [&](const recording::RecordingReader::Item& item) {
    if (const auto* metadata = std::get_if<recording::Metadata>(&item)) {
      if (options.format == "raw") {
        writer = std::make_unique<RawWriter>(options.stream);
      } else if (options.format == "text") {
        writer = std::make_unique<TextWriter>();
      } else {
        writer = std::make_unique<CastWriter>(options.cast_version, *metadata);
      }
    } else if (const auto* entry = std::get_if<Entry>(&item)) {
      if (entry->channel == channel) {
        writer->take(*entry, out);
      }
    }
    return out.ok();
  });
  if (!outcome) {
    return complain(outcome.error(), 3);
  }
  if (writer && !outcome->hidden) {
    writer->finish(out);
  }
  if (!out.ok() || std::fflush(to.get()) != 0) {
    return complain("cannot write: " + std::string(std::strerror(errno)), 1);
  }
  if (writer && !writer->left_out().empty()) {
    return complain(writer->left_out(), 1);
  }
  return say_outcome(*outcome);
}

}  // namespace bastion::ctl
