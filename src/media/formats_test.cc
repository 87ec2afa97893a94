// What each format gives, decoded in this process.
#include <gtest/gtest.h>

#include "media/encode.h"
#include "support/pictures.h"
#include "support/prepare_bytes.h"

namespace msearch::media {
namespace {

using test::Distance;
using test::MakePng;
using test::PixelAt;
using test::Rgb;

PrepareOptions Options(uint32_t width = 32, uint32_t height = 32,
                       PixelsWanted::Fit fit = PixelsWanted::Fit::kStretch) {
  PrepareOptions options;
  options.pixels = {width, height, fit};
  return options;
}

Raster PixelsOf(const Prepared& prepared, const PrepareOptions& options) {
  return FromRgb(prepared.pixels.at(0), options.pixels.width, options.pixels.height);
}

// The middle of each quarter, in reading order.
std::array<Rgb, 4> Corners(const Raster& raster) {
  const uint32_t left = raster.width / 4;
  const uint32_t right = raster.width * 3 / 4;
  const uint32_t top = raster.height / 4;
  const uint32_t bottom = raster.height * 3 / 4;
  return {PixelAt(raster, left, top), PixelAt(raster, right, top), PixelAt(raster, left, bottom),
          PixelAt(raster, right, bottom)};
}

void ExpectCorners(const Raster& raster, const std::array<Rgb, 4>& expected, int tolerance) {
  const std::array<Rgb, 4> corners = Corners(raster);
  for (int i = 0; i < 4; ++i) {
    EXPECT_LE(Distance(corners[i], expected[i]), tolerance)
        << "quarter " << i << ": " << int{corners[i][0]} << " " << int{corners[i][1]} << " "
        << int{corners[i][2]};
  }
}

constexpr std::array<Rgb, 4> kQuarters = {test::kTopLeft, test::kTopRight, test::kBottomLeft,
                                          test::kBottomRight};

struct Format {
  const char* name;
  const char* mime;
  int tolerance;
};

void PrintTo(const Format& format, std::ostream* out) { *out << format.name; }

class EveryFormat : public testing::TestWithParam<Format> {};

TEST_P(EveryFormat, GivesItsSizeAndColors) {
  const Format& format = GetParam();
  const std::string bytes = test::Encoded(test::Quarters(480, 360), format.name);
  const PrepareOptions options = Options();
  const Result<Prepared> prepared = PrepareBytes(bytes, "picture", options);
  ASSERT_TRUE(prepared.ok()) << prepared.message();
  EXPECT_EQ(prepared->mime, format.mime);
  EXPECT_EQ(prepared->type, MediaType::kPicture);
  EXPECT_EQ(prepared->width, 480U);
  EXPECT_EQ(prepared->height, 360U);
  ASSERT_EQ(prepared->segments.size(), 1U);
  EXPECT_EQ(prepared->segments[0].pixels, 0);
  ExpectCorners(PixelsOf(*prepared, options), kQuarters, format.tolerance);

  const Result<Prepared> thumbnail = PrepareBytes(prepared->thumbnail, "thumbnail", options);
  ASSERT_TRUE(thumbnail.ok()) << thumbnail.message();
  EXPECT_EQ(thumbnail->mime, "image/jpeg");
  EXPECT_EQ(thumbnail->width, 320U);
  EXPECT_EQ(thumbnail->height, 240U);
  ExpectCorners(PixelsOf(*thumbnail, options), kQuarters, format.tolerance + 4);
}

TEST_P(EveryFormat, IsRefusedBeyondThePixelLimit) {
  const std::string bytes = test::Encoded(test::Quarters(480, 360), GetParam().name);
  PrepareOptions options = Options();
  options.picture_pixels_max = 480 * 360 - 1;
  const Result<Prepared> prepared = PrepareBytes(bytes, "picture", options);
  ASSERT_FALSE(prepared.ok());
  EXPECT_EQ(prepared.code(), Code::kTooLarge);
  EXPECT_EQ(prepared.message(), "picture: 480 x 360 pixels, limit 172799");
}

INSTANTIATE_TEST_SUITE_P(
    Pictures, EveryFormat,
    testing::Values(Format{"jpg", "image/jpeg", 4}, Format{"png", "image/png", 1},
                    Format{"webp", "image/webp", 8}, Format{"gif", "image/gif", 12},
                    Format{"tif", "image/tiff", 1}, Format{"bmp", "image/bmp", 1},
                    Format{"heic", "image/heic", 8}, Format{"avif", "image/avif", 8},
                    Format{"jxl", "image/jxl", 8}),
    [](const auto& test) { return std::string(test.param.name); });

TEST(Pictures, AreRecognisedByContentNotByName) {
  const std::string bytes = test::Encoded(test::Quarters(64, 64), "png");
  for (const char* name : {"wrong.jpg", "notes.txt", "film.mp4", "nothing"}) {
    const Result<Prepared> prepared = PrepareBytes(bytes, name);
    ASSERT_TRUE(prepared.ok()) << name << prepared.message();
    EXPECT_EQ(prepared->mime, "image/png");
  }
}

TEST(Pictures, OfTwelveMegapixelsKeepTheirColorsWhenReducedWhileDecoding) {
  const std::string bytes = test::Encoded(test::Quarters(4000, 3000), "jpg");
  const PrepareOptions options = Options(224, 224, PixelsWanted::Fit::kCenterCrop);
  const Result<Prepared> prepared = PrepareBytes(bytes, "a.jpg", options);
  ASSERT_TRUE(prepared.ok()) << prepared.message();
  EXPECT_EQ(prepared->width, 4000U);
  ExpectCorners(PixelsOf(*prepared, options), kQuarters, 4);
}

TEST(Pictures, SmallerThanWantedAreEnlargedForTheModelButNotAsThumbnail) {
  const PrepareOptions options = Options(224, 224);
  const Result<Prepared> prepared =
      PrepareBytes(test::Encoded(test::Quarters(20, 10), "png"), "a.png", options);
  ASSERT_TRUE(prepared.ok()) << prepared.message();
  ExpectCorners(PixelsOf(*prepared, options), kQuarters, 1);
  EXPECT_EQ(PrepareBytes(prepared->thumbnail, "t.jpg")->width, 20U);
}

TEST(Pictures, OfOnePixelAndOfOneRowWork) {
  for (const auto& [width, height] : {std::pair{1U, 1U}, {5000U, 1U}, {1U, 5000U}}) {
    const std::string bytes = test::Encoded(test::Flat(width, height, {9, 99, 199}), "png");
    for (auto fit :
         {PixelsWanted::Fit::kStretch, PixelsWanted::Fit::kCenterCrop, PixelsWanted::Fit::kPad}) {
      const PrepareOptions options = Options(32, 16, fit);
      const Result<Prepared> prepared = PrepareBytes(bytes, "a.png", options);
      ASSERT_TRUE(prepared.ok()) << prepared.message();
      EXPECT_EQ(prepared->width, width);
      EXPECT_LE(Distance(PixelAt(PixelsOf(*prepared, options), 15, 7), {9, 99, 199}), 2);
    }
  }
}

TEST(Pictures, AreCutOrPaddedInTheMiddle) {
  const std::string bytes = test::Encoded(test::Quarters(400, 200), "png");
  const PrepareOptions crop = Options(100, 100, PixelsWanted::Fit::kCenterCrop);
  ExpectCorners(PixelsOf(*PrepareBytes(bytes, "a.png", crop), crop), kQuarters, 1);

  const PrepareOptions pad = Options(100, 100, PixelsWanted::Fit::kPad);
  const Raster padded = PixelsOf(*PrepareBytes(bytes, "a.png", pad), pad);
  constexpr Rgb kWhite = {255, 255, 255};
  EXPECT_EQ(PixelAt(padded, 50, 10), kWhite);
  EXPECT_EQ(PixelAt(padded, 50, 90), kWhite);
  EXPECT_LE(Distance(PixelAt(padded, 25, 40), test::kTopLeft), 1);
  EXPECT_LE(Distance(PixelAt(padded, 75, 60), test::kBottomRight), 1);
}

Result<Prepared> PrepareJpeg(const JpegOptions& jpeg, const PrepareOptions& options) {
  return PrepareBytes(*EncodeJpeg(test::Quarters(200, 200), jpeg), "a.jpg", options);
}

TEST(Jpeg, ProgressiveGreyAndCmykWork) {
  const PrepareOptions options = Options();
  JpegOptions jpeg;
  jpeg.quality = 95;
  jpeg.progressive = true;
  ExpectCorners(PixelsOf(*PrepareJpeg(jpeg, options), options), kQuarters, 4);

  jpeg = {.quality = 95, .layout = JpegOptions::Layout::kCmyk};
  ExpectCorners(PixelsOf(*PrepareJpeg(jpeg, options), options), kQuarters, 8);

  jpeg = {.quality = 95, .layout = JpegOptions::Layout::kGrey};
  const Rgb grey = PixelAt(PixelsOf(*PrepareJpeg(jpeg, options), options), 8, 8);
  EXPECT_EQ(grey[0], grey[2]);
  EXPECT_NEAR(grey[0], 0.299 * 220 + 0.587 * 30 + 0.114 * 30, 3);
}

TEST(Png, SixteenBitsPaletteAndTransparencyBecomeColorsOnWhite) {
  const PrepareOptions options = Options(4, 4);
  test::PngParts wide{.width = 1, .height = 1, .bits = 16, .rows = {"\x80\0\x40\0\xFF\xFF", 6}};
  EXPECT_LE(Distance(PixelAt(PixelsOf(*PrepareBytes(MakePng(wide), "a", options), options), 1, 1),
                     {128, 64, 255}),
            2);

  test::PngParts palette{.width = 1, .height = 1, .color_type = 3};
  palette.palette = {"\xFF\0\0", 3};
  palette.transparency = {"\x80", 1};
  palette.rows = {"\0", 1};
  EXPECT_LE(
      Distance(PixelAt(PixelsOf(*PrepareBytes(MakePng(palette), "a", options), options), 1, 1),
               {255, 127, 127}),
      2);

  test::PngParts clear{.width = 1, .height = 1, .color_type = 6, .rows = std::string(4, '\0')};
  EXPECT_EQ(PixelAt(PixelsOf(*PrepareBytes(MakePng(clear), "a", options), options), 1, 1),
            (Rgb{255, 255, 255}));

  test::PngParts grey{.width = 1, .height = 1, .color_type = 4, .rows = {"\x40\xFF", 2}};
  EXPECT_LE(Distance(PixelAt(PixelsOf(*PrepareBytes(MakePng(grey), "a", options), options), 1, 1),
                     {64, 64, 64}),
            2);
}

TEST(Bmp, EveryDepthWorks) {
  const PrepareOptions options = Options();
  for (int bits : {8, 24, 32}) {
    const Result<Prepared> prepared =
        PrepareBytes(test::MakeBmp(test::Quarters(101, 75), bits), "a.bmp", options);
    ASSERT_TRUE(prepared.ok()) << bits << prepared.message();
    EXPECT_EQ(prepared->width, 101U);
    ExpectCorners(PixelsOf(*prepared, options), kQuarters, bits == 8 ? 45 : 1);
  }
}

TEST(Bmp, RunLengthsAreUnpacked) {
  // 4 x 2 pixels of 8 bits: the lower row four times colour 1, the upper one 2, 2 and then 1, 2.
  std::string bmp = test::MakeBmp(test::Flat(4, 2, {0, 0, 0}), 8);
  bmp.resize(54 + 1024);
  bmp[30] = 1;
  bmp[54 + 4 + 2] = static_cast<char>(200);  // red of colour 1
  bmp[54 + 4] = 0;
  bmp[54 + 8] = static_cast<char>(200);  // blue of colour 2
  bmp += std::string("\x04\x01\0\0\x02\x02\0\x02\x01\x02\0\1", 12);
  // Too short a run must not be read as absolute: 2 single pixels are written as two runs.
  bmp.replace(bmp.size() - 6, 6, std::string("\x01\x01\x01\x02\0\1", 6));
  const PrepareOptions options = Options(4, 2);
  const Result<Prepared> prepared = PrepareBytes(bmp, "a.bmp", options);
  ASSERT_TRUE(prepared.ok()) << prepared.message();
  const Raster raster = PixelsOf(*prepared, options);
  EXPECT_EQ(PixelAt(raster, 0, 1), (Rgb{200, 0, 0}));
  EXPECT_EQ(PixelAt(raster, 0, 0), (Rgb{0, 0, 200}));
  EXPECT_EQ(PixelAt(raster, 2, 0), (Rgb{200, 0, 0}));
  EXPECT_EQ(PixelAt(raster, 3, 0), (Rgb{0, 0, 200}));
}

// Where the quarters of the stored picture are to be seen: TIFF 6.0, tag 274.
constexpr std::array<std::array<int, 4>, 9> kSeen = {{{0, 1, 2, 3},
                                                      {0, 1, 2, 3},
                                                      {1, 0, 3, 2},
                                                      {3, 2, 1, 0},
                                                      {2, 3, 0, 1},
                                                      {0, 2, 1, 3},
                                                      {2, 0, 3, 1},
                                                      {3, 1, 2, 0},
                                                      {1, 3, 0, 2}}};

class Orientation : public testing::TestWithParam<int> {};

TEST_P(Orientation, IsAppliedExactlyOnce) {
  const int orientation = GetParam();
  const std::string exif = test::MakeExif({.orientation = orientation});
  for (const char* format : {"jpg", "png", "webp", "tif"}) {
    const PrepareOptions options = Options(40, 40);
    const Result<Prepared> prepared =
        PrepareBytes(test::Encoded(test::Quarters(300, 200), format, exif), "a", options);
    ASSERT_TRUE(prepared.ok()) << prepared.message();
    EXPECT_EQ(prepared->width, orientation >= 5 ? 200U : 300U) << format;
    EXPECT_EQ(prepared->height, orientation >= 5 ? 300U : 200U) << format;
    std::array<Rgb, 4> expected;
    for (int i = 0; i < 4; ++i) expected[i] = kQuarters[kSeen[orientation][i]];
    SCOPED_TRACE(format);
    ExpectCorners(PixelsOf(*prepared, options), expected, 8);
    const Result<Prepared> thumbnail = PrepareBytes(prepared->thumbnail, "t", options);
    ExpectCorners(PixelsOf(*thumbnail, options), expected, 12);
  }
}

INSTANTIATE_TEST_SUITE_P(All, Orientation, testing::Range(1, 9));

TEST(Heic, EveryPictureInItIsAPage) {
  const Raster others[] = {test::Quarters(120, 80), test::Quarters(80, 120)};
  const auto bytes = EncodeHeif(test::Quarters(300, 200), HeifFormat::kHeic, {}, 1, others);
  ASSERT_TRUE(bytes.ok()) << bytes.message();
  const PrepareOptions options = Options(40, 40);
  const Result<Prepared> prepared = PrepareBytes(*bytes, "burst.heic", options);
  ASSERT_TRUE(prepared.ok()) << prepared.message();
  EXPECT_EQ(prepared->width, 300U);
  EXPECT_EQ(prepared->attributes["pages"], 3);
  ASSERT_EQ(prepared->segments.size(), 3U);
  EXPECT_EQ(prepared->segments[0].page, 1U);
  EXPECT_EQ(prepared->segments[2].page, 3U);
  EXPECT_EQ(prepared->pixels.size(), 3U);

  const Fd fd = test::MemoryFile(*bytes);
  MediaSource source;
  source.fd = fd.get();
  source.size = bytes->size();
  source.head = std::string_view(*bytes).substr(0, MediaSource::kHeadBytes);
  const auto view = ViewMedia(source, {.page = 3, .side_max = 400});
  ASSERT_TRUE(view.ok()) << view.message();
  EXPECT_EQ(view->width, 80U);
  EXPECT_EQ(view->height, 120U);
  EXPECT_EQ(ViewMedia(source, {.page = 4, .side_max = 400}).code(), Code::kNotFound);
}

TEST(Heic, IgnoresExifOrientationAsTheFormatDemands) {
  const std::string exif = test::MakeExif({.orientation = 6, .make = "Phone", .model = "P1"});
  const Result<Prepared> prepared =
      PrepareBytes(test::Encoded(test::Quarters(300, 200), "heic", exif), "a.heic");
  ASSERT_TRUE(prepared.ok()) << prepared.message();
  EXPECT_EQ(prepared->width, 300U);
  EXPECT_EQ(prepared->camera, "Phone P1");
}

TEST(Pictures, CarryDateCameraAndPosition) {
  const std::string exif = test::MakeExif({.make = "Canon",
                                           .model = "Canon EOS R5",
                                           .date_time_original = "2026:01:31 12:00:00",
                                           .offset_time_original = "+02:00",
                                           .gps = std::pair{-33.8568, 151.2153}});
  for (const char* format : {"jpg", "png", "webp", "heic", "avif"}) {
    const Result<Prepared> prepared =
        PrepareBytes(test::Encoded(test::Quarters(64, 64), format, exif), "a");
    ASSERT_TRUE(prepared.ok()) << prepared.message();
    EXPECT_EQ(prepared->camera, "Canon EOS R5") << format;
    EXPECT_EQ(FormatRfc3339(prepared->captured_at.value_or(0)), "2026-01-31T10:00:00.000Z")
        << format;
    ASSERT_TRUE(prepared->gps) << format;
    EXPECT_NEAR(prepared->gps->first, -33.8568, 1e-4);
    EXPECT_NEAR(prepared->gps->second, 151.2153, 1e-4);
  }
}

TEST(Jpeg, BrokenColorProfileIsIgnored) {
  const PrepareOptions options = Options();
  const Result<Prepared> prepared =
      PrepareJpeg({.quality = 95, .icc_profile = "not a profile"}, options);
  ASSERT_TRUE(prepared.ok()) << prepared.message();
  ExpectCorners(PixelsOf(*prepared, options), kQuarters, 4);
}

}  // namespace
}  // namespace msearch::media
