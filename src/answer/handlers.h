// What workers do with tasks of image_analysis, answer_generation and full_query.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "answer/analysis.h"
#include "answer/answer.h"
#include "answer/extract.h"
#include "answer/language_model.h"
#include "queue/worker.h"

namespace msearch::answer {

struct AnswerParts {
  std::shared_ptr<queue::TaskQueue> queue;  // where the results of a flow's parts are
  Retriever retrieve;
  // Adds what a dictionary knows to a Chinese question; null: nothing does.
  std::function<void(Question*)> explain;
  std::shared_ptr<LanguageModel> model;  // null or not configured: extractive only
  ExtractOptions extract;
  size_t passages_max = 24;  // looked at
  size_t sources_max = 5;    // given to a language model
};

// For kinds complete_answer and full_query. While an answer is being written, the task's stage is
// "writing" and its message is the text so far.
std::map<std::string, queue::BatchHandler> AnswerHandlers(std::shared_ptr<AnswerParts> parts);

// For kind analyze_image. The queue is where a cancellation is looked for.
std::map<std::string, queue::BatchHandler> AnalysisHandlers(std::shared_ptr<queue::TaskQueue> queue,
                                                            std::shared_ptr<AnalysisParts> parts);

// The answer to one question; `analysis` is that of its picture, or null.
Result<Answer> AnswerQuestion(const AnswerParts& parts, const Request& request,
                              const Json& analysis, const Progressed& progress,
                              std::stop_token stop);

}  // namespace msearch::answer
