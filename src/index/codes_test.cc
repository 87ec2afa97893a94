#include "index/codes.h"

#include <gtest/gtest.h>

#include "index/shortlist.h"
#include "index/test_index.h"

namespace msearch::index {
namespace {

class CodesTest : public testing::TestWithParam<View::Codes> {};

TEST_P(CodesTest, ProductsOfCodesAreNearTheExactOnes) {
  std::mt19937 random(1);
  // Around the kernels' widths, and what models have.
  for (const uint32_t dimensions : {1, 2, 31, 63, 64, 65, 127, 384, 512, 1000}) {
    const View view{"view", dimensions, GetParam()};
    const auto a = RandomDirection(random, dimensions);
    const auto b = RandomDirection(random, dimensions);
    const Array<std::byte> code = MakeArray<std::byte>(CodeBytes(view));
    const float scale = Encode(view, b.data(), code.get());
    const double exact = Product(a, b);
    EXPECT_NEAR(ExactDot(a.data(), b.data(), dimensions), exact, 1e-9);
    float product = 0;
    QueryCode(view, a).DotRows(code.get(), &scale, 1, &product);
    EXPECT_NEAR(product, exact, 0.012) << dimensions;
    QueryCode(view, a, -1).DotRows(code.get(), &scale, 1, &product);
    EXPECT_NEAR(product, -exact, 0.012) << dimensions;
  }
}

INSTANTIATE_TEST_SUITE_P(All, CodesTest, testing::Values(View::Codes::kInt8, View::Codes::kBf16));

TEST(CodesTest, SmallElementsCountInBf16) {
  const View view{"labels", 512, View::Codes::kBf16};
  std::vector<float> vector(512, 1e-6F);
  vector[0] = 1;
  std::vector<float> query(512, 1);
  query[0] = 0;
  const Array<std::byte> code = MakeArray<std::byte>(CodeBytes(view));
  Encode(view, vector.data(), code.get());
  float product = 0;
  QueryCode(view, query).DotRows(code.get(), nullptr, 1, &product);
  EXPECT_NEAR(product / 511e-6, 1, 0.005);
}

TEST(ShortlistTest, KeepsTheBestOfAnyStream) {
  std::mt19937 random(5);
  for (const size_t capacity : {1, 2, 7, 100, 5000}) {
    std::vector<Scored> all;
    Shortlist shortlist(capacity);
    for (uint32_t i = 0; i < 3000; ++i) {
      // Few different scores, so that ties decide.
      const Scored scored{static_cast<float>(random() % 50), i, static_cast<SegmentId>(random())};
      all.push_back(scored);
      shortlist.Offer(scored);
    }
    std::sort(all.begin(), all.end(), Better);
    all.resize(std::min(capacity, all.size()));
    const std::vector<Scored> kept = shortlist.Take();
    ASSERT_EQ(kept.size(), all.size());
    for (size_t i = 0; i < all.size(); ++i) EXPECT_EQ(kept[i].slot, all[i].slot);
  }
}

}  // namespace
}  // namespace msearch::index
