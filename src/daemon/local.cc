// What the command line does on this machine without a server.

#include <sys/statvfs.h>

#include <cstdlib>
#include <filesystem>

#include "base/file.h"
#include "base/log.h"
#include "compute/controller_link.h"
#include "daemon/commands.h"
#include "daemon/layout.h"
#include "daemon/stores.h"
#include "embedding/model_packs.h"

namespace msearch::daemon {
namespace {

Result<Settings> LoadSettings(const std::string& config, const std::string& data) {
  Settings::Source source;
  source.environment = ProcessEnvironment();
  source.config = config;
  if (auto found = source.environment.find("MSEARCH_CONFIG");
      config.empty() && found != source.environment.end()) {
    source.config = found->second;
  }
  if (!data.empty()) source.flags["--data"] = data;
  return Settings::Load(source);
}

// Beyond this the times that users see and those of the queue tell different stories.
constexpr int64_t kClockSkewMs = 2000;

}  // namespace

namespace {

std::string AdviceFor(Code code) {
  switch (code) {
    case Code::kPermission:
      return "set redis.user and redis.password, or let that user do what is needed";
    case Code::kInvalid:
      return "set redis.host, redis.port and redis.tls to those of a Redis";
    case Code::kExhausted:
      return "raise its maxmemory, or make room on its disk";
    default:
      return "start it, or set redis.host and its like";
  }
}

}  // namespace

std::vector<cli::Check> RedisChecks(const queue::RedisQueueOptions& options) {
  const auto redis = storage::Redis::Make(options.server);
  const auto health =
      redis.ok() ? queue::CheckRedis(**redis) : Result<queue::RedisHealth>(redis.error());
  if (!health.ok()) {
    return {{"redis", false, health.message(), AdviceFor(health.code())}};
  }
  std::vector<cli::Check> checks;
  const bool fit = health->faults.empty();
  const Result<> rights = queue::CheckRights(**redis, options.prefix);
  if (fit && !rights.ok()) {
    checks.push_back({"redis", false, rights.message(), AdviceFor(rights.code())});
  } else {
    checks.push_back(
        {"redis", fit,
         fit ? (*redis)->where() + ", version " + health->version : health->faults.front(),
         "change its configuration"});
  }
  const bool persists = health->warnings.empty();
  checks.push_back({"redis persistence", persists,
                    persists ? "appends to a file" : health->warnings.front(),
                    "set appendonly yes"});
  const int64_t skew = health->clock_ahead_ms;
  checks.push_back(
      {"redis clock", skew > -kClockSkewMs && skew < kClockSkewMs,
       fmt::format("{} ms {} this machine's", std::abs(skew), skew < 0 ? "behind" : "ahead of"),
       "synchronise both with NTP"});
  if (health->maxmemory > 0) {
    const int64_t percent = health->used_memory * 100 / health->maxmemory;
    checks.push_back({"redis memory", percent < 90, fmt::format("{} % used", percent),
                      "raise maxmemory, or let workers catch up"});
  }
  return checks;
}

std::string Version() { return std::string(kVersion); }

Result<std::string> PullModel(const cli::PullRequest& request) {
  const Settings settings = TRY(LoadSettings(request.config, request.data));
  const Layout layout = Layout::Of(settings);
  std::error_code error;
  std::filesystem::create_directories(layout.models, error);
  if (error) return Error{Code::kUnavailable, layout.models + ": " + error.message()};
  const embedding::ModelPacks packs(
      {layout.manifests, layout.models, settings.Text("model.runtime")});
  TRY(packs.Pull(
      request.model, request.source,
      [&](const embedding::PullProgress& progress) {
        if (!request.progress) return;
        request.progress(
            {progress.file, progress.stage, progress.bytes_done, progress.bytes_total});
      },
      request.stop));
  switch (TRY(packs.Status(request.model)).purpose) {
    case embedding::PackPurpose::kSpeech:
      return "reading.speech: " + request.model + " has it write down what is said";
    case embedding::PackPurpose::kText:
      return "reading.text: " + request.model + " has it read text in pictures";
    case embedding::PackPurpose::kSounds:
      return "reading.sounds: " + request.model + " has it tell what sounds are";
    case embedding::PackPurpose::kSearch:
      break;
  }
  return "\"msearch model use " + request.model + "\" switches to it";
}

std::vector<cli::Check> LocalChecks() {
  std::vector<cli::Check> checks;
  auto settings = LoadSettings("", "");
  if (!settings.ok()) {
    checks.push_back({"settings", false, settings.message(), "msearch config show"});
    return checks;
  }
  checks.push_back({"settings", true,
                    settings->file().empty() ? "defaults and environment" : settings->file(), ""});
  const Layout layout = Layout::Of(*settings);
  checks.push_back({"model packs", !layout.manifests.empty(),
                    layout.manifests.empty() ? "no manifests beside the program" : layout.manifests,
                    "install share/msearch/models"});
  checks.push_back({"page", !layout.web.empty(),
                    layout.web.empty() ? "no page beside the program" : layout.web,
                    "install share/msearch/web"});
  const std::string runtime = settings->Text("model.runtime").empty()
                                  ? ProgramDirectory() + "/lib/libonnxruntime.so.1"
                                  : settings->Text("model.runtime");
  std::error_code error;
  const bool there = std::filesystem::exists(runtime, error);
  checks.push_back({"ONNX Runtime", there, there ? runtime : runtime + ": not there",
                    "set model.runtime, or install it where the system looks for libraries"});
  if (const auto redis = RedisOptions(*settings)) {
    for (cli::Check& check : RedisChecks(*redis)) {
      check.name += " (seen from here)";
      checks.push_back(std::move(check));
    }
  }
  std::string folder = layout.data;
  while (!std::filesystem::exists(folder, error) && folder.size() > 1) {
    folder = std::filesystem::path(folder).parent_path().string();
  }
  struct statvfs disk {};
  if (statvfs(folder.c_str(), &disk) == 0) {
    const uint64_t free_mib = (uint64_t{disk.f_bavail} * disk.f_frsize) >> 20;
    checks.push_back({"disk space for " + layout.data, free_mib > 1024,
                      fmt::format("{} MiB free", free_mib), "make room, or set data.directory"});
  }
  const std::string controller = settings->Text("compute.controller");
  if (controller.empty()) return checks;
  auto hello = compute::ControllerLink({controller, settings->Text("server.token")}).Greet();
  checks.push_back(
      {"controller", hello.ok(),
       hello.ok() ? controller + " answers, version " + GetString(*hello, "version").value_or("")
                  : hello.message(),
       "see compute.controller and server.token"});
  return checks;
}

}  // namespace msearch::daemon
