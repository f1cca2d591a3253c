#include <gtest/gtest.h>
#include <unistd.h>

#include <map>
#include <set>

#include "tests/evil/attack.h"

/// Long random conversations of evil gates and workers with the warden. A small model knows what
/// each session may have; whatever the warden gives beyond that is a hole.
namespace bastion::test {
namespace {

namespace ipc = daemon::ipc;
using daemon::PeerId;
using daemon::UniqueFd;

struct Known {
  Connection connection;
  PeerId owner;
  enum class Stage { kKeyed, kIn, kAdopted, kOver } stage = Stage::kKeyed;
  std::string user_name;   // that was signed for
  bool connected = false;  // the target's socket went to the worker
  bool verified = false;
  bool proof_used = false;
  int target_signatures = 0;
};

class Model {
 public:
  explicit Model(std::uint64_t seed) : random_(seed), world_("", "limits: {auth_failures: 100}\n") {
    world_.warden.add_peer(kWorker1, 102);
    auto [near, far] = tcp_pair();
    user_end_ = std::move(near);
    gate_end_ = std::move(far);
  }

  void step() {
    world_.io.sent.clear();
    world_.io.ended.clear();
    world_.io.lines.clear();
    if (random_.below(20) == 0) {
      finish_dial();
    } else if (random_.below(2) == 0) {
      gate_step(random_.below(2) == 0 ? kGate0 : kGate1);
    } else {
      worker_step(random_.below(2) == 0 ? kWorker0 : kWorker1);
    }
    replace_ended();
  }

  std::size_t logins = 0, adoptions = 0, credentials = 0, signatures = 0, tunnels = 0, ended = 0;

 private:
  using Stage = Known::Stage;

  UniqueFd user_socket() const { return UniqueFd(dup(gate_end_.get())); }

  Known* any_session() {
    const bool none = sessions_.empty() || random_.below(50) == 0;
    return none ? nullptr : &sessions_[random_.below(sessions_.size())];
  }
  Known* find(ipc::SessionId id) {
    for (Known& known : sessions_) {
      if (known.connection.session == id) {
        return &known;
      }
    }
    return nullptr;
  }
  bool lies() { return random_.below(25) == 0; }

  /// choose finds a session that a message fits, or once in a while any or none at all (null with
  /// true). False: there is no such session, and the step is left out.
  bool choose(PeerId owner, Stage stage, Known*& out) {
    if (random_.below(60) == 0) {
      out = any_session();
      return true;
    }
    std::vector<Known*> fitting;
    for (Known& known : sessions_) {
      if (known.owner == owner && known.stage == stage) {
        fitting.push_back(&known);
      }
    }
    if (fitting.empty()) {
      return false;
    }
    out = fitting[random_.below(fitting.size())];
    return true;
  }

  /// spoilt changes a packet somewhere behind its header, sometimes.
  Attack spoilt(Attack attack, bool& out_changed) {
    out_changed = random_.below(6) == 0 && attack.packet.size() > ipc::kHeaderBytes;
    if (out_changed) {
      const std::size_t at =
          ipc::kHeaderBytes + random_.below(attack.packet.size() - ipc::kHeaderBytes);
      attack.packet[at] ^= static_cast<std::uint8_t>(1U << random_.below(8));
    }
    return attack;
  }

  void gate_step(PeerId gate) {
    const std::size_t what = random_.below(40);
    Known* known = nullptr;
    if (what < 10) {
      return first_exchange(gate);
    }
    if (!choose(gate, what < 24 ? Stage::kKeyed : Stage::kIn, known)) {
      return;
    }
    const ipc::SessionId id = known != nullptr ? known->connection.session : random_.next();
    switch (what < 24 ? 1 : what < 37 ? 3 : what == 37 ? 5 : 4) {
      case 1: return key_verify(gate, known, id);
      case 3: {
        const std::size_t before = count(ipc::Type::kAdopt);
        const bool due = known != nullptr && known->stage == Stage::kIn && known->owner == gate;
        say(gate, id, ipc::HandOver{SecretBytes(5), SecretBytes()});
        const bool adopted = count(ipc::Type::kAdopt) != before;
        EXPECT_EQ(adopted, due) << "an adoption that was not granted, or a granted one refused";
        if (adopted) {
          ++adoptions;
          known->stage = Stage::kAdopted;
          for (const Sent& sent : world_.io.sent) {
            if (sent.header.type == ipc::Type::kAdopt) {
              known->owner = sent.to;
              const auto adopt = *ipc::decode<ipc::Adopt>(sent.body);
              EXPECT_EQ(adopt.user, "alice");
              EXPECT_EQ(adopt.mode == ipc::SessionMode::kRouted, known->user_name == "deploy@web1");
            } else if (sent.header.type == ipc::Type::kTargetConnected) {
              known->connected = true;
            }
          }
        }
        return;
      }
      case 4:
        say(gate, id, ipc::ConnectionGone{"left"});
        if (known != nullptr && known->owner == gate && known->stage != Stage::kOver) {
          known->stage = Stage::kOver;
        }
        return no_gain();
      default: return any_message(gate, known, id);
    }
  }

