// From a map of how likely text is at each point to the lines of text: the second half of
// differentiable binarisation (Liao et al., 2020).
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

namespace msearch::embedding {

struct Point {
  float x = 0;
  float y = 0;
};

// A turned rectangle around a line of text: upper left, upper right, lower right, lower left as the
// text is read when it runs to the right, or down.
struct TextQuad {
  std::array<Point, 4> corners;
  float score = 0;  // 0 to 1: how likely it is text

  float width() const;
  float height() const;
};

// The lines in a map of `width` times `height` values in rows, in its coordinates. At most 2,000.
std::vector<TextQuad> FindTextQuads(std::span<const float> map, uint32_t width, uint32_t height);

// The smallest rectangle around the points, whatever its angle; upright when that is nearly as
// small. REQUIRES: not empty
TextQuad SmallestRectangle(std::vector<Point> points);

}  // namespace msearch::embedding
