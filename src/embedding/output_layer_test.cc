#include "embedding/output_layer.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

namespace msearch::embedding {
namespace {

// As one would write it, in double.
double PlainScore(const PackedMatrix& matrix, const std::vector<float>& state, size_t row) {
  double sum = 0;
  for (size_t i = 0; i < matrix.columns; ++i) {
    sum += static_cast<double>(state[i]) * matrix.scale *
           (int32_t{matrix.codes[row * matrix.columns + i]} - matrix.zero);
  }
  return sum;
}

TEST(OutputLayer, ScoresAsAPlainProductDoes) {
  std::mt19937 random(11);
  for (const size_t width : {1U, 31U, 32U, 100U, 384U, 1280U}) {
    PackedMatrix matrix{{}, 301, width, 0.004F, 127};
    for (size_t i = 0; i < matrix.rows * width; ++i) {
      matrix.codes.push_back(static_cast<uint8_t>(random() % 256));
    }
    std::normal_distribution<float> normal(0, 3);
    std::vector<float> state(width);
    for (float& x : state) x = normal(random);
    state[width / 2] = -40;  // some values are far larger than the others
    const OutputLayer layer(matrix);
    ASSERT_EQ(layer.tokens(), 301U);
    ASSERT_EQ(layer.width(), width);
    std::vector<float> scores(300);
    layer.Score(state, 1, scores);
    for (size_t row = 0; row < scores.size(); ++row) {
      ASSERT_NEAR(scores[row], PlainScore(matrix, state, row + 1), 0.1) << width << " " << row;
    }
  }
}

TEST(OutputLayer, StaysWithin32BitsAtItsWidest) {
  const size_t width = OutputLayer::kWidthMax;
  const PackedMatrix matrix{std::vector<uint8_t>(2 * width, 255), 2, width, 1, 0};
  const std::vector<float> state(width, 1);
  std::vector<float> scores(2);
  OutputLayer(matrix).Score(state, 0, scores);
  EXPECT_NEAR(scores[0], 255.0 * static_cast<double>(width), 1e-3 * 255 * width);
  EXPECT_EQ(scores[0], scores[1]);
}

TEST(OutputLayer, ScoresAStateOfNothingWithNothing) {
  const OutputLayer layer({std::vector<uint8_t>(64, 9), 2, 32, 0.5F, 7});
  std::vector<float> scores(2, 5);
  layer.Score(std::vector<float>(32, 0), 0, scores);
  EXPECT_EQ(scores, std::vector<float>(2, 0));
}

}  // namespace
}  // namespace msearch::embedding
