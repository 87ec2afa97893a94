// Wires the folder answer/ into the roles: the desk of the controller, the threads of workers that
// answer and analyse.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <stop_token>
#include <string>

#include "answer/desk.h"
#include "catalog/catalog.h"
#include "daemon/process.h"
#include "ingest/embed.h"
#include "media/codec.h"
#include "queue/task_queue.h"

namespace msearch::daemon {

answer::DeskOptions DeskOptionsOf(const RoleProcess& process);

// For the desk, where workers differ: which queue the analysis of a request's picture goes to, by
// its format and by whether its text is to be read. What nobody at all reads is left out; a format
// that nobody opens is waited for.
std::function<std::string(const answer::Request&)> ChoiceOfAnalysisQueue(
    const RoleProcess& process, std::shared_ptr<catalog::Catalog> catalog,
    std::shared_ptr<queue::TaskQueue> queue, std::function<bool()> reads_text);

// A task worker's thread for answers: they wait for others most of the time, so that decoding
// beside them costs neither much. Until `stop`.
void RunAnswerWorker(const RoleProcess& process, std::shared_ptr<queue::TaskQueue> queue,
                     std::stop_token stop);

// What a worker can do that others can't: the formats that it opens, and whether it reads text now.
struct AnalysisReach {
  std::set<std::string> formats;
  std::function<bool()> reads_text;
};

// An embedding worker's thread for analyses: they need its model, and a codec child of their own.
// `reach`: absent where all workers can do the same.
void RunAnalysisWorker(const RoleProcess& process, std::shared_ptr<queue::TaskQueue> queue,
                       std::shared_ptr<ingest::ModelHolder> model, const media::CodecLimits& limits,
                       std::optional<AnalysisReach> reach, std::stop_token stop);

}  // namespace msearch::daemon
