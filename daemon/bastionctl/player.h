#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "daemon/recording/entries.h"

namespace bastion::ctl {

/// What a person asks of a running player.
enum class PlayKey : std::uint8_t {
  kNone,
  kPause,
  kStep,
  kForward,
  kBack,
  kFaster,
  kSlower,
  kQuit,
};

/// KeyReader takes what a terminal sends and gives the keys that mean something. Escape sequences,
/// such as a terminal's answers to what a recording asks it, are passed over whole.
class KeyReader {
 public:
  PlayKey take(std::uint8_t octet);

 private:
  std::string sequence_;
};

/// PlayClock says when an entry is due: recorded time, pauses cut to a limit, at a speed.
class PlayClock {
 public:
  /// idle_limit_us 0: no limit.
  PlayClock(double speed, std::uint64_t idle_limit_us)
      : speed_(speed), idle_limit_us_(idle_limit_us) {}

  /// wait_us gives how long to wait before the entry, and advances to it.
  std::uint64_t wait_us(std::uint64_t time_us);
  /// played_us is the time into the recording, pauses cut.
  std::uint64_t played_us() const { return played_us_; }
  void restart() {
    played_us_ = 0;
    begun_ = false;
  }
  void faster() { speed_ = speed_ < 5'000 ? speed_ * 2 : speed_; }
  void slower() { speed_ = speed_ > 0.02 ? speed_ / 2 : speed_; }

 private:
  double speed_;
  std::uint64_t idle_limit_us_;
  std::uint64_t last_us_ = 0;
  std::uint64_t played_us_ = 0;
  bool begun_ = false;
};

/// shown_entry is the text of an entry in a safe listing: output as lines with its control
/// characters shown, what was typed marked "<", what happened marked "--". Empty where there is
/// nothing to say.
std::string shown_entry(const recording::Entry& entry);

}  // namespace bastion::ctl
