// Office documents and electronic books are ZIP archives of XML. Of each only the parts that hold
// text are read, as streams of events; elements are told by their names without prefixes, which are
// the same whatever program wrote the file.

#include <charconv>
#include <map>

#include "base/legacy_text.h"
#include "base/strings.h"
#include "media/document.h"
#include "media/markup.h"
#include "media/xml_library.h"
#include "media/zip_archive.h"
#include "media/zip_library.h"

namespace msearch::media {
namespace {

constexpr size_t kPartsMax = 5000;           // slides, sheets, chapters
constexpr uint64_t kMarkupBytesPerText = 8;  // of the limit on text; markup is most of such a file

std::string Folder(const std::string& path) { return path.substr(0, path.rfind('/') + 1); }

// "../media/a.png" beside "ppt/slides/b.xml" is "ppt/media/a.png"; "/a" is "a".
std::string Resolve(const std::string& folder, std::string_view target) {
  target = target.substr(0, target.find('#'));
  if (target.starts_with("/")) return std::string(target.substr(1));
  std::vector<std::string_view> parts;
  const std::string joined = folder + std::string(target);
  for (std::string_view part : Split(joined, '/')) {
    if (part == "..") {
      if (!parts.empty()) parts.pop_back();
    } else if (part != "." && !part.empty()) {
      parts.push_back(part);
    }
  }
  std::string out;
  for (std::string_view part : parts) {
    if (!out.empty()) out += '/';
    out += part;
  }
  return out;
}

// References within a book are addresses: "chapter%201.xhtml".
std::string Unescaped(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto byte = text[i] == '%' ? HexDecode(text.substr(i + 1, 2)) : std::nullopt;
    if (byte && byte->size() == 1) {
      out += *byte;
      i += 2;
    } else {
      out += text[i];
    }
  }
  return out;
}

// The text of the first element of that name.
class FirstText final : public XmlVisitor {
 public:
  explicit FirstText(std::string_view wanted) : wanted_(wanted) {}
  void Open(std::string_view name, const XmlAttributes&) override { inside_ = name == wanted_; }
  void Close(std::string_view name) override { done_ = done_ || (inside_ && name == wanted_); }
  void Text(std::string_view utf8) override {
    if (inside_ && !done_ && text.size() < 4096) text += utf8;
  }
  bool Enough() const override { return done_; }

  std::string text;

 private:
  std::string_view wanted_;
  bool inside_ = false;
  bool done_ = false;
};

// Titles are a gift: a damaged or absent one costs nothing.
std::string TitleIn(ZipArchive& archive, const std::string& part) {
  FirstText title("title");
  const Result<std::string> bytes = archive.Read(part);
  if (bytes.ok()) (void)ReadXml(*bytes, title);
  return title.text;
}

// Relations of a part of an Office Open XML file: where their ids lead.
class Relations final : public XmlVisitor {
 public:
  void Open(std::string_view name, const XmlAttributes& attributes) override {
    if (name != "Relationship" || targets.size() >= kPartsMax) return;
    const auto id = attributes.Find("Id");
    const auto target = attributes.Find("Target");
    if (id && target) targets[*id] = *target;
  }
  void Close(std::string_view) override {}
  void Text(std::string_view) override {}

  std::map<std::string, std::string> targets;
};

// Ids of parts in the order of the main part: slides (sldId), sheets (sheet).
class PartList final : public XmlVisitor {
 public:
  explicit PartList(std::string_view element) : element_(element) {}
  void Open(std::string_view name, const XmlAttributes& attributes) override {
    if (name != element_ || parts.size() >= kPartsMax) return;
    // A slide has two attributes called id; the relation's has a prefix.
    const auto relation = attributes.FindPrefixed("id");
    if (relation) parts.push_back({*relation, attributes.Find("name").value_or("")});
  }
  void Close(std::string_view) override {}
  void Text(std::string_view) override {}

  struct Part {
    std::string relation;
    std::string name;
  };
  std::vector<Part> parts;

