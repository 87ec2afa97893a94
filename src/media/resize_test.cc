#include "media/resize.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>

#include "media/encode.h"
#include "media/perceptual_hash.h"
#include "support/pictures.h"
#include "support/prepare_bytes.h"

namespace msearch::media {
namespace {

TEST(Resize, FlatColorStaysExact) {
  const Raster flat = test::Flat(97, 61, {13, 200, 255});
  for (const auto& [width, height] : {std::pair{10U, 7U}, {300U, 200U}, {97U, 5U}, {1U, 1U}}) {
    const Raster out = Resize(flat, width, height);
    for (uint32_t y = 0; y < height; ++y) {
      for (uint32_t x = 0; x < width; ++x) {
        ASSERT_EQ(test::PixelAt(out, x, y), (test::Rgb{13, 200, 255}));
      }
    }
  }
}

TEST(Resize, EverySourcePixelCountsWhenReducing) {
  // Stripes of one pixel: whoever skips pixels gets black or white instead of grey.
  Raster stripes(512, 512);
  for (size_t i = 0; i < stripes.rgbx.size(); ++i) stripes.rgbx[i] = (i / 4) % 2 == 0 ? 0 : 255;
  const Raster out = Resize(stripes, 64, 64);
  for (uint32_t x = 2; x < 62; ++x) EXPECT_NEAR(test::PixelAt(out, x, 32)[0], 128, 3);
}

TEST(Resize, KeepsPositions) {
  const Raster out = Resize(test::Quarters(400, 200), {200, 0, 200, 200}, 50, 50);
  EXPECT_LE(test::Distance(test::PixelAt(out, 25, 10), test::kTopRight), 1);
  EXPECT_LE(test::Distance(test::PixelAt(out, 2, 45), test::kBottomRight), 1);
}

TEST(RowReducer, AveragesBlocksAndWhatIsLeftAtTheEdges) {
  RowReducer reducer(5, 3, 2);
  Raster source(5, 3);
  for (uint32_t y = 0; y < 3; ++y) {
    for (uint32_t x = 0; x < 5; ++x)
      source.row(y)[x * 4] = static_cast<uint8_t>(10 * x + 100 * (y / 2));
    reducer.Add(source.row(y));
  }
  const Raster out = reducer.Finish();
  ASSERT_EQ(out.width, 3U);
  ASSERT_EQ(out.height, 2U);
  EXPECT_EQ(out.row(0)[0], 5);
  EXPECT_EQ(out.row(0)[4], 25);
  EXPECT_EQ(out.row(0)[8], 40);
  EXPECT_EQ(out.row(1)[0], 105);
}

int Apart(const Raster& a, const Raster& b) {
  return std::popcount(PerceptualHash(a) ^ PerceptualHash(b));
}

TEST(PerceptualHash, IsNearForTheSamePictureResizedReencodedOrBrightened) {
  for (uint64_t seed = 1; seed <= 8; ++seed) {
    const Raster photo = test::Photograph(600, 400, seed);
    EXPECT_LE(Apart(photo, Resize(photo, 150, 100)), 4);
    PrepareOptions options;
    options.pixels = {300, 200, PixelsWanted::Fit::kStretch};
    const auto again = PrepareBytes(*EncodeJpeg(photo, {.quality = 40}), "a.jpg", options);
    ASSERT_TRUE(again.ok());
    EXPECT_LE(std::popcount(PerceptualHash(photo) ^ *again->perceptual_hash), 6);
    Raster bright = photo;
    for (uint8_t& value : bright.rgbx) value = static_cast<uint8_t>(std::min(255, value + 12));
    EXPECT_LE(Apart(photo, bright), 10);
  }
}

TEST(PerceptualHash, IsFarForOtherPictures) {
  for (uint64_t seed = 1; seed <= 8; ++seed) {
    EXPECT_GE(Apart(test::Photograph(300, 200, seed), test::Photograph(300, 200, seed + 100)), 16);
  }
}

TEST(PerceptualHash, OfFlatPicturesDoesNotDependOnNoise) {
  EXPECT_EQ(Apart(test::Flat(100, 100, {80, 80, 80}), test::Flat(300, 20, {81, 81, 81})), 0);
}

}  // namespace
}  // namespace msearch::media
