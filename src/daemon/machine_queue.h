// The task queue as the processes of one machine use it: embedded; or in Redis with the embedded
// one to fall back on, where the controller is; or in Redis alone, on a compute server.
#pragma once

#include <memory>
#include <stop_token>
#include <string>

#include "base/result.h"
#include "daemon/process.h"
#include "queue/failover_queue.h"
#include "queue/task_queue.h"

namespace msearch::daemon {

struct MachineQueue {
  std::shared_ptr<queue::TaskQueue> queue;
  // The same object where it may leave its server; else null.
  std::shared_ptr<queue::FailoverQueue> failover;

  // What is wrong with the server, for people; empty: nothing.
  std::string problem() const { return failover == nullptr ? "" : failover->problem(); }
};

// `library`: the id of the controller's catalog; empty for all others. On a compute server waits
// until Redis answers or `stop`.
Result<MachineQueue> OpenMachineQueue(const RoleProcess& process, const std::string& library,
                                      const std::stop_token& stop);

// "embedded", "Redis at HOST:PORT".
std::string QueuePlace(const Settings& settings);
// The file in which the controller says which back end is current.
std::string QueueStatePath(const Layout& layout);
// There while builds run that aren't distributed: then a `run controller` needs workers, too.
std::string WorksHerePath(const Layout& layout);
// Whether this machine works without the queue's server at the moment, as that file says.
bool WorksLocally(const Layout& layout);

}  // namespace msearch::daemon
