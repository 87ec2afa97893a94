#include "daemon/supervisor.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <climits>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>
#include <optional>

#include "base/child.h"
#include "base/file.h"
#include "base/log.h"
#include "base/strings.h"
#include "daemon/machine_queue.h"
#include "daemon/process.h"
#include "daemon/stores.h"
#include "queue/task_queue.h"

// One thread, one loop: signals come through a signalfd, the controller's readiness through a pipe,
// and the loop's time-out drives restarts and heartbeats. Roles run in process groups of their own,
// so that Ctrl-C in a terminal reaches the supervisor only and the order of stopping is kept.

namespace msearch::daemon {
namespace {

using std::chrono::steady_clock;
using Seconds = std::chrono::duration<double>;

constexpr Seconds kPauseFirst{0.5};
constexpr Seconds kPauseMax{30};
constexpr Seconds kLongLife{60};
constexpr std::chrono::seconds kStopGrace{15};
constexpr std::chrono::seconds kHeartbeat{2};

struct Role {
  std::string name;
  int number = 0;
  int rank = 0;        // stopped in the order of ranks
  bool asked = false;  // to stop, because it isn't needed any more
  // Runs only while this machine works without the queue's server, or for builds of its own.
  bool standby = false;
  pid_t pid = -1;
  bool ready = false;  // of a compute server: it has told so since it was started
  int restarts = 0;
  std::string last_exit;
  Seconds pause = kPauseFirst;
  steady_clock::time_point started_at{};
  steady_clock::time_point start_after{};
};

std::string Describe(int status) {
  if (WIFSIGNALED(status)) return std::string("killed by ") + strsignal(WTERMSIG(status));
  return "exited with status " + std::to_string(WEXITSTATUS(status));
}

class Supervisor {
 public:
  Supervisor(const Settings& settings, const Layout& layout, const RunPlan& plan)
      : settings_(settings), layout_(layout) {
    auto add = [&](const char* name, int count, int rank) {
      for (int i = 1; i <= count; ++i) roles_.push_back({.name = name, .number = i, .rank = rank});
    };
    add("controller", plan.controller ? 1 : 0, 1);
    add("monitor", plan.controller ? 1 : 0, 0);
    add("task_worker", plan.compute ? plan.task_workers : 0, 0);
    add("embedding_worker", plan.compute ? plan.embedding_workers : 0, 0);
    name_ = plan.controller ? "controller" : "compute";
    if (plan.controller && !plan.compute && RedisOptions(settings_)) {
      const size_t first = roles_.size();
      add("task_worker", plan.task_workers, 0);
      add("embedding_worker", plan.embedding_workers, 0);
      for (size_t i = first; i < roles_.size(); ++i) roles_[i].standby = true;
    }
    info_ = MakeWorkerInfo("supervisor", 0);
  }

  int Run() {
    Result<> prepared = Prepare();
    if (!prepared.ok()) {
      std::fprintf(stderr, "msearch: %s\n", prepared.message().c_str());
      return 1;
    }
    while (true) {
      StartDue();
      if (name_ == "compute") TellIfReady();
      Beat();
      Wait();
      Reap();
      if (stopping_ && AllGone()) break;
      if (stopping_) StopNext();
    }
    if (queue_ != nullptr) (void)queue_->Forget(info_.id);
    std::error_code ignored;
    std::filesystem::remove(settings_file_, ignored);
    if (name_ == "controller") std::filesystem::remove(layout_.run + "/address", ignored);
    std::filesystem::remove(layout_.run + "/" + name_ + ".json", ignored);
    return exit_status_;
  }

