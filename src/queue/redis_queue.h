// The Redis back end of the task queue: a server of version 7 or newer (or Valkey) that the
// processes of many machines share. Keys are documented in docs/formats.md.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "queue/task_queue.h"
#include "storage/redis.h"

namespace msearch::queue {

// A library to which a queue belongs, since its tasks name files by the numbers that they have
// there.
struct QueueLibrary {
  std::string id;     // the same whenever it's opened; empty: none
  std::string place;  // for people: its folder and machine
};

struct RedisQueueOptions {
  storage::RedisOptions server;  // its route_key is filled in
  // Before every key. For a cluster it holds a hash tag, "{msearch}:", so that all keys live in one
  // slot.
  std::string prefix;
  const Clock* clock = nullptr;  // null: the server's
  // The server drops results and progress this long after they were written, whatever Maintain
  // does.
  Milliseconds result_ttl{2 * 3600 * 1000};
  // The longest sleep of a waiting call without a look of its own, which finds leases that ran out
  // while nobody maintains the queue.
  Milliseconds look_every{5000};
  bool warns = true;  // in the log, of what a server that can be used might do better
  // Of the process that owns it. StateId() then claims the queue for that library, for
  // `library_ttl`: kConflict while another one holds it. What one that held it before, and whose
  // claim has ended, left in the queue is removed, so that the state is another.
  QueueLibrary library;
  Milliseconds library_ttl{15000};
};

// Connects and checks the server: kUnsupported for one that is too old, kInvalid for one that may
// evict tasks (maxmemory-policy) or for a cluster without a hash tag in `prefix`, kPermission when
// it doesn't let us in or do what is needed, kUnavailable when it can't be reached. Warns in the
// log when it doesn't persist, if `warns`.
Result<std::unique_ptr<TaskQueue>> OpenRedisQueue(const RedisQueueOptions& options);

// What a person should know about a server that holds the queue.
struct RedisHealth {
  std::string version;
  std::vector<std::string> faults;    // it can't hold the queue, and why
  std::vector<std::string> warnings;  // it can, but
  Code code = Code::kUnsupported;     // of the first fault
  int64_t clock_ahead_ms = 0;         // of this machine's, about
  int64_t used_memory = 0;
  int64_t maxmemory = 0;  // 0: no limit
  bool cluster = false;   // one of its nodes
};
Result<RedisHealth> CheckRedis(storage::Redis& redis);
// Whose queue it is; an empty id when it is nobody's.
Result<QueueLibrary> LibraryOf(storage::Redis& redis, const std::string& prefix);
// Whether our user may do what the functions do besides reading and writing keys, which would else
// come to light in the middle of the work. kPermission says what is missing.
Result<> CheckRights(storage::Redis& redis, const std::string& prefix);

}  // namespace msearch::queue
