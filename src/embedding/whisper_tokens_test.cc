#include "embedding/whisper_tokens.h"

#include <gtest/gtest.h>

#include <array>

#include "base/json.h"
#include "embedding/byte_characters.h"

namespace msearch::embedding {
namespace {

// A vocabulary of a few pieces; each is written byte by byte as such vocabularies do.
constexpr std::array<const char*, 5> kPieces = {" Hello", " wor", "ld", "\xE4\xBD",
                                                "\xA0\xE5\xA5\xBD"};

std::string Vocabulary(bool whole = true) {
  const auto characters = ByteCharacters();
  Json vocabulary = Json::object();
  for (size_t i = 0; i < kPieces.size(); ++i) {
    std::string written;
    for (const char* byte = kPieces[i]; *byte != 0; ++byte) {
      written += characters[static_cast<unsigned char>(*byte)];
    }
    vocabulary[written] = i;
  }
  Json added = Json::array();
  int64_t id = 5;
  for (const char* name : {"<|endoftext|>", "<|startoftranscript|>", "<|en|>", "<|zh|>",
                           "<|transcribe|>", "<|nocaptions|>", "<|notimestamps|>", "<|0.00|>"}) {
    if (whole || name != std::string("<|transcribe|>")) {
      added.push_back({{"id", id}, {"content", name}});
    }
    ++id;
  }
  return DumpJson({{"model", {{"vocab", vocabulary}}}, {"added_tokens", added}});
}

const char kRules[] = R"({"lang_to_id": {"<|en|>": 7, "<|zh|>": 8, "<|xx|>": 99999},
                          "suppress_tokens": [1, 6, -1, 123456], "begin_suppress_tokens": [0, 5]})";

TEST(WhisperTokens, JoinPiecesOfACharacter) {
  const auto tokens = WhisperTokens::Parse(Vocabulary(), kRules);
  ASSERT_TRUE(tokens.ok()) << tokens.message();
  EXPECT_EQ(tokens->Text(std::vector<int64_t>{0, 1, 2}), "Hello world");
  EXPECT_EQ(tokens->Text(std::vector<int64_t>{3, 4}), "你好");
}

TEST(WhisperTokens, LeaveOutWhatIsNoText) {
  const auto tokens = WhisperTokens::Parse(Vocabulary(), kRules).value();
  EXPECT_EQ(tokens.Text(std::vector<int64_t>{6, 7, 12, 0, 40, 5}), "Hello");
  EXPECT_EQ(tokens.Text(std::vector<int64_t>{-1, 1 << 30}), "");
}

TEST(WhisperTokens, MakeValidTextOfHalfACharacter) {
  const auto tokens = WhisperTokens::Parse(Vocabulary(), kRules).value();
  EXPECT_EQ(tokens.Text(std::vector<int64_t>{0, 3}), "Hello\xEF\xBF\xBD");
}

TEST(WhisperTokens, KnowCommandsLanguagesAndMoments) {
  const auto tokens = WhisperTokens::Parse(Vocabulary(), kRules).value();
  EXPECT_EQ(tokens.end(), 5);
  EXPECT_EQ(tokens.start(), 6);
  EXPECT_EQ(tokens.languages(), (std::map<std::string, int64_t>{{"en", 7}, {"zh", 8}}));
  EXPECT_EQ(tokens.first_moment(), 12);
  EXPECT_FALSE(tokens.IsMoment(11));
  EXPECT_DOUBLE_EQ(tokens.SecondsOf(12 + 75), 1.5);
  EXPECT_EQ(tokens.count(), 12 + 1501);
  // What isn't in the vocabulary can't be suppressed; that there be no moments always is.
  EXPECT_EQ(tokens.suppressed(), (std::vector<int64_t>{1, 6, 11}));
  EXPECT_EQ(tokens.suppressed_first(), (std::vector<int64_t>{0, 5}));
}

TEST(WhisperTokens, NameACommandThatIsMissing) {
  const auto tokens = WhisperTokens::Parse(Vocabulary(false), kRules);
  ASSERT_FALSE(tokens.ok());
  EXPECT_EQ(tokens.code(), Code::kCorrupt);
  EXPECT_NE(tokens.message().find("<|transcribe|>"), std::string::npos);
}

TEST(WhisperTokens, RefuseAnythingElse) {
  EXPECT_FALSE(WhisperTokens::Parse("[]", "{}").ok());
  EXPECT_FALSE(WhisperTokens::Parse("{}", "[]").ok());
  EXPECT_FALSE(WhisperTokens::Parse("", kRules).ok());
}

}  // namespace
}  // namespace msearch::embedding
