// Each target on its seeds, on all their beginnings, on seeded damage to them, and on what the
// fuzzers found (fuzz/found/TARGET/*).

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>

#include "targets.h"

namespace msearch::fuzz {
namespace {

class Replay : public testing::TestWithParam<Target> {};

std::string Damaged(std::string bytes, std::mt19937_64& random) {
  for (uint64_t change = 1 + random() % 6; change > 0; --change) {
    const size_t at = bytes.empty() ? 0 : random() % bytes.size();
    switch (bytes.empty() ? 2 : random() % 5) {
      case 0:
        bytes[at] = static_cast<char>(random());
        break;
      case 1:
        bytes[at] ^= static_cast<char>(1 << random() % 8);
        break;
      case 2:
        bytes.insert(at, 1, static_cast<char>(random()));
        break;
      case 3:
        bytes.erase(at, 1 + random() % 8);
        break;
      default:
        bytes.insert(at, bytes.substr(random() % bytes.size(), random() % 32));
    }
  }
  return bytes;
}

// Of damage to each seed; MSEARCH_FUZZ_ROUNDS makes it more, with other damage each time.
int Rounds() {
  const char* wanted = std::getenv("MSEARCH_FUZZ_ROUNDS");
  return wanted != nullptr ? std::atoi(wanted) : 150;
}

TEST_P(Replay, SurvivesDamagedInputs) {
  const Target& target = GetParam();
  std::mt19937_64 random(Rounds() == 150 ? 20260131 : std::random_device()());
  for (const std::string& seed : target.seeds()) {
    target.run(seed);
    const size_t step = 1 + seed.size() / 50;
    for (size_t size = 0; size < seed.size(); size += step) target.run(seed.substr(0, size));
    for (int i = 0; i < Rounds(); ++i) target.run(Damaged(seed, random));
  }
}

TEST_P(Replay, SurvivesWhatWasFound) {
  const std::filesystem::path folder =
      std::filesystem::path(MSEARCH_SOURCE_DIR) / "fuzz" / "found" / GetParam().name;
  std::error_code none;
  for (const auto& entry : std::filesystem::directory_iterator(folder, none)) {
    SCOPED_TRACE(entry.path());
    std::ifstream file(entry.path(), std::ios::binary);
    GetParam().run(std::string(std::istreambuf_iterator<char>(file), {}));
  }
}

INSTANTIATE_TEST_SUITE_P(Every, Replay, testing::ValuesIn(Targets()),
                         [](const auto& test) { return std::string(test.param.name); });

}  // namespace
}  // namespace msearch::fuzz
