// The messages between our processes: whatever a taken-over gate or worker sends, decoding takes
// exactly what encoding writes. The input is one packet.
#include <algorithm>
#include <cstdint>
#include <cstdlib>

#include "daemon/ipc/codec.h"
#include "daemon/ipc/messages.h"

namespace {

using namespace bastion;
using namespace bastion::daemon::ipc;

/// round_trip decodes the body as a Message; what is accepted encodes to the same octets.
template <typename Message>
bool round_trip(const Header& header, ByteView body, ByteView packet) {
  if (header.type != Message::kType) {
    return false;
  }
  if (const Result<Message> message = decode<Message>(body)) {
    const SecretBytes again = encode(header, *message);
    if (!equal(again, packet)) {
      std::abort();
    }
  }
  return true;
}

template <typename... Messages>
void try_all(const Header& header, ByteView body, ByteView packet) {
  if (!(round_trip<Messages>(header, body, packet) || ...)) {
    std::abort();  // a type that decode_header knows and nobody can read
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ByteView packet(data, std::min(size, kMessageBytesMax));
  ByteView body = packet;
  const Result<Header> header = decode_header(body);
  if (!header) {
    return 0;
  }
  try_all<Connection, DropConnection, ConnectionDone, ConnectionSpoke, Configuration, AddPeer,
          PeerGone, ControlRequest, Shutdown, ConfigurationResult, ControlReply, Drained, EndPeer,
          Settings, Cookies, Refused, TakeCookies, SignFirstExchange, KeyQuery, KeyVerify, HandOver,
          ConnectionGone, ExchangeSigned, KeyAnswer, Verdict, Adopt, TargetConnected, TargetFailed,
          TargetVerified, TargetSignature, TunnelOpened, Listing, EndSession, SignRekey,
          TargetVerify, TargetSign, OpenTunnel, AskListing, SessionEvent, SessionStats,
          SessionEnded, Resolve, Resolved, RecordingReady, RecorderSettings, RecorderTable, AddRing,
          RetireRing, RingsComplete, RingDone, RingBroken, OpenRecording, CloseRecording, Resync,
          HeadSigned, AuditEvent, RecordingOpened, RecordingFailed, RecordingSealed, SignHead,
          RecorderState, ReloadRefused, WorkerStats, AuditNote, AuditState, AuditAccepted,
          HoldRecording, RecordingHeld, LimitReached>(*header, body, packet);
  return 0;
}