 private:
  std::string_view element_;
};

// Running text of Word, PowerPoint and the drawings in both: paragraphs p, runs of text t.
class RunningText final : public XmlVisitor {
 public:
  explicit RunningText(uint64_t bytes_max) : flow_(bytes_max) {}

  void Open(std::string_view name, const XmlAttributes& attributes) override {
    if (fallback_ > 0 || name == "Fallback") {
      fallback_ += name == "Fallback" ? 1 : 0;
      return;
    }
    if (name == "t") {
      in_text_ = true;
    } else if (name == "p") {
      flow_.Break(2);
    } else if (name == "tab" || name == "tc") {
      flow_.Gap();
    } else if (name == "br" || name == "cr" || name == "tr") {
      flow_.Break(1);
      if (attributes.Find("type") == "page") asked_breaks_.push_back(flow_.text().size());
    } else if (name == "lastRenderedPageBreak") {
      laid_out_breaks_.push_back(flow_.text().size());
    }
  }
  void Close(std::string_view name) override {
    if (name == "Fallback" && fallback_ > 0) --fallback_;
    if (name == "t") in_text_ = false;
    if (name == "p") flow_.Break(2);
  }
  void Text(std::string_view utf8) override {
    if (!in_text_ || fallback_ > 0) return;
    // White space at the ends of a run counts; words may be cut between runs.
    if (utf8.starts_with(' ')) flow_.Add(" ");
    flow_.Add(utf8);
  }
  bool Enough() const override { return flow_.full(); }

  // The pages of the last layout, or, when the program left none, those that the author began.
  std::vector<TextPage> TakePages() {
    const std::vector<size_t> breaks =
        laid_out_breaks_.empty() ? std::move(asked_breaks_) : std::move(laid_out_breaks_);
    const std::string text = flow_.Take();
    if (breaks.empty()) return {{std::nullopt, text}};
    std::vector<TextPage> pages;
    size_t begin = 0;
    for (size_t end : breaks) {
      pages.push_back({static_cast<uint32_t>(pages.size()) + 1, text.substr(begin, end - begin)});
      begin = end;
    }
    pages.push_back({static_cast<uint32_t>(pages.size()) + 1, text.substr(begin)});
    return pages;
  }
  std::string Take() { return flow_.Take(); }
  bool full() const { return flow_.full(); }

 private:
  TextFlow flow_;
  std::vector<size_t> asked_breaks_;
  std::vector<size_t> laid_out_breaks_;
  int fallback_ = 0;
  bool in_text_ = false;
};

// The table of texts that the cells of an Excel file refer to.
class SharedStrings final : public XmlVisitor {
 public:
  explicit SharedStrings(uint64_t bytes_max) : bytes_left_(bytes_max) {}
  void Open(std::string_view name, const XmlAttributes&) override {
    if (name == "si") strings.emplace_back();
    in_text_ = name == "t" || (in_text_ && name != "rPh");
    if (name == "rPh") in_reading_ = true;  // how to pronounce it
  }
  void Close(std::string_view name) override {
    if (name == "t") in_text_ = false;
    if (name == "rPh") in_reading_ = false;
  }
  void Text(std::string_view utf8) override {
    if (!in_text_ || in_reading_ || strings.empty() || utf8.size() > bytes_left_) return;
    bytes_left_ -= utf8.size();
    strings.back() += utf8;
  }

  std::vector<std::string> strings;

 private:
  uint64_t bytes_left_;
  bool in_text_ = false;
  bool in_reading_ = false;
};

class SheetText final : public XmlVisitor {
 public:
  SheetText(const std::vector<std::string>& shared, uint64_t bytes_max)
      : shared_(shared), flow_(bytes_max) {}
  void Start(const std::string& name) {
    flow_.Add(name);
    flow_.Break(2);
  }

