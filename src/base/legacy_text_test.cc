#include "base/legacy_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace msearch {
namespace {

using testing::ElementsAre;

void ExpectDecoded(std::string_view bytes, const std::string& utf8, const std::string& encoding) {
  const Result<DecodedText> text = DecodeText(bytes);
  ASSERT_TRUE(text.ok()) << text.message();
  EXPECT_EQ(text->utf8, utf8);
  EXPECT_EQ(text->encoding, encoding);
}

TEST(DecodeText, KnowsUtf8WithAndWithoutMark) {
  ExpectDecoded("naïve 图书馆\r\nb\rc", "naïve 图书馆\nb\nc", "UTF-8");
  ExpectDecoded("\xEF\xBB\xBFwords", "words", "UTF-8");
}

TEST(DecodeText, KnowsUtf16ByMarkAndByZeros) {
  ExpectDecoded({"\xFF\xFE\x56\x00\xFE\x56", 6}, "V图", "UTF-16LE");
  ExpectDecoded({"\xFE\xFF\x56\xFE", 4}, "图", "UTF-16BE");
  ExpectDecoded({"h\0e\0l\0l\0o\0", 10}, "hello", "UTF-16LE");
  ExpectDecoded({"\0h\0e\0l\0l\0o", 10}, "hello", "UTF-16BE");
}

// As bytes of UTF-16, lower byte first or last.
std::string Utf16(std::u16string_view text, bool little) {
  std::string bytes;
  for (char16_t unit : text) {
    const char low = static_cast<char>(unit);
    const char high = static_cast<char>(unit >> 8);
    bytes += little ? low : high;
    bytes += little ? high : low;
  }
  return bytes;
}

TEST(DecodeText, KnowsChineseAndJapaneseUtf16WithoutMark) {
  const std::u16string chinese = u"今天我们在城里的图书馆看书。外面下雨了，一直下到晚上才停下来。";
  const std::u16string japanese = u"東京の図書館で本を読みました。雨が夜まで降り続いていた。";
  for (const bool little : {true, false}) {
    const std::string encoding = little ? "UTF-16LE" : "UTF-16BE";
    ExpectDecoded(Utf16(chinese, little),
                  "今天我们在城里的图书馆看书。外面下雨了，一直下到晚上才停下来。", encoding);
    ExpectDecoded(Utf16(japanese, little),
                  "東京の図書館で本を読みました。雨が夜まで降り続いていた。", encoding);
  }
}

TEST(DecodeText, KnowsRareCharactersOfGb18030) {
  ExpectDecoded(
      "\xC9\xFA\xC6\xA7\xD7\xD6\x81\x39\xEF\x31\xD3\xEB\x95\x32\x82\x36\xD2\xB2"
      "\xD4\xDA\xD5\xE2\xC0\xEF\n",
      "生僻字㐂与𠀀也在这里\n", "GB18030");
}

TEST(DecodeText, KnownEncodingsAreTakenAtTheirWord) {
  EXPECT_EQ(DecodeTextAs("\xD0\xDC\xC3\xA8", "GB18030"), "熊猫");
  EXPECT_EQ(DecodeTextAs("a\x81", "windows-31j"), "a\xEF\xBF\xBD");
  EXPECT_EQ(DecodeTextAs("abc", "no-such-encoding"), "abc");
}

TEST(DecodeText, BelievesWhatAFileSaysOfItselfUnlessItIsWrong) {
  // Valid in both encodings.
  const std::string_view bytes = "\xA4\xA4\xA4\xE5";
  EXPECT_EQ(DecodeText(bytes, "Big5")->utf8, "中文");
  EXPECT_EQ(DecodeText(bytes, "gb2312")->encoding, "GB18030");
  EXPECT_EQ(DecodeText("图书馆", "iso-8859-1")->utf8, "图书馆");
  EXPECT_EQ(DecodeText("caf\xE9 noir", "no-such-encoding")->utf8, "café noir");
}

TEST(DecodeText, GuessesEncodingsOfOld) {
  ExpectDecoded(
      "\xCE\xD2\xC3\xC7\xD4\xDA\xCD\xBC\xCA\xE9\xB9\xDD\xA3\xAC\xB9\xDB\xBF\xB4\xC3\xA8\xB5\xC4"
      "\xD5\xD5\xC6\xAC\xA1\xA3",
      "我们在图书馆，观看猫的照片。", "GB18030");
  ExpectDecoded(
      "\xA7\xDA\xAD\xCC\xA6\xB3\xA4\x40\xB0\xA6\xBF\xDF\xA1\x41\xA5\xA6\xAA\xBA\xA6\x57\xA6\x72"
      "\xA5\x73\xA4\x70\xA5\xD5\xA1\x43\xA7\xDA\xAD\xCC\xB3\xA3\xB3\xDF\xC5\x77\xA5\xA6\xA1\x43",
      "我們有一隻貓，它的名字叫小白。我們都喜歡它。", "Big5");
  ExpectDecoded("\x82\xB1\x82\xEA\x82\xCD\x94\x4C\x82\xCC\x8E\xCA\x90\x5E\x82\xC5\x82\xB7\x81\x42",
                "これは猫の写真です。", "Shift_JIS");
  ExpectDecoded("\xC4\xE3\xBA\xC3\xA3\xAC\xCA\xC0\xBD\xE7\xA1\xA3", "你好，世界。", "GB18030");
  ExpectDecoded("Le ch\xE2teau a \xE9t\xE9 b\xE2ti pr\xE8s de la for\xEAt, \xE0 c\xF4t\xE9 du lac.",
                "Le château a été bâti près de la forêt, à côté du lac.", "windows-1252");
}

TEST(DecodeText, RefusesWhatIsNotText) {
  std::string bytes;
  for (int i = 0; i < 4096; ++i) bytes += static_cast<char>(i * 7919 >> 3);
  EXPECT_EQ(DecodeText(bytes).code(), Code::kUnsupported);
}

TEST(RepairMisread, UndoesReadingAsLatinOneOrWindows1252) {
  EXPECT_EQ(RepairMisread("å›¾ä¹¦é¦†"), "图书馆");
  EXPECT_EQ(RepairMisread("ÐšÐ¾Ñ‚"), "Кот");
  EXPECT_EQ(RepairMisread("cafÃ© au lait, voilÃ  l’Ã©tÃ©, dÃ©jÃ  vu"),
            "café au lait, voilÃ  l’été, déjÃ  vu");
}

TEST(RepairMisread, LeavesSoundTextAlone) {
  for (const char* text : {"plain", "naïve café à l'été", "图书馆", "Ünïcödé", "°C ± 5 µm",
                           "“quoted”", "CAFÉ’S", "AMANHÔ”"}) {
    EXPECT_EQ(RepairMisread(text), text);
  }
}

TEST(Words, AreCountedByRunsOfLettersOrByCharacters) {
  EXPECT_EQ(CountWords(""), 0U);
  EXPECT_EQ(CountWords("It's 2 words, isn't it?"), 5U);
  EXPECT_EQ(CountWords("图书馆 and 写真です"), 8U);
  EXPECT_EQ(PrefixOfWords("one two three", 2), 8U);
  EXPECT_EQ(PrefixOfWords("图书馆", 2), 6U);
  EXPECT_EQ(PrefixOfWords("one", 5), 3U);
}

TEST(Sentences, AreSplitInEveryLanguageWithoutGaps) {
  EXPECT_THAT(SplitSentences("One. Two? 三。四！"), ElementsAre("One. ", "Two? ", "三。", "四！"));
  EXPECT_THAT(SplitSentences(""), ElementsAre());
}

}  // namespace
}  // namespace msearch
