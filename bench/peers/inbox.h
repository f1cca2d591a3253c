#pragma once

#include <algorithm>

#include "base/bytes.h"
#include "proto/transport.h"

namespace bastion::bench {

/// Inbox gives a transport its bytes in pieces of any size, and keeps what is left of a packet that
/// is not whole yet: nothing for a peer that is idle.
class Inbox {
 public:
  /// feed takes all of `in`, which is overwritten. `handle` gets each step and says whether to go
  /// on. False: the transport reported an error (kept in error()), or `handle` said no.
  template <typename Handle>
  bool feed(proto::Transport& transport, MutBytes in, MonoTime now, Handle handle) {
    while (true) {
      const bool from_rest = !rest_.empty();
      if (from_rest) {
        const std::size_t n = std::min(in.size(), need_ - std::min(need_, rest_.size()));
        rest_.insert(rest_.end(), in.begin(), in.begin() + static_cast<std::ptrdiff_t>(n));
        in = in.subspan(n);
      }
      auto step = transport.next(from_rest ? MutBytes(rest_) : in, now);
      if (!step) {
        error_ = step.error();
        return false;
      }
      const bool more =
          step->kind == proto::StepKind::kNeedBytes ? on_incomplete(*step, in) : handle(*step);
      if (step->kind != proto::StepKind::kNeedBytes) {
        drop(from_rest, step->consumed, in);
      }
      if (!more) {
        return step->kind == proto::StepKind::kNeedBytes;
      }
    }
  }

  const Error& error() const { return error_; }

 private:
  /// on_incomplete keeps what there is; true where the rest of the packet may be in `in` already.
  bool on_incomplete(const proto::Step& step, MutBytes& in) {
    const bool from_rest = !rest_.empty();
    drop(from_rest, step.consumed, in);
    need_ = step.need_bytes;
    if (from_rest) {
      return !in.empty();
    }
    rest_.assign(in.begin(), in.end());
    in = {};
    return false;
  }
  void drop(bool from_rest, std::size_t n, MutBytes& in) {
    if (!from_rest) {
      in = in.subspan(n);
      return;
    }
    rest_.erase(rest_.begin(), rest_.begin() + static_cast<std::ptrdiff_t>(n));
    if (rest_.empty()) {
      Bytes().swap(rest_);
    }
  }

  Bytes rest_;
  std::size_t need_ = 0;
  Error error_{};
};

}  // namespace bastion::bench
