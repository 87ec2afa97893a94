#include "answer/wanted.h"

#include <gtest/gtest.h>

#include "catalog/words.h"

namespace msearch::answer {
namespace {

bool Has(Wants wants, const std::string& text) {
  std::set<std::string> terms;
  for (const catalog::Term& term : catalog::Terms(text)) terms.insert(term.text);
  return HasKind(wants, text, terms);
}

TEST(WantedTest, TimeIsMoreThanANumber) {
  EXPECT_TRUE(Has(Wants::kTime, "She left in 1911."));
  EXPECT_TRUE(Has(Wants::kTime, "The coach leaves at 7.40."));
  EXPECT_TRUE(Has(Wants::kTime, "Cafe Orlo,rye loaves,24,07:00"));
  EXPECT_TRUE(Has(Wants::kTime, "He came on the 24th."));
  EXPECT_TRUE(Has(Wants::kTime, "We meet on Thursday."));
  EXPECT_TRUE(Has(Wants::kTime, "图书馆九点开门。"));
  EXPECT_FALSE(Has(Wants::kTime, "Reward: 75 pounds"));
  EXPECT_FALSE(Has(Wants::kTime, "It weighs 12.5 kilos."));
}

TEST(WantedTest, MeasuresGoByTheirUnits) {
  EXPECT_TRUE(Has(Wants::kTemperature, "It is eight degrees all year."));
  EXPECT_FALSE(Has(Wants::kTemperature, "Class 6b visits the mine."));
  EXPECT_TRUE(Has(Wants::kWeight, "An otter eats one kilo of fish."));
  EXPECT_FALSE(Has(Wants::kWeight, "The skeleton is 25 metres long."));
  EXPECT_TRUE(Has(Wants::kLength, "The skeleton is 25 metres long."));
  EXPECT_TRUE(Has(Wants::kExtent, "The skeleton is 25 metres long."));
  EXPECT_TRUE(Has(Wants::kExtent, "It lasts two hours."));
  EXPECT_FALSE(Has(Wants::kDuration, "The skeleton is 25 metres long."));
  EXPECT_TRUE(Has(Wants::kMoney, "Admission is free."));
  EXPECT_FALSE(Has(Wants::kMoney, "Four floors were empty."));
  EXPECT_TRUE(Has(Wants::kFrequency, "It is washed every three years."));
  EXPECT_TRUE(Has(Wants::kNumber, "It holds only fifteen people."));
  EXPECT_FALSE(Has(Wants::kNumber, "It holds people."));
}

TEST(WantedTest, WordThatNamesTheKindIsKnown) {
  EXPECT_TRUE(NamesKind(Wants::kMoney, "cost"));
  EXPECT_TRUE(NamesKind(Wants::kExtent, "long"));
  EXPECT_FALSE(NamesKind(Wants::kMoney, "long"));
  EXPECT_FALSE(NamesKind(Wants::kAnything, "cost"));
}

TEST(WantedTest, HoursGoFromOneTimeOfDayToAnother) {
  EXPECT_TRUE(HasHours("Monday to Friday: 6 am to 10 pm"));
  EXPECT_TRUE(HasHours("open 8:30-17:00"));
  EXPECT_TRUE(HasHours("营业时间：早上八点到晚上九点"));
  EXPECT_FALSE(HasHours("Monday to Friday"));
  EXPECT_FALSE(HasHours("He went from 3 to 5 shops by 10 pm."));
  EXPECT_FALSE(HasHours("The war lasted from 1914 to 1918."));
  EXPECT_FALSE(HasHours("九点开门。第二家店明天搬迁，请各位顾客注意，后天十点"));
  EXPECT_TRUE(NamesHours("closes"));
  EXPECT_TRUE(NamesHours("关门"));
  EXPECT_FALSE(NamesHours("door"));
}

}  // namespace
}  // namespace msearch::answer
