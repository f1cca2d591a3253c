#include "daemon/screen/screen.h"

#include <vterm.h>

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "daemon/screen/utf8.h"

namespace bastion::screen {
namespace {

/// A transcript of more lines than this loses its oldest: 64 Mi of text at most.
constexpr std::size_t kTranscriptLinesMax = 128 * 1024;
/// Alternate screens kept for a transcript, and their lines: as many as of the others.
constexpr std::size_t kLeftMax = 10'000;
constexpr std::size_t kLeftLinesMax = kTranscriptLinesMax;
/// libvterm is given so much at once, so that the budget is looked at in between: 42 fillings of
/// the largest screen, which is a quarter of a second.
constexpr std::size_t kPieceBytes = 128;
/// So many cells that are moved or looked at cost as much as one that is written.
constexpr std::uint64_t kMovedForOne = 8;

/// What a terminal has whose size nobody knows.
constexpr std::uint32_t kColumnsUnknown = 80;
constexpr std::uint32_t kRowsUnknown = 24;

int columns_of(std::uint32_t value) {
  return static_cast<int>(
      std::clamp(value == 0 ? kColumnsUnknown : value, Screen::kColumnsMin, Screen::kColumnsMax));
}
int rows_of(std::uint32_t value) {
  return static_cast<int>(
      std::clamp(value == 0 ? kRowsUnknown : value, Screen::kRowsMin, Screen::kRowsMax));
}

void append_utf8(std::string& out, std::uint32_t c) {
  if (c < 0x80) {
    out += static_cast<char>(c);
  } else if (c < 0x800) {
    out += static_cast<char>(0xc0 | c >> 6);
    out += static_cast<char>(0x80 | (c & 0x3f));
  } else if (c < 0x10000) {
    out += static_cast<char>(0xe0 | c >> 12);
    out += static_cast<char>(0x80 | (c >> 6 & 0x3f));
    out += static_cast<char>(0x80 | (c & 0x3f));
  } else {
    out += static_cast<char>(0xf0 | c >> 18);
    out += static_cast<char>(0x80 | (c >> 12 & 0x3f));
    out += static_cast<char>(0x80 | (c >> 6 & 0x3f));
    out += static_cast<char>(0x80 | (c & 0x3f));
  }
}

/// text_of gives a row's characters without the blanks at its end.
std::string text_of(const VTermScreenCell* cells, int columns) {
  std::string out;
  for (int column = 0; column < columns;) {
    const VTermScreenCell& cell = cells[column];
    if (cell.chars[0] == 0 || cell.chars[0] == static_cast<std::uint32_t>(-1)) {
      out += ' ';
    }
    for (int i = 0; i < VTERM_MAX_CHARS_PER_CELL && cell.chars[i] != 0; ++i) {
      const std::uint32_t c = cell.chars[i];
      if (c == static_cast<std::uint32_t>(-1)) {
        break;
      }
      // Controls, and what turns the direction of text, are shown as a replacement.
      const bool harmless = c >= 0x20 && !(c >= 0x7f && c < 0xa0) && c <= 0x10ffff &&
                            !(c >= 0xd800 && c < 0xe000) && !(c >= 0x200b && c <= 0x200f) &&
                            !(c >= 0x2028 && c <= 0x202e) && !(c >= 0x2060 && c <= 0x206f) &&
                            c != 0xfeff;
      append_utf8(out, harmless ? c : 0xfffd);
    }
    column += std::max<int>(1, cell.width);
  }
  out.erase(out.find_last_not_of(' ') + 1);
  return out;
}

}  // namespace

struct Screen::Callbacks {
  static std::uint64_t cells_of(VTermRect rect) {
    return static_cast<std::uint64_t>(std::max(0, rect.end_row - rect.start_row)) *
           static_cast<std::uint64_t>(std::max(0, rect.end_col - rect.start_col));
  }
  static int damage(VTermRect rect, void* user) {
    auto& self = *static_cast<Screen*>(user);
    self.budget_.spend(cells_of(rect));
    return change(rect, self);
  }
  static int change(VTermRect rect, Screen& self) {
    for (int row = std::max(0, rect.start_row); row < std::min(rect.end_row, self.rows_); ++row) {
      self.changed_[static_cast<std::size_t>(row)] = true;
    }
    return 1;
  }
  static int moverect(VTermRect dest, VTermRect source, void* user) {
    auto& self = *static_cast<Screen*>(user);
    self.budget_.spend(1 + cells_of(source) / kMovedForOne);
    return change(dest, self) & change(source, self);
  }
  static int settermprop(VTermProp prop, VTermValue* value, void* user) {
    auto& self = *static_cast<Screen*>(user);
    if (prop == VTERM_PROP_ALTSCREEN) {
      const bool entered = value->boolean != 0;
      if (entered && !self.alternate_) {
        VTermPos cursor{};
        vterm_state_get_cursorpos(vterm_obtain_state(self.vterm_), &cursor);
        self.entered_at_ = self.forgotten_ + self.transcript_.size() +
                           static_cast<std::size_t>(std::max(0, cursor.row));
      } else if (!entered && self.alternate_ && self.left_.size() < kLeftMax &&
                 self.left_lines_ + self.alternate_rows_.size() <= kLeftLinesMax) {
        self.left_lines_ += self.alternate_rows_.size();
        self.left_.push_back({self.entered_at_, std::move(self.alternate_rows_)});
        self.alternate_rows_.clear();
      }
      self.alternate_ = entered;
      std::fill(self.changed_.begin(), self.changed_.end(), true);
    }
    return 1;
  }
  static int resized(int rows, int columns, void* user) {
    auto& self = *static_cast<Screen*>(user);
    self.rows_ = rows;
    self.columns_ = columns;
    self.changed_.assign(static_cast<std::size_t>(rows), true);
    return 1;
  }
  static int pushline(int columns, const VTermScreenCell* cells, void* user) {
    auto& self = *static_cast<Screen*>(user);
    self.budget_.spend(static_cast<std::uint64_t>(columns));
    Row line = row_of(cells, columns);
    if (self.transcript_.size() >= kTranscriptLinesMax) {
      self.transcript_.erase(self.transcript_.begin(),
                             self.transcript_.begin() + kTranscriptLinesMax / 2);
      self.forgotten_ += kTranscriptLinesMax / 2;
    }
    if (self.scrolled_.size() < kTranscriptLinesMax) {
      self.scrolled_.push_back(line);
    }
    self.transcript_.push_back(std::move(line.text));
    return 1;
  }
  static constexpr VTermScreenCallbacks table() {
    VTermScreenCallbacks callbacks{};
    callbacks.damage = damage;
    callbacks.moverect = moverect;
    callbacks.settermprop = settermprop;
    callbacks.resize = resized;
    callbacks.sb_pushline = pushline;
    return callbacks;
  }
};

Screen::Screen(std::uint32_t columns, std::uint32_t rows, bool new_lines, Budget* budget)
    : budget_(budget != nullptr ? *budget : own_budget_),
      vterm_(vterm_new(rows_of(rows), columns_of(columns))),
      columns_(columns_of(columns)),
      rows_(rows_of(rows)),
      new_lines_(new_lines),
      changed_(static_cast<std::size_t>(rows_)) {
  static constexpr VTermScreenCallbacks kTable = Callbacks::table();
  if (vterm_ == nullptr) {
    std::abort();
  }
  vterm_set_utf8(vterm_, 1);
  screen_ = vterm_obtain_screen(vterm_);
  vterm_screen_enable_altscreen(screen_, 1);
  vterm_screen_set_callbacks(screen_, &kTable, this);
  vterm_screen_reset(screen_, 1);
}

Screen::~Screen() { vterm_free(vterm_); }

void Screen::put(ByteView bytes) {
  while (!bytes.empty() && !used_up()) {
    ByteView piece = bytes.first(std::min(bytes.size(), kPieceBytes));
    if (piece.size() < bytes.size()) {
      piece = piece.first(piece.size() - utf8_unfinished(as_text(piece)));
    }
    bytes = bytes.subspan(piece.size());
    Bytes passed;
    repeats_.pass(piece, static_cast<std::size_t>(columns_), passed);
    vterm_input_write(vterm_, reinterpret_cast<const char*>(passed.data()), passed.size());
  }
}

void Screen::write(ByteView bytes) {
  // libvterm takes a character that is split between two writes for two broken ones.
  Bytes joined;
  if (!unfinished_.empty()) {
    joined = std::exchange(unfinished_, {});
    joined.insert(joined.end(), bytes.begin(), bytes.end());
    bytes = joined;
  }
  const std::size_t keep = utf8_unfinished(as_text(bytes));
  unfinished_ = to_bytes(bytes.last(keep));
  bytes = bytes.first(bytes.size() - keep);
  while (new_lines_ && !bytes.empty()) {
    const auto end = std::ranges::find(bytes, std::uint8_t{'\n'});
    const auto before = static_cast<std::size_t>(end - bytes.begin());
    put(bytes.first(before));
    bytes = bytes.subspan(before);
    if (!bytes.empty()) {
      put(as_bytes("\r\n"));
      bytes = bytes.subspan(1);
    }
  }
  put(bytes);
  // What the terminal would answer (its position, its kind) goes nowhere.
  char answers[256];
  while (vterm_output_read(vterm_, answers, sizeof answers) > 0) {
  }
}

void Screen::resize(std::uint32_t columns, std::uint32_t rows) {
  if (used_up()) {
    return;
  }
  budget_.spend(static_cast<std::uint64_t>(columns_of(columns)) *
                static_cast<std::uint64_t>(rows_of(rows)));
  vterm_set_size(vterm_, rows_of(rows), columns_of(columns));
}

Screen::Row Screen::row_of(const void* cells, int columns) {
  const auto* row = static_cast<const VTermScreenCell*>(cells);
  const std::uint32_t last = columns > 0 ? row[columns - 1].chars[0] : 0;
  return {text_of(row, columns), last != 0 && last != ' '};
}

Screen::Row Screen::row_at(int row) const {
  std::vector<VTermScreenCell> cells(static_cast<std::size_t>(columns_));
  for (int column = 0; column < columns_; ++column) {
    vterm_screen_get_cell(screen_, {row, column}, &cells[static_cast<std::size_t>(column)]);
  }
  return row_of(cells.data(), columns_);
}

std::vector<std::string> Screen::rows_text() const {
  std::vector<std::string> rows;
  for (int row = 0; row < rows_; ++row) {
    rows.push_back(row_at(row).text);
  }
  while (!rows.empty() && rows.back().empty()) {
    rows.pop_back();
  }
  return rows;
}

std::vector<std::string> Screen::shown() {
  std::vector<std::string> lines;
  std::vector<std::string> joined;
  std::string line;       // the rows that go on in the one that comes next
  std::size_t parts = 0;  // of `line`
  bool news = false;      // whether something in `line` was not there at the last look
  const auto take = [&](Row row, bool is_new) {
    news = news || is_new;
    if (parts > 0 || row.full) {
      line += row.text;
      ++parts;
    }
    if (!row.full || line.size() >= kJoinedBytesMax) {
      if (parts > 1 && news) {
        joined.push_back(std::move(line));
      }
      line.clear();
      parts = 0;
      news = false;
    }
    if (is_new && !row.text.empty()) {
      lines.push_back(std::move(row.text));
    }
  };
  for (Row& row : std::exchange(scrolled_, {})) {
    take(std::move(row), true);
  }
  budget_.spend(static_cast<std::uint64_t>(rows_) * static_cast<std::uint64_t>(columns_) /
                kMovedForOne);
  for (int row = 0; row < rows_; ++row) {
    auto changed = changed_.begin() + row;
    take(row_at(row), *changed);
    *changed = false;
  }
  take({}, false);
  lines.insert(lines.end(), joined.begin(), joined.end());
  if (alternate_) {
    alternate_rows_ = rows_text();
  }
  return lines;
}

std::vector<std::string> Screen::transcript() {
  std::vector<std::string> rows = transcript_;
  const std::vector<std::string> standing = rows_text();
  rows.insert(rows.end(), standing.begin(), standing.end());
  std::vector<std::string> lines;
  auto left = left_.begin();
  for (std::size_t i = 0; i <= rows.size(); ++i) {
    while (left != left_.end() && (i == rows.size() || left->before <= forgotten_ + i)) {
      lines.insert(lines.end(), left->rows.begin(), left->rows.end());
      ++left;
    }
    if (i < rows.size()) {
      lines.push_back(std::move(rows[i]));
    }
  }
  return lines;
}

}  // namespace bastion::screen
