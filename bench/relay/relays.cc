#include "bench/relay/relays.h"

#include <fcntl.h>

#include <array>
#include <cstring>
#include <optional>

#include "base/wire.h"
#include "bench/relay/handshake.h"
#include "proto/messages.h"

namespace bastion::bench {
namespace {

constexpr std::size_t kBufferBytes = 1024 * 1024;
/// kBufferBytes and what a partial packet may add to it.
constexpr std::size_t kInputBytes = kBufferBytes + 64 * 1024;
constexpr std::size_t kDataHeader = 9;  // CHANNEL_DATA: number, channel, length
constexpr std::size_t kDataMax = 32 * 1024;
constexpr std::uint32_t kWindow = 2 * 1024 * 1024;

daemon::UniqueFd connect_blocking(const std::string& address) {
  daemon::UniqueFd fd = connect_to(address);
  fcntl(fd.get(), F_SETFL, 0);
  return fd;  // the first send waits for the connection
}

/// Input is a buffer that packets are opened in; the incomplete one at its end is moved to the
/// front.
struct Input {
  explicit Input(ByteView unread) : memory(kInputBytes), end(unread.size()) {
    std::memcpy(memory.data(), unread.data(), unread.size());
  }
  bool receive(int socket) {
    const std::size_t n = receive_some(socket, MutBytes(memory).subspan(end, kBufferBytes - end));
    end += n;
    return n != 0;
  }
  /// each_packet gives every whole packet, still sealed.
  template <typename Take>
  void each_packet(const Leg& leg, Take take) {
    std::size_t begin = 0;
    while (true) {
      const MutBytes rest = MutBytes(memory).subspan(begin, end - begin);
      const std::size_t n = packet_len(leg, rest);
      if (n == 0 || rest.size() < n) {
        break;
      }
      take(rest.first(n));
      begin += n;
    }
    left_from = begin;
  }
  /// compact forgets what was taken; what was opened may be used until then.
  void compact() {
    std::memmove(memory.data(), memory.data() + left_from, end - left_from);
    end -= left_from;
    left_from = 0;
  }
  Bytes memory;
  std::size_t end;
  std::size_t left_from = 0;
};

/// move_packets opens what `in` has and sends it sealed for the other side.
bool move_packets(Leg& from, Leg& to, Input& in, Bytes& out, int socket) {
  std::size_t filled = 0;
  in.each_packet(from, [&](MutBytes packet) {
    const MutBytes clear = open_packet(from, packet);
    const std::size_t n = clear.size() + to.sealer->tag_len();
    to.sealer->seal(to.seal_seq++, clear, MutBytes(out).subspan(filled, n));
    filled += n;
  });
  in.compact();
  return send_all(socket, ByteView(out).first(filled));
}

/// Tunnel is relay_tunnel's one channel.
class Tunnel {
 public:
  Tunnel(int user, Leg leg, const RelaySetup& setup)
      : user_(user), leg_(std::move(leg)), setup_(setup), in_(leg_.unread), out_(kInputBytes) {}

  void run() {
    bool open = from_user();
    while (open) {
      const int target = may_receive() ? target_.get() : -1;
      const unsigned ready = wait_for_input(user_, target);
      if ((ready & 1) != 0) {
        open = in_.receive(user_) && from_user();
      }
      if (open && (ready & 2) != 0) {
        open = from_target();
      }
    }
  }

 private:
  bool may_receive() const { return target_ && window_ > 0; }

  bool from_user() {
    std::vector<iovec> pieces;
    std::uint32_t bytes = 0;
    bool fine = true;
    in_.each_packet(leg_, [&](MutBytes packet) {
      const ByteView payload = payload_of(open_packet(leg_, packet));
      if (payload[0] == proto::kMsgChannelData) {
        const ByteView data = payload.subspan(kDataHeader);
        pieces.push_back({const_cast<std::uint8_t*>(data.data()), data.size()});
        bytes += static_cast<std::uint32_t>(data.size());
      } else {
        fine = on_message(payload) && fine;
      }
    });
    if (!pieces.empty()) {
      fine = send_pieces(target_.get(), pieces) && grant(bytes) && fine;
    }
    in_.compact();
    return fine;
  }

  bool on_message(ByteView payload) {
    Reader reader(payload);
    switch (reader.u8()) {
      case proto::kMsgChannelOpen: {
        reader.string();
        channel_ = reader.u32();
        window_ = reader.u32();
        target_ = connect_blocking(setup_.target);
        Writer reply;
        reply.u8(proto::kMsgChannelOpenConfirmation).u32(channel_).u32(0).u32(kWindow);
        reply.u32(kDataMax);
        return send_message(reply.view());
      }
      case proto::kMsgChannelWindowAdjust:
        reader.u32();
        window_ += reader.u32();
        return true;
      case proto::kMsgChannelClose:
      case proto::kMsgDisconnect: return false;
      default: return true;
    }
  }

