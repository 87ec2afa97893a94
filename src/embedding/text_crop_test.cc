#include "embedding/text_crop.h"

#include <gtest/gtest.h>

namespace msearch::embedding {
namespace {

constexpr PlaneScale kAsIs = {{0, 0, 0}, {1, 1, 1}};

// Red grows to the right, green downwards, blue is 51 everywhere.
struct Picture {
  uint32_t width = 100;
  uint32_t height = 50;
  std::string rgb;
  Picture() {
    for (uint32_t y = 0; y < height; ++y) {
      for (uint32_t x = 0; x < width; ++x) {
        rgb += static_cast<char>(x * 2);
        rgb += static_cast<char>(y * 4);
        rgb += static_cast<char>(51);
      }
    }
  }
  PictureView view() const { return {width, height, rgb}; }
};

TEST(ResizeToPlanes, PutsBlueFirstAndScales) {
  const Picture picture;
  const auto planes = ResizeToPlanes(picture.view(), 10, 10, {{0.1F, 0, 0}, {0.5F, 1, 1}});
  ASSERT_EQ(planes.size(), 300U);
  EXPECT_NEAR(planes[0], (0.2 - 0.1) / 0.5, 1e-5);            // blue
  EXPECT_NEAR(planes[100 + 95], (45 + 2) * 4 / 255.0, 0.01);  // green, last row
  EXPECT_NEAR(planes[200 + 9], 94.5 * 2 / 255.0, 0.01);       // red, last column
}

TEST(ResizeToPlanes, Enlarges) {
  const Picture picture;
  const auto planes = ResizeToPlanes(picture.view(), 200, 100, kAsIs);
  EXPECT_NEAR(planes[2 * 20000 + 199], 198 / 255.0, 1e-5);
}

TEST(CropToPlanes, CutsOutARectangle) {
  const Picture picture;
  const TextQuad quad{{{{20, 10}, {60, 10}, {60, 30}, {20, 30}}}, 1};
  const auto planes = CropToPlanes(picture.view(), quad, 40, 50, 20, kAsIs);
  ASSERT_EQ(planes.size(), 3U * 50 * 20);
  const float* red = planes.data() + 2 * 1000;
  EXPECT_NEAR(red[0], 20 * 2 / 255.0, 1e-5);
  EXPECT_NEAR(red[39], 59 * 2 / 255.0, 1e-5);
  EXPECT_EQ(red[40], 0);                                      // filled up
  EXPECT_NEAR(planes[1000 + 19 * 50], 29 * 4 / 255.0, 1e-5);  // green, last row
}

TEST(CropToPlanes, TurnsWhatStandsOnItsSide) {
  const Picture picture;
  // Read downwards: its right is the picture's bottom.
  const TextQuad quad{{{{60, 10}, {60, 30}, {20, 30}, {20, 10}}}, 1};
  const auto planes = CropToPlanes(picture.view(), quad, 20, 20, 40, kAsIs);
  const float* green = planes.data() + 800;
  EXPECT_LT(green[0], green[19]);
  const float* red = planes.data() + 1600;
  EXPECT_GT(red[0], red[39 * 20]);
}

TEST(CropToPlanes, GoesOnWithTheEdgeBeyondThePicture) {
  const Picture picture;
  const TextQuad quad{{{{-10, -10}, {110, -10}, {110, 60}, {-10, 60}}}, 1};
  const auto planes = CropToPlanes(picture.view(), quad, 120, 120, 70, kAsIs);
  EXPECT_NEAR(planes[2 * 8400 + 119], 198 / 255.0, 1e-5);
}

}  // namespace
}  // namespace msearch::embedding
