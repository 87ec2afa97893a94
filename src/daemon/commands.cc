#include "daemon/commands.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <filesystem>
#include <thread>

#include "base/file.h"
#include "base/log.h"
#include "base/strings.h"
#include "daemon/layout.h"
#include "daemon/process.h"
#include "daemon/stores.h"
#include "daemon/supervisor.h"
#include "media/codec.h"

namespace msearch::daemon {
namespace {

constexpr int kUsage = 2;

// Arguments split into words, flags of the settings' table, and the few others.
struct Parsed {
  std::vector<std::string> words;
  Settings::Source source;
  std::map<std::string, std::string> others;  // "--json", "--help", ...
};

Result<Parsed> Parse(const std::vector<std::string>& arguments,
                     const std::vector<std::string>& switches) {
  Parsed parsed;
  parsed.source.environment = ProcessEnvironment();
  if (auto config = parsed.source.environment.find("MSEARCH_CONFIG");
      config != parsed.source.environment.end()) {
    parsed.source.config = config->second;
  }
  std::vector<std::string> known{"--config", "--workers", "--debug", "--help"};
  known.insert(known.end(), switches.begin(), switches.end());
  for (const Setting& setting : SettingsTable()) {
    if (!setting.flag.empty()) known.emplace_back(setting.flag);
  }
  for (size_t i = 0; i < arguments.size(); ++i) {
    const std::string& argument = arguments[i];
    if (!argument.starts_with("-")) {
      parsed.words.push_back(argument);
      continue;
    }
    const size_t equals = argument.find('=');
    const std::string name = argument == "-h" ? "--help" : argument.substr(0, equals);
    if (std::find(known.begin(), known.end(), name) == known.end()) {
      std::string message = name + ": no such flag";
      if (auto nearest = NearestWord(name, known)) message += "; did you mean " + *nearest + "?";
      return Error{Code::kInvalid, message};
    }
    const bool is_switch = name == "--debug" || name == "--help" ||
                           std::find(switches.begin(), switches.end(), name) != switches.end();
    std::string value;
    if (equals != std::string::npos) {
      value = argument.substr(equals + 1);
    } else if (!is_switch) {
      if (i + 1 == arguments.size()) return Error{Code::kInvalid, name + ": a value is missing"};
      value = arguments[++i];
    }
    if (name == "--config") {
      parsed.source.config = value;
    } else if (name == "--debug") {
      parsed.source.flags["--log-level"] = "debug";
    } else if (name == "--workers") {
      parsed.others[name] = value;
      for (const char* key : {"MSEARCH_PROCESSES_TASK_WORKER_NUM_INSTANCES",
                              "MSEARCH_PROCESSES_EMBEDDING_WORKER_NUM_INSTANCES"}) {
        parsed.source.environment[key] = value;
      }
    } else if (is_switch) {
      parsed.others[name] = "1";
    } else {
      parsed.source.flags[name] = value;
    }
  }
  return parsed;
}

int Complain(const Error& error, int status = 1) {
  std::fprintf(stderr, "msearch: %s\n", error.message.c_str());
  return status;
}

void PrintFlags() {
  std::printf("\nFlags:\n");
  std::printf("  %-16s %s\n", "--config", "a profile (development, production) or a file");
  std::printf("  %-16s %s\n", "--workers", "number of task workers and of embedding workers");
  std::printf("  %-16s %s\n", "--debug", "as --log-level debug");
  for (const Setting& setting : SettingsTable()) {
    if (!setting.flag.empty()) {
      std::printf("  %-16s %s\n", std::string(setting.flag).c_str(),
                  std::string(setting.help).c_str());
    }
  }
  std::printf("\nAll settings: msearch config show\n");
}

bool IsLoopback(const std::string& host) {
  return host == "localhost" || host == "::1" || host.starts_with("127.");
}

RunPlan PlanOf(const Settings& settings, const std::string& what) {
  const int cores = static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
  RunPlan plan;
  plan.controller = what != "compute";
  plan.compute = what != "controller";
  plan.task_workers = static_cast<int>(settings.Integer("processes.task_worker.num_instances"));
  plan.embedding_workers =
      static_cast<int>(settings.Integer("processes.embedding_worker.num_instances"));
  if (plan.task_workers == 0) plan.task_workers = cores;
  if (plan.embedding_workers == 0) plan.embedding_workers = std::max(1, cores / 4);
  return plan;
}

Result<Settings> LoadChecked(const Settings::Source& source) {
  Settings settings = TRY(Settings::Load(source));
  if (!IsLoopback(settings.Text("server.host")) && settings.Text("server.token").empty()) {
    return Error{Code::kInvalid, "server.host: listening on " + settings.Text("server.host") +
                                     " needs an access token (server.token, --token)"};
  }
  return settings;
}

// --- service -------------------------------------------------------------------------------

std::string ReadLine(const std::string& path) {
  auto text = ReadFile(path, 4096);
  return text.ok() ? std::string(Trim(*text)) : "";
}

// The supervisor's process id while its lock is held; 0 when nothing runs.
pid_t RunningSupervisor(const Layout& layout) {
  auto lock = LockFile(layout.run + "/controller.lock");
  if (lock.ok() || lock.code() != Code::kConflict) return 0;
  return static_cast<pid_t>(std::atoi(ReadLine(layout.run + "/supervisor.pid").c_str()));
}

int ServiceStart(const Parsed& parsed, const Layout& layout, const std::string& what) {
  if (const pid_t pid = RunningSupervisor(layout); pid > 0) {
    std::printf("msearch is running already (process %d) on %s\n", pid,
                ReadLine(layout.run + "/address").c_str());
    return 0;
  }
  Result<> folders = layout.MakeFolders();
  if (!folders.ok()) return Complain(folders.error());
  std::vector<std::string> arguments{ProgramPath(), "run", what == "all" ? "both" : what};
  if (!parsed.source.config.empty()) {
    arguments.insert(arguments.end(), {"--config", parsed.source.config});
  }
  for (const auto& [flag, value] : parsed.source.flags) {
    arguments.insert(arguments.end(), {flag, value});
  }
  if (auto workers = parsed.others.find("--workers"); workers != parsed.others.end()) {
    arguments.insert(arguments.end(), {"--workers", workers->second});
  }
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_CLOEXEC) != 0) return Complain(ErrnoError("service", errno));
  Fd from(ends[0]);
  Fd to(ends[1]);
  const std::string output = layout.logs + "/service.out";
  const pid_t pid = fork();
  if (pid < 0) return Complain(ErrnoError("service", errno));
  if (pid == 0) {
    setsid();
    const int null = open("/dev/null", O_RDONLY);
    const int log = open(output.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    dup2(null, STDIN_FILENO);
    dup2(to.get(), STDOUT_FILENO);
    dup2(log, STDERR_FILENO);
    execv(argv[0], argv.data());
    _exit(127);
  }
  to.Reset();
  // Until the line "ready ..." comes, or the process ends without it.
  std::string line;
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (line.find('\n') == std::string::npos && std::chrono::steady_clock::now() < deadline) {
    pollfd waiting{from.get(), POLLIN, 0};
    if (poll(&waiting, 1, 500) <= 0) continue;
    std::array<char, 512> buffer{};
    const ssize_t got = read(from.get(), buffer.data(), buffer.size());
    if (got <= 0) break;
    line.append(buffer.data(), static_cast<size_t>(got));
  }
  if (line.starts_with("ready ")) {
    std::printf("msearch is running on %s", line.substr(6).c_str());
    return 0;
  }
  if (waitpid(pid, nullptr, WNOHANG) == 0 && what == "compute") {
    std::printf("msearch compute is running (process %d)\n", pid);
    return 0;
  }
  std::fprintf(stderr, "msearch didn't start; the end of %s:\n", output.c_str());
  const std::string log = ReadFile(output, 1 << 20).value_or("");
  std::fputs(log.substr(log.size() > 2000 ? log.size() - 2000 : 0).c_str(), stderr);
  return 1;
}

int ServiceStop(const Layout& layout) {
  const pid_t pid = RunningSupervisor(layout);
  if (pid <= 0) {
    std::printf("msearch isn't running\n");
    return 0;
  }
  if (kill(pid, SIGTERM) != 0) return Complain(ErrnoError("service", errno));
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(45);
  while (RunningSupervisor(layout) > 0) {
    if (std::chrono::steady_clock::now() > deadline) {
      std::fprintf(stderr, "msearch doesn't stop (process %d)\n", pid);
      return 1;
    }
    std::this_thread::sleep_for(Milliseconds(50));
  }
  std::printf("msearch has stopped\n");
  return 0;
}

int ServiceStatus(const Settings& settings, const Layout& layout) {
  const pid_t pid = RunningSupervisor(layout);
  if (pid <= 0) {
    std::printf("msearch isn't running\n");
    return 3;
  }
  std::printf("msearch is running (process %d) on %s\n", pid,
              ReadLine(layout.run + "/address").c_str());
  auto queue = OpenQueue(settings, layout);
  if (!queue.ok()) return 0;
  auto workers = (*queue)->Workers();
  if (!workers.ok()) return 0;
  for (const queue::WorkerInfo& worker : *workers) {
    if (worker.role != "supervisor" || worker.pid != pid) continue;
    for (const Json& role : worker.detail.value("roles", Json::array())) {
      std::printf("  %-18s %-3lld %-11s process %-8lld restarts %lld\n",
                  GetString(role, "role").value_or("").c_str(),
                  static_cast<long long>(GetInt(role, "number").value_or(0)),
                  GetString(role, "state").value_or("").c_str(),
                  static_cast<long long>(GetInt(role, "pid").value_or(0)),
                  static_cast<long long>(GetInt(role, "restarts").value_or(0)));
    }
  }
  return 0;
}

}  // namespace

