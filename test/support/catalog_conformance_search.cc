#include <gmock/gmock.h>

#include "base/strings.h"
#include "support/catalog_conformance.h"

namespace msearch::catalog {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

}  // namespace

TEST_P(CatalogConformance, ChineseWordsOfAnyLengthAreFoundInLongerTexts) {
  AddRoot("notes");
  Index("notes", "a.txt", Document("a", {"一只绿色的小青蛙坐在荷叶上。"}));
  Index("notes", "b.txt", Document("b", {"青色的石头，蛙声一片"}));
  EXPECT_THAT(Search("青蛙"), ElementsAre("notes:a.txt"));
  EXPECT_THAT(Search("小青蛙"), ElementsAre("notes:a.txt"));
  EXPECT_THAT(Search("荷叶上"), ElementsAre("notes:a.txt"));
  EXPECT_THAT(Search("蛙"), ElementsAre("notes:a.txt", "notes:b.txt"));
  EXPECT_THAT(Search("上"), ElementsAre("notes:a.txt"));  // the last of its run
  EXPECT_THAT(Search("青蛙 荷叶"), ElementsAre("notes:a.txt"));
  EXPECT_THAT(Search("青蛙，荷叶"), ElementsAre("notes:a.txt"));
  EXPECT_THAT(Search("蛙青"), IsEmpty());
  EXPECT_THAT(Search("青蛙 石头"), IsEmpty());
}

TEST_P(CatalogConformance, AnyPhraseFindsAndRarePhrasesWeighMost) {
  AddRoot("notes");
  Index("notes", "a.txt", Document("a", {"the ship left the harbour", "nothing of it"}));
  Index("notes", "b.txt", Document("b", {"a ship", "another ship, 青蛙"}));
  Index("notes", "c.txt", Document("c", {"one more ship"}));
  Index("notes", "zebra.txt", Document("d", {"names count too"}));
  const std::vector<std::string> phrases{"harbour", "ships", "青蛙", "\"", "unicorn", "zebra"};
  const AnyMatches any = Get(catalog_->SearchAny(phrases, {}, 10));
  ASSERT_THAT(any.rarity, SizeIs(6));
  EXPECT_GT(any.rarity[0], any.rarity[1]);
  EXPECT_EQ(any.rarity[3], 0);
  EXPECT_GT(any.rarity[4], any.rarity[0]);
  ASSERT_THAT(any.matches, SizeIs(5));
  std::vector<SegmentId> ids;
  for (const auto& match : any.matches) ids.push_back(match.segment);
  const auto infos = Get(catalog_->GetSegments(ids, {}));
  ASSERT_THAT(infos, SizeIs(5));
  std::vector<std::string> paths;
  for (const auto& info : infos) paths.push_back(info.paths[0].path);
  // A rare word in a name, then a rare word and a common one, then the common one alone.
  EXPECT_EQ(paths.front(), "zebra.txt");
  EXPECT_THAT(std::set(paths.begin() + 1, paths.begin() + 3),
              testing::UnorderedElementsAre("a.txt", "b.txt"));

  Filters filters;
  filters.path_prefix = "a";
  EXPECT_THAT(Get(catalog_->SearchAny(phrases, filters, 10)).matches, SizeIs(1));
  EXPECT_THAT(Get(catalog_->SearchAny(phrases, {}, 2)).matches, SizeIs(2));
  EXPECT_THAT(Get(catalog_->SearchAny(std::vector<std::string>{}, {}, 2)).matches, IsEmpty());
}

TEST_P(CatalogConformance, JapaneseAndKoreanAreFound) {
  AddRoot("notes");
  Index("notes", "ja.txt", Document("ja", {"カエルがハスの葉に座っています。ﾗｰﾒﾝ"}));
  Index("notes", "ko.txt", Document("ko", {"학교에서 개구리를 봤다"}));
  EXPECT_THAT(Search("カエル"), ElementsAre("notes:ja.txt"));
  EXPECT_THAT(Search("座って"), ElementsAre("notes:ja.txt"));
  EXPECT_THAT(Search("ラーメン"), ElementsAre("notes:ja.txt"));  // half-width in the text
  EXPECT_THAT(Search("개구리"), ElementsAre("notes:ko.txt"));    // with a particle in the text
  EXPECT_THAT(Search("학교"), ElementsAre("notes:ko.txt"));
}

TEST_P(CatalogConformance, CaseWidthAndAccentsDoNotMatter) {
  AddRoot("notes");
  Index("notes", "a.txt", Document("a", {"Das Café in der STRASSE, ＡＢＣ１２３, iPhone手机壳"}));
  for (const char* query :
       {"cafe", "CAFÉ", "straße", "abc123", "iphone", "手机", "iPhone手机", "Cafe\u0301"}) {
    EXPECT_THAT(Search(query), ElementsAre("notes:a.txt")) << query;
  }
}

