// What cameras, phones and scanners write.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "media/encode.h"
#include "media/tiff.h"
#include "support/pictures.h"
#include "support/prepare_bytes.h"
#include "support/tiff.h"

namespace msearch::media {
namespace {

using test::Distance;
using test::PixelAt;
using test::Rgb;

PrepareOptions Square(uint32_t side = 40) {
  PrepareOptions options;
  options.pixels = {side, side, PixelsWanted::Fit::kStretch};
  return options;
}

constexpr std::array<Rgb, 4> kQuarters = {test::kTopLeft, test::kTopRight, test::kBottomLeft,
                                          test::kBottomRight};
// Where the quarters of the stored picture are to be seen: TIFF 6.0, tag 274.
constexpr std::array<std::array<size_t, 4>, 9> kSeen = {{{0, 1, 2, 3},
                                                         {0, 1, 2, 3},
                                                         {1, 0, 3, 2},
                                                         {3, 2, 1, 0},
                                                         {2, 3, 0, 1},
                                                         {0, 2, 1, 3},
                                                         {2, 0, 3, 1},
                                                         {3, 1, 2, 0},
                                                         {1, 3, 0, 2}}};

void ExpectSeen(const Raster& raster, int orientation, int tolerance) {
  const uint32_t near = raster.width / 4;
  const uint32_t far = raster.width * 3 / 4;
  const std::array<Rgb, 4> corners = {PixelAt(raster, near, near), PixelAt(raster, far, near),
                                      PixelAt(raster, near, far), PixelAt(raster, far, far)};
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_LE(Distance(corners[i], kQuarters[kSeen[static_cast<size_t>(orientation)][i]]),
              tolerance)
        << "quarter " << i << ": " << int{corners[i][0]} << " " << int{corners[i][1]} << " "
        << int{corners[i][2]};
  }
}

void ExpectUpright(const std::string& bytes, const std::string& name, int orientation,
                   int tolerance) {
  SCOPED_TRACE(name + ", orientation " + std::to_string(orientation));
  const auto prepared = PrepareBytes(bytes, name, Square());
  ASSERT_TRUE(prepared.ok()) << prepared.message();
  EXPECT_EQ(prepared->width, orientation >= 5 ? 200U : 300U);
  EXPECT_EQ(prepared->height, orientation >= 5 ? 300U : 200U);
  ExpectSeen(FromRgb(prepared->pixels.at(0), 40, 40), orientation, tolerance);
  const auto thumbnail = PrepareBytes(prepared->thumbnail, "t", Square());
  ASSERT_TRUE(thumbnail.ok()) << thumbnail.message();
  ExpectSeen(FromRgb(thumbnail->pixels.at(0), 40, 40), orientation, tolerance + 6);
}

class EveryOrientation : public testing::TestWithParam<int> {};

TEST_P(EveryOrientation, IsAppliedOnceInFormatsWithTurnsOfTheirOwn) {
  const Raster picture = test::Quarters(300, 200);
  // The EXIF beside it says the same, and isn't applied again.
  const std::string exif = test::MakeExif({.orientation = GetParam()});
  for (const HeifFormat format : {HeifFormat::kHeic, HeifFormat::kAvif}) {
    const auto bytes = EncodeHeif(picture, format, exif, GetParam());
    ASSERT_TRUE(bytes.ok()) << bytes.message();
    ExpectUpright(*bytes, format == HeifFormat::kHeic ? "a.heic" : "a.avif", GetParam(), 10);
  }
  const auto jxl = EncodeJxl(picture, exif, GetParam());
  ASSERT_TRUE(jxl.ok()) << jxl.message();
  ExpectUpright(*jxl, "a.jxl", GetParam(), 10);
}

INSTANTIATE_TEST_SUITE_P(All, EveryOrientation, testing::Range(1, 9));

// Cameras turn, they don't mirror.
class RawOrientation : public testing::TestWithParam<int> {};

TEST_P(RawOrientation, IsAppliedOnceToPreviewAndDevelopedPicture) {
  const Raster picture = test::Quarters(300, 200);
  test::DngOptions options;
  options.orientation = GetParam();
  const std::string developed = test::MakeDng(picture, options);
  const auto prepared = PrepareBytes(developed, "a.dng", Square());
  ASSERT_TRUE(prepared.ok()) << prepared.message();
  ExpectUpright(developed, "a.dng", GetParam(), 40);

  // What the preview's own EXIF says doesn't count.
  const std::string exif = test::MakeExif({.orientation = GetParam()});
  options.preview = *EncodeJpeg(test::Quarters(900, 600), {.quality = 95, .exif = exif});
  options.preview_width = 900;
  options.preview_height = 600;
  ExpectUpright(test::MakeDng(picture, options), "a.dng", GetParam(), 8);
}

INSTANTIATE_TEST_SUITE_P(Turns, RawOrientation, testing::Values(1, 3, 6, 8));

TEST(Raw, TellsCameraAndDate) {
  const auto prepared = PrepareBytes(test::MakeDng(test::Quarters(300, 200)), "a.dng");
  ASSERT_TRUE(prepared.ok()) << prepared.message();
  EXPECT_EQ(prepared->mime, "image/x-dcraw");
  EXPECT_EQ(prepared->type, MediaType::kPicture);
  EXPECT_EQ(prepared->camera, "Maker Model One");
  EXPECT_EQ(FormatRfc3339(prepared->captured_at.value_or(0)), "2026-01-31T12:00:00.000Z");
}

TEST(Raw, PreviewIsUsedWhereItIsLargeEnough) {
  test::DngOptions options;
  options.preview = *EncodeJpeg(test::Flat(640, 480, {250, 250, 250}));
  options.preview_width = 640;
  options.preview_height = 480;
  const std::string dng = test::MakeDng(test::Flat(1200, 800, {150, 20, 20}), options);
  const auto small = PrepareBytes(dng, "a.dng", Square());
  ASSERT_TRUE(small.ok()) << small.message();
  EXPECT_EQ(small->width, 1200U);
  EXPECT_GE(PixelAt(FromRgb(small->pixels.at(0), 40, 40), 20, 20)[0], 240);
  const auto large = PrepareBytes(dng, "a.dng", Square(500));
  ASSERT_TRUE(large.ok()) << large.message();
  EXPECT_LE(PixelAt(FromRgb(large->pixels.at(0), 500, 500), 250, 250)[1], 150);
}

TEST(Raw, IsKnownByItsContentAndAPlainTiffByThatName) {
  const std::string dng = test::MakeDng(test::Quarters(300, 200));
  EXPECT_EQ(PrepareBytes(dng, "scan.tif")->mime, "image/x-dcraw");
  const auto tiff = PrepareBytes(test::MakeTiff({{test::Quarters(300, 200)}}), "a.nef", Square());
  ASSERT_TRUE(tiff.ok()) << tiff.message();
  ExpectSeen(FromRgb(tiff->pixels.at(0), 40, 40), 1, 1);
}

TEST(Raw, BrokenOnesAreErrors) {
  const std::string dng = test::MakeDng(test::Quarters(300, 200));
  for (size_t tenth = 1; tenth < 10; ++tenth) {
    const auto prepared = PrepareBytes(dng.substr(0, dng.size() * tenth / 10), "a.dng");
    EXPECT_TRUE(prepared.ok() || !prepared.message().empty());
  }
  EXPECT_FALSE(PrepareBytes("FUJIFILMCCD-RAW and nothing else", "a.raf").ok());
  EXPECT_FALSE(PrepareBytes(std::string("II*\0\x10\0\0\0CR\2\0", 12), "a.cr2").ok());
}

TEST(Tiff, PagesAreSegmentsWithNumbers) {
  const std::string tiff = test::MakeTiff({{test::Flat(60, 40, {200, 0, 0})},
                                           {test::Flat(80, 40, {0, 200, 0})},
                                           {test::Quarters(300, 200), 6}});
  const auto prepared = PrepareBytes(tiff, "fax.tif", Square());
  ASSERT_TRUE(prepared.ok()) << prepared.message();
  EXPECT_EQ(prepared->width, 60U);
  ASSERT_EQ(prepared->segments.size(), 3U);
  ASSERT_EQ(prepared->pixels.size(), 3U);
  for (uint32_t i = 0; i < 3; ++i) {
    EXPECT_EQ(prepared->segments[i].page, i + 1);
    EXPECT_EQ(prepared->segments[i].pixels, static_cast<int>(i));
    EXPECT_EQ(prepared->segments[i].index, i);
  }
  EXPECT_EQ(PixelAt(FromRgb(prepared->pixels[1], 40, 40), 20, 20), (Rgb{0, 200, 0}));
  ExpectSeen(FromRgb(prepared->pixels[2], 40, 40), 6, 1);
  EXPECT_EQ(prepared->attributes, (Json{{"pages", 3}}));
}

TEST(Tiff, OfOnePageHasNoNumberAndSmallerCopiesAreNoPages) {
  const auto prepared = PrepareBytes(
      test::MakeTiff({{test::Quarters(300, 200)}, {test::Quarters(150, 100), 1, true}}), "a.tif");
  ASSERT_TRUE(prepared.ok()) << prepared.message();
  EXPECT_EQ(prepared->segments.size(), 1U);
  EXPECT_FALSE(prepared->segments[0].page);
  EXPECT_EQ(prepared->attributes, Json::object());
}

TEST(Tiff, ShowsEachPage) {
  const std::string tiff =
      test::MakeTiff({{test::Flat(60, 40, {200, 0, 0})}, {test::Flat(80, 40, {0, 200, 0}), 6}});
  const Fd fd = test::MemoryFile(tiff);
  MediaSource source;
  source.fd = fd.get();
  source.size = tiff.size();
  const auto view = ViewTiff(source, {.page = 2});
  ASSERT_TRUE(view.ok()) << view.message();
  EXPECT_EQ(view->width, 40U);
  EXPECT_EQ(view->height, 80U);
  EXPECT_EQ(view->rgb.substr(0, 3), std::string("\0\xC8\0", 3));
  EXPECT_EQ(ViewTiff(source, {.page = 3}).code(), Code::kNotFound);
}

TEST(Tiff, DirectoriesInALoopEnd) {
  std::string tiff = test::MakeTiff({{test::Flat(4, 4, {1, 2, 3})}});
  // The link of the first directory, the last thing in the file, to itself.
  tiff.replace(tiff.size() - 4, 4, tiff.substr(4, 4));
  const auto prepared = PrepareBytes(tiff, "a.tif");
  EXPECT_TRUE(prepared.ok() || prepared.code() == Code::kCorrupt);
}

TEST(Jxl, GivesColorsSizeAndFacts) {
  const std::string exif = test::MakeExif({.make = "Canon", .model = "R5"});
  const auto bytes = EncodeJxl(test::Quarters(480, 360), exif);
  ASSERT_TRUE(bytes.ok()) << bytes.message();
  const auto prepared = PrepareBytes(*bytes, "a.jpg", Square());
  ASSERT_TRUE(prepared.ok()) << prepared.message();
  EXPECT_EQ(prepared->mime, "image/jxl");
  EXPECT_EQ(prepared->width, 480U);
  EXPECT_EQ(prepared->camera, "Canon R5");
  ExpectSeen(FromRgb(prepared->pixels.at(0), 40, 40), 1, 10);
  const auto bare = EncodeJxl(test::Quarters(480, 360));
  EXPECT_EQ(PrepareBytes(*bare, "a")->mime, "image/jxl");
}

TEST(Jxl, BrokenAndHugeOnesAreRefused) {
  const std::string whole = *EncodeJxl(test::Photograph(300, 200, 1));
  for (size_t tenth = 1; tenth < 10; ++tenth) {
    const auto prepared = PrepareBytes(whole.substr(0, whole.size() * tenth / 10), "a.jxl");
    EXPECT_TRUE(prepared.code() == Code::kCorrupt) << tenth;
  }
  PrepareOptions options = Square();
  options.picture_pixels_max = 100;
  EXPECT_EQ(PrepareBytes(whole, "a.jxl", options).code(), Code::kTooLarge);
}

}  // namespace
}  // namespace msearch::media
