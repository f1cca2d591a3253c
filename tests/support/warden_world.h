#pragma once

#include <deque>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "config/file_source.h"
#include "crypto/kex.h"
#include "crypto/keys.h"
#include "daemon/ipc/codec.h"
#include "daemon/warden/warden.h"
#include "proto/auth_messages.h"
#include "tests/support/sk_key.h"
#include "tests/support/test_random.h"

/// A warden in the test's own process, and everybody around it, honest unless a test says
/// otherwise: gates and workers that send messages, users with keys, targets with host keys.
namespace bastion::test {

inline constexpr daemon::PeerId kGate0{daemon::ipc::Role::kGate, 0};
inline constexpr daemon::PeerId kGate1{daemon::ipc::Role::kGate, 1};
inline constexpr daemon::PeerId kWorker0{daemon::ipc::Role::kWorker, 0};
inline constexpr daemon::PeerId kWorker1{daemon::ipc::Role::kWorker, 1};
inline constexpr daemon::PeerId kResolver{daemon::ipc::Role::kResolver, 0};

/// tcp_pair gives both ends of a connection over loopback.
std::pair<daemon::UniqueFd, daemon::UniqueFd> tcp_pair();

/// Sent is one message of the warden's.
struct Sent {
  daemon::PeerId to;
  daemon::ipc::Header header;
  SecretBytes body;
  daemon::UniqueFd fd;
};

/// RememberingIo does nothing and remembers everything.
class RememberingIo final : public daemon::WardenIo {
 public:
  struct Connect {
    daemon::ConnectToken token = 0;
    IpAddress address;
    std::uint16_t port = 0;
  };

  void send(daemon::PeerId to, SecretBytes packet, daemon::UniqueFd fd) override;
  void connect(daemon::ConnectToken token, const IpAddress& address, std::uint16_t port) override {
    connects.push_back({token, address, port});
  }
  void cancel_connect(daemon::ConnectToken token) override { cancelled.push_back(token); }
  void answer_control(std::uint32_t request, std::string json) override {
    controls[request] = std::move(json);
  }
  void end_peer(daemon::PeerId peer, std::string_view why) override {
    ended.emplace_back(peer, why);
  }
  bool run_slow(daemon::PeerId owner, daemon::SlowPool::Job job,
                daemon::SlowPool::Done done) override;
  std::size_t descriptors_max() override { return open_files_max; }
  std::size_t queued_descriptors(daemon::PeerId peer) override { return queued[peer]; }
  void log(daemon::LogLevel level, std::string_view text,
           std::initializer_list<daemon::Field> fields) override;
  MonoTime now() override { return mono; }
  WallTime wall_now() override { return wall; }

  /// run_slow_jobs does what waits and tells the results.
  void run_slow_jobs();
  bool logged(std::string_view part) const;

  std::vector<Sent> sent;
  std::size_t largest_packet = 0;
  std::vector<Connect> connects;
  std::vector<daemon::ConnectToken> cancelled;
  std::vector<std::pair<daemon::PeerId, std::string>> ended;
  std::map<std::uint32_t, std::string> controls;  // answered later
  std::vector<std::string> lines;                 // of the log
  std::deque<std::pair<daemon::SlowPool::Job, daemon::SlowPool::Done>> slow;
  std::vector<daemon::PeerId> slow_owners;  // of every job, in the order that they were given
  bool slow_is_full = false;
  std::size_t open_files_max = 65'536;
  std::map<daemon::PeerId, std::size_t> queued;  // descriptors that a peer has not taken
  MonoTime mono{1'000 * kNsPerSecond};
  WallTime wall = 1'800'000'000;
};

/// Keys are the key pairs of everybody, made once for the whole program.
struct Keys {
  crypto::PrivateKey host, host_rsa, user_ca, alice, alice_rsa, bob, mallory, corp_ca, web1_host,
      web2_host, target_key, target_rsa, host_ca;
  SkKey carol_touch, carol_verify;
  static Keys& get();

 private:
  Keys();
};

/// bundle_of is a whole configuration: `policy` and kServicePath with `service` added, and its
/// keys.
inline constexpr const char* kServicePath = "/etc/bastiond/bastiond.yaml";
config::FileBundle bundle_of(const std::string& policy, const std::string& service = "");

/// Connection is one user's TCP connection with its first exchange signed.
struct Connection {
  daemon::PeerId gate;
  daemon::UniqueFd user_end;
  daemon::ipc::Exchange exchange;
  crypto::Digest hash;  // as the user computes it
  daemon::ipc::SessionId session = 0;
};

/// Target's side of a session: the exchange that the worker had with it.
struct TargetExchange {
  daemon::ipc::Exchange exchange;
  crypto::Digest hash;
  Bytes signature;
};

class World {
 public:
  /// The policy is default_policy() unless `policy` says another; the service has `service` added.
  explicit World(const std::string& policy = "", const std::string& service = "");

