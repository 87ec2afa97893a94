#include "api/shapes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace msearch::api {
namespace {

using testing::HasSubstr;

const Shape kShape{
    Field{"name", Type::kText, "of it"}.Required(),
    Field{"kind", Type::kTextOrTexts, ""}.OneOf({"image", "video"}),
    {"dry_run", Type::kFlag, ""},
    Field{"limit", Type::kInteger, ""}.From(1, 10),
    {"speed", Type::kNumber, ""},
    {"id", Type::kId, ""},
    {"texts", Type::kTexts, ""},
    Field{"filters", Type::kObject, ""}.OrNull().Of({Field{"size", Type::kInteger, ""}.From(0)}),
    {"list", Type::kObjects, ""}};

// The complaint about an object that has a name and this as well.
std::string Complaint(Json json) {
  json["name"] = "x";
  const Result<> checked = CheckShape(json, kShape, "thing");
  return checked.ok() ? "" : checked.message();
}

TEST(Shapes, EveryTypeTakesItsOwn) {
  EXPECT_EQ(Complaint({{"kind", "image"},
                       {"dry_run", false},
                       {"limit", 10},
                       {"speed", 1},
                       {"id", "12"},
                       {"texts", Json::array()},
                       {"filters", {{"size", 0}}},
                       {"list", Json::array({Json::object()})}}),
            "");
  EXPECT_EQ(Complaint({{"kind", {"image", "video"}}, {"filters", nullptr}, {"id", 3}}), "");
}

TEST(Shapes, AnotherTypeIsRefusedByTheNameOfItsKey) {
  EXPECT_EQ(Complaint({{"dry_run", "yes"}}), "dry_run: true or false is expected");
  EXPECT_EQ(Complaint({{"dry_run", nullptr}}), "dry_run: true or false is expected");
  EXPECT_EQ(Complaint({{"name", "x"}, {"texts", {"a", 1}}}), "texts: a list of texts is expected");
  EXPECT_EQ(Complaint({{"limit", 11}}), "limit: a whole number from 1 to 10 is expected");
  EXPECT_EQ(Complaint({{"limit", 1.5}}), "limit: a whole number from 1 to 10 is expected");
  EXPECT_EQ(Complaint({{"limit", UINT64_MAX}}), "limit: a whole number from 1 to 10 is expected");
  EXPECT_EQ(Complaint({{"kind", 5}}), "kind: a text or a list of texts is expected");
  EXPECT_EQ(Complaint({{"kind", {"image", "film"}}}), "kind: film is not one of image, video");
  EXPECT_EQ(Complaint({{"id", "12a"}}), "id: an id is expected");
  EXPECT_EQ(Complaint({{"speed", "1"}}), "speed: a number is expected");
  EXPECT_EQ(Complaint({{"filters", {{"size", -1}}}}),
            "filters.size: a whole number of at least 0 is expected");
  EXPECT_EQ(Complaint({{"list", {1}}}), "list: a list of objects is expected");
}

TEST(Shapes, UnknownKeysNameTheNearestOrAll) {
  EXPECT_EQ(Complaint({{"dryrun", true}}), "thing: unknown key dryrun; did you mean dry_run?");
  EXPECT_THAT(Complaint({{"quarantine", true}}), HasSubstr("there is name, kind, dry_run"));
  EXPECT_EQ(Complaint({{"filters", {{"q", 1}}}}), "filters: unknown key q; there is size");
}

TEST(Shapes, RequiredKeysAndObjectsAreAskedFor) {
  EXPECT_EQ(CheckShape(Json::object(), kShape, "thing").message(),
            "thing: name is missing; a text is expected");
  EXPECT_EQ(CheckShape(Json::array(), kShape, "thing").message(), "thing: an object is expected");
}

TEST(Shapes, SchemaSaysTheSame) {
  const Json schema = SchemaOf(kShape, true);
  EXPECT_EQ(schema["required"], Json::array({"name"}));
  EXPECT_EQ(schema["additionalProperties"], false);
  const Json& properties = schema["properties"];
  EXPECT_EQ(properties["name"], Json({{"type", "string"}, {"description", "of it"}}));
  EXPECT_EQ(properties["limit"], Json({{"type", "integer"}, {"minimum", 1}, {"maximum", 10}}));
  EXPECT_EQ(properties["kind"]["anyOf"][1]["items"]["enum"], Json({"image", "video"}));
  EXPECT_EQ(properties["filters"]["anyOf"][0]["properties"]["size"]["type"], "integer");
  EXPECT_EQ(properties["filters"]["anyOf"][1]["type"], "null");
  EXPECT_EQ(SchemaOf(kShape, false).count("additionalProperties"), 0U);
}

}  // namespace
}  // namespace msearch::api
