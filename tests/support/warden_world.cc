#include "tests/support/warden_world.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <stdexcept>

#include "proto/messages.h"
#include "proto/transport.h"

namespace bastion::test {

using daemon::PeerId;
using daemon::UniqueFd;
namespace ipc = daemon::ipc;

namespace {

crypto::PrivateKey make_key(crypto::KeyType type = crypto::KeyType::kEd25519) {
  return *crypto::PrivateKey::generate(type, 2048);
}

const crypto::KexMethod& curve25519() { return *crypto::find_kex("curve25519-sha256"); }

Bytes kexinit(ByteView cookie) {
  Writer out;
  out.u8(proto::kMsgKexInit).bytes(cookie);
  out.text("curve25519-sha256").text("ssh-ed25519");
  return out.take();
}

}  // namespace

std::pair<UniqueFd, UniqueFd> tcp_pair() {
  const UniqueFd listener(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  UniqueFd near(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  if (bind(listener.get(), generic, length) != 0 || listen(listener.get(), 1) != 0 ||
      getsockname(listener.get(), generic, &length) != 0 ||
      ::connect(near.get(), generic, length) != 0) {
    throw std::runtime_error("no connection over loopback");
  }
  UniqueFd far(accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
  return {std::move(near), std::move(far)};
}

void RememberingIo::send(PeerId to, SecretBytes packet, UniqueFd fd) {
  largest_packet = std::max(largest_packet, packet.size());
  ByteView body(packet);
  const auto header = ipc::decode_header(body);
  sent.push_back({to, *header, to_secret(body), std::move(fd)});
}

bool RememberingIo::run_slow(PeerId owner, daemon::SlowPool::Job job, daemon::SlowPool::Done done) {
  if (slow_is_full) {
    return false;
  }
  slow_owners.push_back(owner);
  slow.emplace_back(std::move(job), std::move(done));
  return true;
}

void RememberingIo::run_slow_jobs() {
  while (!slow.empty()) {
    auto [job, done] = std::move(slow.front());
    slow.pop_front();
    done(job());
  }
}

void RememberingIo::log(daemon::LogLevel, std::string_view text,
                        std::initializer_list<daemon::Field> fields) {
  lines.push_back(daemon::format_line(text, fields));
}

bool RememberingIo::logged(std::string_view part) const {
  return std::ranges::any_of(
      lines, [&](const std::string& line) { return line.find(part) != std::string::npos; });
}

Keys::Keys()
    : host(make_key()),
      host_rsa(make_key(crypto::KeyType::kRsa)),
      user_ca(make_key()),
      alice(make_key()),
      alice_rsa(make_key(crypto::KeyType::kRsa)),
      bob(make_key()),
      mallory(make_key()),
      corp_ca(make_key()),
      web1_host(make_key()),
      web2_host(make_key()),
      target_key(make_key()),
      target_rsa(make_key(crypto::KeyType::kRsa)),
      host_ca(make_key()),
      carol_touch(crypto::KeyType::kSkEd25519),
      carol_verify(crypto::KeyType::kSkEcdsaP256) {}

Keys& Keys::get() {
  static Keys keys;
  return keys;
}

const std::string& World::default_policy() {
  static const std::string text = [] {
    const Keys& keys = Keys::get();
    return "users:\n"
           "  alice:\n"
           "    keys: [\"" +
           keys.alice.public_key().line() + "\", \"" + keys.alice_rsa.public_key().line() +
           "\"]\n"
           "  bob:\n"
           "    keys: [\"" +
           keys.bob.public_key().line() +
           "\"]\n"
           "  carol:\n"
           "    keys:\n"
           "      - \"" +
           keys.carol_touch.public_key().line() +
           "\"\n"
           "      - {key: \"" +
           keys.carol_verify.public_key().line() +
           "\", verify_required: true}\n"
           "user_cas:\n"
           "  corp: {key: \"" +
           keys.corp_ca.public_key().line() +
           "\", principals_are: users}\n"
           "targets:\n"
           "  web1:\n"
           "    address: 10.0.1.11\n"
           "    host_keys: [\"" +
           keys.web1_host.public_key().line() +
           "\"]\n"
           "  web2:\n"
           "    address: 10.0.1.12\n"
           "    credential: {key_file: target_key}\n"
           "    host_keys: [\"" +
           keys.web2_host.public_key().line() +
           "\"]\n"
           "  web3:\n"
           "    address: web3.example.com\n"
           "    credential: {key_file: target_rsa}\n"
           "    host_ca: \"" +
           keys.host_ca.public_key().line() +
           "\"\n"
           "  lab1:\n"
           "    address: 10.0.9.1\n"
           "    host_keys: [\"" +
           keys.web2_host.public_key().line() +
           "\"]\n"
           "rules:\n"
           "  - name: shells\n"
           "    who: [alice, carol]\n"
           "    targets: [web1, web2, web3]\n"
           "    logins: [deploy]\n"
           "    allow: [shell, exec, {forward_local: [\"localhost:5432\"]}]\n"
           "  - name: tunnels\n"
           "    who: [alice]\n"
           "    targets: [lab1]\n"
           "    allow: [jump]\n";
  }();
  return text;
}

World::World(const std::string& policy, const std::string& service) : warden(io, random) {
  const auto result = configure(policy.empty() ? default_policy() : policy, service, "start");
  if (!result.ok) {
    throw std::runtime_error(result.text);
  }
  for (const PeerId peer : {kGate0, kGate1, kWorker0, kResolver}) {
    warden.add_peer(peer, 100 + peer.index);
  }
}

ipc::ConfigurationResult World::configure(const std::string& policy, const std::string& service,
                                          const std::string& loaded_by) {
  return warden.configure(bundle_of(policy, service), kServicePath, loaded_by);
}

config::FileBundle bundle_of(const std::string& policy, const std::string& service) {
  const Keys& keys = Keys::get();
  config::FileBundle files;
  const auto add = [&](std::string_view name, SecretBytes bytes) {
    files.add("/etc/bastiond/" + std::string(name), std::move(bytes));
  };
  const std::string yaml =
      "name: bastion.test\nhost_keys: [host_key, host_rsa]\nuser_ca: user_ca\n"
      "policy: policy.yaml\n" +
      service;
  add("bastiond.yaml", to_secret(as_bytes(yaml)));
  add("policy.yaml", to_secret(as_bytes(policy)));
  add("host_key", keys.host.to_openssh("host"));
  add("host_rsa", keys.host_rsa.to_openssh("host"));
  add("user_ca", keys.user_ca.to_openssh("ca"));
  add("target_key", keys.target_key.to_openssh("target"));
  add("target_rsa", keys.target_rsa.to_openssh("target"));
  return files;
}

void World::deliver(PeerId from, SecretBytes packet, UniqueFd fd) {
  ByteView body(packet);
  const auto header = ipc::decode_header(body);
  if (!header) {
    io.end_peer(from, "header");  // what the process's channel does
  } else {
    warden.on_message(from, *header, body, std::move(fd));
    io.run_slow_jobs();
  }
  for (const auto& [peer, why] : io.ended) {
    warden.peer_gone(peer);
  }
}

std::string World::refusal(std::uint32_t request) const {
  const auto refused = answer<ipc::Refused>(request);
  return refused ? refused->text : "-";
}

std::size_t World::count(ipc::Type type) const {
  return static_cast<std::size_t>(
      std::ranges::count_if(io.sent, [&](const Sent& sent) { return sent.header.type == type; }));
}

bool World::was_ended(PeerId peer) const {
  return std::ranges::any_of(io.ended, [&](const auto& entry) { return entry.first == peer; });
}

std::vector<ipc::Cookie> World::cookies(PeerId gate, std::uint32_t count) {
  const auto answered = answer<ipc::Cookies>(say(gate, 0, ipc::TakeCookies{count}));
  return answered ? answered->cookies : std::vector<ipc::Cookie>();
}

ipc::Exchange World::exchange(const ipc::Cookie& cookie, const crypto::PrivateKey& host,
                              std::string_view host_algorithm) {
  auto client = *crypto::make_kex_client(curve25519(), random);
  auto reply = *crypto::kex_respond(curve25519(), client->public_field(), random);
  ipc::Cookie client_cookie;
  random.fill(client_cookie);
  ipc::Exchange out;
  out.kex_method = curve25519().name;
  out.host_key_algorithm = host_algorithm;
  out.client_ident = to_bytes(as_bytes("SSH-2.0-OpenSSH_9.2p1"));
  out.server_ident = to_bytes(as_bytes(proto::kIdent));
  out.client_kexinit = kexinit(client_cookie);
  out.server_kexinit = kexinit(cookie);
  out.host_key_blob = host.public_key().blob();
  out.client_field = client->public_field();
  out.server_field = reply.public_field;
  out.secret_field = reply.secret_field;
  return out;
}

Connection World::connect(PeerId gate) {
  Connection out;
  out.gate = gate;
  auto [user_end, gate_end] = tcp_pair();
  out.user_end = std::move(user_end);
  out.exchange = exchange(cookies(gate).at(0));
  out.hash = hash_of(out.exchange);
  const std::uint32_t request =
      say(gate, 0, ipc::SignFirstExchange{out.exchange}, std::move(gate_end));
  for (const Sent& sent : io.sent) {
    if (sent.header.request == request && sent.header.type == ipc::Type::kExchangeSigned) {
      out.session = sent.header.session;
    }
  }
  return out;
}

ipc::KeyVerify World::signed_request(const Connection& connection, std::string user_name,
                                     const crypto::PrivateKey& key, std::string algorithm,
                                     std::optional<Bytes> blob) {
  ipc::KeyVerify message;
  message.user_name = std::move(user_name);
  message.algorithm = std::move(algorithm);
  message.key_blob = blob ? *blob : key.public_key().blob();
  const proto::SignedRequest request{.session_id = connection.hash.view(),
                                     .user = message.user_name,
                                     .service = proto::kServiceConnection,
                                     .algorithm = message.algorithm,
                                     .key_blob = message.key_blob,
                                     .host_key_blob = std::nullopt};
  const crypto::SignatureAlgorithm& how =
      crypto::plain_algorithm_for(*crypto::find_signature_algorithm(message.algorithm));
  message.signature = *key.sign(how, proto::userauth_signed_data(request));
  return message;
}

bool World::verify(const Connection& connection, const ipc::KeyVerify& message) {
  const auto verdict = answer<ipc::Verdict>(say(connection.gate, connection.session, message));
  return verdict && verdict->success;
}

bool World::log_in(const Connection& connection, std::string user_name,
                   const crypto::PrivateKey& key) {
  return verify(connection, signed_request(connection, std::move(user_name), key));
}

std::optional<ipc::Adopt> World::hand_over(const Connection& connection) {
  const std::size_t before = count(ipc::Type::kAdopt);
  say(connection.gate, connection.session,
      ipc::HandOver{to_secret(as_bytes("state")), to_secret(as_bytes("input"))});
  return count(ipc::Type::kAdopt) == before + 1 ? last<ipc::Adopt>(kWorker0) : std::nullopt;
}

Connection World::adopted(std::string user_name, const crypto::PrivateKey& key) {
  Connection connection = connect();
  if (!log_in(connection, std::move(user_name), key) || !hand_over(connection)) {
    throw std::runtime_error("an honest login failed");
  }
  return connection;
}

UniqueFd World::connect_target() {
  auto [ours, theirs] = tcp_pair();
  warden.on_connected(io.connects.back().token, std::move(ours), 0);
  return std::move(theirs);
}

void World::fail_target(int error) {
  warden.on_connected(io.connects.back().token, UniqueFd(), error);
}

TargetExchange World::target_exchange(const crypto::PrivateKey& host, std::string algorithm,
                                      std::optional<Bytes> blob) {
  ipc::Cookie cookie;
  random.fill(cookie);
  TargetExchange out;
  out.exchange = exchange(cookie, host, algorithm);
  out.exchange.client_ident = to_bytes(as_bytes(proto::kIdent));
  out.exchange.server_ident = to_bytes(as_bytes("SSH-2.0-OpenSSH_10.0"));
  if (blob) {
    out.exchange.host_key_blob = *blob;
  }
  out.hash = hash_of(out.exchange);
  const crypto::SignatureAlgorithm& how =
      crypto::plain_algorithm_for(*crypto::find_signature_algorithm(algorithm));
  out.signature = *host.sign(how, out.hash.view());
  return out;
}

std::uint32_t World::verify_target(const Connection& connection, const TargetExchange& target,
                                   PeerId worker) {
  return say(worker, connection.session, ipc::TargetVerify{target.exchange, target.signature});
}

Connection World::verified(std::string user_name, ipc::TargetVerified* out,
                           TargetExchange* out_target) {
  const bool web1 = user_name.find("web1") != std::string::npos;
  Connection connection = adopted(std::move(user_name));
  connect_target();
  TargetExchange target = target_exchange(web1 ? Keys::get().web1_host : Keys::get().web2_host);
  const auto answered = answer<ipc::TargetVerified>(verify_target(connection, target));
  if (!answered) {
    throw std::runtime_error("an honest target was refused");
  }
  if (out != nullptr) {
    *out = *answered;
  }
  if (out_target != nullptr) {
    *out_target = std::move(target);
  }
  return connection;
}

void World::pass_time(std::int64_t ms) {
  io.mono = after(io.mono, ms * kNsPerMs);
  warden.on_time();
}

std::string World::control(std::string json, bool admin, std::uint32_t number) {
  return warden.control({admin, "uid 1000", std::move(json)}, number).value_or("");
}

crypto::Digest hash_of(const ipc::Exchange& exchange) {
  const crypto::KexMethod* method = crypto::find_kex(exchange.kex_method);
  return crypto::exchange_hash(
      method->hash, {exchange.client_ident, exchange.server_ident, exchange.client_kexinit,
                     exchange.server_kexinit, exchange.host_key_blob, exchange.client_field,
                     exchange.server_field, exchange.secret_field});
}

}  // namespace bastion::test
