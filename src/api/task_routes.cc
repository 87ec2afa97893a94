#include <algorithm>
#include <map>
#include <set>

#include "api/route_table.h"
#include "base/strings.h"
#include "ingest/why.h"

namespace msearch::api {
namespace {

const std::vector<std::string> kStatuses{"queued", "started", "finished", "failed", "cancelled"};

const Shape kRetry{{"queue", Type::kText, "only of this queue"},
                   {"kind", Type::kText, "only of this kind"},
                   Field{"status", Type::kText,
                         "only in this status; failed if none is given. Of started ones only "
                         "those whose lease ran out: others can't be retried"}
                       .OneOf({"started", "failed", "cancelled"}),
                   {"reason", Type::kText, "only with this reason: quarantined, ..."},
                   {"text", Type::kText, "only with this in payload, error or id"},
                   {"parent", Type::kText, "only what was made for this task"},
                   {"stuck", Type::kFlag, "only started ones whose lease ran out"},
                   {"dry_run", Type::kFlag, "only count them"}};

Shape OneTaskAnswer() {
  Shape shape = TaskAnswer();
  shape.push_back({"why", Type::kText, "it isn't done yet, or failed"});
  shape.push_back({"children", Type::kObjects, "the parts of its flow"});
  shape.push_back(
      Field{"events", Type::kObjects, "its history"}.Required().Of({{"at", Type::kText, "RFC 3339"},
                                                                    {"what", Type::kText, ""},
                                                                    {"worker", Type::kText, ""},
                                                                    {"detail", Type::kAny, ""}}));
  return shape;
}

Result<queue::TaskFilter> FilterFromJson(const Context& context, const Json& json) {
  queue::TaskFilter filter;
  filter.queue = GetString(json, "queue");
  filter.kind = GetString(json, "kind");
  filter.reason = GetString(json, "reason");
  filter.text = GetString(json, "text").value_or("");
  filter.parent = GetString(json, "parent").value_or("");
  filter.stuck = GetBool(json, "stuck").value_or(false);
  if (const auto status = GetString(json, "status")) {
    filter.status = queue::StatusFromName(*status);
    if (!filter.status) {
      return Error{Code::kInvalid,
                   "status: " + SanitizeUtf8(*status) + " is not one of " + Join(kStatuses, ", ")};
    }
  }
  if (filter.queue) TRY(CheckQueue(context, *filter.queue));
  return filter;
}

Result<Json> ListTasks(const Context& context, const net::Request& request) {
  Json wanted = Json::object();
  for (const char* key : {"queue", "kind", "status", "reason", "text", "parent"}) {
    if (auto value = request.Query(key); value && !value->empty()) wanted[key] = *value;
  }
  queue::TaskFilter filter = TRY(FilterFromJson(context, wanted));
  filter.stuck = FlagParameter(request, "stuck");
  filter.before = request.Query("before").value_or("");
  filter.limit = static_cast<size_t>(TRY(IntParameter(request, "limit", 100, 1, 1000)));
  Json json{{"tasks", Json::array()}};
  const auto tasks = TRY(context.queue->List(filter));
  for (const queue::Task& task : tasks) json["tasks"].push_back(TaskJson(task));
  if (tasks.size() == filter.limit) json["next"] = tasks.back().id;
  json["total"] = TRY(context.queue->Count(filter));
  return json;
}

// The parts of a flow: what the task follows and what was made for it, each with its own. A part
// that several follow stands below the first of them, or below the task that follows all.
Json ChildrenOf(const Context& context, const queue::Task& task, int depth_max,
                std::set<queue::TaskId>* seen) {
  constexpr size_t kChildrenMax = 100;
  Json children = Json::array();
  if (depth_max == 0) return children;
  std::vector<queue::Task> tasks;
  for (const queue::TaskId& id : task.after) {
    auto followed = context.queue->Get(id);
    if (!followed.ok() || tasks.size() == kChildrenMax) continue;
    if (seen->insert(id).second) tasks.push_back(std::move(*followed));
  }
  queue::TaskFilter made;
  made.parent = task.id;
  made.limit = kChildrenMax - tasks.size();
  if (made.limit > 0) {
    if (auto list = context.queue->List(made); list.ok()) {
      for (queue::Task& child : *list) {
        if (seen->insert(child.id).second) tasks.push_back(std::move(child));
      }
    }
  }
  for (const queue::Task& child : tasks) {
    Json json = TaskJson(child);
    json.erase("payload");
    json.erase("result");
    Json below = ChildrenOf(context, child, depth_max - 1, seen);
    if (!below.empty()) json["children"] = std::move(below);
    children.push_back(std::move(json));
  }
  return children;
}

Result<Json> OneTask(const Context& context, const net::Request& request) {
  const std::string& id = request.path_arguments[0];
  const queue::Task task = TRY(context.queue->Get(id));
  Json json = TaskJson(task);
  std::set<queue::TaskId> seen{id};
  json["children"] = ChildrenOf(context, task, 4, &seen);
  const std::string why = TRY(ingest::WhyNotDone(*context.queue, task));
  if (!why.empty()) json["why"] = why;
  json["events"] = Json::array();
  for (const queue::TaskEvent& event : TRY(context.queue->Events(id))) {
    json["events"].push_back({{"at", FormatRfc3339(event.at)},
                              {"what", event.what},
                              {"worker", event.worker},
                              {"detail", event.detail}});
  }
  return json;
}

// Only for a task whose worker is lost; a lease that is alive is its worker's.
Result<Json> Release(const Context& context, const std::string& id) {
  const queue::Task task = TRY(context.queue->Get(id));
  if (task.status != queue::Status::kStarted) {
    return Error{Code::kConflict, "task " + id + ": isn't leased by anybody"};
  }
  Result<> released = context.queue->Retry(id);
  if (!released.ok() && released.code() == Code::kConflict) {
    return Error{Code::kConflict, "task " + id + ": can't be released while its worker, " +
                                      task.worker + ", works at it; cancel it instead"};
  }
  TRY(std::move(released));
  return TaskJson(TRY(context.queue->Get(id)));
}

// Each worker with what it's at.
Result<Json> WorkersJson(const Context& context) {
  queue::TaskFilter running;
  running.status = queue::Status::kStarted;
  running.limit = 1000;
  std::map<std::string, Json> current;
  for (const queue::Task& task : TRY(context.queue->List(running))) {
    Json& list = current[task.worker];
    Json item{{"task_id", task.id}, {"kind", task.kind}, {"queue", task.queue}};
    if (task.started_at) item["started_at"] = FormatRfc3339(*task.started_at);
    if (list.size() < 20) list.push_back(std::move(item));
  }
  Json json{{"workers", Json::array()}};
  for (const auto& worker : TRY(context.queue->Workers())) {
    Json item = WorkerJson(worker);
    if (auto found = current.find(worker.id); found != current.end()) {
      item["current"] = std::move(found->second);
    }
    json["workers"].push_back(std::move(item));
  }
  return json;
}

Result<Json> RetryMany(const Context& context, const net::Request& request) {
  const Json body = TRY(JsonBody(request, kRetry, "retry"));
  queue::TaskFilter filter = TRY(FilterFromJson(context, body));
  if (!filter.status && !filter.stuck) filter.status = queue::Status::kFailed;
  filter.stuck |= filter.status == queue::Status::kStarted;
  const int64_t matched = TRY(context.queue->Count(filter));
  if (GetBool(body, "dry_run").value_or(false)) return Json{{"matched", matched}, {"retried", 0}};
  int64_t retried = 0;
  filter.limit = 500;
  while (retried < matched) {
    const auto tasks = TRY(context.queue->List(filter));
    for (const queue::Task& task : tasks) {
      if (context.queue->Retry(task.id).ok()) ++retried;
    }
    if (tasks.size() < filter.limit) break;
    filter.before = tasks.back().id;
  }
  return Json{{"matched", matched}, {"retried", retried}};
}

}  // namespace

StaleResults CountStale(const Context& context) {
  StaleResults stale;
  stale.commits = context.library->stale_commits();
  const auto workers = context.queue->Workers();
  if (!workers.ok()) return stale;
  for (const queue::WorkerInfo& worker : *workers) {
    stale.results += static_cast<uint64_t>(GetInt(worker.detail, "stale_results").value_or(0));
  }
  return stale;
}

void AddTaskRoutes(const Context& context, Table* table) {
  auto add = [&](const char* method, const char* pattern, const char* summary, auto handle) {
    table->push_back({.method = method, .pattern = pattern, .summary = summary, .handle = handle});
    return &table->back();  // valid until the next one is added
  };
  Entry* list =
      add("GET", "/api/tasks", "Tasks, newest first",
          [context](const net::Request& request) { return Answer(ListTasks(context, request)); });
  list->gives = {Field{"tasks", Type::kObjects, ""}.Required().Of(TaskAnswer()),
                 Field{"total", Type::kInteger, "that match"}.Required(),
                 {"next", Type::kText, "before which older ones go on"}};
  list->query = {{"queue", "string", ""},
                 {"kind", "string", ""},
                 {"status", "string", "queued, started, finished, failed, cancelled"},
                 {"reason", "string", "delayed, quarantined, ..."},
                 {"text", "string", "contained in payload, error or id"},
                 {"parent", "string", "made for this task"},
                 {"stuck", "boolean", "started, with a lease that ran out"},
                 {"limit", "integer", "1 to 1000"},
                 {"before", "string", "the next of the last page"}};
  add("GET", "/api/tasks/{id}", "One task with its history",
      [context](const net::Request& request) { return Answer(OneTask(context, request)); })
      ->gives = OneTaskAnswer();
  for (const bool retry : {true, false}) {
    add("POST", retry ? "/api/tasks/{id}/retry" : "/api/tasks/{id}/cancel",
        retry ? "Queue a failed or stuck task again" : "Cancel a task, running or not",
        [context, retry](const net::Request& request) {
          return Answer([&]() -> Result<Json> {
            const std::string& id = request.path_arguments[0];
            TRY(retry ? context.queue->Retry(id) : context.queue->Cancel(id));
            return TaskJson(TRY(context.queue->Get(id)));
          }());
        })
        ->gives = TaskAnswer();
  }
  add("POST", "/api/tasks/{id}/release", "Take a task back from a worker that lost its lease",
      [context](const net::Request& request) {
        return Answer(Release(context, request.path_arguments[0]));
      })
      ->gives = TaskAnswer();
  Entry* many =
      add("POST", "/api/tasks/retry", "Queue all matching failed tasks again; dry_run only counts",
          [context](const net::Request& request) { return Answer(RetryMany(context, request)); });
  many->body = "application/json";
  many->takes = kRetry;
  many->gives = {Field{"matched", Type::kInteger, ""}.Required(),
                 Field{"retried", Type::kInteger, ""}.Required()};
  Entry* stats =
      add("GET", "/api/queue/stats", "Queues and their counts", [context](const net::Request&) {
        return Answer([&]() -> Result<Json> {
          Json json{{"queues", Json::array()}};
          const auto loads = context.desk->Loads();
          for (const auto& one : TRY(context.queue->Stats())) {
            Json queue = QueueJson(one);
            if (const auto load = loads.find(one.name); load != loads.end()) {
              const auto [workers, busy] = load->second;
              queue["workers"] = workers;
              queue["utilisation"] =
                  workers > 0 ? std::min(1.0, static_cast<double>(busy) / workers) : 0.0;
            }
            json["queues"].push_back(std::move(queue));
          }
          const StaleResults stale = CountStale(context);
          json["stale_commits"] = stale.commits;
          json["stale_results"] = stale.results;
          if (context.queue_place) json["place"] = context.queue_place();
          if (context.queue_problem) {
            if (auto problem = context.queue_problem(); !problem.empty()) json["problem"] = problem;
          }
          return json;
        }());
      });
  stats->gives = {Field{"queues", Type::kObjects, ""}.Required().Of(QueueAnswer()),
                  {"stale_commits", Type::kInteger, "results that the catalog refused"},
                  {"stale_results", Type::kInteger, "results that the queue refused"},
                  {"place", Type::kText, "where tasks are: embedded, Redis at HOST:PORT"},
                  {"problem", Type::kText, "why the queue's server isn't used"}};
  for (const bool pause : {true, false}) {
    add("POST", pause ? "/api/queue/{name}/pause" : "/api/queue/{name}/resume",
        pause ? "Let no task of a queue start" : "Let tasks of a queue start again",
        [context, pause](const net::Request& request) {
          return Answer([&]() -> Result<Json> {
            const std::string& name = request.path_arguments[0];
            TRY(CheckQueue(context, name));
            const auto queues = TRY(context.library->PauseQueue(name, pause));
            return Json{{"name", name}, {"paused", pause}, {"queues", queues}};
          }());
        })
        ->gives = {Field{"name", Type::kText, ""}.Required(),
                   Field{"paused", Type::kFlag, ""}.Required(),
                   {"queues", Type::kTexts, "all that it concerns"}};
  }
  add("GET", "/api/workers", "Processes that work, and what they're at",
      [context](const net::Request&) { return Answer(WorkersJson(context)); })
      ->gives = {Field{"workers", Type::kObjects, ""}.Required().Of(WorkerAnswer())};
}

}  // namespace msearch::api
