// RTF: control words, groups in braces, and text between them in the code page of its font. What is
// read is what a reader sees: text, in the order of the file. Groups that hold something else
// (fonts, styles, pictures, what begins with an asterisk and isn't known) are passed over.

#include <algorithm>
#include <array>
#include <map>

#include "base/legacy_text.h"
#include "base/strings.h"
#include "base/unicode.h"
#include "media/document.h"

namespace msearch::media {
namespace {

constexpr size_t kDepthMax = 1000;
constexpr size_t kFontsMax = 10000;

// Groups whose content isn't shown where it stands.
constexpr std::array<std::string_view, 34> kHidden = {"fonttbl",
                                                      "colortbl",
                                                      "stylesheet",
                                                      "info",
                                                      "pict",
                                                      "object",
                                                      "header",
                                                      "headerl",
                                                      "headerr",
                                                      "headerf",
                                                      "footer",
                                                      "footerl",
                                                      "footerr",
                                                      "footerf",
                                                      "fldinst",
                                                      "listtable",
                                                      "listoverridetable",
                                                      "rsidtbl",
                                                      "filetbl",
                                                      "revtbl",
                                                      "bkmkstart",
                                                      "bkmkend",
                                                      "themedata",
                                                      "datastore",
                                                      "latentstyles",
                                                      "nonshppict",
                                                      "mmathPr",
                                                      "atnid",
                                                      "atnauthor",
                                                      "sn",
                                                      "sv",
                                                      "xe",
                                                      "tc",
                                                      "generator"};
// Known ones among those that older readers pass over.
constexpr std::array<std::string_view, 4> kShown = {"shpinst", "shptxt", "ud", "annotation"};

const char* CodePage(int number) {
  switch (number) {
    case 437:
      return "ibm-437";
    case 850:
      return "ibm-850";
    case 852:
      return "ibm-852";
    case 866:
      return "ibm-866";
    case 874:
      return "windows-874";
    case 932:
      return "windows-31j";
    case 936:
      return "GB18030";
    case 949:
      return "windows-949";
    case 950:
      return "windows-950";
    case 1250:
      return "windows-1250";
    case 1251:
      return "windows-1251";
    case 1253:
      return "windows-1253";
    case 1254:
      return "windows-1254";
    case 1255:
      return "windows-1255";
    case 1256:
      return "windows-1256";
    case 1257:
      return "windows-1257";
    case 1258:
      return "windows-1258";
    case 10000:
      return "macintosh";
    case 65001:
      return "UTF-8";
    default:
      return "windows-1252";
  }
}

// 0: as the document's.
int CodePageOfCharset(int charset) {
  switch (charset) {
    case 77:
      return 10000;
    case 128:
      return 932;
    case 129:
      return 949;
    case 134:
      return 936;
    case 136:
      return 950;
    case 161:
      return 1253;
    case 162:
      return 1254;
    case 163:
      return 1258;
    case 177:
      return 1255;
    case 178:
      return 1256;
    case 186:
      return 1257;
    case 204:
      return 1251;
    case 222:
      return 874;
    case 238:
      return 1250;
    default:
      return 0;
  }
}

// What a control word stands for in the text.
std::string_view Sign(std::string_view word) {
  struct Row {
    std::string_view word, text;
  };
  static constexpr Row kRows[] = {
      {"par", "\n"},        {"line", "\n"},          {"row", "\n"},           {"sect", "\n\n"},
      {"page", "\n\n"},     {"tab", "\t"},           {"cell", "\t"},          {"nestcell", "\t"},
      {"nestrow", "\n"},    {"emdash", "\u2014"},    {"endash", "\u2013"},    {"lquote", "\u2018"},
      {"rquote", "\u2019"}, {"ldblquote", "\u201C"}, {"rdblquote", "\u201D"}, {"bullet", "\u2022"},
      {"emspace", " "},     {"enspace", " "},        {"qmspace", " "}};
  for (const Row& row : kRows) {
    if (row.word == word) return row.text;
  }
  return "";
}

class Reader {
 public:
  explicit Reader(std::string_view bytes) : bytes_(bytes) {}

