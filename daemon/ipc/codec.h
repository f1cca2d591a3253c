#pragma once

#include <array>
#include <concepts>
#include <string>
#include <type_traits>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/secret.h"
#include "base/wire.h"
#include "daemon/ipc/message.h"
#include "daemon/log.h"
#include "proto/permissions.h"

/// The form of a message between our processes: header (version, type, request, session), then the
/// fields in their order. Integers big-endian, bool and enums one octet, strings and byte strings
/// with a 4-byte length, arrays as they are, vectors with a 4-byte count. Decoding believes
/// nothing: each length is held against what is there, enums and booleans against their range, and
/// every octet must be used.
namespace bastion::daemon::ipc {

inline constexpr std::size_t kHeaderBytes = 1 + 1 + 4 + 8;

/// last_of gives the largest value of an enum that a message carries. The messages' own enums have
/// theirs beside them; these are of those that belong to somebody else.
constexpr proto::FileRules::Command last_of(proto::FileRules::Command) {
  return proto::FileRules::Command::kRefused;
}
constexpr proto::RecordMode last_of(proto::RecordMode) { return proto::RecordMode::kFull; }
constexpr LogLevel last_of(LogLevel) { return LogLevel::kError; }

/// fields of what proto/ owns: it knows nothing of messages, so its list is here.
void visit(auto& f, proto::ForwardPattern& p) {
  f(p.host);
  f(p.port_min);
  f(p.port_max);
}
void visit(auto& f, proto::FileRules& p) {
  f(p.download);
  f(p.upload);
  f(p.paths);
  f(p.deny_paths);
  f(p.size_max);
  f(p.digest);
  f(p.scp);
  f(p.rsync);
  f(p.rule);
}
void visit(auto& f, proto::Permissions& p) {
  f(p.shell);
  f(p.exec);
  f(p.pty);
  f(p.agent);
  f(p.x11);
  f(p.every_subsystem);
  f(p.subsystems);
  f(p.forward_local);
  f(p.forward_remote);
  f(p.forward_local_sockets);
  f(p.forward_remote_sockets);
  f(p.env);
  f(p.force_command);
  f(p.channels_max);
  f(p.session_channels_max);
  f(p.sftp_files);
  f(p.exec_files);
}
void visit(auto& f, proto::RecordTerms& t) {
  f(t.mode);
  f(t.input);
  f(t.bytes_max);
  f(t.file_content);
}
void visit(auto& f, proto::RecordPlan& p) {
  f(p.shell);
  f(p.exec);
  f(p.subsystem);
  f(p.forwards);
}
template <typename Visitor, typename T>
  requires requires(Visitor& f, T& t) { t.fields(f); }
void visit(Visitor& f, T& t) {
  t.fields(f);
}

/// Encoder appends fields. Its buffer wipes itself, as some messages carry secrets.
class Encoder {
 public:
  explicit Encoder(SecretBytes& out) : out_(out) {}

  void operator()(bool v) { out_.u8(v ? 1 : 0); }
  void operator()(const std::string& v) { out_.text(v); }
  void operator()(const Bytes& v) { out_.string(v); }
  void operator()(const SecretBytes& v) { out_.string(v); }
  template <std::unsigned_integral T>
  void operator()(T v) {
    for (int shift = static_cast<int>(sizeof(T)) * 8 - 8; shift >= 0; shift -= 8) {
      out_.u8(static_cast<std::uint8_t>(v >> shift));
    }
  }
  template <typename T>
    requires std::is_enum_v<T>
  void operator()(T v) {
    out_.u8(static_cast<std::uint8_t>(v));
  }
  template <std::size_t N>
  void operator()(const std::array<std::uint8_t, N>& v) {
    out_.bytes(v);
  }
  template <typename T>
  void operator()(const std::vector<T>& v) {
    out_.u32(static_cast<std::uint32_t>(v.size()));
    for (const T& element : v) {
      (*this)(element);
    }
  }
  template <typename T>
    requires std::is_class_v<T>
  void operator()(const T& v) {
    visit(*this, const_cast<T&>(v));  // the field lists are not const; this visitor only reads
  }

 private:
  SecretWriter out_;
};

/// Decoder reads fields; the first failure sticks and leaves the rest empty.
class Decoder {
 public:
  explicit Decoder(ByteView body) : in_(body) {}

  void operator()(bool& v) { v = in_.boolean(); }
  void operator()(std::string& v) { v = std::string(in_.text()); }
  void operator()(Bytes& v) { assign(v); }
  void operator()(SecretBytes& v) { assign(v); }
  template <std::unsigned_integral T>
  void operator()(T& v) {
    std::uint64_t sum = 0;
    for (const std::uint8_t b : in_.bytes(sizeof(T))) {
      sum = sum << 8 | b;
    }
    v = static_cast<T>(sum);
  }
  template <typename T>
    requires std::is_enum_v<T>
  void operator()(T& v) {
    const std::uint8_t raw = in_.u8();
    if (raw > static_cast<std::uint8_t>(last_of(T{}))) {
      in_.set_failed();
      return;
    }
    v = static_cast<T>(raw);
  }
  template <std::size_t N>
  void operator()(std::array<std::uint8_t, N>& v) {
    const ByteView raw = in_.bytes(N);
    if (raw.size() == N) {
      std::copy(raw.begin(), raw.end(), v.begin());
    }
  }
  template <typename T>
  void operator()(std::vector<T>& v) {
    v.clear();
    const std::uint32_t count = in_.u32();
    // Each element has at least one octet, so a count beyond the rest is a lie; growing by
    // push_back keeps the memory in proportion to the octets that were really sent.
    if (count > in_.rest().size()) {
      in_.set_failed();
      return;
    }
    for (std::uint32_t i = 0; i < count && in_.ok(); ++i) {
      (*this)(v.emplace_back());
    }
  }
  template <typename T>
    requires std::is_class_v<T>
  void operator()(T& v) {
    visit(*this, v);
  }

  bool done() const { return in_.done(); }

 private:
  void assign(auto& v) {
    const ByteView raw = in_.string();
    v.assign(raw.begin(), raw.end());
  }
  Reader in_;
};

/// known says whether `type` is one of ours.
bool known(Type type);
std::string_view type_name(Type type);

void encode_header(const Header& header, SecretBytes& out);
/// decode_header reads the header in front of a packet and takes it off. Another version, an
/// unknown type or too few octets: kMalformed.
Result<Header> decode_header(ByteView& packet);

/// encode makes the whole packet; header.type is set from the message.
template <typename Message>
SecretBytes encode(Header header, const Message& message) {
  SecretBytes out;
  header.type = Message::kType;
  encode_header(header, out);
  Encoder encoder(out);
  visit(encoder, const_cast<Message&>(message));
  return out;
}

/// decode reads the body of a message whose header said that it is one; kMalformed otherwise.
template <typename Message>
Result<Message> decode(ByteView body) {
  Message message;
  Decoder decoder(body);
  visit(decoder, message);
  if (!decoder.done()) {
    return fail(ErrorCode::kMalformed, "a message between processes is malformed",
                static_cast<std::int64_t>(Message::kType));
  }
  return message;
}

}  // namespace bastion::daemon::ipc
