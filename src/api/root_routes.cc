#include <set>

#include "api/events.h"
#include "api/route_table.h"
#include "base/strings.h"

namespace msearch::api {
namespace {

const Shape kRoot{
    Field{"path", Type::kText, "absolute, on the server's machine"}.Required(),
    {"name", Type::kText, "the folder's own if none is given"},
    {"recursive", Type::kFlag, "with the folders below it; true"},
    {"extensions", Type::kTexts, "only files that end so: .jpg; all that can be read"},
    {"include", Type::kTexts, "only files whose path fits one of these patterns"},
    {"exclude", Type::kTexts, "no files and folders whose path fits one of these patterns"},
    {"hidden", Type::kFlag, "also names that begin with a dot; false"},
    {"follow_links", Type::kFlag, "false"},
    Field{"scan_interval_s", Type::kInteger, "seconds between whole scans"}.From(1, INT32_MAX),
    {"paused", Type::kFlag, "false"}};

const Shape kFailuresRetry{{"root", Type::kText, "only of this root"},
                           {"code", Type::kText, "only of this class: corrupt, crashed, ..."},
                           {"dry_run", Type::kFlag, "only count them"}};

const Shape kBuildIndex{
    {"dataset_names", Type::kTexts, "names of roots; all if there is none"},
    {"distributed", Type::kFlag, "true; false keeps the work on the controller's machine"}};

Shape UnservedAnswer() {
  return {{"queue", Type::kText, ""}, {"tasks", Type::kInteger, ""}, {"why", Type::kText, ""}};
}

Shape RootsAnswer() {
  return {Field{"roots", Type::kObjects, ""}.Required().Of(RootAnswer()),
          Field{"total", Type::kInteger, ""}.Required()};
}

Shape BuildAnswer() {
  return {Field{"build_id", Type::kText, ""}.Required(),
          Field{"state", Type::kText, "scanning, indexing, finished, ..."}.Required(),
          Field{"dataset_names", Type::kTexts, "the roots"}.Required(),
          {"scans", Type::kTexts, "tasks that scan them"},
          {"progress", Type::kNumber, "0 to 1"},
          {"files", Type::kInteger, ""},
          {"indexed", Type::kInteger, ""},
          {"pending", Type::kInteger, ""},
          {"failed", Type::kInteger, ""},
          {"failures", Type::kAny, "the first files that couldn't be indexed, and why"},
          {"started_at", Type::kText, "RFC 3339"},
          {"finished_at", Type::kText, "RFC 3339"},
          {"distributed", Type::kFlag, "whether other machines take part"},
          {"not_distributed_because", Type::kText, ""},
          {"hosts", Type::kTexts, "machines that take part"},
          Field{"unserved", Type::kObjects, "queues that no worker serves"}.Of(UnservedAnswer())};
}

Shape FailuresAnswer() {
  return {
      Field{"failures", Type::kObjects, ""}.Required().Of(
          {Field{"root", Type::kText, ""}.Required(),
           Field{"path", Type::kText, "below the root"}.Required(),
           Field{"code", Type::kText, "its class: corrupt, unsupported, crashed, ..."}.Required(),
           Field{"message", Type::kText, ""}.Required(),
           {"attempts", Type::kInteger, ""},
           {"failed_at", Type::kText, "RFC 3339"},
           {"reader", Type::kText, "whose second look failed; the file is indexed"}}),
      Field{"total", Type::kInteger, "that match"}.Required(),
      Field{"classes", Type::kObjects, "of the root, or of all"}.Required().Of(
          {{"code", Type::kText, ""}, {"count", Type::kInteger, ""}})};
}

Shape StatusAnswer() {
  Shape shape = RootsAnswer();
  for (Field& field :
       Shape{Field{"idle", Type::kFlag, "all that is known can be found"}.Required(),
             {"files", Type::kInteger, ""},
             {"indexed", Type::kInteger, ""},
             {"pending", Type::kInteger, ""},
             {"failed", Type::kInteger, ""},
             {"scans_pending", Type::kInteger, ""},
             {"readings_pending", Type::kInteger, "second looks"},
             {"speed_files_s", Type::kNumber, ""},
             {"eta_s", Type::kNumber, "seconds left"},
             {"problem", Type::kText, "why nothing moves"},
             Field{"unserved", Type::kObjects, "queues that no worker serves"}.Of(UnservedAnswer()),
             {"stale_commits", Type::kInteger, "results that came too late"}}) {
    shape.push_back(std::move(field));
  }
  return shape;
}

Result<watch::RootSpec> SpecFromRequest(const net::Request& request) {
  Json json = TRY(JsonBody(request, kRoot, "root"));
  if (!json.contains("name")) json["name"] = "";
  return watch::RootSpec::FromJson(json);
}

Json RootsJson(const std::vector<ingest::RootView>& views) {
  Json roots = Json::array();
  for (const ingest::RootView& view : views) roots.push_back(RootJson(view));
  return Json{{"roots", roots}, {"total", roots.size()}};
}

// Tasks that no worker can do, and why.
Json UnservedJson(const std::vector<ingest::Unserved>& all) {
  Json list = Json::array();
  for (const ingest::Unserved& one : all) {
    list.push_back({{"queue", one.queue}, {"tasks", one.tasks}, {"why", one.why}});
  }
  return list;
}

Result<Json> IndexStatusJson(const Context& context) {
  const ingest::IndexStatus status = TRY(context.library->Status());
  Json json = RootsJson(status.roots);
  json["idle"] = status.idle;
  json["files"] = status.files;
  json["indexed"] = status.indexed;
  json["pending"] = status.pending;
  json["failed"] = status.failed;
  json["scans_pending"] = status.scans_pending;
  json["readings_pending"] = status.readings_pending;
  json["speed_files_s"] = status.speed_files_s;
  if (status.eta_s) json["eta_s"] = *status.eta_s;
  std::string problem = status.problem;
  for (const ingest::Unserved& one : status.unserved) {
    if (problem.empty() && ingest::NeedsCapability(one.queue)) problem = one.Sentence();
  }
  if (!problem.empty()) json["problem"] = problem;
  if (!status.unserved.empty()) json["unserved"] = UnservedJson(status.unserved);
  json["stale_commits"] = context.library->stale_commits();
  return json;
}

// Whether other machines take part in a build, which ones do, and why not, if it is this one alone;
// and what keeps it.
Json WithDistribution(const Context& context, const ingest::Build& build) {
  Json json = build.ToJson();
  const std::string place = context.queue_place ? context.queue_place() : "embedded";
  std::string problem = context.queue_problem ? context.queue_problem() : "";
  if (place == "embedded") problem = "no Redis is set (redis.host): this machine builds alone";
  if (!build.distributed && place != "embedded") {
    problem =
        "it was asked for (distributed: false): what it queues is for the controller's machine";
  }
  json["distributed"] = problem.empty();
  std::set<std::string> hosts;
  const auto workers = context.queue->Workers();
  for (const queue::WorkerInfo& worker :
       workers.ok() ? *workers : std::vector<queue::WorkerInfo>()) {
    const bool works = worker.role == "task_worker" || worker.role == "embedding_worker";
    if (works && (build.distributed || place == "embedded" || ingest::IsBesideController(worker))) {
      hosts.insert(worker.host);
    }
  }
  json["hosts"] = hosts;
  // A queue that is away is asked no second time: each time may take seconds.
  if (workers.ok() && build.state != "finished") {
    const auto queues = context.queue->Stats();
    const auto unserved =
        queues.ok() ? ingest::FindUnserved(*queues, *workers) : std::vector<ingest::Unserved>();
    if (!unserved.empty()) json["unserved"] = UnservedJson(unserved);
  }
  if (!problem.empty()) json["not_distributed_because"] = problem;
  return json;
}

// A class of failures is the code of its error.
Result<std::string> FailureCode(const std::string& name) {
  if (!name.empty() && CodeName(CodeFromName(name)) != name) {
    return Error{Code::kInvalid, "code: no error is called " + SanitizeUtf8(name)};
  }
  return name;
}

Result<Json> FailuresJson(const Context& context, const net::Request& request) {
  const auto offset = TRY(IntParameter(request, "offset", 0, 0, INT32_MAX));
  const auto limit = TRY(IntParameter(request, "limit", 100, 1, 1000));
  int64_t total = 0;
  const catalog::FailureFilter filter{request.Query("root").value_or(""),
                                      TRY(FailureCode(request.Query("code").value_or("")))};
  if (!filter.root.empty()) TRY(CheckRoots(*context.catalog, {filter.root}));
  const auto failures = TRY(context.catalog->Failures(filter, static_cast<size_t>(offset),
                                                      static_cast<size_t>(limit), &total));
  Json json{{"failures", Json::array()}, {"total", total}, {"classes", Json::array()}};
  for (const auto& [code, count] : TRY(context.catalog->FailureClasses(filter.root))) {
    json["classes"].push_back({{"code", code}, {"count", count}});
  }
  for (const catalog::FailureInfo& failure : failures) {
    Json item{{"root", failure.root},
              {"path", SanitizeUtf8(failure.path)},
              {"code", CodeName(failure.error.code)},
              {"message", SanitizeUtf8(failure.error.message)},
              {"attempts", failure.attempts},
              {"failed_at", FormatRfc3339(failure.failed_at)}};
    if (!failure.reader.empty()) item["reader"] = failure.reader;
    json["failures"].push_back(std::move(item));
  }
  return json;
}

}  // namespace

void AddRootRoutes(const Context& context, Events* events, Table* table) {
  auto add = [&](const char* method, const char* pattern, const char* summary, auto handle) {
    table->push_back({.method = method, .pattern = pattern, .summary = summary, .handle = handle});
    return &table->back();  // valid until the next one is added
  };
  add("GET", "/api/roots", "Roots with state, counts, speed and time left",
      [context](const net::Request&) {
        return Answer([&]() -> Result<Json> { return RootsJson(TRY(context.library->Roots())); }());
      })
      ->gives = RootsAnswer();
  Entry* post = add("POST", "/api/roots", "Add a folder", [context](const net::Request& request) {
    return Answer(
        [&]() -> Result<Json> {
          const watch::RootSpec spec = TRY(SpecFromRequest(request));
          const catalog::Root root = TRY(context.library->AddRoot(spec, "api"));
          return RootJson(TRY(context.library->GetRoot(root.name)));
        }(),
        201);
  });
  post->body = "application/json";
  post->takes = kRoot;
  post->gives = RootAnswer();
  add("GET", "/api/roots/{name}", "One root", [context](const net::Request& request) {
    return Answer([&]() -> Result<Json> {
      return RootJson(TRY(context.library->GetRoot(request.path_arguments[0])));
    }());
  })->gives = RootAnswer();
  add("DELETE", "/api/roots/{name}", "Forget a root and what was indexed below it; files stay",
      [context](const net::Request& request) {
        Result<> removed = context.library->RemoveRoot(request.path_arguments[0]);
        if (!removed.ok()) return ErrorResponse(removed.error());
        net::Response response;
        response.status = 204;
        return response;
      });
  Entry* scan = add("POST", "/api/roots/{name}/scan", "Look for changes now",
                    [context](const net::Request& request) {
                      return Answer(
                          [&]() -> Result<Json> {
                            const auto id = TRY(context.library->Scan(
                                request.path_arguments[0], FlagParameter(request, "full")));
                            return Json{{"task_id", id}};
                          }(),
                          202);
                    });
  scan->gives = {Field{"task_id", Type::kText, "of the scan"}.Required()};
  scan->query = {{"full", "boolean", "look at every file again, changed or not"}};
  for (const bool pause : {true, false}) {
    add("POST", pause ? "/api/roots/{name}/pause" : "/api/roots/{name}/resume",
        pause ? "Stop watching and indexing a root" : "Go on watching and indexing a root",
        [context, pause](const net::Request& request) {
          return Answer([&]() -> Result<Json> {
            TRY(context.library->SetPaused(request.path_arguments[0], pause));
            return RootJson(TRY(context.library->GetRoot(request.path_arguments[0])));
          }());
        })
        ->gives = RootAnswer();
  }
  Entry* failures = add(
      "GET", "/api/failures", "Files that couldn't be indexed, and why",
      [context](const net::Request& request) { return Answer(FailuresJson(context, request)); });
  failures->gives = FailuresAnswer();
  failures->query = {{"root", "string", "only of this root"},
                     {"code", "string", "only of this class: corrupt, unsupported, crashed, ..."},
                     {"offset", "integer", ""},
                     {"limit", "integer", "1 to 1000"}};
  Entry* retry = add("POST", "/api/failures/retry", "Try failed files again",
                     [context](const net::Request& request) {
                       return Answer([&]() -> Result<Json> {
                         const Json body = TRY(JsonBody(request, kFailuresRetry, "retry"));
                         const catalog::FailureFilter filter{
                             GetString(body, "root").value_or(""),
                             TRY(FailureCode(GetString(body, "code").value_or("")))};
                         if (!filter.root.empty()) TRY(CheckRoots(*context.catalog, {filter.root}));
                         if (GetBool(body, "dry_run").value_or(false)) {
                           int64_t total = 0;
                           TRY(context.catalog->Failures(filter, 0, 1, &total));
                           return Json{{"matched", total}, {"retried", 0}};
                         }
                         return Json{{"retried", TRY(context.library->RetryFailures(filter))}};
                       }());
                     });
  retry->gives = {{"matched", Type::kInteger, "of a dry run"},
                  Field{"retried", Type::kInteger, ""}.Required()};
  retry->body = "application/json";
  retry->takes = kFailuresRetry;
  table->push_back({.method = "GET",
                    .pattern = "/api/index/status",
                    .summary = "What is indexed and what is still to be done",
                    .query = {{"wait", "integer", "seconds to wait until idle, at most 60"}},
                    .gives = StatusAnswer(),
                    .handle_async = [context, events](std::shared_ptr<const net::Request> request,
                                                      net::Responder respond) {
                      const auto wait_s = IntParameter(*request, "wait", 0, 0, 60);
                      if (!wait_s.ok()) return respond(ErrorResponse(wait_s.error()));
                      events->AwaitIdle(
                          std::chrono::steady_clock::now() + std::chrono::seconds(*wait_s),
                          [context, respond] { respond(Answer(IndexStatusJson(context))); });
                    }});
  Entry* build =
      add("POST", "/api/build_index",
          "Scan these roots (dataset_names; none: all) and follow until committed; distributed "
          "(true): false keeps the work on the controller's machine",
          [context](const net::Request& request) {
            return Answer(
                [&]() -> Result<Json> {
                  const Json body = TRY(JsonBody(request, kBuildIndex, "build_index"));
                  const auto names = body.value("dataset_names", std::vector<std::string>());
                  const bool distributed = GetBool(body, "distributed").value_or(true);
                  return WithDistribution(context,
                                          TRY(context.library->BuildIndex(names, distributed)));
                }(),
                202);
          });
  build->body = "application/json";
  build->takes = kBuildIndex;
  build->gives = BuildAnswer();
  add("GET", "/api/build_index/{id}", "How far an index build is",
      [context](const net::Request& request) {
        return Answer([&]() -> Result<Json> {
          return WithDistribution(context,
                                  TRY(context.library->GetBuild(request.path_arguments[0])));
        }());
      })
      ->gives = BuildAnswer();
  add("POST", "/api/index/verify", "Hold the index against the catalog",
      [context](const net::Request&) {
        return Answer([&]() -> Result<Json> {
          const auto problems = TRY(context.library->Verify());
          return Json{{"ok", problems.empty()}, {"problems", problems}};
        }());
      })
      ->gives = {Field{"ok", Type::kFlag, ""}.Required(),
                 Field{"problems", Type::kTexts, ""}.Required()};
}

}  // namespace msearch::api
