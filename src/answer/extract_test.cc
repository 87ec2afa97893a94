#include "answer/extract.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace msearch::answer {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

Question Read(std::string_view text) { return ReadQuestion(text).value(); }

Passage Text(const std::string& path, const std::string& text) {
  Passage passage;
  passage.media_id = static_cast<int64_t>(std::hash<std::string>()(path) % 1000);
  passage.type = "document";
  passage.path = path;
  passage.text = text;
  return passage;
}

Passage Picture(const std::string& path, const std::string& label, double probability) {
  Passage passage;
  passage.type = "image";
  passage.path = path;
  passage.labels = {{label, probability}};
  return passage;
}

Evidence Of(const Question& question, std::vector<Passage> passages) {
  Evidence evidence{std::move(passages), {}, ""};
  evidence.rarity.assign(question.terms.size(), 3);
  return evidence;
}

const Passage kHarbour =
    Text("log.md",
         "# Log of the Marigold\n\nThe Marigold is a fishing boat. She left the harbour of Brixton "
         "on 3 May 1911 with\nnine men. The weather was fair.\n\n- nets: 40\n- crew: Tom Hale and "
         "others\n");

TEST(ExtractTest, SentenceThatAnswersIsQuotedAndCited) {
  const Question question = Read("When did the Marigold leave the harbour?");
  const Answer answer = Extract(
      question, Of(question, {Text("b.txt", "A boat needs paint every spring."), kHarbour}));
  EXPECT_TRUE(answer.found);
  EXPECT_EQ(answer.mode, "extractive");
  ASSERT_FALSE(answer.claims.empty());
  EXPECT_EQ(answer.claims[0].text, "She left the harbour of Brixton on 3 May 1911 with nine men.");
  EXPECT_EQ(answer.claims[0].citations, std::vector<int>{1});
  EXPECT_EQ(answer.citations[0].passage.path, "log.md");
  EXPECT_THAT(answer.text, HasSubstr("1911 with nine men. [1]"));
}

TEST(ExtractTest, WhatIsNotThereIsNotInvented) {
  const Question question = Read("Who baked the wedding cake for Eleanor?");
  const Answer answer = Extract(question, Of(question, {kHarbour}));
  EXPECT_FALSE(answer.found);
  EXPECT_THAT(answer.text, HasSubstr("not in your library"));
  EXPECT_THAT(answer.citations, IsEmpty());
  EXPECT_THAT(answer.claims, IsEmpty());
  const Question chinese = Read("谁发明了电话？");
  EXPECT_THAT(Extract(chinese, Of(chinese, {kHarbour})).text, HasSubstr("资料库"));
}

TEST(ExtractTest, RightSubjectWithoutTheFactIsNotEnough) {
  const Question question = Read("How much did the Marigold cost to insure?");
  EXPECT_FALSE(Extract(question, Of(question, {kHarbour})).found);
}

TEST(ExtractTest, ChineseSentencesAnswerChineseQuestions) {
  const Question question = Read("灯塔是哪一年建成的？");
  const Answer answer =
      Extract(question, Of(question, {Text("灯塔.txt",
                                           "海岸边有一座白色的灯塔。灯塔于1923年建成，高三十米。"
                                           "守塔人姓陈。")}));
  EXPECT_TRUE(answer.found);
  EXPECT_EQ(answer.claims.at(0).text, "灯塔于1923年建成，高三十米。");
}

TEST(ExtractTest, NameOfTheFileCountsAsContext) {
  const Question question = Read("What is the rent of the Aldermoor flat?");
  const Answer answer = Extract(
      question,
      Of(question, {Text("contracts/Aldermoor flat.txt", "The rent is 640 pounds a month.")}));
  EXPECT_TRUE(answer.found);
  EXPECT_THAT(answer.text, HasSubstr("640"));
}

TEST(ExtractTest, HeadingsGiveContextAndAreNotQuoted) {
  const Question question = Read("What is the rent of the Aldermoor flat?");
  const Answer answer =
      Extract(question, Of(question, {Text("a.txt",
                                           "Lease of the Aldermoor flat\n\nThe landlady lives in "
                                           "Leeds. The rent is 640 pounds a month.\n")}));
  EXPECT_TRUE(answer.found);
  EXPECT_EQ(answer.claims.at(0).text, "The rent is 640 pounds a month.");
}

