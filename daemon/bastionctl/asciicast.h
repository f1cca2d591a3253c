#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "daemon/recording/entries.h"

namespace bastion::ctl {

/// Asciicast writes asciinema's file format, version 2 or 3: a header line, then a line an event
/// (docs.asciinema.org/manual/asciicast). Its lines are ASCII: everything else is escaped, and what
/// is no UTF-8 is U+FFFD. A size that is not known is 80 by 24, and none is more than kSizeMax.
class Asciicast {
 public:
  static constexpr std::uint32_t kColumnsUnknown = 80;
  static constexpr std::uint32_t kRowsUnknown = 24;
  /// Players take memory for each cell, and the size is the user's word.
  static constexpr std::uint32_t kSizeMax = 1000;

  struct Header {
    std::uint32_t columns = 80;
    std::uint32_t rows = 24;
    std::uint64_t start_us = 0;
    std::string command;
    std::string title;
    std::string term;
  };
  Asciicast(int version, const Header& header);

  std::string header() const;
  /// event gives the line of one entry; empty where asciicast has none for it. Octets that are only
  /// the beginning of a character wait for the next entry of their stream.
  std::string event(const recording::Entry& entry);
  /// finish gives what is still waiting, and in version 3 the exit status, which is the last event:
  /// output may come after it.
  std::string finish();

 private:
  std::string line(std::uint64_t time_us, char code, const std::string& data);
  std::string text(std::string& waiting, std::string_view bytes);

  int version_;
  Header header_;
  std::uint64_t last_us_;
  std::string out_waiting_;
  std::string in_waiting_;
  struct Exit {
    std::uint64_t time_us;
    std::uint64_t status;
  };
  std::optional<Exit> exit_;  // not told yet
};

}  // namespace bastion::ctl
