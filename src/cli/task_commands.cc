#include "base/log.h"
#include "cli/commands.h"

namespace msearch::cli {
namespace {

struct TaskOptions {
  std::string id;
  std::string queue;
  std::string kind;
  std::string status;
  std::string text;
  std::string before;
  bool stuck = false;
  bool dry_run = false;
  int64_t limit = 50;
};

Color StatusColor(const std::string& status) {
  if (status == "failed") return Color::kBad;
  return status == "finished" ? Color::kGood : Color::kNone;
}

Result<int> TaskStats(Session& session) {
  const Json answer = TRY(session.client().Get("/api/queue/stats"));
  if (session.json) {
    session.PrintJson(answer);
    return kExitOk;
  }
  Table table({"QUEUE", ">QUEUED", ">DELAYED", ">STARTED", ">FINISHED", ">FAILED", ">CANCELLED",
               ">MEAN", "STATE"});
  for (const Json& queue : List(answer, "queues")) {
    const int64_t failed = Number(queue, "failed");
    table.Add({{Text(queue, "name")},
               {std::to_string(Number(queue, "queued"))},
               {std::to_string(Number(queue, "delayed"))},
               {std::to_string(Number(queue, "started"))},
               {std::to_string(Number(queue, "finished"))},
               {std::to_string(failed), failed > 0 ? Color::kBad : Color::kNone},
               {std::to_string(Number(queue, "cancelled"))},
               {fmt::format("{:.0f} ms", GetDouble(queue, "mean_ms").value_or(0))},
               {GetBool(queue, "paused").value_or(false) ? "paused" : "", Color::kBad}});
  }
  table.Print(session.terminal);
  return kExitOk;
}

Parameters QueryOf(const TaskOptions& options) {
  Parameters query{{"limit", std::to_string(options.limit)}};
  auto add = [&](const char* name, const std::string& value) {
    if (!value.empty()) query.emplace_back(name, value);
  };
  add("queue", options.queue);
  add("kind", options.kind);
  add("status", options.status);
  add("text", options.text);
  add("before", options.before);
  if (options.stuck) query.emplace_back("stuck", "1");
  return query;
}

// What is worth saying about a task in one line.
std::string RemarkOf(const Json& task) {
  const Json& error = Field(task, "error");
  if (error.is_string()) return error.get<std::string>();
  return error.is_object() ? Text(error, "message") : Text(task, "message");
}

Result<int> ListTasks(Session& session, const TaskOptions& options) {
  const Json answer = TRY(session.client().Get(Target({"api", "tasks"}, QueryOf(options))));
  if (session.json) {
    session.PrintJson(answer);
    return kExitOk;
  }
  Table table({"TASK", "KIND", "STATUS", ">ATTEMPTS", ">DONE", "CREATED", "REMARK"});
  for (const Json& task : List(answer, "tasks")) {
    std::string status = Text(task, "status");
    const Color color = StatusColor(status);
    if (auto reason = GetString(task, "reason"); reason && !reason->empty()) {
      status += " (" + *reason + ")";
    }
    table.Add({{Text(task, "task_id")},
               {Text(task, "kind")},
               {status, color},
               {std::to_string(Number(task, "attempts"))},
               {fmt::format("{:.0f} %", GetDouble(task, "progress").value_or(0) * 100)},
               {Text(task, "created_at")},
               {RemarkOf(task)}});
  }
  if (table.empty()) {
    session.terminal.Print("No such tasks");
  } else {
    table.Print(session.terminal);
  }
  if (auto next = GetString(answer, "next")) {
    session.terminal.Note(Printable("There are more: --before " + *next));
  }
  return kExitOk;
}

Result<int> ShowTask(Session& session, const std::string& id) {
  Json task = TRY(session.client().Get(Target({"api", "tasks", id})));
  if (session.json) {
    session.PrintJson(task);
    return kExitOk;
  }
  // What one asks for first.
  if (const std::string why = Text(task, "why"); !why.empty()) {
    session.terminal.Print(Printable(Text(task, "status") + ": " + why));
    session.terminal.Print("");
  }
  Table fields({"FIELD", "VALUE"});
  for (const auto& [key, value] : task.items()) {
    if (key == "events" || key == "why" || value.is_null() || value == Json("")) continue;
    fields.Add(
        {{key, Color::kDim}, {value.is_string() ? value.get<std::string>() : DumpJson(value)}});
  }
  fields.Print(session.terminal);
  if (List(task, "events").empty()) return kExitOk;
  session.terminal.Print("");
  Table events({"AT", "WHAT", "WORKER", "DETAIL"});
  for (const Json& event : List(task, "events")) {
    const Json& detail = Field(event, "detail");
    events.Add({{Text(event, "at")},
                {Text(event, "what")},
                {Text(event, "worker")},
                {detail.is_string() ? detail.get<std::string>()
                 : detail.is_null() ? ""
                                    : DumpJson(detail)}});
  }
  events.Print(session.terminal);
  return kExitOk;
}

Result<int> ChangeTask(Session& session, const std::string& id, const std::string& change) {
  const Json answer = TRY(session.client().Post(Target({"api", "tasks", id, change})));
  if (session.json) {
    session.PrintJson(answer);
  } else {
    session.terminal.Print(Printable(id + ": " + Text(answer, "status")));
  }
  return kExitOk;
}

Result<int> RetryTasks(Session& session, const TaskOptions& options, bool all) {
  if (!options.id.empty()) {
    if (all) return Error{Code::kInvalid, "retry: either a task or --all"};
    return ChangeTask(session, options.id, "retry");
  }
  if (!all) return Error{Code::kInvalid, "retry: a task or --all is expected"};
  Json body{{"dry_run", options.dry_run}};
  for (const auto& [key, value] : {std::pair{"queue", options.queue},
                                   {"kind", options.kind},
                                   {"status", options.status},
                                   {"text", options.text}}) {
    if (!value.empty()) body[key] = value;
  }
  if (options.stuck) body["stuck"] = true;
  const Json answer = TRY(session.client().Post("/api/tasks/retry", body));
  if (session.json) {
    session.PrintJson(answer);
  } else {
    session.terminal.Print(options.dry_run
                               ? fmt::format("{} tasks match", Number(answer, "matched"))
                               : fmt::format("{} of {} tasks queued again",
                                             Number(answer, "retried"), Number(answer, "matched")));
  }
  return kExitOk;
}

Result<int> ChangeQueue(Session& session, const std::string& name, const std::string& change) {
  const Json answer = TRY(session.client().Post(Target({"api", "queue", name, change})));
  if (session.json) {
    session.PrintJson(answer);
  } else {
    const bool paused = GetBool(answer, "paused").value_or(false);
    const size_t queues = answer.value("queues", Json::array()).size();
    const std::string beside =
        queues > 1 ? fmt::format(" and those beside it ({})", queues - 1) : "";
    session.terminal.Print(
        Printable(name + beside +
                  (paused ? ": paused; what runs ends, and nothing new starts" : ": goes on")));
  }
  return kExitOk;
}

void AddFilters(CLI::App* command, TaskOptions& options, const std::vector<std::string>& statuses) {
  command->add_option("--queue", options.queue, "Only of this queue")->type_name("NAME");
  command->add_option("--kind", options.kind, "Only of this kind")->type_name("NAME");
  command->add_option("--status", options.status, "Only in this status")
      ->check(CLI::IsMember(statuses));
  command->add_option("--text", options.text, "Only with this in payload, error or id");
  command->add_flag("--stuck", options.stuck, "Only those whose lease ran out");
}

}  // namespace

void AddTaskCommands(CLI::App& app, Session& session) {
  auto options = std::make_shared<TaskOptions>();
  CLI::App* task = app.add_subcommand("task", "Work that is queued, running or done");
  task->require_subcommand(1);
  OnCommand(task->add_subcommand("stats", "Counts by queue"), session, TaskStats);

  CLI::App* list = task->add_subcommand("list", "Show tasks, newest first");
  AddFilters(list, *options, {"queued", "started", "finished", "failed", "cancelled"});
  list->add_option("--limit", options->limit, "How many")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  list->add_option("--before", options->before, "Older than this task")->type_name("TASK");
  OnCommand(list, session, [options](Session& s) { return ListTasks(s, *options); });

  CLI::App* show = task->add_subcommand("show", "Show one with its history");
  show->add_option("TASK", options->id)->required();
  OnCommand(show, session, [options](Session& s) { return ShowTask(s, options->id); });

  CLI::App* cancel = task->add_subcommand("cancel", "Cancel one, running or not");
  cancel->add_option("TASK", options->id)->required();
  OnCommand(cancel, session,
            [options](Session& s) { return ChangeTask(s, options->id, "cancel"); });

  CLI::App* release =
      task->add_subcommand("release", "Take one back from a worker that lost its lease");
  release->add_option("TASK", options->id)->required();
  OnCommand(release, session,
            [options](Session& s) { return ChangeTask(s, options->id, "release"); });

  for (const bool pause : {true, false}) {
    CLI::App* change = task->add_subcommand(
        pause ? "pause" : "resume",
        pause ? "Let no task of a queue start" : "Let tasks of a queue start again");
    change->add_option("QUEUE", options->queue, "As task stats names it")->required();
    OnCommand(change, session, [options, pause](Session& s) {
      return ChangeQueue(s, options->queue, pause ? "pause" : "resume");
    });
  }

  auto all = std::make_shared<bool>(false);
  CLI::App* retry = task->add_subcommand("retry", "Queue failed or stuck tasks again");
  retry->add_option("TASK", options->id);
  CLI::Option* every = retry->add_flag("--all", *all, "All that match; failed ones by default");
  AddFilters(retry, *options, {"started", "failed", "cancelled"});
  retry->add_flag("--dry-run", options->dry_run, "Only count them")->needs(every);
  OnCommand(retry, session, [options, all](Session& s) { return RetryTasks(s, *options, *all); });
}

}  // namespace msearch::cli
