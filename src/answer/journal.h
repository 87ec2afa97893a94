// Work that was accepted and that nothing else remembers: analyses, answers, queries. Written down
// before a client is told, until it has ended and its result has been kept for its time; so that
// the queue may lose everything it holds and no accepted work is lost with it.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/json.h"
#include "base/result.h"
#include "queue/task.h"
#include "storage/sqlite.h"

namespace msearch::answer {

enum class EntryState { kOpen, kFinished, kFailed, kCancelled };

struct Entry {
  std::string id;      // what the client was told: the first task that was made for it
  std::string key;     // Idempotency-Key; empty: none
  std::string digest;  // of the request, to tell another one under the same key
  std::string kind;    // "analyze_image", "complete_answer", "full_query"
  Json request;        // from which its tasks can be made again
  std::vector<queue::TaskId> tasks;  // in the queue now; the last one's end is the entry's
  UnixMs accepted_at = 0;            // when it is added: 0 for now
  EntryState state = EntryState::kOpen;
  std::optional<UnixMs> ended_at;
  bool forgotten = false;  // its result's time is over
  Json result;
  std::optional<Error> error;
};

// Thread-safe. One process at a time.
class Journal {
 public:
  static Result<std::unique_ptr<Journal>> Open(const std::string& path,
                                               const Clock* clock = nullptr);

  // kConflict when the key is taken.
  Result<> Add(const Entry& entry);
  Result<std::optional<Entry>> Find(const std::string& id);
  Result<std::optional<Entry>> FindByKey(const std::string& key);
  // By the last of its tasks.
  Result<std::optional<Entry>> FindByTask(const queue::TaskId& task);
  // The queue lost its tasks and got others.
  Result<> SetTasks(const std::string& id, const std::vector<queue::TaskId>& tasks);
  // Ends an open entry, or one that had failed and was tried again. False when it had ended.
  Result<bool> End(const std::string& id, EntryState state, const Json& result,
                   const std::optional<Error>& error);
  // Open entries with an id greater than `after`, in order.
  Result<std::vector<Entry>> OpenEntries(const std::string& after, size_t limit);
  Result<int64_t> CountOpen();
  // Moves what was written lately to its place in the file. A writer does so itself only when much
  // has gathered, because who writes then waits for the disk; so this is to be called every second
  // or so, by a thread that may wait.
  Result<> Settle();
  // Results older than `result_age` are forgotten, and entries once they ended `entry_age` ago.
  Result<> Forget(Milliseconds result_age, Milliseconds entry_age);

 private:
  // A connection and who may use it now.
  struct Side {
    std::mutex mutex;
    std::unique_ptr<storage::Sqlite> db;  // by mutex
  };
  Journal(std::unique_ptr<storage::Sqlite> db, std::unique_ptr<storage::Sqlite> background,
          const Clock& clock)
      : clock_(clock) {
    main_.db = std::move(db);
    background_.db = std::move(background);
  }
  template <typename... Args>
  static Result<std::vector<Entry>> Select(Side& side, const std::string& where,
                                           const Args&... args);

  Side main_;
  Side background_;  // so that looking through all entries holds nobody up
  const Clock& clock_;
};

}  // namespace msearch::answer
