#include "support/archives.h"

#include <zlib.h>

#include <algorithm>

namespace msearch::test {
namespace {

std::string Little(uint64_t value, int bytes) {
  std::string out;
  for (int i = 0; i < bytes; ++i) out += static_cast<char>(value >> (8 * i));
  return out;
}

struct Packed {
  std::string bytes;
  uint32_t crc = 0;
  uint64_t size = 0;
  bool deflated = false;
};

// A raw deflate stream; what is to be packed comes in pieces.
class Deflater {
 public:
  Deflater() { deflateInit2(&stream_, 9, Z_DEFLATED, -15, 9, Z_DEFAULT_STRATEGY); }
  ~Deflater() { deflateEnd(&stream_); }
  Deflater(const Deflater&) = delete;
  Deflater& operator=(const Deflater&) = delete;

  void Add(const std::string& piece) { Feed(piece, Z_NO_FLUSH); }
  Packed Finish() {
    Feed("", Z_FINISH);
    out_.deflated = true;
    return std::move(out_);
  }

 private:
  void Feed(const std::string& piece, int flush) {
    out_.crc = static_cast<uint32_t>(crc32(out_.crc, reinterpret_cast<const Bytef*>(piece.data()),
                                           static_cast<uInt>(piece.size())));
    out_.size += piece.size();
    stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(piece.data()));
    stream_.avail_in = static_cast<uInt>(piece.size());
    char buffer[16384];
    do {
      stream_.next_out = reinterpret_cast<Bytef*>(buffer);
      stream_.avail_out = sizeof(buffer);
      deflate(&stream_, flush);
      out_.bytes.append(buffer, sizeof(buffer) - stream_.avail_out);
    } while (stream_.avail_out == 0);
  }

  z_stream stream_{};
  Packed out_;
};

Packed Pack(const ZipEntry& entry) {
  if (entry.deflated) {
    Deflater deflater;
    deflater.Add(entry.bytes);
    return deflater.Finish();
  }
  return {entry.bytes,
          static_cast<uint32_t>(crc32(0, reinterpret_cast<const Bytef*>(entry.bytes.data()),
                                      static_cast<uInt>(entry.bytes.size()))),
          entry.bytes.size(), false};
}

class ZipWriter {
 public:
  void Add(const std::string& name, const Packed& packed) {
    const std::string common = Little(20, 2) + Little(0, 2) + Little(packed.deflated ? 8 : 0, 2) +
                               Little(0, 2) + Little(0x5A21, 2) + Little(packed.crc, 4) +
                               Little(packed.bytes.size(), 4) + Little(packed.size, 4) +
                               Little(name.size(), 2) + Little(0, 2);
    directory_ += "PK\1\2" + Little(20, 2) + common + Little(0, 2) + Little(0, 2) + Little(0, 2) +
                  Little(0, 4) + Little(out_.size(), 4) + name;
    out_ += "PK\3\4" + common + name + packed.bytes;
    ++entries_;
  }
  std::string Finish() {
    const uint64_t at = out_.size();
    return out_ + directory_ + "PK\5\6" + Little(0, 4) + Little(entries_, 2) + Little(entries_, 2) +
           Little(directory_.size(), 4) + Little(at, 4) + Little(0, 2);
  }

 private:
  std::string out_;
  std::string directory_;
  uint64_t entries_ = 0;
};

constexpr const char* kXml = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";

ZipEntry CoreProperties(const std::string& title) {
  return {"docProps/core.xml",
          std::string(kXml) + "<cp:coreProperties xmlns:cp=\"c\" xmlns:dc=\"d\"><dc:title>" +
              EscapeXml(title) + "</dc:title></cp:coreProperties>",
          true};
}

ZipEntry OdfMeta(const std::string& title) {
  return {"meta.xml",
          std::string(kXml) +
              "<office:document-meta xmlns:office=\"o\" xmlns:dc=\"d\"><office:meta><dc:title>" +
              EscapeXml(title) + "</dc:title></office:meta></office:document-meta>",
          true};
}

std::string Odf(const std::string& kind, const std::string& body, const std::string& title) {
  return MakeZip({{"mimetype", "application/vnd.oasis.opendocument." + kind},
                  {"content.xml",
                   std::string(kXml) +
                       "<office:document-content xmlns:office=\"o\" xmlns:text=\"t\" "
                       "xmlns:table=\"b\" xmlns:draw=\"d\"><office:body>" +
                       body + "</office:body></office:document-content>",
                   true},
                  OdfMeta(title)});
}

std::string Relationship(size_t number, const std::string& target) {
  return "<Relationship Id=\"rId" + std::to_string(number) + "\" Target=\"" + target + "\"/>";
}

}  // namespace

