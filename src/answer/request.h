// What clients ask for, as it is journaled and as tasks carry it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "queue/task_queue.h"

namespace msearch::answer {

inline constexpr std::string_view kAnalysisQueue = "image_analysis";
inline constexpr std::string_view kAnswerQueue = "answer_generation";
inline constexpr std::string_view kQueryQueue = "full_query";
// Ends of the last task of each flow, for the controller.
inline constexpr std::string_view kEndedQueue = "answered";

inline constexpr std::string_view kAnalyze = "analyze_image";
inline constexpr std::string_view kComplete = "complete_answer";
inline constexpr std::string_view kFullQuery = "full_query";
inline constexpr std::string_view kEndedKind = "ended";
inline constexpr std::string_view kFailedKind = "failed";

inline constexpr Milliseconds kAnalysisTimeout{10 * 60 * 1000};
inline constexpr Milliseconds kAnswerTimeout{10 * 60 * 1000};
inline constexpr Milliseconds kQueryTimeout{15 * 60 * 1000};

// The role whose workers take from one of these queues, or from one beside it.
std::string_view RoleOf(std::string_view queue);
// The queue of analyses, or one beside it for what only some workers can do.
bool IsOfAnalyses(std::string_view queue);

struct Request {
  std::string kind;               // kAnalyze, kComplete, kFullQuery
  std::string question;           // of the latter two
  std::string context;            // further text to answer from, given by the client
  Json filters = Json::object();  // as of a search
  // null, {"upload": id, "name"}, {"media_id": number} or {"path": absolute, "name"}
  Json image;
  bool generate = true;  // false: extractive only, whatever is configured
  std::string language;  // of a description: "zh" or else English
  bool part = false;     // of a flow, and not its last task

  Json ToJson() const;
  static Result<Request> FromJson(const Json& json);
};
inline constexpr size_t kContextBytesMax = 32 << 10;

// The tasks of a request, the last of which is the request's. A full query is a flow: the
// analysis of its picture, the answer, and the task that follows them and joins their results.
//
//   queue              kind             priority                    follows
//   image_analysis     analyze_image    high, of a full query low   -
//   answer_generation  complete_answer  normal, of a full query low the analysis, if any
//   full_query         full_query       low                         both
// What they follow is left out: ids come with the queue. `analysis_queue` is the one for this
// request's analysis.
std::vector<queue::NewTask> TasksOf(const Request& request,
                                    std::string_view analysis_queue = kAnalysisQueue);
Result<std::vector<queue::TaskId>> EnqueueTasks(queue::TaskQueue& queue, const Request& request,
                                                std::string_view analysis_queue = kAnalysisQueue);

// What the last task's completion is followed by, so that the journal learns of it.
queue::NewTask EndedTask(const queue::TaskId& task);

}  // namespace msearch::answer
