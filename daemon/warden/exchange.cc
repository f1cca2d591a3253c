#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <utility>

#include "crypto/kex.h"
#include "daemon/ipc/login_messages.h"
#include "daemon/warden/warden.h"
#include "proto/messages.h"
#include "proto/transport.h"

namespace bastion::daemon {
namespace {

/// A worker that is taken over gets no more host signatures than this for one session: an hourly
/// rekey needs 24 a day, one at each 64 KiB of 64 GiB this many.
constexpr std::uint32_t kRekeysMax = 1U << 20;

crypto::ExchangeParts parts_of(const ipc::Exchange& exchange) {
  return {exchange.client_ident,   exchange.server_ident,  exchange.client_kexinit,
          exchange.server_kexinit, exchange.host_key_blob, exchange.client_field,
          exchange.server_field,   exchange.secret_field};
}

/// cookie_of gives the cookie in a KEXINIT payload (RFC 4253 7.1): the 16 bytes behind its number.
std::optional<ipc::Cookie> cookie_of(ByteView kexinit) {
  ipc::Cookie cookie;
  if (kexinit.size() < 1 + cookie.size() || kexinit[0] != proto::kMsgKexInit) {
    return std::nullopt;
  }
  std::copy_n(kexinit.begin() + 1, cookie.size(), cookie.begin());
  return cookie;
}

/// is_plausible: the fields that are not ours have the sizes that the transport lets pass.
bool is_plausible(const ipc::Exchange& exchange) {
  return exchange.client_ident.size() <= limits::kIdentLineMax &&
         exchange.client_kexinit.size() <= limits::kKexInitBytesMax &&
         exchange.server_kexinit.size() <= limits::kKexInitBytesMax &&
         !exchange.client_kexinit.empty() && exchange.client_kexinit[0] == proto::kMsgKexInit &&
         as_text(exchange.server_ident) == proto::kIdent;
}

const HostSigner* find_signer(const ActiveConfiguration& active, const ipc::Exchange& exchange) {
  const auto found = std::ranges::find_if(active.host_signers, [&](const HostSigner& signer) {
    return signer.algorithm == exchange.host_key_algorithm &&
           equal(signer.blob, exchange.host_key_blob);
  });
  return found == active.host_signers.end() ? nullptr : &*found;
}

/// peer_endpoint asks the kernel who is at the other end: a gate's word would not do.
bool peer_endpoint(int fd, IpAddress& out_address, std::uint16_t& out_port) {
  sockaddr_storage storage{};
  socklen_t length = sizeof storage;
  if (getpeername(fd, reinterpret_cast<sockaddr*>(&storage), &length) != 0) {
    return false;
  }
  std::optional<IpAddress> address;
  if (storage.ss_family == AF_INET) {
    const auto& v4 = reinterpret_cast<const sockaddr_in&>(storage);
    address = IpAddress::from_octets(
        {reinterpret_cast<const std::uint8_t*>(&v4.sin_addr), sizeof v4.sin_addr});
    out_port = ntohs(v4.sin_port);
  } else if (storage.ss_family == AF_INET6) {
    const auto& v6 = reinterpret_cast<const sockaddr_in6&>(storage);
    address = IpAddress::from_octets(
        {reinterpret_cast<const std::uint8_t*>(&v6.sin6_addr), sizeof v6.sin6_addr});
    out_port = ntohs(v6.sin6_port);
  }
  if (!address) {
    return false;
  }
  out_address = *address;
  return true;
}

}  // namespace

void Warden::on_sign_first_exchange(const Caller& caller, ipc::SignFirstExchange message,
                                    UniqueFd fd) {
  const ipc::Exchange& exchange = message.exchange;
  if (active_ == nullptr || shutting_down_) {
    return refuse(caller, "the bastion is shutting down", true);
  }
  if (!audit_trouble_.empty()) {
    return refuse(caller, std::string(kNoAuditText), true);
  }
  IpAddress peer;
  std::uint16_t peer_port = 0;
  if (!fd || !peer_endpoint(fd.get(), peer, peer_port)) {
    // Without a socket it is the gate's fault; with one the user has gone in the meantime.
    return fd ? refuse(caller, "", true) : violated(caller.peer, "it passed no socket");
  }
  const crypto::KexMethod* method = crypto::find_kex(exchange.kex_method);
  const std::optional<ipc::Cookie> cookie = cookie_of(exchange.server_kexinit);
  if (method == nullptr || !cookie || !is_plausible(exchange)) {
    return violated(caller.peer, "it asked for a signature over an exchange that cannot be");
  }
  if (!peers_[caller.peer].cookies.spend(*cookie)) {
    return violated(caller.peer, "it asked for a signature over an exchange that is not fresh");
  }
  // A gate has no more connections than the service lets in. One that is taken over could show the
  // same socket again and again, and each session holds two descriptors of ours at most: the user's
  // socket and, once they are logged in, the target's.
  const std::size_t sessions_max =
      std::min<std::size_t>(active_->service().limits.unauthenticated, descriptor_share() / 2);
  if (peers_[caller.peer].num_sessions >= sessions_max) {
    return refuse(caller, "too many connections that are not logged in", true);
  }
  const HostSigner* signer = find_signer(*active_, exchange);
  if (signer == nullptr) {
    // A reload took the key away while this handshake was under way.
    return refuse(caller, "the bastion's host keys have changed: connect again", true);
  }
  const ipc::SessionId id = sessions_.add();
  if (id == 0) {
    return refuse(caller, "too many sessions", true);
  }
  Session& session = *sessions_.find(id);
  session.gate = caller.peer.index;
  session.active = active_;
  session.session_id = crypto::exchange_hash(method->hash, parts_of(exchange));
  session.client_ident = as_text(exchange.client_ident);
  session.host_key_blob = exchange.host_key_blob;
  session.user_socket = std::move(fd);
  session.peer = peer;
  session.peer_port = peer_port;
  ++peers_[caller.peer].num_sessions;
  sign_exchange({caller.peer, caller.header, id}, *signer, session.session_id);
}

void Warden::on_sign_rekey(const Caller& caller, Session& session, ipc::SignRekey message) {
  const ipc::Exchange& exchange = message.exchange;
  const crypto::KexMethod* method = crypto::find_kex(exchange.kex_method);
  if (method == nullptr || !is_plausible(exchange) ||
      as_text(exchange.client_ident) != session.client_ident) {
    return violated(caller.peer, "it asked for a signature over an exchange that cannot be");
  }
  // How often is the user's doing: it costs this session, not its worker.
  if (++session.rekeys > kRekeysMax) {
    return refuse(caller, "too many key exchanges", true);
  }
  // A session that logged in while a reload changed the keys was adopted with the new ones.
  const HostSigner* signer = find_signer(*session.active, exchange);
  if (signer == nullptr) {
    signer = find_signer(*active_, exchange);
  }
  if (signer == nullptr) {
    return refuse(caller, "the bastion's host keys have changed: connect again", true);
  }
  sign_exchange(caller, *signer, crypto::exchange_hash(method->hash, parts_of(exchange)));
}

void Warden::sign_exchange(const Caller& caller, const HostSigner& signer,
                           const crypto::Digest& hash) {
  const auto sign = [key = signer.key, name = signer.algorithm, hash]() -> Result<Bytes> {
    const crypto::SignatureAlgorithm* algorithm = crypto::find_signature_algorithm(name);
    if (algorithm == nullptr) {
      return fail(ErrorCode::kInternal, "unknown host key algorithm");
    }
    return key.sign(*algorithm, hash.view());
  };
  auto answer = [this, caller, hash](Result<Bytes> signature) {
    // Whoever asked may be gone by now, and a successor in its place may have a request of that
    // number: the session went with the one that asked.
    if (sessions_.find(caller.session_id) == nullptr) {
      return;
    }
    if (!signature) {
      io_.log(LogLevel::kError, "could not sign a key exchange",
              {{"error", describe(signature.error())}});
      return refuse_exchange(caller, "");
    }
    reply(caller, ipc::ExchangeSigned{to_bytes(hash.view()), std::move(*signature)});
  };
  if (signer.key.public_key().type() != crypto::KeyType::kRsa) {
    return answer(sign());
  }
  if (!io_.run_slow(caller.peer, sign, answer)) {
    refuse_exchange(caller, "the bastion is busy: try again");
  }
}

// refuse_exchange: a session whose first exchange is not signed ends here, since its gate never
// learns of it.
void Warden::refuse_exchange(const Caller& caller, std::string text) {
  refuse(caller, std::move(text), true);
  Session& session = *sessions_.find(caller.session_id);
  if (session.state == SessionState::kKeyed) {
    end_row(caller.session_id, session, "its first exchange was not signed");
  }
}

}  // namespace bastion::daemon
