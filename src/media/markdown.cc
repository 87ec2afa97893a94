// Not a Markdown parser: what matters is that the words stay and the marks go. Line by line; the
// only state is whether a code block or a comment is open. Code keeps its text untouched.

#include <algorithm>
#include <optional>

#include "base/strings.h"
#include "media/document.h"

namespace msearch::media {
namespace {

bool ConsistsOf(std::string_view line, std::string_view letters, size_t at_least) {
  return line.size() >= at_least && line.find_first_not_of(letters) == line.npos;
}

bool IsRule(std::string_view line) {
  return ConsistsOf(line, "- ", 3) || ConsistsOf(line, "* ", 3) || ConsistsOf(line, "_ ", 3);
}

// "## Words ##" to "Words"; nothing for another line.
std::optional<std::string_view> Heading(std::string_view line) {
  const size_t level = line.find_first_not_of('#');
  if (level == 0 || level > 6) return std::nullopt;
  if (level == line.npos || (line[level] != ' ' && line[level] != '\t')) return std::nullopt;
  std::string_view words = Trim(line.substr(level));
  while (words.ends_with('#')) words.remove_suffix(1);
  return Trim(words);
}

// Quote marks, bullets and numbers before the words.
std::string_view WithoutLead(std::string_view line) {
  while (true) {
    line = Trim(line);
    if (line.starts_with(">")) {
      line.remove_prefix(1);
    } else if (line.size() >= 2 && std::string_view("-*+").find(line[0]) != line.npos &&
               line[1] == ' ') {
      line.remove_prefix(2);
    } else {
      break;
    }
  }
  const size_t digits = line.find_first_not_of("0123456789");
  if (digits != line.npos && digits > 0 && digits < 10 && digits + 1 < line.size() &&
      (line[digits] == '.' || line[digits] == ')') && line[digits + 1] == ' ') {
    line.remove_prefix(digits + 2);
  }
  for (std::string_view box : {"[ ] ", "[x] ", "[X] "}) {
    if (line.starts_with(box)) line.remove_prefix(box.size());
  }
  return line;
}

// Marks that belong together are sought only so far and nested only so deep, so that no line takes
// more than linear time.
class Inline {
 public:
  static constexpr size_t kSpanMax = 1000;
  static constexpr int kDepthMax = 4;

  explicit Inline(std::string_view line, int depth = 0) : line_(line), depth_(depth) {}

  std::string Strip() {
    while (at_ < line_.size()) {
      if (Escape() || Code() || Link() || Tag() || Emphasis()) continue;
      out_ += line_[at_++];
    }
    return std::move(out_);
  }

 private:
  bool Escape() {
    constexpr std::string_view kEscapable = "\\`*_{}[]()#+-.!|<>~";
    if (line_[at_] != '\\' || at_ + 1 >= line_.size()) return false;
    if (kEscapable.find(line_[at_ + 1]) == kEscapable.npos) return false;
    out_ += line_[at_ + 1];
    at_ += 2;
    return true;
  }

  bool Code() {
    if (line_[at_] != '`') return false;
    const size_t content = std::min(line_.find_first_not_of('`', at_), line_.size());
    const std::string_view ticks = line_.substr(at_, content - at_);
    const size_t end = line_.substr(0, content + kSpanMax).find(ticks, content);
    if (end != line_.npos) out_ += line_.substr(content, end - content);
    at_ = end == line_.npos ? content : end + ticks.size();
    return true;
  }

  // [words](target), ![words](target) and [words][name] become the words.
  bool Link() {
    size_t open = at_;
    if (line_[open] == '!') ++open;
    if (open >= line_.size() || line_[open] != '[') return false;
    const size_t close = Closing(open, '[', ']');
    if (close == line_.npos || close + 1 >= line_.size()) return false;
    const char next = line_[close + 1];
    if (next != '(' && next != '[') return false;
    const size_t end = Closing(close + 1, next, next == '(' ? ')' : ']');
    if (end == line_.npos) return false;
    out_ += Inline(line_.substr(open + 1, close - open - 1), depth_ + 1).Strip();
    at_ = end + 1;
    return true;
  }

  // <b>, </b>, <br/> and <!-- --> go; <https://...> keeps the address.
  bool Tag() {
    if (line_[at_] != '<' || at_ + 1 >= line_.size()) return false;
    const char next = line_[at_ + 1];
    const size_t end = line_.substr(0, at_ + kSpanMax).find('>', at_);
    if (end == line_.npos) return false;
    const std::string_view inside = line_.substr(at_ + 1, end - at_ - 1);
    const bool letter = (next >= 'a' && next <= 'z') || (next >= 'A' && next <= 'Z');
    if (!letter && next != '/' && next != '!') return false;
    if (inside.find("://") != inside.npos && inside.find(' ') == inside.npos) out_ += inside;
    at_ = end + 1;
    return true;
  }

