// The controller's side of media access: opens and hashes files of the catalog, and nothing else,
// for compute servers that have none of its disks.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <tuple>
#include <vector>

#include "base/digest.h"
#include "base/file.h"
#include "base/result.h"
#include "catalog/catalog.h"

namespace msearch::ingest {

// Thread-safe.
class ServedFiles {
 public:
  explicit ServedFiles(std::shared_ptr<catalog::Catalog> catalog);
  ~ServedFiles();

  // The file in the version that was asked for. kNotFound when it's gone, kStale when it has
  // another version, kUnavailable when it is changing, kPermission when a link leads out of its
  // root.
  Result<Fd> Open(catalog::FileId file, int64_t version) const;
  // The first file that still holds this content; kNotFound when none does.
  Result<Fd> OpenContent(const Digest& hash) const;

  struct Identity {
    Digest hash;
    uint64_t size = 0;
  };
  // Calls `done` from a thread of its own; two files are hashed at a time, so that large ones
  // keep neither the disk nor requests busy. kExhausted when too many wait.
  void Identify(catalog::FileId file, int64_t version, std::function<void(Result<Identity>)> done);

 private:
  struct Job {
    catalog::FileId file = 0;
    int64_t version = 0;
    std::function<void(Result<Identity>)> done;
  };
  void Work(const std::stop_token& stop);
  Result<Identity> IdentifyNow(const Job& job);

  const std::shared_ptr<catalog::Catalog> catalog_;
  std::mutex mutex_;
  std::condition_variable_any added_;
  std::deque<Job> jobs_;  // by mutex_
  // What was hashed lately, so that a task that is tried again doesn't cost a second reading.
  std::map<std::tuple<uint64_t, uint64_t, uint64_t, int64_t>, Digest> known_;  // by mutex_
  std::vector<std::jthread> threads_;
};

}  // namespace msearch::ingest
