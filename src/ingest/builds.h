// Index builds: "rescan these roots and say when all is committed". A build does no work itself; it
// asks for scans and watches the library's counts. Each is one progress file, BUILDS/ID.json, that
// other programs may read; it is also how a build survives a restart.
#pragma once

#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/json.h"
#include "base/result.h"
#include "queue/task.h"

namespace msearch::ingest {

struct Build {
  std::string id;
  std::vector<std::string> roots;
  std::vector<queue::TaskId> scans;
  bool distributed = true;         // false: by workers of the controller's machine only
  std::string state = "scanning";  // "scanning", "indexing", "finished"
  double progress = 0;             // 1 only when everything has committed or failed
  int64_t files = 0;
  int64_t indexed = 0;
  int64_t pending = 0;
  int64_t failed = 0;
  Json failures = Json::array();  // the first hundred: {"root", "path", "code", "message"}
  UnixMs started_at = 0;
  UnixMs finished_at = 0;  // 0: not yet
  Json ToJson() const;
};

// Thread-safe.
class Builds {
 public:
  explicit Builds(std::string directory) : directory_(std::move(directory)) {}
  // Builds that weren't finished when the last process ended go on.
  void Load();
  // Writes the build's file. An error is logged, for the build itself goes on without it.
  void Put(const Build& build);
  // As if it had never been: it couldn't begin.
  void Drop(const std::string& id);
  std::vector<Build> Running() const;
  Result<Build> Get(const std::string& id) const;

 private:
  const std::string directory_;
  mutable std::mutex mutex_;
  std::map<std::string, Build> running_;
};

}  // namespace msearch::ingest
