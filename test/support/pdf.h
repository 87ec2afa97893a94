// PDF files made in code.
#pragma once

#include <string>
#include <vector>

namespace msearch::test {

// A page with a line of text (Latin and Chinese), or, as a scanner makes it, with a JPEG only.
struct PdfPage {
  std::string text;  // UTF-8
  std::string jpeg;  // fills the page; of this many pixels
  unsigned jpeg_width = 0;
  unsigned jpeg_height = 0;
};
struct PdfOptions {
  std::string title;
  bool needs_password = false;
  double side = 400;  // of the square pages, points
};
std::string MakePdf(const std::vector<PdfPage>& pages, const PdfOptions& options = {});

}  // namespace msearch::test
