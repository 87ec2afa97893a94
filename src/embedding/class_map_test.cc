#include "embedding/class_map.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace msearch::embedding {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr char kHead[] = "index,mid,display_name\n";

std::string Fault(const std::string& csv) {
  const auto names = ParseClassMap(csv);
  EXPECT_FALSE(names.ok());
  if (names.ok()) return "";
  EXPECT_EQ(names.code(), Code::kCorrupt);
  return names.message();
}

TEST(ClassMap, GivesTheNamesByIndex) {
  const auto names = ParseClassMap(std::string(kHead) +
                                   "0,/m/09x0r,Speech\n"
                                   "1,/m/0ytgt,\"Child speech, kid speaking\"\r\n"
                                   "2,/m/x,\"A \"\"mid\"\" note\"");
  ASSERT_TRUE(names.ok()) << names.message();
  EXPECT_THAT(*names, ElementsAre("Speech", "Child speech, kid speaking", "A \"mid\" note"));
}

TEST(ClassMap, NamesTheLineThatIsWrong) {
  EXPECT_THAT(Fault(""), HasSubstr("no classes"));
  EXPECT_THAT(Fault(kHead), HasSubstr("no classes"));
  EXPECT_THAT(Fault("0,/m/09x0r,Speech\n"), HasSubstr("line 1: not the heading"));
  EXPECT_THAT(Fault(std::string(kHead) + "0,a,Dog\n2,b,Cat\n"), HasSubstr("line 3: not class 1"));
  EXPECT_THAT(Fault(std::string(kHead) + "0,Dog\n"), HasSubstr("line 2: not three fields"));
  EXPECT_THAT(Fault(std::string(kHead) + "0,a, \n"), HasSubstr("line 2: no name"));
  EXPECT_THAT(Fault(std::string(kHead) + "0,a,\"Dog\n"), HasSubstr("line 2: a quotation"));
  EXPECT_THAT(Fault(std::string(kHead) + "0,a,\"Dog\"s\n"), HasSubstr("line 2: a quotation"));
}

}  // namespace
}  // namespace msearch::embedding
