// Wakes threads of this and other processes without polling: a small file of futex words that
// all processes map. Carries no data and needs no care: a lost or deleted file only means that
// waiters notice news at the end of their (bounded) wait.
#pragma once

#include <cstdint>
#include <memory>
#include <stop_token>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"

namespace msearch::queue {

// Thread-safe.
class WakeBoard {
 public:
  enum class Channel { kWork, kEnded };

  static Result<std::unique_ptr<WakeBoard>> Open(const std::string& path);
  ~WakeBoard();
  WakeBoard(const WakeBoard&) = delete;
  WakeBoard& operator=(const WakeBoard&) = delete;

  // One of 32 topics, by hash. Topics are or-ed together; two names that share one only cost a
  // needless look.
  static uint32_t TopicOf(std::string_view name);
  static uint32_t TopicOf(int64_t number);

  // What the waiter has seen so far. Taken before looking for work, so that nothing that comes
  // after the look is missed.
  struct Ticket {
    uint32_t topics = 0;
    uint64_t seen = 0;
  };
  Ticket Look(Channel channel, uint32_t topics) const;

  // Returns when somebody woke one of the ticket's topics since it was taken, at the deadline,
  // or when stopped.
  void Wait(Channel channel, const Ticket& ticket, SteadyTime deadline,
            const std::stop_token& stop);

  void Wake(Channel channel, uint32_t topics);

 private:
  struct Shared;
  struct Words;
  explicit WakeBoard(Shared* shared) : shared_(shared) {}
  Words& words(Channel channel) const;

  Shared* shared_;
};

}  // namespace msearch::queue
