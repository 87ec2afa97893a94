// Archives and office documents made in code. All are the same for the same arguments.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace msearch::test {

struct ZipEntry {
  std::string name;
  std::string bytes;
  bool deflated = false;
};
std::string MakeZip(const std::vector<ZipEntry>& entries);

// One entry of `size` equal letters between `before` and `after`, in a thousandth of the bytes.
std::string MakeZipBomb(const std::string& name, const std::string& before, uint64_t size,
                        const std::string& after);

// Minimal but whole documents, as the programs write them. Each text becomes a paragraph, slide,
// sheet or chapter.
std::string MakeDocx(const std::vector<std::string>& paragraphs, const std::string& title = "");
std::string MakeOdt(const std::vector<std::string>& paragraphs, const std::string& title = "");
std::string MakePptx(const std::vector<std::string>& slides, const std::string& title = "");
std::string MakeOdp(const std::vector<std::string>& slides, const std::string& title = "");
// Of (name, cells of the first row).
using Sheet = std::pair<std::string, std::vector<std::string>>;
std::string MakeXlsx(const std::vector<Sheet>& sheets);
std::string MakeOds(const std::vector<Sheet>& sheets);
std::string MakeEpub(const std::vector<std::string>& chapters, const std::string& title = "");

std::string EscapeXml(const std::string& text);

}  // namespace msearch::test
