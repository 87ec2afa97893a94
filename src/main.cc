#include <string>
#include <vector>

#include "daemon/commands.h"

int main(int argc, char** argv) {
  std::vector<std::string> arguments(argv + 1, argv + argc);
  const std::string command = arguments.empty() ? "" : arguments[0];
  if (!arguments.empty()) arguments.erase(arguments.begin());
  if (command == "role") return msearch::daemon::RoleCommand(arguments);
  if (command == "run") return msearch::daemon::RunCommand(arguments);
  if (command == "service") return msearch::daemon::ServiceCommand(arguments);
  if (command == "config") return msearch::daemon::ConfigCommand(arguments);
  return 2;
}