  bool grant(std::uint32_t bytes) {
    ungranted_ += bytes;
    if (ungranted_ < kWindow / 8) {
      return true;
    }
    Writer adjust;
    adjust.u8(proto::kMsgChannelWindowAdjust).u32(channel_).u32(ungranted_);
    ungranted_ = 0;
    return send_message(adjust.view());
  }

  bool send_message(ByteView payload) {
    std::array<std::uint8_t, 256> packet{};
    std::memcpy(packet.data() + 5, payload.data(), payload.size());
    seal_frame(leg_, packet.data(), payload.size());
    return send_all(user_, ByteView(packet).first(frame_of(leg_, payload.size()).wire_len));
  }

  /// from_target receives into slots as far apart as full packets are, seals each where it lies and
  /// sends all of them at once.
  bool from_target() {
    const std::size_t stride = frame_of(leg_, kDataHeader + kDataMax).wire_len;
    const std::size_t room = std::min<std::size_t>(window_, kBufferBytes);
    std::array<iovec, kBufferBytes / kDataMax> slots;
    std::size_t count = 0;
    for (std::size_t left = room; left > 0; ++count) {
      const std::size_t n = std::min(left, kDataMax);
      slots[count] = {out_.data() + count * stride + 5 + kDataHeader, n};
      left -= n;
    }
    msghdr message{};
    message.msg_iov = slots.data();
    message.msg_iovlen = count;
    const ssize_t got = recvmsg(target_.get(), &message, 0);
    if (got <= 0) {
      return false;
    }
    window_ -= static_cast<std::uint32_t>(got);
    std::size_t filled = 0;
    for (std::size_t i = 0, left = static_cast<std::size_t>(got); left > 0; ++i) {
      const std::size_t n = std::min(left, kDataMax);
      std::uint8_t* packet = out_.data() + i * stride;
      packet[5] = proto::kMsgChannelData;
      store_u32(packet + 6, channel_);
      store_u32(packet + 10, static_cast<std::uint32_t>(n));
      seal_frame(leg_, packet, kDataHeader + n);
      filled = i * stride + frame_of(leg_, kDataHeader + n).wire_len;
      left -= n;
    }
    return send_all(user_, ByteView(out_).first(filled));
  }

  int user_;
  Leg leg_;
  const RelaySetup& setup_;
  daemon::UniqueFd target_;
  Input in_;
  Bytes out_;
  std::uint32_t channel_ = 0;
  std::uint32_t window_ = 0;
  std::uint32_t ungranted_ = 0;
};

}  // namespace

void relay_bare(int user, const RelaySetup& setup) {
  const daemon::UniqueFd target = connect_blocking(setup.target);
  Bytes buffer(kBufferBytes);
  while (true) {
    const unsigned ready = wait_for_input(user, target.get());
    for (const auto& [bit, from, to] :
         {std::tuple{1U, user, target.get()}, std::tuple{2U, target.get(), user}}) {
      if ((ready & bit) != 0) {
        const std::size_t n = receive_some(from, buffer);
        if (n == 0 || !send_all(to, ByteView(buffer).first(n))) {
          return;
        }
      }
    }
  }
}

void relay_routed(int user, const RelaySetup& setup) {
  Leg down = log_in_user(user, *setup.host_key, setup.cipher);
  const daemon::UniqueFd target = connect_blocking(setup.target);
  Leg up = log_in_at(target.get(), *setup.key, setup.login, setup.cipher);
  Input from_user(down.unread);
  Input from_target(up.unread);
  Bytes out(2 * kInputBytes);
  if (!move_packets(down, up, from_user, out, target.get()) ||
      !move_packets(up, down, from_target, out, user)) {
    return;
  }
  while (true) {
    const unsigned ready = wait_for_input(user, target.get());
    if ((ready & 1) != 0 &&
        (!from_user.receive(user) || !move_packets(down, up, from_user, out, target.get()))) {
      return;
    }
    if ((ready & 2) != 0 &&
        (!from_target.receive(target.get()) || !move_packets(up, down, from_target, out, user))) {
      return;
    }
  }
}

void relay_tunnel(int user, const RelaySetup& setup) {
  Tunnel(user, log_in_user(user, *setup.host_key, setup.cipher), setup).run();
}

}  // namespace bastion::bench
