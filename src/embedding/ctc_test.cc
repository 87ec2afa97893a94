#include "embedding/ctc.h"

#include <gtest/gtest.h>

namespace msearch::embedding {
namespace {

// Columns in which one class has the given probability and the others share the rest.
std::vector<float> Columns(std::initializer_list<std::pair<size_t, float>> columns,
                           size_t classes) {
  std::vector<float> out;
  for (const auto& [best, probability] : columns) {
    for (size_t i = 0; i < classes; ++i) {
      out.push_back(i == best ? probability : (1 - probability) / static_cast<float>(classes - 1));
    }
  }
  return out;
}

std::string Read(std::initializer_list<size_t> columns) {
  std::vector<float> all;
  for (size_t column : columns) {
    const auto one = Columns({{column, 0.9F}}, 4);
    all.insert(all.end(), one.begin(), one.end());
  }
  std::string out;
  for (const auto& character : DecodeCtc(all, {"a", "b", "文"})) out += character.text;
  return out;
}

TEST(DecodeCtc, JoinsTheSameCharacterInNeighbouringColumns) {
  EXPECT_EQ(Read({0, 1, 1, 2, 0, 3, 3, 3}), "ab文");
}

TEST(DecodeCtc, KeepsDoubleLettersThatNothingParts) { EXPECT_EQ(Read({1, 0, 1, 2, 2}), "aab"); }

TEST(DecodeCtc, ReadsNothingInNothing) {
  EXPECT_EQ(Read({0, 0, 0}), "");
  EXPECT_TRUE(DecodeCtc({}, {"a"}).empty());
}

TEST(DecodeCtc, TellsWhereAndHowSurely) {
  const auto read =
      DecodeCtc(Columns({{0, 0.9F}, {1, 0.6F}, {1, 0.8F}, {0, 0.9F}}, 4), {"a", "b", "文"});
  ASSERT_EQ(read.size(), 1U);
  EXPECT_FLOAT_EQ(read[0].position, 0.5F);
  EXPECT_FLOAT_EQ(read[0].probability, 0.8F);
}

}  // namespace
}  // namespace msearch::embedding
