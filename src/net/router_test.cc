#include "net/router.h"

#include <gtest/gtest.h>

namespace msearch::net {
namespace {

Route At(const std::string& method, const std::string& pattern) {
  Route route;
  route.method = method;
  route.pattern = pattern;
  route.handle = [](const Request&) { return Response{}; };
  return route;
}

class RouterTest : public testing::Test {
 protected:
  Router::Match Find(const std::string& method, const std::vector<std::string>& parts) {
    return router_.Find(method, parts);
  }
  Router router_{{At("GET", "/{rest...}"), At("GET", "/api/tasks/{id}"),
                  At("POST", "/api/tasks/{id}/retry"), At("POST", "/api/tasks/retry"),
                  At("GET", "/api/tasks/newest"), At("GET", "/"), At("POST", "/api/search"),
                  At("GET", "/files/{root}/{rest...}")}};
};

TEST_F(RouterTest, LiteralWinsOverName) {
  EXPECT_EQ(Find("GET", {"api", "tasks", "newest"}).route->pattern, "/api/tasks/newest");
  EXPECT_EQ(Find("GET", {"api", "tasks", "7"}).route->pattern, "/api/tasks/{id}");
}

TEST_F(RouterTest, ArgumentsAreWhatTheNamesMatched) {
  EXPECT_EQ(Find("POST", {"api", "tasks", "a b", "retry"}).arguments,
            std::vector<std::string>{"a b"});
  EXPECT_EQ(Find("GET", {"files", "r", "x", "y.jpg"}).arguments,
            (std::vector<std::string>{"r", "x/y.jpg"}));
}

TEST_F(RouterTest, LiteralHidesNameWhateverTheMethod) {
  auto match = Find("GET", {"api", "tasks", "retry"});
  EXPECT_EQ(match.route, nullptr);
  EXPECT_EQ(match.allow, "POST");
}

TEST_F(RouterTest, OtherMethodIsNamedInAllow) {
  auto match = Find("DELETE", {"api", "tasks", "7"});
  EXPECT_EQ(match.route, nullptr);
  EXPECT_EQ(match.allow, "GET, HEAD");
}

TEST_F(RouterTest, CatchAllDoesNotHideAWrongMethod) {
  auto match = Find("GET", {"api", "search"});
  EXPECT_EQ(match.route, nullptr);
  EXPECT_EQ(match.allow, "POST");
}

TEST_F(RouterTest, CatchAllTakesTheRest) {
  EXPECT_EQ(Find("GET", {"assets", "app.js"}).arguments, std::vector<std::string>{"assets/app.js"});
  EXPECT_EQ(Find("GET", {}).route->pattern, "/");
  EXPECT_EQ(Find("GET", {"files", "r"}).route->pattern, "/files/{root}/{rest...}");
}

TEST_F(RouterTest, CatchAllsOfSeveralMethodsStandSideBySide) {
  Router router({At("GET", "/{rest...}"), At("POST", "/{rest...}"), At("PUT", "/a/{rest...}")});
  EXPECT_EQ(router.Find("GET", {"a"}).route->method, "GET");
  EXPECT_EQ(router.Find("POST", {"a"}).route->method, "POST");
  EXPECT_EQ(router.Find("PUT", {"a", "b"}).route->method, "PUT");
  EXPECT_EQ(router.Find("DELETE", {"a", "b"}).allow, "GET, HEAD, POST, PUT");
}

TEST_F(RouterTest, NameDoesNotMatchNothing) {
  EXPECT_EQ(Find("POST", {"api", "tasks", "", "retry"}).route, nullptr);
}

}  // namespace
}  // namespace msearch::net
