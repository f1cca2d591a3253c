// A user and a target that say anything, in any order, through a bridge. The first byte chooses the
// permissions; then each step is a byte that says what happens, and for a message a 2-byte length
// and the message. Channel numbers that the bridge gives are small, so inputs can name them.
#include "proto/bridge.h"

#include "tests/fuzz/connection_peer.h"

namespace {

using namespace bastion;
using namespace bastion::proto;
using namespace bastion::proto::fuzz;

class Counts : public BridgeEvents {
 public:
  void channel_opened(const ChannelInfo& /*channel*/) override { ++opened; }
  void channel_closed(const ChannelInfo& channel) override {
    ++closed;
    up += channel.bytes_up;
    down += channel.bytes_down;
  }
  void session_started(const ChannelInfo& channel) override {
    (void)bridge->inject_stderr(channel.number, "notice");
  }
  void finished() override {
    check(!is_finished);
    is_finished = true;
  }
  Bridge* bridge = nullptr;
  std::size_t opened = 0;
  std::size_t closed = 0;
  std::uint64_t up = 0;
  std::uint64_t down = 0;
  bool is_finished = false;
};

Permissions choose(std::uint8_t choice) {
  Permissions permissions;
  if ((choice & 1) != 0) {
    permissions.shell = permissions.exec = permissions.pty = permissions.every_subsystem = true;
    permissions.env = {"*"};
  }
  if ((choice & 2) != 0) {
    permissions.agent = permissions.x11 = true;
    permissions.forward_local = permissions.forward_remote = {{.host = "*"}};
    permissions.forward_local_sockets = permissions.forward_remote_sockets = {"*"};
  }
  if ((choice & 4) != 0) {
    permissions.force_command = "forced";
  }
  permissions.channels_max = (choice & 8) != 0 ? 3 : 64;
  return permissions;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Reader input({data, size});
  const Permissions permissions = choose(input.u8());
  StrictSink user;
  StrictSink target;
  Counts counts;
  Bridge bridge(permissions, user, target, counts);
  counts.bridge = &bridge;
  bridge.set_names({"alice", "deploy", "web1", "7q2m"});
  bool user_there = true;
  bool target_there = true;
  while (input.ok() && !input.rest().empty()) {
    const std::uint8_t what = input.u8();
    const Leg leg = (what & 1) == 0 ? Leg::kDownstream : Leg::kUpstream;
    switch (what >> 4) {
      case 15:
        target_there = false;
        bridge.upstream_lost("the target is gone");
        continue;
      case 14:
        user.queued = target.queued = (what & 2) != 0 ? std::size_t{4} << 20 : 0;
        bridge.drained(leg);
        continue;
      case 13: (void)bridge.send_keepalive(leg); continue;
      case 12: (void)bridge.inject_stderr(input.u8(), "a line"); continue;
      default: break;
    }
    const std::size_t high = input.u8();
    const std::size_t len = high << 8 | input.u8();
    const ByteView message = input.bytes(len);
    if (!input.ok() || len == 0) {
      break;
    }
    if (!(leg == Leg::kDownstream ? user_there : target_there)) {
      continue;
    }
    InPlace memory(message, limits::kPayloadHeadroom);
    const std::size_t before = user.num_messages + target.num_messages;
    const Status status = bridge.on_message(leg, memory.payload());
    check(bridge.num_channels() <= permissions.channels_max);
    // One message makes few: replies that waited, pieces of data, the end of a channel.
    check(user.num_messages + target.num_messages - before <= 2000);
    if (!status && status.error().code != ErrorCode::kUnsupported) {
      if (leg == Leg::kDownstream) {
        user_there = false;
        break;
      }
      target_there = false;
      bridge.upstream_lost(status.error().text);
    }
  }
  const std::size_t before = user.num_messages + target.num_messages;
  bridge.downstream_lost();
  check(user.num_messages + target.num_messages == before);
  check(bridge.num_channels() == 0 && counts.opened == counts.closed && counts.is_finished);
  check(counts.up == bridge.bytes_up() && counts.down == bridge.bytes_down());
  return 0;
}
