#include "daemon/worker/file_events.h"

#include <algorithm>
#include <cstdio>
#include <string>
#include <string_view>

namespace bastion::daemon {
namespace {

using audit::Key;
using proto::FileEvent;
using proto::FileOperation;
using proto::FileOutcome;
using proto::FileTool;

std::string_view name_of(FileTool tool) {
  switch (tool) {
    case FileTool::kSftp: return "sftp";
    case FileTool::kScp: return "scp";
    case FileTool::kRsync: return "rsync";
    case FileTool::kGit: return "git";
  }
  return {};
}

std::string_view name_of(FileOperation operation) {
  switch (operation) {
    case FileOperation::kOpen: return "open";
    case FileOperation::kClose: return "close";
    case FileOperation::kOpenDir: return "opendir";
    case FileOperation::kMkdir: return "mkdir";
    case FileOperation::kRmdir: return "rmdir";
    case FileOperation::kRemove: return "remove";
    case FileOperation::kRename: return "rename";
    case FileOperation::kSymlink: return "symlink";
    case FileOperation::kHardlink: return "hardlink";
    case FileOperation::kSetStat: return "setstat";
    case FileOperation::kCopy: return "copy";
    case FileOperation::kExtension: return "extension";
    case FileOperation::kLookup: return "lookup";
    case FileOperation::kTransfer: return "transfer";
    case FileOperation::kSession: return "session";
  }
  return {};
}

std::string_view name_of(FileOutcome outcome) {
  switch (outcome) {
    case FileOutcome::kDone: return "done";
    case FileOutcome::kFailed: return "failed";
    case FileOutcome::kRefused: return "refused";
    case FileOutcome::kUnanswered: return "unanswered";
  }
  return {};
}

std::string flags_text(std::uint32_t flags) {
  struct Flag {
    std::uint32_t bit;
    std::string_view name;
  };
  static constexpr Flag kFlags[] = {
      {proto::kFileRead, "read"},         {proto::kFileWrite, "write"},
      {proto::kFileAppend, "append"},     {proto::kFileCreate, "create"},
      {proto::kFileTruncate, "truncate"}, {proto::kFileExclusive, "exclusive"},
  };
  std::string out;
  for (const Flag& flag : kFlags) {
    if ((flags & flag.bit) != 0) {
      out.append(out.empty() ? "" : " ").append(flag.name);
    }
  }
  return out;
}

std::string attributes_text(const proto::FileAttributes& attributes) {
  std::string out;
  const auto add = [&out](std::string_view name, const std::string& value) {
    out.append(out.empty() ? "" : " ").append(name).append("=").append(value);
  };
  if (attributes.has_mode) {
    char mode[16];
    std::snprintf(mode, sizeof mode, "%04o", attributes.mode & 07777U);
    add("mode", mode);
  }
  if (attributes.has_owner) {
    add("uid", std::to_string(attributes.uid));
    add("gid", std::to_string(attributes.gid));
  }
  if (attributes.has_size) {
    add("size", std::to_string(attributes.size));
  }
  if (attributes.has_times) {
    add("atime", std::to_string(attributes.atime));
    add("mtime", std::to_string(attributes.mtime));
  }
  return out;
}

}  // namespace

audit::Event file_event(const FileEvent& event) {
  audit::Event out(audit::Name::kFile);
  out.text(Key::kTool, name_of(event.tool))
      .text(Key::kOperation, name_of(event.operation))
      .text(Key::kOutcome, name_of(event.outcome));
  if (event.file != 0) {
    out.number(Key::kFileNumber, event.file);
  }
  out.text(Key::kPath, event.path)
      .text(Key::kOtherPath, event.other_path)
      .text(Key::kName, event.name)
      .text(Key::kFlags, flags_text(event.open_flags))
      .text(Key::kAttributes, attributes_text(event.attributes));
  if (event.operation == FileOperation::kClose || event.operation == FileOperation::kTransfer) {
    out.number(Key::kBytesRead, event.bytes_read)
        .number(Key::kBytesWritten, event.bytes_written)
        .flag(Key::kWholeRead, event.whole_read)
        .flag(Key::kWholeWritten, event.whole_written);
  }
  const bool answered =
      event.outcome == FileOutcome::kDone || event.outcome == FileOutcome::kFailed;
  if (answered && event.operation != FileOperation::kSession) {
    out.number(Key::kStatus, event.status);
  }
  out.text(Key::kReason, event.reason).text(Key::kRule, event.rule);
  if (event.outcome != FileOutcome::kRefused && event.operation != FileOperation::kSession) {
    out.number(Key::kDurationUs,
               static_cast<std::uint64_t>(std::max<std::int64_t>(0, event.duration_us)));
  }
  return out;
}

}  // namespace bastion::daemon