std::string EscapeXml(const std::string& text) {
  std::string out;
  for (char c : text) {
    out += c == '&' ? "&amp;" : c == '<' ? "&lt;" : c == '>' ? "&gt;" : std::string(1, c);
  }
  return out;
}

std::string MakeZip(const std::vector<ZipEntry>& entries) {
  ZipWriter zip;
  for (const ZipEntry& entry : entries) zip.Add(entry.name, Pack(entry));
  return zip.Finish();
}

std::string MakeZipBomb(const std::string& name, const std::string& before, uint64_t size,
                        const std::string& after) {
  const std::string piece(1 << 20, 'a');
  Deflater deflater;
  deflater.Add(before);
  for (uint64_t done = 0; done < size; done += piece.size()) {
    deflater.Add(piece.substr(0, std::min<uint64_t>(piece.size(), size - done)));
  }
  deflater.Add(after);
  ZipWriter zip;
  zip.Add(name, deflater.Finish());
  return zip.Finish();
}

std::string MakeDocx(const std::vector<std::string>& paragraphs, const std::string& title) {
  std::string body;
  for (const std::string& text : paragraphs) {
    // Cut within a word, as Word does when a spelling was mended there.
    const size_t half = text.size() / 2;
    size_t cut = half;
    while (cut < text.size() && (static_cast<unsigned char>(text[cut]) & 0xC0) == 0x80) ++cut;
    body += "<w:p><w:r><w:t xml:space=\"preserve\">" + EscapeXml(text.substr(0, cut)) +
            "</w:t></w:r><w:r><w:rPr><w:b/></w:rPr><w:t xml:space=\"preserve\">" +
            EscapeXml(text.substr(cut)) + "</w:t></w:r></w:p>";
  }
  return MakeZip(
      {{"[Content_Types].xml", std::string(kXml) + "<Types/>", true},
       {"word/document.xml",
        std::string(kXml) + "<w:document xmlns:w=\"w\"><w:body>" + body + "</w:body></w:document>",
        true},
       CoreProperties(title)});
}

std::string MakeOdt(const std::vector<std::string>& paragraphs, const std::string& title) {
  std::string body = "<office:text>";
  for (const std::string& text : paragraphs) body += "<text:p>" + EscapeXml(text) + "</text:p>";
  return Odf("text", body + "</office:text>", title);
}

std::string MakePptx(const std::vector<std::string>& slides, const std::string& title) {
  std::vector<ZipEntry> entries{{"[Content_Types].xml", std::string(kXml) + "<Types/>", true}};
  std::string list;
  std::string relations;
  // Files are numbered backwards, so that their names tell nothing of the order.
  for (size_t i = 0; i < slides.size(); ++i) {
    const std::string file = "slides/slide" + std::to_string(slides.size() - i) + ".xml";
    list +=
        "<p:sldId id=\"" + std::to_string(256 + i) + "\" r:id=\"rId" + std::to_string(i) + "\"/>";
    relations += Relationship(i, file);
    entries.push_back({"ppt/" + file,
                       std::string(kXml) + "<p:sld xmlns:p=\"p\" xmlns:a=\"a\"><a:p><a:r><a:t>" +
                           EscapeXml(slides[i]) + "</a:t></a:r></a:p></p:sld>",
                       true});
  }
  entries.push_back({"ppt/presentation.xml",
                     std::string(kXml) +
                         "<p:presentation xmlns:p=\"p\" xmlns:r=\"r\"><p:sldIdLst>" + list +
                         "</p:sldIdLst></p:presentation>",
                     true});
  entries.push_back({"ppt/_rels/presentation.xml.rels",
                     std::string(kXml) + "<Relationships>" + relations + "</Relationships>", true});
  entries.push_back(CoreProperties(title));
  return MakeZip(entries);
}

