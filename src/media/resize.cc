// Two passes, rows first: the vertical pass works on whole rows, whatever the channels, and leaves
// fewer rows for the horizontal one, whose inner step is one pixel of four channels. Weights are
// integers of 14 bits that sum up to exactly 1 << 14, so a flat colour stays what it was. The loops
// are written for the compiler to vectorise; it makes a version for AVX2 beside the common one.

#include "media/resize.h"

#include <algorithm>
#include <cassert>
#include <cmath>

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define VECTOR_CLONES __attribute__((target_clones("avx2", "default")))
#else
#define VECTOR_CLONES
#endif

namespace msearch::media {
namespace {

constexpr int kWeightBits = 14;
constexpr int kHalf = 1 << (kWeightBits - 1);

struct Taps {
  uint32_t first = 0;  // source index
  uint32_t count = 0;
  size_t weights = 0;  // where they begin in Filter::weights
};

struct Filter {
  std::vector<Taps> taps;  // one for each output index
  std::vector<int16_t> weights;
};

double Cubic(double x) {
  x = std::abs(x);
  if (x < 1) return (1.5 * x - 2.5) * x * x + 1;
  if (x < 2) return ((-0.5 * x + 2.5) * x - 4) * x + 2;
  return 0;
}

void AppendNormalised(Filter& filter, const std::vector<double>& weights, double sum) {
  int left = 1 << kWeightBits;
  size_t largest = filter.weights.size();
  for (double weight : weights) {
    const int rounded = static_cast<int>(std::lround(weight / sum * (1 << kWeightBits)));
    filter.weights.push_back(static_cast<int16_t>(rounded));
    if (filter.weights.back() > filter.weights[largest]) largest = filter.weights.size() - 1;
    left -= rounded;
  }
  filter.weights[largest] = static_cast<int16_t>(filter.weights[largest] + left);
}

Filter MakeFilter(uint32_t source_size, double begin, double length, uint32_t out_size) {
  const double scale = length / out_size;
  const double stretch = std::max(1.0, scale);
  Filter filter;
  filter.taps.reserve(out_size);
  std::vector<double> weights;
  for (uint32_t i = 0; i < out_size; ++i) {
    const double center = begin + (i + 0.5) * scale;
    const auto low = static_cast<int64_t>(std::floor(center - 2 * stretch));
    const auto high = static_cast<int64_t>(std::ceil(center + 2 * stretch));
    const int64_t first = std::clamp<int64_t>(low, 0, source_size - 1);
    const int64_t end = std::clamp<int64_t>(high, first + 1, source_size);
    weights.clear();
    double sum = 0;
    for (int64_t j = first; j < end; ++j) {
      weights.push_back(Cubic((static_cast<double>(j) + 0.5 - center) / stretch));
      sum += weights.back();
    }
    filter.taps.push_back({static_cast<uint32_t>(first), static_cast<uint32_t>(weights.size()),
                           filter.weights.size()});
    AppendNormalised(filter, weights, sum);
  }
  return filter;
}

inline uint8_t Clamped(int32_t sum) {
  return static_cast<uint8_t>(std::clamp((sum + kHalf) >> kWeightBits, 0, 255));
}

VECTOR_CLONES
void AddRow(int32_t* __restrict sums, const uint8_t* __restrict row, int16_t weight, size_t size) {
  for (size_t i = 0; i < size; ++i) sums[i] += int32_t{row[i]} * weight;
}

VECTOR_CLONES
void StoreRow(uint8_t* __restrict out, const int32_t* __restrict sums, size_t size) {
  for (size_t i = 0; i < size; ++i) out[i] = Clamped(sums[i]);
}

VECTOR_CLONES
void ReduceRow(uint8_t* __restrict out, const uint8_t* __restrict row, const Taps* taps,
               const int16_t* __restrict weights, uint32_t width) {
  for (uint32_t x = 0; x < width; ++x) {
    const uint8_t* pixel = row + size_t{taps[x].first} * 4;
    const int16_t* weight = weights + taps[x].weights;
    int32_t sum[4] = {0, 0, 0, 0};
    for (uint32_t k = 0; k < taps[x].count; ++k) {
      for (int channel = 0; channel < 4; ++channel) {
        sum[channel] += int32_t{pixel[k * 4 + channel]} * weight[k];
      }
    }
    for (int channel = 0; channel < 4; ++channel) out[x * 4 + channel] = Clamped(sum[channel]);
  }
}

}  // namespace

Raster Resize(const Raster& source, const Area& area, uint32_t width, uint32_t height) {
  assert(source.width > 0 && source.height > 0 && width > 0 && height > 0);
  assert(area.width > 0 && area.height > 0);
  const Filter columns = MakeFilter(source.width, area.left, area.width, width);
  const Filter rows = MakeFilter(source.height, area.top, area.height, height);

  // Only the columns that the second pass will look at.
  const size_t left = size_t{columns.taps.front().first} * 4;
  const size_t right = (size_t{columns.taps.back().first} + columns.taps.back().count) * 4;
  const size_t used = right - left;
  std::vector<int32_t> sums(used);
  std::vector<uint8_t> reduced(size_t{source.width} * 4);
  Raster out(width, height);
  for (uint32_t y = 0; y < height; ++y) {
    const Taps& taps = rows.taps[y];
    std::fill(sums.begin(), sums.end(), 0);
    for (uint32_t k = 0; k < taps.count; ++k) {
      AddRow(sums.data(), source.row(taps.first + k) + left, rows.weights[taps.weights + k], used);
    }
    StoreRow(reduced.data() + left, sums.data(), used);
    ReduceRow(out.row(y), reduced.data(), columns.taps.data(), columns.weights.data(), width);
  }
  return out;
}

Raster Resize(const Raster& source, uint32_t width, uint32_t height) {
  if (source.width == width && source.height == height) return source;
  return Resize(source,
                {0, 0, static_cast<double>(source.width), static_cast<double>(source.height)},
                width, height);
}

}  // namespace msearch::media
