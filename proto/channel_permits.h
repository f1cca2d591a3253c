#pragma once

#include <cstdint>

#include "proto/messages.h"

namespace bastion::proto {

/// PeerChannel is how far a channel number is, seen from the leg that names it in a message.
enum class PeerChannel : std::uint8_t {
  kNone,    // we never gave this number to anybody
  kStale,   // it was a channel's that is gone
  kAsking,  // this leg has sent the OPEN and no answer yet: it cannot know the number
  kAsked,   // this leg owes the answer to our OPEN
  kOpen,    //
  kEof,     // this leg has sent EOF
  kClosed,  // this leg has sent CLOSE
};
inline constexpr std::uint8_t kNumPeerChannels = 7;

enum class ChannelVerdict : std::uint8_t { kRefused, kDropped, kHandled };

/// channel_permitted is the table of the messages of RFC 4254 5 that name a channel (91 to 100) in
/// all of a channel's states, default deny. Dropped are those that carry nothing and that honest
/// peers send late, because their close and our message crossed: adjustments, replies and a second
/// EOF.
constexpr ChannelVerdict channel_permitted(PeerChannel state, std::uint8_t message) {
  using enum PeerChannel;
  using enum ChannelVerdict;
  switch (message) {
    case kMsgChannelOpenConfirmation:
    case kMsgChannelOpenFailure: return state == kAsked ? kHandled : kRefused;
    case kMsgChannelWindowAdjust:
    case kMsgChannelSuccess:
    case kMsgChannelFailure:
      if (state == kStale || state == kClosed) {
        return kDropped;
      }
      return state == kOpen || state == kEof ? kHandled : kRefused;
    case kMsgChannelData:
    case kMsgChannelExtendedData: return state == kOpen ? kHandled : kRefused;
    case kMsgChannelEof:
      if (state == kEof) {
        return kDropped;
      }
      return state == kOpen ? kHandled : kRefused;
    case kMsgChannelClose:
    case kMsgChannelRequest: return state == kOpen || state == kEof ? kHandled : kRefused;
    default: return kRefused;
  }
}

}  // namespace bastion::proto
