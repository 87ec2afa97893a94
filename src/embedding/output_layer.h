// The last layer of a decoder: how a state scores each token of the vocabulary. It is the largest
// matrix of a small model, and all of it is read for each token.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "embedding/onnx_graph.h"

namespace msearch::embedding {

// Immutable, thread-safe.
class OutputLayer {
 public:
  // REQUIRES: as many codes as rows * columns; columns from 1 to kWidthMax
  explicit OutputLayer(PackedMatrix weights);

  static constexpr size_t kWidthMax = 4096;

  size_t tokens() const { return weights_.rows; }
  size_t width() const { return weights_.columns; }

  // The state's inner products with the rows from `first` on, into `scores`. The state is rounded
  // to one in some thousands of its largest value. REQUIRES: state.size() == width(), first +
  // scores.size() <= tokens()
  void Score(std::span<const float> state, size_t first, std::span<float> scores) const;

 private:
  PackedMatrix weights_;
};

}  // namespace msearch::embedding
