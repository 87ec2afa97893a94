#include "ingest/idle_model.h"

#include <gtest/gtest.h>

#include <thread>

namespace msearch::ingest {
namespace {

struct Loaded {
  explicit Loaded(int* count) : alive(count) { ++*alive; }
  ~Loaded() { --*alive; }
  int* alive;
};

TEST(IdleModel, IsGivenBackAndLoadedAgain) {
  int alive = 0;
  int loads = 0;
  IdleModel<Loaded> model(
      [&] {
        ++loads;
        return Result<std::unique_ptr<Loaded>>(std::make_unique<Loaded>(&alive));
      },
      Milliseconds(0));
  EXPECT_EQ(loads, 0);
  ASSERT_TRUE(model.With([](Loaded&) { return Ok{}; }).ok());
  EXPECT_EQ(alive, 1);
  model.UnloadIfIdle();
  EXPECT_EQ(alive, 0);
  ASSERT_TRUE(model.With([](Loaded&) { return Ok{}; }).ok());
  EXPECT_EQ(loads, 2);
  EXPECT_EQ(alive, 1);
}

TEST(IdleModel, StaysWhileItIsUsed) {
  int alive = 0;
  IdleModel<Loaded> model(
      [&] { return Result<std::unique_ptr<Loaded>>(std::make_unique<Loaded>(&alive)); },
      Milliseconds(0));
  ASSERT_TRUE(model
                  .With([&](Loaded&) -> Result<> {
                    std::thread([&] { model.UnloadIfIdle(); }).join();
                    EXPECT_EQ(alive, 1);
                    return Ok{};
                  })
                  .ok());
  IdleModel<Loaded> patient(
      [&] { return Result<std::unique_ptr<Loaded>>(std::make_unique<Loaded>(&alive)); },
      Milliseconds(3600 * 1000));
  ASSERT_TRUE(patient.With([](Loaded&) { return Ok{}; }).ok());
  patient.UnloadIfIdle();
  EXPECT_EQ(alive, 2);
}

TEST(IdleModel, ThatCannotBeLoadedIsNoFaultOfTheFile) {
  IdleModel<Loaded> model(
      [] {
        return Result<std::unique_ptr<Loaded>>(Error{Code::kNotFound, "pack: isn't here"});
      },
      Milliseconds(0));
  const Result<> done = model.With([](Loaded&) { return Ok{}; });
  ASSERT_FALSE(done.ok());
  EXPECT_EQ(done.code(), Code::kUnavailable);
}

}  // namespace
}  // namespace msearch::ingest