  PlainRtf Read() {
    while (at_ < bytes_.size()) {
      const char c = bytes_[at_++];
      if (c == '{') {
        Open();
      } else if (c == '}') {
        Close();
      } else if (c == '\\') {
        Control();
      } else if (c != '\r' && c != '\n') {
        Byte(c);
      }
    }
    Flush();
    out_.title = std::string(Trim(out_.title));
    return std::move(out_);
  }

 private:
  enum class Goal { kText, kTitle, kFonts, kNothing };
  struct Group {
    Goal goal = Goal::kText;
    bool invisible = false;  // a property of the letters
    int skipped = 1;         // how many letters stand for one of Unicode, for older readers
    int code_page = 0;
  };

  void Open() {
    Flush();
    skip_ = 0;
    if (stack_.size() < kDepthMax) {
      stack_.push_back(group_);
    } else {
      ++deeper_;
    }
  }
  void Close() {
    Flush();
    skip_ = 0;
    optional_ = false;
    if (deeper_ > 0) {
      --deeper_;
    } else if (!stack_.empty()) {
      group_ = stack_.back();
      stack_.pop_back();
    }
  }

  void Control() {
    if (at_ >= bytes_.size()) return;
    const char c = bytes_[at_];
    if (IsLetter(c)) return Word();
    ++at_;
    if (c == '\'') {
      const int high = Hex();
      const int low = Hex();
      if (high >= 0 && low >= 0) Byte(static_cast<char>(high * 16 + low));
    } else if (c == '*') {
      optional_ = true;
    } else if (c == '~') {
      Text(" ");
    } else if (c == '_') {
      Text("-");
    } else if (c == '\r' || c == '\n') {
      Text("\n");
    } else if (c == '{' || c == '}' || c == '\\') {
      Byte(c);
    }
  }

  void Word() {
    const size_t begin = at_;
    while (at_ < bytes_.size() && IsLetter(bytes_[at_])) ++at_;
    const std::string_view word = bytes_.substr(begin, at_ - begin);
    const bool negative = at_ < bytes_.size() && bytes_[at_] == '-';
    if (negative) ++at_;
    int number = 0;
    bool numbered = false;
    while (at_ < bytes_.size() && bytes_[at_] >= '0' && bytes_[at_] <= '9') {
      numbered = true;
      number = std::min(number, 100'000'000) * 10 + (bytes_[at_++] - '0');
    }
    if (at_ < bytes_.size() && bytes_[at_] == ' ') ++at_;
    Obey(word, numbered, negative ? -number : number);
  }

  void Obey(std::string_view word, bool numbered, int number) {
    const bool optional = std::exchange(optional_, false);
    if (word == "bin") {
      at_ += std::min<size_t>(bytes_.size() - at_, static_cast<size_t>(std::max(0, number)));
    } else if (word == "u") {
      Unit(number);
    } else if (word == "uc") {
      group_.skipped = std::clamp(number, 0, 100);
    } else if (word == "ansicpg") {
      document_page_ = number;
    } else if (word == "mac") {
      document_page_ = 10000;
    } else if (word == "pc") {
      document_page_ = 437;
    } else if (word == "pca") {
      document_page_ = 850;
    } else if (word == "v" || word == "deleted") {
      Flush();
      group_.invisible = !numbered || number != 0;
    } else if (word == "plain") {
      Flush();
      group_.invisible = false;
    } else if (word == "f") {
      Font(number);
    } else if (word == "fcharset") {
      if (group_.goal == Goal::kFonts) SetFont(CodePageOfCharset(number));
    } else if (word == "cpg") {
      if (group_.goal == Goal::kFonts) SetFont(number);
    } else if (const std::string_view sign = Sign(word); !sign.empty()) {
      Text(sign);
    } else {
      Enter(word, optional);
    }
  }

