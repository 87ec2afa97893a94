#include <sys/prctl.h>

#include <cstring>

#include "cli/cli.h"
#include "daemon/commands.h"

int main(int argc, char** argv) {
  using namespace msearch;
  // Processes start each other as "/proc/self/exe", and the kernel would call them "exe".
  if (argc > 0) prctl(PR_SET_NAME, basename(argv[0]));
  cli::Program program;
  program.version = daemon::Version();
  program.commands = {
      {"run", "Run in the foreground: both, controller or compute", daemon::RunCommand},
      {"service", "Start, stop, restart, status: run in the background", daemon::ServiceCommand},
      {"config", "Show every setting and where it comes from", daemon::ConfigCommand},
      {"role", "", daemon::RoleCommand},
  };
  program.pull = daemon::PullModel;
  program.local_checks = daemon::LocalChecks;
  return cli::Main(argc, argv, program);
}
