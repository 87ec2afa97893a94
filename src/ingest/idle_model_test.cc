#include "ingest/idle_model.h"

#include <gtest/gtest.h>

#include <array>
#include <fstream>
#include <memory>
#include <thread>
#include <vector>

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

size_t ResidentMebibytes() {
  size_t pages = 0;
  size_t resident = 0;
  std::ifstream("/proc/self/statm") >> pages >> resident;
  return resident * 4096 >> 20;
}

// Many small pieces, as a model's graph has beside its weights.
struct Pieces {
  explicit Pieces(size_t mebibytes) {
    for (size_t i = 0; i < mebibytes << 10; ++i) {
      pieces.push_back(std::make_unique<std::array<char, 1000>>());
    }
  }
  std::vector<std::unique_ptr<std::array<char, 1000>>> pieces;
};

TEST(IdleModel, ItsMemoryGoesBackToTheSystem) {
#ifdef __SANITIZE_ADDRESS__
  GTEST_SKIP() << "the sanitizer's allocator keeps what was freed, to find uses of it";
#endif
  static constexpr size_t kMebibytes = 200;
  // What comes after the model and stays would keep everything before it.
  std::unique_ptr<char[]> last;
  size_t loaded = 0;
  IdleModel<Pieces> model([] { return std::make_unique<Pieces>(size_t{kMebibytes}); },
                          Milliseconds(0));
  std::thread([&] {
    ASSERT_TRUE(model
                    .With([&](Pieces&) -> Result<> {
                      last = std::make_unique<char[]>(1000);
                      loaded = ResidentMebibytes();
                      return Ok{};
                    })
                    .ok());
  }).join();
  ASSERT_GT(loaded, kMebibytes);
  model.UnloadIfIdle();
  EXPECT_LT(ResidentMebibytes(), loaded - kMebibytes * 3 / 4);
}

}  // namespace
}  // namespace msearch::ingest
