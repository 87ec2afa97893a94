#include "measure.h"

#include <time.h>

#include <algorithm>
#include <cassert>
#include <cstdlib>

namespace msearch::bench {

double Median(std::vector<double> values) {
  assert(!values.empty());
  const auto middle = values.begin() + static_cast<ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

double ThreadSeconds() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e9;
}

std::string ModelsFolder() {
  const char* folder = std::getenv("MSEARCH_MODEL_DIRECTORY");
  return folder != nullptr ? folder : "";
}

std::string Manifests() { return std::string(MSEARCH_BINARY_DIR) + "/share/models"; }

std::string RuntimePath() { return std::string(MSEARCH_BINARY_DIR) + "/lib/libonnxruntime.so.1"; }

embedding::ModelPacks Packs() {
  return embedding::ModelPacks({Manifests(), ModelsFolder(), RuntimePath()});
}

}  // namespace msearch::bench
