#include "media/document.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/legacy_text.h"
#include "support/prepare_bytes.h"

namespace msearch::media {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

std::string WithoutSpace(std::string_view text) {
  std::string out;
  for (char c : text) {
    if (c != ' ' && c != '\n') out += c;
  }
  return out;
}

TEST(Rtf, GivesWhatAReaderSees) {
  const PlainRtf rtf = ReadRtf(
      "{\\rtf1\\ansi\\ansicpg1252\\deff0{\\fonttbl{\\f0\\fswiss Helvetica;}}{\\colortbl;\\red255;}"
      "{\\info{\\title A \\'e9tude}{\\author Nobody}}{\\stylesheet{\\s1 Heading;}}\n"
      "\\f0\\fs24 The \\b wombat\\b0  is na\\'efve.\\par\n{\\*\\generator Word;}"
      "{\\pict\\pngblip 89504e470d0a}\\bin3 {}}One\\tab two\\line\nthree \\{\\}{\\v hidden}"
      "{\\field{\\*\\fldinst HYPERLINK \"x\"}{\\fldrslt link}}\\emdash\\~end}");
  EXPECT_EQ(rtf.title, "A étude");
  EXPECT_EQ(rtf.text, "The wombat is naïve.\nOne\ttwo\nthree {}link— end");
}

TEST(Rtf, KnowsUnicodeAndTheCodePagesOfFonts) {
  EXPECT_EQ(
      ReadRtf("{\\rtf1\\ansi\\u28857?\\u24515? {\\uc2\\u-10179\\'3f\\'3f\\u-8704\\'3f\\'3f}x}")
          .text,
      "点心 \xF0\x9F\x98\x80x");
  EXPECT_EQ(
      ReadRtf(
          "{\\rtf1\\ansi{\\fonttbl{\\f0 Arial;}{\\f1\\fcharset134 SimSun;}{\\f2\\fcharset204 A;}}"
          "{\\f1\\'d0\\'dc\\'c3\\'a8}\\f2\\'cc\\'e8\\'f0\\f0\\'e9}")
          .text,
      "熊猫Мирé");
  EXPECT_EQ(ReadRtf("{\\rtf1\\ansi\\ansicpg932 \\'93\\'fa\\'96\\'7b}").text, "日本");
}

TEST(Rtf, TakesAnything) {
  EXPECT_EQ(ReadRtf("").text, "");
  EXPECT_EQ(ReadRtf("{\\rtf1 a\\").text, "a");
  EXPECT_EQ(ReadRtf("}}}b{{{\\'4").text, "b");
  EXPECT_EQ(ReadRtf("\\bin99999999999 c").text, "");
  EXPECT_EQ(ReadRtf(std::string(5000, '{') + "d" + std::string(5000, '}') + "e").text, "de");
}

TEST(Rtf, IsADocument) {
  const auto prepared =
      PrepareBytes("{\\rtf1\\ansi First line\\par Second one\\par}", "letter.rtf");
  ASSERT_TRUE(prepared.ok()) << prepared.message();
  EXPECT_EQ(prepared->mime, "application/rtf");
  EXPECT_EQ(prepared->title, "First line");
  EXPECT_THAT(prepared->segments[0].text, HasSubstr("Second one"));
}

TEST(CutPassages, KeepsParagraphsTogetherWhileTheyFit) {
  EXPECT_THAT(CutPassages("One two.\n\nThree four.\n\n\nFive six seven.", 4),
              ElementsAre("One two.\n\nThree four.", "Five six seven."));
}

TEST(CutPassages, CutsALongParagraphBetweenSentences) {
  EXPECT_THAT(CutPassages("One two three. Four five six. Seven eight.", 6),
              ElementsAre("One two three. Four five six.", "Seven eight."));
}

TEST(CutPassages, CutsAnEndlessSentenceBetweenWords) {
  EXPECT_THAT(CutPassages("one two three four five", 2),
              ElementsAre("one two", "three four", "five"));
}

TEST(CutPassages, CountsChineseByCharacters) {
  EXPECT_THAT(CutPassages("今天天气好。我们去公园。", 6),
              ElementsAre("今天天气好。", "我们去公园。"));
  EXPECT_THAT(CutPassages("今天天气好", 2), ElementsAre("今天", "天气", "好"));
}

TEST(CutPassages, LosesNothingAndKeepsTheLimit) {
  std::string text;
  for (int i = 0; i < 3000; ++i) {
    text += "word" + std::to_string(i) + (i % 7 == 0 ? ". " : i % 31 == 0 ? ".\n\n" : " ");
    if (i % 11 == 0) text += "图书馆";
  }
  std::string together;
  for (const std::string& passage : CutPassages(text, 50)) {
    EXPECT_LE(CountWords(passage), 50U);
    EXPECT_FALSE(passage.empty());
    together += passage;
  }
  EXPECT_EQ(WithoutSpace(together), WithoutSpace(text));
}

TEST(Markdown, KeepsWordsAndDropsMarks) {
  const PlainMarkdown plain = StripMarkdown(
      "# A *great* title #\n\nSome **bold**, _leaning_ and `code_here` words, snake_case_name and "
      "2 * 3.\n\n- [x] a [link](https://example.org/a_(b)) here\n3. ![a cat](cat.jpg)\n> quoted\n"
      "\n| Name | Age |\n|------|-----|\n| Ann  | 7 |\n\n<!-- gone -->\n<b>fat</b> "
      "<https://example.org>\n\n```c++\nint *a_b_c;\n```\n");
  EXPECT_EQ(plain.title, "A great title");
  EXPECT_THAT(plain.text, HasSubstr("Some bold, leaning and code_here words, snake_case_name and "
                                    "2 * 3."));
  EXPECT_THAT(plain.text, HasSubstr("a link here\na cat\nquoted"));
  EXPECT_THAT(plain.text, HasSubstr("Name  Age\nAnn  7"));
  EXPECT_THAT(plain.text, HasSubstr("fat https://example.org"));
  EXPECT_THAT(plain.text, HasSubstr("int *a_b_c;"));
  EXPECT_THAT(plain.text, Not(HasSubstr("gone")));
  EXPECT_THAT(plain.text, Not(HasSubstr("```")));
}

TEST(Markdown, TitleComesFromFrontMatterOrUnderlinedHeading) {
  EXPECT_EQ(StripMarkdown("---\ntitle: \"In front\"\ndate: 1\n---\n# Other\n").title, "In front");
  EXPECT_EQ(StripMarkdown("Underlined\n==========\ntext\n").title, "Underlined");
  EXPECT_EQ(StripMarkdown("plain text only\n").title, "");
}

TEST(Markdown, OddInputEnds) {
  for (const std::string& text :
       {std::string(200000, '['), std::string(200000, '`'), std::string(200000, '<'),
        std::string(200000, '*'), std::string(200000, '>'), std::string("![](")}) {
    StripMarkdown(text);
  }
  std::string nested;
  for (int i = 0; i < 5000; ++i) nested = "[" + nested + "](x)";
  StripMarkdown(nested);
}

TEST(Documents, GiveTitleAndPassages) {
  const Result<Prepared> text = PrepareBytes("\n  First line \n\nand more.", "a.txt");
  ASSERT_TRUE(text.ok()) << text.message();
  EXPECT_EQ(text->type, MediaType::kDocument);
  EXPECT_EQ(text->mime, "text/plain");
  EXPECT_EQ(text->title, "First line");
  ASSERT_EQ(text->segments.size(), 1U);
  EXPECT_EQ(text->segments[0].text, "First line\n\nand more.");
  EXPECT_TRUE(text->thumbnail.empty());

  const Result<Prepared> markdown = PrepareBytes("# Title\n\nWords.", "a.MD");
  ASSERT_TRUE(markdown.ok()) << markdown.message();
  EXPECT_EQ(markdown->mime, "text/markdown");
  EXPECT_EQ(markdown->title, "Title");
}

TEST(Documents, ChineseOnceReadAsLatinOneIsRepaired) {
  // "图书馆" in UTF-8, each byte taken for a character of Latin-1 and encoded again.
  const std::string misread =
      "\xC3\xA5\xC2\x9B\xC2\xBE\xC3\xA4\xC2\xB9\xC2\xA6\xC3\xA9\xC2\xA6\xC2\x86";
  const Result<Prepared> prepared = PrepareBytes(misread + " (library)\n", "a.txt");
  ASSERT_TRUE(prepared.ok()) << prepared.message();
  EXPECT_EQ(prepared->segments[0].text, "图书馆 (library)");
}

TEST(Documents, WithoutTextOrTooLargeAreExplained) {
  EXPECT_EQ(PrepareBytes(" \n\t\n", "a.txt").code(), Code::kCorrupt);
  PrepareOptions options;
  options.text_bytes_max = 10;
  const Result<Prepared> prepared = PrepareBytes("more than ten bytes", "a.txt", options);
  EXPECT_EQ(prepared.code(), Code::kTooLarge);
  EXPECT_EQ(prepared.message(), "file: 19 bytes, limit 10");
}

TEST(MediaType, IsToldByExtension) {
  EXPECT_EQ(TypeOfExtension("/a.b/c.JPeG"), MediaType::kPicture);
  EXPECT_EQ(TypeOfExtension("notes.md"), MediaType::kDocument);
  EXPECT_EQ(TypeOfExtension("/a.jpg/file"), std::nullopt);
  EXPECT_EQ(TypeOfExtension("jpg"), std::nullopt);
  for (MediaType type :
       {MediaType::kPicture, MediaType::kVideo, MediaType::kAudio, MediaType::kDocument}) {
    EXPECT_EQ(TypeFromName(TypeName(type)), type);
  }
  EXPECT_THAT(SupportedExtensions(), testing::Contains(".heic"));
}

}  // namespace
}  // namespace msearch::media
