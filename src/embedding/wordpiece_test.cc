#include <gtest/gtest.h>

#include "embedding/test_models.h"
#include "embedding/tokenizer.h"

namespace msearch::embedding {
namespace {

using Ids = std::vector<int64_t>;

Json SmallTokenizer(bool lower_case) {
  Json vocabulary = Json::object();
  int id = 0;
  for (const char* piece : {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "frog", "##s", "##gy", "fro",
                            "青", "蛙", ".", "uber", "Uber", "Über"}) {
    vocabulary[piece] = id++;
  }
  return {{"normalizer", {{"type", "BertNormalizer"}, {"lowercase", lower_case}}},
          {"model", {{"type", "WordPiece"}, {"vocab", vocabulary}}}};
}

TEST(WordPiece, CutsWordsIntoTheLongestKnownPieces) {
  const auto tokenizer = MakeTokenizer(SmallTokenizer(true)).value();
  EXPECT_EQ(tokenizer->Encode("A frogs.", 64), (Ids{2, 4, 5, 6, 11, 3}));
  EXPECT_EQ(tokenizer->Encode("froggy", 64), (Ids{2, 5, 7, 3}));
  EXPECT_EQ(tokenizer->Encode("", 64), (Ids{2, 3}));
  EXPECT_EQ(tokenizer->padding(), 0);
}

TEST(WordPiece, CallsAWordUnknownAsAWhole) {
  const auto tokenizer = MakeTokenizer(SmallTokenizer(true)).value();
  EXPECT_EQ(tokenizer->Encode("frogx a", 64), (Ids{2, 1, 4, 3}));
  EXPECT_EQ(tokenizer->Encode(std::string(200, 'a'), 64), (Ids{2, 1, 3}));
}

TEST(WordPiece, TakesChineseCharactersOneByOne) {
  const auto tokenizer = MakeTokenizer(SmallTokenizer(true)).value();
  EXPECT_EQ(tokenizer->Encode("青蛙frog", 64), (Ids{2, 9, 10, 5, 3}));
}

TEST(WordPiece, DropsAccentsOnlyTogetherWithCase) {
  EXPECT_EQ(MakeTokenizer(SmallTokenizer(true)).value()->Encode("Über", 64), (Ids{2, 12, 3}));
  EXPECT_EQ(MakeTokenizer(SmallTokenizer(false)).value()->Encode("Über", 64), (Ids{2, 14, 3}));
}

TEST(WordPiece, CutsLongTextsAtTheEnd) {
  const auto tokenizer = MakeTokenizer(SmallTokenizer(true)).value();
  EXPECT_EQ(tokenizer->Encode("a a a a a a", 4), (Ids{2, 4, 4, 3}));
  EXPECT_EQ(tokenizer->Encode("a froggy", 4), (Ids{2, 4, 5, 3}));
}

TEST(WordPiece, SurvivesBytesThatArentText) {
  const auto tokenizer = MakeTokenizer(SmallTokenizer(true)).value();
  EXPECT_EQ(tokenizer->Encode(std::string("a\0\xFF\xFE a", 6), 64), (Ids{2, 4, 4, 3}));
}

TEST(WordPiece, RefusesAVocabularyWithoutItsMarks) {
  Json json = SmallTokenizer(true);
  json["model"]["vocab"].erase("[SEP]");
  EXPECT_EQ(MakeTokenizer(json).code(), Code::kCorrupt);
  EXPECT_EQ(MakeTokenizer({{"model", {{"type", "Unigram"}}}}).code(), Code::kUnsupported);
  EXPECT_EQ(MakeTokenizer(Json::object()).code(), Code::kCorrupt);
}

// Numbers as BERT's own uncased tokenizer gives them.
TEST(WordPiece, AgreesWithBert) {
  SKIP_UNLESS_PULLED("open-1k");
  const auto tokenizer = LoadTokenizer(TestModels() + "/open-1k/tokenizer.json");
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.message();
  EXPECT_EQ((*tokenizer)->Encode("Hello, world!", 64), (Ids{101, 7592, 1010, 2088, 999, 102}));
  EXPECT_EQ((*tokenizer)->Encode("A frog.", 64), (Ids{101, 1037, 10729, 1012, 102}));
  EXPECT_EQ((*tokenizer)->Encode("unaffable", 64), (Ids{101, 14477, 20961, 3468, 102}));
  EXPECT_EQ((*tokenizer)->Encode("Café", 64), (*tokenizer)->Encode("cafe", 64));
}

}  // namespace
}  // namespace msearch::embedding
