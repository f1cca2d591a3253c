#include "daemon/warden/session.h"

namespace bastion::daemon {

ipc::SessionId SessionTable::add() {
  std::size_t slot = 0;
  if (!free_.empty()) {
    slot = free_.back();
    free_.pop_back();
  } else {
    if (rows_.size() >= kSessionsMax) {
      return 0;
    }
    slot = rows_.size();
    rows_.emplace_back();
    generations_.push_back(0);
  }
  rows_[slot] = std::make_unique<Session>();
  rows_[slot]->generation = ++generations_[slot];
  rows_[slot]->state = SessionState::kKeyed;
  ++size_;
  return id_of(slot);
}

Session* SessionTable::find(ipc::SessionId id) {
  const std::uint64_t position = id & 0xffffffffU;
  if (position == 0 || position > rows_.size()) {
    return nullptr;
  }
  Session* row = rows_[position - 1].get();
  const bool live = row != nullptr && row->generation == id >> 32;
  return live ? row : nullptr;
}

void SessionTable::remove(ipc::SessionId id) {
  if (find(id) == nullptr) {
    return;
  }
  const std::size_t slot = (id & 0xffffffffU) - 1;
  rows_[slot].reset();
  free_.push_back(static_cast<std::uint32_t>(slot));
  --size_;
}

}  // namespace bastion::daemon
