#include "embedding/vectors.h"

#include <cassert>
#include <cmath>

namespace msearch::embedding {

float Dot(std::span<const float> a, std::span<const float> b) {
  assert(a.size() == b.size());
  // Several sums at once, which the compiler may keep in one vector register.
  constexpr size_t kLanes = 16;
  float lanes[kLanes] = {};
  size_t i = 0;
  for (; i + kLanes <= a.size(); i += kLanes) {
    for (size_t lane = 0; lane < kLanes; ++lane) lanes[lane] += a[i + lane] * b[i + lane];
  }
  float sum = 0;
  for (float lane : lanes) sum += lane;
  for (; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

void Normalise(std::span<float> vector) {
  const float length = std::sqrt(Dot(vector, vector));
  if (length <= 0) return;
  for (float& value : vector) value /= length;
}

void AddScaled(std::span<float> to, std::span<const float> from, float factor) {
  assert(to.size() == from.size());
  for (size_t i = 0; i < to.size(); ++i) to[i] += factor * from[i];
}

}  // namespace msearch::embedding
