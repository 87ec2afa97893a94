#include "embedding/text_order.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace msearch::embedding {
namespace {

using testing::ElementsAre;

TextBox At(float x, float y, float width = 300, float height = 20) { return {x, y, width, height}; }

TEST(ReadingOrder, IsFromTopToBottom) {
  EXPECT_TRUE(ReadingOrder({}).empty());
  EXPECT_THAT(ReadingOrder({At(0, 90), At(0, 30), At(0, 60)}), ElementsAre(1, 2, 0));
}

TEST(ReadingOrder, ReadsOneColumnAfterTheOther) {
  EXPECT_THAT(ReadingOrder({At(0, 0), At(400, 2), At(0, 30), At(400, 32), At(0, 60)}),
              ElementsAre(0, 2, 4, 1, 3));
}

TEST(ReadingOrder, TakesAHeadlineBeforeTheColumnsBelowIt) {
  EXPECT_THAT(ReadingOrder({At(400, 82), At(0, 80), At(0, 0, 700, 40), At(0, 110), At(400, 112)}),
              ElementsAre(2, 1, 3, 0, 4));
}

TEST(ReadingOrder, ReadsPiecesOfALineFromLeftToRight) {
  EXPECT_THAT(ReadingOrder({At(500, 3, 100), At(0, 0, 100), At(0, 40, 100)}), ElementsAre(1, 0, 2));
}

TEST(ReadingOrder, TakesLinesOnTopOfEachOther) {
  EXPECT_THAT(ReadingOrder({At(0, 0), At(0, 0), At(0, 0)}).size(), 3U);
}

}  // namespace
}  // namespace msearch::embedding
