// What one relayed packet costs in memory, and what a packet's framing does: open, bridge, seal
// with both ends in the same thread, so their seal and open are in it, too; tests/instructions
// counts the bastion's part alone.

#include <benchmark/benchmark.h>

#include "base/pool.h"
#include "bench/memory/memory_relay.h"
#include "crypto/hash.h"
#include "proto/packet_reader.h"
#include "proto/packet_writer.h"

namespace bastion::bench {
namespace {

constexpr std::size_t kPacketBytes = 32 * 1024;
constexpr std::size_t kPacketsEach = 64;

/// relay moves 64 packets of 32 KiB from a target to a user: four passes of the cipher each, two of
/// them the bastion's.
void relay(benchmark::State& state, const char* cipher) {
  MemoryRelay session(cipher);
  session.log_in();
  for (auto _ : state) {
    session.pull(kPacketsEach * kPacketBytes);
  }
  state.SetBytesProcessed(state.iterations() *
                          static_cast<std::int64_t>(kPacketsEach * kPacketBytes));
  state.counters["copied_share"] = session.copied_share();
}
BENCHMARK_CAPTURE(relay, aes128_gcm, "aes128-gcm@openssh.com");
BENCHMARK_CAPTURE(relay, aes256_gcm, "aes256-gcm@openssh.com");
BENCHMARK_CAPTURE(relay, chacha20_poly1305, "chacha20-poly1305@openssh.com");
BENCHMARK_CAPTURE(relay, aes128_ctr_sha256_etm, "aes128-ctr");

/// parse frames and reads a packet without a cipher.
void parse(benchmark::State& state) {
  ChunkPool pool;
  proto::PacketWriter writer(pool, crypto::system_random());
  proto::PacketReader reader;
  const Bytes payload(static_cast<std::size_t>(state.range(0)), 'p');
  for (auto _ : state) {
    writer.write(payload);
    const MutBytes wire = writer.queue().front();
    benchmark::DoNotOptimize(reader.read(wire));
    writer.queue().consume(wire.size());
  }
  state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(parse)->Arg(64)->Arg(1024)->Arg(16 * 1024)->Arg(32 * 1024);

/// log_in is a whole routed login in memory, both ends included, without the warden.
void log_in(benchmark::State& state) {
  for (auto _ : state) {
    MemoryRelay("aes128-gcm@openssh.com").log_in();
  }
}
BENCHMARK(log_in)->Unit(benchmark::kMicrosecond);

}  // namespace
}  // namespace bastion::bench

BENCHMARK_MAIN();
