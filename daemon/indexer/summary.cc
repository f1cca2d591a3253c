#include "daemon/indexer/summary.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/escape.h"

namespace bastion::index {
namespace {

using recording::EntryKind;
using recording::RecordingReader;

/// A pause in the output after which a person has seen what stands there.
constexpr std::uint64_t kPauseUs = 100'000;
/// Without a pause, a look is taken after so much output.
constexpr std::size_t kLookBytes = 16 * 1024;
constexpr std::size_t kWhatMax = 200;
/// Text is full where a long line might not fit any more.
constexpr std::size_t kLineMost = screen::Screen::kJoinedBytesMax;
/// Screens at once: each has 8 MB at most, and the indexer's unit a GiB.
constexpr std::size_t kChannelsMax = 64;
/// What a list shows of a recording of which a search finds the beginning only.
constexpr std::string_view kCutNote = " (only the beginning can be searched)";
constexpr std::uint32_t kPlainColumns = 500;

void append(std::string& to, std::string_view text, std::size_t max) {
  if (!text.empty() && to.size() + text.size() + 1 <= max) {
    to.append(text).append("\n");
  }
}

/// Channel is one channel's screen.
struct Channel {
  std::unique_ptr<screen::Screen> shown;
  std::uint64_t last_us = 0;
  std::size_t unseen_bytes = 0;
};

class Summariser {
 public:
  explicit Summariser(Summary& summary) : summary_(summary) {}

  void take(const recording::Entry& entry) {
    Row& row = summary_.row;
    row.end_us = std::max(row.end_us, entry.time_us);
    switch (entry.kind) {
      case EntryKind::kPty:
        if (const auto pty = recording::parse_pty(entry.bytes); pty && may_have(entry.channel)) {
          look(channels_[entry.channel]);
          channels_[entry.channel].shown =
              std::make_unique<screen::Screen>(pty->size.columns, pty->size.rows, false, &budget_);
        }
        break;
      case EntryKind::kResize:
        if (const auto size = recording::parse_size(entry.bytes);
            size && channels_.contains(entry.channel) && channels_[entry.channel].shown) {
          look(channels_[entry.channel]);  // a smaller screen has lost what stood beyond it
          channels_[entry.channel].shown->resize(size->columns, size->rows);
        }
        break;
      case EntryKind::kStart: start(entry); break;
      case EntryKind::kStdout:
      case EntryKind::kStderr: output(entry); break;
      case EntryKind::kStdin:
        // Printable text only: what a paste or a command line holds; keys are not words.
        append(summary_.content.input, as_text(entry.bytes), kOtherTextMax);
        break;
      case EntryKind::kFile:
      case EntryKind::kForward: names(entry); break;
      case EntryKind::kChannelClose:
        if (const auto at = channels_.find(entry.channel); at != channels_.end()) {
          look(at->second);
          channels_.erase(at);
        }
        break;
      default: break;
    }
  }

  void finish() {
    for (auto& [number, channel] : channels_) {
      look(channel);
    }
    if (cut_) {
      summary_.row.what += kCutNote;
    }
  }

 private:
  bool may_have(std::uint32_t channel) const {
    return channels_.contains(channel) || channels_.size() < kChannelsMax;
  }

  void start(const recording::Entry& entry) {
    const auto started = recording::parse_start(entry.bytes);
    if (!started) {
      return;
    }
    std::string what = "shell";
    if (started->kind == recording::StartKind::kExec) {
      what = "exec: " + escaped(started->command, kWhatMax);
      append(summary_.content.command, started->command, kOtherTextMax);
    } else if (started->kind == recording::StartKind::kSubsystem) {
      what = escaped(started->command, kWhatMax);
    }
    std::string& all = summary_.row.what;
    if (all.size() + what.size() < kWhatMax + 8) {
      all += (all.empty() ? "" : ", ") + what;
    }
  }

