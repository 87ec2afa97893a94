#include "embedding/token_scores.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

// In lanes, which compilers turn into vector instructions: sums and maxima of floats may not be put
// into another order for them, so they are written in one that fits.

namespace msearch::embedding {
namespace {

constexpr float kNone = -std::numeric_limits<float>::infinity();
constexpr size_t kLanes = 16;

// With vectors twice as wide where the processor has them. A sanitizer isn't ready when
// the loader asks which it is.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && \
    !defined(__SANITIZE_THREAD__) && !defined(__SANITIZE_ADDRESS__)
#define MSEARCH_WIDE __attribute__((target_clones("avx2", "default")))
#else
#define MSEARCH_WIDE
#endif

// e to the power of x <= 0, to three digits; below -80 as at -80. 2^n by the bits of a float, the
// rest by a polynomial.
inline float QuickExp(float x) {
  const float power = std::max(x, -80.0F) * 1.44269504F;
  const auto whole = static_cast<int32_t>(power - 0.5F);
  const float part = (power - static_cast<float>(whole)) * 0.69314718F;  // -0.35 to 0.35
  const float rest = 1 + part * (1 + part * (0.5F + part * (0.16666667F + part * 0.041666667F)));
  return rest * std::bit_cast<float>((whole + 127) << 23);
}

}  // namespace

MSEARCH_WIDE float MostOf(std::span<const float> scores) {
  std::array<float, kLanes> most;
  most.fill(kNone);
  size_t i = 0;
  for (; i + kLanes <= scores.size(); i += kLanes) {
    for (size_t lane = 0; lane < kLanes; ++lane) {
      most[lane] = scores[i + lane] > most[lane] ? scores[i + lane] : most[lane];
    }
  }
  float out = *std::max_element(most.begin(), most.end());
  for (; i < scores.size(); ++i) out = std::max(out, scores[i]);
  return out;
}

MSEARCH_WIDE float LogSumOf(std::span<const float> scores) {
  const float most = MostOf(scores);
  if (most == kNone) return kNone;
  std::array<float, kLanes> sums{};
  size_t i = 0;
  for (; i + kLanes <= scores.size(); i += kLanes) {
    for (size_t lane = 0; lane < kLanes; ++lane) sums[lane] += QuickExp(scores[i + lane] - most);
  }
  float sum = 0;
  for (float lane : sums) sum += lane;
  for (; i < scores.size(); ++i) sum += QuickExp(scores[i] - most);
  return most + std::log(sum);
}

}  // namespace msearch::embedding
