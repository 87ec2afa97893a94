#include "support/pdf.h"

#include "base/unicode.h"

namespace msearch::test {
namespace {

std::string Hex16(uint32_t value) {
  static const char* kDigits = "0123456789ABCDEF";
  std::string out;
  for (int shift = 12; shift >= 0; shift -= 4) out += kDigits[value >> shift & 15];
  return out;
}

// Objects are numbered from 1 in the order in which they are added.
class Writer {
 public:
  size_t Add(const std::string& body) {
    offsets_.push_back(out_.size());
    out_ += std::to_string(offsets_.size()) + " 0 obj\n" + body + "\nendobj\n";
    return offsets_.size();
  }
  size_t AddStream(const std::string& dictionary, const std::string& bytes) {
    return Add("<< " + dictionary + " /Length " + std::to_string(bytes.size()) + " >>\nstream\n" +
               bytes + "\nendstream");
  }
  size_t next() const { return offsets_.size() + 1; }
  std::string Finish(const std::string& trailer) {
    const size_t table = out_.size();
    out_ += "xref\n0 " + std::to_string(offsets_.size() + 1) + "\n0000000000 65535 f \n";
    for (size_t offset : offsets_) {
      std::string figure = std::to_string(offset);
      out_ += std::string(10 - figure.size(), '0') + figure + " 00000 n \n";
    }
    return out_ + "trailer\n<< /Size " + std::to_string(offsets_.size() + 1) + " " + trailer +
           " >>\nstartxref\n" + std::to_string(table) + "\n%%EOF\n";
  }

 private:
  std::string out_ = "%PDF-1.7\n";
  std::vector<size_t> offsets_;
};

std::string Reference(size_t number) { return std::to_string(number) + " 0 R"; }

// A font of two-byte codes that are UTF-16 themselves, as its map says; it isn't embedded.
size_t AddFont(Writer& writer) {
  const size_t map = writer.AddStream(
      "",
      "/CIDInit /ProcSet findresource begin 12 dict begin begincmap /CMapName /Same def "
      "1 begincodespacerange <0000> <FFFF> endcodespacerange "
      "1 beginbfrange <0000> <FFFF> <0000> endbfrange endcmap end end");
  const size_t descriptor = writer.Add(
      "<< /Type /FontDescriptor /FontName /Plain /Flags 4 /FontBBox [0 -200 1000 900] "
      "/ItalicAngle 0 /Ascent 800 /Descent -200 /CapHeight 700 /StemV 80 >>");
  const size_t font = writer.Add(
      "<< /Type /Font /Subtype /CIDFontType2 /BaseFont /Plain /CIDSystemInfo << /Registry (Adobe) "
      "/Ordering (Identity) /Supplement 0 >> /FontDescriptor " +
      Reference(descriptor) + " /DW 600 >>");
  return writer.Add(
      "<< /Type /Font /Subtype /Type0 /BaseFont /Plain /Encoding /Identity-H "
      "/DescendantFonts [" +
      Reference(font) + "] /ToUnicode " + Reference(map) + " >>");
}

}  // namespace

std::string MakePdf(const std::vector<PdfPage>& pages, const PdfOptions& options) {
  Writer writer;
  const size_t font = AddFont(writer);
  const std::string side = std::to_string(options.side);
  // Its number is known once the pages are written: each takes as many objects as it has parts.
  size_t tree = writer.next();
  for (const PdfPage& page : pages) tree += page.jpeg.empty() ? 2 : 3;
  std::string kids;
  for (const PdfPage& page : pages) {
    std::string resources = "/Font << /F " + Reference(font) + " >>";
    std::string content = "BT /F 14 Tf 20 200 Td <";
    for (char32_t point : ToCodePoints(page.text)) content += Hex16(point);
    content += "> Tj ET";
    if (!page.jpeg.empty()) {
      const size_t image = writer.AddStream(
          "/Type /XObject /Subtype /Image /Width " + std::to_string(page.jpeg_width) + " /Height " +
              std::to_string(page.jpeg_height) +
              " /ColorSpace /DeviceRGB /BitsPerComponent 8 /Filter /DCTDecode",
          page.jpeg);
      resources += " /XObject << /I " + Reference(image) + " >>";
      content = "q " + side + " 0 0 " + side + " 0 0 cm /I Do Q";
    }
    const size_t stream = writer.AddStream("", content);
    const size_t number = writer.Add("<< /Type /Page /Parent " + Reference(tree) +
                                     " /MediaBox [0 0 " + side + " " + side + "] /Contents " +
                                     Reference(stream) + " /Resources << " + resources + " >> >>");
    kids += Reference(number) + " ";
  }
  writer.Add("<< /Type /Pages /Kids [" + kids + "] /Count " + std::to_string(pages.size()) + " >>");
  const size_t root = writer.Add("<< /Type /Catalog /Pages " + Reference(tree) + " >>");
  std::string title = "<FEFF";
  for (char32_t point : ToCodePoints(options.title)) title += Hex16(point);
  const size_t info = writer.Add(options.title.empty() ? "<< >>" : "<< /Title " + title + "> >>");
  std::string trailer = "/Root " + Reference(root) + " /Info " + Reference(info);
  if (options.needs_password) {
    const std::string any(64, 'A');
    const size_t lock =
        writer.Add("<< /Filter /Standard /V 1 /R 2 /O <" + any + "> /U <" + any + "> /P -4 >>");
    trailer +=
        " /Encrypt " + Reference(lock) + " /ID [<" + any.substr(32) + "> <" + any.substr(32) + ">]";
  }
  return writer.Finish(trailer);
}

}  // namespace msearch::test
