#include "proto/auth_messages.h"

#include <gtest/gtest.h>

#include <functional>

#include "base/wire.h"
#include "tests/unit/proto/auth_support.h"

namespace bastion::proto {
namespace {

using test::ed25519_blob;

/// expect_exact checks that `accepts` takes the whole message, no part of it and nothing longer.
void expect_exact(const Bytes& whole, const std::function<bool(ByteView)>& accepts) {
  EXPECT_TRUE(accepts(whole));
  for (std::size_t n = 0; n < whole.size(); ++n) {
    EXPECT_FALSE(accepts(ByteView(whole).first(n))) << "cut at " << n;
  }
  for (const std::size_t extra : {1U, 4U, 100U}) {
    Bytes longer = whole;
    longer.resize(whole.size() + extra);
    EXPECT_FALSE(accepts(longer)) << extra << " bytes trail";
  }
}

TEST(AuthMessages, ServiceMessagesRoundTripAndRefuseEveryOtherLength) {
  const Bytes request = encode_service_request("ssh-userauth");
  EXPECT_EQ(parse_service_request(request)->service, "ssh-userauth");
  expect_exact(request, [](ByteView b) { return parse_service_request(b).has_value(); });
  const Bytes accept = encode_service_accept("ssh-userauth");
  EXPECT_EQ(parse_service_accept(accept)->service, "ssh-userauth");
  expect_exact(accept, [](ByteView b) { return parse_service_accept(b).has_value(); });
  EXPECT_FALSE(parse_service_accept(request));
}

TEST(AuthMessages, AUserauthRequestKeepsItsMethodsFieldsUnparsed) {
  const Bytes data = to_bytes("\x01\xff anything");
  const Bytes whole = test::method_request("no-such-method", data, "alice");
  const auto request = parse_userauth_request(whole);
  ASSERT_TRUE(request);
  EXPECT_EQ(request->user, "alice");
  EXPECT_EQ(request->service, kServiceConnection);
  EXPECT_EQ(request->method, "no-such-method");
  EXPECT_TRUE(equal(request->method_data, data));
  const std::size_t head = whole.size() - data.size();
  for (std::size_t n = 0; n < head; ++n) {
    EXPECT_FALSE(parse_userauth_request(ByteView(whole).first(n))) << n;
  }
}

TEST(AuthMessages, PublicKeyRequestsOfAllFourFormsRoundTrip) {
  const Bytes blob = ed25519_blob();
  const Bytes host_key = ed25519_blob("host");
  const Bytes signature = to_bytes("signature");
  for (const bool hostbound : {false, true}) {
    for (const bool has_signature : {false, true}) {
      const Bytes whole = encode_publickey_request(
          "alice", kServiceConnection,
          {.algorithm = "ssh-ed25519",
           .key_blob = blob,
           .hostbound = hostbound,
           .host_key_blob = hostbound ? ByteView(host_key) : ByteView{},
           .signature = has_signature ? std::optional<ByteView>(signature) : std::nullopt});
      const auto request = parse_userauth_request(whole);
      ASSERT_TRUE(request);
      EXPECT_EQ(request->method, hostbound ? kMethodPublicKeyHostbound : kMethodPublicKey);
      const auto parsed = parse_publickey_data(request->method_data, hostbound);
      ASSERT_TRUE(parsed);
      EXPECT_EQ(parsed->algorithm, "ssh-ed25519");
      EXPECT_TRUE(equal(parsed->key_blob, blob));
      EXPECT_EQ(parsed->hostbound, hostbound);
      EXPECT_EQ(parsed->host_key_blob.empty(), !hostbound);
      ASSERT_EQ(parsed->signature.has_value(), has_signature);
      if (has_signature) {
        EXPECT_TRUE(equal(*parsed->signature, signature));
      }
      expect_exact(to_bytes(request->method_data), [hostbound](ByteView b) {
        return parse_publickey_data(b, hostbound).has_value();
      });
    }
  }
}

TEST(AuthMessages, AnyBooleanButZeroIsTrueAsRfc4251Says) {
  Bytes failure = encode_userauth_failure({"publickey", true});
  for (const int value : {1, 2, 127, 255}) {
    failure.back() = static_cast<std::uint8_t>(value);
    EXPECT_TRUE(parse_userauth_failure(failure)->partial_success) << value;
  }
  failure.back() = 0;
  EXPECT_FALSE(parse_userauth_failure(failure)->partial_success);
  Writer data;
  data.u8(255).text("ssh-ed25519").string(ed25519_blob()).text("signature");
  EXPECT_TRUE(parse_publickey_data(data.view(), false)->signature.has_value());
}

TEST(AuthMessages, PasswordRequestsRoundTripWithAndWithoutANewOne) {
  for (const bool change : {false, true}) {
    const PasswordRequest password{"hunter2",
                                   change ? std::optional<std::string_view>("new") : std::nullopt};
    const SecretBytes whole = encode_password_request("alice", kServiceConnection, password);
    const auto request = parse_userauth_request(whole);
    ASSERT_TRUE(request);
    EXPECT_EQ(request->method, kMethodPassword);
    const auto parsed = parse_password_data(request->method_data);
    ASSERT_TRUE(parsed);
    EXPECT_EQ(parsed->password, "hunter2");
    EXPECT_EQ(parsed->new_password, password.new_password);
    expect_exact(to_bytes(request->method_data),
                 [](ByteView b) { return parse_password_data(b).has_value(); });
  }
}

TEST(AuthMessages, ServerAnswersRoundTripAndRefuseEveryOtherLength) {
  const Bytes failure = encode_userauth_failure({"publickey,password", true});
  EXPECT_EQ(parse_userauth_failure(failure)->methods, "publickey,password");
  expect_exact(failure, [](ByteView b) { return parse_userauth_failure(b).has_value(); });

  expect_exact(encode_userauth_success(),
               [](ByteView b) { return parse_userauth_success(b).has_value(); });

  const Bytes banner = encode_userauth_banner({"Authorised use only\r\n", "en"});
  EXPECT_EQ(parse_userauth_banner(banner)->text, "Authorised use only\r\n");
  EXPECT_EQ(parse_userauth_banner(banner)->language, "en");
  expect_exact(banner, [](ByteView b) { return parse_userauth_banner(b).has_value(); });

  const Bytes blob = ed25519_blob();
  const Bytes ok = encode_publickey_ok({"ssh-ed25519", blob});
  EXPECT_EQ(parse_publickey_ok(ok)->algorithm, "ssh-ed25519");
  EXPECT_TRUE(equal(parse_publickey_ok(ok)->key_blob, blob));
  expect_exact(ok, [](ByteView b) { return parse_publickey_ok(b).has_value(); });
}

TEST(AuthMessages, ANoneRequestHasNoFields) {
  const Bytes none = encode_none_request("alice", kServiceConnection);
  const auto request = parse_userauth_request(none);
  ASSERT_TRUE(request);
  EXPECT_EQ(request->method, kMethodNone);
  EXPECT_TRUE(request->method_data.empty());
}

TEST(AuthMessages, sec_033_CountsAndLengthsBeyondTheMessageAreRefused) {
  for (const std::uint32_t length : {0xFFFFFFFFU, 0x10000000U, 13U}) {
    Writer writer;
    writer.u8(kMsgServiceRequest).u32(length).bytes(as_bytes("ssh-userauth"));
    EXPECT_FALSE(parse_service_request(writer.view())) << length;
  }
}

// The layout of RFC 4252 7 written out by hand, so that an error in the writer shows.
TEST(AuthMessages, SignedDataIsByteForByteWhatRfc4252Says) {
  const Bytes session_id = {1, 2, 3};
  const Bytes blob = {9, 8};
  const Bytes data = userauth_signed_data({.session_id = session_id,
                                           .user = "al",
                                           .service = "ssh-connection",
                                           .algorithm = "ssh-ed25519",
                                           .key_blob = blob,
                                           .host_key_blob = std::nullopt});
  const Bytes expected =
      to_bytes(std::string_view("\0\0\0\3\1\2\3"
                                "\x32"
                                "\0\0\0\2al"
                                "\0\0\0\x0essh-connection"
                                "\0\0\0\x09publickey"
                                "\1"
                                "\0\0\0\x0bssh-ed25519"
                                "\0\0\0\2\x09\x08",
                                7 + 1 + 6 + 18 + 13 + 1 + 15 + 6));
  EXPECT_EQ(data, expected);
}

TEST(AuthMessages, HostboundSignedDataEndsInTheHostKeyUnderItsOwnMethodName) {
  const Bytes session_id = {1};
  const Bytes blob = {9};
  const Bytes host_key = {7, 7};
  SignedRequest request{.session_id = session_id,
                        .user = "al",
                        .service = kServiceConnection,
                        .algorithm = "ssh-ed25519",
                        .key_blob = blob,
                        .host_key_blob = host_key};
  const Bytes bound = userauth_signed_data(request);
  Reader reader(bound);
  EXPECT_TRUE(equal(reader.string(), session_id));
  EXPECT_EQ(reader.u8(), kMsgUserauthRequest);
  EXPECT_EQ(reader.text(), "al");
  EXPECT_EQ(reader.text(), kServiceConnection);
  EXPECT_EQ(reader.text(), "publickey-hostbound-v00@openssh.com");
  EXPECT_TRUE(reader.boolean());
  EXPECT_EQ(reader.text(), "ssh-ed25519");
  EXPECT_TRUE(equal(reader.string(), blob));
  EXPECT_TRUE(equal(reader.string(), host_key));
  EXPECT_TRUE(reader.done());
}

TEST(AuthMessages, ListContainsComparesWholeNames) {
  EXPECT_TRUE(list_contains("a,bc,d", "a"));
  EXPECT_TRUE(list_contains("a,bc,d", "bc"));
  EXPECT_TRUE(list_contains("a,bc,d", "d"));
  EXPECT_FALSE(list_contains("a,bc,d", "b"));
  EXPECT_FALSE(list_contains("a,bc,d", "a,bc"));
  EXPECT_FALSE(list_contains("", ""));
  EXPECT_FALSE(list_contains("a,,b", ""));
}

}  // namespace
}  // namespace bastion::proto
