// What all processes of a running system share: signals, who they are, the settings they got.
#pragma once

#include <memory>
#include <stop_token>
#include <string>
#include <thread>

#include "daemon/layout.h"
#include "daemon/settings.h"
#include "queue/task_queue.h"

namespace msearch::daemon {

// Turns the first SIGTERM or SIGINT into a stop request; a second ends the process at once.
// Made before any other thread, because the signals are blocked from then on.
class StopSignals {
 public:
  StopSignals();
  ~StopSignals();
  std::stop_token token() const { return source_.get_token(); }
  void Stop() { source_.request_stop(); }
  // Blocks until the stop request.
  void Wait();

 private:
  std::stop_source source_;
  int wake_ = -1;
  std::thread thread_;
};

// A role process as the supervisor starts it: "msearch role NAME --settings FILE --number N".
struct RoleArguments {
  std::string role;
  std::string settings_file;
  int number = 0;
  // Where to tell the supervisor: the controller its port when it serves, workers of a compute
  // server how their start goes.
  int ready_fd = -1;
  int port = -1;      // controller: the port it had before, when it starts again
  std::string model;  // embedder child
};

struct RoleProcess {
  RoleArguments arguments;
  Settings settings;
  Layout layout;
  queue::WorkerInfo info;  // id, role, host, pid, started_at
};

// Reads the settings and starts logging.
Result<RoleProcess> StartRole(const RoleArguments& arguments);

// From a worker of a compute server to its supervisor, which may tell others: that it waits, and
// for what; that it has met all that it needs, and its configuration with it.
void TellWaiting(const RoleProcess& process, const std::string& for_what);
void TellReady(const RoleProcess& process);

queue::WorkerInfo MakeWorkerInfo(const std::string& role, int number);

int RunController(const RoleProcess& process, StopSignals& signals);
int RunMonitor(const RoleProcess& process, StopSignals& signals);
int RunTaskWorker(const RoleProcess& process, StopSignals& signals);
int RunEmbeddingWorker(const RoleProcess& process, StopSignals& signals);
int RunEmbedderChild(const RoleProcess& process);

// Exit status of a role that can't ever start as it is configured; the supervisor gives up.
inline constexpr int kCannotStart = 78;

}  // namespace msearch::daemon