  // names: what an operation or a forwarding was about; its other words would be found everywhere.
  void names(const recording::Entry& entry) {
    const auto json = nlohmann::json::parse(as_text(entry.bytes), nullptr, false);
    for (const char* name : {"path", "other_path", "name", "detail", "host"}) {
      if (json.is_object() && json.contains(name) && json[name].is_string()) {
        const std::string text = json[name].get<std::string>();
        if (seen_names_.insert(std::hash<std::string>()(text)).second) {
          append(summary_.content.file, text, kOtherTextMax);
        }
      }
    }
  }

  void output(const recording::Entry& entry) {
    cut_ = cut_ || is_full() || budget_.used_up() || !may_have(entry.channel);
    if (cut_) {
      return;
    }
    Channel& channel = channels_[entry.channel];
    if (!channel.shown) {
      channel.shown = std::make_unique<screen::Screen>(kPlainColumns, 50, true, &budget_);
    }
    if (entry.time_us - channel.last_us > kPauseUs || channel.unseen_bytes > kLookBytes) {
      look(channel);
    }
    channel.last_us = entry.time_us;
    channel.unseen_bytes += entry.bytes.size();
    channel.shown->write(entry.bytes);
  }

  void look(Channel& channel) {
    channel.unseen_bytes = 0;
    if (!channel.shown || is_full()) {
      return;
    }
    for (const std::string& line : channel.shown->shown()) {
      if (seen_.insert(std::hash<std::string>()(line)).second) {
        append(summary_.content.screen, line, kScreenTextMax);
      }
    }
  }

  bool is_full() const { return summary_.content.screen.size() + kLineMost >= kScreenTextMax; }

  Summary& summary_;
  screen::Screen::Budget budget_;  // of all its screens
  bool cut_ = false;               // output came that nothing was made of
  std::map<std::uint32_t, Channel> channels_;
  std::unordered_set<std::size_t> seen_;  // lines that are in the text already
  std::unordered_set<std::size_t> seen_names_;
};

}  // namespace

std::expected<Summary, std::string> summarise(const Files& files, const File& file,
                                              recording::Decompressor& decompressor,
                                              std::span<const recording::Identity> identities) {
  Summary summary;
  Row& row = summary.row;
  row.session = file.session;
  row.day = file.day;
  row.size = file.size;
  row.changed_ns = file.changed_ns;
  row.state = "open";
  RecordingReader reader(decompressor, identities);
  Summariser summariser(summary);
  const auto items = [&] {
    while (true) {
      const RecordingReader::Item item = reader.next();
      if (std::holds_alternative<RecordingReader::NeedBytes>(item)) {
        return true;
      }
      if (std::holds_alternative<recording::Problem>(item)) {
        return false;
      }
      if (const auto* metadata = std::get_if<recording::Metadata>(&item)) {
        row.user = metadata->user;
        row.login = metadata->login;
        row.target = metadata->target;
        row.rule = metadata->rule;
        row.from = metadata->from;
        row.start_us = metadata->start_us;
        row.end_us = std::max(row.end_us, metadata->start_us);
        row.encrypted = metadata->encrypted();
      } else if (const auto* entry = std::get_if<recording::Entry>(&item)) {
        summariser.take(*entry);
      } else if (const auto* end = std::get_if<recording::End>(&item)) {
        row.state = recording::end_state_name(end->state);
        row.end_us = std::max(row.start_us, end->end_us);
      }
    }
  };
  const auto read = files.read(file, [&](ByteView piece) {
    reader.feed(piece);
    return items();
  });
  if (!read) {
    return std::unexpected(read.error());
  }
  summariser.finish();
  const std::optional<recording::Problem> problem = reader.finish();
  // A block that is not whole yet is what an open file ends with; behind an end it is damage.
  if (problem && problem->kind != recording::ProblemKind::kUnsealed &&
      (problem->kind != recording::ProblemKind::kCut || row.state != "open")) {
    row.state = "damaged";
  }
  row.end_us = std::max(row.end_us, reader.blocks().last_time_us());
  return summary;
}

}  // namespace bastion::index
