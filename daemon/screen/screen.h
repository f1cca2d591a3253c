#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "daemon/screen/repeat_filter.h"

struct VTerm;
struct VTermScreen;

namespace bastion::screen {

/// Screen is a terminal that nobody looks at (libvterm): octets in, lines of text out, as they
/// stood on screen. What it gives is UTF-8 without control characters, so it is harmless anywhere.
class Screen {
 public:
  /// Sizes are held to kColumnsMin…kColumnsMax and kRowsMin…kRowsMax, since users choose them and
  /// what stood on screen is to be found: no word is whole on a narrower one, and libvterm forgets
  /// what scrolls off a single row. 0 is a client that knows no size (its stdin is no terminal),
  /// and taken as 80 or 24. `new_lines`: LF begins a new line, as it does where a command runs
  /// without a terminal.
  ///
  /// `budget` is borrowed and may be shared; without one the screen has its own.
  struct Budget;
  Screen(std::uint32_t columns, std::uint32_t rows, bool new_lines, Budget* budget = nullptr);
  ~Screen();
  Screen(const Screen&) = delete;
  Screen& operator=(const Screen&) = delete;

  static constexpr std::uint32_t kColumnsMin = 20;
  static constexpr std::uint32_t kColumnsMax = 500;
  static constexpr std::uint32_t kRowsMin = 2;
  static constexpr std::uint32_t kRowsMax = 200;
  /// So many octets of lines that go on in the next row are joined to one.
  static constexpr std::size_t kJoinedBytesMax = 4096;

  /// Budget is how much work may be made, in cells that are written: three octets can fill a whole
  /// screen, and 64 KiB of them took two minutes. What comes when it is used up is not shown. This
  /// much is a full screen of 200 columns and 50 rows each second for seven hours, and at most some
  /// fifteen seconds of a processor.
  struct Budget {
    std::uint64_t cells = std::uint64_t{1} << 28;

    void spend(std::uint64_t more) { cells -= std::min(cells, more); }
    bool used_up() const { return cells == 0; }
  };

  void write(ByteView bytes);
  bool used_up() const { return budget_.used_up(); }
  void resize(std::uint32_t columns, std::uint32_t rows);

  /// shown gives the lines that changed since the last call, as they stand now, and those that
  /// scrolled off meanwhile: for an index, which takes a look whenever output pauses. Where a row
  /// is full to its last column the line that it makes with the next ones is given too, after the
  /// rows, so that a word that was broken at the edge is found.
  std::vector<std::string> shown();
  /// transcript gives what scrolled off and what stands on the screen, in order. What a program
  /// showed on the alternate screen (an editor, a pager) stands where it was left, as it was when
  /// shown() was last called.
  std::vector<std::string> transcript();

 private:
  struct Callbacks;
  void put(ByteView bytes);
  struct Row {
    std::string text;
    bool full = false;  // something stands in the last column
  };
  static Row row_of(const void* cells, int columns);
  Row row_at(int row) const;
  std::vector<std::string> rows_text() const;

  Budget own_budget_;
  Budget& budget_;
  VTerm* vterm_;
  VTermScreen* screen_;
  int columns_;
  int rows_;
  bool new_lines_;
  RepeatFilter repeats_;
  Bytes unfinished_;  // the beginning of a character
  bool alternate_ = false;
  std::vector<bool> changed_;
  std::vector<Row> scrolled_;            // since shown() was last called
  std::vector<std::string> transcript_;  // all that scrolled off
  std::vector<std::string> alternate_rows_;
  /// Left is what stood on the alternate screen when it was left, and the line it belongs before,
  /// counted from the terminal's beginning.
  struct Left {
    std::size_t before;
    std::vector<std::string> rows;
  };
  std::vector<Left> left_;
  std::size_t left_lines_ = 0;  // of all of them
  std::size_t entered_at_ = 0;  // the line where the alternate screen was last entered
  std::size_t forgotten_ = 0;   // lines that transcript_ has lost
};

}  // namespace bastion::screen
