// `msearch service`: what runs in the background on this machine. A supervisor holds the lock of
// its name (controller or compute) for as long as it lives, and says in run/NAME.json what it runs,
// so neither a queue nor a server has to answer here.

#include <arpa/inet.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <thread>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/strings.h"
#include "daemon/command_line.h"
#include "daemon/commands.h"
#include "daemon/layout.h"

namespace msearch::daemon {
namespace {

constexpr std::chrono::seconds kStartMax{60};
constexpr std::chrono::seconds kStopMax{45};
constexpr int kNotRunning = 3;

using std::chrono::steady_clock;

std::string ReadLine(const std::string& path) {
  auto text = ReadFile(path, 4096);
  return text.ok() ? std::string(Trim(*text)) : "";
}

Json RolesFile(const Layout& layout, const std::string& name) {
  const std::string text = ReadFile(layout.run + "/" + name + ".json", 1 << 20).value_or("");
  return ParseJson(text).value_or(Json::object());
}

// The supervisor's process id while its lock is held; 0 when it doesn't run.
pid_t RunningSupervisor(const Layout& layout, const std::string& name) {
  const std::string lock_path = layout.run + "/" + name + ".lock";
  if (access(lock_path.c_str(), F_OK) != 0) return 0;
  auto lock = LockFile(lock_path);
  if (lock.ok() || lock.code() != Code::kConflict) return 0;
  return static_cast<pid_t>(GetInt(RolesFile(layout, name), "pid").value_or(0));
}

// The supervisors that the word means: "all" is both.
std::vector<std::string> NamesOf(const std::string& what) {
  if (what == "all") return {"controller", "compute"};
  return {what};
}

bool Until(std::chrono::seconds limit, const std::function<bool()>& condition) {
  const auto deadline = steady_clock::now() + limit;
  while (!condition()) {
    if (steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(Milliseconds(50));
  }
  return true;
}

std::vector<char*> Pointers(std::vector<std::string>& words) {
  std::vector<char*> out;
  for (std::string& word : words) out.push_back(word.data());
  out.push_back(nullptr);
  return out;
}

// Starts a process of its own session; its standard output is the pipe's other end.
Result<std::pair<pid_t, Fd>> Launch(std::vector<std::string> words, const std::string& log_path) {
  std::vector<char*> argv = Pointers(words);
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_CLOEXEC) != 0) return ErrnoError("service", errno);
  Fd from(ends[0]);
  const Fd to(ends[1]);
  const pid_t pid = fork();
  if (pid < 0) return ErrnoError("service", errno);
  if (pid == 0) {
    setsid();
    const int null = open("/dev/null", O_RDONLY);
    const int log = open(log_path.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    dup2(null, STDIN_FILENO);
    dup2(to.get(), STDOUT_FILENO);
    dup2(log, STDERR_FILENO);
    execvp(argv[0], argv.data());
    _exit(127);
  }
  return std::pair(pid, std::move(from));
}

// Up to a line's end, or what came before the process closed its output.
std::string FirstLine(const Fd& from) {
  std::string line;
  const auto deadline = steady_clock::now() + kStartMax;
  while (line.find('\n') == std::string::npos && steady_clock::now() < deadline) {
    pollfd waiting{from.get(), POLLIN, 0};
    if (poll(&waiting, 1, 500) <= 0) continue;
    std::array<char, 512> buffer{};
    const ssize_t got = read(from.get(), buffer.data(), buffer.size());
    if (got <= 0) break;
    line.append(buffer.data(), static_cast<size_t>(got));
  }
  return line;
}

void PrintTail(const std::string& path) {
  const std::string log = ReadFile(path, 1 << 20).value_or("");
  std::fputs(log.substr(log.size() > 2000 ? log.size() - 2000 : 0).c_str(), stderr);
}

int Start(const Parsed& parsed, const Layout& layout, const std::string& what) {
  const std::string name = what == "compute" ? "compute" : "controller";
  if (const pid_t pid = RunningSupervisor(layout, name); pid > 0) {
    std::printf("msearch %s is running already (process %d)\n", name.c_str(), pid);
    return 0;
  }
  Result<> folders = layout.MakeFolders();
  if (!folders.ok()) return Complain(folders.error());
  std::vector<std::string> words{ProgramPath(), "run", what == "all" ? "both" : what};
  if (!parsed.source.config.empty()) {
    words.insert(words.end(), {"--config", parsed.source.config});
  }
  for (const auto& [flag, value] : parsed.source.flags) words.insert(words.end(), {flag, value});
  if (auto workers = parsed.others.find("--workers"); workers != parsed.others.end()) {
    words.insert(words.end(), {"--workers", workers->second});
  }
  const std::string log_path = layout.logs + "/service-" + name + ".out";
  auto launched = Launch(std::move(words), log_path);
  if (!launched.ok()) return Complain(launched.error());
  const std::string line = FirstLine(launched->second);
  if (line.starts_with("ready http")) {
    std::printf("msearch is running on %s", line.substr(6).c_str());
    return 0;
  }
  if (line.starts_with("ready ")) {
    std::printf("msearch %s is running (process %d)\n", name.c_str(), launched->first);
    return 0;
  }
  if (line.starts_with("waiting: ")) {
    std::printf("msearch %s is running (process %d), %s", name.c_str(), launched->first,
                line.c_str());
    return 0;
  }
  std::fprintf(stderr, "msearch didn't start; the end of %s:\n", log_path.c_str());
  PrintTail(log_path);
  return 1;
}

int Stop(const Layout& layout, const std::string& what) {
  bool any = false;
  // Workers first, so that their results still reach the controller.
  auto names = NamesOf(what);
  for (auto name = names.rbegin(); name != names.rend(); ++name) {
    const pid_t pid = RunningSupervisor(layout, *name);
    if (pid <= 0) continue;
    any = true;
    if (kill(pid, SIGTERM) != 0) return Complain(ErrnoError("service", errno));
    if (!Until(kStopMax, [&] { return RunningSupervisor(layout, *name) == 0; })) {
      std::fprintf(stderr, "msearch %s doesn't stop (process %d)\n", name->c_str(), pid);
      return 1;
    }
    std::printf("msearch %s has stopped\n", name->c_str());
  }
  if (!any) std::printf("msearch isn't running\n");
  return 0;
}

int Status(const Layout& layout, const std::string& what) {
  bool any = false;
  for (const std::string& name : NamesOf(what)) {
    const pid_t pid = RunningSupervisor(layout, name);
    if (pid <= 0) continue;
    any = true;
    const std::string address =
        name == "controller" ? " on " + ReadLine(layout.run + "/address") : "";
    std::printf("msearch %s is running (process %d)%s\n", name.c_str(), pid, address.c_str());
    const Json file = RolesFile(layout, name);
    if (const auto reason = GetString(file, "waits_for")) {
      std::printf("  waiting: %s\n", reason->c_str());
    }
    for (const Json& role : file.value("roles", Json::array())) {
      std::printf(
          "  %-18s %-3lld %-11s process %-8lld restarts %lld%s\n",
          GetString(role, "role").value_or("").c_str(),
          static_cast<long long>(GetInt(role, "number").value_or(0)),
          GetString(role, "state").value_or("").c_str(),
          static_cast<long long>(GetInt(role, "pid").value_or(0)),
          static_cast<long long>(GetInt(role, "restarts").value_or(0)),
          GetBool(role, "standby").value_or(false) ? " (stands in for Redis's workers)" : "");
    }
  }
  if (!any) std::printf("msearch isn't running\n");
  return any ? 0 : kNotRunning;
}

// --- a Redis server of this machine --------------------------------------------------------

bool Answers(int port) {
  const Fd connection(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return connect(connection.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0;
}

pid_t RedisProcess(const Layout& layout) {
  const pid_t pid = static_cast<pid_t>(std::atoi(ReadLine(layout.run + "/redis.pid").c_str()));
  if (pid <= 0 || kill(pid, 0) != 0) return 0;
  // The file may be older than the machine's last start.
  const std::string command = ReadLine("/proc/" + std::to_string(pid) + "/comm");
  return command.starts_with("redis-server") ? pid : 0;
}

// Only what holds tasks safely: appended to disk, and nothing evicted.
Result<std::string> WriteRedisConfig(const Settings& settings, const Layout& layout) {
  const std::string folder = layout.data + "/redis";
  mkdir(folder.c_str(), 0700);
  std::string text = fmt::format(
      "bind 127.0.0.1\nport {}\ndir {}\nappendonly yes\nappendfsync everysec\n"
      "maxmemory-policy noeviction\ndaemonize yes\npidfile {}/redis.pid\nlogfile {}/redis.log\n",
      settings.Integer("redis.port"), folder, layout.run, layout.logs);
  if (const std::string password = settings.Text("redis.password"); !password.empty()) {
    if (password.find_first_of("\"\\\r\n") != std::string::npos) {
      return Error{Code::kInvalid, "redis.password: quotes and backslashes aren't supported here"};
    }
    text += fmt::format("requirepass \"{}\"\n", password);
  }
  const std::string path = layout.run + "/redis.conf";
  const mode_t mask = umask(0077);
  const Result<> written = WriteFileAtomically(path, text);
  umask(mask);
  if (!written.ok()) return written.error();
  return path;
}

int StartRedis(const Settings& settings, const Layout& layout) {
  const int port = static_cast<int>(settings.Integer("redis.port"));
  if (RedisProcess(layout) > 0) {
    std::printf("Redis is running already (process %d)\n", RedisProcess(layout));
    return 0;
  }
  if (Answers(port)) {
    return Complain({Code::kConflict, fmt::format("redis.port: something else listens on {}; it "
                                                  "may be a Redis that you can use as it is",
                                                  port)});
  }
  Result<> folders = layout.MakeFolders();
  if (!folders.ok()) return Complain(folders.error());
  auto config = WriteRedisConfig(settings, layout);
  if (!config.ok()) return Complain(config.error());
  const std::string log_path = layout.logs + "/service-redis.out";
  auto launched = Launch({"redis-server", *config}, log_path);
  if (!launched.ok()) return Complain(launched.error());
  int status = 0;
  waitpid(launched->first, &status, 0);
  if (WIFEXITED(status) && WEXITSTATUS(status) == 127) {
    return Complain(
        {Code::kNotFound, "redis-server: not installed (apt-get install redis-server)"});
  }
  if (!Until(std::chrono::seconds(10), [&] { return RedisProcess(layout) > 0 && Answers(port); })) {
    std::fprintf(stderr, "Redis didn't start; the end of %s/redis.log:\n", layout.logs.c_str());
    PrintTail(layout.logs + "/redis.log");
    return 1;
  }
  std::printf("Redis is running on 127.0.0.1:%d (process %d)\n", port, RedisProcess(layout));
  return 0;
}

int StopRedis(const Layout& layout) {
  const pid_t pid = RedisProcess(layout);
  if (pid == 0) {
    std::printf("Redis isn't running\n");
    return 0;
  }
  kill(pid, SIGTERM);
  if (!Until(kStopMax, [&] { return RedisProcess(layout) == 0; })) {
    std::fprintf(stderr, "Redis doesn't stop (process %d)\n", pid);
    return 1;
  }
  std::printf("Redis has stopped\n");
  return 0;
}

int StatusOfRedis(const Settings& settings, const Layout& layout) {
  const pid_t pid = RedisProcess(layout);
  if (pid == 0) {
    std::printf("Redis isn't running as a service of this data folder\n");
    return kNotRunning;
  }
  std::printf("Redis is running on 127.0.0.1:%lld (process %d)\n",
              static_cast<long long>(settings.Integer("redis.port")), pid);
  return 0;
}

}  // namespace

int ServiceCommand(const std::vector<std::string>& arguments) {
  auto parsed = Parse(arguments, {});
  if (!parsed.ok()) return Complain(parsed.error(), kUsage);
  const std::string action = parsed->words.empty() ? "" : parsed->words[0];
  const std::string what = parsed->words.size() > 1 ? parsed->words[1] : "all";
  if (parsed->others.contains("--help") || action.empty()) {
    std::printf(
        "msearch service start|stop|restart|status [all|controller|compute|redis]: "
        "run in the background\n");
    PrintFlags();
    return action.empty() && !parsed->others.contains("--help") ? kUsage : 0;
  }
  const bool redis = what == "redis";
  if (what != "all" && what != "controller" && what != "compute" && !redis) {
    return Complain({Code::kInvalid, "service: all, controller, compute or redis is expected"},
                    kUsage);
  }
  auto settings = LoadChecked(parsed->source);
  if (!settings.ok()) return Complain(settings.error(), kUsage);
  const Layout layout = Layout::Of(*settings);
  auto start = [&] { return redis ? StartRedis(*settings, layout) : Start(*parsed, layout, what); };
  auto stop = [&] { return redis ? StopRedis(layout) : Stop(layout, what); };
  if (action == "start") return start();
  if (action == "stop") return stop();
  if (action == "status") {
    return redis ? StatusOfRedis(*settings, layout) : Status(layout, what);
  }
  if (action == "restart") {
    const int stopped = stop();
    return stopped != 0 ? stopped : start();
  }
  return Complain({Code::kInvalid, "service: start, stop, restart or status is expected"}, kUsage);
}

}  // namespace msearch::daemon
