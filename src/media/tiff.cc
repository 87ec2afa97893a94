#include "media/tiff.h"

#include "media/picture.h"

namespace msearch::media {
namespace {

// Indices, from 0, of the directories that are pages; that of the first if none says anything.
std::vector<uint32_t> PagesOf(std::string_view file) {
  std::vector<uint32_t> pages;
  const std::vector<bool> reduced = ReducedTiffDirectories(file);
  for (uint32_t i = 0; i < reduced.size(); ++i) {
    if (!reduced[i]) pages.push_back(i);
  }
  if (pages.empty()) pages.push_back(0);
  return pages;
}

}  // namespace

Result<Prepared> PrepareTiff(const MediaSource& source, const PrepareOptions& options) {
  std::string file = TRY(ReadSource(source, kPictureBytesMax));
  const std::vector<uint32_t> pages = PagesOf(file);
  return PreparePages(
      pages.size(),
      [&](uint32_t page, const PictureRequest& request) {
        return DecodeTiffPage(file, request, pages[page]);
      },
      options);
}

Result<View> ViewTiff(const MediaSource& source, const ViewWanted& wanted) {
  std::string file = TRY(ReadSource(source, kPictureBytesMax));
  const std::vector<uint32_t> pages = PagesOf(file);
  return ViewPage(
      pages.size(),
      [&](uint32_t page, const PictureRequest& request) {
        return DecodeTiffPage(file, request, pages[page]);
      },
      wanted);
}

}  // namespace msearch::media