  void Open(std::string_view name, const XmlAttributes& attributes) override {
    if (name == "row") flow_.Break(1);
    if (name == "c") {
      flow_.Gap();
      is_shared_ = attributes.Find("t") == "s";
    }
    if (name == "v" || name == "t") {
      in_value_ = true;
      value_.clear();
    }
  }
  void Close(std::string_view name) override {
    if (name != "v" && name != "t") return;
    in_value_ = false;
    if (!is_shared_ || name == "t") {
      flow_.Add(value_);
      return;
    }
    size_t index = shared_.size();
    std::from_chars(value_.data(), value_.data() + value_.size(), index);
    if (index < shared_.size()) flow_.Add(shared_[index]);
  }
  void Text(std::string_view utf8) override {
    if (in_value_ && value_.size() < (1 << 20)) value_ += utf8;
  }
  bool Enough() const override { return flow_.full(); }

  std::string Take() { return flow_.Take(); }

 private:
  const std::vector<std::string>& shared_;
  TextFlow flow_;
  std::string value_;
  bool in_value_ = false;
  bool is_shared_ = false;
};

// OpenDocument: the text stands in the elements themselves. `page`: the element that is a page.
class OpenDocumentText final : public XmlVisitor {
 public:
  OpenDocumentText(std::string_view page, uint64_t bytes_max) : page_(page), flow_(bytes_max) {}

  void Open(std::string_view name, const XmlAttributes& attributes) override {
    ++depth_;
    if (name == "tracked-changes" && unseen_from_ == 0) unseen_from_ = depth_;
    if (name == "body") in_body_ = true;
    if (!page_.empty() && name == page_) {
      // What comes before a page (declarations of a spreadsheet) belongs to none.
      (void)flow_.Take();
      const auto title = attributes.Find("name");
      if (title && page_ == "table") {
        flow_.Add(*title);
        flow_.Break(2);
      }
    }
    if (name == "p" || name == "h") {
      flow_.Break(page_ == "table" ? 0 : 2);
      ++paragraphs_;
    }
    if (name == "table-row" || name == "line-break") flow_.Break(1);
    if (name == "table-cell" || name == "tab") flow_.Gap();
    if (name == "s") flow_.Add(" ");
  }
  void Close(std::string_view name) override {
    if (depth_ == unseen_from_) unseen_from_ = 0;
    --depth_;
    if (name == "p" || name == "h") {
      paragraphs_ -= paragraphs_ > 0 ? 1 : 0;
      flow_.Break(page_ == "table" ? 0 : 2);
    }
    if (name == "body") in_body_ = false;
    if (!page_.empty() && name == page_ && pages_.size() < kPartsMax) {
      pages_.push_back({static_cast<uint32_t>(pages_.size()) + 1, flow_.Take()});
    }
  }
  void Text(std::string_view utf8) override {
    if (in_body_ && paragraphs_ > 0 && unseen_from_ == 0) flow_.Add(utf8);
  }
  bool Enough() const override { return flow_.full(); }

  std::vector<TextPage> TakePages() {
    if (page_.empty()) pages_.push_back({std::nullopt, flow_.Take()});
    return std::move(pages_);
  }

 private:
  std::string_view page_;
  TextFlow flow_;
  std::vector<TextPage> pages_;
  int depth_ = 0;
  int unseen_from_ = 0;
  int paragraphs_ = 0;
  bool in_body_ = false;
};

// The package file of an electronic book: title, and its chapters in reading order.
class BookParts final : public XmlVisitor {
 public:
  void Open(std::string_view name, const XmlAttributes& attributes) override {
    in_title_ = name == "title" && title.empty();
    if (name == "item" && items_.size() < kPartsMax) {
      const auto id = attributes.Find("id");
      const auto target = attributes.Find("href");
      if (id && target) items_[*id] = *target;
    }
    if (name == "itemref" && chapters.size() < kPartsMax) {
      const auto item = items_.find(attributes.Find("idref").value_or(""));
      if (item != items_.end()) chapters.push_back(Unescaped(item->second));
    }
  }
  void Close(std::string_view) override { in_title_ = false; }
  void Text(std::string_view utf8) override {
    if (in_title_ && title.size() < 4096) title += utf8;
  }

