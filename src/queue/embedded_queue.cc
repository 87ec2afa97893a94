// Every transition is one BEGIN IMMEDIATE transaction on the process's one writing connection, so
// that threads queue at a mutex and only processes meet at the file's lock. Who finds nothing to
// do sleeps on the wake board beside the database until a commit concerns it, a delayed task is
// due or a lease runs out.
#include "queue/embedded_queue.h"

#include <algorithm>

#include "base/log.h"
#include "base/strings.h"

namespace msearch::queue {
namespace {

using std::chrono::steady_clock;

// Expired leases and delayed tasks that one call to lease sees to.
constexpr size_t kRecoveredMax = 100;

}  // namespace

Result<> ReaderPool::With(const std::function<Result<>(storage::Sqlite&)>& body) {
  std::unique_ptr<storage::Sqlite> connection = TRY(Borrow());
  Result<> done = connection->Snapshot([&] { return body(*connection); });
  GiveBack(std::move(connection));
  return done;
}

Result<std::unique_ptr<storage::Sqlite>> ReaderPool::Borrow() {
  std::unique_lock lock(mutex_);
  returned_.wait(lock, [&] { return !idle_.empty() || open_ < kConnectionsMax; });
  if (!idle_.empty()) {
    std::unique_ptr<storage::Sqlite> connection = std::move(idle_.back());
    idle_.pop_back();
    return connection;
  }
  ++open_;
  lock.unlock();
  storage::SqliteOptions options;
  options.read_only = true;
  auto opened = storage::Sqlite::Open(path_, options);
  if (opened.ok()) {
    const Result<> added = (*opened)->AddFunction("task_id", 2, [](const auto& numbers) {
      return EncodeTaskId(
          {std::stoll(std::string(numbers[0])), std::stoll(std::string(numbers[1]))});
    });
    if (added.ok()) return opened;
    opened = added.error();
  }
  GiveBack(nullptr);
  return opened;
}

void ReaderPool::GiveBack(std::unique_ptr<storage::Sqlite> connection) {
  const std::lock_guard lock(mutex_);
  if (connection != nullptr) {
    idle_.push_back(std::move(connection));
  } else {
    --open_;
  }
  returned_.notify_one();
}

Result<std::unique_ptr<TaskQueue>> OpenEmbeddedQueue(const EmbeddedOptions& options) {
  return EmbeddedQueue::Open(options);
}

Result<std::unique_ptr<TaskQueue>> EmbeddedQueue::Open(const EmbeddedOptions& options) {
  storage::SqliteOptions sqlite;
  sqlite.synchronous_full = options.synchronous_full;
  auto writer = TRY(storage::Sqlite::Open(options.path, sqlite));
  // Checkpoints copy each page once however often it changed: rarer ones write less.
  Result<> prepared = writer->Execute("PRAGMA wal_autocheckpoint=16000");
  if (prepared.ok()) prepared = writer->Migrate(EmbeddedMigrations());
  if (!prepared.ok()) {
    return Error{prepared.code(), "queue " + options.path + ": " + prepared.message()};
  }
  auto board = TRY(WakeBoard::Open(options.path + ".wake"));
  std::unique_ptr<EmbeddedQueue> queue(
      new EmbeddedQueue(options, std::move(writer), std::move(board)));
  if (!options.library.empty()) TRY(queue->Claim(options.library));
  return std::unique_ptr<TaskQueue>(std::move(queue));
}

// Names of queues keep their numbers, which other processes remember; everything else begins anew,
// the epoch included, since it is the library's.
Result<> EmbeddedQueue::Claim(const std::string& library) {
  int64_t removed = 0;
  bool other = false;
  TRY(Write([&](Change& change) -> Result<> {
    storage::Sqlite& db = change.db();
    const auto owner = TRY(db.QueryString("SELECT library FROM backend")).value_or("");
    if (owner == library) return Ok{};
    TRY(db.Run("UPDATE backend SET library = ?1", library));
    other = !owner.empty();
    if (!other) return Ok{};
    removed = TRY(db.QueryInt("SELECT count(*) FROM task WHERE state >= 3")).value_or(0);
    for (const char* clear :
         {"DELETE FROM task", "DELETE FROM bulk", "DELETE FROM follows",
          "UPDATE tally SET paused = 0, leases = 0, unfinished = 0, forgotten = 0, failed = 0,"
          " cancelled = 0, failed_total = 0, epoch = 0",
          "UPDATE backend SET state_id = lower(hex(randomblob(16)))"}) {
      TRY(db.Run(clear));
    }
    return Ok{};
  }));
  if (other) {
    LOG_WARNING("queue {}: is another library's, whose catalog is gone; its {} tasks are removed",
                path_, removed);
  }
  return Ok{};
}

EmbeddedQueue::EmbeddedQueue(const EmbeddedOptions& options,
                             std::unique_ptr<storage::Sqlite> writer,
                             std::unique_ptr<WakeBoard> board)
    : path_(options.path),
      clock_(options.clock != nullptr ? *options.clock : SystemClock()),
      look_every_(options.look_every),
      writer_(std::move(writer)),
      readers_(options.path),
      board_(std::move(board)) {}

Error EmbeddedQueue::Explain(const Error& error) const {
  if (!error.message.starts_with("database")) return error;
  return Error{error.code, "queue " + path_ + ": " + error.message};
}

Result<> EmbeddedQueue::Write(const std::function<Result<>(Change&)>& body) {
  uint32_t work = 0;
  uint32_t ended = 0;
  {
    const std::lock_guard lock(writer_mutex_);
    const Result<> done = writer_->Transact([&]() -> Result<> {
      // Read once the lock is held: times never run backwards from one change to the next.
      Change change(*writer_, clock_.NowMs(), names_);
      TRY(body(change));
      TRY(change.Flush());
      work = change.work_topics();
      ended = change.ended_topics();
      return Ok{};
    });
    if (!done.ok()) return Explain(done.error());
  }
  board_->Wake(WakeBoard::Channel::kWork, work);
  board_->Wake(WakeBoard::Channel::kEnded, ended);
  return Ok{};
}

Result<> EmbeddedQueue::Read(const std::function<Result<>(storage::Sqlite&)>& body) {
  const Result<> done = readers_.With(body);
  if (!done.ok()) return Explain(done.error());
  return done;
}

Result<std::vector<TaskId>> EmbeddedQueue::Enqueue(std::span<const NewTask> tasks) {
  std::vector<Draft> drafts;
  for (const NewTask& task : tasks) drafts.push_back(TRY(CheckNewTask(task)));
  std::vector<TaskId> ids;
  if (drafts.empty()) return ids;
  TRY(Write([&](Change& change) -> Result<> {
    for (const Draft& draft : drafts) {
      TRY(change.CheckFollowed(*draft.task));
      ids.push_back(TRY(change.Add(draft)));
    }
    return Ok{};
  }));
  return ids;
}

Result<std::vector<Lease>> EmbeddedQueue::TakeNow(const LeaseRequest& request) {
  std::vector<Change::Taken> taken;
  TRY(Write([&](Change& change) -> Result<> {
    for (const std::string& queue : request.queues) {
      TRY(change.SeeToOverdue(queue, kRecoveredMax));
      taken = TRY(change.Take(queue, request));
      if (!taken.empty()) break;
    }
    return Ok{};
  }));
  std::vector<Lease> leases;
  for (Change::Taken& one : taken) {
    one.lease.task.payload = TRY(ParseJson(one.payload));
    leases.push_back(std::move(one.lease));
  }
  return leases;
}

Result<EmbeddedQueue::Outlook> EmbeddedQueue::LookAhead(const std::vector<std::string>& queues) {
  Outlook outlook;
  TRY(Read([&](storage::Sqlite& db) -> Result<> {
    int64_t due = INT64_MAX;
    for (const std::string& queue : queues) {
      storage::Statement select =
          TRY(db.Prepare("SELECT paused = 0 AND EXISTS("
                         "SELECT 1 FROM task WHERE queue = tally.id AND state = 4),"
                         " (SELECT min(due) FROM task WHERE queue = tally.id AND state = 3),"
                         " (SELECT min(due) FROM task WHERE queue = tally.id AND state = 5)"
                         " FROM tally WHERE name = ?1"));
      select.With(queue);
      if (!TRY(select.Step())) continue;
      if (select.Int(0) != 0) due = 0;
      due =
          std::min({due, select.OptionalInt(1).value_or(due), select.OptionalInt(2).value_or(due)});
    }
    const int64_t now = clock_.NowMs();
    outlook.ready = due <= now;
    outlook.next_due = Milliseconds(std::clamp<int64_t>(due - now, 1, look_every_.count()));
    return Ok{};
  }));
  return outlook;
}

Result<std::vector<Lease>> EmbeddedQueue::TakeLeases(const LeaseRequest& request) {
  const steady_clock::time_point deadline = steady_clock::now() + request.wait_max;
  uint32_t topics = 0;
  for (const std::string& queue : request.queues) topics |= WakeBoard::TopicOf(queue);
  WakeBoard::Ticket ticket = board_->Look(WakeBoard::Channel::kWork, topics);
  std::vector<Lease> leases = TRY(TakeNow(request));
  while (leases.empty() && !request.stop.stop_requested() && steady_clock::now() < deadline) {
    const Outlook outlook = TRY(LookAhead(request.queues));
    if (!outlook.ready) {
      board_->Wait(WakeBoard::Channel::kWork, ticket,
                   std::min(deadline, steady_clock::now() + outlook.next_due), request.stop);
    }
    ticket = board_->Look(WakeBoard::Channel::kWork, topics);
    // A wake may concern another queue that shares the topic, or another worker may be faster:
    // looking costs less than asking for the write lock.
    if (outlook.ready || TRY(LookAhead(request.queues)).ready) leases = TRY(TakeNow(request));
  }
  return leases;
}

}  // namespace msearch::queue
