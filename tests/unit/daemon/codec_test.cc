#include "daemon/ipc/codec.h"
#include "daemon/ipc/messages.h"

#include <gtest/gtest.h>

namespace bastion::daemon::ipc {
namespace {

ByteView body_of(const SecretBytes& packet) { return ByteView(packet).subspan(kHeaderBytes); }

Adopt full_adopt() {
  Adopt adopt;
  adopt.mode = SessionMode::kRefused;
  adopt.short_id = "7q2m";
  adopt.user = "alice";
  adopt.target = "web1";
  adopt.login = "deploy";
  adopt.refusal = "no";
  adopt.permissions.shell = true;
  adopt.permissions.subsystems = {"sftp", "netconf"};
  adopt.permissions.forward_local = {{"localhost", 5432, 5432}, {"*.cache.internal", 1, 65535}};
  adopt.permissions.env = {"LC_*"};
  adopt.permissions.force_command = "uptime";
  adopt.permissions.channels_max = 7;
  adopt.state = to_secret(as_bytes("state"));
  adopt.input = to_secret(as_bytes("input"));
  return adopt;
}

TEST(Codec, BringsEveryKindOfFieldBack) {
  const Adopt adopt = full_adopt();
  const SecretBytes packet = encode(Header{.request = 3, .session = 9}, adopt);
  ByteView rest(packet);
  const auto header = decode_header(rest);
  ASSERT_TRUE(header.has_value());
  EXPECT_EQ(header->type, Type::kAdopt);
  EXPECT_EQ(header->request, 3u);
  EXPECT_EQ(header->session, 9u);
  const auto back = decode<Adopt>(rest);
  ASSERT_TRUE(back.has_value());
  EXPECT_EQ(back->mode, adopt.mode);
  EXPECT_EQ(back->short_id, adopt.short_id);
  EXPECT_EQ(back->permissions, adopt.permissions);
  EXPECT_EQ(back->state, adopt.state);
  EXPECT_EQ(back->input, adopt.input);
}

TEST(Codec, BringsArraysAndIntegersBack) {
  Cookies cookies;
  cookies.cookies.resize(3);
  cookies.cookies[1].fill(0xab);
  EXPECT_EQ(decode<Cookies>(body_of(encode({}, cookies)))->cookies, cookies.cookies);

  SessionStats stats;
  stats.bytes_up = 0x0102'0304'0506'0708;
  stats.channels = "shell";
  const auto back = decode<SessionStats>(body_of(encode({}, stats)));
  EXPECT_EQ(back->bytes_up, stats.bytes_up);
  EXPECT_EQ(back->bytes_down, 0u);
  EXPECT_EQ(back->channels, "shell");
}

TEST(Codec, RefusesEveryShorterMessage) {
  const SecretBytes packet = encode({}, full_adopt());
  const ByteView body = body_of(packet);
  for (std::size_t length = 0; length < body.size(); ++length) {
    EXPECT_FALSE(decode<Adopt>(body.first(length)).has_value()) << length;
  }
}

TEST(Codec, RefusesWhatTrails) {
  SecretBytes packet = encode({}, full_adopt());
  packet.push_back(0);
  EXPECT_FALSE(decode<Adopt>(body_of(packet)).has_value());
  EXPECT_FALSE(decode<Drained>(as_bytes("x")).has_value());
  EXPECT_TRUE(decode<Drained>({}).has_value());
}

TEST(Codec, RefusesEnumsAndBooleansOutOfRange) {
  SecretBytes packet = encode({}, full_adopt());
  packet[kHeaderBytes] = 3;  // SessionMode has 0..2
  EXPECT_FALSE(decode<Adopt>(body_of(packet)).has_value());

  SecretBytes verdict = encode({}, Verdict{.success = true});
  verdict[kHeaderBytes] = 2;
  EXPECT_FALSE(decode<Verdict>(body_of(verdict)).has_value());
}

TEST(Codec, AllocatesNothingForCountsThatAreNotThere) {
  Bytes body(4, 0xff);
  EXPECT_FALSE(decode<Cookies>(body).has_value());
  EXPECT_FALSE(decode<Resolved>(Bytes{0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff}).has_value());
}

TEST(CodecHeader, RefusesOtherVersionsUnknownTypesAndShortOnes) {
  const SecretBytes good = encode(Header{}, Drained{});
  for (std::size_t length = 0; length < kHeaderBytes; ++length) {
    ByteView rest = ByteView(good).first(length);
    EXPECT_FALSE(decode_header(rest).has_value()) << length;
  }
  SecretBytes bad = good;
  bad[0] = kVersion + 1;
  ByteView rest(bad);
  EXPECT_FALSE(decode_header(rest).has_value());
  int known_types = 0;
  for (int type = 0; type < 256; ++type) {
    bad = good;
    bad[1] = static_cast<std::uint8_t>(type);
    rest = ByteView(bad);
    const bool accepted = decode_header(rest).has_value();
    EXPECT_EQ(accepted, known(static_cast<Type>(type))) << type;
    known_types += accepted ? 1 : 0;
  }
  EXPECT_EQ(known_types, 69);
}

}  // namespace
}  // namespace bastion::daemon::ipc
