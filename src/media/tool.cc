#include "media/tool.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "base/file.h"
#include "base/strings.h"

namespace msearch::media {
namespace {

constexpr size_t kErrorBytesMax = 500;

struct Pipe {
  Fd read;
  Fd write;
};

Result<Pipe> MakePipe() {
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_CLOEXEC) != 0) return ErrnoError("pipe", errno);
  return Pipe{Fd(ends[0]), Fd(ends[1])};
}

// In the new process, which shares its parent's memory until exec.
[[noreturn]] void Become(const char* path, char* const* arguments, const ToolRun& run, int in,
                         int out, int errors, pid_t parent) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(127);
  struct sigaction plain {};
  plain.sa_handler = SIG_DFL;
  sigaction(SIGPIPE, &plain, nullptr);
  const rlimit seconds{run.cpu_seconds_max, run.cpu_seconds_max};
  setrlimit(RLIMIT_CPU, &seconds);
  dup2(in, STDIN_FILENO);
  dup2(out, STDOUT_FILENO);
  dup2(errors, STDERR_FILENO);
  close_range(STDERR_FILENO + 1, ~0U, 0);
  char* const environment[] = {const_cast<char*>("LC_ALL=C.UTF-8"),
                               const_cast<char*>("HOME=/nonexistent"), nullptr};
  execve(path, arguments, environment);
  _exit(127);
}

// Reads both until both have ended, or `out` is full.
void Collect(Fd& out, Fd& errors, uint64_t bytes_max, ToolOutput& output) {
  std::vector<char> piece(64 << 10);
  auto take = [&](Fd& from, std::string& to, uint64_t most, bool& cut) {
    const ssize_t got = read(from.get(), piece.data(), piece.size());
    if (got < 0 && errno == EINTR) return;
    if (got <= 0) {
      from.Reset();
      return;
    }
    const size_t fits = std::min<uint64_t>(static_cast<uint64_t>(got), most - to.size());
    to.append(piece.data(), fits);
    cut = cut || fits < static_cast<size_t>(got);
  };
  bool enough = false;
  bool words_cut = false;
  while (out.valid() && !enough) {
    std::array<pollfd, 2> waiting{pollfd{out.get(), POLLIN, 0}, pollfd{errors.get(), POLLIN, 0}};
    if (poll(waiting.data(), waiting.size(), -1) < 0) continue;
    if (waiting[0].revents != 0) take(out, output.out, bytes_max, enough);
    if (errors.valid() && waiting[1].revents != 0) {
      take(errors, output.errors, kErrorBytesMax, words_cut);
    }
  }
  output.complete = !enough;
  out.Reset();  // more output ends the program by SIGPIPE
  while (errors.valid()) take(errors, output.errors, kErrorBytesMax, words_cut);
}

std::string OneLine(std::string_view text) {
  std::string line;
  for (std::string_view part : Split(text, '\n')) {
    if (Trim(part).empty()) continue;
    if (!line.empty()) line += "; ";
    line += Trim(part);
  }
  return SanitizeUtf8(TruncateUtf8(line, kErrorBytesMax));
}

}  // namespace

Result<ToolOutput> RunTool(const MediaSource& source, const ToolRun& run) {
  const std::string path = "/usr/bin/" + run.program;
  if (access(path.c_str(), X_OK) != 0) {
    return Error{Code::kUnsupported, run.program + ": isn't installed"};
  }
  // The descriptor's position is shared with everyone who has it.
  if (lseek(source.fd, 0, SEEK_SET) != 0) return ErrnoError("file", errno);
  Pipe out = TRY(MakePipe());
  Pipe errors = TRY(MakePipe());
  std::vector<char*> arguments{const_cast<char*>(run.program.c_str())};
  for (const std::string& argument : run.arguments) {
    arguments.push_back(const_cast<char*>(argument.c_str()));
  }
  arguments.push_back(nullptr);
  const pid_t parent = getpid();
  const pid_t pid = vfork();
  if (pid < 0) return ErrnoError(run.program, errno);
  if (pid == 0) {
    Become(path.c_str(), arguments.data(), run, source.fd, out.write.get(), errors.write.get(),
           parent);
  }
  out.write.Reset();
  errors.write.Reset();
  ToolOutput output;
  Collect(out.read, errors.read, run.output_bytes_max, output);
  output.errors = OneLine(output.errors);

  int status = 0;
  rusage usage{};
  while (wait4(pid, &status, 0, &usage) < 0 && errno == EINTR) {
  }
  if (WIFEXITED(status)) {
    output.status = WEXITSTATUS(status);
    return output;
  }
  const int signal = WTERMSIG(status);
  if (signal == SIGPIPE && !output.complete) return output;
  if (signal == SIGKILL || signal == SIGXCPU) {
    const uint64_t used = static_cast<uint64_t>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec);
    if (used + 1 >= run.cpu_seconds_max) {
      return Error{Code::kTooLarge, run.program + ": took more than " +
                                        std::to_string(run.cpu_seconds_max) +
                                        " s of processor time"};
    }
  }
  return Error{Code::kCrashed, run.program + ": killed by " + strsignal(signal) + ", peak memory " +
                                   std::to_string(usage.ru_maxrss >> 10) + " MiB"};
}

}  // namespace msearch::media
