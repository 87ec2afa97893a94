#include "embedding/output_layer.h"

#include <algorithm>
#include <cmath>

#if defined(__SSE2__)
#include <immintrin.h>
#endif

// The weights stay in the 8 bits that they are stored in: as floats they would be four times as
// much memory to read, and reading is what this costs. The state becomes integers of up to 16 bits,
// as large as its width allows without the sum of the products leaving 32 bits, so that next to
// nothing of it is lost.

namespace msearch::embedding {
namespace {

constexpr int32_t kCodeMax = 255;

void DotRows(const uint8_t* codes, size_t rows, const int16_t* state, size_t width, int32_t* sums) {
  for (size_t row = 0; row < rows; ++row, codes += width) {
    int32_t sum = 0;
    for (size_t i = 0; i < width; ++i) sum += int32_t{codes[i]} * state[i];
    sums[row] = sum;
  }
}

#if defined(__SSE2__)
// As DotRows, for widths that are multiples of 32.
__attribute__((target("avx2"))) void DotRowsAvx2(const uint8_t* codes, size_t rows,
                                                 const int16_t* state, size_t width,
                                                 int32_t* sums) {
  for (size_t row = 0; row < rows; ++row, codes += width) {
    __m256i low = _mm256_setzero_si256(), high = low;
    for (size_t i = 0; i < width; i += 32) {
      const auto* bytes = reinterpret_cast<const __m128i*>(codes + i);
      const auto* values = reinterpret_cast<const __m256i*>(state + i);
      const __m256i a = _mm256_cvtepu8_epi16(_mm_loadu_si128(bytes));
      const __m256i b = _mm256_cvtepu8_epi16(_mm_loadu_si128(bytes + 1));
      low = _mm256_add_epi32(low, _mm256_madd_epi16(a, _mm256_loadu_si256(values)));
      high = _mm256_add_epi32(high, _mm256_madd_epi16(b, _mm256_loadu_si256(values + 1)));
    }
    const __m256i both = _mm256_add_epi32(low, high);
    __m128i sum = _mm_add_epi32(_mm256_castsi256_si128(both), _mm256_extracti128_si256(both, 1));
    sum = _mm_add_epi32(sum, _mm_shuffle_epi32(sum, _MM_SHUFFLE(1, 0, 3, 2)));
    sum = _mm_add_epi32(sum, _mm_shuffle_epi32(sum, _MM_SHUFFLE(2, 3, 0, 1)));
    sums[row] = _mm_cvtsi128_si32(sum);
  }
}
#endif

}  // namespace

OutputLayer::OutputLayer(PackedMatrix weights) : weights_(std::move(weights)) {}

void OutputLayer::Score(std::span<const float> state, size_t first, std::span<float> scores) const {
  const size_t width = weights_.columns;
  const int32_t most =
      std::min<int32_t>(INT16_MAX, INT32_MAX / (kCodeMax * static_cast<int32_t>(width)));
  float largest = 0;
  for (float x : state) largest = std::max(largest, std::fabs(x));
  const float step = largest > 0 && std::isfinite(largest) ? largest / static_cast<float>(most) : 1;
  std::vector<int16_t> rounded(width);
  int32_t sum_of_state = 0;
  for (size_t i = 0; i < width; ++i) {
    rounded[i] = static_cast<int16_t>(std::lrint(state[i] / step));
    sum_of_state += rounded[i];
  }

  constexpr size_t kRows = 256;
  int32_t sums[kRows];
  const float scale = step * weights_.scale;
  const int32_t zeros = weights_.zero * sum_of_state;
  for (size_t done = 0; done < scores.size(); done += kRows) {
    const size_t rows = std::min(kRows, scores.size() - done);
    const uint8_t* codes = weights_.codes.data() + (first + done) * width;
#if defined(__SSE2__)
    static const bool kHasAvx2 = __builtin_cpu_supports("avx2");
    if (kHasAvx2 && width % 32 == 0) {
      DotRowsAvx2(codes, rows, rounded.data(), width, sums);
    } else {
      DotRows(codes, rows, rounded.data(), width, sums);
    }
#else
    DotRows(codes, rows, rounded.data(), width, sums);
#endif
    for (size_t row = 0; row < rows; ++row) {
      scores[done + row] = scale * static_cast<float>(sums[row] - zeros);
    }
  }
}

}  // namespace msearch::embedding
