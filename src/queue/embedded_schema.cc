// One row per task, narrow, written once per transition; its history is packed into a column.
// What a transition costs is the number of pages that it changes, so there is one index for all
// that is asked often, task_place over (queue, state, due). `due` is what the state is ordered by:
//
//   ready              the priority; then, as always, the row number
//   delayed, waiting   available_at
//   started            when the lease runs out
//   ended              when it ended
//
// SQLite writes all of a row at each change, so a payload that is not short stands in `bulk`, which
// is written once; the row's own is empty then.
//
// Counts are kept in `tally`, one row per queue, such that the usual life of a task touches them
// only where it's leased, which has to count tokens anyway: of all leases, those that didn't end
// as finished are counted, and the finished ones are the difference. What is queued or started is
// counted in the index when asked. Row 0 has the
// epoch and the count of the leases of all queues, which make the fencing tokens.
#include "queue/embedded_schema.h"

#include <array>
#include <charconv>

#include "base/strings.h"

namespace msearch::queue {
namespace {

constexpr std::string_view kFirstSchema = R"sql(
CREATE TABLE backend(
  id INTEGER PRIMARY KEY CHECK (id = 1),
  state_id TEXT NOT NULL);
INSERT INTO backend VALUES(1, lower(hex(randomblob(16))));

CREATE TABLE tally(
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  paused INTEGER NOT NULL DEFAULT 0,
  leases INTEGER NOT NULL DEFAULT 0,
  unfinished INTEGER NOT NULL DEFAULT 0,
  forgotten INTEGER NOT NULL DEFAULT 0,
  failed INTEGER NOT NULL DEFAULT 0,
  cancelled INTEGER NOT NULL DEFAULT 0,
  failed_total INTEGER NOT NULL DEFAULT 0,
  epoch INTEGER NOT NULL DEFAULT 0);
INSERT INTO tally(id, name) VALUES(0, '');

CREATE TABLE task(
  row INTEGER PRIMARY KEY,
  tail INTEGER NOT NULL,
  queue INTEGER NOT NULL,
  state INTEGER NOT NULL,
  due INTEGER NOT NULL,
  priority INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  available_at INTEGER NOT NULL,
  timeout INTEGER NOT NULL,
  attempts INTEGER NOT NULL DEFAULT 0,
  errors INTEGER NOT NULL DEFAULT 0,
  crashes INTEGER NOT NULL DEFAULT 0,
  losses INTEGER NOT NULL DEFAULT 0,
  cancel INTEGER NOT NULL DEFAULT 0,
  followed INTEGER NOT NULL DEFAULT 0,
  blockers INTEGER NOT NULL DEFAULT 0,
  started_at INTEGER,
  epoch INTEGER,
  counter INTEGER,
  kind TEXT NOT NULL,
  worker TEXT,
  unique_key TEXT,
  parent TEXT,
  follows TEXT,
  policy TEXT,
  dead_letter TEXT,
  reason TEXT,
  progress TEXT,
  error TEXT,
  events TEXT NOT NULL DEFAULT '',
  payload TEXT NOT NULL,
  result TEXT);
CREATE INDEX task_place ON task(queue, state, due);
CREATE UNIQUE INDEX task_unique ON task(unique_key) WHERE unique_key IS NOT NULL AND state >= 3;
CREATE INDEX task_parent ON task(parent) WHERE parent IS NOT NULL;

CREATE TABLE bulk(
  row INTEGER PRIMARY KEY,
  payload TEXT NOT NULL);
CREATE TRIGGER bulk_goes_with_task AFTER DELETE ON task WHEN old.payload = ''
BEGIN
  DELETE FROM bulk WHERE row = old.row;
END;

CREATE TABLE follows(
  task INTEGER NOT NULL,
  dependent INTEGER NOT NULL,
  PRIMARY KEY(task, dependent)) WITHOUT ROWID;

CREATE TABLE worker(
  id TEXT PRIMARY KEY,
  expires_at INTEGER NOT NULL,
  seen_at INTEGER NOT NULL,
  info TEXT NOT NULL) WITHOUT ROWID;
)sql";

constexpr std::string_view kLibrary =
    "ALTER TABLE backend ADD COLUMN library TEXT NOT NULL DEFAULT ''";

// In the order of the SELECT.
enum Column : int {
  kRow,
  kTail,
  kQueueName,
  kPaused,
  kState,
  kPriority,
  kCreatedAt,
  kAvailableAt,
  kTimeout,
  kAttempts,
  kErrors,
  kCrashes,
  kLosses,
  kCancel,
  kStartedAt,
  kDue,
  kKind,
  kWorker,
  kUniqueKey,
  kParent,
  kFollows,
  kPolicy,
  kReason,
  kProgress,
  kError,
  kPayload,
  kResult,
};

std::string ReasonOf(const storage::Statement& row, State state) {
  switch (state) {
    case State::kReady:
      return row.Int(kPaused) != 0 ? "paused" : "";
    case State::kDelayed:
      return "delayed";
    case State::kWaiting:
      return "waiting";
    default:
      return row.String(kReason);
  }
}

void ReadProgress(std::string_view text, Progress& progress) {
  if (text.empty()) return;
  const Result<Json> json = ParseJson(text);
  if (!json.ok()) return;
  progress.fraction = GetDouble(*json, "fraction").value_or(0);
  progress.stage = GetString(*json, "stage").value_or("");
  progress.message = GetString(*json, "message").value_or("");
}

constexpr char kSelectRow[] =
    "SELECT row, queue, state, cancel, followed, priority, created_at, available_at, started_at,"
    " due, epoch, counter, errors, crashes, losses, policy, worker, tail FROM task WHERE row = ?1";

TaskRow ReadRow(const storage::Statement& row) {
  TaskRow task;
  task.row = row.Int(0);
  task.queue = row.Int(1);
  task.state = static_cast<State>(row.Int(2));
  task.cancel = row.Int(3) != 0;
  task.followed = row.Int(4) != 0;
  task.priority = static_cast<int>(row.Int(5));
  task.created_at = row.Int(6);
  task.available_at = row.Int(7);
  task.started_at = row.Int(8);
  task.due = row.Int(9);
  task.token = {static_cast<uint64_t>(row.Int(10)), static_cast<uint64_t>(row.Int(11))};
  task.errors = static_cast<int>(row.Int(12));
  task.crashes = static_cast<int>(row.Int(13));
  task.losses = static_cast<int>(row.Int(14));
  task.retry = UnpackPolicy(row.Text(15));
  task.worker = row.String(16);
  return task;
}

}  // namespace

