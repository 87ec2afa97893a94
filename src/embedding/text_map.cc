#include "embedding/text_map.h"

#include <algorithm>
#include <cmath>
#include <limits>

// Points above a threshold that touch each other are one line; its rectangle is the smallest around
// them. The model was trained to mark a line's core only, so the rectangle then grows by a distance
// that follows from its area and its outline.

namespace msearch::embedding {
namespace {

constexpr float kThreshold = 0.3F;
constexpr float kScoreMin = 0.6F;
constexpr float kGrowth = 1.6F;
constexpr float kSideMin = 2.5F;  // of the core
constexpr size_t kQuadsMax = 2000;
// An upright rectangle is taken although a turned one is so much smaller.
constexpr float kUprightBonus = 1.12F;

float Distance(Point a, Point b) { return std::hypot(a.x - b.x, a.y - b.y); }
float Cross(Point o, Point a, Point b) {
  return (a.x - o.x) * (b.y - o.y) - (a.y - o.y) * (b.x - o.x);
}

// Andrew's monotone chain.
std::vector<Point> ConvexHull(std::vector<Point> points) {
  std::sort(points.begin(), points.end(),
            [](Point a, Point b) { return a.x != b.x ? a.x < b.x : a.y < b.y; });
  std::vector<Point> hull;
  for (int side = 0; side < 2; ++side) {
    const size_t begin = hull.size();
    for (Point point : points) {
      while (hull.size() >= begin + 2 && Cross(hull[hull.size() - 2], hull.back(), point) <= 0) {
        hull.pop_back();
      }
      hull.push_back(point);
    }
    hull.pop_back();
    std::reverse(points.begin(), points.end());
  }
  if (hull.empty()) hull.push_back(points.front());
  return hull;
}

struct Extent {
  float low = std::numeric_limits<float>::max();
  float high = std::numeric_limits<float>::lowest();
  void Add(float value) {
    low = std::min(low, value);
    high = std::max(high, value);
  }
  float size() const { return high - low; }
};

// Around the points, with sides along (cos, sin) and across it.
TextQuad RectangleAlong(const std::vector<Point>& points, float cos, float sin) {
  Extent along, across;
  for (Point point : points) {
    along.Add(point.x * cos + point.y * sin);
    across.Add(point.y * cos - point.x * sin);
  }
  auto corner = [&](float a, float b) { return Point{a * cos - b * sin, a * sin + b * cos}; };
  return {{corner(along.low, across.low), corner(along.high, across.low),
           corner(along.high, across.high), corner(along.low, across.high)},
          0};
}

// Its upper side to the right, as long as it is no steeper than 45 degrees.
TextQuad ReadingRightwards(TextQuad quad) {
  for (int turn = 0; turn < 4; ++turn) {
    const float dx = quad.corners[1].x - quad.corners[0].x;
    const float dy = quad.corners[1].y - quad.corners[0].y;
    if (dx > 0 && std::abs(dy) <= dx) break;
    std::rotate(quad.corners.begin(), quad.corners.begin() + 1, quad.corners.end());
  }
  return quad;
}

void Grow(TextQuad& quad) {
  const float width = quad.width(), height = quad.height();
  const float distance = width * height * kGrowth / (2 * (width + height));
  const Point right{(quad.corners[1].x - quad.corners[0].x) / width,
                    (quad.corners[1].y - quad.corners[0].y) / width};
  const Point down{(quad.corners[3].x - quad.corners[0].x) / height,
                   (quad.corners[3].y - quad.corners[0].y) / height};
  constexpr std::array<std::pair<float, float>, 4> kOutwards = {
      {{-1.0F, -1.0F}, {1.0F, -1.0F}, {1.0F, 1.0F}, {-1.0F, 1.0F}}};
  for (size_t i = 0; i < 4; ++i) {
    const auto [a, b] = kOutwards[i];
    quad.corners[i].x += distance * (a * right.x + b * down.x);
    quad.corners[i].y += distance * (a * right.y + b * down.y);
  }
}

// Collects what touches a point, taking it out of the map of what is left.
class Gatherer {
 public:
  Gatherer(std::span<const float> map, uint32_t width, uint32_t height)
      : map_(map), width_(width), height_(height), left_(map.size()) {
    for (size_t i = 0; i < map.size(); ++i) left_[i] = map[i] > kThreshold;
  }