  void first_exchange(PeerId gate) {
    ipc::Cookie cookie;
    bool fresh = false;
    if (lies()) {
      // Of another gate, of a spent one, or made up.
      const PeerId other = gate == kGate0 ? kGate1 : kGate0;
      if (random_.below(2) == 0) {
        cookie = world_.cookies(other).at(0);
      } else if (!spent_.empty()) {
        cookie = spent_[random_.below(spent_.size())];
      } else {
        random_.fill(cookie);
      }
    } else {
      cookie = world_.cookies(gate).at(0);
      fresh = true;
    }
    const bool own_key = lies();
    Connection connection;
    connection.gate = gate;
    connection.exchange = world_.exchange(cookie, own_key ? Keys::get().mallory : Keys::get().host);
    connection.hash = hash_of(connection.exchange);
    const std::uint32_t request =
        world_.say(gate, 0, ipc::SignFirstExchange{connection.exchange}, user_socket());
    const auto answer = world_.answer<ipc::ExchangeSigned>(request);
    EXPECT_EQ(answer.has_value(), fresh && !own_key);
    if (answer) {
      EXPECT_EQ(answer->hash, to_bytes(connection.hash.view()));
      spent_.push_back(cookie);
      for (const Sent& sent : world_.io.sent) {
        if (sent.header.request == request && sent.header.type == ipc::Type::kExchangeSigned) {
          connection.session = sent.header.session;
        }
      }
      Known known;
      known.connection = std::move(connection);
      known.owner = gate;
      sessions_.push_back(std::move(known));
      if (sessions_.size() > 40) {
        forget_oldest();
      }
    }
  }

  void forget_oldest() {
    Known& oldest = sessions_.front();
    if (oldest.stage != Stage::kOver) {
      if (oldest.stage == Stage::kAdopted) {
        world_.say(oldest.owner, oldest.connection.session, ipc::SessionEnded{"", 0, 0});
      } else {
        world_.say(oldest.owner, oldest.connection.session, ipc::ConnectionGone{""});
      }
    }
    sessions_.erase(sessions_.begin());
  }

  void key_verify(PeerId gate, Known* known, ipc::SessionId id) {
    Known* signed_for = lies() ? any_session() : known;
    if (signed_for == nullptr) {
      return;
    }
    const std::string name = random_.below(3) == 0 ? "alice" : "deploy@web1";
    const bool right_key = !lies();
    ipc::KeyVerify message = world_.signed_request(
        signed_for->connection, name, right_key ? Keys::get().alice : Keys::get().mallory);
    const bool renamed = lies();
    if (renamed) {
      message.user_name = name == "alice" ? "deploy@web1" : "alice";
    }
    const bool due = known != nullptr && known->stage == Stage::kKeyed && known->owner == gate &&
                     signed_for == known && right_key && !renamed;
    const std::size_t connects = world_.io.connects.size();
    const auto verdict = world_.answer<ipc::Verdict>(say(gate, id, message));
    const bool in = verdict && verdict->success;
    EXPECT_EQ(in, due) << "a login that nobody signed for, or a good one refused";
    const bool dials = in && message.user_name == "deploy@web1";
    EXPECT_EQ(world_.io.connects.size(), connects + (dials ? 1 : 0));
    if (in) {
      ++logins;
      known->stage = Stage::kIn;
      known->user_name = message.user_name;
    }
    if (dials) {
      dials_[world_.io.connects.back().token] = {id, false};
    }
  }

  void worker_step(PeerId worker) {
    Known* known = nullptr;
    if (!choose(worker, Stage::kAdopted, known)) {
      return;
    }
    const ipc::SessionId id = known != nullptr ? known->connection.session : random_.next();
    const bool mine = known != nullptr && known->stage == Stage::kAdopted && known->owner == worker;
    // Mostly what fits this session: else its worker would be ended before anything was reached.
    std::size_t what = random_.below(200);
    if (known == nullptr || what < 4) {
      what = what % 6;
    } else if (known->user_name == "alice") {
      what = what < 150 ? 0 : what < 190 ? 4 : 3;
    } else if (known->connected && !known->proof_used) {
      what = 1;
    } else if (known->verified && known->target_signatures < 4) {
      what = 2;
    } else {
      what = what < 150 ? 4 : 3;
    }
    switch (what) {
      case 0: {
        const bool granted = !lies();
        const std::size_t connects = world_.io.connects.size();
        say(worker, id, ipc::OpenTunnel{1, granted ? "lab1" : "web1", lies() ? 23U : 22U});
        if (world_.io.connects.size() != connects) {
          EXPECT_TRUE(mine && granted && known->user_name == "alice");
          EXPECT_EQ(world_.io.connects.back().address.text(), "10.0.9.1");
          EXPECT_EQ(world_.io.connects.back().port, 22);
          dials_[world_.io.connects.back().token] = {id, true};
          ++tunnels;
        }
        return;
      }
      case 1: {
        TargetExchange target =
            world_.target_exchange(lies() ? Keys::get().mallory : Keys::get().web1_host);
        const bool genuine =
            equal(target.exchange.host_key_blob, Keys::get().web1_host.public_key().blob()) &&
            !lies();
        if (!genuine) {
          target.signature.back() ^= 1;
        }
        const bool due = mine && known->connected && !known->proof_used;
        const auto answer = world_.answer<ipc::TargetVerified>(
            say(worker, id, ipc::TargetVerify{target.exchange, target.signature}));
        EXPECT_EQ(answer.has_value(), due && genuine);
        if (due) {
          known->proof_used = true;
        }
        if (answer) {
          ++credentials;
          known->verified = true;
        }
        return;
      }
      case 2: {
        const auto answer = world_.answer<ipc::TargetSignature>(
            say(worker, id, ipc::TargetSign{lies() ? 1U : 0U, "ssh-ed25519"}));
        if (answer) {
          EXPECT_TRUE(mine && known->verified && known->target_signatures < 4);
          ++known->target_signatures;
          ++signatures;
        }
        return;
      }
      case 3:
        if (random_.below(4) == 0) {
          say(worker, id, ipc::SessionEnded{"", 0, 0});
          if (mine) {
            known->stage = Stage::kOver;
          }
        }
        return no_gain();
      case 4: {
        const auto answer = world_.answer<ipc::ExchangeSigned>(
            say(worker, id, ipc::SignRekey{world_.exchange(ipc::Cookie{})}));
        EXPECT_EQ(answer.has_value(), mine);
        return;
      }
      default: return any_message(worker, known, id);
    }
  }