int RunCommand(const std::vector<std::string>& arguments) {
  auto parsed = Parse(arguments, {});
  if (!parsed.ok()) return Complain(parsed.error(), kUsage);
  if (parsed->others.contains("--help")) {
    std::printf("msearch run [both|controller|compute]: run in the foreground\n");
    PrintFlags();
    return 0;
  }
  const std::string what = parsed->words.empty() ? "both" : parsed->words[0];
  if (parsed->words.size() > 1 || (what != "both" && what != "controller" && what != "compute")) {
    return Complain({Code::kInvalid, "run: both, controller or compute is expected"}, kUsage);
  }
  auto settings = LoadChecked(parsed->source);
  if (!settings.ok()) return Complain(settings.error(), kUsage);
  return Supervise(*settings, Layout::Of(*settings), PlanOf(*settings, what));
}

int ServiceCommand(const std::vector<std::string>& arguments) {
  auto parsed = Parse(arguments, {});
  if (!parsed.ok()) return Complain(parsed.error(), kUsage);
  const std::string action = parsed->words.empty() ? "" : parsed->words[0];
  const std::string what = parsed->words.size() > 1 ? parsed->words[1] : "all";
  if (parsed->others.contains("--help") || action.empty()) {
    std::printf(
        "msearch service start|stop|restart|status [all|controller|compute]: "
        "run in the background\n");
    PrintFlags();
    return action.empty() && !parsed->others.contains("--help") ? kUsage : 0;
  }
  if (what == "redis") {
    return Complain({Code::kUnsupported, "service: this version doesn't manage a Redis server"});
  }
  if (what != "all" && what != "controller" && what != "compute") {
    return Complain({Code::kInvalid, "service: all, controller or compute is expected"}, kUsage);
  }
  auto settings = LoadChecked(parsed->source);
  if (!settings.ok()) return Complain(settings.error(), kUsage);
  const Layout layout = Layout::Of(*settings);
  if (action == "start") return ServiceStart(*parsed, layout, what);
  if (action == "stop") return ServiceStop(layout);
  if (action == "status") return ServiceStatus(*settings, layout);
  if (action == "restart") {
    const int stopped = ServiceStop(layout);
    return stopped != 0 ? stopped : ServiceStart(*parsed, layout, what);
  }
  return Complain({Code::kInvalid, "service: start, stop, restart or status is expected"}, kUsage);
}

