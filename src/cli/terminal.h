// What people read: tables, colours, a progress bar, quantities in words. Text that came from
// outside is made harmless for terminals first.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace msearch::cli {

// Control characters (a file name may hold an escape sequence) become "?", invalid bytes U+FFFD.
std::string Printable(std::string_view text);
// Columns that a text takes on a terminal: East Asian wide characters two, combining marks none.
size_t DisplayWidth(std::string_view utf8);
// At most `width` columns, with "..." at the end of what was cut.
std::string FitWidth(std::string_view utf8, size_t width);

std::string FormatBytes(uint64_t bytes);           // "1.4 GiB"
std::string FormatDuration(double seconds);        // "3 min 20 s"
std::string FormatMoment(double seconds);          // "1:02:03" in media
std::string FormatSpan(double begin, double end);  // "0:12-0:18"

enum class Color { kNone, kGood, kBad, kDim, kStrong };

// Standard output and standard error of a command. Not thread-safe.
class Terminal {
 public:
  // Looks at isatty and NO_COLOR.
  Terminal();
  ~Terminal() { EndProgress(); }
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;

  // A line to standard output or to standard error; `text` may hold colours, see Paint.
  void Print(std::string_view text);
  void Note(std::string_view text);
  // Nothing but `text` when standard output isn't a coloured terminal.
  std::string Paint(std::string_view text, Color color) const;

  bool shows_progress() const { return progress_; }
  // Draws over the last progress line. `fraction` 0 to 1; nothing: not known. No effect unless
  // standard error is a terminal.
  void Progress(std::optional<double> fraction, std::string_view text);
  void EndProgress();
  size_t columns() const;

 private:
  bool color_ = false;
  bool progress_ = false;
  bool line_open_ = false;
};

// Columns aligned by their widest cell.
class Table {
 public:
  struct Cell {
    std::string text;  // made printable when added
    Color color = Color::kNone;
  };
  // A heading that begins with ">" aligns its column to the right.
  explicit Table(std::vector<std::string> headings);
  // REQUIRES: as many cells as headings.
  void Add(std::vector<Cell> cells);
  bool empty() const { return rows_.empty(); }
  void Print(Terminal& terminal) const;

 private:
  std::vector<std::string> headings_;
  std::vector<bool> right_;
  std::vector<std::vector<Cell>> rows_;
};

}  // namespace msearch::cli
