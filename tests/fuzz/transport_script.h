#pragma once

#include <cstdlib>

#include "tests/support/raw_peer.h"

namespace bastion::test {

/// run_script drives a transport in the given role by an input that is a list of steps: an octet
/// that chooses the step and, where it has content, an octet for the length and that many octets.
/// So a mutation changes what a peer says and when, behind encryption as well as before it.
inline void run_script(proto::Role role, ByteView input) {
  auto options = role == proto::Role::kServer ? server_options() : client_options();
  options->algorithms = proto::compatible_algorithms();
  options->algorithms.kex = {"curve25519-sha256", "ecdh-sha2-nistp256"};
  options->rekey = {.bytes = 4096, .packets = 40, .seconds = 100};
  Duel duel(options);
  duel.leg.auto_auth = true;
  std::size_t delivered = 0;
  duel.leg.on_payload = [&](proto::Payload payload) {
    ++delivered;
    if (payload.message() >= proto::kMsgGlobalRequest) {
      if (duel.leg->phase() != proto::Phase::kAuthenticated) {
        std::abort();
      }
      duel.leg->send_in_place(payload);
    }
  };
  Reader reader(input);
  while (reader.ok() && !reader.rest().empty() && !duel.leg.error.has_value()) {
    const std::uint8_t step = reader.u8();
    const auto content = [&] { return reader.bytes(reader.u8()); };
    switch (step % 16) {
      case 0: duel.peer.send_ident(); break;
      case 1:
        duel.peer.strict = (step & 16) == 0;
        duel.peer.follows = (step & 32) != 0;
        duel.peer.lists.ciphers = {(step & 64) != 0 ? "chacha20-poly1305@openssh.com"
                                                    : "aes128-ctr"};
        duel.peer.send_kexinit();
        break;
      case 2:
        if (duel.peer.can_make_method()) {
          duel.peer.send_method();
        }
        break;
      case 3:
        if (duel.peer.can_send_newkeys()) {
          duel.peer.send_newkeys();
        }
        break;
      case 4: duel.peer.raw(content()); break;
      case 5: duel.leg->request_rekey(duel.leg.now); break;
      case 6: duel.leg->send(channel_data(1, step)); break;
      case 7:
        if (duel.leg->phase() != proto::Phase::kInitialKex && !duel.leg->in_key_exchange() &&
            !duel.leg.move_process().has_value()) {
          std::abort();
        }
        break;
      case 8:
        duel.leg->send(Leg::message_with_text(proto::kMsgServiceRequest, "ssh-userauth"));
        break;
      case 9:
        duel.leg.now.ns += std::int64_t{step} * kNsPerSecond;
        if (duel.leg->rekey_due(duel.leg.now)) {
          duel.leg->request_rekey(duel.leg.now);
        }
        break;
      case 10:
        // The next steps go out together.
        continue;
      default:
        if (const ByteView payload = content(); !payload.empty()) {
          duel.peer.packet(payload);
        }
        break;
    }
    if (step % 16 != 4 || step < 128) {
      duel.exchange();
    }
    if (duel.leg.last_need_bytes > limits::kPacketBytesMax) {
      std::abort();
    }
    if (!duel.leg.reports.empty() && duel.leg.reports.back() == proto::StepKind::kDisconnected) {
      break;
    }
  }
  if (duel.leg->phase() == proto::Phase::kInitialKex && delivered != 0) {
    std::abort();
  }
}

}  // namespace bastion::test
