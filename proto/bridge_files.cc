#include "proto/bridge_files.h"

#include <algorithm>
#include <utility>

#include "proto/bridge_state.h"
#include "proto/connection_messages.h"

namespace bastion::proto {
namespace {

/// Onward sends what passes of one message on to the other side.
class Onward final : public SftpOutput {
 public:
  Onward(PacketSink& sink, const ChannelSide& target, Payload payload, std::size_t header_len)
      : sink_(sink), target_(target), payload_(payload), header_len_(header_len) {}

  void pass(MutBytes piece) override {
    if (piece.size() + header_len_ == payload_.len && piece.size() <= target_.max_packet) {
      store_u32(payload_.data + 1, target_.peer_number);
      sink_.send_in_place(payload_);
      return;
    }
    send_data_in_pieces(sink_, target_.peer_number, piece, header_len_, target_.max_packet);
  }
  void pass_kept(ByteView bytes) override {
    while (!bytes.empty()) {
      const std::size_t n = std::min<std::size_t>(bytes.size(), target_.max_packet);
      send_channel_data(sink_, target_.peer_number, as_text(bytes.first(n)));
      bytes = bytes.subspan(n);
    }
  }

 private:
  PacketSink& sink_;
  const ChannelSide& target_;
  Payload payload_;
  std::size_t header_len_;
};

std::string join(const std::vector<std::string>& paths) {
  std::string out;
  for (const std::string& path : paths) {
    out += (out.empty() ? "" : " ") + path;
  }
  return out;
}

}  // namespace

const FileRules& file_rules_of(const Permissions& permissions, ChannelUse use) {
  // A command's rules come with sftp where that is what allows it (proto/allow.cc); a forced
  // command is one, whatever was asked for.
  const bool command = use != ChannelUse::kSubsystem || !permissions.force_command.empty();
  return command && permissions.exec ? permissions.exec_files : permissions.sftp_files;
}

std::unique_ptr<FileStage> FileStage::make(Tells& tells, ChannelNumber number, ChannelUse use,
                                           std::string_view command, const Permissions& permissions,
                                           std::int64_t now_us) {
  const FileRules& rules = file_rules_of(permissions, use);
  const bool forced = !permissions.force_command.empty();
  FileCommand found;
  if (forced || use == ChannelUse::kExec) {
    found = recognise_command(forced ? std::string_view(permissions.force_command) : command);
  } else if (use == ChannelUse::kSubsystem && command == "sftp") {
    found.kind = FileCommand::Kind::kSftp;
  }
  if (found.kind == FileCommand::Kind::kNone) {
    return nullptr;
  }
  std::unique_ptr<FileStage> stage(new FileStage(tells, number));
  stage->kind_ = found.kind;
  stage->begun_us_ = now_us;
  if (found.kind == FileCommand::Kind::kSftp) {
    stage->sftp_ = std::make_unique<SftpStream>(rules, *stage);
  } else if (found.kind == FileCommand::Kind::kScp) {
    stage->scp_ = std::make_unique<ScpStream>(found.uploads, rules.digest, *stage);
  } else {
    stage->command_ = command.substr(0, kDetailBytesMax);
    stage->paths_ = join(found.paths);
  }
  return stage;
}

void FileStage::finish(const ChannelInfo& whole, std::int64_t now_us) {
  if (std::exchange(finished_, true)) {
    return;
  }
  if (sftp_ != nullptr) {
    sftp_->finish(now_us);
  } else if (scp_ != nullptr) {
    scp_->finish(now_us);
  } else {
    FileEvent event;
    event.tool = kind_ == FileCommand::Kind::kRsync ? FileTool::kRsync : FileTool::kGit;
    event.operation = FileOperation::kTransfer;
    event.outcome = !whole.exit_status         ? FileOutcome::kUnanswered
                    : *whole.exit_status == 0U ? FileOutcome::kDone
                                               : FileOutcome::kFailed;
    event.status = whole.exit_status.value_or(0);
    event.path = paths_;
    event.name = command_;
    event.bytes_read = whole.bytes_down;
    event.bytes_written = whole.bytes_up;
    event.duration_us = now_us - begun_us_;
    file_event(event);
  }
}

void Bridge::State::tell_file(ChannelNumber number, const FileEvent& event) {
  if (const Channel* channel = channels.find(number); channel != nullptr) {
    events.file_event(info(number, *channel), event);
  }
}

void Bridge::State::tell_file_data(ChannelNumber number, const FileData& data) {
  if (const Channel* channel = channels.find(number); channel != nullptr) {
    events.file_data(info(number, *channel), data);
  }
}

void Bridge::State::drop_files(Channel& channel) {
  if (channel.files != nullptr && channel.files->sftp() != nullptr) {
    const auto kept = static_cast<std::uint32_t>(channel.files->sftp()->kept_bytes());
    channel.from(Leg::kDownstream).settle_kept(0, kept);
  }
  channel.files.reset();
}

Status Bridge::State::pass_files(Leg from, ChannelNumber number, Channel& channel, Payload payload,
                                 std::size_t header_len) {
  const Leg to = other(from);
  const ChannelSide& receiver = channel.side(to);
  FileStage& files = *channel.files;
  const MutBytes data = payload.bytes().subspan(header_len);
  Onward out(sink(to), receiver, payload, header_len);
  if (files.sftp() == nullptr) {
    if (!data.empty()) {
      out.pass(data);
    }
    grant(from, channel, false);
    return {};
  }
  SftpStream& sftp = *files.sftp();
  const bool was_congested = sftp.congested();
  Status followed;
  if (from == Leg::kDownstream) {
    const auto dropped = sftp.from_client(data, now_us, out);
    if (dropped) {
      channel.from(from).settle_kept(static_cast<std::uint32_t>(sftp.kept_bytes()),
                                     static_cast<std::uint32_t>(*dropped));
    }
    followed = dropped ? Status() : std::unexpected(dropped.error());
  } else {
    const auto boundary = sftp.from_server(data, now_us);
    followed = boundary ? Status() : std::unexpected(boundary.error());
    if (followed && sftp.has_answer() && *boundary < data.size()) {
      out.pass(data.first(*boundary));
      pump_answers(channel, true);
      out.pass(data.subspan(*boundary));
    } else if (followed && !data.empty()) {
      out.pass(data);
    }
  }
  if (!followed) {
    end_channel(number, channel, std::string(followed.error().text));
    return {};
  }
  pump_answers(channel);
  grant(from, channel, false);
  if (was_congested && !sftp.congested()) {
    grant(Leg::kDownstream, channel, true);
  }
  return {};
}

void Bridge::State::pump_answers(Channel& channel, bool between) {
  const ChannelSide& user = channel.side(Leg::kDownstream);
  SftpStream* sftp = channel.files == nullptr ? nullptr : channel.files->sftp();
  if (sftp == nullptr || channel.is_ended() || user.eof_out || user.close_out) {
    return;
  }
  const bool was_congested = sftp->congested();
  while (sftp->has_answer() && (between || sftp->at_boundary())) {
    const Bytes answer = sftp->next_answer();
    if (!channel.from(Leg::kUpstream).inject(static_cast<std::uint32_t>(answer.size()))) {
      break;  // goes on when the user's window opens
    }
    send_channel_data(sink(Leg::kDownstream), user.peer_number, as_text(answer));
    sftp->pop_answer();
  }
  if (was_congested && !sftp->congested()) {
    grant(Leg::kDownstream, channel, true);
  }
}

}  // namespace bastion::proto
