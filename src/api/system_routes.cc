#include <prometheus/gauge.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>
#include <sys/statvfs.h>

#include <cstdlib>
#include <set>

#include "api/route_table.h"
#include "base/log.h"
#include "ingest/capability.h"
#include "net/http_client.h"

namespace msearch::api {
namespace {

// Beyond this the times that users see and those of the queue tell different stories.
constexpr int64_t kClockSkewMs = 5000;

const Shape kSession{{"token", Type::kText, "the access token"}};

Json Component(const std::string& name, const std::string& state, const std::string& detail) {
  return {{"name", name}, {"state", state}, {"detail", detail}};
}

// "ok", "degraded" or "failed" for each part; the worst of those that searching needs decides
// whether the server is usable.
net::Response Health(const Context& context) {
  Json components = Json::array();
  bool usable = true;
  bool degraded = false;
  auto add = [&](const std::string& name, const Result<>& state, const std::string& detail,
                 bool needed) {
    components.push_back(Component(name,
                                   state.ok() ? "ok"
                                   : needed   ? "failed"
                                              : "degraded",
                                   state.ok() ? detail : state.message()));
    usable &= state.ok() || !needed;
    degraded |= !state.ok();
  };
  auto counts = context.catalog->CountsByRoot();
  add("catalog", counts.ok() ? Result<>(Ok{}) : Result<>(counts.error()),
      counts.ok() ? std::to_string(counts->size()) + " roots" : "", true);
  auto workers = context.queue->Workers();
  const std::string queue_problem = context.queue_problem ? context.queue_problem() : "";
  add("queue",
      !workers.ok()           ? Result<>(workers.error())
      : queue_problem.empty() ? Result<>(Ok{})
                              : Result<>(Code::kUnavailable, queue_problem),
      context.queue_place ? context.queue_place() : "embedded", false);
  std::map<std::string, int> roles;
  if (workers.ok()) {
    for (const auto& worker : *workers) ++roles[worker.role];
  }
  for (const char* role : {"monitor", "task_worker", "embedding_worker"}) {
    const int running = roles[role];
    add(role, running > 0 ? Result<>(Ok{}) : Result<>(Code::kUnavailable, "none is running"),
        std::to_string(running) + " running", false);
  }
  const auto engine = context.engine();
  const auto models = context.library->Models();
  add("model",
      engine && models.problem.empty()
          ? Result<>(Ok{})
          : Result<>(Code::kUnavailable,
                     models.problem.empty() ? "no model is ready" : models.problem),
      models.active, false);
  if (engine) {
    const auto status = context.library->Status();
    const bool fine = status.ok() && status->problem.empty();
    add("index",
        fine ? Result<>(Ok{})
             : Result<>(Code::kUnavailable, status.ok() ? status->problem : status.message()),
        std::to_string(engine->index->size()) + " segments", false);
  }
  return JsonResponse({{"status", !usable    ? "failed"
                                  : degraded ? "degraded"
                                             : "ok"},
                       {"version", context.version},
                       {"uptime_s", (SystemClock().NowMs() - context.started_at) / 1000},
                       {"components", components}},
                      usable ? 200 : 503);
}

net::Response Metrics(const Context& context) {
  prometheus::Registry registry;
  auto gauge = [&](const std::string& name, const std::string& help,
                   const std::map<std::string, std::string>& labels, double value) {
    prometheus::BuildGauge().Name(name).Help(help).Register(registry).Add(labels).Set(value);
  };
  if (auto stats = context.queue->Stats(); stats.ok()) {
    for (const queue::QueueStats& one : *stats) {
      const std::map<std::string, double> states{
          {"queued", one.queued}, {"started", one.started}, {"delayed", one.delayed}};
      for (const auto& [state, value] : states) {
        gauge("msearch_tasks", "Tasks by queue and state", {{"queue", one.name}, {"state", state}},
              value);
      }
      gauge("msearch_tasks_finished_total", "Tasks that finished", {{"queue", one.name}},
            static_cast<double>(one.finished_total));
      gauge("msearch_tasks_failed_total", "Tasks that failed for good", {{"queue", one.name}},
            static_cast<double>(one.failed_total));
      gauge("msearch_task_mean_seconds", "Mean time of the last finished tasks",
            {{"queue", one.name}}, one.mean_ms / 1000);
    }
  }
  if (auto roots = context.library->Roots(); roots.ok()) {
    for (const ingest::RootView& view : *roots) {
      const std::map<std::string, int64_t> states{{"indexed", view.counts.indexed},
                                                  {"pending", view.counts.pending},
                                                  {"failed", view.counts.failed}};
      for (const auto& [state, value] : states) {
        gauge("msearch_files", "Files by root and state",
              {{"root", view.root.name}, {"state", state}}, static_cast<double>(value));
      }
    }
  }
  if (const auto active = context.library->Active()) {
    gauge("msearch_index_segments", "Segments that can be found", {},
          static_cast<double>(active->index->size()));
  }
  gauge("msearch_commits_total", "Commits that took effect, by what was new", {{"new", "content"}},
        static_cast<double>(context.library->content_commits()));
  gauge("msearch_commits_total", "Commits that took effect, by what was new", {{"new", "path"}},
        static_cast<double>(context.library->path_commits()));
  const StaleResults stale = CountStale(context);
  gauge("msearch_stale_commits_total", "Results refused by the catalog: a newer lease took over",
        {}, static_cast<double>(stale.commits));
  gauge("msearch_stale_results_total",
        "Results of lost leases that the queue refused, as told by the workers seen now", {},
        static_cast<double>(stale.results));
  if (context.queue_problem) {
    gauge("msearch_queue_server_away", "Whether this machine works without the queue's server", {},
          context.queue_problem().empty() ? 0 : 1);
  }
  if (auto workers = context.queue->Workers(); workers.ok()) {
    std::map<std::string, int> roles;
    for (const auto& worker : *workers) {
      if (const auto share = GetDouble(worker.detail, "utilisation")) {
        gauge("msearch_worker_utilisation", "Share of time that a worker was busy",
              {{"worker", worker.id}, {"role", worker.role}}, *share);
      }
    }
    for (const auto& worker : *workers) ++roles[worker.role];
    for (const auto& [role, count] : roles) {
      gauge("msearch_workers", "Processes seen alive", {{"role", role}}, count);
    }
  }
  net::Response response;
  response.content_type = "text/plain; version=0.0.4";
  response.body = prometheus::TextSerializer().Serialize(registry.Collect());
  return response;
}

Shape HealthAnswer() {
  return {Field{"status", Type::kText, ""}.Required().OneOf({"ok", "degraded", "failed"}),
          {"version", Type::kText, ""},
          {"uptime_s", Type::kInteger, ""},
          Field{"components", Type::kObjects, ""}.Required().Of(
              {Field{"name", Type::kText, ""}.Required(),
               Field{"state", Type::kText, ""}.Required().OneOf({"ok", "degraded", "failed"}),
               {"detail", Type::kText, ""}})};
}

Shape ModelsAnswer() {
  return {Field{"models", Type::kObjects, "packs"}.Required().Of(
              {Field{"name", Type::kText, ""}.Required(),
               {"title", Type::kText, ""},
               {"licence", Type::kText, ""},
               {"quality", Type::kText, "what to expect of it"},
               {"purpose", Type::kText, ""},
               {"bytes", Type::kInteger, "installed"},
               {"download_bytes", Type::kInteger, ""},
               Field{"state", Type::kText, "ready, missing, ..."}.Required(),
               Field{"active", Type::kFlag, "searched or read with"}.Required(),
               {"target", Type::kFlag, "being built"},
               {"device", Type::kText, "that the active one runs on"},
               {"device_reason", Type::kText, ""}}),
          Field{"readers", Type::kObjects, "second looks"}.Of({{"name", Type::kText, ""},
                                                               {"model", Type::kText, "its pack"},
                                                               {"problem", Type::kText, ""}}),
          {"problem", Type::kText, "why the wanted model isn't used"}};
}

// What to do when tasks can't be where they should be, by what is known of why.
std::string AdviceOnQueue(const std::string& problem) {
  const auto tells = [&](std::string_view words) {
    return problem.find(words) != std::string::npos;
  };
  const std::string mend =
      tells("maxmemory")            ? "raise its maxmemory"
      : tells("write to its disk")  ? "make room on its disk"
      : tells("read-only replica")  ? "make it a master again, or name its Sentinels"
      : tells("busy by a script")   ? "end that script"
      : tells("redis.user")         ? "give its user that right"
      : tells("another library")    ? "give this one a redis.prefix of its own"
      : tells("not answer in time") ? "see why the server hangs, or start it again"
                                    : "start the server";
  return mend + "; nothing is lost, and what is queued there goes on when it is back";
}

// What the queue knows; fails while it can't be asked.
Result<> ExamineQueue(
    const Context& context,
    const std::function<void(const std::string& name, bool ok, const std::string& detail,
                             const std::string& advice)>& add) {
  const auto queues = TRY(context.queue->Stats());
  std::set<std::string> paused;
  for (const auto& stats : queues) {
    if (stats.paused) paused.insert(stats.name);
  }
  for (const auto& stats : queues) {
    // Those beside a step's queue are paused with it, and go on with it.
    const std::string step = ingest::StepOf(stats.name);
    if (!stats.paused || (step != stats.name && paused.contains(step))) continue;
    add("queue " + stats.name, false, "is paused", "msearch task resume " + stats.name);
  }
  queue::TaskFilter stuck;
  stuck.stuck = true;
  const int64_t count = TRY(context.queue->Count(stuck));
  add("stuck tasks", count == 0, std::to_string(count),
      "msearch task list --stuck, then msearch task release TASK");
  std::map<std::string, int> roles;
  const auto workers = TRY(context.queue->Workers());
  std::set<std::string> alive;
  std::map<std::string, std::string> skews;  // by host
  for (const auto& worker : workers) {
    ++roles[worker.role];
    alive.insert(worker.id);
    if (const auto clock = GetInt(worker.detail, "clock_ms")) {
      const int64_t ahead = *clock - worker.seen_at;
      if (std::abs(ahead) > kClockSkewMs) {
        skews[worker.host] = fmt::format("{:.1f} s {} that of the queue",
                                         static_cast<double>(std::abs(ahead)) / 1000,
                                         ahead < 0 ? "behind" : "ahead of");
      }
    }
    const auto lacks = ingest::LacksOf(worker);
    for (const ingest::Lack& lack : lacks) {
      // What the controller refused or the machine has no room for isn't mended by another pull.
      const bool pull = lack.problem.find("msearch model pull") != std::string::npos;
      add("worker " + worker.id, false,
          (worker.state == "unable" ? "takes nothing: " : "hands on what needs it: ") +
              lack.problem,
          pull ? "msearch model pull " + lack.name + " there"
               : "mend that on " + worker.host + "; it is tried again by itself");
    }
    if (worker.state == "unable" && lacks.empty()) {
      add("worker " + worker.id, false, "can't reach its controller", "see its log");
    }
  }
  // What is leased by workers that aren't seen any more.
  queue::TaskFilter running;
  running.status = queue::Status::kStarted;
  running.limit = 1000;
  std::map<std::string, int> lost;
  for (const queue::Task& task : TRY(context.queue->List(running))) {
    if (!alive.contains(task.worker)) ++lost[task.worker];
  }
  for (const auto& [id, tasks] : lost) {
    add("worker " + id, false,
        fmt::format("is not seen any more and holds {} tasks until their leases run out", tasks),
        "nothing: others take them then");
  }
  for (const auto& [host, skew] : skews) {
    add("clock of " + host, false, skew, "synchronise the machines with NTP");
  }
  for (const char* role : {"monitor", "task_worker", "embedding_worker"}) {
    add(role, roles[role] > 0, std::to_string(roles[role]) + " running",
        std::string(role) == "monitor"
            ? "see the log of the supervisor"
            : "start msearch run compute, on this machine or another, or see the supervisor's log");
  }
  return Ok{};
}

Result<Json> Doctor(const Context& context) {
  Json checks = Json::array();
  auto add = [&](const std::string& name, bool ok, const std::string& detail,
                 const std::string& advice) {
    Json check{{"name", name}, {"ok", ok}, {"detail", detail}};
    if (!ok && !advice.empty()) check["advice"] = advice;
    checks.push_back(check);
  };
  const auto models = context.library->Models();
  // Another pull brings no runtime.
  const auto mend = [](const std::string& problem, const std::string& pull) {
    return problem.find("ONNX Runtime") != std::string::npos
               ? std::string("install ONNX Runtime, or set model.runtime")
               : pull;
  };
  add("model", models.problem.empty(), models.problem.empty() ? models.active : models.problem,
      mend(models.problem, "msearch model pull NAME, then msearch model use NAME"));
  for (const ReaderState& reader :
       context.readers ? context.readers() : std::vector<ReaderState>()) {
    add("reading " + reader.reader, reader.problem.empty(),
        reader.problem.empty() ? reader.pack : reader.problem,
        mend(reader.problem, "msearch model pull " + reader.pack));
  }
  const auto status = TRY(context.library->Status());
  add("indexing", status.problem.empty(),
      status.problem.empty() ? std::to_string(status.pending) + " files pending" : status.problem,
      "");
  for (const ingest::Unserved& one : status.unserved) {
    const std::string advice =
        ingest::NeedsCapability(one.queue) ? "" : "start the workers, msearch run compute";
    add("queue " + one.queue, false, one.Sentence(), advice);
  }
  const std::string problem = context.queue_problem ? context.queue_problem() : "";
  add("queue", problem.empty(),
      problem.empty() ? (context.queue_place ? context.queue_place() : "embedded") : problem,
      AdviceOnQueue(problem));
  if (context.queue_checks) {
    for (const Check& check : context.queue_checks()) {
      add(check.name, check.ok, check.detail, check.advice);
    }
  }
  if (const Result<> examined = ExamineQueue(context, add); !examined.ok()) {
    add("tasks and workers", false, "can't be seen now: " + examined.message(),
        AdviceOnQueue(examined.message()));
  }
  for (const ingest::RootView& view : TRY(context.library->Roots())) {
    const bool reachable = view.root.state != "unreachable";
    const std::string reason = GetString(view.root.status, "reason").value_or("");
    add("root " + view.root.name, reachable, reason.empty() ? view.root.state : reason,
        "is the disk or share connected?");
  }
  struct statvfs disk {};
  if (statvfs(context.data_directory.c_str(), &disk) == 0) {
    const uint64_t free = uint64_t{disk.f_bavail} * disk.f_frsize;
    add("disk", free > (uint64_t{1} << 30), fmt::format("{} MiB free", free >> 20),
        "make room where the data folder is");
  }
  const auto problems = TRY(context.library->Verify());
  add("index", problems.empty(), problems.empty() ? "agrees with the catalog" : problems.front(),
      "");
  return Json{{"checks", checks}};
}

}  // namespace

Json ModelsJson(const Context& context) {
  Json json{{"models", Json::array()}};
  const ingest::ModelState state = context.library->Models();
  std::string device;
  std::string reason;
  if (auto workers = context.queue->Workers(); workers.ok()) {
    for (const auto& worker : *workers) {
      if (worker.role != "embedding_worker") continue;
      if (auto used = GetString(worker.detail, "device")) device = *used;
      if (auto why = GetString(worker.detail, "device_reason")) reason = *why;
    }
  }
  auto packs = context.models();
  if (!packs.ok()) {
    json["problem"] = packs.message();
    return json;
  }
  json["readers"] = Json::array();
  std::set<std::string> read_with;
  if (context.readers) {
    for (const ReaderState& reader : context.readers()) {
      Json entry{{"name", reader.reader}, {"model", reader.pack}};
      if (!reader.problem.empty()) entry["problem"] = reader.problem;
      if (reader.problem.empty()) read_with.insert(reader.pack);
      json["readers"].push_back(std::move(entry));
    }
  }
  for (const embedding::PackStatus& pack : *packs) {
    Json model{{"name", pack.name},
               {"title", pack.title},
               {"licence", pack.licence},
               {"quality", pack.quality},
               {"purpose", embedding::PurposeName(pack.purpose)},
               {"bytes", pack.bytes},
               {"download_bytes", pack.download_bytes},
               {"state", pack.state},
               {"active", pack.name == state.active || read_with.contains(pack.name)},
               {"target", pack.name == state.target}};
    if (pack.name == state.active && !device.empty()) {
      model["device"] = device;
      model["device_reason"] = reason;
    }
    json["models"].push_back(std::move(model));
  }
  if (!state.problem.empty()) json["problem"] = state.problem;
  return json;
}

void AddSystemRoutes(const Context& context, Table* table) {
  auto add = [&](const char* method, const char* pattern, const char* summary, auto handle) {
    table->push_back({.method = method, .pattern = pattern, .summary = summary, .handle = handle});
    return &table->back();  // valid until the next one is added
  };
  add("GET", "/health", "Whether the server works, part by part; 503 when it is unusable",
      [context](const net::Request&) { return Health(context); })
      ->gives = HealthAnswer();
  add("GET", "/metrics", "Figures for Prometheus",
      [context](const net::Request&) { return Metrics(context); });
  add("GET", "/api/models", "Model packs, their state and quality", [context](const net::Request&) {
    return JsonResponse(ModelsJson(context));
  })->gives = ModelsAnswer();
  add("POST", "/api/models/{name}/use", "Embed and search with another pack",
      [context](const net::Request& request) {
        return Answer(
            [&]() -> Result<Json> {
              const auto state = TRY(context.library->UseModel(request.path_arguments[0]));
              Json json{{"model", request.path_arguments[0]}, {"active", state.active}};
              if (!state.target.empty()) json["target"] = state.target;
              return json;
            }(),
            202);
      })
      ->gives = {Field{"model", Type::kText, "wanted from now on"}.Required(),
                 Field{"active", Type::kText, "searched with"}.Required(),
                 {"target", Type::kText, "being built"}};
  add("GET", "/api/doctor", "What is wrong, and what to do about it",
      [context](const net::Request&) { return Answer(Doctor(context)); })
      ->gives = {Field{"checks", Type::kObjects, ""}.Required().Of(
      {Field{"name", Type::kText, ""}.Required(),
       Field{"ok", Type::kFlag, ""}.Required(),
       Field{"detail", Type::kText, ""}.Required(),
       {"advice", Type::kText, "what to do about it"}})};
  table->push_back(
      {.method = "POST",
       .pattern = "/api/session",
       .summary = "Exchange the access token for a cookie",
       .body = "application/json",
       .takes = kSession,
       .gives = {Field{"ok", Type::kFlag, ""}.Required()},
       .handle = [context](const net::Request& request) {
         auto body = JsonBody(request, kSession, "session");
         if (!body.ok()) return ErrorResponse(body.error());
         if (!context.token.empty() && GetString(*body, "token").value_or("") != context.token) {
           return Problem(401, "unauthorized", "session: wrong access token");
         }
         net::Response response = JsonResponse({{"ok", true}});
         response.headers.emplace("Set-Cookie", "msearch_token=" + net::UrlEncode(context.token) +
                                                    "; HttpOnly; SameSite=Strict; Path=/");
         return response;
       }});
}

}  // namespace msearch::api
