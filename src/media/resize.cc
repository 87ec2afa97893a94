// Two passes, rows first: the vertical pass works on whole rows, whatever the channels, and leaves
// fewer rows for the horizontal one, whose inner step is one pixel of four channels. Weights are
// integers of 14 bits that sum up to exactly 1 << 14, so a flat colour stays what it was. Both
// passes multiply and add pairs of source values; the number of weights is filled up with zeros.
// Compilers don't find that by themselves: what they make of the plain loops, which are here for
// other processors, takes three times as long.

#include "media/resize.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <cstring>

#if defined(__SSE2__)
#include <immintrin.h>
#endif

namespace msearch::media {
namespace {

constexpr int kWeightBits = 14;
constexpr int kHalf = 1 << (kWeightBits - 1);
constexpr size_t kTogether = 4;  // source pixels

struct Taps {
  uint32_t first = 0;  // source index
  uint32_t count =
      0;  // a multiple of kTogether; the last may lie beyond the source: weights of zero
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
  filter.weights.resize((filter.weights.size() + kTogether - 1) / kTogether * kTogether);
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
    const size_t before = filter.weights.size();
    AppendNormalised(filter, weights, sum);
    filter.taps.push_back({static_cast<uint32_t>(first),
                           static_cast<uint32_t>(filter.weights.size() - before), before});
  }
  return filter;
}

inline uint8_t Clamped(int32_t sum) {
  return static_cast<uint8_t>(std::clamp((sum + kHalf) >> kWeightBits, 0, 255));
}

#if defined(__SSE2__)
__m128i PairOfWeights(const int16_t* weights) {
  int32_t pair;
  std::memcpy(&pair, weights, sizeof(pair));
  return _mm_set1_epi32(pair);
}
#endif

#if defined(__SSE2__)
// As ReduceRows below, twice as wide. What is done is the multiple of 32 bytes that it returns.
__attribute__((target("avx2"))) size_t ReduceRowsAvx2(uint8_t* out, const uint8_t* const* rows,
                                                      const int16_t* weights, uint32_t count,
                                                      size_t size) {
  size_t i = 0;
  const __m256i zero = _mm256_setzero_si256();
  for (; i + 32 <= size; i += 32) {
    __m256i sums[4];
    for (__m256i& sum : sums) sum = _mm256_set1_epi32(kHalf);
    for (uint32_t k = 0; k < count; k += 2) {
      const __m256i pair = _mm256_broadcastd_epi32(PairOfWeights(weights + k));
      const __m256i a = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(rows[k] + i));
      const __m256i b = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(rows[k + 1] + i));
      const __m256i low = _mm256_unpacklo_epi8(a, b);
      const __m256i high = _mm256_unpackhi_epi8(a, b);
      const __m256i quarters[4] = {_mm256_unpacklo_epi8(low, zero), _mm256_unpackhi_epi8(low, zero),
                                   _mm256_unpacklo_epi8(high, zero),
                                   _mm256_unpackhi_epi8(high, zero)};
      for (int q = 0; q < 4; ++q) {
        sums[q] = _mm256_add_epi32(sums[q], _mm256_madd_epi16(quarters[q], pair));
      }
    }
    for (__m256i& sum : sums) sum = _mm256_srai_epi32(sum, kWeightBits);
    const __m256i bytes = _mm256_packus_epi16(_mm256_packs_epi32(sums[0], sums[1]),
                                              _mm256_packs_epi32(sums[2], sums[3]));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + i), bytes);
  }
  return i;
}
#endif

// One output row from the rows under the filter.
void ReduceRows(uint8_t* out, const uint8_t* const* rows, const int16_t* weights, uint32_t count,
                size_t size) {
  size_t i = 0;
#if defined(__SSE2__)
  static const bool kHasAvx2 = __builtin_cpu_supports("avx2");
  if (kHasAvx2) i = ReduceRowsAvx2(out, rows, weights, count, size);
  const __m128i zero = _mm_setzero_si128();
  for (; i + 16 <= size; i += 16) {
    __m128i sums[4];
    for (__m128i& sum : sums) sum = _mm_set1_epi32(kHalf);
    for (uint32_t k = 0; k < count; k += 2) {
      const __m128i pair = PairOfWeights(weights + k);
      const __m128i a = _mm_loadu_si128(reinterpret_cast<const __m128i*>(rows[k] + i));
      const __m128i b = _mm_loadu_si128(reinterpret_cast<const __m128i*>(rows[k + 1] + i));
      const __m128i low = _mm_unpacklo_epi8(a, b);
      const __m128i high = _mm_unpackhi_epi8(a, b);
      sums[0] = _mm_add_epi32(sums[0], _mm_madd_epi16(_mm_unpacklo_epi8(low, zero), pair));
      sums[1] = _mm_add_epi32(sums[1], _mm_madd_epi16(_mm_unpackhi_epi8(low, zero), pair));
      sums[2] = _mm_add_epi32(sums[2], _mm_madd_epi16(_mm_unpacklo_epi8(high, zero), pair));
      sums[3] = _mm_add_epi32(sums[3], _mm_madd_epi16(_mm_unpackhi_epi8(high, zero), pair));
    }
    for (__m128i& sum : sums) sum = _mm_srai_epi32(sum, kWeightBits);
    const __m128i bytes =
        _mm_packus_epi16(_mm_packs_epi32(sums[0], sums[1]), _mm_packs_epi32(sums[2], sums[3]));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out + i), bytes);
  }