TEST(ExtractTest, NumberOfAnotherKindIsNoAnswer) {
  const Question question = Read("How tall is Mount Tambora?");
  EXPECT_FALSE(
      Extract(question, Of(question, {Text("v.txt", "Mount Tambora erupted in April 1815.")}))
          .found);
  EXPECT_TRUE(
      Extract(question, Of(question, {Text("v.txt", "Mount Tambora is 2850 metres tall.")})).found);
}

TEST(ExtractTest, WordThatNamesTheKindNeedNotBeThere) {
  const Question question = Read("What did the new roof cost?");
  const Passage passage = Text("a.txt", "The new roof was laid in May for 2,300 pounds.");
  EXPECT_TRUE(Extract(question, Of(question, {passage})).found);
  const Question cold = Read("How cold is the cellar?");
  EXPECT_FALSE(Extract(cold, Of(cold, {Text("a.txt", "The cellar has 3 doors.")})).found);
}

TEST(ExtractTest, RowOfATableIsQuotedAlone) {
  const Question question = Read("How many loaves does the cafe order?");
  const Answer answer =
      Extract(question, Of(question, {Text("orders.csv",
                                           "customer,item,pieces\nhotel,rolls,80\n"
                                           "cafe,rye loaves,24\nschool,buns,30\n")}));
  EXPECT_TRUE(answer.found);
  EXPECT_EQ(answer.claims.at(0).text, "cafe,rye loaves,24");
}

TEST(ExtractTest, HalfOfTheQuestionIsNotEnough) {
  const Question question = Read("How much wool does a ewe give?");
  EXPECT_FALSE(
      Extract(question, Of(question, {Text("a.txt", "Wash the 3 mirrors with cotton wool.")}))
          .found);
  const Question chinese = Read("收购商老秦住在哪里？");
  EXPECT_FALSE(Extract(chinese, Of(chinese, {Text("a.txt", "收购商老秦每斤给两块六。")})).found);
}

TEST(ExtractTest, WordsWithOneBeginningAreKin) {
  const Question question = Read("Why was the drill slow?");
  EXPECT_TRUE(Extract(question, Of(question, {Text("a.txt",
                                                   "The drill was slower because chairs blocked "
                                                   "the stairs.")}))
                  .found);
}

TEST(ExtractTest, SeamOfTwoChineseWordsCountsLittle) {
  const Question question = Read("新伙计的月薪是多少？");
  EXPECT_TRUE(
      Extract(question, Of(question, {Text("a.txt", "来了一位伙计，月薪四千五百元。")})).found);
}

TEST(ExtractTest, WhoIsToldByWhomItWasDone) {
  const Question question = Read("Who founded the club?");
  EXPECT_TRUE(
      Extract(question, Of(question, {Text("a.txt", "The club was founded by four postmen.")}))
          .found);
}

TEST(ExtractTest, PicturesAnswerQuestionsAboutPictures) {
  const Question question = Read("Which picture shows a tree frog?");
  const Answer answer =
      Extract(question, Of(question, {kHarbour, Picture("a/p1.png", "tree frog", 0.8)}));
  EXPECT_TRUE(answer.found);
  EXPECT_EQ(answer.citations.at(0).passage.path, "a/p1.png");
  EXPECT_THAT(answer.text, HasSubstr("tree frog (80 %)"));
}

TEST(ExtractTest, SentencesThatSayTheSameAreSaidOnce) {
  const Question question = Read("When did the Marigold leave the harbour?");
  std::vector<Passage> passages(6, kHarbour);
  EXPECT_THAT(Extract(question, Of(question, passages)).claims, SizeIs(1));
}

