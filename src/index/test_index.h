// What the tests of this folder share: random vectors, and the same search by brute force.
#pragma once

#include <algorithm>
#include <cmath>
#include <functional>
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
  for (float& x : vector) {
    x = normal(random);
    squares += double{x} * x;
  }
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

struct BruteForceView {
  std::map<SegmentId, double> products;
  double mean = 0;
  double deviation = 0;
};

inline double TransformedBy(const ViewQuery& query, double product) {
  return query.transform == ViewQuery::Transform::kLog ? std::log(std::max(product, 1e-12))
                                                       : product;
}

inline BruteForceView ScoreByBruteForce(const Library& library, const ViewQuery& query,
                                        const std::function<bool(SegmentId)>& allowed) {
  std::vector<double> means(query.vector.size());
  double with_view = 0;
  for (const auto& [segment, vectors] : library) {
    with_view += vectors[query.view].empty() ? 0 : 1;
    for (size_t i = 0; i < vectors[query.view].size(); ++i) means[i] += vectors[query.view][i];
  }
  std::vector<float> vector = query.vector;
  for (size_t i = 0; i < vector.size() && query.divide_by_mean; ++i) {
    vector[i] = static_cast<float>(vector[i] / (means[i] / with_view));
  }
  BruteForceView out;
  for (const auto& [segment, vectors] : library) {
    if (vectors[query.view].empty() || (allowed && !allowed(segment))) continue;
    out.products[segment] = Product(vectors[query.view], vector);
  }
  const auto count = static_cast<double>(out.products.size());
  for (const auto& [segment, product] : out.products) {
    out.mean += TransformedBy(query, product) / count;
  }
  double squares = 0;
  for (const auto& [segment, product] : out.products) {
    squares += std::pow(TransformedBy(query, product) - out.mean, 2);
  }
  out.deviation = std::sqrt(squares / count);
  return out;
}

// ViewQuery's definition computed directly, in double; best first, ties by id.
inline std::vector<Match> SearchByBruteForce(
    const Library& library, const std::vector<ViewQuery>& query, size_t count,
    const std::function<bool(SegmentId)>& allowed = nullptr) {
  std::map<SegmentId, Match> matches;
  for (size_t q = 0; q < query.size(); ++q) {
    const BruteForceView view = ScoreByBruteForce(library, query[q], allowed);
    for (const auto& [segment, product] : view.products) {
      const double transformed = TransformedBy(query[q], product);
      const double score = query.size() == 1    ? transformed
                           : view.deviation > 0 ? (transformed - view.mean) / view.deviation
                                                : 0;
      Match& match = matches[segment];
      match.segment = segment;
      match.score += static_cast<float>(query[q].weight * score);
      match.by_view.resize(query.size());
      match.by_view[q] = static_cast<float>(product);
    }
  }
  std::vector<Match> out;
  for (auto& [segment, match] : matches) out.push_back(std::move(match));
  std::stable_sort(out.begin(), out.end(),
                   [](const Match& a, const Match& b) { return a.score > b.score; });
  if (out.size() > count) out.resize(count);
  return out;
}

inline std::vector<SegmentId> SegmentsOf(const std::vector<Match>& matches) {
  std::vector<SegmentId> segments;
  for (const Match& match : matches) segments.push_back(match.segment);
  return segments;
}

}  // namespace msearch::index
