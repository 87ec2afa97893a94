#include "cli/terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <cmath>
#include <cstdio>
#include <cstdlib>

#include "base/log.h"
#include "base/strings.h"
#include "base/unicode.h"

namespace msearch::cli {
namespace {

// The blocks of Unicode's East Asian Width (UAX 11) whose characters are wide.
bool IsWide(char32_t point) {
  struct Range {
    char32_t first, last;
  };
  static constexpr std::array<Range, 9> kWide{{{0x1100, 0x115F},
                                               {0x2E80, 0x303E},
                                               {0x3041, 0xA4CF},
                                               {0xA960, 0xA97C},
                                               {0xAC00, 0xD7A3},
                                               {0xF900, 0xFAFF},
                                               {0xFE30, 0xFE6F},
                                               {0xFF01, 0xFF60},
                                               {0x1F300, 0x3FFFD}}};
  return std::any_of(kWide.begin(), kWide.end(), [point](const Range& range) {
    return point >= range.first && point <= range.last;
  });
}

size_t PointWidth(char32_t point) {
  if (IsMarkPoint(point)) return 0;
  return IsWide(point) ? 2 : 1;
}

void WriteLine(std::FILE* file, std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), file);
  std::fputc('\n', file);
}

}  // namespace

std::string Printable(std::string_view text) {
  std::string out;
  for (char32_t point : ToCodePoints(text)) {
    AppendUtf8(out, IsControlPoint(point) ? U'?' : point);
  }
  return out;
}

size_t DisplayWidth(std::string_view utf8) {
  size_t width = 0;
  for (char32_t point : ToCodePoints(utf8)) width += PointWidth(point);
  return width;
}

std::string FitWidth(std::string_view utf8, size_t width) {
  if (DisplayWidth(utf8) <= width) return std::string(utf8);
  std::string out;
  size_t used = std::min<size_t>(3, width);
  const size_t dots = used;
  for (char32_t point : ToCodePoints(utf8)) {
    used += PointWidth(point);
    if (used > width) break;
    AppendUtf8(out, point);
  }
  return out + std::string(dots, '.');
}

std::string FormatBytes(uint64_t bytes) {
  static constexpr std::array<const char*, 5> kUnits{"B", "KiB", "MiB", "GiB", "TiB"};
  auto value = static_cast<double>(bytes);
  size_t unit = 0;
  while (value >= 1000 && unit + 1 < kUnits.size()) {
    value /= 1024;
    ++unit;
  }
  return fmt::format("{:.{}f} {}", value, unit > 0 && value < 10 ? 1 : 0, kUnits[unit]);
}

std::string FormatDuration(double seconds) {
  auto whole = static_cast<int64_t>(std::llround(std::max(0.0, seconds)));
  if (whole < 60) return fmt::format("{} s", whole);
  if (whole < 3600) return fmt::format("{} min {} s", whole / 60, whole % 60);
  return fmt::format("{} h {} min", whole / 3600, whole / 60 % 60);
}

std::string FormatMoment(double seconds) {
  auto whole = static_cast<int64_t>(std::max(0.0, seconds));
  if (whole < 3600) return fmt::format("{}:{:02}", whole / 60, whole % 60);
  return fmt::format("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60);
}

std::string FormatSpan(double begin, double end) {
  return FormatMoment(begin) + "-" + FormatMoment(end);
}

Terminal::Terminal() {
  const char* no_color = std::getenv("NO_COLOR");
  color_ = isatty(STDOUT_FILENO) == 1 && (no_color == nullptr || *no_color == '\0');
  progress_ = isatty(STDERR_FILENO) == 1;
}

void Terminal::Print(std::string_view text) {
  EndProgress();
  WriteLine(stdout, text);
}

void Terminal::Note(std::string_view text) {
  EndProgress();
  std::fflush(stdout);
  WriteLine(stderr, text);
}

std::string Terminal::Paint(std::string_view text, Color color) const {
  static constexpr std::array<const char*, 5> kCodes{"", "32", "31", "2", "1"};
  if (!color_ || color == Color::kNone) return std::string(text);
  return fmt::format("\x1b[{}m{}\x1b[0m", kCodes[static_cast<size_t>(color)], text);
}

size_t Terminal::columns() const {
  winsize size{};
  if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
  return 80;
}

void Terminal::Progress(std::optional<double> fraction, std::string_view text) {
  if (!progress_) return;
  constexpr size_t kBarColumns = 24;
  std::string bar;
  if (fraction) {
    auto filled = static_cast<size_t>(std::clamp(*fraction, 0.0, 1.0) * kBarColumns);
    bar = fmt::format("[{}{}] {:3.0f} %  ", std::string(filled, '#'),
                      std::string(kBarColumns - filled, '-'), std::floor(*fraction * 100));
  }
  const std::string line = FitWidth(bar + Printable(text), columns() - 1);
  std::fprintf(stderr, "\r%s\x1b[K", line.c_str());
  std::fflush(stderr);
  line_open_ = true;
}

void Terminal::EndProgress() {
  if (!line_open_) return;
  std::fputs("\r\x1b[K", stderr);
  std::fflush(stderr);
  line_open_ = false;
}

Table::Table(std::vector<std::string> headings) : headings_(std::move(headings)) {
  for (std::string& heading : headings_) {
    right_.push_back(heading.starts_with('>'));
    if (right_.back()) heading.erase(0, 1);
  }
}

void Table::Add(std::vector<Cell> cells) {
  assert(cells.size() == headings_.size());
  for (Cell& cell : cells) cell.text = Printable(cell.text);
  rows_.push_back(std::move(cells));
}

void Table::Print(Terminal& terminal) const {
  std::vector<size_t> widths;
  for (size_t column = 0; column < headings_.size(); ++column) {
    size_t width = DisplayWidth(headings_[column]);
    for (const auto& row : rows_) width = std::max(width, DisplayWidth(row[column].text));
    widths.push_back(width);
  }
  auto print_row = [&](const std::vector<Cell>& cells) {
    std::string line;
    for (size_t column = 0; column < cells.size(); ++column) {
      const Cell& cell = cells[column];
      const std::string padding(widths[column] - DisplayWidth(cell.text), ' ');
      const std::string text = terminal.Paint(cell.text, cell.color);
      if (column > 0) line += "  ";
      line += right_[column] ? padding + text : text;
      if (!right_[column] && column + 1 < cells.size()) line += padding;
    }
    while (line.ends_with(' ')) line.pop_back();
    terminal.Print(line);
  };
  std::vector<Cell> header;
  for (const std::string& heading : headings_) header.push_back({heading, Color::kDim});
  print_row(header);
  for (const auto& row : rows_) print_row(row);
}

}  // namespace msearch::cli
