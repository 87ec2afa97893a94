#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "media/document.h"
#include "support/archives.h"
#include "support/prepare_bytes.h"

namespace msearch::media {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

std::vector<std::string> Texts(const Prepared& prepared) {
  std::vector<std::string> texts;
  for (const Segment& segment : prepared.segments) texts.push_back(segment.text);
  return texts;
}
std::vector<uint32_t> Pages(const Prepared& prepared) {
  std::vector<uint32_t> pages;
  for (const Segment& segment : prepared.segments) pages.push_back(segment.page.value_or(0));
  return pages;
}

TEST(Office, WordDocumentsGiveTheirParagraphsAndTitle) {
  const auto prepared = PrepareBytes(
      test::MakeDocx({"The lighthouse keeper", "图书馆 & <more>"}, "A tale"), "a.docx");
  ASSERT_TRUE(prepared.ok()) << prepared.message();
  EXPECT_EQ(prepared->type, MediaType::kDocument);
  EXPECT_EQ(prepared->mime,
            "application/vnd.openxmlformats-officedocument.wordprocessingml.document");
  EXPECT_EQ(prepared->title, "A tale");
  EXPECT_THAT(Texts(*prepared), ElementsAre("The lighthouse keeper\n\n图书馆 & <more>"));
  EXPECT_EQ(prepared->segments[0].kind, SegmentKind::kPassage);
}

TEST(Office, WordDocumentsAreReadWhateverTheirName) {
  EXPECT_TRUE(PrepareBytes(test::MakeDocx({"words"}), "a.jpg").ok());
}

std::string DocxOf(const std::string& body) {
  return test::MakeZip({{"word/document.xml",
                         "<w:document xmlns:w=\"w\" xmlns:mc=\"m\">" + body + "</w:document>"}});
}

TEST(Office, WordDocumentsKnowThePagesOfTheirLastLayout) {
  const auto prepared =
      PrepareBytes(DocxOf("<w:p><w:r><w:t>one</w:t></w:r></w:p>"
                          "<w:p><w:r><w:lastRenderedPageBreak/><w:t>two</w:t></w:r></w:p>"),
                   "a.docx");
  ASSERT_TRUE(prepared.ok()) << prepared.message();
  EXPECT_THAT(Texts(*prepared), ElementsAre("one", "two"));
  EXPECT_THAT(Pages(*prepared), ElementsAre(1, 2));
}

TEST(Office, WhatAWordDocumentDoesNotShowIsNotRead) {
  const auto prepared = PrepareBytes(
      DocxOf("<w:p><w:r><w:delText>deleted</w:delText></w:r><w:r><w:instrText>PAGE</w:instrText>"
             "</w:r><mc:AlternateContent><mc:Choice><w:t>box</w:t></mc:Choice>"
             "<mc:Fallback><w:t>again</w:t></mc:Fallback></mc:AlternateContent>"
             "<w:r><w:tab/><w:t>end</w:t></w:r></w:p>"),
      "a.docx");
  ASSERT_TRUE(prepared.ok()) << prepared.message();
  EXPECT_THAT(Texts(*prepared), ElementsAre("box  end"));
}

TEST(Office, SlidesArePagesInTheOrderOfTheTalk) {
  for (const std::string& bytes : {test::MakePptx({"first", "second 图", "third"}, "Talk"),
                                   test::MakeOdp({"first", "second 图", "third"}, "Talk")}) {
    const auto prepared = PrepareBytes(bytes, "a");
    ASSERT_TRUE(prepared.ok()) << prepared.message();
    EXPECT_EQ(prepared->title, "Talk");
    EXPECT_THAT(Texts(*prepared), ElementsAre("first", "second 图", "third"));
    EXPECT_THAT(Pages(*prepared), ElementsAre(1, 2, 3));
  }
}

TEST(Office, SheetsArePagesWithTheirNamesAndCells) {
  const auto excel =
      PrepareBytes(test::MakeXlsx({{"Costs", {"rent", "电费"}}, {"Income", {"wage"}}}), "a.xlsx");
  ASSERT_TRUE(excel.ok()) << excel.message();
  EXPECT_THAT(Texts(*excel), ElementsAre("Costs\n\nrent  电费  42.5", "Income\n\nwage  42.5"));
  EXPECT_THAT(Pages(*excel), ElementsAre(1, 2));
  const auto calc =
      PrepareBytes(test::MakeOds({{"Costs", {"rent", "电费"}}, {"Income", {"wage"}}}), "a.ods");
  ASSERT_TRUE(calc.ok()) << calc.message();
  EXPECT_THAT(Texts(*calc), ElementsAre("Costs\n\nrent  电费", "Income\n\nwage"));
  EXPECT_THAT(Pages(*calc), ElementsAre(1, 2));
}

TEST(Office, OpenDocumentTextsGiveTheirParagraphs) {
  const auto prepared = PrepareBytes(test::MakeOdt({"one", "two"}, "Titled"), "a.odt");
  ASSERT_TRUE(prepared.ok()) << prepared.message();
  EXPECT_EQ(prepared->mime, "application/vnd.oasis.opendocument.text");
  EXPECT_EQ(prepared->title, "Titled");
  EXPECT_THAT(Texts(*prepared), ElementsAre("one\n\ntwo"));
}

TEST(Office, BooksGiveTheirChaptersInReadingOrder) {
  const auto prepared = PrepareBytes(test::MakeEpub({"begin", "middle", "end"}, "Book"), "a.epub");
  ASSERT_TRUE(prepared.ok()) << prepared.message();
  EXPECT_EQ(prepared->mime, "application/epub+zip");
  EXPECT_EQ(prepared->title, "Book");
  EXPECT_THAT(Texts(*prepared), ElementsAre("begin", "middle", "end"));
}

TEST(Office, EncryptedAndOldDocumentsAreNamedAsSuch) {
  const auto locked = PrepareBytes(
      test::MakeZip({{"mimetype", "application/vnd.oasis.opendocument.text"},
                     {"META-INF/manifest.xml", "<manifest><encryption-data/></manifest>"},
                     {"content.xml", "\x01\x02"}}),
      "a.odt");
  EXPECT_EQ(locked.code(), Code::kUnsupported);
  EXPECT_EQ(locked.message(), "document: encrypted; it needs a password");
  const auto old = PrepareBytes("\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1 and more", "a.doc");
  EXPECT_EQ(old.message(), "application/x-ole-storage: nothing here reads it");
}

TEST(Office, ArchivesOfOtherThingsAreUnsupported) {
  const auto prepared = PrepareBytes(test::MakeZip({{"a.txt", "words"}}), "a.docx");
  EXPECT_EQ(prepared.code(), Code::kUnsupported);
  EXPECT_EQ(prepared.message(), "application/zip: nothing here reads it");
}

TEST(Office, DamagedArchivesAndPartsAreCorrupt) {
  const std::string whole = test::MakeDocx({std::string(3000, 'x') + "words"});
  EXPECT_EQ(PrepareBytes(whole.substr(0, whole.size() / 2), "a.docx").code(), Code::kCorrupt);
  const auto broken = PrepareBytes(DocxOf("<w:p><w:t>never closed"), "a.docx");
  EXPECT_EQ(broken.code(), Code::kCorrupt);
  EXPECT_THAT(broken.message(), HasSubstr("word/document.xml: XML: not well-formed"));
}

TEST(Bombs, OfArchivesAreStoppedByWhatTheyUnpackTo) {
  PrepareOptions options;
  options.text_bytes_max = 1 << 20;
  const std::string bomb =
      test::MakeZipBomb("word/document.xml", "<d><p><t>", 64 << 20, "</t></p></d>");
  ASSERT_LT(bomb.size(), 200'000U);
  const auto prepared = PrepareBytes(bomb, "bomb.docx", options);
  EXPECT_EQ(prepared.code(), Code::kTooLarge);
  EXPECT_EQ(prepared.message(), "ZIP: unpacks to more than 8388608 bytes");
}

TEST(Bombs, OfTextWithinAnArchiveAreStoppedByTheLimitOnText) {
  PrepareOptions options;
  options.text_bytes_max = 1 << 20;
  std::string paragraphs;
  for (int i = 0; i < 1500; ++i) paragraphs += "<p><t>" + std::string(1000, 'b') + "</t></p>";
  const auto prepared = PrepareBytes(DocxOf(paragraphs), "a.docx", options);
  EXPECT_EQ(prepared.code(), Code::kTooLarge) << prepared.message();
}

TEST(Bombs, OfEntitiesAreRefused) {
  std::string xml = "<!DOCTYPE d [<!ENTITY a0 \"lol\">";
  for (int i = 1; i < 10; ++i) {
    xml += "<!ENTITY a" + std::to_string(i) + " \"";
    for (int k = 0; k < 10; ++k) xml += "&a" + std::to_string(i - 1) + ";";
    xml += "\">";
  }
  xml += "]><d><p><t>&a9;</t></p></d>";
  const auto prepared = PrepareBytes(test::MakeZip({{"word/document.xml", xml}}), "a.docx");
  EXPECT_EQ(prepared.code(), Code::kUnsupported);
  EXPECT_THAT(prepared.message(), HasSubstr("declares entities of its own"));
}

TEST(Bombs, DocumentsDoNotReachOutsideOfThemselves) {
  const std::string xml = "<!DOCTYPE d SYSTEM \"file:///etc/passwd\"><d><p><t>inside</t></p></d>";
  const auto prepared = PrepareBytes(test::MakeZip({{"word/document.xml", xml}}), "a.docx");
  ASSERT_TRUE(prepared.ok()) << prepared.message();
  EXPECT_THAT(Texts(*prepared), ElementsAre("inside"));
}

TEST(Html, GivesWhatABrowserShows) {
  const auto prepared = PrepareBytes(
      "<!DOCTYPE html><html><head><title>The  page</title><style>p{}</style>"
      "<script>var hidden;</script></head><body><h1>Head</h1><p>One <b>bold</b> wo<i>rd</i>."
      "<p>Two<br>three <img src=x alt=\"a lighthouse\"><ul><li>item</ul>"
      "<table><tr><td>a<td>b</tr></table><pre>x\n  y</pre>&eacute;&#22270;</body>",
      "a.html");
  ASSERT_TRUE(prepared.ok()) << prepared.message();
  EXPECT_EQ(prepared->mime, "text/html");
  EXPECT_EQ(prepared->title, "The page");
  EXPECT_THAT(Texts(*prepared),
              ElementsAre("Head\n\nOne bold word.\n\nTwo\nthree a lighthouse\n\nitem\n\n"
                          "a  b\n\nx\n  y\n\né图"));
}

TEST(Html, IsKnownByItsBeginningUnderAnyName) {
  EXPECT_EQ(PrepareBytes("\n <!doctype HTML><p>words", "notes.txt")->mime, "text/html");
  EXPECT_EQ(PrepareBytes("<html><p>words", "notes")->segments[0].text, "words");
}

TEST(Html, EncodingsAreTakenFromWhatThePageSays) {
  // "图书馆" in Big5 characters that are valid GB 18030 too.
  const auto big5 = PrepareBytes(
      "<html><head><meta charset=\"big5\"></head><body>\xB9\xCF\xAE\xD1\xC0\x5D</body>", "a.html");
  ASSERT_TRUE(big5.ok()) << big5.message();
  EXPECT_EQ(big5->segments[0].text, "圖書館");
  const auto gb = PrepareBytes(
      "<html><head><meta http-equiv=Content-Type content=\"text/html; charset=gb2312\"></head>"
      "\xCD\xBC\xCA\xE9\xB9\xDD",
      "a.html");
  EXPECT_EQ(gb->segments[0].text, "图书馆");
  // What the page says is wrong, as UTF-8 shows.
  const auto utf8 =
      PrepareBytes("<html><head><meta charset=iso-8859-1></head>图书馆</html>", "a.html");
  EXPECT_EQ(utf8->segments[0].text, "图书馆");
}

TEST(Html, ChineseOnceReadAsLatinIsRepaired) {
  EXPECT_EQ(PrepareBytes("<html><p>å›¾ä¹¦é¦†</p>", "a.html")->segments[0].text, "图书馆");
}

TEST(Html, DeepNestingAndBrokenTagsAreSurvived) {
  std::string deep;
  for (int i = 0; i < 20000; ++i) deep += "<div><b>";
  EXPECT_EQ(PrepareBytes("<html>" + deep + "words", "a.html")->segments[0].text, "words");
  EXPECT_EQ(PrepareBytes("<html><p <<b>words</p></x><p>more", "a.html")->segments[0].text,
            "words\n\nmore");
}

TEST(Subtitles, KeepTheTimesAtWhichTheyAreShown) {
  const std::string subrip =
      "1\r\n00:00:01,500 --> 00:00:03,000\r\n<i>Good</i> morning.\r\n\r\n"
      "2\r\n00:00:03,100 --> 00:00:05,000\r\n{\\an8}Two\r\nlines.\r\n\r\n"
      "3\r\n01:00:00,000 --> 01:00:02,250\r\nMuch later.\r\n";
  const auto prepared = PrepareBytes(subrip, "film.srt");
  ASSERT_TRUE(prepared.ok()) << prepared.message();
  EXPECT_EQ(prepared->mime, "application/x-subrip");
  EXPECT_THAT(Texts(*prepared), ElementsAre("Good morning.\nTwo lines.", "Much later."));
  EXPECT_EQ(prepared->segments[0].start_time, 1.5);
  EXPECT_EQ(prepared->segments[0].end_time, 5.0);
  EXPECT_EQ(prepared->segments[1].start_time, 3600.0);
  EXPECT_EQ(prepared->segments[1].end_time, 3602.25);
}

TEST(Subtitles, OfTheWebAreReadToo) {
  const auto cues = ReadCues(
      "WEBVTT\n\nNOTE nothing\n\nintro\n00:01.000 --> 00:02.500 align:start\n<v Ann>Hello.\n\n"
      "bad --> worse\nnot shown\n");
  ASSERT_EQ(cues.size(), 1U);
  EXPECT_EQ(cues[0].start, 1.0);
  EXPECT_EQ(cues[0].end, 2.5);
  EXPECT_EQ(cues[0].text, "Hello.");
}

TEST(Subtitles, WithoutTimesAreText) {
  const auto prepared = PrepareBytes("just words", "film.srt");
  ASSERT_TRUE(prepared.ok()) << prepared.message();
  EXPECT_THAT(Texts(*prepared), ElementsAre("just words"));
  EXPECT_FALSE(prepared->segments[0].start_time);
}

}  // namespace
}  // namespace msearch::media
