// Memory of all processes of a server that has nothing to do and has loaded no model, as the
// proportional set size (shared pages are divided among those that share them).
//
//   idle_memory      MSEARCH_MODEL_DIRECTORY: where open-1k was pulled to
//
// Exits 1 when it is 150 MB or more.
#include <cstdio>

#include "roles.h"
#include "system/server.h"

int main() {
  using namespace msearch;
  constexpr double kMegabytesMax = 150;
  test::Server server({}, "open-1k");
  if (!server.Start() || !server.AwaitIdle()) {
    std::fprintf(stderr, "idle_memory: msearch didn't start: %s\n", server.log().c_str());
    return 1;
  }
  const bool complete = test::Eventually([&] {
    return !server.Pids("monitor").empty() && !server.Pids("task_worker").empty() &&
           !server.Pids("embedding_worker").empty();
  });
  if (!complete) {
    std::fprintf(stderr, "idle_memory: not all roles came up\n");
    return 1;
  }
  double total = 0;
  std::printf("role                   processes   proportional set size, MB\n");
  for (const auto& [role, use] : bench::RolesUnder(server.pid(), true)) {
    if (use.processes == 0) continue;
    const double megabytes = static_cast<double>(use.memory_bytes) / 1e6;
    total += megabytes;
    std::printf("%-30s %d %27.1f\n", role.c_str(), use.processes, megabytes);
  }
  std::printf("%-32s %27.1f\n", "all", total);
  return total < kMegabytesMax ? 0 : 1;
}
