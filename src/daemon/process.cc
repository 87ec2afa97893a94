#include "daemon/process.h"

#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>

#include "base/file.h"
#include "base/log.h"

namespace msearch::daemon {

StopSignals::StopSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGUSR2);  // only to end the thread
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  signal(SIGPIPE, SIG_IGN);
  wake_ = eventfd(0, EFD_CLOEXEC);
  thread_ = std::thread([this, signals] {
    for (int count = 0; true;) {
      int number = 0;
      if (sigwait(&signals, &number) != 0) continue;
      if (number == SIGUSR2) return;
      if (++count > 1) _exit(128 + number);
      source_.request_stop();
      const uint64_t one = 1;
      (void)!write(wake_, &one, sizeof(one));
    }
  });
}

StopSignals::~StopSignals() {
  pthread_kill(thread_.native_handle(), SIGUSR2);
  thread_.join();
  close(wake_);
}

void StopSignals::Wait() {
  uint64_t value = 0;
  while (!source_.stop_requested()) (void)!read(wake_, &value, sizeof(value));
}

queue::WorkerInfo MakeWorkerInfo(const std::string& role, int number) {
  std::array<char, 256> host{};
  gethostname(host.data(), host.size() - 1);
  queue::WorkerInfo info;
  info.host = host.data();
  info.pid = getpid();
  info.role = role;
  info.id = fmt::format("{}:{}:{}:{}", info.host, info.pid, role, number);
  info.started_at = SystemClock().NowMs();
  return info;
}

namespace {

// A line is one write, so that those of several processes don't mix.
void TellSupervisor(const RoleProcess& process, std::string words) {
  constexpr size_t kLineMax = 500;
  if (process.arguments.ready_fd < 0) return;
  if (words.size() > kLineMax) words.resize(kLineMax);
  std::replace(words.begin(), words.end(), '\n', ' ');
  const std::string line =
      fmt::format("{} {} {}\n", process.arguments.role, process.arguments.number, words);
  (void)!write(process.arguments.ready_fd, line.data(), line.size());
}

}  // namespace

void TellWaiting(const RoleProcess& process, const std::string& for_what) {
  TellSupervisor(process, "waiting " + for_what);
}

void TellReady(const RoleProcess& process) { TellSupervisor(process, "ready"); }

Result<RoleProcess> StartRole(const RoleArguments& arguments) {
  const std::string text = TRY(ReadFile(arguments.settings_file, 1 << 20));
  RoleProcess process{arguments, TRY(Settings::FromJson(TRY(ParseJson(text)))), {}, {}};
  process.layout = Layout::Of(process.settings);
  process.info = MakeWorkerInfo(arguments.role, arguments.number);
  LogOptions log;
  log.process = arguments.role;
  if (arguments.role.ends_with("_worker")) log.process += "_" + std::to_string(arguments.number);
  log.directory = process.layout.logs;
  log.level = process.settings.Text("logging.level");
  TRY(StartLogging(log));
  return process;
}

}  // namespace msearch::daemon
