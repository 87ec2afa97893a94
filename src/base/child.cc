#include "base/child.h"

#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

// A frame on the wire: u32 magic, u32 count of parts, u64 size of the head, u64 size of each part
// (all little-endian), then head (CBOR) and parts. A passed descriptor rides on the first byte.

namespace msearch {
namespace {

constexpr uint32_t kMagic = 0x314D534D;  // "MSM1"
constexpr uint32_t kPartsMax = 4096;
constexpr int kChildSocket = 3;

struct Preamble {
  uint32_t magic;
  uint32_t parts;
  uint64_t head_size;
};

}  // namespace

Result<> Channel::Send(const Frame& frame) {
  const std::string head = ToCbor(frame.head);
  Preamble preamble{kMagic, static_cast<uint32_t>(frame.parts.size()), head.size()};
  std::vector<uint64_t> sizes;
  for (const std::string& part : frame.parts) sizes.push_back(part.size());

  std::vector<iovec> pieces;
  auto add = [&](const void* data, size_t size) {
    if (size > 0) pieces.push_back({const_cast<void*>(data), size});
  };
  add(&preamble, sizeof(preamble));
  add(sizes.data(), sizes.size() * sizeof(uint64_t));
  add(head.data(), head.size());
  for (const std::string& part : frame.parts) add(part.data(), part.size());

  bool fd_sent = !frame.fd.valid();
  size_t first = 0;
  while (first < pieces.size()) {
    msghdr message{};
    message.msg_iov = pieces.data() + first;
    message.msg_iovlen = std::min<size_t>(pieces.size() - first, 64);
    std::array<char, CMSG_SPACE(sizeof(int))> control{};
    if (!fd_sent) {
      message.msg_control = control.data();
      message.msg_controllen = control.size();
      cmsghdr* header = CMSG_FIRSTHDR(&message);
      header->cmsg_level = SOL_SOCKET;
      header->cmsg_type = SCM_RIGHTS;
      header->cmsg_len = CMSG_LEN(sizeof(int));
      const int fd = frame.fd.get();
      std::memcpy(CMSG_DATA(header), &fd, sizeof(fd));
    }
    ssize_t sent = sendmsg(socket_.get(), &message, MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0)
      return Error{Code::kUnavailable, "child process: " + std::string(strerror(errno))};
    fd_sent = true;
    while (sent > 0) {
      const size_t taken = std::min<size_t>(static_cast<size_t>(sent), pieces[first].iov_len);
      pieces[first].iov_base = static_cast<char*>(pieces[first].iov_base) + taken;
      pieces[first].iov_len -= taken;
      sent -= static_cast<ssize_t>(taken);
      if (pieces[first].iov_len == 0) ++first;
    }
  }
  return Ok{};
}

Result<> Channel::ReadExactly(char* out, size_t size, std::optional<SteadyTime> deadline,
                              Fd* passed) {
  while (size > 0) {
    if (deadline) {
      const auto left =
          std::chrono::duration_cast<Milliseconds>(*deadline - std::chrono::steady_clock::now());
      // An answer that came in time is taken even by somebody who looks late.
      const int64_t wait = left.count() < 0 ? 0 : std::min<int64_t>(left.count() + 1, 60000);
      pollfd waiting{socket_.get(), POLLIN, 0};
      const int ready = poll(&waiting, 1, static_cast<int>(wait));
      if (ready == 0 && wait == 0) return Error{Code::kTimeout, "no answer in time"};
      if (ready == 0 || (ready < 0 && errno == EINTR)) continue;
    }
    iovec piece{out, size};
    msghdr message{};
    message.msg_iov = &piece;
    message.msg_iovlen = 1;
    std::array<char, CMSG_SPACE(sizeof(int))> control{};
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    const ssize_t got = recvmsg(socket_.get(), &message, MSG_CMSG_CLOEXEC);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return Error{Code::kUnavailable, "child process: " + std::string(strerror(errno))};
    if (got == 0) return Error{Code::kUnavailable, "child process: went away"};
    for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr;
         header = CMSG_NXTHDR(&message, header)) {
      if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(header), sizeof(fd));
      Fd owned(fd);
      if (passed != nullptr) *passed = std::move(owned);
    }
    out += got;
    size -= static_cast<size_t>(got);
  }
  return Ok{};
}