 private:
  Result<> Prepare() {
    TRY(layout_.MakeFolders());
    auto lock = LockFile(layout_.run + "/" + name_ + ".lock");
    if (!lock.ok() && lock.code() == Code::kConflict) {
      return Error{Code::kConflict,
                   layout_.data + ": another msearch is running on this data folder"};
    }
    if (!lock.ok()) return lock.error();
    lock_ = std::move(*lock);
    LogOptions log;
    log.process = "supervisor";
    log.directory = layout_.logs;
    log.level = settings_.Text("logging.level");
    TRY(StartLogging(log));

    // Of this name by the lock, so that one whose supervisor was killed is written over.
    settings_file_ = layout_.run + "/settings-" + name_ + ".json";
    const mode_t mask = umask(0077);
    Result<> written = WriteFileAtomically(settings_file_, DumpJson(settings_.ToJson()));
    umask(mask);
    TRY(written);

    sigset_t signals;
    sigemptyset(&signals);
    for (int number : {SIGTERM, SIGINT, SIGCHLD, SIGHUP}) sigaddset(&signals, number);
    sigprocmask(SIG_BLOCK, &signals, nullptr);
    signal(SIGPIPE, SIG_IGN);
    signals_ = Fd(signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK));
    if (name_ == "compute") {
      std::array<int, 2> ends{-1, -1};
      if (pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK) != 0) return ErrnoError("compute", errno);
      ready_pipe_ = Fd(ends[0]);
      told_by_roles_ = Fd(ends[1]);
    }
    WriteRoles();
    // What the supervisor shows goes into the machine's own queue: a server that hangs must not
    // keep it from its roles. A compute server without one says it in run/compute.json alone.
    if (!settings_.Text("compute.controller").empty()) return Ok{};
    queue::EmbeddedOptions options;
    options.path = layout_.queue;
    queue_ = TRY(queue::OpenEmbeddedQueue(options));
    return Ok{};
  }

  void StartDue() {
    if (stopping_) return;
    const auto now = steady_clock::now();
    std::error_code ignored;
    const bool alone =
        WorksLocally(layout_) || std::filesystem::exists(WorksHerePath(layout_), ignored);
    for (Role& role : roles_) {
      if (role.standby && !alone) {
        // Its leases go back, and it isn't started again until it's needed.
        if (role.pid > 0 && !std::exchange(role.asked, true)) kill(role.pid, SIGTERM);
        continue;
      }
      // Workers wait until the controller has made the catalog and serves.
      if (role.name != "controller" && !ready_ && roles_.front().name == "controller") continue;
      if (role.pid < 0 && now >= role.start_after) Start(&role);
    }
  }

  void Start(Role* role) {
    std::vector<std::string> arguments{ProgramPath(),
                                       "role",
                                       role->name,
                                       "--settings",
                                       settings_file_,
                                       "--number",
                                       std::to_string(role->number)};
    std::array<int, 2> pipe_ends{-1, -1};
    if (role->name == "controller") {
      if (pipe2(pipe_ends.data(), O_CLOEXEC) != 0) return;
      arguments.insert(arguments.end(), {"--ready-fd", std::to_string(kReadyFd)});
      if (port_ > 0) arguments.insert(arguments.end(), {"--port", std::to_string(port_)});
    }
    if (told_by_roles_.valid()) {
      arguments.insert(arguments.end(), {"--ready-fd", std::to_string(kReadyFd)});
    }
    const int tells = told_by_roles_.valid() ? told_by_roles_.get() : pipe_ends[1];
    std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);

