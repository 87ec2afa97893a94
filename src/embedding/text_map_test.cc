#include "embedding/text_map.h"

#include <gtest/gtest.h>

#include <cmath>

namespace msearch::embedding {
namespace {

// A map with a bar of text: centre, length, thickness, angle.
struct Map {
  uint32_t width = 200;
  uint32_t height = 160;
  std::vector<float> values = std::vector<float>(size_t{200} * 160, 0.05F);

  void Add(float cx, float cy, float length, float thickness, float angle, float value = 0.9F) {
    for (uint32_t y = 0; y < height; ++y) {
      for (uint32_t x = 0; x < width; ++x) {
        const float dx = static_cast<float>(x) + 0.5F - cx, dy = static_cast<float>(y) + 0.5F - cy;
        const float along = dx * std::cos(angle) + dy * std::sin(angle);
        const float across = dy * std::cos(angle) - dx * std::sin(angle);
        if (std::abs(along) <= length / 2 && std::abs(across) <= thickness / 2) {
          values[size_t{y} * width + x] = value;
        }
      }
    }
  }
  std::vector<TextQuad> Find() const { return FindTextQuads(values, width, height); }
};

TEST(FindTextQuads, FindsNothingWhereNothingIs) {
  EXPECT_TRUE(Map().Find().empty());
  EXPECT_TRUE(FindTextQuads({}, 0, 0).empty());
  EXPECT_TRUE(FindTextQuads(std::vector<float>(10, 1.0F), 100, 100).empty());  // not that size
}

TEST(FindTextQuads, GrowsACoreToTheLineAroundIt) {
  Map map;
  map.Add(100, 50, 100, 10, 0);
  const auto quads = map.Find();
  ASSERT_EQ(quads.size(), 1U);
  EXPECT_NEAR(quads[0].score, 0.9F, 1e-4);
  // Grown on every side by area * 1.6 / outline.
  const float distance = 100.0F * 10 * 1.6F / 220;
  EXPECT_NEAR(quads[0].corners[0].x, 50 - distance, 0.6);
  EXPECT_NEAR(quads[0].corners[0].y, 45 - distance, 0.6);
  EXPECT_NEAR(quads[0].corners[2].x, 150 + distance, 0.6);
  EXPECT_NEAR(quads[0].corners[2].y, 55 + distance, 0.6);
}

TEST(FindTextQuads, FollowsTheSlantOfALine) {
  for (float angle : {0.3F, -0.3F, 0.7F}) {
    Map map;
    map.Add(100, 80, 90, 12, angle);
    const auto quads = map.Find();
    ASSERT_EQ(quads.size(), 1U) << angle;
    const auto& corners = quads[0].corners;
    EXPECT_NEAR(std::atan2(corners[1].y - corners[0].y, corners[1].x - corners[0].x), angle, 0.05);
    EXPECT_GT(quads[0].width(), 3 * quads[0].height());
  }
}

TEST(FindTextQuads, KeepsLinesApartThatDontTouch) {
  Map map;
  map.Add(100, 40, 100, 8, 0);
  map.Add(100, 60, 100, 8, 0);
  map.Add(40, 120, 30, 8, 0);
  EXPECT_EQ(map.Find().size(), 3U);
}

TEST(FindTextQuads, LeavesOutWhatIsTooSmallOrTooUnlikely) {
  Map map;
  map.Add(30, 30, 1, 1, 0);
  map.Add(100, 80, 60, 10, 0, 0.4F);
  EXPECT_TRUE(map.Find().empty());
}

TEST(FindTextQuads, EndsAtSoMany) {
  std::vector<float> map(1000 * 1000, 0.0F);
  for (size_t y = 0; y + 4 < 1000; y += 5) {
    for (size_t x = 0; x + 4 < 1000; x += 5) {
      for (size_t i = 0; i < 16; ++i) map[(y + i / 4) * 1000 + x + i % 4] = 1.0F;
    }
  }
  EXPECT_EQ(FindTextQuads(map, 1000, 1000).size(), 2000U);
}

TEST(SmallestRectangle, TakesASinglePoint) {
  const TextQuad quad = SmallestRectangle({{3, 4}});
  EXPECT_EQ(quad.width(), 0);
  EXPECT_EQ(quad.corners[0].x, 3);
}

}  // namespace
}  // namespace msearch::embedding