TEST(ExtractTest, ChosenPassagesDiffer) {
  const Question question = Read("What is known of the harbour of Brixton?");
  std::vector<Passage> passages(5, Text("a.txt", "The harbour of Brixton is deep."));
  passages.push_back(Text("b.txt", "In Brixton the fish market opens at six."));
  const auto chosen = ChoosePassages(question, Of(question, passages), 2);
  ASSERT_THAT(chosen, SizeIs(2));
  EXPECT_EQ(chosen[0].path, "a.txt");
  EXPECT_EQ(chosen[1].path, "b.txt");
}

TEST(ExtractTest, NothingInNothingOut) {
  const Question question = Read("Is anything here?");
  EXPECT_FALSE(Extract(question, {}).found);
  EXPECT_THAT(ChoosePassages(question, {}, 5), IsEmpty());
}

TEST(AnswerTest, JsonNamesPagesAndMoments) {
  const Question question = Read("When did the Marigold leave the harbour?");
  Passage page = kHarbour;
  page.page = 3;
  Passage moment = kHarbour;
  moment.start_time = 12.5;
  moment.end_time = 18;
  Answer answer;
  answer.found = true;
  answer.citations = {Cite(page, "q"), Cite(moment, "q")};
  const Json json = ToJson(answer, question);
  EXPECT_THAT(json["citations"][0]["url"].get<std::string>(), HasSubstr("#page=3"));
  EXPECT_THAT(json["citations"][1]["url"].get<std::string>(), HasSubstr("#t=12,19"));
  EXPECT_EQ(json["citations"][1]["number"], 2);
  EXPECT_FALSE(json.contains("nearest"));
}

TEST(AnswerTest, BoxGoesAroundTheLinesThatAreQuoted) {
  Passage picture;
  picture.boxes = {{"OPEN DAILY", {0.1, 0.1, 0.5, 0.1}},
                   {"from nine", {0.1, 0.25, 0.4, 0.1}},
                   {"no dogs", {0.1, 0.8, 0.3, 0.1}}};
  EXPECT_THAT(Cite(picture, "Open daily from nine").box, testing::ElementsAre(0.1, 0.1, 0.5, 0.25));
  EXPECT_THAT(Cite(picture, "something else").box, SizeIs(4));
  EXPECT_THAT(Cite(Passage(), "x").box, IsEmpty());
}

TEST(ExtractTest, HoursSayWhenSomethingCloses) {
  const Question question = Read("When does the bakery close on weekdays?");
  const Answer answer = Extract(
      question, Of(question, {Text("sign.png", "Corner bakery\nMonday to Friday: 6 am to 5 pm")}));
  EXPECT_TRUE(answer.found);
}

TEST(ExtractTest, TableSaysByItsColumnsAndDatesWhatASentenceSaysInWords) {
  const Question question = Read("Where was the meteor of March 2019 seen?");
  const Answer answer = Extract(
      question, Of(question, {Text("sky/meteors.csv",
                                   "date,size,seen from\n2019-03-02,small,Norway\n2020-04-01,big,"
                                   "Chile\n")}));
  ASSERT_TRUE(answer.found);
  EXPECT_EQ(answer.claims[0].text, "2019-03-02,small,Norway");
}

TEST(ExtractTest, AnotherChineseWordForItAndEnglishLabelsCount) {
  const auto dictionary =
      embedding::ChineseDictionary::Parse(
          "孔雀\tpeafowl; peacock\n打破\tbreak\n摔坏\tbreak; smash\n花瓶\tvase\n")
          .value();
  Question question = Read("花瓶是谁摔坏的？");
  const Evidence evidence = Of(question, {Text("信.txt", "那只花瓶被小猫打破了。")});
  const double before = Extract(question, evidence).confidence;
  AddMeanings(dictionary, &question);
  EXPECT_GT(Extract(question, evidence).confidence, before);
  Question pictures = Read("哪张图片里有孔雀？");
  AddMeanings(dictionary, &pictures);
  EXPECT_TRUE(Extract(pictures, Of(pictures, {Picture("1.png", "peacock", 0.9)})).found);
  EXPECT_FALSE(Extract(pictures, Of(pictures, {Picture("1.png", "frog", 0.9)})).found);
}

}  // namespace
}  // namespace msearch::answer
