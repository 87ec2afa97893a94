#include "embedding/text_crop.h"

#include <algorithm>
#include <cmath>

namespace msearch::embedding {
namespace {

// Byte to value, by plane: 256 divisions instead of one per point.
using Tables = std::array<std::array<float, 256>, 3>;

Tables MakeTables(const PlaneScale& scale) {
  Tables tables;
  for (size_t plane = 0; plane < 3; ++plane) {
    for (size_t byte = 0; byte < 256; ++byte) {
      tables[plane][byte] =
          (static_cast<float>(byte) / 255.0F - scale.mean[plane]) / scale.deviation[plane];
    }
  }
  return tables;
}

}  // namespace

std::vector<float> ResizeToPlanes(const PictureView& picture, uint32_t width, uint32_t height,
                                  const PlaneScale& scale) {
  const Tables tables = MakeTables(scale);
  const auto* rgb = reinterpret_cast<const uint8_t*>(picture.rgb.data());
  const size_t area = size_t{width} * height;
  std::vector<float> out(3 * area);
  // [begin, end) of the source for each column and row; at least one pixel.
  auto range = [](uint32_t at, uint32_t to, uint32_t from) {
    const auto begin = static_cast<uint32_t>(uint64_t{at} * from / to);
    const auto end = static_cast<uint32_t>(uint64_t{at + 1} * from / to);
    return std::pair{begin, std::max(end, begin + 1)};
  };
  std::vector<uint32_t> sums(size_t{picture.width} * 3);
  for (uint32_t y = 0; y < height; ++y) {
    const auto [top, bottom] = range(y, height, picture.height);
    std::fill(sums.begin(), sums.end(), 0U);
    for (uint32_t row = top; row < bottom; ++row) {
      const uint8_t* from = rgb + size_t{row} * picture.width * 3;
      for (size_t i = 0; i < sums.size(); ++i) sums[i] += from[i];
    }
    for (uint32_t x = 0; x < width; ++x) {
      const auto [left, right] = range(x, width, picture.width);
      const uint32_t count = (bottom - top) * (right - left);
      std::array<uint32_t, 3> sum{};
      for (uint32_t column = left; column < right; ++column) {
        for (size_t channel = 0; channel < 3; ++channel) {
          sum[channel] += sums[size_t{column} * 3 + channel];
        }
      }
      for (size_t plane = 0; plane < 3; ++plane) {
        out[plane * area + size_t{y} * width + x] =
            tables[plane][(sum[2 - plane] + count / 2) / count];
      }
    }
  }
  return out;
}

std::vector<float> CropToPlanes(const PictureView& picture, const TextQuad& quad, uint32_t width,
                                uint32_t padded_width, uint32_t height, const PlaneScale& scale) {
  const Tables tables = MakeTables(scale);
  const auto* rgb = reinterpret_cast<const uint8_t*>(picture.rgb.data());
  const size_t area = size_t{padded_width} * height;
  std::vector<float> out(3 * area, 0.0F);
  const Point origin = quad.corners[0];
  const Point right{(quad.corners[1].x - origin.x) / static_cast<float>(width),
                    (quad.corners[1].y - origin.y) / static_cast<float>(width)};
  const Point down{(quad.corners[3].x - origin.x) / static_cast<float>(height),
                   (quad.corners[3].y - origin.y) / static_cast<float>(height)};
  // Where a point stands for many pixels, several of them are looked at.
  const float step = std::max(std::hypot(right.x, right.y), std::hypot(down.x, down.y));
  const int looks = std::clamp(static_cast<int>(std::lround(step)), 1, 4);
  const auto x_max = static_cast<float>(picture.width - 1);
  const auto y_max = static_cast<float>(picture.height - 1);
  for (uint32_t y = 0; y < height; ++y) {
    for (uint32_t x = 0; x < width; ++x) {
      std::array<float, 3> sum{};
      for (int look = 0; look < looks * looks; ++look) {
        const int row = look / looks;
        const float u = static_cast<float>(x) +
                        (static_cast<float>(look % looks) + 0.5F) / static_cast<float>(looks);
        const float v =
            static_cast<float>(y) + (static_cast<float>(row) + 0.5F) / static_cast<float>(looks);
        const float px = std::clamp(origin.x + u * right.x + v * down.x - 0.5F, 0.0F, x_max);
        const float py = std::clamp(origin.y + u * right.y + v * down.y - 0.5F, 0.0F, y_max);
        const auto x0 = static_cast<uint32_t>(px), y0 = static_cast<uint32_t>(py);
        const uint32_t x1 = std::min(x0 + 1, picture.width - 1);
        const uint32_t y1 = std::min(y0 + 1, picture.height - 1);
        const float fx = px - static_cast<float>(x0), fy = py - static_cast<float>(y0);
        for (size_t channel = 0; channel < 3; ++channel) {
          auto at = [&](uint32_t column, uint32_t row) {
            return static_cast<float>(rgb[(size_t{row} * picture.width + column) * 3 + channel]);
          };
          sum[channel] += (at(x0, y0) * (1 - fx) + at(x1, y0) * fx) * (1 - fy) +
                          (at(x0, y1) * (1 - fx) + at(x1, y1) * fx) * fy;
        }
      }
      for (size_t plane = 0; plane < 3; ++plane) {
        const float mean = sum[2 - plane] / static_cast<float>(looks * looks);
        out[plane * area + size_t{y} * padded_width + x] =
            tables[plane][static_cast<size_t>(std::lround(std::clamp(mean, 0.0F, 255.0F)))];
      }
    }
  }
  return out;
}

}  // namespace msearch::embedding