    const pid_t parent = getpid();
    const pid_t pid = fork();
    if (pid == 0) {
      setpgid(0, 0);
      sigset_t none;
      sigemptyset(&none);
      sigprocmask(SIG_SETMASK, &none, nullptr);
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      if (getppid() != parent) _exit(127);
      if (tells >= 0) dup2(tells, kReadyFd);
      if (tells == kReadyFd) fcntl(kReadyFd, F_SETFD, 0);  // dup2 onto itself keeps close-on-exec
      const int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
      if (null >= 0) dup2(null, STDIN_FILENO);
      dup2(STDERR_FILENO, STDOUT_FILENO);
      execv(kThisProgram, argv.data());
      _exit(127);
    }
    Fd write_end(pipe_ends[1]);
    role->started_at = steady_clock::now();
    role->asked = false;
    role->ready = false;
    if (pid < 0) {
      LOG_ERROR("{} {}: {}", role->name, role->number, strerror(errno));
      Fd read_end(pipe_ends[0]);
      Postpone(role);
      return;
    }
    if (pipe_ends[0] >= 0) ready_pipe_ = Fd(pipe_ends[0]);
    role->pid = pid;
    LOG_INFO("started {} {} as process {}", role->name, role->number, pid);
  }

  static void Postpone(Role* role) {
    const auto now = steady_clock::now();
    if (now - role->started_at > kLongLife) role->pause = kPauseFirst;
    role->start_after = now + std::chrono::duration_cast<steady_clock::duration>(role->pause);
    role->pause = std::min(role->pause * 2, kPauseMax);
  }

  void Wait() {
    auto due = steady_clock::now() + kHeartbeat;
    for (const Role& role : roles_) {
      if (role.pid < 0 && !stopping_ && role.start_after > steady_clock::now()) {
        due = std::min(due, role.start_after);
      }
    }
    if (stopping_) due = std::min(due, steady_clock::now() + std::chrono::milliseconds(200));
    const auto left =
        std::chrono::duration_cast<Milliseconds>(due - steady_clock::now()).count() + 1;
    std::array<pollfd, 2> waiting{pollfd{signals_.get(), POLLIN, 0},
                                  pollfd{ready_pipe_.get(), POLLIN, 0}};
    poll(waiting.data(), ready_pipe_.valid() ? 2 : 1, static_cast<int>(std::max<int64_t>(left, 0)));
    if (ready_pipe_.valid() && waiting[1].revents != 0) {
      name_ == "compute" ? ReadTold() : ReadReady();
    }
    signalfd_siginfo info{};
    while (read(signals_.get(), &info, sizeof(info)) == sizeof(info)) {
      if (info.ssi_signo != SIGCHLD) AskToStop();
    }
  }

  void ReadReady() {
    std::array<char, 64> buffer{};
    const ssize_t got = read(ready_pipe_.get(), buffer.data(), buffer.size() - 1);
    ready_pipe_.Reset();
    if (got <= 0) return;  // it ended before it was ready; Reap sees to that
    port_ = std::atoi(buffer.data());
    const bool first = !ready_;
    ready_ = true;
    const std::string host = settings_.Text("server.host");
    const std::string address = fmt::format(
        "http://{}:{}", host.find(':') != std::string::npos ? "[" + host + "]" : host, port_);
    Result<> written = WriteFileAtomically(layout_.run + "/address", address + "\n");
    if (!written.ok()) LOG_WARNING("{}", written.message());
    if (!first) return;
    std::printf("ready %s\n", address.c_str());
    std::fflush(stdout);
  }

  // What the workers of a compute server tell of their start: see TellReady.
  void ReadTold() {
    std::array<char, 4096> buffer{};
    for (ssize_t got = 0; (got = read(ready_pipe_.get(), buffer.data(), buffer.size())) > 0;) {
      told_.append(buffer.data(), static_cast<size_t>(got));
    }
    for (size_t end = 0; (end = told_.find('\n')) != std::string::npos; told_.erase(0, end + 1)) {
      const std::string line = told_.substr(0, end);
      for (Role& role : roles_) {
        const std::string who = fmt::format("{} {} ", role.name, role.number);
        if (!line.starts_with(who)) continue;
        const std::string what = line.substr(who.size());
        if (what == "ready") role.ready = true;
        if (what.starts_with("waiting ")) SayWaiting(what.substr(8));
      }
    }
  }

  // A compute server is ready when its workers have got an answer from all that they need: before,
  // the configuration may still turn out to be wrong.
  void TellIfReady() {
    if (ready_ || stopping_) return;
    if (!std::ranges::all_of(roles_, [](const Role& role) { return role.ready; })) return;
    ready_ = true;
    waits_for_.clear();
    WriteRoles();
    std::printf("ready compute\n");
    std::fflush(stdout);
  }

  void SayWaiting(const std::string& for_what) {
    if (ready_ || stopping_ || waits_for_ == for_what) return;
    waits_for_ = for_what;
    WriteRoles();
    std::printf("waiting: %s\n", for_what.c_str());
    std::fflush(stdout);
  }

  void Reap() {
    int status = 0;
    for (pid_t pid = 0; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
      for (Role& role : roles_) {
        if (role.pid != pid) continue;
        role.pid = -1;
        role.last_exit = Describe(status);
        // Nothing of its group may outlive it.
        kill(-pid, SIGKILL);
        if (stopping_ || role.asked) continue;
        const bool hopeless = WIFEXITED(status) && WEXITSTATUS(status) == kCannotStart;
        // What worked once is tried again, however long somebody's mistake lasts.
        const bool at_start =
            name_ == "compute" ? role.restarts == 0 : role.name == "controller" && !ready_;
        if (hopeless && at_start) {
          LOG_ERROR("{} can't start; see its message above", role.name);
          exit_status_ = 1;
          AskToStop();
          continue;
        }
        ++role.restarts;
        Postpone(&role);
        if (name_ == "compute") {
          SayWaiting(fmt::format("{} {} {}; see {}", role.name, role.number, role.last_exit,
                                 layout_.logs));
        }
        const Seconds pause = role.start_after - steady_clock::now();
        LOG_ERROR("{} {} {}; starting it again in {:.1f} s (restart {})", role.name, role.number,
                  role.last_exit, std::max(pause.count(), 0.0), role.restarts);
      }
    }
  }

  void AskToStop() {
    if (std::exchange(stopping_, true)) {
      LOG_WARNING("asked again to stop: killing all processes");
      for (const Role& role : roles_) {
        if (role.pid > 0) kill(-role.pid, SIGKILL);
      }
      return;
    }
    LOG_INFO("stopping");
    StopNext();
  }

  // Asks the roles of the lowest rank that still run; kills those that take too long.
  void StopNext() {
    int rank = INT_MAX;
    for (const Role& role : roles_) {
      if (role.pid > 0) rank = std::min(rank, role.rank);
    }
    if (rank == INT_MAX) return;
    const auto now = steady_clock::now();
    if (rank != asked_rank_) {
      asked_rank_ = rank;
      kill_at_ = now + kStopGrace;
      for (const Role& role : roles_) {
        if (role.pid > 0 && role.rank == rank) kill(role.pid, SIGTERM);
      }
    } else if (now > kill_at_) {
      for (const Role& role : roles_) {
        if (role.pid <= 0 || role.rank != rank) continue;
        LOG_WARNING("{} {} doesn't stop: killing it", role.name, role.number);
        kill(-role.pid, SIGKILL);
      }
    }
  }

  bool AllGone() const {
    return std::none_of(roles_.begin(), roles_.end(),
                        [](const Role& role) { return role.pid > 0; });
  }

  Json RolesJson() const {
    Json roles = Json::array();
    for (const Role& role : roles_) {
      if (role.standby && role.pid <= 0) continue;
      Json one{{"role", role.name},
               {"number", role.number},
               {"state", role.pid > 0 ? "running" : "restarting"},
               {"restarts", role.restarts}};
      if (role.pid > 0) one["pid"] = role.pid;
      if (role.standby) one["standby"] = true;
      if (!role.last_exit.empty()) one["last_exit"] = role.last_exit;
      roles.push_back(std::move(one));
    }
    return roles;
  }

  // For `msearch service`, which needs no queue to look at it.
  void WriteRoles() const {
    Json json{{"pid", getpid()}, {"roles", RolesJson()}};
    if (!waits_for_.empty()) json["waits_for"] = waits_for_;
    const Result<> written =
        WriteFileAtomically(layout_.run + "/" + name_ + ".json", DumpJson(json) + "\n");
    if (!written.ok()) LOG_WARNING("{}", written.message());
  }

  void Beat() {
    const auto now = steady_clock::now();
    if (now < beat_at_) return;
    beat_at_ = now + kHeartbeat;
    const Json roles = RolesJson();
    WriteRoles();
    if (queue_ == nullptr) return;
    info_.state = stopping_ ? "stopping" : "running";
    info_.detail = {{"roles", roles}};
    (void)queue_->Heartbeat(info_, Milliseconds(10000));
  }

  static constexpr int kReadyFd = 3;

  const Settings& settings_;
  const Layout& layout_;
  std::string name_;  // "controller" (with or without workers) or "compute"
  std::vector<Role> roles_;
  queue::WorkerInfo info_;
  std::unique_ptr<queue::TaskQueue> queue_;  // null: none to show itself in
  std::string settings_file_;
  Fd lock_;
  Fd signals_;
  Fd ready_pipe_;          // from the controller, or from a compute server's workers
  Fd told_by_roles_;       // the other end of the latter
  std::string told_;       // through it, up to a line that isn't whole
  std::string waits_for_;  // of a compute server that isn't ready
  bool ready_ = false;
  int port_ = -1;
  bool stopping_ = false;
  int asked_rank_ = -1;
  steady_clock::time_point kill_at_{};
  steady_clock::time_point beat_at_{};
  int exit_status_ = 0;
};

}  // namespace

int Supervise(const Settings& settings, const Layout& layout, const RunPlan& plan) {
  return Supervisor(settings, layout, plan).Run();
}

}  // namespace msearch::daemon
