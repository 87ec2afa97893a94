#include "daemon/commands.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <thread>

#include "base/file.h"
#include "base/log.h"
#include "base/strings.h"
#include "daemon/command_line.h"
#include "daemon/layout.h"
#include "daemon/process.h"
#include "daemon/stores.h"
#include "daemon/supervisor.h"
#include "media/codec.h"

namespace msearch::daemon {
namespace {

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
  const bool elsewhere = !settings->Text("compute.controller").empty();
  if (elsewhere && what != "compute") {
    return Complain({Code::kInvalid, "compute.controller: is for msearch run compute only"},
                    kUsage);
  }
  if (elsewhere && !RedisOptions(*settings)) {
    return Complain(
        {Code::kInvalid, "compute.controller: tasks come over Redis; set redis.host (REDIS_HOST)"},
        kUsage);
  }
  return Supervise(*settings, Layout::Of(*settings), PlanOf(*settings, what));
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