std::string MakeOdp(const std::vector<std::string>& slides, const std::string& title) {
  std::string body = "<office:presentation>";
  for (const std::string& text : slides) {
    body += "<draw:page draw:name=\"page\"><draw:frame><draw:text-box><text:p>" + EscapeXml(text) +
            "</text:p></draw:text-box></draw:frame></draw:page>";
  }
  return Odf("presentation", body + "</office:presentation>", title);
}

std::string MakeXlsx(const std::vector<Sheet>& sheets) {
  std::vector<ZipEntry> entries{{"[Content_Types].xml", std::string(kXml) + "<Types/>", true}};
  std::string list;
  std::string relations;
  std::string strings;
  size_t count = 0;
  for (size_t i = 0; i < sheets.size(); ++i) {
    const std::string file = "worksheets/sheet" + std::to_string(i + 1) + ".xml";
    list += "<sheet name=\"" + EscapeXml(sheets[i].first) + "\" sheetId=\"" +
            std::to_string(i + 1) + "\" r:id=\"rId" + std::to_string(i) + "\"/>";
    relations += Relationship(i, file);
    std::string cells;
    for (const std::string& cell : sheets[i].second) {
      cells += "<c t=\"s\"><v>" + std::to_string(count++) + "</v></c>";
      strings += "<si><t>" + EscapeXml(cell) + "</t></si>";
    }
    entries.push_back({"xl/" + file,
                       std::string(kXml) + "<worksheet><sheetData><row>" + cells +
                           "<c><v>42.5</v></c></row></sheetData></worksheet>",
                       true});
  }
  entries.push_back(
      {"xl/workbook.xml",
       std::string(kXml) + "<workbook xmlns:r=\"r\"><sheets>" + list + "</sheets></workbook>",
       true});
  entries.push_back({"xl/_rels/workbook.xml.rels",
                     std::string(kXml) + "<Relationships>" + relations + "</Relationships>", true});
  entries.push_back(
      {"xl/sharedStrings.xml", std::string(kXml) + "<sst>" + strings + "</sst>", true});
  return MakeZip(entries);
}

std::string MakeOds(const std::vector<Sheet>& sheets) {
  std::string body = "<office:spreadsheet>";
  for (const auto& [name, cells] : sheets) {
    body += "<table:table table:name=\"" + EscapeXml(name) + "\"><table:table-row>";
    for (const std::string& cell : cells) {
      body += "<table:table-cell><text:p>" + EscapeXml(cell) + "</text:p></table:table-cell>";
    }
    body += "</table:table-row></table:table>";
  }
  return Odf("spreadsheet", body + "</office:spreadsheet>", "");
}

std::string MakeEpub(const std::vector<std::string>& chapters, const std::string& title) {
  std::vector<ZipEntry> entries{
      {"mimetype", "application/epub+zip"},
      {"META-INF/container.xml",
       std::string(kXml) + "<container><rootfiles><rootfile full-path=\"OEBPS/book.opf\"/>"
                           "</rootfiles></container>",
       true}};
  std::string items;
  std::string spine;
  for (size_t i = 0; i < chapters.size(); ++i) {
    const std::string number = std::to_string(i);
    items += "<item id=\"c" + number + "\" href=\"text/chapter%20" + number + ".xhtml\"/>";
    spine += "<itemref idref=\"c" + number + "\"/>";
    entries.push_back({"OEBPS/text/chapter " + number + ".xhtml",
                       std::string(kXml) +
                           "<!DOCTYPE html><html xmlns=\"http://www.w3.org/1999/xhtml\"><body><p>" +
                           EscapeXml(chapters[i]) + "</p></body></html>",
                       true});
  }
  entries.push_back({"OEBPS/book.opf",
                     std::string(kXml) + "<package xmlns:dc=\"d\"><metadata><dc:title>" +
                         EscapeXml(title) + "</dc:title></metadata><manifest>" + items +
                         "</manifest><spine>" + spine + "</spine></package>",
                     true});
  return MakeZip(entries);
}

}  // namespace msearch::test
