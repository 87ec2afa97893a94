// SubRip and WebVTT have the same shape: a line with two times and an arrow, the text below it up
// to an empty line. What stands before the times (numbers, names, notes, styles) isn't shown.

#include <cctype>

#include "base/strings.h"
#include "media/document.h"
#include "media/markup.h"

namespace msearch::media {
namespace {

constexpr size_t kCuesMax = 200'000;

// "01:02:03,450", "02:03.450".
std::optional<double> ReadTime(std::string_view text) {
  double seconds = 0;
  double part = 0;
  double scale = 0;  // below one second
  int parts = 1;
  bool any = false;
  for (char c : Trim(text)) {
    if (c >= '0' && c <= '9') {
      any = true;
      if (scale == 0) {
        part = part * 10 + (c - '0');
        if (part > 1e6) return std::nullopt;
      } else {
        seconds += (c - '0') * scale;
        scale /= 10;
      }
    } else if (c == ':' && scale == 0 && parts < 3) {
      seconds = (seconds + part) * 60;
      part = 0;
      ++parts;
    } else if ((c == ',' || c == '.') && scale == 0) {
      scale = 0.1;
    } else {
      return std::nullopt;
    }
  }
  if (!any || parts < 2) return std::nullopt;
  return seconds + part;
}

std::optional<Cue> ReadTimes(std::string_view line) {
  const size_t arrow = line.find("-->");
  if (arrow == line.npos) return std::nullopt;
  std::string_view after = Trim(line.substr(arrow + 3));
  after = after.substr(0, after.find_first_of(" \t"));  // then come WebVTT's settings
  const auto start = ReadTime(line.substr(0, arrow));
  const auto end = ReadTime(after);
  if (!start || !end || *end < *start) return std::nullopt;
  return Cue{*start, *end, ""};
}

}  // namespace

// Without <i>, <c.name>, <00:01.000> and {\an8}.
std::string PlainCue(std::string_view line) {
  std::string out;
  for (size_t i = 0; i < line.size(); ++i) {
    const char closing = line[i] == '<'                                    ? '>'
                         : line[i] == '{' && line.substr(i + 1, 1) == "\\" ? '}'
                                                                           : '\0';
    const size_t end = closing == '\0' ? line.npos : line.find(closing, i);
    if (end != line.npos) {
      i = end;
    } else {
      out += line[i];
    }
  }
  return std::string(Trim(out));
}

std::vector<Cue> ReadCues(std::string_view utf8) {
  std::vector<Cue> cues;
  bool inside = false;
  for (std::string_view line : Split(utf8, '\n')) {
    if (auto cue = ReadTimes(line)) {
      if (cues.size() >= kCuesMax) break;
      cues.push_back(std::move(*cue));
      inside = true;
    } else if (Trim(line).empty()) {
      inside = false;
    } else if (inside) {
      const std::string words = PlainCue(line);
      if (words.empty()) continue;
      std::string& text = cues.back().text;
      if (!text.empty()) text += ' ';
      text += words;
    }
  }
  std::erase_if(cues, [](const Cue& cue) { return cue.text.empty(); });
  return cues;
}

}  // namespace msearch::media
