#pragma once

#include <cstdint>

/// Message numbers and reason codes (RFC 4250 4, RFC 4252, RFC 4254, RFC 8308, RFC 5656, OpenSSH
/// PROTOCOL). The structures of the messages stand with the layer that speaks them.
namespace bastion::proto {

enum Message : std::uint8_t {
  // Transport, RFC 4253.
  kMsgDisconnect = 1,
  kMsgIgnore = 2,
  kMsgUnimplemented = 3,
  kMsgDebug = 4,
  kMsgServiceRequest = 5,
  kMsgServiceAccept = 6,
  kMsgExtInfo = 7,      // RFC 8308
  kMsgNewCompress = 8,  // RFC 8308, never spoken
  kMsgKexInit = 20,
  kMsgNewKeys = 21,
  kMsgKexMethodInit = 30,   // KEXDH_INIT, KEX_ECDH_INIT, KEX_HYBRID_INIT
  kMsgKexMethodReply = 31,  // KEXDH_REPLY, …
  // User authentication, RFC 4252, RFC 4256.
  kMsgUserauthRequest = 50,
  kMsgUserauthFailure = 51,
  kMsgUserauthSuccess = 52,
  kMsgUserauthBanner = 53,
  kMsgUserauthPkOk = 60,  // also USERAUTH_INFO_REQUEST, PASSWD_CHANGEREQ
  kMsgUserauthInfoResponse = 61,
  // Connection, RFC 4254.
  kMsgGlobalRequest = 80,
  kMsgRequestSuccess = 81,
  kMsgRequestFailure = 82,
  kMsgChannelOpen = 90,
  kMsgChannelOpenConfirmation = 91,
  kMsgChannelOpenFailure = 92,
  kMsgChannelWindowAdjust = 93,
  kMsgChannelData = 94,
  kMsgChannelExtendedData = 95,
  kMsgChannelEof = 96,
  kMsgChannelClose = 97,
  kMsgChannelRequest = 98,
  kMsgChannelSuccess = 99,
  kMsgChannelFailure = 100,
  // OpenSSH PROTOCOL 1.9: transport-level ping, once ping@openssh.com is in EXT_INFO.
  kMsgPing = 192,
  kMsgPong = 193,
};

/// SSH_DISCONNECT_* of RFC 4253 11.1.
enum class DisconnectReason : std::uint32_t {
  kHostNotAllowedToConnect = 1,
  kProtocolError = 2,
  kKeyExchangeFailed = 3,
  kMacError = 5,
  kServiceNotAvailable = 7,
  kProtocolVersionNotSupported = 8,
  kHostKeyNotVerifiable = 9,
  kConnectionLost = 10,
  kByApplication = 11,
  kTooManyConnections = 12,
  kAuthCancelledByUser = 13,
  kNoMoreAuthMethodsAvailable = 14,
  kIllegalUserName = 15,
};

/// SSH_OPEN_* of RFC 4254 5.1.
enum class OpenFailure : std::uint32_t {
  kAdministrativelyProhibited = 1,
  kConnectFailed = 2,
  kUnknownChannelType = 3,
  kResourceShortage = 4,
};

/// SSH_EXTENDED_DATA_STDERR, RFC 4254 5.2.
inline constexpr std::uint32_t kExtendedDataStderr = 1;

}  // namespace bastion::proto
