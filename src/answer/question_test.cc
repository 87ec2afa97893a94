#include "answer/question.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace msearch::answer {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::Not;

std::vector<std::string> FirstForms(const Question& question) {
  std::vector<std::string> forms;
  for (const QueryTerm& term : question.terms) forms.push_back(term.forms.front());
  return forms;
}

Question Read(std::string_view text) {
  auto question = ReadQuestion(text);
  EXPECT_TRUE(question.ok());
  return question.ok() ? *question : Question();
}

TEST(QuestionTest, WordsThatOnlyAskAreDropped) {
  const Question question = Read("Who painted the blue door of the Aldermoor house?");
  EXPECT_THAT(FirstForms(question), ElementsAre("paint", "blu", "door", "aldermoor", "hous"));
  EXPECT_EQ(question.words, "painted blue door Aldermoor house");
  EXPECT_EQ(question.wants, Wants::kPerson);
  EXPECT_FALSE(question.chinese);
}

TEST(QuestionTest, KindOfAnswerIsReadFromTheAskingWords) {
  EXPECT_EQ(Read("When did the ship leave?").wants, Wants::kTime);
  EXPECT_EQ(Read("In which year was the bridge built?").wants, Wants::kTime);
  EXPECT_EQ(Read("How many bees live in a hive?").wants, Wants::kNumber);
  EXPECT_EQ(Read("How do I clean the filter?").wants, Wants::kAnything);
  EXPECT_EQ(Read("Where is the spare key?").wants, Wants::kPlace);
  EXPECT_EQ(Read("Why was the meeting moved?").wants, Wants::kReason);
  EXPECT_EQ(Read("灯塔是哪一年建成的？").wants, Wants::kTime);
  EXPECT_EQ(Read("钥匙放在哪里？").wants, Wants::kPlace);
  EXPECT_EQ(Read("一共有多少只羊？").wants, Wants::kNumber);
  EXPECT_EQ(Read("是谁发明了这台机器？").wants, Wants::kPerson);
  EXPECT_EQ(Read("会议为什么推迟？").wants, Wants::kReason);
}

TEST(QuestionTest, MeasuresAskedForAreReadFromTheirAdjectives) {
  EXPECT_EQ(Read("How cold is it in the mine?").wants, Wants::kTemperature);
  EXPECT_EQ(Read("How heavy is the bell?").wants, Wants::kWeight);
  EXPECT_EQ(Read("How long does the play last?").wants, Wants::kExtent);
  EXPECT_EQ(Read("How often is the filter cleaned?").wants, Wants::kFrequency);
  EXPECT_EQ(Read("How much did the boat cost?").wants, Wants::kMoney);
  EXPECT_EQ(Read("How much water does it hold?").wants, Wants::kNumber);
  EXPECT_EQ(Read("要炖多长时间？").wants, Wants::kDuration);
}

double WeightOf(const Question& question, const std::string& form) {
  for (const QueryTerm& term : question.terms) {
    if (term.forms.front() == form) return term.weight;
  }
  return 0;
}

TEST(QuestionTest, WhatIsAskedWeighsMoreThanOfWhat) {
  EXPECT_GT(WeightOf(Read("When was the bridge opened?"), "open"), 1);
  EXPECT_GT(WeightOf(Read("What is the address of the surgeon?"), "address"), 1);
  EXPECT_GT(WeightOf(Read("How many wheels has the cart?"), "wheel"), 1);
  EXPECT_EQ(WeightOf(Read("How tall is Mount Kenya?"), "kenya"), 1);
  EXPECT_EQ(WeightOf(Read("Where does rain get into the barn?"), "barn"), 1);
  EXPECT_GT(WeightOf(Read("老王的电话是多少？"), "电话"), 1);
  EXPECT_GT(WeightOf(Read("谁修好了水泵？"), "修好"), 1);
}

