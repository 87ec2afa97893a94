#include "embedding/token_scores.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

namespace msearch::embedding {
namespace {

constexpr float kNever = -std::numeric_limits<float>::infinity();

// As one would write it.
float PlainLogSum(const std::vector<float>& scores) {
  const double most = *std::max_element(scores.begin(), scores.end());
  double sum = 0;
  for (float score : scores) sum += std::exp(score - most);
  return static_cast<float>(most + std::log(sum));
}

TEST(TokenScores, AreWhatPlainLoopsGive) {
  std::mt19937 random(7);
  for (const size_t count : {1U, 2U, 15U, 16U, 17U, 100U, 1500U, 51865U}) {
    for (const float spread : {0.01F, 1.0F, 8.0F, 60.0F}) {
      std::normal_distribution<float> normal(-3, spread);
      std::vector<float> scores(count);
      for (float& score : scores) score = normal(random);
      // Some may not be said.
      for (size_t i = 1; i < count; i += 7) scores[i] = kNever;
      EXPECT_EQ(MostOf(scores), *std::max_element(scores.begin(), scores.end())) << count;
      EXPECT_NEAR(LogSumOf(scores), PlainLogSum(scores), 1e-3) << count << " " << spread;
    }
  }
}

TEST(TokenScores, OfNothingAreNone) {
  EXPECT_EQ(MostOf({}), kNever);
  EXPECT_EQ(LogSumOf({}), kNever);
  const std::vector<float> never(40, kNever);
  EXPECT_EQ(MostOf(never), kNever);
  EXPECT_EQ(LogSumOf(never), kNever);
}

TEST(TokenScores, FindTheHighestWhereverItStands) {
  std::vector<float> scores(53, -1);
  for (size_t i = 0; i < scores.size(); ++i) {
    scores[i] = 5;
    EXPECT_EQ(MostOf(scores), 5) << i;
    scores[i] = -1;
  }
}

}  // namespace
}  // namespace msearch::embedding