  std::string title;
  std::vector<std::string> chapters;

 private:
  std::map<std::string, std::string> items_;
  bool in_title_ = false;
};

class FirstRootFile final : public XmlVisitor {
 public:
  void Open(std::string_view name, const XmlAttributes& attributes) override {
    if (name == "rootfile" && path.empty()) path = attributes.Find("full-path").value_or("");
  }
  void Close(std::string_view) override {}
  void Text(std::string_view) override {}

  std::string path;
};

class OfficeReader {
 public:
  OfficeReader(ZipArchive& archive, const PrepareOptions& options)
      : archive_(archive), options_(options), bytes_left_(options.text_bytes_max) {}

  Result<Prepared> Read() {
    if (archive_.Has("word/document.xml")) return Word();
    if (archive_.Has("ppt/presentation.xml")) return Slides();
    if (archive_.Has("xl/workbook.xml")) return Sheets();
    if (archive_.Has("META-INF/container.xml")) return Book();
    if (archive_.Has("content.xml")) return OpenDocument();
    return Error{Code::kUnsupported, "application/zip: nothing here reads it"};
  }

 private:
  static constexpr std::string_view kOpenXml = "application/vnd.openxmlformats-officedocument.";

  Result<> Visit(const std::string& part, XmlVisitor& visitor) {
    const Result<> read = ReadXml(TRY(archive_.Read(part)), visitor);
    if (!read.ok()) return Error{read.code(), part + ": " + read.message()};
    return Ok{};
  }

  Result<Prepared> Finish(const std::string& mime, std::string title) {
    Prepared out = TRY(Document(pages_, std::move(title), options_.passage_words_max));
    out.mime = mime;
    return out;
  }

  Result<> Add(std::optional<uint32_t> number, std::string text) {
    if (text.size() > bytes_left_) {
      return Error{Code::kTooLarge, "document: more text than the limit of " +
                                        std::to_string(options_.text_bytes_max) + " bytes"};
    }
    bytes_left_ -= text.size();
    pages_.push_back({number, std::move(text)});
    return Ok{};
  }
  Result<> TooLong() { return Add(std::nullopt, std::string(bytes_left_ + 1, ' ')); }

  Result<Prepared> Word() {
    RunningText body(bytes_left_);
    TRY(Visit("word/document.xml", body));
    if (body.full()) TRY(TooLong());
    for (TextPage& page : body.TakePages()) TRY(Add(page.number, std::move(page.text)));
    for (const char* part : {"word/footnotes.xml", "word/endnotes.xml"}) {
      if (!archive_.Has(part)) continue;
      RunningText notes(bytes_left_);
      TRY(Visit(part, notes));
      TRY(Add(std::nullopt, notes.Take()));
    }
    return Finish(std::string(kOpenXml) + "wordprocessingml.document",
                  TitleIn(archive_, "docProps/core.xml"));
  }

  // The parts of the main part in its order, as paths in the archive.
  Result<std::vector<PartList::Part>> Parts(const std::string& main, std::string_view element) {
    PartList list(element);
    TRY(Visit(main, list));
    Relations relations;
    const std::string folder = Folder(main);
    TRY(Visit(folder + "_rels/" + main.substr(folder.size()) + ".rels", relations));
    std::vector<PartList::Part> parts;
    for (PartList::Part& part : list.parts) {
      const auto target = relations.targets.find(part.relation);
      if (target == relations.targets.end()) continue;
      parts.push_back({Resolve(folder, target->second), std::move(part.name)});
    }
    return parts;
  }

