// Pictures: what the decoders of single formats give, and what is made of it.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "base/result.h"
#include "media/codec.h"
#include "media/exif.h"
#include "media/raster.h"
#include "media/source.h"

namespace msearch::media {

// How much of a picture is needed. A decoder may reduce while decoding as long as no side gets
// shorter than asked for here (or than it is).
struct PictureRequest {
  uint32_t shorter_side_min = 0;
  uint32_t longer_side_min = 0;
  uint64_t pixels_max = 0;

  // The largest n, at most `most`, so that a picture of width x height reduced n-fold is enough.
  uint32_t Reduction(uint32_t width, uint32_t height, uint32_t most) const;
  // kTooLarge, kCorrupt for an empty picture. To be called with the header's figures, before
  // anything is allocated or decoded for the picture.
  Result<> CheckSize(uint64_t width, uint64_t height) const;
};

struct DecodedPicture {
  Raster raster;  // as stored: `exif.orientation` is still to be applied
  uint32_t width = 0;
  uint32_t height = 0;  // full size, as stored
  ExifFacts exif;
};

using PictureDecoder = Result<DecodedPicture> (*)(const MediaSource&, const PictureRequest&);

// Decodes once and makes everything that the options ask for.
Result<Prepared> PreparePicture(PictureDecoder decode, const MediaSource& source,
                                const PrepareOptions& options);

// The whole picture, upright. kNotFound for another page than the first.
Result<View> ViewPicture(PictureDecoder decode, const MediaSource& source,
                         const ViewWanted& wanted);

// The same for files of several pages, told by their index from 0. Every page is a segment with its
// number; of one page none has a number. A page that can't be read is left out, unless it is the
// first, and so is what comes after kPagesMax. Attribute "pages" when there are several,
// "pages_read" when not all are read.
inline constexpr uint32_t kPagesMax = 200;
using PageDecoder = std::function<Result<DecodedPicture>(uint32_t, const PictureRequest&)>;
Result<Prepared> PreparePages(size_t pages, const PageDecoder& decode,
                              const PrepareOptions& options);
Result<View> ViewPage(size_t pages, const PageDecoder& decode, const ViewWanted& wanted);

// How much of a picture these options need, and all that they ask for made of it.
PictureRequest RequestFor(const PrepareOptions& options);
Result<Prepared> PrepareDecoded(DecodedPicture decoded, const PrepareOptions& options);

// Upright pixels as a model wants them.
std::string PixelsFor(const Raster& raster, const PixelsWanted& wanted);
// Reduced so that no side is longer than this; never enlarged.
Raster Reduced(const Raster& raster, uint32_t side_max);

// The decoders. Errors: kCorrupt, kUnsupported, kTooLarge.

// libjpeg-turbo, scaling while decoding. A file whose end is missing or whose data are damaged is
// kept when at least kJpegKeptShare of its rows came before the fault (the rest is grey); of a
// progressive file when no more than a part of its last, finest scan is missing.
inline constexpr double kJpegKeptShare = 0.9;
Result<DecodedPicture> DecodeJpeg(const MediaSource& source, const PictureRequest& request);
Result<DecodedPicture> DecodeJpegBytes(std::string_view bytes, const PictureRequest& request);

// libvips: PNG, WebP, GIF (first frame), TIFF (first page). Truncated files are corrupt.
Result<DecodedPicture> DecodeWithVips(const MediaSource& source, const PictureRequest& request);

// A directory of a TIFF file, from 0. The bytes stay as they are.
Result<DecodedPicture> DecodeTiffPage(std::string& file, const PictureRequest& request,
                                      uint32_t directory);

// LibRaw: the raw files of cameras, by their embedded preview where that is large enough.
Result<DecodedPicture> DecodeRaw(const MediaSource& source, const PictureRequest& request);

// libjxl. Its own orientation is applied, EXIF orientation isn't.
Result<DecodedPicture> DecodeJxl(const MediaSource& source, const PictureRequest& request);

// libheif: HEIC and AVIF. Its own rotation (irot, imir) is applied, EXIF orientation isn't, as the
// format demands. Of several pictures (of a burst, a collection) the main one is the first page.
Result<Prepared> PrepareHeif(const MediaSource& source, const PrepareOptions& options);
Result<View> ViewHeif(const MediaSource& source, const ViewWanted& wanted);

// Windows bitmaps of 1, 4, 8, 16, 24 and 32 bits, bit fields, run lengths of 8 and 4 bits. Rows
// missing at the end make the file corrupt.
Result<DecodedPicture> DecodeBmp(const MediaSource& source, const PictureRequest& request);

// Loads what the decoders need from disk, since a sandbox won't let them later. A library that
// isn't installed only disables its formats.
void PreloadPictureLibraries();

// Files beyond this aren't read into memory.
inline constexpr uint64_t kPictureBytesMax = uint64_t{1} << 30;

}  // namespace msearch::media
