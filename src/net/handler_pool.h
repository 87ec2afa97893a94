// A fixed number of threads with a bounded queue in front.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace msearch::net {

class HandlerPool {
 public:
  class Job {
   public:
    virtual ~Job() = default;
    virtual void Run() = 0;
  };

  HandlerPool(int threads, size_t waiting_max);
  ~HandlerPool() { Stop(); }

  // False when as many jobs wait as may, or the pool was stopped. Thread-safe.
  bool Add(std::shared_ptr<Job> job);
  // Runs what waits, then joins. Not to be called from a job.
  void Stop();

 private:
  void Work();

  const size_t waiting_max_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::shared_ptr<Job>> waiting_;  // guarded by mutex_
  bool stopped_ = false;                      // guarded by mutex_
  std::vector<std::thread> threads_;
};

}  // namespace msearch::net
