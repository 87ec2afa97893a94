// Helper processes of our own program, spoken to over a socket pair in frames. Codec children and
// embedding children are such processes: the parent asks, the child answers, and a child that
// dies, hangs or grows too large costs its parent one error.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/result.h"

namespace msearch {

// What exec takes to start this very program, whatever became of its file meanwhile: after an
// upgrade a process and all that it starts stay what they were, until it is started anew. The path
// names whoever opens it, and between fork and exec that is still the parent's program. argv[0]
// stays ProgramPath(), for people who look at processes.
inline constexpr const char* kThisProgram = "/proc/self/exe";

// One message: a small JSON value, any number of binary parts, at most one file descriptor.
struct Frame {
  Json head;
  std::vector<std::string> parts;
  Fd fd;  // sent by duplication; the sender keeps its own
};

// One end of the conversation. Not thread-safe.
class Channel {
 public:
  // Bounds what a (possibly hostile) peer can make us allocate.
  static constexpr uint64_t kFrameBytesMax = uint64_t{1} << 30;

  explicit Channel(Fd socket, uint64_t frame_bytes_max = kFrameBytesMax)
      : socket_(std::move(socket)), frame_bytes_max_(frame_bytes_max) {}
  // kUnavailable when the peer is gone.
  Result<> Send(const Frame& frame);
  // kTimeout when nothing has come by `deadline`, kUnavailable when the peer is gone, kCorrupt for
  // a broken frame. After any error the channel is of no further use.
  Result<Frame> Receive(std::optional<SteadyTime> deadline = std::nullopt);
  int fd() const { return socket_.get(); }
  void Close() { socket_.Reset(); }

 private:
  Result<> ReadExactly(char* out, size_t size, std::optional<SteadyTime> deadline, Fd* passed);

  Fd socket_;
  uint64_t frame_bytes_max_;
};

struct ChildOptions {
  std::vector<std::string> arguments;                   // after the program's own path
  std::string name;                                     // for messages and logs: "codec child"
  std::optional<uint64_t> memory_bytes_max;             // RLIMIT_AS
  std::optional<uint64_t> cpu_seconds_max;              // RLIMIT_CPU
  std::optional<unsigned> files_max;                    // RLIMIT_NOFILE
  uint64_t answer_bytes_max = Channel::kFrameBytesMax;  // of one frame
  int nice = 0;
};

// The child process's socket, in the child: inherited as file descriptor 3.
Channel ParentChannel();

// A running helper process. Started lazily, killed (SIGKILL) and reaped in the destructor; it
// also dies with its parent (PR_SET_PDEATHSIG). Not thread-safe.
class Child {
 public:
  // Runs this same program with the options' arguments.
  explicit Child(ChildOptions options) : options_(std::move(options)) {}
  ~Child() { Kill(); }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  // Sends the request to the child, starting one if none runs. One request at a time: its answer
  // has to be received before the next. The time that it may take counts from here. What goes
  // wrong, Receive tells.
  void Send(const Frame& request, Milliseconds timeout);
  // Waits for the answer to what was sent. kCrashed, naming the signal or exit status, when the
  // child died; kTimeout when it didn't answer in time (it is killed). An answer {"error": code,
  // "message": ...} becomes that error.
  Result<Frame> Receive();
  // Waits up to `wait` for Receive to have something to tell: an answer, or that the child is gone.
  bool HasAnswer(Milliseconds wait) const;
  // After a frame that others follow, of which an answer may consist: the time that they may take
  // counts from here.
  void RestartTime() { sent_at_ = std::chrono::steady_clock::now(); }
  bool out_of_time() const { return std::chrono::steady_clock::now() > sent_at_ + timeout_; }
  // Send and Receive.
  Result<Frame> Call(const Frame& request, Milliseconds timeout) {
    Send(request, timeout);
    return Receive();
  }

  void Kill();
  bool running() const { return pid_ > 0; }
  pid_t pid() const { return pid_; }
  // Largest resident size of the last child that ended, in bytes; 0 before.
  uint64_t peak_memory_bytes() const { return peak_memory_bytes_; }

 private:
  Result<> Start();
  std::string Reap();

  ChildOptions options_;
  pid_t pid_ = -1;
  std::optional<Channel> channel_;
  Result<> sent_ = Ok{};
  SteadyTime sent_at_{};
  Milliseconds timeout_{0};
  uint64_t peak_memory_bytes_ = 0;
};

// In the child: answers requests until the parent goes away. `handle` may return an error, which
// is sent to the parent.
template <typename Handle>
void ServeParent(Channel& channel, Handle&& handle) {
  while (true) {
    Result<Frame> request = channel.Receive();
    if (!request.ok()) return;
    Result<Frame> answer = handle(*request);
    Frame frame;
    if (answer.ok()) {
      frame = std::move(*answer);
    } else {
      frame.head = {{"error", std::string(CodeName(answer.code()))}, {"message", answer.message()}};
    }
    if (!channel.Send(frame).ok()) return;
  }
}

}  // namespace msearch
