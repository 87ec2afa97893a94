// What lies ahead of a task: how many others, and for how long.
//
// Looking at a queue of thousands takes longer than anybody who submits should wait, so a thread
// looks while many submit, and they count on from what it saw a moment ago. Who asks alone, or
// about a short queue, gets what is so now.
#pragma once

#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "queue/task_queue.h"

namespace msearch::answer {

// Of one queue.
struct Outlook {
  bool paused = false;
  int workers = 0;
  double mean_ms = 0;               // of a task: measured, or what is usual
  bool measured = false;            // some have ended lately
  std::vector<double> busy_for_ms;  // of the tasks under way
};

// Milliseconds until a task ends that `ahead` others go before, by the outlook of its queue.
// REQUIRES: workers > 0.
double EndsIn(const Outlook& outlook, int64_t ahead);

// Thread-safe.
class Lookout {
 public:
  // `usual_ms`: how long a task of a queue takes as long as none has ended.
  Lookout(std::shared_ptr<queue::TaskQueue> queue, std::map<std::string, double> usual_ms);
  ~Lookout();
  void Stop();  // the thread

  // As of a quarter of a second ago at most; `hurried`: of some seconds, without looking if
  // possible.
  Result<Outlook> At(const std::string& queue, bool hurried);
  // How many go before a task that was enqueued just now; of a long line, about.
  Result<int64_t> AheadOf(const queue::Task& newest);

 private:
  struct Seen {
    SteadyTime at{};
    bool looking = false;  // somebody who asks does
    Outlook outlook;
  };
  // Tasks of one priority in one queue.
  using LineName = std::pair<std::string, queue::Priority>;
  struct Line {
    SteadyTime counted_at{};
    bool counting = false;  // somebody who asks does
    queue::TaskId newest;
    int64_t ahead = 0;  // of the newest, counted then and on since
    int64_t added = 0;  // ever
  };
  Result<Outlook> Look(const std::string& queue);
  Result<int64_t> Count(const LineName& name, const queue::TaskId& task);
  void Run(const std::stop_token& stop);

  const std::shared_ptr<queue::TaskQueue> queue_;
  const std::map<std::string, double> usual_ms_;
  std::mutex mutex_;
  std::condition_variable_any wanted_;
  std::map<std::string, Seen> seen_;     // by mutex_
  std::map<LineName, Line> lines_;       // by mutex_
  std::set<std::string> queues_wanted_;  // by mutex_; to be looked at
  std::set<LineName> lines_wanted_;      // by mutex_; to be counted
  std::jthread thread_;
};

}  // namespace msearch::answer
