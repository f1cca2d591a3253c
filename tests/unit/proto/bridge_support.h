#pragma once

#include <memory>
#include <string>
#include <vector>

#include "proto/bridge.h"
#include "tests/unit/proto/connection_support.h"

namespace bastion::proto::connection_test {

/// EventLog writes each event as one line.
class EventLog : public BridgeEvents {
 public:
  void channel_opened(const ChannelInfo& channel) override {
    add("opened " + std::string(type_name(channel.type)));
  }
  void channel_refused(const OpenRefused& refused) override {
    const char* why = refused.why == OpenRefused::Why::kPolicy  ? "policy"
                      : refused.why == OpenRefused::Why::kLimit ? "limit"
                                                                : "peer";
    add("refused " + std::string(type_name(refused.type)) + " " + why + " " +
        std::string(refused.detail));
  }
  void channel_closed(const ChannelInfo& channel) override {
    add("closed " + std::string(short_name(channel)) + " up " + std::to_string(channel.bytes_up) +
        " down " + std::to_string(channel.bytes_down) +
        (channel.exit_status ? " exit " + std::to_string(*channel.exit_status) : ""));
  }
  void request_decided(const ChannelInfo& /*channel*/, const RequestDecision& request) override {
    add(std::string(request.allowed ? "allowed " : "denied ") + std::string(request.name) + " " +
        std::string(request.detail) + (request.forced ? " forced" : ""));
  }
  void session_started(const ChannelInfo& channel) override {
    add("started " + std::string(short_name(channel)));
    if (!notice.empty()) {
      notice_sent = bridge->inject_stderr(channel.number, notice);
    }
  }
  void forward_decided(const ForwardDecision& forward) override {
    add(std::string(forward.allowed ? "allowed " : "denied ") + std::string(forward.name) + " " +
        std::string(forward.host_or_path) + ":" + std::to_string(forward.port) +
        (forward.established ? " established" : ""));
  }
  void finished() override { add("finished"); }

  void add(std::string line) { lines.push_back(std::move(line)); }
  bool has(std::string_view line) const {
    return std::find(lines.begin(), lines.end(), line) != lines.end();
  }

  std::vector<std::string> lines;
  Bridge* bridge = nullptr;
  std::string notice;
  bool notice_sent = false;
};

inline constexpr std::uint32_t kUserNumber = 7;     // the user's own number of its channel
inline constexpr std::uint32_t kTargetNumber = 40;  // the target's
inline constexpr std::uint32_t kWindow = 2 * 1024 * 1024;
inline constexpr std::uint32_t kPacket = 32 * 1024;

/// BridgeTest is a bridge between a user and a target that the test plays.
class BridgeTest : public ::testing::Test {
 protected:
  BridgeTest() { restart(allow_all()); }

  void restart(const Permissions& with) {
    permissions = with;
    log = {};
    user.messages.clear();
    target.messages.clear();
    bridge = std::make_unique<Bridge>(permissions, user, target, log);
    bridge->set_names({"alice", "deploy", "web1", "7q2m"});
    log.bridge = bridge.get();
  }

  Status from(Leg leg, const Bytes& message) {
    Packet packet(message);
    return bridge->on_message(leg, packet.payload());
  }
  /// user_sends and target_sends expect that the bridge takes the message.
  void user_sends(const Bytes& message) {
    const Status status = from(Leg::kDownstream, message);
    EXPECT_TRUE(status) << status.error().text;
  }
  void target_sends(const Bytes& message) {
    const Status status = from(Leg::kUpstream, message);
    EXPECT_TRUE(status) << status.error().text;
  }
  void expect_error(Leg leg, const Bytes& message, ErrorCode code = ErrorCode::kProtocol) {
    const Status status = from(leg, message);
    ASSERT_FALSE(status) << "message " << int{message[0]} << " was taken";
    EXPECT_EQ(status.error().code, code) << status.error().text;
  }

  /// open has the user open a channel with this message (whose sender is kUserNumber) and the
  /// target confirm it; the number is the bridge's.
  ChannelNumber open(const Bytes& message, std::uint32_t window = kWindow,
                     std::uint32_t max_packet = kPacket, std::uint32_t sender = kTargetNumber) {
    user_sends(message);
    const Bytes relayed = target.next();
    const std::size_t fields = 5 + u32_at(relayed, 1);
    const ChannelNumber number = u32_at(relayed, fields);
    target_sends(confirm(number, sender, window, max_packet));
    EXPECT_EQ(user.next()[0], kMsgChannelOpenConfirmation);
    return number;
  }
  ChannelNumber open_session(std::uint32_t window = kWindow, std::uint32_t max_packet = kPacket) {
    return open(open_message("session", kUserNumber, window, max_packet), window, max_packet);
  }
  /// start_shell has the target accept a shell.
  void start_shell(ChannelNumber number) {
    user_sends(shell(number));
    EXPECT_EQ(target.next(), shell(kTargetNumber));
    target_sends(success(number));
    EXPECT_EQ(user.next(), success(kUserNumber));
  }
  /// open_shell: data of the user is for a program that runs.
  ChannelNumber open_shell(std::uint32_t window = kWindow, std::uint32_t max_packet = kPacket) {
    const ChannelNumber number = open_session(window, max_packet);
    start_shell(number);
    return number;
  }
  /// expect_quiet: nothing was sent that the test has not read.
  void expect_quiet() {
    EXPECT_TRUE(user.empty()) << "to the user: " << int{user.messages.front()[0]};
    EXPECT_TRUE(target.empty()) << "to the target: " << int{target.messages.front()[0]};
  }

  Permissions permissions;
  LegSink user;
  LegSink target;
  EventLog log;
  std::unique_ptr<Bridge> bridge;
};

}  // namespace bastion::proto::connection_test
