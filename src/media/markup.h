// HTML and XML as events and as text.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace msearch::media {

// Text as a reader sees it, put together from pieces of markup: white space collapses, and breaks
// that follow one another are one.
class TextFlow {
 public:
  // `bytes_max`: what comes after it is dropped, and full() is true.
  explicit TextFlow(uint64_t bytes_max) : bytes_max_(bytes_max) {}

  void Add(std::string_view utf8);
  // White space as it is.
  void AddVerbatim(std::string_view utf8);
  // At least so many line ends before what comes next: 1 a line, 2 a paragraph.
  void Break(int lines) { lines_ = std::max(lines_, lines); }
  // A gap within a line, as between two cells.
  void Gap() { gap_ = true; }

  bool full() const { return full_; }
  const std::string& text() const { return text_; }
  std::string Take();

 private:
  void BeforeText();

  uint64_t bytes_max_;
  std::string text_;
  int lines_ = 0;
  bool space_ = false;
  bool gap_ = false;
  bool full_ = false;
};

struct HtmlText {
  std::string title;  // of its head, else its first heading of level 1
  std::string text;   // what a browser would show, and the descriptions of pictures
};

// Reads any HTML, as browsers do; the bytes are UTF-8. kTooLarge when the text is longer.
Result<HtmlText> ReadHtml(std::string_view utf8, uint64_t text_bytes_max);

// What an HTML or XML file says about its encoding near its beginning; empty if nothing.
std::string DeclaredEncoding(std::string_view bytes);

class XmlAttributes {
 public:
  XmlAttributes(const unsigned char** list, int count) : list_(list), count_(count) {}
  // By its name without a prefix.
  std::optional<std::string> Find(std::string_view name) const;
  // Only one that has a prefix, as r:id beside id.
  std::optional<std::string> FindPrefixed(std::string_view name) const;

 private:
  const unsigned char** list_;
  int count_;
};

class XmlVisitor {
 public:
  virtual ~XmlVisitor() = default;
  // Names come without their prefixes.
  virtual void Open(std::string_view name, const XmlAttributes& attributes) = 0;
  virtual void Close(std::string_view name) = 0;
  virtual void Text(std::string_view utf8) = 0;
  // Asked after each event: ends the reading without an error.
  virtual bool Enough() const { return false; }
};

// Nothing outside of the bytes is read. kUnsupported: it declares entities of its own, which no
// format here needs and bombs are made of. kCorrupt: not well-formed.
Result<> ReadXml(std::string_view bytes, XmlVisitor& visitor);

}  // namespace msearch::media
