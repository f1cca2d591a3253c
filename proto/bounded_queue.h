#pragma once

#include <cstddef>
#include <utility>
#include <vector>

namespace bastion::proto {

/// BoundedQueue is a first-in, first-out queue of at most `Max` small values that owns no memory
/// while it has never been used.
template <typename T, std::size_t Max>
class BoundedQueue {
 public:
  /// push is false, and nothing happens, where the queue is full.
  [[nodiscard]] bool push(T value) {
    if (full()) {
      return false;
    }
    if (head_ > 0 && items_.size() == items_.capacity()) {
      items_.erase(items_.begin(), items_.begin() + static_cast<std::ptrdiff_t>(head_));
      head_ = 0;
    }
    items_.push_back(std::move(value));
    return true;
  }
  void pop() {
    if (++head_ == items_.size()) {
      clear();
    }
  }
  void clear() {
    items_.clear();
    head_ = 0;
  }
  T& front() { return items_[head_]; }
  const T& front() const { return items_[head_]; }
  bool empty() const { return head_ == items_.size(); }
  bool full() const { return size() == Max; }
  std::size_t size() const { return items_.size() - head_; }

  auto begin() { return items_.begin() + static_cast<std::ptrdiff_t>(head_); }
  auto end() { return items_.end(); }
  auto begin() const { return items_.begin() + static_cast<std::ptrdiff_t>(head_); }
  auto end() const { return items_.end(); }

 private:
  std::vector<T> items_;
  std::size_t head_ = 0;
};

}  // namespace bastion::proto