  /// any_message sends one of a type that this role never sends, or of a right one to no session.
  void any_message(PeerId from, Known* known, ipc::SessionId id) {
    ipc::Type type = kTypes[random_.below(kTypes.size())];
    const bool of_other_role =
        from.role == ipc::Role::kGate
            ? type < ipc::Type::kTakeCookies || type > ipc::Type::kConnectionGone
            : type < ipc::Type::kSignRekey || type > ipc::Type::kSessionEnded;
    if (!of_other_role || known == nullptr) {
      return;
    }
    bool changed = false;
    Attack attack =
        spoilt(best_message(world_, type, from, known->connection, id, "deploy@web1"), changed);
    const Gains before = gains(world_);
    world_.deliver(from, std::move(attack.packet), std::move(attack.fd));
    EXPECT_EQ(gains(world_), before);
    if (known->stage != Stage::kOver) {
      EXPECT_TRUE(world_.was_ended(from));
    }
  }

  void finish_dial() {
    if (dials_.empty()) {
      return;
    }
    const auto dial = dials_.begin();
    const auto [id, tunnel] = dial->second;
    world_.warden.on_connected(dial->first, user_socket(), 0);
    dials_.erase(dial);
    Known* known = find(id);
    for (const Sent& sent : world_.io.sent) {
      ASSERT_TRUE(known != nullptr && known->stage == Stage::kAdopted);
      EXPECT_EQ(sent.to, known->owner);
      EXPECT_EQ(sent.header.session, id);
      EXPECT_EQ(sent.header.type == ipc::Type::kTunnelOpened, tunnel);
      known->connected = known->connected || !tunnel;
    }
  }

  void replace_ended() {
    std::set<PeerId> gone;
    for (const auto& [peer, why] : world_.io.ended) {
      gone.insert(peer);
    }
    for (const PeerId peer : gone) {
      ++ended;
      for (Known& known : sessions_) {
        if (known.owner == peer) {
          known.stage = Stage::kOver;
        }
      }
      world_.warden.add_peer(peer, 500);
    }
    std::size_t live = 0;
    for (const Known& known : sessions_) {
      live += known.stage != Stage::kOver ? 1 : 0;
    }
    EXPECT_EQ(world_.warden.num_sessions(), live);
  }

  void no_gain() {
    const Gains now = gains(world_);
    EXPECT_EQ(now.logins + now.adoptions + now.credentials + now.target_signatures +
                  now.host_signatures + now.tunnels,
              0U);
  }
  template <typename Message>
  std::uint32_t say(PeerId from, ipc::SessionId session, const Message& message) {
    return world_.say(from, session, message);
  }
  std::size_t count(ipc::Type type) const { return world_.count(type); }

  TestRandom random_;
  World world_;
  UniqueFd user_end_, gate_end_;
  std::vector<Known> sessions_;
  std::vector<ipc::Cookie> spent_;
  std::map<daemon::ConnectToken, std::pair<ipc::SessionId, bool>> dials_;
};

TEST(RandomConversations, GainNothingThatTheModelDoesNotGrant) {
  Model model(20'261'123);
  for (int i = 0; i < 20'000 && !::testing::Test::HasFailure(); ++i) {
    SCOPED_TRACE(i);
    model.step();
  }
  // The conversation got everywhere.
  EXPECT_GT(model.logins, 50U);
  EXPECT_GT(model.adoptions, 20U);
  EXPECT_GT(model.credentials, 0U);
  EXPECT_GT(model.signatures, 0U);
  EXPECT_GT(model.tunnels, 0U);
  EXPECT_GT(model.ended, 100U);
}

}  // namespace
}  // namespace bastion::test
