// One target under libFuzzer: MSEARCH_FUZZ_TARGET=NAME fuzz [options] [corpus folders].
// MSEARCH_FUZZ_SEEDS=FOLDER writes the seeds of all targets to folders there, and ends;
// MSEARCH_FUZZ_LIST=1 prints their names, and ends. scripts/fuzz does all of it.

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "targets.h"

namespace {

msearch::fuzz::Target chosen;

void WriteSeeds(const std::string& folder) {
  for (const auto& target : msearch::fuzz::Targets()) {
    const std::string own = folder + "/" + std::string(target.name);
    std::filesystem::create_directories(own);
    int number = 0;
    for (const std::string& seed : target.seeds()) {
      std::ofstream(own + "/seed-" + std::to_string(number++), std::ios::binary) << seed;
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  if (const char* folder = std::getenv("MSEARCH_FUZZ_SEEDS")) {
    WriteSeeds(folder);
    std::exit(0);
  }
  const char* name = std::getenv("MSEARCH_FUZZ_TARGET");
  const bool list = std::getenv("MSEARCH_FUZZ_LIST") != nullptr;
  for (const auto& target : msearch::fuzz::Targets()) {
    if (name != nullptr && target.name == name) chosen = target;
    if (list) std::printf("%s\n", std::string(target.name).c_str());
  }
  if (list) std::exit(0);
  if (chosen.run == nullptr) {
    std::fprintf(stderr, "MSEARCH_FUZZ_TARGET: one of the targets is expected\n");
    std::exit(2);
  }
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, size_t size) {
  chosen.run({reinterpret_cast<const char*>(data), size});
  return 0;
}