  static const std::string& default_policy();
  daemon::ipc::ConfigurationResult configure(const std::string& policy,
                                             const std::string& service = "",
                                             const std::string& loaded_by = "reload");

  /// say delivers a message as the process would: the warden's slow jobs are run, and peers that it
  /// ended are gone afterwards. Gives the number of the request.
  template <typename Message>
  std::uint32_t say(daemon::PeerId from, daemon::ipc::SessionId session, const Message& message,
                    daemon::UniqueFd fd = daemon::UniqueFd()) {
    const std::uint32_t request = ++last_request_;
    deliver(
        from,
        daemon::ipc::encode(daemon::ipc::Header{.request = request, .session = session}, message),
        std::move(fd));
    return request;
  }
  void deliver(daemon::PeerId from, SecretBytes packet, daemon::UniqueFd fd = daemon::UniqueFd());

  /// answer finds the warden's answer to a request where it is a `Message`.
  template <typename Message>
  std::optional<Message> answer(std::uint32_t request) const {
    for (const Sent& sent : io.sent) {
      if (sent.header.request == request && sent.header.type == Message::kType) {
        return *daemon::ipc::decode<Message>(sent.body);
      }
    }
    return std::nullopt;
  }
  /// refusal is the text of the Refused that answers a request, "-" where there is none.
  std::string refusal(std::uint32_t request) const;
  /// last gives the last message of a kind that a peer was sent, and its session.
  template <typename Message>
  std::optional<Message> last(daemon::PeerId to) const {
    for (auto sent = io.sent.rbegin(); sent != io.sent.rend(); ++sent) {
      if (sent->to == to && sent->header.type == Message::kType) {
        return *daemon::ipc::decode<Message>(sent->body);
      }
    }
    return std::nullopt;
  }
  std::size_t count(daemon::ipc::Type type) const;
  bool was_ended(daemon::PeerId peer) const;

  // What honest processes do.
  std::vector<daemon::ipc::Cookie> cookies(daemon::PeerId gate, std::uint32_t count = 1);
  /// exchange makes a whole key exchange of a user's with a gate that has this cookie.
  daemon::ipc::Exchange exchange(const daemon::ipc::Cookie& cookie,
                                 const crypto::PrivateKey& host = Keys::get().host,
                                 std::string_view host_algorithm = "ssh-ed25519");
  Connection connect(daemon::PeerId gate = kGate0);
  daemon::ipc::KeyVerify signed_request(const Connection& connection, std::string user_name,
                                        const crypto::PrivateKey& key,
                                        std::string algorithm = "ssh-ed25519",
                                        std::optional<Bytes> blob = std::nullopt);
  bool verify(const Connection& connection, const daemon::ipc::KeyVerify& message);
  bool log_in(const Connection& connection, std::string user_name,
              const crypto::PrivateKey& key = Keys::get().alice);
  /// hand_over gives what the worker was told.
  std::optional<daemon::ipc::Adopt> hand_over(const Connection& connection);
  /// adopted is a session at kWorker0, of alice unless another key is given.
  Connection adopted(std::string user_name, const crypto::PrivateKey& key = Keys::get().alice);
  /// connect_target ends the last connect that the warden began; gives the target's end.
  daemon::UniqueFd connect_target();
  void fail_target(int error);
  TargetExchange target_exchange(const crypto::PrivateKey& host = Keys::get().web1_host,
                                 std::string algorithm = "ssh-ed25519",
                                 std::optional<Bytes> blob = std::nullopt);
  std::uint32_t verify_target(const Connection& connection, const TargetExchange& target,
                              daemon::PeerId worker = kWorker0);
  /// verified is a session at kWorker0 whose target is verified.
  Connection verified(std::string user_name, daemon::ipc::TargetVerified* out = nullptr,
                      TargetExchange* out_target = nullptr);
  void pass_time(std::int64_t ms);
  /// control gives the answer, "" where there is none yet (io.controls[number] will have it).
  std::string control(std::string json, bool admin = true, std::uint32_t number = 1);

  TestRandom random;
  RememberingIo io;
  daemon::Warden warden;

 private:
  std::uint32_t last_request_ = 0;
};

/// hash_of is the exchange hash of an exchange.
crypto::Digest hash_of(const daemon::ipc::Exchange& exchange);

/// user_certificate makes a certificate as a CA for users would; `change` may spoil it.
template <typename Change>
Bytes user_certificate(const crypto::PublicKey& key, const crypto::PrivateKey& ca, WallTime now,
                       Change change) {
  TestRandom random(7);
  crypto::CertificateRequest request;
  request.key = key;
  request.serial = 42;
  request.key_id = "alice's laptop";
  request.principals = {"alice"};
  request.valid_after = static_cast<std::uint64_t>(now - 60);
  request.valid_before = static_cast<std::uint64_t>(now + 60);
  request.extensions = {{"permit-pty", {}}, {"permit-port-forwarding", {}}};
  change(request);
  return *crypto::sign_certificate(request, ca, random);
}

}  // namespace bastion::test
