#pragma once

#include <string>
#include <vector>

#include "crypto/hash.h"
#include "daemon/audit/chain.h"
#include "daemon/audit/verify.h"

namespace bastion::audit::test {

/// 2026-03-01T09:14:02.000123Z.
inline constexpr std::uint64_t kTimeUs = 1'772'356'442'000'123;

/// every_value gives an event with every field that its name may have.
inline Event every_value(Name name, std::string_view text) {
  Event event(name);
  event.time_us = kTimeUs;
  for (const Key key : info(name).keys) {
    switch (info(key).kind) {
      case Kind::kText: event.text(key, text); break;
      case Kind::kNumber: event.number(key, std::uint64_t{7}); break;
      case Kind::kFlag: event.flag(key, true); break;
      case Kind::kList: event.list(key, {std::string(text)}); break;
    }
  }
  return event;
}

/// TestLog writes a chain and signs it now and then, as the recorder and the warden do.
class TestLog {
 public:
  TestLog() : key_(*crypto::PrivateKey::generate(crypto::KeyType::kEd25519)) {}

  void add(const Event& event) { lines_.push_back(append_line(head_, body_of(event))); }
  void sign(const Head& of) {
    Event event(Name::kAuditHead);
    event.number(Key::kHeadSeq, of.seq)
        .text(Key::kHeadHash, of.hash)
        .text(Key::kKey, key_.public_key().fingerprint())
        .text(Key::kSignature, crypto::base64_encode(*sign_head(key_, of)));
    add(event);
  }
  void sign() { sign(head_); }
  /// fill adds `num` sessions' starts and ends, signed after every fifth event.
  void fill(int num) {
    for (int i = 0; i < num; ++i) {
      Event event(i % 2 == 0 ? Name::kSessionStart : Name::kSessionEnd);
      event.time_us = kTimeUs + static_cast<std::uint64_t>(i);
      event.text(Key::kSession, "7q2m" + std::to_string(i / 2)).text(Key::kUser, "alice");
      add(event);
      if (i % 5 == 4) {
        sign();
      }
    }
  }

  const Head& head() const { return head_; }
  /// ends: what somebody knows who has noted the first line and the last.
  std::vector<Head> ends() const { return {{1, hash_text(lines_.front())}, head_}; }
  std::vector<std::string>& lines() { return lines_; }
  const std::vector<std::string>& lines() const { return lines_; }
  std::string text() const { return text_of(lines_); }
  static std::string text_of(const std::vector<std::string>& lines) {
    std::string out;
    for (const std::string& line : lines) {
      out += line + "\n";
    }
    return out;
  }
  crypto::PublicKey key() const { return key_.public_key(); }

  /// verify holds a text against this log's key, and against what is known of it.
  Report verify(std::string_view text, std::size_t step = SIZE_MAX,
                const std::vector<Head>& known = {}) const {
    Verifier verifier({key()});
    for (const Head& head : known) {
      verifier.expect(head);
    }
    verifier.begin_file("audit.jsonl");
    while (!text.empty()) {
      verifier.feed(text.substr(0, step));
      text.remove_prefix(std::min(step, text.size()));
    }
    verifier.end_file();
    return verifier.finish();
  }

 private:
  crypto::PrivateKey key_;
  Head head_;
  std::vector<std::string> lines_;
};

}  // namespace bastion::audit::test
