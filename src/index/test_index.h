// What the tests of this folder share: random vectors, and the same search by brute force.
#pragma once

#include <cmath>
#include <map>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "index/vector_index.h"

namespace msearch::index {

// Vectors by view; empty where the segment doesn't have one.
using Vectors = std::vector<std::vector<float>>;
using Library = std::map<SegmentId, Vectors>;

inline IndexOptions TwoViews() {
  return {.model_key = "test/1",
          .views = {{"semantic", 24, View::Codes::kInt8}, {"labels", 40, View::Codes::kBf16}}};
}

inline std::vector<float> RandomDirection(std::mt19937& random, uint32_t dimensions) {
  std::normal_distribution<float> normal;
  std::vector<float> vector(dimensions);
  double squares = 0;
  for (float& x : vector) squares += double{x = normal(random)} * x;
  for (float& x : vector) x /= static_cast<float>(std::sqrt(squares));
  return vector;
}

// Like probabilities of labels: few large, most very small.
inline std::vector<float> RandomLabels(std::mt19937& random, uint32_t dimensions) {
  std::normal_distribution<float> normal;
  std::vector<float> vector(dimensions);
  for (float& x : vector) x = std::min(1.0F, std::exp(2 * normal(random) - 6));
  return vector;
}

inline Result<> AddTo(VectorIndex& index, SegmentId segment, const Vectors& vectors) {
  const std::vector<std::span<const float>> spans(vectors.begin(), vectors.end());
  return index.Add(segment, spans);
}

inline double Product(std::span<const float> a, std::span<const float> b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += double{a[i]} * b[i];
  return sum;
}

// The definition of ViewQuery, computed directly in double; best first, ties by id.
std::vector<Match> SearchByBruteForce(const Library& library, std::vector<ViewQuery> query,
                                      size_t count,
                                      const std::function<bool(SegmentId)>& allowed = nullptr);

}  // namespace msearch::index
