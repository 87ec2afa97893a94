// A futex can be waited for only one at a time, but a worker waits for several queues. So all
// waiters of a channel share one word, and the kernel's bit sets choose whom a wake concerns:
// each waiter names its topics, each waker its own. Counters by topic tell a waiter whether the
// word changed for its sake: it re-reads 32 numbers, not the database.
#include "queue/wake_board.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <climits>
#include <ctime>

#include "base/file.h"

namespace msearch::queue {

struct WakeBoard::Words {
  std::atomic<uint32_t> word;
  std::atomic<uint32_t> waiters;  // too high after a waiter was killed: costs needless wakes
  std::array<std::atomic<uint32_t>, 32> counts;
};

// All zero is a valid state: whoever comes first creates it by growing the file.
struct WakeBoard::Shared {
  std::array<Words, 2> channels;
};

namespace {

constexpr off_t kFileBytes = 4096;

void FutexWait(std::atomic<uint32_t>& word, uint32_t expected, SteadyTime deadline,
               uint32_t topics) {
  const auto nanoseconds =
      std::chrono::duration_cast<std::chrono::nanoseconds>(deadline.time_since_epoch()).count();
  timespec until{};
  until.tv_sec = nanoseconds / 1'000'000'000;
  until.tv_nsec = nanoseconds % 1'000'000'000;
  // Absolute, on CLOCK_MONOTONIC: the clock of steady_clock. Not private: processes share it.
  syscall(SYS_futex, &word, FUTEX_WAIT_BITSET, expected, &until, nullptr, topics);
}

void FutexWake(std::atomic<uint32_t>& word, uint32_t topics) {
  syscall(SYS_futex, &word, FUTEX_WAKE_BITSET, INT_MAX, nullptr, nullptr, topics);
}

}  // namespace

Result<std::unique_ptr<WakeBoard>> WakeBoard::Open(const std::string& path) {
  static_assert(sizeof(Shared) <= kFileBytes && std::atomic<uint32_t>::is_always_lock_free);
  const Fd file = TRY(OpenFile(path, O_RDWR | O_CREAT, 0600));
  if (ftruncate(file.get(), kFileBytes) != 0) return ErrnoError(path, errno);
  // Reserved, so that a full disk is an error here and not a SIGBUS later.
  if (const int fault = posix_fallocate(file.get(), 0, kFileBytes)) return ErrnoError(path, fault);
  void* memory = mmap(nullptr, kFileBytes, PROT_READ | PROT_WRITE, MAP_SHARED, file.get(), 0);
  if (memory == MAP_FAILED) return ErrnoError(path, errno);
  return std::unique_ptr<WakeBoard>(new WakeBoard(static_cast<Shared*>(memory)));
}

WakeBoard::~WakeBoard() { munmap(shared_, kFileBytes); }

uint32_t WakeBoard::TopicOf(std::string_view name) {
  uint32_t hash = 2166136261U;  // FNV-1a: the same in every process
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 16777619U;
  return 1U << (hash % 32);
}

uint32_t WakeBoard::TopicOf(int64_t number) {
  return 1U << ((static_cast<uint64_t>(number) * 0x9E3779B97F4A7C15U) >> 59);
}

WakeBoard::Words& WakeBoard::words(Channel channel) const {
  return shared_->channels[static_cast<size_t>(channel)];
}

WakeBoard::Ticket WakeBoard::Look(Channel channel, uint32_t topics) const {
  Ticket ticket{topics, 0};
  for (uint32_t i = 0; i < 32; ++i) {
    if ((topics >> i & 1U) != 0) ticket.seen += words(channel).counts[i].load();
  }
  return ticket;
}

void WakeBoard::Wait(Channel channel, const Ticket& ticket, SteadyTime deadline,
                     const std::stop_token& stop) {
  Words& shared = words(channel);
  const std::stop_callback nudge(stop, [&] {
    shared.word.fetch_add(1);
    FutexWake(shared.word, ticket.topics);
  });
  shared.waiters.fetch_add(1);
  while (true) {
    const uint32_t word = shared.word.load();
    if (stop.stop_requested() || std::chrono::steady_clock::now() >= deadline) break;
    if (Look(channel, ticket.topics).seen != ticket.seen) break;
    FutexWait(shared.word, word, deadline, ticket.topics);
  }
  shared.waiters.fetch_sub(1);
}

void WakeBoard::Wake(Channel channel, uint32_t topics) {
  if (topics == 0) return;
  Words& shared = words(channel);
  for (uint32_t i = 0; i < 32; ++i) {
    if ((topics >> i & 1U) != 0) shared.counts[i].fetch_add(1);
  }
  shared.word.fetch_add(1);
  if (shared.waiters.load() != 0) FutexWake(shared.word, topics);
}

}  // namespace msearch::queue
