// A worker without a task's model gives the task back and stands aside.

#include <gtest/gtest.h>

#include "ingest/embed.h"

namespace msearch::ingest {
namespace {

class Packs {
 public:
  std::string installed = "frogs-1";
  bool there = false;

  ModelHolder Holder() {
    return ModelHolder(
        [](const std::string&) -> Result<std::unique_ptr<embedding::Embedder>> {
          return Error{Code::kUnavailable, "not loaded in this test"};
        },
        Milliseconds(1000),
        [this](const std::string& name) -> Result<std::string> {
          if (there) return installed;
          return Error{Code::kNotFound, name + ": not pulled"};
        });
  }
};

Result<> Use(ModelHolder& holder, bool* lacking) {
  return holder.With(
      "frogs", "frogs-1", [](embedding::Embedder&) -> Result<> { return Ok{}; }, lacking);
}

TEST(ModelHolder, SaysThatItLacksAModelAndIsNotReady) {
  Packs packs;
  ModelHolder holder = packs.Holder();
  EXPECT_TRUE(holder.Ready());
  bool lacking = false;
  EXPECT_FALSE(Use(holder, &lacking).ok());
  EXPECT_TRUE(lacking);
  EXPECT_FALSE(holder.Ready());
  EXPECT_EQ(GetString(holder.Describe()["lacks"], "name"), "frogs");
}

TEST(ModelHolder, OtherFilesOfTheModelAreAnotherModel) {
  Packs packs;
  packs.there = true;
  packs.installed = "frogs-2";
  ModelHolder holder = packs.Holder();
  bool lacking = false;
  EXPECT_FALSE(Use(holder, &lacking).ok());
  EXPECT_TRUE(lacking);
}

TEST(ModelHolder, AModelThatIsThereButDoesNotLoadIsAnErrorOfItsOwn) {
  Packs packs;
  packs.there = true;
  ModelHolder holder = packs.Holder();
  bool lacking = false;
  const Result<> used = Use(holder, &lacking);
  EXPECT_EQ(used.code(), Code::kUnavailable);
  EXPECT_FALSE(lacking);
  EXPECT_TRUE(holder.Ready());
}

}  // namespace
}  // namespace msearch::ingest
