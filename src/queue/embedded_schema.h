// Tables of the embedded back end, and how their rows become tasks. docs/formats.md has the prose.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "queue/event_log.h"
#include "queue/task.h"
#include "queue/task_id.h"
#include "storage/sqlite.h"

namespace msearch::queue {

// Column `state`. The order is that of the index task_place: what is taken next lies beside what
// is started, and that beside what finished last, so that a step from one to the other changes a
// single page of it.
enum class State : int {
  kFailed = 0,
  kCancelled = 1,
  kFinished = 2,
  kStarted = 3,
  kReady = 4,
  kDelayed = 5,  // until available_at
  kWaiting = 6,  // for the tasks it follows
};

inline bool IsLive(State state) { return state >= State::kStarted; }
inline bool IsQueued(State state) { return state >= State::kReady; }
Status StatusOf(State state);

const std::vector<std::string_view>& EmbeddedMigrations();

// Payloads longer than this stand in a table of their own.
constexpr size_t kInlinePayloadBytesMax = 2000;
// A task's payload wherever it stands, in a query on task.
#define MSEARCH_QUEUE_PAYLOAD                                                                    \
  "CASE payload WHEN '' THEN (SELECT payload FROM bulk WHERE bulk.row = task.row) ELSE payload " \
  "END"

// Everything that ReadTask needs. A WHERE clause or the like follows.
inline constexpr char kSelectTask[] =
    "SELECT task.row, tail, tally.name, paused, state, priority, created_at, available_at,"
    " timeout, attempts, errors, crashes, losses, cancel, started_at, due,"
    " kind, worker, unique_key, parent, follows, policy, reason, progress, error,"
    " " MSEARCH_QUEUE_PAYLOAD
    ", result"
    " FROM task CROSS JOIN tally ON tally.id = task.queue ";
// Gives the payload as text instead of parsing it, if asked to.
Result<Task> ReadTask(const storage::Statement& row, std::string* payload = nullptr);

// What transitions need to know of a task; cheaper than all of it.
struct TaskRow {
  int64_t row = 0;
  int64_t queue = 0;
  State state = State::kReady;
  bool cancel = false;
  bool followed = false;
  int priority = 0;
  UnixMs created_at = 0;
  UnixMs available_at = 0;
  UnixMs started_at = 0;
  UnixMs due = 0;  // of a started one: the lease's end
  Token token;
  int errors = 0;
  int crashes = 0;
  int losses = 0;
  RetryPolicy retry;
  std::string worker;
};
Result<std::optional<TaskRow>> LoadRow(storage::Sqlite& db, const TaskId& id);
// By row number alone.
Result<TaskRow> LoadRow(storage::Sqlite& db, int64_t row);

// Limits of retries as stored: empty for the defaults.
std::string PackPolicy(const RetryPolicy& policy);
RetryPolicy UnpackPolicy(std::string_view text);

// Errors as stored: code, tab, message.
std::string PackError(const Error& error);
Error UnpackError(std::string_view text);

// An SQL expression for the log with a line added; `parameter` is the line's: "?3".
std::string AppendEventSql(std::string_view parameter);

}  // namespace msearch::queue
