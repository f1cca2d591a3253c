#pragma once

#include <string>
#include <vector>

#include "daemon/recording/reader.h"
#include "daemon/recording/verify.h"
#include "daemon/recording/writer.h"

namespace bastion::recording::test {

inline const std::string kSession = "7q2mabcdefghijklmnopqrstu0";

inline Metadata metadata(const std::string& session = kSession) {
  Metadata m;
  m.session = session;
  m.user = "alice";
  m.login = "deploy";
  m.target = "web1";
  m.address = "10.0.1.11:22";
  m.rule = "developers-on-web";
  m.mode = "routed";
  m.from = "10.0.4.17";
  m.host = "bastion.corp";
  m.start_us = 1'700'000'000'000'000;
  m.records_input = true;
  return m;
}

/// Said is one entry with bytes of its own.
struct Said {
  std::uint64_t time_us;
  std::uint32_t channel;
  EntryKind kind;
  Bytes bytes;
  friend bool operator==(const Said&, const Said&) = default;
};
inline Said said(const Entry& entry) {
  return {entry.time_us, entry.channel, entry.kind, to_bytes(entry.bytes)};
}

/// a_shell is a small terminal session.
inline std::vector<Said> a_shell(std::uint64_t start_us = 1'700'000'000'000'000) {
  return {
      {start_us + 10, 1, EntryKind::kChannelOpen, encode(ChannelOpen{"session"})},
      {start_us + 20, 1, EntryKind::kPty, encode(Pty{{80, 24}, "xterm-256color"})},
      {start_us + 30, 1, EntryKind::kStart, encode(Start{StartKind::kShell, ""})},
      {start_us + 400'000, 1, EntryKind::kStdout, to_bytes("deploy@web1:~$ ")},
      {start_us + 900'000, 1, EntryKind::kStdin, to_bytes("ls\r")},
      {start_us + 900'500, 1, EntryKind::kStdout, to_bytes("ls\r\nsecret.txt\r\n")},
      {start_us + 900'400, 1, EntryKind::kResize, encode(Size{120, 40})},  // the clock went back
      {start_us + 2'000'000, 1, EntryKind::kExitStatus, encode_number(0)},
      {start_us + 2'000'001, 1, EntryKind::kChannelClose, {}},
  };
}

struct Made {
  Bytes file;
  std::vector<std::size_t> ends;  // where each block ends
};

/// Audit signs heads as the warden does.
inline const crypto::PrivateKey& audit_key() {
  static const crypto::PrivateKey key = *crypto::PrivateKey::generate(crypto::KeyType::kEd25519);
  return key;
}
inline Signature sign(const crypto::PrivateKey& key, const std::string& session, const Head& head) {
  const Bytes data = head_to_sign(session, head.seq, head.hash);
  return {key.public_key().line(),
          *key.sign(*crypto::find_signature_algorithm("ssh-ed25519"), data)};
}

/// make writes the entries, `per_block` to a block, and ends and signs it.
inline Made make(const std::vector<Said>& entries, std::size_t per_block,
                 std::span<const Recipient> recipients = {}, const std::string& session = kSession,
                 bool seal = true) {
  static Compressor compressor;
  BlockWriter writer(compressor);
  Made made;
  const auto block_done = [&] {
    if (made.ends.empty() || made.ends.back() != made.file.size()) {
      made.ends.push_back(made.file.size());
    }
  };
  (void)writer.begin(metadata(session), recipients, made.file).value();
  block_done();
  std::size_t in_block = 0;
  std::uint64_t position = 0;
  for (const Said& each : entries) {
    writer.add({each.time_us, each.channel, each.kind, each.bytes}).value();
    position += 40 + each.bytes.size();
    if (++in_block == per_block || writer.full()) {
      writer.flush({3, position}, made.file);
      block_done();
      in_block = 0;
    }
  }
  writer.flush({3, position}, made.file);
  block_done();
  if (seal) {
    writer.end(EndState::kComplete, "", 1'700'000'009'000'000, {3, position}, made.file);
    block_done();
    writer.sign(sign(audit_key(), session, writer.head()), made.file);
    block_done();
  }
  return made;
}

/// Read is all that a reader gave.
struct Read {
  std::optional<Metadata> metadata;
  std::vector<Said> entries;
  std::optional<End> end;
  std::optional<Signature> signature;
  std::optional<Problem> problem;
  std::optional<ProblemKind> hidden;
};
/// read feeds the file in pieces of `piece` bytes.
inline Read read(ByteView file, std::span<const Identity> identities = {},
                 std::size_t piece = 1000) {
  static Decompressor decompressor;
  RecordingReader reader(decompressor, identities);
  Read out;
  while (true) {
    auto item = reader.next();
    if (std::holds_alternative<RecordingReader::NeedBytes>(item)) {
      if (file.empty()) {
        break;
      }
      const std::size_t n = std::min(piece, file.size());
      reader.feed(file.first(n));
      file = file.subspan(n);
    } else if (const auto* m = std::get_if<Metadata>(&item)) {
      out.metadata = *m;
    } else if (const auto* e = std::get_if<Entry>(&item)) {
      out.entries.push_back(said(*e));
    } else if (const auto* end = std::get_if<End>(&item)) {
      out.end = *end;
    } else if (const auto* s = std::get_if<Signature>(&item)) {
      out.signature = *s;
    } else {
      break;
    }
  }
  out.problem = reader.finish();
  out.hidden = reader.hidden();
  return out;
}

inline VerifyResult verify(ByteView file, const std::string& session = kSession,
                           bool with_key = true) {
  static const std::vector<crypto::PublicKey> keys{audit_key().public_key()};
  Verifier verifier(session, with_key ? std::span(keys) : std::span<const crypto::PublicKey>());
  while (!file.empty()) {
    const std::size_t n = std::min<std::size_t>(file.size(), 4096);
    if (!verifier.feed(file.first(n))) {
      break;
    }
    file = file.subspan(n);
  }
  return verifier.finish();
}

}  // namespace bastion::recording::test