TEST_P(CatalogConformance, EnglishFormsOfOneWordAreOneWord) {
  AddRoot("photos");
  Index("photos", "a.jpg", Picture("a", "", {"tree frogs", "berries", "children running", "box"}));
  for (const char* query :
       {"frog", "frogs", "Berry", "berries", "child", "child run", "runs", "boxes", "frog's"}) {
    EXPECT_THAT(Search(query), ElementsAre("photos:a.jpg")) << query;
  }
}

TEST_P(CatalogConformance, LastWordIsAPrefixAndOthersAreNot) {
  AddRoot("notes");
  Index("notes", "a.txt", Document("a", {"holiday pictures of the mountains"}));
  EXPECT_THAT(Search("holi"), ElementsAre("notes:a.txt"));
  EXPECT_THAT(Search("pictures mount"), ElementsAre("notes:a.txt"));
  EXPECT_THAT(Search("holi mountains"), IsEmpty());
}

TEST_P(CatalogConformance, EveryWordMustOccurInSomeField) {
  AddRoot("photos");
  Index("photos", "holiday/pond.jpg", Picture("a", "", {"frog"}));
  Index("photos", "work/pond.jpg", Picture("b", "", {"frog"}));
  EXPECT_THAT(Search("holiday frog"), ElementsAre("photos:holiday/pond.jpg"));
  EXPECT_THAT(Search("photos pond frog"), SizeIs(2));
  EXPECT_THAT(Search("holiday toad"), IsEmpty());
  EXPECT_THAT(Search("a drawing of the frog"), IsEmpty());
  EXPECT_THAT(Search("the frog of a holiday"), ElementsAre("photos:holiday/pond.jpg"));
}

TEST_P(CatalogConformance, WordsMayBeSpreadOverANameAndAnyOfItsPassages) {
  AddRoot("notes");
  Index("notes", "annual-report.txt", Document("a", {"introduction", "revenue grew", "outlook"}));
  Index("notes", "letter.txt", Document("b", {"dear", "revenue fell"}));
  const std::vector<TextMatch> matches = Get(catalog_->SearchText("report revenue", {}, 10));
  ASSERT_THAT(matches, SizeIs(1));
  EXPECT_EQ(Get(catalog_->SegmentText(matches[0].segment)), "revenue grew");
  EXPECT_THAT(matches[0].fields, ElementsAre("name", "text"));
  // A name alone gives one hit, not one for each passage.
  EXPECT_THAT(Get(catalog_->SearchText("annual report", {}, 10)), SizeIs(1));
  Filters filters;
  filters.path_prefix = "letter";
  EXPECT_THAT(Search("report revenue", filters), IsEmpty());
}

TEST_P(CatalogConformance, PartsOfFileNamesAreFound) {
  AddRoot("photos");
  Index("photos", "IMG_2034.jpg", Picture("a"));
  Index("photos", "HolidayFrog2.PNG", Picture("b"));
  EXPECT_THAT(Search("IMG_2034"), ElementsAre("photos:IMG_2034.jpg"));
  EXPECT_THAT(Search("2034"), ElementsAre("photos:IMG_2034.jpg"));
  EXPECT_THAT(Search("img_2034.jpg"), ElementsAre("photos:IMG_2034.jpg"));
  EXPECT_THAT(Search("frog"), ElementsAre("photos:HolidayFrog2.PNG"));
  EXPECT_THAT(Search("holidayfrog2"), ElementsAre("photos:HolidayFrog2.PNG"));
  EXPECT_THAT(Search("2034_img"), IsEmpty());
}

TEST_P(CatalogConformance, QuotesAskForAPhrase) {
  AddRoot("notes");
  Index("notes", "a.txt", Document("a", {"green frogs and red toads, 青蛙 and 荷叶"}));
  EXPECT_THAT(Search("\"green frogs\""), ElementsAre("notes:a.txt"));
  EXPECT_THAT(Search("\"red frogs\""), IsEmpty());
  EXPECT_THAT(Search("\"and red\" green"), ElementsAre("notes:a.txt"));
  EXPECT_THAT(Search("\"青蛙 and\""), ElementsAre("notes:a.txt"));
  EXPECT_THAT(Search("\"green frogs"), ElementsAre("notes:a.txt"));  // never closed
  EXPECT_THAT(Search("\"gree\""), IsEmpty());                        // no prefix inside quotes
}

