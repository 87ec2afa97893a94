// The embedded back end: one SQLite database in WAL mode, shared by the processes of one machine.
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "queue/change.h"
#include "queue/task_queue.h"
#include "queue/wake_board.h"
#include "storage/sqlite.h"

namespace msearch::queue {

// A few connections that only read, made when first needed. Thread-safe.
class ReaderPool {
 public:
  explicit ReaderPool(std::string path) : path_(std::move(path)) {}
  // Waits for a connection when all are lent.
  Result<> With(const std::function<Result<>(storage::Sqlite&)>& body);

 private:
  Result<std::unique_ptr<storage::Sqlite>> Borrow();
  void GiveBack(std::unique_ptr<storage::Sqlite> connection);

  static constexpr size_t kConnectionsMax = 4;
  const std::string path_;
  std::mutex mutex_;
  std::condition_variable returned_;
  std::vector<std::unique_ptr<storage::Sqlite>> idle_;  // by mutex_
  size_t open_ = 0;                                     // by mutex_
};

class EmbeddedQueue final : public TaskQueue {
 public:
  static Result<std::unique_ptr<TaskQueue>> Open(const EmbeddedOptions& options);

  using TaskQueue::Enqueue;
  Result<std::vector<TaskId>> Enqueue(std::span<const NewTask> tasks) override;
  Result<std::vector<Lease>> TakeLeases(const LeaseRequest& request) override;
  Result<std::vector<Held>> Extend(std::span<const Lease> leases, Milliseconds duration) override;
  Result<std::vector<Result<>>> Complete(std::span<const Completion> completions) override;
  Result<> Fail(const Failure& failure) override;
  Result<> Release(const Lease& lease, Milliseconds delay) override;
  Result<> SetProgress(const Lease& lease, const Progress& progress) override;
  Result<> Cancel(const TaskId& id) override;
  Result<> Retry(const TaskId& id) override;
  Result<Task> Get(const TaskId& id) override;
  Result<std::vector<Task>> List(const TaskFilter& filter) override;
  Result<int64_t> Count(const TaskFilter& filter) override;
  Result<std::vector<TaskEvent>> Events(const TaskId& id) override;
  Result<int64_t> CountAhead(const TaskId& id) override;
  Result<Task> Await(const TaskId& id, Milliseconds wait_max, std::stop_token stop) override;
  Result<std::vector<QueueStats>> Stats() override;
  Result<> Pause(const std::string& queue) override;
  Result<> Resume(const std::string& queue) override;
  Result<> Heartbeat(const WorkerInfo& worker, Milliseconds ttl) override;
  Result<> Forget(const std::string& worker_id) override;
  Result<std::vector<WorkerInfo>> Workers() override;
  Result<> Maintain(const Retention& retention) override;
  Result<> RaiseEpoch(uint64_t epoch) override;
  Result<std::string> StateId() override;

 private:
  EmbeddedQueue(const EmbeddedOptions& options, std::unique_ptr<storage::Sqlite> writer,
                std::unique_ptr<WakeBoard> board);

  // Makes the queue that library's.
  Result<> Claim(const std::string& library);
  // One transaction; afterwards wakes whom it concerns.
  Result<> Write(const std::function<Result<>(Change&)>& body);
  Result<> Read(const std::function<Result<>(storage::Sqlite&)>& body);
  Error Explain(const Error& error) const;

  Result<std::vector<Lease>> TakeNow(const LeaseRequest& request);
  struct Checked;
  static Checked CheckCompletion(const Completion& completion);
  // The outer error ends the transaction, the inner one concerns this completion alone.
  static Result<Result<>> CompleteOne(Change& change, const Checked& checked);
  // Runs `body` on the row of a lease that is honoured; kStale otherwise.
  Result<> WithHeld(const Lease& lease,
                    const std::function<Result<>(Change&, const TaskRow&)>& body);
  Result<> RemoveBeyond(int64_t rows_max);
  // Steps, each in a transaction of its own, until one finds less than a step's worth to do.
  Result<> Repeat(const std::function<Result<size_t>(Change&)>& step);
  struct Outlook {
    bool ready = false;        // a task may be leased now
    Milliseconds next_due{0};  // until a delayed task starts or a lease runs out, bounded
  };
  Result<Outlook> LookAhead(const std::vector<std::string>& queues);

  const std::string path_;
  const Clock& clock_;
  const Milliseconds look_every_;
  std::mutex writer_mutex_;
  std::unique_ptr<storage::Sqlite> writer_;  // by writer_mutex_
  QueueNames names_;                         // by writer_mutex_
  ReaderPool readers_;
  std::unique_ptr<WakeBoard> board_;
};

}  // namespace msearch::queue
