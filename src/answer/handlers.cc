#include "answer/handlers.h"

#include <algorithm>
#include <condition_variable>
#include <thread>

#include "answer/generate.h"
#include "base/log.h"
#include "base/strings.h"

namespace msearch::answer {
namespace {

using queue::Outcome;
using queue::TaskContext;

constexpr size_t kWritingBytesMax = 8 << 10;

// Stops the work soon after its task was cancelled: the worker itself notices only when it
// extends the lease. Also when the attempt is over otherwise.
class CancelWatch {
 public:
  CancelWatch(queue::TaskQueue& queue, const TaskContext& task)
      : on_stop_(task.stop_token(), [this] { source_.request_stop(); }),
        thread_([this, &queue, id = task.lease().task.id](const std::stop_token& end) {
          constexpr Milliseconds kLookEvery{300};
          std::mutex mutex;
          std::condition_variable_any changed;
          std::unique_lock lock(mutex);
          while (!changed.wait_for(lock, end, kLookEvery, [] { return false; })) {
            if (end.stop_requested()) return;
            const auto now = queue.Get(id);
            if (!now.ok() || !now->cancel_requested) continue;
            source_.request_stop();
            return;
          }
        }) {}
  std::stop_token token() const { return source_.get_token(); }

 private:
  std::stop_source source_;
  std::stop_callback<std::function<void()>> on_stop_;
  std::jthread thread_;
};

// May set `release` instead of giving a result.
using HandleOne = std::function<Result<Json>(const Request&, const TaskContext&, const Progressed&,
                                             std::stop_token, Outcome*)>;
constexpr Milliseconds kGiveBackDelay{1000};

queue::BatchHandler OneByOne(std::shared_ptr<queue::TaskQueue> queue, HandleOne handle) {
  return [queue, handle](std::span<const std::unique_ptr<TaskContext>> tasks) {
    std::vector<Outcome> outcomes;
    for (const auto& task : tasks) {
      Outcome& outcome = outcomes.emplace_back();
      if (task->ShouldStop()) {
        outcome.release = true;
        continue;
      }
      const Progressed progress = [&](double fraction, const std::string& stage,
                                      const std::string& message) {
        task->SetProgress({fraction, stage, SanitizeUtf8(TruncateUtf8(message, kWritingBytesMax))});
      };
      outcome.status = [&]() -> Result<> {
        const Request request = TRY(Request::FromJson(task->lease().task.payload));
        const CancelWatch watch(*queue, *task);
        Result<Json> result = handle(request, *task, progress, watch.token(), &outcome);
        if (outcome.release) return Ok{};
        outcome.result = TRY(std::move(result));
        if (!request.part) outcome.follow_ups.push_back(EndedTask(task->lease().task.id));
        return Ok{};
      }();
    }
    return outcomes;
  };
}

// What a picture's analysis adds to a question: what it most likely shows, and the text in it.
void AddAnalysis(const Json& analysis, Question* question) {
  constexpr double kSure = 0.3;
  constexpr size_t kAddedMax = 6;
  std::vector<std::string> texts;
  for (const Json& label : analysis.value("labels", Json::array())) {
    if (GetDouble(label, "probability").value_or(0) < kSure || texts.size() == 2) break;
    texts.push_back(GetString(label, "label").value_or(""));
  }
  for (const Json& text : analysis.value("text", Json::array())) {
    if (texts.size() == 5) break;
    texts.push_back(GetString(text, "text").value_or(""));
  }
  size_t added = 0;
  for (const std::string& text : texts) {
    const std::string cut(TruncateUtf8(text, 200));
    const auto more = ReadQuestion(cut);
    if (!more.ok()) continue;
    for (const QueryTerm& term : more->terms) {
      const bool known = std::any_of(
          question->terms.begin(), question->terms.end(),
          [&](const QueryTerm& other) { return other.forms.front() == term.forms.front(); });
      if (known || added++ == kAddedMax) continue;
      question->terms.push_back(term);
    }
    if (question->words.size() + more->words.size() < kQuestionBytesMax) {
      question->words += ' ' + more->words;
    }
  }
}

}  // namespace

Result<Answer> AnswerQuestion(const AnswerParts& parts, const Request& request,
                              const Json& analysis, const Progressed& progress,
                              std::stop_token stop) {
  Question question = TRY(ReadQuestion(request.question));
  if (analysis.is_object()) AddAnalysis(analysis, &question);
  if (parts.explain && question.chinese) parts.explain(&question);
  progress(0.1, "retrieving", "");
  Evidence evidence = TRY(parts.retrieve(question, request.filters, parts.passages_max, stop));
  if (!request.context.empty()) {
    Passage given;
    given.type = "context";
    given.path = question.chinese ? "（给出的文字）" : "(given text)";
    given.text = request.context;
    evidence.passages.insert(evidence.passages.begin(), std::move(given));
  }
  if (stop.stop_requested()) return Error{Code::kCancelled, "answer: cancelled"};
  progress(0.5, "choosing", std::to_string(evidence.passages.size()) + " passages");
  Answer extractive = Extract(question, evidence, parts.extract);
  const bool asks = parts.model != nullptr && parts.model->configured() && request.generate;
  // With hardly any evidence, a language model could only invent.
  if (!asks || extractive.confidence < 0.6 * parts.extract.evidence_min) {
    if (extractive.found) progress(0.95, "writing", extractive.text);
    return extractive;
  }
  progress(0.55, "writing", "");
  auto generated = Generate(
      *parts.model, question, ChoosePassages(question, evidence, parts.sources_max),
      [&](const std::string& so_far) { progress(0.7, "writing", so_far); }, stop);
  if (stop.stop_requested()) return Error{Code::kCancelled, "answer: cancelled"};
  if (generated.ok()) {
    generated->confidence = extractive.confidence;
    if (!generated->found)
      generated->nearest = extractive.found ? extractive.citations : extractive.nearest;
    return generated;
  }
  LOG_WARNING("answer: {}; answered from quotes alone", generated.message());
  extractive.notice = (question.chinese ? "语言模型不可用，以下为原文摘录（"
                                        : "The language model can't answer now, so these are "
                                          "quotations (") +
                      generated.message() + (question.chinese ? "）" : ")");
  if (extractive.found) progress(0.95, "writing", extractive.text);
  return extractive;
}

std::map<std::string, queue::BatchHandler> AnswerHandlers(std::shared_ptr<AnswerParts> parts) {
  std::map<std::string, queue::BatchHandler> handlers;
  handlers[std::string(kComplete)] =
      OneByOne(parts->queue,
               [parts](const Request& request, const TaskContext& task, const Progressed& progress,
                       std::stop_token stop, Outcome*) -> Result<Json> {
                 Json analysis;
                 for (const queue::TaskId& part : task.lease().task.after) {
                   const auto done = parts->queue->Get(part);
                   if (done.ok() && done->kind == kAnalyze && done->result)
                     analysis = *done->result;
                 }
                 const Answer answer =
                     TRY(AnswerQuestion(*parts, request, analysis, progress, std::move(stop)));
                 return ToJson(answer, TRY(ReadQuestion(request.question)));
               });
  handlers[std::string(kFullQuery)] =
      OneByOne(parts->queue,
               [parts](const Request&, const TaskContext& task, const Progressed&, std::stop_token,
                       Outcome*) -> Result<Json> {
                 Json result = Json::object();
                 for (const queue::TaskId& id : task.lease().task.after) {
                   const queue::Task part = TRY(parts->queue->Get(id));
                   if (!part.result)
                     return Error{Code::kNotFound, "task " + id + ": its result is gone"};
                   if (part.kind == kAnalyze) {
                     result["analysis"] = *part.result;
                   } else {
                     result.update(*part.result);
                   }
                 }
                 return result;
               });
  return handlers;
}

std::map<std::string, queue::BatchHandler> AnalysisHandlers(std::shared_ptr<queue::TaskQueue> queue,
                                                            std::shared_ptr<AnalysisParts> parts) {
  std::map<std::string, queue::BatchHandler> handlers;
  handlers[std::string(kAnalyze)] =
      OneByOne(std::move(queue),
               [parts](const Request& request, const TaskContext&, const Progressed& progress,
                       std::stop_token stop, Outcome* outcome) {
                 Result<Json> result =
                     Analyze(*parts, request, progress, std::move(stop), &outcome->release);
                 // Who has it enqueued knows the picture: only one that it couldn't know, or a
                 // worker that came since, meets it here.
                 if (outcome->release) outcome->delay = kGiveBackDelay;
                 return result;
               });
  return handlers;
}

}  // namespace msearch::answer
