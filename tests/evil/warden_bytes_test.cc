#include <gtest/gtest.h>

#include "tests/evil/attack.h"

/// Bytes that are no message: cut, longer, changed, random.
namespace bastion::test {
namespace {

namespace ipc = daemon::ipc;
using daemon::PeerId;

struct Case {
  ipc::Type type;
  PeerId from;
  const char* user_name;  // of the session that it is sent in; "": none; "?": not logged in
};

const Case kCases[] = {{ipc::Type::kTakeCookies, kGate0, ""},
                       {ipc::Type::kSignFirstExchange, kGate0, ""},
                       {ipc::Type::kKeyQuery, kGate0, "?"},
                       {ipc::Type::kKeyVerify, kGate0, "?"},
                       {ipc::Type::kConnectionGone, kGate0, "?"},
                       {ipc::Type::kSignRekey, kWorker0, "deploy@web1"},
                       {ipc::Type::kTargetVerify, kWorker0, "deploy@web1"},
                       {ipc::Type::kTargetSign, kWorker0, "deploy@web1"},
                       {ipc::Type::kOpenTunnel, kWorker0, "alice"},
                       {ipc::Type::kSessionEvent, kWorker0, "alice"},
                       {ipc::Type::kSessionStats, kWorker0, "alice"},
                       {ipc::Type::kSessionEnded, kWorker0, "alice"},
                       {ipc::Type::kWorkerStats, kWorker0, ""},
                       {ipc::Type::kResolved, kResolver, ""}};

Connection session_for(World& world, const Case& c) {
  const std::string name = c.user_name;
  if (name == "?" || name.empty()) {
    return world.connect();
  }
  Connection connection = world.adopted(name);
  if (c.type == ipc::Type::kTargetVerify) {
    world.connect_target();
  }
  return connection;
}

TEST(MalformedMessages, CutAtEveryOctetTheyEndTheirSender) {
  for (const Case& c : kCases) {
    World world;
    const Connection first = session_for(world, c);
    const Attack whole = best_message(world, c.type, c.from, first,
                                      *c.user_name == '\0' ? 0 : first.session, "deploy@web1");
    // A session for each cut would take long: the sender is forgiven and goes on.
    for (std::size_t size = 0; size < whole.packet.size(); ++size) {
      SecretBytes cut(whole.packet.begin(),
                      whole.packet.begin() + static_cast<std::ptrdiff_t>(size));
      const Gains before = gains(world);
      ByteView body(cut);
      const auto header = ipc::decode_header(body);
      world.io.ended.clear();
      if (!header) {
        continue;  // the channel ends the peer before the warden sees it
      }
      world.warden.on_message(c.from, *header, body, tcp_pair().second);
      EXPECT_TRUE(world.was_ended(c.from)) << ipc::type_name(c.type) << " cut at " << size;
      EXPECT_EQ(gains(world), before);
    }
    SecretBytes longer = whole.packet;
    longer.push_back(0);
    world.io.ended.clear();
    const Gains before = gains(world);
    world.deliver(c.from, std::move(longer), tcp_pair().second);
    EXPECT_TRUE(world.was_ended(c.from)) << ipc::type_name(c.type) << " with an octet behind it";
    EXPECT_EQ(gains(world), before);
  }
}

TEST(MalformedMessages, ChangedOctetsOfASignedRequestLogNobodyIn) {
  World world;
  for (std::size_t i = ipc::kHeaderBytes;; ++i) {
    const Connection connection = world.connect();
    Attack attack = best_message(world, ipc::Type::kKeyVerify, kGate0, connection,
                                 connection.session, "deploy@web1");
    if (i == attack.packet.size()) {
      break;
    }
    attack.packet[i] ^= 1;
    world.deliver(kGate0, std::move(attack.packet));
    EXPECT_EQ(gains(world).logins, 0U) << i;
    world.warden.peer_gone(kGate0);
    world.warden.add_peer(kGate0, 300);
    world.io.ended.clear();
    world.io.sent.clear();
  }
}

TEST(MalformedMessages, RandomOctetsGainNothing) {
  World world;
  TestRandom random(31);
  const Connection keyed = world.connect();
  const Connection adopted = world.adopted("deploy@web1");
  const Gains before = gains(world);
  for (int i = 0; i < 20'000; ++i) {
    SecretBytes packet(random.below(120));
    random.fill(packet);
    const bool gate = random.below(2) == 0;
    ipc::Header header{.request = static_cast<std::uint32_t>(i),
                       .session = gate ? keyed.session : adopted.session};
    header.type = kTypes[random.below(kTypes.size())];
    // Ended sessions and cookies are no gain; what would end the session for good is left out.
    if (header.type == ipc::Type::kConnectionGone || header.type == ipc::Type::kSessionEnded) {
      continue;
    }
    world.warden.on_message(gate ? kGate0 : kWorker0, header, packet, {});
  }
  EXPECT_EQ(gains(world), before);
  EXPECT_EQ(world.warden.num_sessions(), 2U);
}

}  // namespace
}  // namespace bastion::test
