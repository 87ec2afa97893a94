#include "media/markup.h"

#include <algorithm>
#include <array>
#include <memory>
#include <vector>

#include "base/strings.h"
#include "media/xml_library.h"

namespace msearch::media {
namespace {

constexpr size_t kTitleBytesMax = 1000;

bool IsSpace(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f'; }

bool IsOneOf(std::string_view name, std::initializer_list<std::string_view> names) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

std::string_view View(const xmlChar* text) {
  return text == nullptr ? std::string_view() : reinterpret_cast<const char*>(text);
}

std::string_view View(const xmlChar* text, int size) {
  return {reinterpret_cast<const char*>(text), static_cast<size_t>(std::max(size, 0))};
}

bool IsParagraph(std::string_view name) {
  return IsOneOf(name, {"address", "article",  "aside",  "blockquote", "details", "dialog", "div",
                        "dl",      "fieldset", "figure", "footer",     "form",    "h1",     "h2",
                        "h3",      "h4",       "h5",     "h6",         "header",  "hr",     "main",
                        "nav",     "ol",       "p",      "pre",        "section", "table",  "ul"});
}
bool IsLine(std::string_view name) {
  return IsOneOf(name,
                 {"br", "caption", "dd", "dt", "figcaption", "li", "option", "summary", "tr"});
}
bool IsUnseen(std::string_view name) {
  return IsOneOf(name, {"script", "style", "template", "noscript", "svg", "object", "iframe"});
}

class HtmlReader {
 public:
  explicit HtmlReader(uint64_t text_bytes_max) : flow_(text_bytes_max) {}

  Result<HtmlText> Read(std::string_view utf8) {
    if (!Xml().ok()) return Xml().error();
    const XmlLibrary& xml = *Xml();
    const std::unique_ptr<htmlParserCtxt, decltype(xml.htmlFreeParserCtxt)> context(
        xml.htmlNewParserCtxt(), xml.htmlFreeParserCtxt);
    if (!context) return Error{Code::kTooLarge, "HTML: no memory"};
    context_ = context.get();
    *context->sax = {};
    context->sax->startElement = [](void* self, const xmlChar* name, const xmlChar** attributes) {
      static_cast<HtmlReader*>(self)->Open(View(name), attributes);
    };
    context->sax->endElement = [](void* self, const xmlChar* name) {
      static_cast<HtmlReader*>(self)->Close(View(name));
    };
    context->sax->characters = [](void* self, const xmlChar* text, int size) {
      static_cast<HtmlReader*>(self)->Characters(View(text, size));
    };
    context->sax->ignorableWhitespace = context->sax->characters;
    context->userData = this;
    constexpr int kOptions = HTML_PARSE_RECOVER | HTML_PARSE_NOERROR | HTML_PARSE_NOWARNING |
                             HTML_PARSE_NONET | HTML_PARSE_IGNORE_ENC;
    xml.xmlFreeDoc(xml.htmlCtxtReadMemory(context.get(), utf8.data(), static_cast<int>(utf8.size()),
                                          nullptr, "UTF-8", kOptions));
    if (flow_.full()) return Error{Code::kTooLarge, "HTML: its text is longer than the limit"};
    HtmlText out;
    out.title = Trim(title_.empty() ? heading_ : title_);
    out.text = flow_.Take();
    return out;
  }

 private:
  void Open(std::string_view name, const xmlChar** attributes) {
    if (unseen_ > 0 || IsUnseen(name)) {
      if (IsUnseen(name)) ++unseen_;
      return;
    }
    if (name == "title") in_title_ = true;
    if (name == "h1" && heading_.empty()) in_heading_ = true;
    if (name == "pre") ++verbatim_;
    Break(name);
    if (name == "td" || name == "th") flow_.Gap();
    if (name != "img" || attributes == nullptr) return;
    for (; attributes[0] != nullptr; attributes += 2) {
      if (View(attributes[0]) == "alt") flow_.Add(View(attributes[1]));
    }
  }

  void Close(std::string_view name) {
    if (IsUnseen(name)) {
      unseen_ -= unseen_ > 0 ? 1 : 0;
      return;
    }
    if (unseen_ > 0) return;
    if (name == "title") in_title_ = false;
    if (name == "h1") in_heading_ = false;
    if (name == "pre" && verbatim_ > 0) --verbatim_;
    if (name == "td" || name == "th") flow_.Gap();
    Break(name);
  }

  void Break(std::string_view name) {
    if (IsParagraph(name)) flow_.Break(2);
    if (IsLine(name)) flow_.Break(1);
  }

  void Characters(std::string_view text) {
    if (unseen_ > 0) return;
    if (in_title_) {
      Collect(text, title_);
      return;
    }
    if (in_heading_) Collect(text, heading_);
    if (verbatim_ > 0) {
      flow_.AddVerbatim(text);
    } else {
      flow_.Add(text);
    }
    if (flow_.full()) Xml()->xmlStopParser(context_);
  }

  static void Collect(std::string_view text, std::string& out) {
    TextFlow flow(kTitleBytesMax);
    flow.Add(text);
    if (out.size() + flow.text().size() >= kTitleBytesMax) return;
    if (!out.empty() && !text.empty() && IsSpace(text[0])) out += ' ';
    out += flow.text();
    if (!text.empty() && IsSpace(text.back()) && !out.ends_with(' ')) out += ' ';
  }

  TextFlow flow_;
  htmlParserCtxtPtr context_ = nullptr;
  std::string title_;
  std::string heading_;
  int unseen_ = 0;
  int verbatim_ = 0;
  bool in_title_ = false;
  bool in_heading_ = false;
};

// Keeps the parser at hand, to stop it.
struct XmlReading {
  XmlVisitor& visitor;
  xmlParserCtxtPtr context = nullptr;
  bool declares_entities = false;
  bool stopped = false;

  void AfterEvent() {
    if (!visitor.Enough()) return;
    stopped = true;
    Xml()->xmlStopParser(context);
  }
};

void SetVisitor(xmlSAXHandler& sax) {
  sax = {};
  sax.initialized = XML_SAX2_MAGIC;
  sax.startElementNs = [](void* self, const xmlChar* name, const xmlChar*, const xmlChar*, int,
                          const xmlChar**, int count, int, const xmlChar** attributes) {
    auto* reading = static_cast<XmlReading*>(self);
    reading->visitor.Open(View(name), XmlAttributes(attributes, count));
    reading->AfterEvent();
  };
  sax.endElementNs = [](void* self, const xmlChar* name, const xmlChar*, const xmlChar*) {
    auto* reading = static_cast<XmlReading*>(self);
    reading->visitor.Close(View(name));
    reading->AfterEvent();
  };
  sax.characters = [](void* self, const xmlChar* text, int size) {
    auto* reading = static_cast<XmlReading*>(self);
    reading->visitor.Text(View(text, size));
    reading->AfterEvent();
  };
  sax.cdataBlock = sax.characters;
  sax.entityDecl = [](void* self, const xmlChar*, int, const xmlChar*, const xmlChar*, xmlChar*) {
    auto* reading = static_cast<XmlReading*>(self);
    reading->declares_entities = true;
    Xml()->xmlStopParser(reading->context);
  };
}

std::string_view Quoted(std::string_view text) {
  text = Trim(text);
  if (!text.empty() && (text[0] == '"' || text[0] == '\'')) text.remove_prefix(1);
  return text.substr(0, text.find_first_of("\"' \t\r\n;/>?"));
}

}  // namespace

void TextFlow::BeforeText() {
  if (text_.empty()) {
    lines_ = 0;
    space_ = gap_ = false;
    return;
  }
  if (lines_ > 0) {
    while (text_.ends_with(' ')) text_.pop_back();
    int there = 0;
    while (there < lines_ && static_cast<size_t>(there) < text_.size() &&
           text_[text_.size() - 1 - static_cast<size_t>(there)] == '\n') {
      ++there;
    }
    text_.append(static_cast<size_t>(lines_ - there), '\n');
  } else if (gap_) {
    text_ += "  ";
  } else if (space_ && !IsSpace(text_.back())) {
    text_ += ' ';
  }
  lines_ = 0;
  space_ = gap_ = false;
}

void TextFlow::Add(std::string_view utf8) {
  if (text_.size() + utf8.size() > bytes_max_) full_ = true;
  if (full_) return;
  while (!utf8.empty()) {
    const size_t word =
        static_cast<size_t>(std::find_if_not(utf8.begin(), utf8.end(), IsSpace) - utf8.begin());
    if (word > 0) space_ = true;
    utf8.remove_prefix(word);
    const size_t end =
        static_cast<size_t>(std::find_if(utf8.begin(), utf8.end(), IsSpace) - utf8.begin());
    if (end == 0) break;
    BeforeText();
    text_ += utf8.substr(0, end);
    utf8.remove_prefix(end);
  }
}

void TextFlow::AddVerbatim(std::string_view utf8) {
  if (text_.size() + utf8.size() > bytes_max_) full_ = true;
  if (full_ || utf8.empty()) return;
  BeforeText();
  text_ += utf8;
}

std::string TextFlow::Take() {
  std::string out = std::move(text_);
  *this = TextFlow(bytes_max_);
  return out;
}

Result<HtmlText> ReadHtml(std::string_view utf8, uint64_t text_bytes_max) {
  if (utf8.size() > INT32_MAX) return Error{Code::kTooLarge, "HTML: larger than 2 GiB"};
  return HtmlReader(text_bytes_max).Read(utf8);
}

std::string DeclaredEncoding(std::string_view bytes) {
  const std::string head = AsciiLower(bytes.substr(0, 4096));
  if (head.starts_with("<?xml")) {
    const std::string_view first = std::string_view(head).substr(0, head.find("?>"));
    const size_t at = first.find("encoding=");
    if (at != first.npos) return std::string(Quoted(first.substr(at + 9)));
  }
  for (size_t meta = head.find("<meta"); meta != head.npos; meta = head.find("<meta", meta + 5)) {
    const std::string_view tag = std::string_view(head).substr(meta, head.find('>', meta) - meta);
    const size_t at = tag.find("charset=");
    if (at != tag.npos) return std::string(Quoted(tag.substr(at + 8)));
  }
  return "";
}

std::optional<std::string> XmlAttributes::Find(std::string_view name) const {
  // Five pointers each: name, prefix, namespace, first and last byte of the value.
  for (int i = 0; i < count_; ++i) {
    const unsigned char** attribute = list_ + size_t{5} * static_cast<size_t>(i);
    if (View(attribute[0]) == name) return std::string(attribute[3], attribute[4]);
  }
  return std::nullopt;
}

std::optional<std::string> XmlAttributes::FindPrefixed(std::string_view name) const {
  for (int i = 0; i < count_; ++i) {
    const unsigned char** attribute = list_ + size_t{5} * static_cast<size_t>(i);
    if (View(attribute[0]) == name && attribute[1] != nullptr) {
      return std::string(attribute[3], attribute[4]);
    }
  }
  return std::nullopt;
}

Result<> ReadXml(std::string_view bytes, XmlVisitor& visitor) {
  if (!Xml().ok()) return Xml().error();
  if (bytes.size() > INT32_MAX) return Error{Code::kTooLarge, "XML: larger than 2 GiB"};
  const XmlLibrary& xml = *Xml();
  const std::unique_ptr<xmlParserCtxt, decltype(xml.xmlFreeParserCtxt)> context(
      xml.xmlNewParserCtxt(), xml.xmlFreeParserCtxt);
  if (!context) return Error{Code::kTooLarge, "XML: no memory"};
  XmlReading reading{visitor, context.get()};
  SetVisitor(*context->sax);
  context->userData = &reading;
  constexpr int kOptions = XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING;
  xml.xmlFreeDoc(xml.xmlCtxtReadMemory(context.get(), bytes.data(), static_cast<int>(bytes.size()),
                                       nullptr, nullptr, kOptions));
  if (reading.declares_entities) {
    return Error{Code::kUnsupported, "XML: declares entities of its own"};
  }
  if (!reading.stopped && context->wellFormed == 0) {
    return Error{Code::kCorrupt,
                 "XML: not well-formed, line " + std::to_string(context->lastError.line)};
  }
  return Ok{};
}

}  // namespace msearch::media
