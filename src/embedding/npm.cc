#include "embedding/npm.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <filesystem>
#include <vector>

#include "base/clock.h"
#include "base/file.h"
#include "base/strings.h"

extern char** environ;

namespace msearch::embedding {
namespace {

constexpr auto kTimeout = std::chrono::minutes(30);

// Starts `arguments` in a process group of its own, output into `log_path`.
Result<pid_t> Spawn(const std::vector<std::string>& arguments, const std::string& log_path) {
  std::vector<char*> argv;
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  posix_spawn_file_actions_init(&actions);
  posix_spawnattr_init(&attributes);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, 1, log_path.c_str(), O_WRONLY | O_CREAT | O_TRUNC,
                                   0644);
  posix_spawn_file_actions_adddup2(&actions, 1, 2);
  sigset_t none, defaults;
  sigemptyset(&none);
  sigemptyset(&defaults);
  for (int signal : {SIGINT, SIGTERM, SIGPIPE, SIGCHLD}) sigaddset(&defaults, signal);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &defaults);
  posix_spawnattr_setpgroup(&attributes, 0);
  posix_spawnattr_setflags(&attributes,
                           POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  pid_t pid = -1;
  const int failed = posix_spawnp(&pid, argv[0], &actions, &attributes, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  if (failed == ENOENT) {
    return Error{Code::kUnavailable, arguments[0] + ": not installed, or not in PATH"};
  }
  if (failed != 0) return ErrnoError(arguments[0], failed);
  return pid;
}

// The exit status, once it ended; its group is killed when stopped or out of time.
Result<int> Wait(pid_t pid, const std::string& name, std::stop_token stop) {
  const Fd ended(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  const Fd stopped(eventfd(0, EFD_CLOEXEC));
  const std::stop_callback on_stop(stop, [&] {
    const uint64_t one = 1;
    (void)!write(stopped.get(), &one, sizeof(one));
  });
  const SteadyTime deadline = std::chrono::steady_clock::now() + kTimeout;
  std::optional<Error> fault;
  while (!fault) {
    std::array<pollfd, 2> waiting = {pollfd{ended.get(), POLLIN, 0},
                                     pollfd{stopped.get(), POLLIN, 0}};
    const auto left =
        std::chrono::duration_cast<Milliseconds>(deadline - std::chrono::steady_clock::now());
    const int ready =
        poll(waiting.data(), waiting.size(), static_cast<int>(std::max<int64_t>(left.count(), 0)));
    if (ready < 0 && errno == EINTR) continue;
    if (ready == 0) fault = Error{Code::kTimeout, name + ": not done after 30 minutes"};
    if (waiting[1].revents != 0) fault = Error{Code::kCancelled, name + ": cancelled"};
    if (waiting[0].revents != 0) break;
  }
  if (fault) kill(-pid, SIGKILL);
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (fault) return *fault;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace

Result<std::string> PackFromNpm(const std::string& package, const std::string& into,
                                std::stop_token stop) {
  const std::string log_path = into + "/npm.log";
  const pid_t pid = TRY(Spawn(
      {"npm", "pack", package, "--ignore-scripts", "--loglevel=error", "--pack-destination", into},
      log_path));
  const int status = TRY(Wait(pid, "npm pack " + package, stop));
  for (const auto& entry : std::filesystem::directory_iterator(into)) {
    if (status == 0 && entry.path().extension() == ".tgz") return entry.path().string();
  }
  std::string log = ReadFile(log_path, 1 << 20).value_or("");
  if (log.size() > 400) log = "..." + log.substr(log.size() - 400);
  return Error{Code::kUnavailable, "npm pack " + package + ": exit status " +
                                       std::to_string(status) + ": " + std::string(Trim(log))};
}

}  // namespace msearch::embedding
