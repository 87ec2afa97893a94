// Starts the role processes, watches them, starts again what died, and ends them in order.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "daemon/layout.h"
#include "daemon/settings.h"

namespace msearch::daemon {

struct RunPlan {
  bool controller = true;  // controller and monitor
  bool compute = true;     // task and embedding workers
  int task_workers = 1;
  int embedding_workers = 1;
};

// Runs in the foreground until SIGTERM or SIGINT; prints "ready http://HOST:PORT" on standard
// output once the API answers. A compute server prints "ready compute" once its workers have had
// an answer from Redis and controller, and before that "waiting: REASON" while one is away. A role
// that dies is started again after a pause that doubles from 0.5 to 30 seconds and is forgotten
// after a minute of life. On SIGTERM workers and monitor end first, then the controller; on a
// second one all are killed. If the supervisor itself is killed, the kernel ends every role with
// it. Returns the exit status.
int Supervise(const Settings& settings, const Layout& layout, const RunPlan& plan);

}  // namespace msearch::daemon