  // Stars and tildes go; an underscore only beside white space or punctuation, for snake_case.
  bool Emphasis() {
    const char c = line_[at_];
    if (c == '*' || (c == '~' && line_.substr(at_).starts_with("~~"))) {
      const bool lonely = c == '*' && (at_ == 0 || line_[at_ - 1] == ' ') &&
                          at_ + 1 < line_.size() && line_[at_ + 1] == ' ';
      if (lonely) return false;
      while (at_ < line_.size() && line_[at_] == c) ++at_;
      return true;
    }
    if (c != '_') return false;
    const size_t end = std::min(line_.find_first_not_of('_', at_), line_.size());
    if (!IsEdge(at_) && !IsEdge(end + 1)) return false;
    at_ = end;
    return true;
  }

  // Whether there is no letter or digit before `at`.
  bool IsEdge(size_t at) const {
    if (at == 0 || at > line_.size()) return true;
    const char c = line_[at - 1];
    return !((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
             (c & 0x80) != 0);
  }

  size_t Closing(size_t open, char opening, char closing) const {
    int depth = 0;
    for (size_t i = open; i < std::min(line_.size(), open + kSpanMax); ++i) {
      if (line_[i] == '\\') {
        ++i;
      } else if (line_[i] == opening) {
        ++depth;
      } else if (line_[i] == closing && --depth == 0) {
        return i;
      }
    }
    return line_.npos;
  }

  std::string_view line_;
  int depth_;
  size_t at_ = 0;
  std::string out_;
};

std::string Cells(std::string_view line) {
  std::vector<std::string> cells;
  for (std::string_view cell : Split(line, '|')) {
    if (!Trim(cell).empty()) cells.push_back(Inline(Trim(cell)).Strip());
  }
  return Join(cells, "  ");
}

// The block between two lines of dashes at the very beginning.
std::string_view TakeFrontMatter(std::string_view& text) {
  if (!text.starts_with("---\n")) return {};
  const size_t end = text.find("\n---\n", 3);
  if (end == text.npos) return {};
  const std::string_view matter = text.substr(4, end > 4 ? end - 4 : 0);
  text.remove_prefix(end + 5);
  return matter;
}

std::string TitleOf(std::string_view front_matter) {
  for (std::string_view line : Split(front_matter, '\n')) {
    if (!line.starts_with("title:")) continue;
    std::string_view title = Trim(line.substr(6));
    if (title.size() >= 2 && (title[0] == '"' || title[0] == '\'') && title.back() == title[0]) {
      title = title.substr(1, title.size() - 2);
    }
    return std::string(title);
  }
  return "";
}

class Stripper {
 public:
  PlainMarkdown Run(std::string_view text) {
    out_.title = TitleOf(TakeFrontMatter(text));
    for (std::string_view line : Split(text, '\n')) Line(line);
    return std::move(out_);
  }

 private:
  void Line(std::string_view raw) {
    const std::string_view line = Trim(raw);
    if (line.starts_with("```") || line.starts_with("~~~")) {
      in_code_ = !in_code_;
    } else if (in_code_) {
      Put(raw);
    } else if (in_comment_ || line.starts_with("<!--")) {
      in_comment_ = line.find("-->") == line.npos;
    } else if (ConsistsOf(line, "=", 2) || ConsistsOf(line, "-", 2)) {
      if (out_.title.empty()) out_.title = last_;  // the line above was a heading
      Put("");
    } else if (IsRule(line) || ConsistsOf(line, "|-: ", 3)) {
      return;
    } else if (const auto heading = Heading(line)) {
      const std::string words = Inline(*heading).Strip();
      if (out_.title.empty()) out_.title = words;
      Put(words);
    } else if (line.starts_with("|")) {
      Put(Cells(line));
    } else {
      Put(Inline(WithoutLead(line)).Strip());
    }
  }

  void Put(std::string_view line) {
    out_.text += line;
    out_.text += '\n';
    last_ = line;
  }

  PlainMarkdown out_;
  std::string last_;
  bool in_code_ = false;
  bool in_comment_ = false;
};

}  // namespace

PlainMarkdown StripMarkdown(std::string_view utf8) { return Stripper().Run(utf8); }

}  // namespace msearch::media
