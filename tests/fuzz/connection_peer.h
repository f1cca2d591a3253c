#pragma once

#include <algorithm>
#include <cstdlib>
#include <vector>

#include "base/bytes.h"
#include "base/wire.h"
#include "proto/channel_open.h"
#include "proto/messages.h"
#include "proto/payload.h"
#include "proto/requests.h"

/// What the fuzz targets of the connection layer share.
namespace bastion::proto::fuzz {

inline void check(bool holds) {
  if (!holds) {
    std::abort();
  }
}

/// StrictSink is a peer that takes only what RFC 4254 lets it be sent: every message whole and of
/// the right form. Like a transport it spoils what it is given in place.
class StrictSink : public PacketSink {
 public:
  void send(ByteView message) override {
    ++num_messages;
    check(!message.empty());
    switch (message[0]) {
      case kMsgGlobalRequest: check(parse_global_request(message).has_value()); break;
      case kMsgRequestSuccess:
      case kMsgRequestFailure:
        check(message.size() == 1 || (message[0] == kMsgRequestSuccess && message.size() == 5));
        break;
      case kMsgChannelOpen: {
        const auto open = parse_channel_open(message);
        check(open && open->type != ChannelType::kUnknown && open->max_packet >= 256 &&
              open->window <= limits::kWindowBytesMax);
        opened.push_back(open->sender);
        break;
      }
      case kMsgChannelOpenConfirmation: {
        const auto confirmation = parse_channel_confirmation(message);
        check(confirmation && confirmation->max_packet >= 256 &&
              confirmation->window <= limits::kWindowBytesMax);
        break;
      }
      case kMsgChannelOpenFailure: check(parse_channel_open_failure(message).has_value()); break;
      case kMsgChannelWindowAdjust:
        check(message.size() == 9 && load_u32(message.data() + 5) > 0);
        break;
      case kMsgChannelData:
      case kMsgChannelExtendedData: {
        const auto data = parse_channel_data(message);
        check(data && data->data_len <= limits::kMaxPacketBytes);
        break;
      }
      case kMsgChannelRequest: {
        const auto request = parse_channel_request(message);
        check(request && request->type != ChannelRequestType::kUnknown);
        break;
      }
      case kMsgChannelEof:
      case kMsgChannelClose:
      case kMsgChannelSuccess:
      case kMsgChannelFailure: check(message.size() == 5); break;
      default: check(false);
    }
  }
  void send_in_place(Payload payload) override {
    send(payload.view());
    std::fill(payload.data - limits::kPayloadHeadroom,
              payload.data + payload.len + limits::kPayloadTailroom, std::uint8_t{0xdb});
  }
  std::size_t queued_bytes() const override { return queued; }

  std::size_t queued = 0;
  std::size_t num_messages = 0;
  std::vector<std::uint32_t> opened;  // numbers of the channels that this peer was asked to open
};

/// InPlace is a message in memory of exactly the room that a Payload promises.
class InPlace {
 public:
  InPlace(ByteView message, std::size_t headroom)
      : memory_(headroom + message.size() + limits::kPayloadTailroom), headroom_(headroom) {
    std::copy(message.begin(), message.end(),
              memory_.begin() + static_cast<std::ptrdiff_t>(headroom));
  }
  MutBytes bytes() {
    return MutBytes(memory_).subspan(headroom_,
                                     memory_.size() - headroom_ - limits::kPayloadTailroom);
  }
  Payload payload() { return {bytes().data(), bytes().size()}; }

 private:
  Bytes memory_;
  std::size_t headroom_;
};

}  // namespace bastion::proto::fuzz
