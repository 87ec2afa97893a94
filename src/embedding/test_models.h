// Where tests find the runtime, and model packs that were pulled before: no test downloads.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

#include "embedding/model_packs.h"

namespace msearch::embedding {

inline std::string TestRuntime() { return MSEARCH_BINARY_DIR "/lib/libonnxruntime.so.1"; }
inline std::string TestManifests() { return MSEARCH_SOURCE_DIR "/config/models"; }

inline std::string TestModels() {
  if (const char* models = std::getenv("MSEARCH_TEST_MODELS")) return models;
  const char* home = std::getenv("HOME");
  return std::string(home == nullptr ? "" : home) + "/.cache/msearch/models";
}

// Skips the test, saying why, unless the pack was pulled into TestModels().
#define SKIP_UNLESS_PULLED(name)                                                         \
  do {                                                                                   \
    const ModelPacks test_packs_({TestManifests(), TestModels(), TestRuntime()});        \
    const auto status_ = test_packs_.Status(name);                                       \
    if (!status_.ok() || status_->state != "ready") {                                    \
      GTEST_SKIP() << "pack " << (name) << " isn't pulled in " << TestModels()           \
                   << " (the set-up does it; MSEARCH_TEST_MODELS names another folder)"; \
    }                                                                                    \
  } while (false)

}  // namespace msearch::embedding