TEST(QuestionTest, ChineseNameOfManyCharactersWeighsNoMoreThanAWord) {
  const Question question = Read("欧阳国强的妻子是谁？");
  double name = 0;
  for (const QueryTerm& term : question.terms) {
    if (term.run == 1) name += term.weight;
  }
  EXPECT_LT(name, 2);
  EXPECT_GT(WeightOf(question, "妻子"), 1);
}

TEST(QuestionTest, FormsOfIrregularVerbsAreOneTerm) {
  const Question question = Read("When did the ship leave the harbour?");
  ASSERT_EQ(question.terms.size(), 3u);
  EXPECT_THAT(question.terms[1].forms, Contains("left"));
  EXPECT_THAT(question.terms[1].phrases, Contains("left"));
  EXPECT_THAT(Read("Who wrote it?").terms.at(0).forms, Contains("written"));
}

TEST(QuestionTest, ChineseIsReadInPairsBetweenTheAskingWords) {
  const Question question = Read("请问灯塔是什么时候建成的？");
  EXPECT_TRUE(question.chinese);
  EXPECT_THAT(FirstForms(question), ElementsAre("灯塔", "建成"));
  EXPECT_THAT(FirstForms(Read("图书馆的开放时间")), Contains("书馆"));
}

TEST(QuestionTest, QuestionsAboutPicturesSaySo) {
  EXPECT_TRUE(Read("Which photo shows a frog?").wants_pictures);
  EXPECT_THAT(FirstForms(Read("Which photo shows a frog?")), Not(Contains("photo")));
  EXPECT_TRUE(Read("哪张图片里有青蛙？").wants_pictures);
  EXPECT_THAT(FirstForms(Read("哪张图片里有青蛙？")), ElementsAre("青蛙"));
  EXPECT_FALSE(Read("Where is the frog?").wants_pictures);
}

TEST(QuestionTest, QuestionOfStopWordsAloneKeepsThem) {
  EXPECT_THAT(Read("who are you").terms, Not(IsEmpty()));
  EXPECT_THAT(Read("你是谁").words, Not(IsEmpty()));
}

TEST(QuestionTest, EmptyOversizedAndBrokenQuestionsAreRefused) {
  EXPECT_EQ(ReadQuestion("  ").code(), Code::kInvalid);
  EXPECT_EQ(ReadQuestion(std::string(kQuestionBytesMax + 1, 'x')).code(), Code::kInvalid);
  EXPECT_EQ(ReadQuestion("\xff\xfe?").code(), Code::kInvalid);
  std::string many;
  for (int i = 0; i < 300; ++i) many += "w" + std::to_string(i) + " ";
  EXPECT_LE(Read(many).terms.size(), 24u);
}

TEST(QuestionTest, WeekdayIsAnyOfFiveDays) {
  const Question question = Read("When does the shop close on weekdays?");
  const QueryTerm& days = question.terms.back();
  EXPECT_THAT(days.phrases, Contains("friday"));
  EXPECT_THAT(Read("When is it shut on Friday?").terms.back().phrases, Not(Contains("monday")));
}

TEST(QuestionTest, DictionaryGivesChineseTermsOtherWords) {
  auto lines = std::string("大风\tgale\n小提琴\tfiddle; violin\n打破\tbreak\n摔坏\tbreak; smash\n");
  const auto dictionary = embedding::ChineseDictionary::Parse(lines).value();
  Question question = Read("大风摔坏的小提琴");
  AddMeanings(dictionary, &question);
  const auto term = [&](const std::string& form) {
    for (const QueryTerm& one : question.terms) {
      if (one.forms.front() == form) return one;
    }
    ADD_FAILURE() << form;
    return QueryTerm();
  };
  EXPECT_THAT(term("摔坏").synonyms, ElementsAre("打破"));
  EXPECT_TRUE(term("风摔").seam);
  EXPECT_FALSE(term("大风").seam);
  EXPECT_THAT(term("提琴").english, Contains(std::vector<std::string>{"violin"}));
}

}  // namespace
}  // namespace msearch::answer