  // What the group that begins with this word is for.
  void Enter(std::string_view word, bool optional) {
    Goal goal = group_.goal;
    if (word == "fonttbl") {
      goal = Goal::kFonts;
    } else if (word == "title" && goal == Goal::kNothing) {
      goal = Goal::kTitle;
    } else if (Among(kHidden, word) || (optional && !Among(kShown, word))) {
      goal = Goal::kNothing;
    } else {
      return;
    }
    Flush();
    // What isn't shown holds nothing that is, but the title.
    if (group_.goal != Goal::kNothing || goal == Goal::kTitle) group_.goal = goal;
  }

  void Font(int number) {
    if (group_.goal == Goal::kFonts) {
      font_ = number;
      return;
    }
    Flush();
    const auto font = fonts_.find(number);
    group_.code_page = font == fonts_.end() ? 0 : font->second;
  }
  void SetFont(int code_page) {
    if (fonts_.size() < kFontsMax) fonts_[font_] = code_page;
  }

  // A unit of UTF-16, written as a signed number.
  void Unit(int number) {
    const auto unit = static_cast<uint16_t>(number);
    FlushBytes();
    skip_ = group_.skipped;
    if (unit >= 0xD800 && unit < 0xDC00) {
      high_ = unit;
      return;
    }
    char32_t point = unit;
    if (unit >= 0xDC00 && unit < 0xE000) {
      if (high_ == 0) return;
      point = 0x10000 + ((high_ - 0xD800U) << 10) + (unit - 0xDC00U);
    }
    high_ = 0;
    std::string utf8;
    if (point != 0) AppendUtf8(utf8, point);
    Give(utf8);
  }

  void Byte(char c) {
    if (skip_ > 0) {
      --skip_;
      return;
    }
    pending_ += c;
  }
  void Text(std::string_view utf8) {
    FlushBytes();
    skip_ = 0;
    Give(utf8);
  }
  void Flush() {
    FlushBytes();
    high_ = 0;
  }
  void FlushBytes() {
    if (pending_.empty()) return;
    const int page = group_.code_page != 0 ? group_.code_page : document_page_;
    Give(DecodeTextAs(std::exchange(pending_, ""), CodePage(page)));
  }
  void Give(std::string_view utf8) {
    if (group_.invisible) return;
    if (group_.goal == Goal::kText) out_.text += utf8;
    if (group_.goal == Goal::kTitle) out_.title += utf8;
  }

  template <size_t n>
  static bool Among(const std::array<std::string_view, n>& words, std::string_view word) {
    return std::find(words.begin(), words.end(), word) != words.end();
  }
  static bool IsLetter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
  int Hex() {
    if (at_ >= bytes_.size()) return -1;
    const char c = bytes_[at_];
    const int value = c >= '0' && c <= '9'   ? c - '0'
                      : c >= 'a' && c <= 'f' ? c - 'a' + 10
                      : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                             : -1;
    if (value >= 0) ++at_;
    return value;
  }

  const std::string_view bytes_;
  size_t at_ = 0;
  PlainRtf out_;
  Group group_;
  std::vector<Group> stack_;
  size_t deeper_ = 0;
  std::map<int, int> fonts_;  // to code pages
  int font_ = 0;
  int document_page_ = 1252;
  bool optional_ = false;
  int skip_ = 0;
  uint16_t high_ = 0;
  std::string pending_;
};

}  // namespace

PlainRtf ReadRtf(std::string_view bytes) { return Reader(bytes).Read(); }

Result<Prepared> PrepareRtf(const MediaSource& source, const PrepareOptions& options) {
  // Pictures in it are written as text, and take most of the room.
  constexpr uint64_t kPicturesShare = 8;
  const std::string bytes = TRY(ReadSource(source, options.text_bytes_max * kPicturesShare));
  PlainRtf rtf = ReadRtf(bytes);
  if (rtf.text.size() > options.text_bytes_max) {
    return Error{Code::kTooLarge,
                 "RTF: more than " + std::to_string(options.text_bytes_max >> 20) + " MiB of text"};
  }
  return Document({{std::nullopt, rtf.text}}, rtf.title, options.passage_words_max);
}

}  // namespace msearch::media