TEST_P(CatalogConformance, NothingInAQueryBreaksIt) {
  AddRoot("notes");
  Index("notes", "a.txt", Document("a", {"frog"}));
  for (const char* query :
       {"frog AND", "OR frog", "frog*", "-frog", "(frog", "frog)", "^frog", "{frog}",
        "frog:", "'frog'", "frog;--", "\"frog", "frog\"", "frog\"\"", "frog + +"}) {
    EXPECT_THAT(Search(query), ElementsAre("notes:a.txt")) << query;
  }
  for (const char* query : {"", " ", "\"", "\"\"", "*", "AND", "NEAR(a b, 2)", "name:frog",
                            "\xFF\xFE", "。，", "%", "\\", "NOT frog"}) {
    EXPECT_TRUE(catalog_->SearchText(query, {}, 10).ok()) << query;
  }
  std::string long_query;
  for (int i = 0; i < 3000; ++i) long_query += "word" + std::to_string(i) + "青蛙 ";
  EXPECT_TRUE(catalog_->SearchText(long_query, {}, 10).ok());
  EXPECT_TRUE(catalog_->SearchText(std::string(100'000, 'a'), {}, 10).ok());
  EXPECT_THAT(Get(catalog_->SearchText("frog", {}, 0)), IsEmpty());
}

TEST_P(CatalogConformance, MatchesInNamesAndLabelsComeBeforeThoseInTexts) {
  AddRoot("notes");
  Index("notes", "text.txt", Document("a", {"somewhere a frog sits in a long text about ponds"}));
  Index("notes", "label.jpg", Picture("b", "", {"frog"}));
  Index("notes", "frog.jpg", Picture("c"));
  std::vector<std::string> fields;
  double before = 1e9;
  for (const TextMatch& match : Get(catalog_->SearchText("frog", {}, 10))) {
    fields.push_back(match.fields.at(0));
    EXPECT_LT(match.score, before);
    before = match.score;
  }
  EXPECT_THAT(fields, ElementsAre("name", "label", "text"));
}

TEST_P(CatalogConformance, WordsThatAreEverywhereStillFindNamesFirstAndKeepToFilters) {
  AddRoot("notes");
  std::vector<FileFact> facts;
  for (int i = 0; i < 1200; ++i) facts.push_back(Fact(std::to_string(i) + ".txt"));
  facts[3].path = "frog.txt";
  facts[5].path = "sub/five.txt";
  Get(catalog_->FilesPresent("notes", facts));
  std::vector<Commit> commits;
  for (const File& file : Get(catalog_->PendingFiles(0, 2000))) {
    commits.push_back(CommitFor(file, Document(file.fact.path, {"frog"}), {1, 1}));
  }
  Get(catalog_->Apply(commits));
  const std::vector<TextMatch> matches = Get(catalog_->SearchText("frog", {}, 20));
  ASSERT_THAT(matches, SizeIs(20));
  EXPECT_THAT(matches[0].fields, ElementsAre("name", "text"));
  Filters filters;
  filters.path_prefix = "sub/";
  EXPECT_THAT(Search("frog", filters), ElementsAre("notes:sub/five.txt"));
}

TEST_P(CatalogConformance, SnippetShowsTheOriginalAroundTheWords) {
  AddRoot("notes");
  std::string text;
  for (int i = 0; i < 100; ++i) text += "Wörter davor ";
  text += "ein Grüner FROSCH\nsaß ";
  for (int i = 0; i < 100; ++i) text += "和之后的文字";
  Index("notes", "a.txt", Document("a", {text}));
  const std::vector<TextMatch> matches = Get(catalog_->SearchText("frosch", {}, 10));
  ASSERT_THAT(matches, SizeIs(1));
  const std::string snippet = Get(catalog_->TextSnippet(matches[0].segment, "frosch"));
  EXPECT_THAT(snippet, HasSubstr("Grüner FROSCH saß"));
  EXPECT_TRUE(IsUtf8(snippet));
  EXPECT_LT(snippet.size(), 260U);
  // Only in the name: no snippet.
  EXPECT_EQ(Get(catalog_->TextSnippet(matches[0].segment, "a.txt")), "");
  EXPECT_EQ(catalog_->TextSnippet(987654, "frosch").code(), Code::kNotFound);
}

TEST_P(CatalogConformance, MediaOfSegmentsLeavesOutWhatIsGone) {
  AddRoot("notes");
  const MediaId kept = Index("notes", "a.txt", Document("a", {"one", "two"})).media;
  const MediaId gone = Index("notes", "b.txt", Document("b", {"three"})).media;
  std::vector<SegmentId> ids = Get(catalog_->SegmentsOf(gone));
  for (const SegmentId id : Get(catalog_->SegmentsOf(kept))) ids.push_back(id);
  Expect(catalog_->FilesGone("notes", std::array{std::string("b.txt")}));
  EXPECT_THAT(Get(catalog_->MediaOf(ids)),
              ElementsAre(std::pair(ids[1], kept), std::pair(ids[2], kept)));
}

TEST_P(CatalogConformance, FiltersSelectMediaAndPathsThatPassComeFirst) {
  AddRoot("photos");
  AddRoot("work");
  const auto picture = [](const std::string& bytes, UnixMs captured) {
    MediaContent content = Picture(bytes, "word");
    content.captured_at = captured;
    content.size = bytes.size();
    return content;
  };
  Index("photos", "2024/a.jpg", picture("a", 1000));
  Index("photos", "2025/bb.jpg", picture("bb", 2000));
  Index("work", "2024/bb.jpg", picture("bb", 2000));
  Index("work", "c.txt", Document("ccc", {"word"}));  // of its modification date, 1000
  const std::vector<std::string> all = {"photos:2024/a.jpg", "photos:2025/bb.jpg", "work:c.txt"};
  const auto expect = [&](const Filters& filters, const std::vector<std::string>& expected) {
    EXPECT_EQ(Passing(filters), expected);
    EXPECT_EQ(Listed(filters), expected);
    EXPECT_EQ(Search("word", filters), expected);
  };
  expect({}, all);
  expect({.roots = {"photos", "work"}}, all);
  expect({.roots = {"work"}}, {"work:2024/bb.jpg", "work:c.txt"});
  expect({.roots = {"none"}}, {});
  expect({.types = {"image"}}, {"photos:2024/a.jpg", "photos:2025/bb.jpg"});
  expect({.types = {"document", "video"}}, {"work:c.txt"});
  expect({.path_prefix = "2024/"}, {"photos:2024/a.jpg", "work:2024/bb.jpg"});
  expect({.roots = {"photos"}, .path_prefix = "2024"}, {"photos:2024/a.jpg"});
  expect({.date_from = 1001}, {"photos:2025/bb.jpg"});
  expect({.date_to = 2000}, {"photos:2024/a.jpg", "work:c.txt"});
  expect({.date_from = 1000, .date_to = 1001}, {"photos:2024/a.jpg", "work:c.txt"});
  expect({.size_min = 2}, {"photos:2025/bb.jpg", "work:c.txt"});
  expect({.size_max = 2}, {"photos:2024/a.jpg", "photos:2025/bb.jpg"});
  expect({.roots = {"work"}, .types = {"image"}, .date_from = 1500, .size_min = 2, .size_max = 2},
         {"work:2024/bb.jpg"});
}

TEST_P(CatalogConformance, MediaAreListedNewestFirstInPages) {
  AddRoot("photos");
  std::vector<std::string> expected;
  for (int i = 0; i < 7; ++i) {
    MediaContent content = Picture(std::to_string(i));
    content.captured_at = 1000 * (i * 3 % 7);
    Index("photos", std::to_string(i * 3 % 7), content);
    expected.insert(expected.begin(), std::to_string(i));
  }
  for (const Filters& filters : {Filters{}, Filters{.types = {"image"}}}) {
    std::vector<std::string> seen;
    for (size_t offset = 0; offset < 9; offset += 3) {
      int64_t total = 0;
      for (const Media& media : Get(catalog_->ListMedia({filters, offset, 3}, &total))) {
        seen.push_back(media.paths.at(0).path);
      }
      EXPECT_EQ(total, 7);
    }
    EXPECT_EQ(seen, expected);
  }
}

TEST_P(CatalogConformance, SegmentsComeInTheOrderAskedForWithoutThoseThatAreGone) {
  AddRoot("notes");
  const CommitEffect effect = Index("notes", "a.txt", Document("a", {"one", "two", "three"}));
  const std::vector<SegmentId> ids = Get(catalog_->SegmentsOf(effect.media));
  ASSERT_THAT(ids, SizeIs(3));
  const std::vector<SegmentInfo> infos =
      Get(catalog_->GetSegments(std::array{ids[2], SegmentId{999999}, ids[0]}, {}));
  ASSERT_THAT(infos, SizeIs(2));
  EXPECT_EQ(infos[0].index, 2U);
  EXPECT_EQ(infos[1].index, 0U);
  EXPECT_EQ(infos[0].hash, Sha256("a"));
  EXPECT_EQ(infos[0].type, "document");
  EXPECT_EQ(catalog_->SegmentText(999999).code(), Code::kNotFound);
}

}  // namespace msearch::catalog
