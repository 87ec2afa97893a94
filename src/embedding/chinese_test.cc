#include "embedding/chinese.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace msearch::embedding {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

constexpr char kCedict[] = R"json([
  {"simplified":"青蛙","traditional":"青蛙","pinyin":"qing1 wa1","english":["frog (CL:隻|只[zhi1])","(old) (slang) ugly guy"]
},
  {"simplified":"鸟","traditional":"鳥","pinyin":"diao3","english":["variant of 屌[diao3]","rude word"]},
  {"simplified":"鸟","traditional":"鳥","pinyin":"niao3","english":["bird","CL:隻|只[zhi1]"]},
  {"simplified":"红色","traditional":"紅色","pinyin":"hong2 se4","english":["red (color)","revolutionary"]},
  {"simplified":"红","traditional":"紅","pinyin":"Hong2","english":["surname Hong"]},
  {"simplified":"苹果","traditional":"蘋果","pinyin":"Ping2 guo3","english":["Apple (American tech company)"]},
  {"simplified":"苹果","traditional":"蘋果","pinyin":"ping2 guo3","english":["apple","CL:個|个[ge4]"]},
  {"simplified":"的","traditional":"的","pinyin":"de5","english":["of; ~'s (possessive particle)"]},
  {"simplified":"跑","traditional":"跑","pinyin":"pao3","english":["to run","to flee"]},
  {"simplified":"孔雀","traditional":"孔雀","pinyin":"kong3 que4","english":["peafowl; peacock"]},
  {"simplified":"赢","traditional":"贏","pinyin":"ying2","english":["to beat","to win","to profit"]},
  {"simplified":"获胜","traditional":"獲勝","pinyin":"huo4 sheng4","english":["victorious","to win","to triumph"]},
  {"simplified":"T恤","traditional":"T恤","pinyin":"T xu4","english":["T-shirt"]},
  "not an entry"
])json";

ChineseDictionary Dictionary() {
  return ChineseDictionary::Parse(CompactChineseDictionary(kCedict).value()).value();
}

TEST(ChineseDictionary, TakesTheLongestWords) {
  EXPECT_EQ(Dictionary().ToEnglish("红色的青蛙"), "red frog");
}

TEST(ChineseDictionary, PrefersThingsToNamesAndVariants) {
  EXPECT_EQ(Dictionary().ToEnglish("鸟"), "bird");
  EXPECT_EQ(Dictionary().ToEnglish("苹果"), "apple");
}

TEST(ChineseDictionary, ReadsBothScripts) {
  EXPECT_EQ(Dictionary().ToEnglish("紅色蘋果"), "red apple");
}

TEST(ChineseDictionary, LeavesOtherTextAloneAndDropsWhatItDoesntKnow) {
  EXPECT_EQ(Dictionary().ToEnglish("a frog"), "a frog");
  EXPECT_EQ(Dictionary().ToEnglish("big 青蛙!"), "big frog !");
  EXPECT_EQ(Dictionary().ToEnglish("龘青蛙跑"), "frog run");
  EXPECT_EQ(Dictionary().ToEnglish(""), "");
}

TEST(ChineseDictionary, KeepsSeveralGlossesButNotSlang) {
  EXPECT_THAT(Dictionary().Glosses("获胜"), ElementsAre("victorious", "win", "triumph"));
  EXPECT_THAT(Dictionary().Glosses("孔雀"), ElementsAre("peafowl", "peacock"));
  EXPECT_THAT(Dictionary().Glosses("青蛙"), ElementsAre("frog"));
  EXPECT_THAT(Dictionary().Glosses("龘"), IsEmpty());
  EXPECT_EQ(Dictionary().ToEnglish("孔雀"), "peafowl");
}

TEST(ChineseDictionary, WordsOfOneGlossAreSynonyms) {
  const auto synonyms = Dictionary().Synonyms({"赢", "龘", "孔雀"}, 5);
  ASSERT_EQ(synonyms.size(), 3u);
  EXPECT_THAT(synonyms[0], UnorderedElementsAre("获胜", "獲勝"));
  EXPECT_THAT(synonyms[1], IsEmpty());
  EXPECT_THAT(synonyms[2], IsEmpty());
}

TEST(ChineseDictionary, SplitsTextIntoWords) {
  EXPECT_THAT(Dictionary().Words("红色的青蛙, frog 龘"), ElementsAre("红色", "的", "青蛙", "龘"));
}

TEST(ChineseDictionary, ReadsFilesWithOneGlossAWord) {
  const auto older = ChineseDictionary::Parse("孔雀\tpeafowl\n").value();
  EXPECT_THAT(older.Glosses("孔雀"), ElementsAre("peafowl"));
  EXPECT_EQ(older.ToEnglish("孔雀"), "peafowl");
}

TEST(ChineseDictionary, RefusesWhatIsNoDictionary) {
  EXPECT_FALSE(CompactChineseDictionary("[").ok());
  EXPECT_EQ(CompactChineseDictionary("[]").code(), Code::kCorrupt);
  EXPECT_EQ(CompactChineseDictionary("{}").code(), Code::kCorrupt);
  EXPECT_EQ(ChineseDictionary::Parse("b\tx\na\ty\n").code(), Code::kCorrupt);
  EXPECT_EQ(ChineseDictionary::Parse("no tab\n").code(), Code::kCorrupt);
}

TEST(HasChinese, LooksForHanCharacters) {
  EXPECT_TRUE(HasChinese("find 蛙"));
  EXPECT_FALSE(HasChinese("café, カメラ"));
}

}  // namespace
}  // namespace msearch::embedding
