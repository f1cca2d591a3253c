// What sealing, opening and key exchange cost. The packet sizes are a keystroke's, two of an
// interactive program's, and the largest channel data; bytes per second count the clear packet.

#include <benchmark/benchmark.h>

#include <algorithm>
#include <string>
#include <vector>

#include "base/limits.h"
#include "crypto/hash.h"
#include "crypto/kex.h"
#include "crypto/packet_cipher.h"

namespace bastion::crypto {
namespace {

struct Suite {
  const char* name;
  const char* cipher;
  const char* mac;  // nullptr for AEAD modes
};
constexpr Suite kSuites[] = {
    {"aes128-gcm", "aes128-gcm@openssh.com", nullptr},
    {"aes256-gcm", "aes256-gcm@openssh.com", nullptr},
    {"chacha20-poly1305", "chacha20-poly1305@openssh.com", nullptr},
    {"aes128-ctr+sha256-etm", "aes128-ctr", "hmac-sha2-256-etm@openssh.com"},
    {"aes256-ctr+sha512-etm", "aes256-ctr", "hmac-sha2-512-etm@openssh.com"},
    {"aes128-ctr+sha256", "aes128-ctr", "hmac-sha2-256"},
};
constexpr int kSizes[] = {64, 1024, 16 * 1024, 32 * 1024};

PacketKeys keys_of(const Suite& suite) {
  PacketKeys keys;
  keys.cipher = find_cipher(suite.cipher);
  keys.key.resize(keys.cipher->key_len, 1);
  keys.iv.resize(keys.cipher->iv_len, 2);
  if (suite.mac != nullptr) {
    keys.mac = find_mac(suite.mac);
    keys.mac_key.resize(keys.mac->key_len, 3);
  }
  return keys;
}

// A clear packet of about `size` bytes that fits the cipher's blocks.
Bytes clear_packet(const PacketSealer& sealer, std::size_t size) {
  Bytes packet(size / 16 * 16 + sealer.aad_len(), 0x5a);
  store_u32(packet.data(), static_cast<std::uint32_t>(packet.size() - 4));
  packet[4] = 4;
  return packet;
}

void count_bytes(benchmark::State& state, std::size_t packet) {
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(packet));
}

void seal(benchmark::State& state, const Suite& suite) {
  const auto sealer = make_sealer(keys_of(suite)).value();
  const Bytes clear = clear_packet(*sealer, static_cast<std::size_t>(state.range(0)));
  Bytes wire(clear.size() + sealer->tag_len());
  std::uint32_t seq = 0;
  for (auto _ : state) {
    sealer->seal(seq++, clear, wire);
    benchmark::ClobberMemory();
  }
  count_bytes(state, clear.size());
}

// Opening needs packets sealed in order: a batch is sealed outside the time that counts.
void open(benchmark::State& state, const Suite& suite) {
  const auto sealer = make_sealer(keys_of(suite)).value();
  const auto opener = make_opener(keys_of(suite)).value();
  const Bytes clear = clear_packet(*sealer, static_cast<std::size_t>(state.range(0)));
  const std::size_t wire_len = clear.size() + sealer->tag_len();
  const std::size_t batch = std::max<std::size_t>(1, 512 * 1024 / wire_len);
  Bytes wires(batch * wire_len);
  std::uint32_t sealed_seq = 0;
  std::uint32_t seq = 0;
  std::size_t next = batch;
  for (auto _ : state) {
    if (next == batch) {
      state.PauseTiming();
      for (std::size_t i = 0; i < batch; ++i) {
        sealer->seal(sealed_seq++, clear, MutBytes(wires).subspan(i * wire_len, wire_len));
      }
      next = 0;
      state.ResumeTiming();
    }
    const MutBytes wire = MutBytes(wires).subspan(next++ * wire_len, wire_len);
    const std::uint32_t length =
        opener->packet_length(seq, wire.first(opener->length_prefix_len()));
    if (length != clear.size() - 4 || !opener->open(seq++, wire)) {
      state.SkipWithError("a packet did not open");
      break;
    }
  }
  count_bytes(state, clear.size());
}

void kex_respond_to(benchmark::State& state, const char* name) {
  const KexMethod& method = *find_kex(name);
  const auto client = make_kex_client(method, system_random()).value();
  for (auto _ : state) {
    benchmark::DoNotOptimize(kex_respond(method, client->public_field(), system_random()));
  }
}

void kex_client(benchmark::State& state, const char* name) {
  const KexMethod& method = *find_kex(name);
  const auto first = make_kex_client(method, system_random()).value();
  const KexReply reply = kex_respond(method, first->public_field(), system_random()).value();
  for (auto _ : state) {
    const auto client = make_kex_client(method, system_random()).value();
    benchmark::DoNotOptimize(client->finish(reply.public_field));
  }
}

void register_all() {
  for (const Suite& suite : kSuites) {
    for (const auto& [verb, function] : {std::pair{"seal/", &seal}, std::pair{"open/", &open}}) {
      auto* bench =
          benchmark::RegisterBenchmark((std::string(verb) + suite.name).c_str(), function, suite);
      for (const int size : kSizes) {
        bench->Arg(size);
      }
    }
  }
  for (const char* name : {"mlkem768x25519-sha256", "sntrup761x25519-sha512", "curve25519-sha256",
                           "ecdh-sha2-nistp256", "ecdh-sha2-nistp384", "ecdh-sha2-nistp521",
                           "diffie-hellman-group14-sha256", "diffie-hellman-group16-sha512"}) {
    benchmark::RegisterBenchmark((std::string("kex_respond/") + name).c_str(), kex_respond_to, name)
        ->Unit(benchmark::kMicrosecond);
    benchmark::RegisterBenchmark((std::string("kex_client/") + name).c_str(), kex_client, name)
        ->Unit(benchmark::kMicrosecond);
  }
}

}  // namespace
}  // namespace bastion::crypto

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  bastion::crypto::register_all();
  benchmark::RunSpecifiedBenchmarks();
}