Result<Frame> Channel::Receive(std::optional<SteadyTime> deadline) {
  Frame frame;
  Preamble preamble{};
  TRY(ReadExactly(reinterpret_cast<char*>(&preamble), sizeof(preamble), deadline, &frame.fd));
  if (preamble.magic != kMagic || preamble.parts > kPartsMax ||
      preamble.head_size > frame_bytes_max_) {
    return Error{Code::kCorrupt, "child process: broken frame"};
  }
  std::vector<uint64_t> sizes(preamble.parts);
  TRY(ReadExactly(reinterpret_cast<char*>(sizes.data()), sizes.size() * sizeof(uint64_t), deadline,
                  &frame.fd));
  uint64_t total = preamble.head_size;
  for (uint64_t size : sizes) {
    if (size > frame_bytes_max_ || (total += size) > frame_bytes_max_) {
      return Error{Code::kCorrupt, "child process: frame too large"};
    }
  }
  std::string head(preamble.head_size, '\0');
  TRY(ReadExactly(head.data(), head.size(), deadline, &frame.fd));
  for (uint64_t size : sizes) {
    std::string part(size, '\0');
    TRY(ReadExactly(part.data(), part.size(), deadline, &frame.fd));
    frame.parts.push_back(std::move(part));
  }
  frame.head = TRY(FromCbor(head));
  return frame;
}

Channel ParentChannel() { return Channel(Fd(kChildSocket)); }

Result<> Child::Start() {
  std::array<int, 2> pair{};
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair.data()) != 0) {
    return ErrnoError(options_.name, errno);
  }
  Fd ours(pair[0]);
  Fd theirs(pair[1]);
  const std::string program = ProgramPath();
  std::vector<char*> argv{const_cast<char*>(program.c_str())};
  for (const std::string& argument : options_.arguments) {
    argv.push_back(const_cast<char*>(argument.c_str()));
  }
  argv.push_back(nullptr);
  const pid_t parent = getpid();

  // Between vfork and exec only async-signal-safe calls; the parent may have many threads.
  const pid_t pid = vfork();
  if (pid < 0) return ErrnoError(options_.name, errno);
  if (pid == 0) {
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, nullptr);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(127);
    auto limit = [](__rlimit_resource_t resource, uint64_t value) {
      const rlimit bounds{value, value};
      setrlimit(resource, &bounds);
    };
    if (options_.memory_bytes_max) limit(RLIMIT_AS, *options_.memory_bytes_max);
    if (options_.cpu_seconds_max) limit(RLIMIT_CPU, *options_.cpu_seconds_max);
    limit(RLIMIT_CORE, 0);
    if (theirs.get() == kChildSocket) {
      // dup2 onto itself would keep close-on-exec.
      const int copy = dup(theirs.get());
      dup2(copy, kChildSocket);
      close(copy);
    } else {
      dup2(theirs.get(), kChildSocket);
    }
    if (options_.files_max) limit(RLIMIT_NOFILE, *options_.files_max);
    if (options_.nice != 0) setpriority(PRIO_PROCESS, 0, options_.nice);
    execv(kThisProgram, argv.data());
    _exit(127);
  }
  pid_ = pid;
  channel_.emplace(std::move(ours), options_.answer_bytes_max);
  return Ok{};
}

std::string Child::Reap() {
  if (pid_ <= 0) return "";
  int status = 0;
  rusage usage{};
  while (wait4(pid_, &status, 0, &usage) < 0 && errno == EINTR) {
  }
  peak_memory_bytes_ = static_cast<uint64_t>(usage.ru_maxrss) * 1024;
  pid_ = -1;
  channel_.reset();
  if (WIFSIGNALED(status)) return std::string("killed by ") + strsignal(WTERMSIG(status));
  return "exited with status " + std::to_string(WEXITSTATUS(status));
}

void Child::Kill() {
  if (pid_ <= 0) return;
  kill(pid_, SIGKILL);
  Reap();
}

void Child::Send(const Frame& request, Milliseconds timeout) {
  sent_at_ = std::chrono::steady_clock::now();
  timeout_ = timeout;
  sent_ = Ok{};
  if (pid_ <= 0) sent_ = Start();
  if (pid_ > 0) sent_ = channel_->Send(request);
}

bool Child::HasAnswer(Milliseconds wait) const {
  if (!channel_ || !sent_.ok()) return true;
  pollfd waiting{channel_->fd(), POLLIN, 0};
  return poll(&waiting, 1, static_cast<int>(wait.count())) != 0;
}

Result<Frame> Child::Receive() {
  if (pid_ <= 0)
    return sent_.ok() ? Error{Code::kInternal, "child: was asked nothing"} : sent_.error();
  Result<Frame> answer =
      sent_.ok() ? channel_->Receive(sent_at_ + timeout_) : Result<Frame>(sent_.error());
  if (!answer.ok()) {
    if (answer.code() == Code::kTimeout) {
      Kill();
      return Error{Code::kTimeout, options_.name + ": no answer within " +
                                       std::to_string(timeout_.count()) + " ms"};
    }
    if (answer.code() == Code::kUnavailable) {
      // Nearly always it has ended by itself, and the signal comes too late to change its status.
      // But a child taken over by its input could close the socket and stay.
      kill(pid_, SIGKILL);
      return Error{Code::kCrashed, options_.name + ": " + Reap()};
    }
    Kill();
    return answer.error();
  }
  if (const auto code = GetString(answer->head, "error")) {
    return Error{CodeFromName(*code), GetString(answer->head, "message").value_or("")};
  }
  return answer;
}

}  // namespace msearch
