#include "daemon/timers.h"

#include "daemon/ring/ring.h"

namespace bastion::daemon {

bool Timers::earlier(std::uint32_t a, std::uint32_t b) const {
  return slots_[a].deadline < slots_[b].deadline;
}

void Timers::place(std::uint32_t position, std::uint32_t slot) {
  heap_[position] = slot;
  slots_[slot].position = position;
}

void Timers::sift_up(std::uint32_t position) {
  const std::uint32_t slot = heap_[position];
  while (position > 0) {
    const std::uint32_t parent = (position - 1) / 2;
    if (!earlier(slot, heap_[parent])) {
      break;
    }
    place(position, heap_[parent]);
    position = parent;
  }
  place(position, slot);
}

void Timers::sift_down(std::uint32_t position) {
  const std::uint32_t slot = heap_[position];
  const auto size = static_cast<std::uint32_t>(heap_.size());
  while (true) {
    std::uint32_t child = 2 * position + 1;
    if (child >= size) {
      break;
    }
    if (child + 1 < size && earlier(heap_[child + 1], heap_[child])) {
      ++child;
    }
    if (!earlier(heap_[child], slot)) {
      break;
    }
    place(position, heap_[child]);
    position = child;
  }
  place(position, slot);
}

void Timers::remove_at(std::uint32_t position) {
  const std::uint32_t slot = heap_[position];
  const std::uint32_t last = heap_.back();
  heap_.pop_back();
  if (last != slot) {
    place(position, last);
    sift_up(position);
    sift_down(slots_[last].position);
  }
  slots_[slot].position = kFree;
  ++slots_[slot].generation;
  free_.push_back(slot);
}

Timers::Handle Timers::set(MonoTime deadline, Token token) {
  std::uint32_t slot;
  if (free_.empty()) {
    slot = static_cast<std::uint32_t>(slots_.size());
    slots_.emplace_back();
  } else {
    slot = free_.back();
    free_.pop_back();
  }
  slots_[slot].deadline = deadline;
  slots_[slot].token = token;
  heap_.push_back(slot);
  sift_up(static_cast<std::uint32_t>(heap_.size() - 1));
  return {slot, slots_[slot].generation};
}

bool Timers::active(Handle handle) const {
  return handle.slot < slots_.size() && slots_[handle.slot].generation == handle.generation &&
         slots_[handle.slot].position != kFree;
}

bool Timers::move(Handle handle, MonoTime deadline) {
  if (!active(handle)) {
    return false;
  }
  slots_[handle.slot].deadline = deadline;
  sift_up(slots_[handle.slot].position);
  sift_down(slots_[handle.slot].position);
  return true;
}

void Timers::cancel(Handle handle) {
  if (active(handle)) {
    remove_at(slots_[handle.slot].position);
  }
}

MonoTime Timers::next_deadline() const {
  return heap_.empty() ? kNever : slots_[heap_.front()].deadline;
}

std::optional<Token> Timers::pop_expired(MonoTime now) {
  if (heap_.empty() || slots_[heap_.front()].deadline > now) {
    return std::nullopt;
  }
  const Token token = slots_[heap_.front()].token;
  remove_at(0);
  return token;
}

}  // namespace bastion::daemon
