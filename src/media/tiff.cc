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
  const PictureRequest request = RequestFor(options);
  Prepared out = TRY(PrepareDecoded(TRY(DecodeTiffPage(file, request, pages[0])), options));
  if (pages.size() < 2) return out;
  out.attributes["pages"] = pages.size();
  if (pages.size() > kTiffPagesMax) out.attributes["pages_read"] = kTiffPagesMax;
  out.segments[0].page = 1;
  for (uint32_t number = 2; number <= std::min<size_t>(pages.size(), kTiffPagesMax); ++number) {
    Result<DecodedPicture> page = DecodeTiffPage(file, request, pages[number - 1]);
    if (!page.ok()) continue;
    Segment segment;
    segment.index = static_cast<uint32_t>(out.segments.size());
    segment.page = number;
    if (options.pixels.width > 0 && options.pixels.height > 0) {
      const int orientation = page->exif.orientation;
      const Raster raster = Upright(std::move(page->raster), orientation);
      segment.pixels = static_cast<int32_t>(out.pixels.size());
      out.pixels.push_back(PixelsFor(raster, options.pixels));
    }
    out.segments.push_back(std::move(segment));
  }
  return out;
}

Result<View> ViewTiff(const MediaSource& source, const ViewWanted& wanted) {
  std::string file = TRY(ReadSource(source, kPictureBytesMax));
  const std::vector<uint32_t> pages = PagesOf(file);
  const uint32_t number = wanted.page.value_or(1);
  if (number < 1 || number > pages.size()) {
    return Error{Code::kNotFound, "page " + std::to_string(number) + ": not there"};
  }
  PictureRequest request;
  request.pixels_max = wanted.picture_pixels_max;
  request.longer_side_min = wanted.side_max;
  DecodedPicture page = TRY(DecodeTiffPage(file, request, pages[number - 1]));
  const Raster raster =
      Reduced(Upright(std::move(page.raster), page.exif.orientation), wanted.side_max);
  return View{raster.width, raster.height, ToRgb(raster)};
}

}  // namespace msearch::media
