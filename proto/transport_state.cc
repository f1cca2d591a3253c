#include "proto/transport_impl.h"

namespace bastion::proto {

Result<SessionState> Transport::export_state() const {
  if (state_ != State::kPackets || kex_ != nullptr || phase_ == Phase::kInitialKex) {
    return fail(ErrorCode::kInternal, "a transport cannot move in this state");
  }
  SessionState state;
  state.role = role();
  state.phase = phase_;
  state.strict_kex = strict_kex_;
  state.client_ident = client_ident();
  state.server_ident = server_ident();
  state.session_id = to_bytes(session_id_.view());
  state.algorithms = algorithms_;
  state.in = {reader_.opener().export_keys(), reader_.seq(), reader_.key_bytes(),
              reader_.key_packets()};
  state.out = {writer_.sealer().export_keys(), writer_.seq(), writer_.key_bytes(),
               writer_.key_packets()};
  state.keys_since = keys_since_;
  state.peer = peer_;
  state.ext_info_allowed = ext_info_allowed_;
  state.success_expected = success_expected_;
  state.num_exchanges = num_exchanges_;
  std::vector<ByteView> unsent(output().num_chunks());
  unsent.resize(output().gather(unsent));
  state.unsent.reserve(output().bytes());
  for (const ByteView part : unsent) {
    state.unsent.insert(state.unsent.end(), part.begin(), part.end());
  }
  return state;
}

Result<std::unique_ptr<Transport>> Transport::from_state(
    SessionState state, std::shared_ptr<const TransportOptions> options, ChunkPool& pool,
    RandomSource& random) {
  if (state.role != options->role || state.phase == Phase::kInitialKex ||
      state.session_id.size() > crypto::kHashBytesMax) {
    return fail(ErrorCode::kInternal, "session state does not fit");
  }
  auto opener = crypto::make_opener(state.in.keys);
  BASTION_TRY(opener);
  auto sealer = crypto::make_sealer(state.out.keys);
  BASTION_TRY(sealer);

  auto transport = std::make_unique<Transport>(std::move(options), pool, random);
  Transport& t = *transport;
  t.state_ = State::kPackets;
  t.phase_ = state.phase;
  t.strict_kex_ = state.strict_kex;
  const bool server = state.role == Role::kServer;
  t.ident_ = std::move(server ? state.server_ident : state.client_ident);
  t.peer_ident_ = std::move(server ? state.client_ident : state.server_ident);
  t.session_id_.len = state.session_id.size();
  std::copy(state.session_id.begin(), state.session_id.end(), t.session_id_.data.begin());
  t.algorithms_ = state.algorithms;
  t.reader_.set_opener(std::move(*opener), false);
  t.reader_.restore(state.in.seq, state.in.key_bytes, state.in.key_packets);
  t.writer_.set_sealer(std::move(*sealer), false, random);
  t.writer_.restore(state.out.seq, state.out.key_bytes, state.out.key_packets);
  t.keys_since_ = state.keys_since;
  t.last_now_ = state.keys_since;
  t.peer_ = std::move(state.peer);
  t.ext_info_allowed_ = state.ext_info_allowed;
  t.success_expected_ = state.success_expected;
  t.num_exchanges_ = state.num_exchanges;
  t.writer_.write_raw(state.unsent);
  return transport;
}

}  // namespace bastion::proto
