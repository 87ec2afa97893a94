// One transaction on the embedded queue: the transitions of tasks, with what they add to the
// counts and whom they wake. Every method runs inside the transaction of its owner, which rolls
// all of it back when one returns an error.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "queue/embedded_schema.h"
#include "queue/task_queue.h"
#include "storage/sqlite.h"

namespace msearch::queue {

// A new task whose limits were checked, with its payload as text.
struct Draft {
  const NewTask* task = nullptr;
  std::string payload;
};
Result<Draft> CheckNewTask(const NewTask& task);
// As text that will be readable again; kTooLarge, or kInvalid when nested too deep.
Result<std::string> CheckJson(const Json& value, std::string_view what);

// Numbers of queues as last seen in the database, where they never change. Not thread-safe.
struct QueueNames {
  std::map<std::string, int64_t, std::less<>> numbers;
  std::map<int64_t, std::string> names;
};

class Change {
 public:
  Change(storage::Sqlite& db, UnixMs now, QueueNames& known) : db_(db), now_(now), known_(known) {}

  // kNotFound when a followed task doesn't exist. Changes nothing.
  Result<> CheckFollowed(const NewTask& task);
  // REQUIRES: CheckFollowed
  Result<TaskId> Add(const Draft& draft);

  // A lease whose task's payload is still text: parsing it can wait until others may write.
  struct Taken {
    Lease lease;
    std::string payload;
  };
  // Up to count_max ready tasks of one queue.
  Result<std::vector<Taken>> Take(const std::string& queue, const LeaseRequest& request);
  // The task of a lease that is honoured: the latest, and not run out.
  Result<std::optional<TaskRow>> Held(const Lease& lease);
  Result<TaskQueue::Held> Extend(const Lease& lease, Milliseconds duration);
  Result<> SetProgress(const TaskRow& row, const Progress& progress);

  // False, and nothing changes, when the lease isn't honoured, the task is to be cancelled, or
  // `followed` isn't true of it.
  Result<bool> Finish(const Lease& lease, std::string_view result, bool followed);

  // How else a started task ends, or goes back. REQUIRES: Held
  Result<> Fail(const TaskRow& row, const Error& error);
  Result<> Release(const TaskRow& row, Milliseconds delay);
  Result<> EndCancelled(const TaskRow& row);

  Result<> Cancel(const TaskId& id);
  Result<> Retry(const TaskId& id);

  // Recovers leases that ran out and starts delayed tasks whose time has come: at most
  // `count_max`; how many there were. Of one queue, or of all.
  Result<size_t> SeeToOverdue(const std::string& queue, size_t count_max);
  Result<size_t> SeeToOverdue(size_t count_max);
  // At most `count_max` ended tasks; how many there were.
  Result<size_t> Remove(State state, UnixMs ended_until, size_t count_max);

  Result<> SetPaused(const std::string& queue, bool paused);

  // Last in the transaction: writes the counts.
  Result<> Flush();
  // To wake after the commit. Valid after Flush.
  uint32_t work_topics() const { return work_topics_; }
  uint32_t ended_topics() const { return ended_topics_; }

  storage::Sqlite& db() { return db_; }
  UnixMs now() const { return now_; }

 private:
  // What to add to the row of a queue: leases, and what is rarer.
  struct Rest {
    int64_t unfinished = 0;
    int64_t forgotten = 0;
    int64_t failed = 0;
    int64_t cancelled = 0;
    int64_t failed_total = 0;
    bool operator==(const Rest&) const = default;
  };
  struct Tally {
    int64_t leases = 0;
    Rest rest;
  };
  // What an attempt adds to a task's counts, and why it ended.
  struct Verdict {
    State state = State::kReady;
    int attempts = 0;
    int errors = 0;
    int crashes = 0;
    int losses = 0;
    Milliseconds delay{0};
    std::string_view reason;
    std::optional<Error> error;
    std::string events;
  };

  Result<std::optional<int64_t>> FindQueue(const std::string& name);
  Result<int64_t> FindOrAddQueue(const std::string& name);
  Result<std::string> QueueName(int64_t queue);
  Result<int64_t> NextRow();
  // Counts a task's step from one state to the next; nothing for its creation or removal.
  void Count(int64_t queue, std::optional<State> from, std::optional<State> to);
  std::string Event(const TaskRow& row, EventKind kind, std::string_view worker = {},
                    std::string_view detail = {}) const;

  struct Followed {
    int blockers = 0;               // not ended yet
    std::optional<Error> obstacle;  // one that will not finish
    std::vector<int64_t> open_rows;
  };
  Result<Followed> LookAtFollowed(const std::vector<TaskId>& after);
  Result<> Insert(const Draft& draft, const TaskKey& key, int64_t queue, const Followed& followed);

  // Up to `count` first tasks, of one priority or of all, to the end of `leases`; how many.
  Result<size_t> TakeFirst(int64_t queue, std::optional<Priority> priority, size_t count,
                           const LeaseRequest& request, std::vector<Taken>* leases);

  Result<> Apply(const TaskRow& row, const Verdict& verdict);
  // Into the queue again, ready or delayed; or to its end.
  Result<> PutBack(const TaskRow& row, const Verdict& verdict);
  Result<> End(const TaskRow& row, const Verdict& verdict);
  // The follow-up of a failed task, if it has one.
  Result<> LeaveDeadLetter(int64_t row);
  Result<> Lose(const TaskRow& row);
  Result<> SeeTo(const std::vector<int64_t>& rows);
  struct Ended {
    int64_t row = 0;
    State state = State::kFinished;
    std::optional<Error> error;
  };
  // Wakes who waits for the end, and settles what follows the task.
  Result<> Tell(Ended ended, bool followed);
  // Starts or fails those that follow a task that ended.
  Result<> Settle(const Ended& ended);
  Result<> Unblock(const TaskRow& dependent);
  // Of a task that waits no longer, for whatever reason.
  Result<> ForgetFollowed(const TaskRow& dependent);
  // Steps through a DELETE that returns queue and state.
  Result<size_t> CountRemoved(storage::Statement& removal);

  storage::Sqlite& db_;
  const UnixMs now_;
  QueueNames& known_;
  std::set<int64_t> added_queues_;  // may yet be rolled back
  std::map<int64_t, Tally> tallies_;
  std::set<int64_t> became_ready_;
  std::optional<int64_t> next_row_;
  std::optional<Token> last_token_;
  std::deque<Ended> unsettled_;  // by a loop, not by recursion: chains may be long
  bool settling_ = false;
  uint32_t work_topics_ = 0;
  uint32_t ended_topics_ = 0;
};

}  // namespace msearch::queue