  bool Left(size_t at) const { return left_[at] != 0; }

  struct Blob {
    std::vector<Point> outline;  // the ends of each of its rows, as corners of its points
    float mean = 0;
  };
  Blob Take(size_t at) {
    std::vector<Extent> rows(1);
    uint32_t top = static_cast<uint32_t>(at / width_);
    std::vector<std::array<uint32_t, 2>> points;
    double sum = 0;
    open_.assign(1, at);
    left_[at] = 0;
    while (!open_.empty()) {
      const size_t next = open_.back();
      open_.pop_back();
      sum += map_[next];
      const auto x = static_cast<uint32_t>(next % width_), y = static_cast<uint32_t>(next / width_);
      points.push_back({x, y});
      top = std::min(top, y);
      for (uint32_t ny = y - (y > 0); ny <= std::min(y + 1, height_ - 1); ++ny) {
        for (uint32_t nx = x - (x > 0); nx <= std::min(x + 1, width_ - 1); ++nx) {
          const size_t neighbour = size_t{ny} * width_ + nx;
          if (left_[neighbour] == 0) continue;
          left_[neighbour] = 0;
          open_.push_back(neighbour);
        }
      }
    }
    Blob blob;
    blob.mean = static_cast<float>(sum / static_cast<double>(points.size()));
    for (const auto& [x, y] : points) {
      if (y - top >= rows.size()) rows.resize(y - top + 1);
      rows[y - top].Add(static_cast<float>(x));
    }
    for (size_t row = 0; row < rows.size(); ++row) {
      const auto y = static_cast<float>(top + row);
      for (float corner_y : {y, y + 1}) {
        blob.outline.push_back({rows[row].low, corner_y});
        blob.outline.push_back({rows[row].high + 1, corner_y});
      }
    }
    return blob;
  }

 private:
  const std::span<const float> map_;
  const uint32_t width_, height_;
  std::vector<uint8_t> left_;
  std::vector<size_t> open_;
};

}  // namespace

float TextQuad::width() const { return Distance(corners[0], corners[1]); }
float TextQuad::height() const { return Distance(corners[0], corners[3]); }

TextQuad SmallestRectangle(std::vector<Point> points) {
  const std::vector<Point> hull = ConvexHull(std::move(points));
  TextQuad best = RectangleAlong(hull, 1, 0);
  float best_area = best.width() * best.height() / kUprightBonus;
  for (size_t i = 0; i < hull.size(); ++i) {
    const Point from = hull[i], to = hull[(i + 1) % hull.size()];
    const float length = Distance(from, to);
    if (length == 0) continue;
    const TextQuad quad = RectangleAlong(hull, (to.x - from.x) / length, (to.y - from.y) / length);
    const float area = quad.width() * quad.height();
    if (area >= best_area) continue;
    best = quad;
    best_area = area;
  }
  return ReadingRightwards(best);
}

std::vector<TextQuad> FindTextQuads(std::span<const float> map, uint32_t width, uint32_t height) {
  std::vector<TextQuad> quads;
  if (map.size() != size_t{width} * height) return quads;
  Gatherer gatherer(map, width, height);
  for (size_t at = 0; at < map.size() && quads.size() < kQuadsMax; ++at) {
    if (!gatherer.Left(at)) continue;
    Gatherer::Blob blob = gatherer.Take(at);
    if (blob.mean < kScoreMin) continue;
    TextQuad quad = SmallestRectangle(std::move(blob.outline));
    if (std::min(quad.width(), quad.height()) < kSideMin) continue;
    quad.score = blob.mean;
    Grow(quad);
    quads.push_back(quad);
  }
  return quads;
}

}  // namespace msearch::embedding