Status StatusOf(State state) {
  switch (state) {
    case State::kStarted:
      return Status::kStarted;
    case State::kFinished:
      return Status::kFinished;
    case State::kFailed:
      return Status::kFailed;
    case State::kCancelled:
      return Status::kCancelled;
    default:
      return Status::kQueued;
  }
}

const std::vector<std::string_view>& EmbeddedMigrations() {
  static const std::vector<std::string_view> migrations{kFirstSchema, kLibrary};
  return migrations;
}

Result<Task> ReadTask(const storage::Statement& row, std::string* payload) {
  Task task;
  task.id = EncodeTaskId({row.Int(kRow), row.Int(kTail)});
  const State state = static_cast<State>(row.Int(kState));
  task.queue = row.String(kQueueName);
  task.status = StatusOf(state);
  task.reason = ReasonOf(row, state);
  task.priority = static_cast<Priority>(row.Int(kPriority));
  task.created_at = row.Int(kCreatedAt);
  task.available_at = row.Int(kAvailableAt);
  task.timeout = Milliseconds(row.Int(kTimeout));
  task.attempts = static_cast<int>(row.Int(kAttempts));
  task.errors = static_cast<int>(row.Int(kErrors));
  task.crashes = static_cast<int>(row.Int(kCrashes));
  task.losses = static_cast<int>(row.Int(kLosses));
  task.cancel_requested = row.Int(kCancel) != 0;
  task.started_at = row.OptionalInt(kStartedAt);
  if (state == State::kStarted) task.lease_until = row.Int(kDue);
  if (!IsLive(state)) task.finished_at = row.Int(kDue);
  task.kind = row.String(kKind);
  task.worker = row.String(kWorker);
  task.unique_key = row.String(kUniqueKey);
  task.parent = row.String(kParent);
  for (const std::string_view id : Split(row.Text(kFollows), ' ')) {
    if (!id.empty()) task.after.emplace_back(id);
  }
  task.retry = UnpackPolicy(row.Text(kPolicy));
  ReadProgress(row.Text(kProgress), task.progress);
  if (!row.IsNull(kError)) task.error = UnpackError(row.Text(kError));
  if (payload != nullptr) {
    *payload = row.Text(kPayload);
  } else {
    task.payload = TRY(ParseJson(row.Text(kPayload)));
  }
  if (!row.IsNull(kResult)) task.result = TRY(ParseJson(row.Text(kResult)));
  return task;
}

