#include "base/text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace msearch {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

std::vector<std::string> Words(std::string_view text) {
  std::vector<std::string> words;
  for (const WordSpan& word : SplitWords(text)) {
    words.push_back((word.cjk ? "cjk:" : "") +
                    std::string(text.substr(word.begin, word.end - word.begin)));
  }
  return words;
}

TEST(SplitWordsTest, WordsAreRunsOfLettersNumbersAndMarks) {
  EXPECT_THAT(Words("IMG_2034.jpg, Grüße!"), ElementsAre("IMG", "2034", "jpg", "Grüße"));
  EXPECT_THAT(Words("हिन्दी भाषा"), ElementsAre("हिन्दी", "भाषा"));
  EXPECT_THAT(Words("cafe\u0301 \u0301x"), ElementsAre("cafe\u0301", "x"));
  EXPECT_THAT(Words(""), IsEmpty());
  EXPECT_THAT(Words(" -- 。…"), IsEmpty());
}

TEST(SplitWordsTest, CjkRunsStandApartFromOtherScripts) {
  EXPECT_THAT(Words("iPhone手机15"), ElementsAre("iPhone", "cjk:手机", "15"));
  EXPECT_THAT(Words("ラーメンを食べる。時々"), ElementsAre("cjk:ラーメンを食べる", "cjk:時々"));
  EXPECT_THAT(Words("ｶﾞﾗｽ"), ElementsAre("cjk:ｶﾞﾗｽ"));
  EXPECT_THAT(Words("개구리 frog"), ElementsAre("cjk:개구리", "frog"));
}

TEST(SplitWordsTest, BrokenBytesSeparateWords) {
  EXPECT_THAT(Words("ab\xFF\xFE"
                    "cd\xE9"),
              ElementsAre("ab", "cd"));
  EXPECT_THAT(Words(std::string_view("a\0b", 3)), ElementsAre("a", "b"));
}

TEST(SplitCharactersTest, MarksStayWithTheirCharacter) {
  EXPECT_THAT(SplitCharacters("ｶﾞﾗ蛙"), ElementsAre("ｶﾞ", "ﾗ", "蛙"));
  EXPECT_THAT(SplitCharacters("か\u3099き"), ElementsAre("か\u3099", "き"));
}

TEST(FoldWordTest, CaseWidthAndAccentsAreDropped) {
  EXPECT_EQ(FoldWord("CAFÉ"), "cafe");
  EXPECT_EQ(FoldWord("ＡＢＣ"), "abc");
  EXPECT_EQ(FoldWord("Straße"), "strasse");
  EXPECT_EQ(FoldWord("ﬁn"), "fin");
  EXPECT_EQ(FoldWord("Ἀθῆναι"), FoldWord("Αθηναι"));
}

TEST(FoldWordTest, MarksThatMakeAnotherLetterStay) {
  EXPECT_EQ(FoldWord("が"), "が");
  EXPECT_EQ(FoldWord("ｶﾞ"), "ガ");
  EXPECT_NE(FoldWord("가"), FoldWord("각"));
}

TEST(SeparateNamePartsTest, CutsAtCapitalsAndDigits) {
  EXPECT_EQ(SeparateNameParts("HolidayFrog2.jpg"), "Holiday Frog 2.jpg");
  EXPECT_EQ(SeparateNameParts("IMG2034"), "IMG 2034");
  EXPECT_EQ(SeparateNameParts("großÄhnlich"), "groß Ähnlich");
  EXPECT_EQ(SeparateNameParts("plain\xFFname"), "plain\xFFname");
}

}  // namespace
}  // namespace msearch
