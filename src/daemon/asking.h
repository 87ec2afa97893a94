// Wires the folder answer/ into the roles: the desk of the controller, the threads of workers that
// answer and analyse.
#pragma once

#include <memory>
#include <stop_token>

#include "answer/desk.h"
#include "daemon/process.h"
#include "ingest/embed.h"
#include "media/codec.h"
#include "queue/task_queue.h"

namespace msearch::daemon {

answer::DeskOptions DeskOptionsOf(const RoleProcess& process);

// A task worker's thread for answers: they wait for others most of the time, so that decoding
// beside them costs neither much. Until `stop`.
void RunAnswerWorker(const RoleProcess& process, std::shared_ptr<queue::TaskQueue> queue,
                     std::stop_token stop);

// An embedding worker's thread for analyses: they need its model, and a codec child of their own.
void RunAnalysisWorker(const RoleProcess& process, std::shared_ptr<queue::TaskQueue> queue,
                       std::shared_ptr<ingest::ModelHolder> model, const media::CodecLimits& limits,
                       std::stop_token stop);

}  // namespace msearch::daemon
