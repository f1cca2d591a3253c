#pragma once

#include <gtest/gtest.h>

#include <deque>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/wire.h"
#include "proto/messages.h"
#include "proto/payload.h"
#include "proto/permissions.h"

namespace bastion::proto::connection_test {

/// LegSink keeps what it was sent. As a transport does, it spoils the memory around and in a
/// message that it was given in place.
class LegSink : public PacketSink {
 public:
  void send(ByteView payload) override { messages.push_back(to_bytes(payload)); }
  void send_in_place(Payload payload) override {
    messages.push_back(to_bytes(payload.view()));
    ++num_in_place;
    std::fill(payload.data - limits::kPayloadHeadroom,
              payload.data + payload.len + limits::kPayloadTailroom, std::uint8_t{0xdb});
  }
  std::size_t queued_bytes() const override { return queued; }

  bool empty() const { return messages.empty(); }
  /// next takes the oldest message; one of number 0 where there is none.
  Bytes next() {
    if (messages.empty()) {
      ADD_FAILURE() << "no message was sent";
      return Bytes(1);
    }
    Bytes message = std::move(messages.front());
    messages.pop_front();
    return message;
  }

  std::deque<Bytes> messages;
  std::size_t queued = 0;
  std::size_t num_in_place = 0;
};

/// Packet is a message in memory of exactly the room that a Payload promises.
class Packet {
 public:
  explicit Packet(ByteView message)
      : memory_(limits::kPayloadHeadroom + message.size() + limits::kPayloadTailroom),
        len_(message.size()) {
    std::copy(message.begin(), message.end(), memory_.begin() + limits::kPayloadHeadroom);
  }
  Payload payload() { return {memory_.data() + limits::kPayloadHeadroom, len_}; }

 private:
  Bytes memory_;
  std::size_t len_;
};

/// Make builds a message field by field: Make(kMsgChannelEof).u32(7).
class Make {
 public:
  explicit Make(std::uint8_t message) { bytes_.push_back(message); }
  Make& u8(std::uint8_t v) {
    bytes_.push_back(v);
    return *this;
  }
  Make& u32(std::uint32_t v) {
    Writer(bytes_).u32(v);
    return *this;
  }
  Make& text(std::string_view v) {
    Writer(bytes_).text(v);
    return *this;
  }
  operator Bytes() const { return bytes_; }  // NOLINT: a message is its bytes