  Result<Prepared> Slides() {
    uint32_t number = 0;
    for (const PartList::Part& part : TRY(Parts("ppt/presentation.xml", "sldId"))) {
      ++number;
      if (!archive_.Has(part.relation)) continue;
      RunningText slide(bytes_left_);
      TRY(Visit(part.relation, slide));
      if (slide.full()) TRY(TooLong());
      TRY(Add(number, slide.Take()));
    }
    return Finish(std::string(kOpenXml) + "presentationml.presentation",
                  TitleIn(archive_, "docProps/core.xml"));
  }

  Result<Prepared> Sheets() {
    SharedStrings shared(options_.text_bytes_max);
    if (archive_.Has("xl/sharedStrings.xml")) TRY(Visit("xl/sharedStrings.xml", shared));
    uint32_t number = 0;
    for (const PartList::Part& part : TRY(Parts("xl/workbook.xml", "sheet"))) {
      ++number;
      if (!archive_.Has(part.relation)) continue;
      SheetText sheet(shared.strings, bytes_left_);
      sheet.Start(part.name);
      TRY(Visit(part.relation, sheet));
      if (sheet.Enough()) TRY(TooLong());
      TRY(Add(number, sheet.Take()));
    }
    return Finish(std::string(kOpenXml) + "spreadsheetml.sheet",
                  TitleIn(archive_, "docProps/core.xml"));
  }

  Result<Prepared> OpenDocument() {
    const Result<std::string> kind = archive_.Read("mimetype");
    const std::string mime(kind.ok() ? Trim(*kind) : "");
    const Result<std::string> manifest = archive_.Read("META-INF/manifest.xml");
    if (manifest.ok() && manifest->find("encryption-data") != std::string::npos) {
      return Error{Code::kUnsupported, "document: encrypted; it needs a password"};
    }
    const bool slides =
        mime.find("presentation") != mime.npos || mime.find("graphics") != mime.npos;
    const bool sheets = mime.find("spreadsheet") != mime.npos;
    OpenDocumentText text(slides ? "page" : sheets ? "table" : "", bytes_left_);
    TRY(Visit("content.xml", text));
    if (text.Enough()) TRY(TooLong());
    for (TextPage& page : text.TakePages()) TRY(Add(page.number, std::move(page.text)));
    constexpr std::string_view kFamily = "application/vnd.oasis.opendocument.";
    return Finish(
        mime.starts_with(kFamily) && mime.size() < 80 ? mime : std::string(kFamily) + "text",
        TitleIn(archive_, "meta.xml"));
  }

  // A chapter that can't be read costs only itself, as in any reader.
  Result<Prepared> Book() {
    FirstRootFile root;
    TRY(Visit("META-INF/container.xml", root));
    BookParts parts;
    TRY(Visit(root.path, parts));
    std::optional<Error> fault;
    for (const std::string& chapter : parts.chapters) {
      const Result<std::string> bytes = archive_.Read(Resolve(Folder(root.path), chapter));
      if (!bytes.ok()) {
        if (bytes.code() == Code::kTooLarge) return bytes.error();
        fault = bytes.error();
        continue;
      }
      if (archive_.Has("META-INF/encryption.xml") && bytes->find('<') == bytes->npos) {
        return Error{Code::kUnsupported, "book: encrypted"};
      }
      const HtmlText html =
          TRY(ReadHtml(TRY(DecodeText(*bytes, DeclaredEncoding(*bytes))).utf8, bytes_left_));
      TRY(Add(std::nullopt, html.text));
    }
    if (pages_.empty() && fault) return *fault;
    return Finish("application/epub+zip", parts.title);
  }

  ZipArchive& archive_;
  const PrepareOptions& options_;
  uint64_t bytes_left_;
  std::vector<TextPage> pages_;
};

}  // namespace

void PreloadDocumentLibraries() {
  (void)Zip();
  (void)Xml();
}

Result<Prepared> PrepareArchive(const MediaSource& source, const PrepareOptions& options) {
  ZipArchive archive = TRY(ZipArchive::Open(source, options.text_bytes_max * kMarkupBytesPerText));
  return OfficeReader(archive, options).Read();
}

}  // namespace msearch::media
