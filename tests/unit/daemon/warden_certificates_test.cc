#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/wire.h"
#include "daemon/ipc/login_messages.h"
#include "daemon/ipc/session_messages.h"
#include "daemon/ipc/supervisor_messages.h"
#include "daemon/ring/ring.h"
#include "proto/transport.h"
#include "tests/support/warden_world.h"

namespace bastion::daemon {
namespace {

using test::Connection;
using test::Keys;
using test::kGate0;
using test::kGate1;
using test::kWorker0;
using test::user_certificate;
using test::World;
using ::testing::HasSubstr;

class WardenCertificates : public ::testing::Test {
 protected:
  template <typename Change>
  bool accepts(Change change, const crypto::PrivateKey& ca = Keys::get().corp_ca,
               std::string user_name = "alice") {
    const Connection connection = world.connect();
    const Bytes blob =
        user_certificate(Keys::get().mallory.public_key(), ca, world.io.wall, change);
    const bool asked =
        world
            .answer<ipc::KeyAnswer>(
                world.say(kGate0, connection.session, ipc::KeyQuery{user_name, kAlgorithm, blob}))
            ->acceptable;
    const bool in = world.verify(
        connection,
        world.signed_request(connection, user_name, Keys::get().mallory, kAlgorithm, blob));
    EXPECT_EQ(asked, in);
    return in;
  }
  static constexpr const char* kAlgorithm = "ssh-ed25519-cert-v01@openssh.com";
  World world;
};

TEST_F(WardenCertificates, OneOfAConfiguredCaLogsIn) {
  EXPECT_TRUE(accepts([](crypto::CertificateRequest&) {}));
  EXPECT_TRUE(world.io.logged("serial 42 of corp"));
}

TEST_F(WardenCertificates, sec_012_ThePrincipalHasToNameTheUser) {
  for (const std::vector<std::string>& principals :
       {std::vector<std::string>{}, {""}, {"*"}, {"root,alice"}, {"nobody"}}) {
    EXPECT_FALSE(accepts([&](auto& request) { request.principals = principals; }));
  }
}

TEST_F(WardenCertificates, sec_009_TheSourceAddressHasToFit) {
  const auto from = [](std::string list) {
    return [list](crypto::CertificateRequest& request) {
      request.critical_options = {{"source-address", crypto::make_option_string(list)}};
    };
  };
  EXPECT_TRUE(accepts(from("127.0.0.0/8")));
  EXPECT_FALSE(accepts(from("10.0.0.0/8")));
  EXPECT_FALSE(accepts(from("")));
}

TEST_F(WardenCertificates, ForgedSpoiltOrStrangeOnesDoNot) {
  const auto now = static_cast<std::uint64_t>(world.io.wall);
  EXPECT_FALSE(accepts([&](auto& r) { r.valid_before = now; })) << "expired";
  EXPECT_FALSE(accepts([&](auto& r) { r.valid_after = now + 1; })) << "not valid yet";
  EXPECT_FALSE(accepts([](auto& r) { r.type = crypto::CertificateType::kHost; }));
  EXPECT_FALSE(accepts([](auto&) {}, Keys::get().mallory)) << "an unknown CA";
  EXPECT_FALSE(accepts([](auto& r) { r.critical_options = {{"from-the-future", {}}}; }));
}

TEST_F(WardenCertificates, ForceCommandHoldsInTheGrant) {
  const Connection connection = world.connect();
  const Bytes blob = user_certificate(
      Keys::get().mallory.public_key(), Keys::get().corp_ca, world.io.wall, [](auto& request) {
        request.critical_options = {{"force-command", crypto::make_option_string("uptime")}};
        request.extensions.clear();
      });
  ASSERT_TRUE(world.verify(
      connection,
      world.signed_request(connection, "deploy@web1", Keys::get().mallory, kAlgorithm, blob)));
  const auto adopt = world.hand_over(connection);
  ASSERT_TRUE(adopt);
  EXPECT_EQ(adopt->permissions.force_command, "uptime");
  EXPECT_FALSE(adopt->permissions.pty);
  EXPECT_TRUE(adopt->permissions.forward_local.empty());
}

// What restricts a session is what stands in the proof that let the user in: neither an earlier
// question, nor a failure, nor another user's certificate adds to it or takes from it.
TEST_F(WardenCertificates, sec_008_RestrictionsFollowTheProofThatLetIn) {
  const auto certificate = [&](const crypto::PrivateKey& key, std::string command) {
    return user_certificate(key.public_key(), Keys::get().corp_ca, world.io.wall, [&](auto& r) {
      r.critical_options = {{"force-command", crypto::make_option_string(command)}};
      r.extensions = {{"permit-pty", {}}};
    });
  };
  const Bytes restricted = certificate(Keys::get().mallory, "uptime");
  const Bytes other = certificate(Keys::get().bob, "id");
  const Bytes plain = Keys::get().alice.public_key().blob();
  const auto query = [&](const Connection& by, const char* algorithm, const Bytes& blob) {
    world.say(kGate0, by.session, ipc::KeyQuery{"deploy@web1", algorithm, blob});
  };
  const auto fail = [&](const Connection& by, const char* algorithm, const Bytes& blob) {
    EXPECT_FALSE(world.verify(
        by, world.signed_request(by, "deploy@web1", Keys::get().web1_host, algorithm, blob)));
  };
  // The plain key was asked for and failed before: the certificate's command holds.
  const Connection first = world.connect();
  query(first, "ssh-ed25519", plain);
  fail(first, "ssh-ed25519", plain);
  query(first, kAlgorithm, other);
  fail(first, kAlgorithm, other);
  ASSERT_TRUE(world.verify(first, world.signed_request(first, "deploy@web1", Keys::get().mallory,
                                                       kAlgorithm, restricted)));
  auto adopt = world.hand_over(first);
  ASSERT_TRUE(adopt);
  EXPECT_EQ(adopt->permissions.force_command, "uptime");
  EXPECT_TRUE(adopt->permissions.pty);
  EXPECT_TRUE(adopt->permissions.forward_local.empty());
  // The other way round the plain key's session has none of the certificate's limits.
  const Connection second = world.connect();
  query(second, kAlgorithm, restricted);
  fail(second, kAlgorithm, restricted);
  ASSERT_TRUE(world.log_in(second, "deploy@web1"));
  adopt = world.hand_over(second);
  ASSERT_TRUE(adopt);
  EXPECT_EQ(adopt->permissions.force_command, "");
  EXPECT_FALSE(adopt->permissions.forward_local.empty());
  // In a session without a target, a tunnel would go around the command.
  const Connection menu = world.connect();
  query(menu, "ssh-ed25519", plain);
  ASSERT_TRUE(world.verify(
      menu, world.signed_request(menu, "alice", Keys::get().mallory, kAlgorithm, restricted)));
  ASSERT_TRUE(world.hand_over(menu));
  EXPECT_THAT(world.refusal(world.say(kWorker0, menu.session, ipc::OpenTunnel{1, "lab1", 22})),
              HasSubstr("your certificate does not permit tunnels"));
}

}  // namespace
}  // namespace bastion::daemon
