// What every back end of the task queue must do, as one suite that runs unchanged over each:
//
//   INSTANTIATE_TEST_SUITE_P(Embedded, QueueConformance, testing::Values(QueueKind{...}));
//
// in a program that links queue_conformance.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "queue/task_queue.h"
#include "support/manual_clock.h"

namespace msearch::queue {

// One back end's state, empty at first, and gone with the object.
class QueueUnderTest {
 public:
  virtual ~QueueUnderTest() = default;
  // A further user of the same state, as another process would be.
  virtual std::unique_ptr<TaskQueue> Open() = 0;
  test::ManualClock& clock() { return clock_; }

 protected:
  test::ManualClock clock_;
};

struct QueueKind {
  std::string name;
  std::function<std::unique_ptr<QueueUnderTest>()> make;
};
inline void PrintTo(const QueueKind& kind, std::ostream* out) { *out << kind.name; }

class QueueConformance : public testing::TestWithParam<QueueKind> {
 protected:
  QueueConformance() : state_(GetParam().make()), queue_(state_->Open()) {}

  TaskId Add(NewTask task);
  TaskId Add(const std::string& kind = "work");
  // Leases without waiting.
  std::vector<Lease> Take(size_t count_max = 1, const std::string& queue = "tasks");
  // The one task there is to lease.
  Lease TakeOne();
  Task Get(const TaskId& id);
  Result<> Finish(const Lease& lease, std::vector<NewTask> follow_ups = {});
  Result<> Fail(const Lease& lease, Code code, const std::string& message = "it: broke");
  QueueStats Stats(const std::string& queue = "tasks");
  std::vector<std::string> History(const TaskId& id);
  void Advance(Milliseconds by) { state_->clock().Advance(by); }
  UnixMs Now() { return state_->clock().NowMs(); }

  std::unique_ptr<QueueUnderTest> state_;
  std::unique_ptr<TaskQueue> queue_;
};

// A task of the queue "tasks".
NewTask MakeTask(const std::string& kind = "work", Priority priority = Priority::kNormal);

}  // namespace msearch::queue
