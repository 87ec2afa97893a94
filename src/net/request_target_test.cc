#include "net/request_target.h"

#include <gtest/gtest.h>

namespace msearch::net {
namespace {

TEST(RequestTarget, PathAndQueryAreDecodedByThemselves) {
  auto target = ParseRequestTarget("/api/roots/a%2Fb%20c+d?q=x%26y+z&empty=&flag&q=2");
  ASSERT_TRUE(target.ok());
  EXPECT_EQ(target->path, "/api/roots/a/b c+d");
  EXPECT_EQ(target->parts, (std::vector<std::string>{"api", "roots", "a/b c+d"}));
  EXPECT_EQ(target->query.find("q")->second, "x&y z");
  EXPECT_EQ(target->query.count("q"), 2u);
  EXPECT_EQ(target->query.find("empty")->second, "");
  EXPECT_EQ(target->query.count("flag"), 1u);
}

TEST(RequestTarget, RootHasNoParts) {
  auto target = ParseRequestTarget("/?a=1");
  ASSERT_TRUE(target.ok());
  EXPECT_EQ(target->path, "/");
  EXPECT_TRUE(target->parts.empty());
}

TEST(RequestTarget, HostileTargetsAreInvalid) {
  for (const char* raw :
       {"", "*", "http://host/", "a", "/a/../b", "/..", "/%2e%2e/etc", "/a%2f..%2fb", "/a%00b",
        "/%", "/%4", "/%zz", "/%ff", "/\xff", "/a?b=%00", "/a?b=%c3%28", "/a?%gg"}) {
    auto target = ParseRequestTarget(raw);
    ASSERT_FALSE(target.ok()) << raw;
    EXPECT_EQ(target.code(), Code::kInvalid) << raw;
  }
}

TEST(RequestTarget, DotsInNamesAreNoParents) { EXPECT_TRUE(ParseRequestTarget("/a..b/...").ok()); }

TEST(RequestTarget, CountOfFieldsIsBounded) {
  std::string text;
  for (int i = 0; i < 1000; ++i) text += "a&";
  EXPECT_TRUE(ParseUrlEncoded(text).ok());
  EXPECT_FALSE(ParseUrlEncoded(text + "a").ok());
}

TEST(Cookies, MalformedOnesAreLeftOut) {
  auto cookies = ParseCookies(" token=abc=; quoted=\"x y\"; nothing; =anonymous; token=second");
  EXPECT_EQ(cookies.size(), 2u);
  EXPECT_EQ(cookies["token"], "abc=");
  EXPECT_EQ(cookies["quoted"], "x y");
}

}  // namespace
}  // namespace msearch::net
