#include "answer/request.h"

namespace msearch::answer {
namespace {

using queue::NewTask;
using queue::Priority;

NewTask MakeTask(std::string_view queue, std::string_view kind, Priority priority,
                 Milliseconds timeout, const Json& payload) {
  NewTask task;
  task.queue = queue;
  task.kind = kind;
  task.priority = priority;
  task.timeout = timeout;
  task.payload = payload;
  return task;
}

}  // namespace

Json Request::ToJson() const {
  Json json{{"kind", kind}};
  if (!question.empty()) json["question"] = question;
  if (!context.empty()) json["context"] = context;
  if (!filters.empty()) json["filters"] = filters;
  if (!image.is_null()) json["image"] = image;
  if (!generate) json["generate"] = false;
  if (!language.empty()) json["language"] = language;
  if (part) json["part"] = true;
  return json;
}

Result<Request> Request::FromJson(const Json& json) {
  Request request;
  request.kind = GetString(json, "kind").value_or("");
  if (request.kind != kAnalyze && request.kind != kComplete && request.kind != kFullQuery) {
    return Error{Code::kInvalid, "request: unknown kind " + request.kind};
  }
  request.question = GetString(json, "question").value_or("");
  request.context = GetString(json, "context").value_or("");
  request.filters = json.value("filters", Json::object());
  request.image = json.value("image", Json());
  request.generate = GetBool(json, "generate").value_or(true);
  request.part = GetBool(json, "part").value_or(false);
  request.language = GetString(json, "language").value_or("");
  return request;
}

std::string_view RoleOf(std::string_view queue) {
  return IsOfAnalyses(queue) ? "analysis_worker" : "answer_worker";
}

bool IsOfAnalyses(std::string_view queue) {
  return queue.starts_with(kAnalysisQueue) &&
         (queue.size() == kAnalysisQueue.size() || queue[kAnalysisQueue.size()] == '-');
}

std::vector<NewTask> TasksOf(const Request& request, std::string_view analysis_queue) {
  const bool whole = request.kind == kFullQuery;
  std::vector<NewTask> tasks;
  Request part = request;
  part.part = whole;
  if (request.kind == kAnalyze || (whole && !request.image.is_null())) {
    part.kind = kAnalyze;
    tasks.push_back(MakeTask(analysis_queue, kAnalyze, whole ? Priority::kLow : Priority::kHigh,
                             kAnalysisTimeout, part.ToJson()));
  }
  if (request.kind != kAnalyze) {
    part.kind = kComplete;
    tasks.push_back(MakeTask(kAnswerQueue, kComplete, whole ? Priority::kLow : Priority::kNormal,
                             kAnswerTimeout, part.ToJson()));
  }
  if (whole) {
    tasks.push_back(
        MakeTask(kQueryQueue, kFullQuery, Priority::kLow, kQueryTimeout, request.ToJson()));
  }
  tasks.back().dead_letter = {std::string(kEndedQueue), std::string(kFailedKind)};
  return tasks;
}

Result<std::vector<queue::TaskId>> EnqueueTasks(queue::TaskQueue& queue, const Request& request,
                                                std::string_view analysis_queue) {
  std::vector<queue::TaskId> ids;
  for (NewTask& task : TasksOf(request, analysis_queue)) {
    task.after = ids;
    ids.push_back(TRY(queue.Enqueue(task)));
  }
  return ids;
}

queue::NewTask EndedTask(const queue::TaskId& task) {
  return MakeTask(kEndedQueue, kEndedKind, Priority::kNormal, Milliseconds(60000),
                  {{"task", task}});
}

}  // namespace msearch::answer
