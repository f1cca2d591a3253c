#pragma once

#include <memory>
#include <string>

#include "proto/bridge.h"
#include "proto/file_commands.h"
#include "proto/scp_stream.h"
#include "proto/sftp_stream.h"

/// The part of a bridge's channel that watches files; proto/bridge_*.cc alone include it.
namespace bastion::proto {

/// FileStage is what watches one channel whose use moves files, and tells the bridge's owner.
class FileStage final : public FileEvents {
 public:
  /// Tells is how an event finds its channel.
  class Tells {
   public:
    virtual ~Tells() = default;
    virtual void tell_file(ChannelNumber number, const FileEvent& event) = 0;
    virtual void tell_file_data(ChannelNumber number, const FileData& data) = 0;
  };

  /// make gives the stage for what a channel runs; null where it moves no files that we know of.
  /// `command` is of exec, or the subsystem's name. All arguments outlive it but the text.
  static std::unique_ptr<FileStage> make(Tells& tells, ChannelNumber number, ChannelUse use,
                                         std::string_view command, const Permissions& permissions,
                                         std::int64_t now_us);

  SftpStream* sftp() { return sftp_.get(); }
  const SftpStream* sftp() const { return sftp_.get(); }
  ScpStream* scp() { return scp_.get(); }
  bool congested() const { return sftp_ != nullptr && sftp_->congested(); }
  /// finish tells of what has not ended; `whole` is the channel in figures.
  void finish(const ChannelInfo& whole, std::int64_t now_us);

  void file_event(const FileEvent& event) override { tells_.tell_file(number_, event); }
  void file_data(const FileData& data) override { tells_.tell_file_data(number_, data); }

 private:
  FileStage(Tells& tells, ChannelNumber number) : tells_(tells), number_(number) {}

  Tells& tells_;
  ChannelNumber number_;
  std::unique_ptr<SftpStream> sftp_;
  std::unique_ptr<ScpStream> scp_;
  FileCommand::Kind kind_ = FileCommand::Kind::kNone;
  std::string command_;
  std::string paths_;
  std::int64_t begun_us_ = 0;
  bool finished_ = false;
};

/// file_rules_of gives the rules for what a channel runs.
const FileRules& file_rules_of(const Permissions& permissions, ChannelUse use);

}  // namespace bastion::proto
