// What the benchmarks share: clocks, medians, and the packs of the build they belong to.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "embedding/model_packs.h"

namespace msearch::bench {

// REQUIRES: not empty.
double Median(std::vector<double> values);

// Seconds since it was made.
class Stopwatch {
 public:
  double seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count();
  }

 private:
  std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
};

// Processor time of the calling thread, seconds.
double ThreadSeconds();

// Where pulled packs lie: MSEARCH_MODEL_DIRECTORY, as for msearch itself. Empty when it isn't set.
std::string ModelsFolder();
std::string Manifests();    // of the packs
std::string RuntimePath();  // of ONNX Runtime
embedding::ModelPacks Packs();

}  // namespace msearch::bench
