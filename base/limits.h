#pragma once

#include <cstddef>
#include <cstdint>

/// The limits that are fixed in the code, each with the arithmetic that chose it. What an
/// administrator may change is in config/schema.h instead, with its default.
namespace bastion::limits {

/// packet_length (RFC 4253 6) that we accept: RFC 4253 6.1 asks for 35,000 in all; the largest that
/// a correct peer sends us is one of kMaxPacketBytes of channel data.
inline constexpr std::size_t kPacketLengthMax = 35'000;
/// Channel data bytes in one packet that we offer and use (OpenSSH's own choice).
inline constexpr std::uint32_t kMaxPacketBytes = 32 * 1024;
/// Largest tag or MAC of any cipher (hmac-sha2-512).
inline constexpr std::size_t kTagMax = 64;
inline constexpr std::size_t kPacketBytesMax = 4 + kPacketLengthMax + kTagMax;
static_assert(kPacketLengthMax >= 1 + 9 + 4 + kMaxPacketBytes + 255,
              "the largest channel data, with its extended-data header and most padding, fits");

/// A relayed payload has this much writable room before it (packet_length, padding_length)…
inline constexpr std::size_t kPayloadHeadroom = 5;
/// …and after it: the least padding plus the least tag that any cipher has (4 + 16), which is
/// enough for the most padding that we write (block 16: 4..19 bytes).
inline constexpr std::size_t kPayloadTailroom = 20;
static_assert(kPayloadTailroom >= 4 + 15);

/// Identification string, RFC 4253 4.2: 255 with CR LF. A target may send this many lines before
/// its own (OpenSSH's SSH_MAX_PRE_BANNER_LINES); a user none.
inline constexpr std::size_t kIdentLineMax = 255;
inline constexpr std::size_t kPreIdentLinesMax = 1024;
inline constexpr std::size_t kPreIdentLineBytesMax = 8192;

/// KEXINIT payloads: OpenSSH 10's is 1.6 KiB, ssh-audit's largest 4 KiB.
inline constexpr std::size_t kKexInitBytesMax = 16 * 1024;

/// EXT_INFO (RFC 8308): OpenSSH sends four extensions and reads at most 1024; a server-sig-algs of
/// OpenSSH 10 has fewer than 20 names.
inline constexpr std::uint32_t kExtInfoMax = 64;
inline constexpr std::size_t kExtInfoNamesMax = 64;
/// Algorithm names, RFC 4251 6.
inline constexpr std::size_t kAlgorithmNameMax = 64;
/// PONGs that may wait for the end of a key exchange: 64 KiB are a thousand keystrokes' worth.
inline constexpr std::size_t kPongsWaitingMax = 64 * 1024;

/// User names, target names and logins as they are typed: 64 for each of three and two separators.
inline constexpr std::size_t kUserNameBytesMax = 256;

/// Keys and certificates on the wire: an RSA-16384 key has 2 KiB, a certificate with 64 principals
/// and a full set of options under 16 KiB.
inline constexpr std::size_t kKeyBlobBytesMax = 16 * 1024;
/// Principals in one certificate (OpenSSH's SSHKEY_CERT_MAX_PRINCIPALS).
inline constexpr std::size_t kCertificatePrincipalsMax = 256;
/// A private key file: RSA-16384's seven numbers are 9.5 KiB, 13 KiB in base64; comments beside it.
inline constexpr std::size_t kKeyFileBytesMax = 64 * 1024;
inline constexpr std::uint32_t kRsaBitsMin = 2048;
inline constexpr std::uint32_t kRsaBitsMax = 16'384;

/// Rekey (RFC 4253 9, RFC 4344 3.2): we start one at the soft limits; at the hard ones the
/// connection ends. AES-GCM's counter is 64 bit in SSH; 2^31 packets is OpenSSH's bound, too.
inline constexpr std::uint64_t kRekeyBytes = std::uint64_t{1} << 30;
inline constexpr std::uint64_t kRekeyPackets = std::uint64_t{1} << 31;
inline constexpr std::uint64_t kRekeyPacketsHard = (std::uint64_t{1} << 32) - 1024;
inline constexpr std::int64_t kRekeySeconds = 3600;
/// A peer that does not finish a key exchange in this time is cut.
inline constexpr std::int64_t kRekeyFinishSeconds = 60;

/// Key exchanges before the user is authenticated: OpenSSH never starts a second one there; each
/// costs us a signature.
inline constexpr std::uint64_t kExchangesBeforeAuthMax = 4;

/// Channels of one session, all kinds; and interactive ("session") ones among them.
inline constexpr std::size_t kChannelsMax = 256;
/// Credit that we grant a sender at most on one channel (OpenSSH's CHAN_SES_WINDOW_DEFAULT).
inline constexpr std::uint32_t kWindowBytesMax = 2 * 1024 * 1024;
/// Bytes queued towards one leg before its sources are no longer read (one full window fits, so a
/// single channel never stops a leg that its own window already bounds).
inline constexpr std::size_t kSendQueueBytesMax = kWindowBytesMax + 512 * 1024;
/// Sealed bytes that move with a session between processes: a full queue, and what one receive of
/// 2 MiB from the other leg can add to it.
inline constexpr std::size_t kUnsentBytesMax = kSendQueueBytesMax + 2 * 1024 * 1024;
/// Global and channel requests that wait for their reply, per leg (golang/crypto CVE-2026-39830).
inline constexpr std::size_t kPendingRepliesMax = 256;

}  // namespace bastion::limits