 private:
  Bytes bytes_;
};

inline Bytes open_message(std::string_view type, std::uint32_t sender, std::uint32_t window,
                          std::uint32_t max_packet) {
  return Make(kMsgChannelOpen).text(type).u32(sender).u32(window).u32(max_packet);
}
inline Bytes open_tcpip(std::string_view type, std::uint32_t sender, std::string_view host,
                        std::uint32_t port, std::uint32_t window = 2 << 20,
                        std::uint32_t max_packet = 32768) {
  return Make(kMsgChannelOpen)
      .text(type)
      .u32(sender)
      .u32(window)
      .u32(max_packet)
      .text(host)
      .u32(port)
      .text("10.0.0.9")
      .u32(50000);
}
inline Bytes confirm(std::uint32_t recipient, std::uint32_t sender, std::uint32_t window,
                     std::uint32_t max_packet) {
  return Make(kMsgChannelOpenConfirmation).u32(recipient).u32(sender).u32(window).u32(max_packet);
}
inline Bytes open_failure(std::uint32_t recipient, std::uint32_t reason, std::string_view text) {
  return Make(kMsgChannelOpenFailure).u32(recipient).u32(reason).text(text).text("");
}
inline Bytes data(std::uint32_t recipient, std::string_view bytes) {
  return Make(kMsgChannelData).u32(recipient).text(bytes);
}
inline Bytes extended(std::uint32_t recipient, std::uint32_t kind, std::string_view bytes) {
  return Make(kMsgChannelExtendedData).u32(recipient).u32(kind).text(bytes);
}
inline Bytes adjust(std::uint32_t recipient, std::uint32_t n) {
  return Make(kMsgChannelWindowAdjust).u32(recipient).u32(n);
}
inline Bytes eof(std::uint32_t recipient) { return Make(kMsgChannelEof).u32(recipient); }
inline Bytes close(std::uint32_t recipient) { return Make(kMsgChannelClose).u32(recipient); }
inline Bytes success(std::uint32_t recipient) { return Make(kMsgChannelSuccess).u32(recipient); }
inline Bytes failure(std::uint32_t recipient) { return Make(kMsgChannelFailure).u32(recipient); }

inline Make request(std::uint32_t recipient, std::string_view name, bool want_reply) {
  return Make(kMsgChannelRequest).u32(recipient).text(name).u8(want_reply ? 1 : 0);
}
inline Bytes shell(std::uint32_t recipient, bool want_reply = true) {
  return request(recipient, "shell", want_reply);
}
inline Bytes exec(std::uint32_t recipient, std::string_view command, bool want_reply = true) {
  return request(recipient, "exec", want_reply).text(command);
}
inline Bytes subsystem(std::uint32_t recipient, std::string_view name, bool want_reply = true) {
  return request(recipient, "subsystem", want_reply).text(name);
}
inline Bytes pty(std::uint32_t recipient, bool want_reply = true) {
  return request(recipient, "pty-req", want_reply)
      .text("xterm-256color")
      .u32(80)
      .u32(24)
      .u32(0)
      .u32(0)
      .text(std::string_view("\x01\0\0\0\x03\0", 6));
}
inline Bytes env(std::uint32_t recipient, std::string_view name, std::string_view value,
                 bool want_reply = false) {
  return request(recipient, "env", want_reply).text(name).text(value);
}
inline Bytes exit_status(std::uint32_t recipient, std::uint32_t status) {
  return request(recipient, "exit-status", false).u32(status);
}
inline Bytes exit_signal(std::uint32_t recipient, std::string_view name) {
  return request(recipient, "exit-signal", false).text(name).u8(0).text("").text("");
}
inline Bytes x11_req(std::uint32_t recipient, bool want_reply = true) {
  return request(recipient, "x11-req", want_reply)
      .u8(0)
      .text("MIT-MAGIC-COOKIE-1")
      .text("c0ffee")
      .u32(0);
}
inline Bytes signal(std::uint32_t recipient, std::string_view name) {
  return request(recipient, "signal", false).text(name);
}
inline Make global(std::string_view name, bool want_reply) {
  return Make(kMsgGlobalRequest).text(name).u8(want_reply ? 1 : 0);
}
inline Bytes tcpip_forward(std::string_view host, std::uint32_t port, bool want_reply = true) {
  return global("tcpip-forward", want_reply).text(host).u32(port);
}
inline Bytes cancel_tcpip_forward(std::string_view host, std::uint32_t port) {
  return global("cancel-tcpip-forward", true).text(host).u32(port);
}
inline const Bytes kGlobalSuccess{kMsgRequestSuccess};
inline const Bytes kGlobalFailure{kMsgRequestFailure};

/// u32_at reads a field: after the message number, 1 is the first.
inline std::uint32_t u32_at(ByteView message, std::size_t offset) {
  return offset + 4 <= message.size() ? load_u32(message.data() + offset) : 0;
}

/// OpenReply is what a refused open says.
struct OpenReply {
  std::uint32_t recipient = 0;
  std::uint32_t reason = 0;
  std::string text;
};
inline OpenReply read_open_failure(ByteView message) {
  Reader reader(message);
  EXPECT_EQ(reader.u8(), kMsgChannelOpenFailure);
  OpenReply reply;
  reply.recipient = reader.u32();
  reply.reason = reader.u32();
  reply.text = reader.text();
  reader.text();
  EXPECT_TRUE(reader.done());
  return reply;
}

/// read_stderr gives the text of an extended data message of type 1.
inline std::string read_stderr(ByteView message) {
  Reader reader(message);
  EXPECT_EQ(reader.u8(), kMsgChannelExtendedData);
  reader.u32();
  EXPECT_EQ(reader.u32(), kExtendedDataStderr);
  const std::string text(reader.text());
  EXPECT_TRUE(reader.done());
  return text;
}

/// allow_all is what `allow: all` compiles to.
inline Permissions allow_all() {
  Permissions all;
  all.shell = all.exec = all.pty = all.agent = all.x11 = all.every_subsystem = true;
  all.forward_local = {{.host = "*"}};
  all.forward_remote = {{.host = "*"}};
  all.forward_local_sockets = {"*"};
  all.forward_remote_sockets = {"*"};
  all.env = {"*"};
  return all;
}

}  // namespace bastion::proto::connection_test
