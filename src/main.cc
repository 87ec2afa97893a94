#include "cli/cli.h"
#include "daemon/commands.h"

int main(int argc, char** argv) {
  using namespace msearch;
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