int ConfigCommand(const std::vector<std::string>& arguments) {
  auto parsed = Parse(arguments, {"--json", "--markdown"});
  if (!parsed.ok()) return Complain(parsed.error(), kUsage);
  const bool show = parsed->words.size() == 1 && parsed->words[0] == "show";
  if (parsed->others.contains("--help") || !show) {
    std::printf(
        "msearch config show [--json|--markdown]: every setting, and where it comes from\n");
    return parsed->others.contains("--help") ? 0 : kUsage;
  }
  if (parsed->others.contains("--markdown")) {
    std::fputs(SettingsMarkdown().c_str(), stdout);
    return 0;
  }
  auto settings = Settings::Load(parsed->source);
  if (!settings.ok()) return Complain(settings.error(), kUsage);
  Json json = Json::object();
  for (const Setting& setting : SettingsTable()) {
    std::string value = settings->Text(setting.key);
    if (setting.secret && !value.empty()) value = "(hidden)";
    const std::string origin = settings->Origin(setting.key);
    json[std::string(setting.key)] = {{"value", value}, {"origin", origin}};
    if (!parsed->others.contains("--json")) {
      std::printf("%-48s %-24s %s\n", std::string(setting.key).c_str(),
                  value.empty() ? "(empty)" : value.c_str(), origin.c_str());
    }
  }
  if (parsed->others.contains("--json")) std::printf("%s\n", DumpJson(json, 2).c_str());
  return 0;
}

int RoleCommand(const std::vector<std::string>& arguments) {
  if (arguments.empty())
    return Complain({Code::kInvalid, "role: started by msearch itself"}, kUsage);
  RoleArguments role;
  role.role = arguments[0];
  for (size_t i = 1; i + 1 < arguments.size(); i += 2) {
    const std::string& value = arguments[i + 1];
    if (arguments[i] == "--settings") role.settings_file = value;
    if (arguments[i] == "--number") role.number = std::atoi(value.c_str());
    if (arguments[i] == "--ready-fd") role.ready_fd = std::atoi(value.c_str());
    if (arguments[i] == "--port") role.port = std::atoi(value.c_str());
    if (arguments[i] == "--model") role.model = value;
  }
  if (role.role == "codec") return media::ServeCodec();
  if (role.ready_fd >= 0) fcntl(role.ready_fd, F_SETFD, FD_CLOEXEC);
  StopSignals signals;
  auto process = StartRole(role);
  if (!process.ok()) return Complain(process.error(), kCannotStart);
  if (role.role == "controller") return RunController(*process, signals);
  if (role.role == "monitor") return RunMonitor(*process, signals);
  if (role.role == "task_worker") return RunTaskWorker(*process, signals);
  if (role.role == "embedding_worker") return RunEmbeddingWorker(*process, signals);
  if (role.role == "embedder") return RunEmbedderChild(*process);
  return Complain({Code::kInvalid, role.role + ": no such role"}, kUsage);
}

}  // namespace msearch::daemon