Result<std::optional<TaskRow>> LoadRow(storage::Sqlite& db, const TaskId& id) {
  const std::optional<TaskKey> key = DecodeTaskId(id);
  if (!key) return std::optional<TaskRow>();
  storage::Statement statement = TRY(db.Prepare(kSelectRow));
  statement.With(key->row);
  if (!TRY(statement.Step()) || statement.Int(17) != key->tail) return std::optional<TaskRow>();
  return std::optional<TaskRow>(ReadRow(statement));
}

Result<TaskRow> LoadRow(storage::Sqlite& db, int64_t row) {
  storage::Statement statement = TRY(db.Prepare(kSelectRow));
  statement.With(row);
  if (!TRY(statement.Step())) return Error{Code::kCorrupt, "queue: an index names a missing task"};
  return ReadRow(statement);
}

std::string PackPolicy(const RetryPolicy& policy) {
  if (policy == RetryPolicy()) return {};
  return std::to_string(policy.errors_max) + " " + std::to_string(policy.crashes_max) + " " +
         std::to_string(policy.losses_max) + " " + std::to_string(policy.backoff_first.count()) +
         " " + std::to_string(policy.backoff_max.count());
}

RetryPolicy UnpackPolicy(std::string_view text) {
  RetryPolicy policy;
  if (text.empty()) return policy;
  const std::vector<std::string_view> fields = Split(text, ' ');
  if (fields.size() != 5) return policy;
  std::array<int64_t, 5> values{};
  for (size_t i = 0; i < values.size(); ++i) {
    std::from_chars(fields[i].data(), fields[i].data() + fields[i].size(), values[i]);
  }
  policy.errors_max = static_cast<int>(values[0]);
  policy.crashes_max = static_cast<int>(values[1]);
  policy.losses_max = static_cast<int>(values[2]);
  policy.backoff_first = Milliseconds(values[3]);
  policy.backoff_max = Milliseconds(values[4]);
  return policy;
}

std::string PackError(const Error& error) {
  return std::string(CodeName(error.code)) + '\t' + SanitizeUtf8(error.message);
}

Error UnpackError(std::string_view text) {
  const size_t tab = text.find('\t');
  if (tab == std::string_view::npos) return Error{Code::kInternal, std::string(text)};
  return Error{CodeFromName(text.substr(0, tab)), std::string(text.substr(tab + 1))};
}

std::string AppendEventSql(std::string_view parameter) {
  // Bounded: a task that is released again and again keeps only the latest part of its history.
  return "CASE WHEN length(events) > 16000 THEN substr(events, -8000) ELSE events END || " +
         std::string(parameter);
}

}  // namespace msearch::queue