#endif
  for (; i < size; ++i) {
    int32_t sum = 0;
    for (uint32_t k = 0; k < count; ++k) sum += int32_t{rows[k][i]} * weights[k];
    out[i] = Clamped(sum);
  }
}

#if defined(__SSE2__)
// As ReducePixels below, twice as wide.
__attribute__((target("avx2"))) void ReducePixelsAvx2(uint8_t* out, const uint8_t* pixels,
                                                      const Filter& filter) {
  // Of four pixels: the channels of the first two side by side, then those of the others.
  const __m128i side_by_side = _mm_setr_epi8(0, 4, 1, 5, 2, 6, 3, 7, 8, 12, 9, 13, 10, 14, 11, 15);
  const __m256i first_two_then_others = _mm256_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1);
  for (const Taps& taps : filter.taps) {
    const uint8_t* under = pixels + size_t{taps.first} * 4;
    const int16_t* weights = filter.weights.data() + taps.weights;
    __m256i sums = _mm256_setzero_si256();
    for (uint32_t k = 0; k < taps.count; k += 4) {
      const __m128i four = _mm_loadu_si128(reinterpret_cast<const __m128i*>(under + size_t{k} * 4));
      const __m256i mixed = _mm256_cvtepu8_epi16(_mm_shuffle_epi8(four, side_by_side));
      const __m128i four_weights = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(weights + k));
      const __m256i pairs =
          _mm256_permutevar8x32_epi32(_mm256_castsi128_si256(four_weights), first_two_then_others);
      sums = _mm256_add_epi32(sums, _mm256_madd_epi16(mixed, pairs));
    }
    __m128i sum = _mm_add_epi32(_mm256_castsi256_si128(sums), _mm256_extracti128_si256(sums, 1));
    sum = _mm_srai_epi32(_mm_add_epi32(sum, _mm_set1_epi32(kHalf)), kWeightBits);
    sum = _mm_packs_epi32(sum, sum);
    const int32_t bytes = _mm_cvtsi128_si32(_mm_packus_epi16(sum, sum));
    std::memcpy(out, &bytes, sizeof(bytes));
    out += sizeof(bytes);
  }
}
#endif

// One output row from a row of pixels, which has kTogether - 1 more behind its end.
void ReducePixels(uint8_t* out, const uint8_t* pixels, const Filter& filter) {
#if defined(__SSE2__)
  static const bool kHasAvx2 = __builtin_cpu_supports("avx2");
  if (kHasAvx2) return ReducePixelsAvx2(out, pixels, filter);
#endif
  for (const Taps& taps : filter.taps) {
    const uint8_t* under = pixels + size_t{taps.first} * 4;
    const int16_t* weights = filter.weights.data() + taps.weights;
#if defined(__SSE2__)
    const __m128i zero = _mm_setzero_si128();
    __m128i sum = _mm_set1_epi32(kHalf);
    for (uint32_t k = 0; k < taps.count; k += 2) {
      const __m128i two = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(under + size_t{k} * 4));
      const __m128i mixed = _mm_unpacklo_epi8(_mm_unpacklo_epi8(two, _mm_srli_si128(two, 4)), zero);
      sum = _mm_add_epi32(sum, _mm_madd_epi16(mixed, PairOfWeights(weights + k)));
    }
    sum = _mm_packs_epi32(_mm_srai_epi32(sum, kWeightBits), zero);
    const int32_t bytes = _mm_cvtsi128_si32(_mm_packus_epi16(sum, zero));
    std::memcpy(out, &bytes, sizeof(bytes));
#else
    for (int channel = 0; channel < 4; ++channel) {
      int32_t sum = 0;
      for (uint32_t k = 0; k < taps.count; ++k) sum += int32_t{under[k * 4 + channel]} * weights[k];
      out[channel] = Clamped(sum);
    }
#endif
    out += 4;
  }
}

}  // namespace

Raster Resize(const Raster& source, const Area& area, uint32_t width, uint32_t height) {
  assert(source.width > 0 && source.height > 0 && width > 0 && height > 0);
  assert(area.width > 0 && area.height > 0);
  const Filter columns = MakeFilter(source.width, area.left, area.width, width);
  const Filter rows = MakeFilter(source.height, area.top, area.height, height);

  // Only the columns that the second pass will look at; and some pixels more, for weights of zero.
  const size_t left = size_t{columns.taps.front().first} * 4;
  const size_t right = std::min<size_t>(source.width, size_t{columns.taps.back().first} +
                                                          columns.taps.back().count) *
                       4;
  std::vector<uint8_t> reduced((size_t{source.width} + kTogether - 1) * 4);
  std::vector<const uint8_t*> under;
  Raster out(width, height);
  for (uint32_t y = 0; y < height; ++y) {
    const Taps& taps = rows.taps[y];
    under.clear();
    for (uint32_t k = 0; k < taps.count; ++k) {
      under.push_back(source.row(std::min(taps.first + k, source.height - 1)) + left);
    }
    ReduceRows(reduced.data() + left, under.data(), rows.weights.data() + taps.weights, taps.count,
               right - left);
    ReducePixels(out.row(y), reduced.data(), columns);
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
