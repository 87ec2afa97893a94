#include "catalog/words.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/strings.h"

namespace msearch::catalog {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;

TEST(WordsTest, CjkRunsBecomePairsAndTheirLastCharacter) {
  EXPECT_EQ(IndexText("小青蛙"), "小青 青蛙 蛙");
  EXPECT_EQ(IndexText("蛙"), "蛙");
  EXPECT_EQ(IndexText("青蛙, 荷叶"), "青蛙 蛙 荷叶 叶");
  EXPECT_EQ(IndexText("iPhone手机15"), "iphon 手机 机 15");
  EXPECT_EQ(IndexText("ガラス"), "ガラ ラス ス");
  EXPECT_EQ(IndexText("ｶﾞﾗｽ"), "ガラ ラス ス");    // half-width, its mark a character of its own
  EXPECT_EQ(IndexText("𠮷野家"), "𠮷野 野家 家");  // beyond the basic plane
}

TEST(WordsTest, FormsOfAnEnglishWordShareAStem) {
  for (const auto& forms : std::vector<std::vector<std::string>>{
           {"frog", "frogs", "Frogs"},
           {"box", "boxes"},
           {"bus", "buses"},
           {"glass", "glasses"},
           {"dish", "dishes"},
           {"horse", "horses"},
           {"house", "houses"},
           {"cherry", "cherries"},
           {"fly", "flies"},
           {"movie", "movies"},
           {"pie", "pies"},
           {"toy", "toys"},
           {"tree", "trees"},
           {"tomato", "tomatoes"},
           {"knife", "knives"},
           {"mouse", "mice"},
           {"child", "children", "child's"},
           {"run", "runs", "running"},
           {"dance", "dances", "dancing", "danced"},
           {"paint", "painting", "paintings", "painted"},
       }) {
    for (const std::string& form : forms) EXPECT_EQ(IndexText(form), IndexText(forms[0])) << form;
  }
}

TEST(WordsTest, DifferentWordsKeepDifferentStems) {
  for (const auto& [one, other] :
       std::vector<std::pair<std::string, std::string>>{{"king", "k"},
                                                        {"ring", "r"},
                                                        {"bed", "b"},
                                                        {"glass", "glas"},
                                                        {"bus", "bu"},
                                                        {"is", "i"},
                                                        {"spring", "spr"},
                                                        {"seed", "se"}}) {
    EXPECT_NE(IndexText(one), IndexText(other)) << one;
  }
}

TEST(WordsTest, NamesAlsoGiveTheirParts) {
  EXPECT_EQ(IndexName("HolidayFrog2.jpg"), "holidayfrog2 jpg holiday frog 2 jpg");
  EXPECT_EQ(IndexName("pond.png"), "pond png");
}

TEST(WordsTest, TermsKnowWhereTheyStand) {
  const std::string text = "Ein Frosch: 小青蛙!";
  std::vector<std::string> originals;
  for (const Term& term : Terms(text)) {
    originals.push_back(text.substr(term.begin, term.end - term.begin));
  }
  EXPECT_THAT(originals, ElementsAre("Ein", "Frosch", "小青", "青蛙", "蛙"));
}

TEST(WordsTest, TermsHoldNothingThatAQueryLanguageCouldRead) {
  std::string all;
  for (int byte = 1; byte < 256; ++byte) all += static_cast<char>(byte);
  for (const std::string& text :
       {all, std::string("a\"b'c*d(e)f:g^h{i}j+k-l"), std::string("\0frog\0", 6),
        std::string("½ ℃ ﷺ ㎏ e\u0301 \u200Bx"), std::string(5000, 'x')}) {
    for (const Term& term : Terms(text)) {
      EXPECT_TRUE(IsUtf8(term.text));
      EXPECT_FALSE(term.text.empty());
      EXPECT_LE(term.text.size(), 64U);
      for (const char c : term.text) {
        EXPECT_TRUE((c & 0x80) != 0 || std::isalnum(static_cast<unsigned char>(c))) << term.text;
      }
    }
  }
}

TEST(TextQueryTest, WordsAreTakenApartAsTheyAreIndexed) {
  const TextQuery query = ParseTextQuery("Frogs \"red toads\" IMG_20");
  ASSERT_THAT(query.phrases, SizeIs(3));
  EXPECT_THAT(query.phrases[0].terms, ElementsAre("frog"));
  EXPECT_EQ(query.phrases[0].prefix, "");
  EXPECT_THAT(query.phrases[1].terms, ElementsAre("red", "toad"));
  EXPECT_THAT(query.phrases[2].terms, ElementsAre("img", "20"));
  EXPECT_EQ(ParseTextQuery("holid").phrases.at(0).prefix, "holid");
  EXPECT_EQ(ParseTextQuery("青").phrases.at(0).prefix, "青");
  EXPECT_THAT(ParseTextQuery("小青蛙").phrases.at(0).terms, ElementsAre("小青", "青蛙"));
}

TEST(TextQueryTest, ConnectingWordsCountOnlyAlone) {
  EXPECT_THAT(ParseTextQuery("the frog in the pond").phrases, SizeIs(2));
  EXPECT_THAT(ParseTextQuery("to be or").phrases, SizeIs(1));
  EXPECT_THAT(ParseTextQuery("the").phrases, SizeIs(1));
  EXPECT_THAT(ParseTextQuery("\"the\" frog").phrases, SizeIs(2));
}

TEST(TextQueryTest, IsBounded) {
  std::string words = "\"";
  for (int i = 0; i < 1000; ++i) words += "w" + std::to_string(i) + " ";
  EXPECT_LE(ParseTextQuery(words + "\"").phrases.at(0).terms.size(), 32U);
  EXPECT_LE(ParseTextQuery(words).phrases.size(), 16U);
}

TEST(SnippetTest, ShortTextIsShownWhole) {
  EXPECT_EQ(Snippet(ParseTextQuery("frogs"), "A green\n\n frog."), "A green frog.");
  EXPECT_EQ(Snippet(ParseTextQuery("toad"), "A green frog."), "");
}

TEST(SnippetTest, IsValidAndHoldsTheWordWhereverItIsCut) {
  for (size_t before = 0; before < 300; before += 7) {
    std::string text;
    for (size_t i = 0; i < before; ++i) text += i % 5 == 0 ? "é " : "青";
    text += " Frosch ";
    for (size_t i = 0; i < 300; ++i) text += "ü和";
    for (const size_t bytes_max : {20, 60, 200}) {
      const std::string snippet = Snippet(ParseTextQuery("frosch"), text, bytes_max);
      EXPECT_TRUE(IsUtf8(snippet));
      EXPECT_THAT(snippet, HasSubstr("Frosch"));
      EXPECT_LE(snippet.size(), bytes_max + 40);
    }
  }
}

}  // namespace
}  // namespace msearch::catalog
