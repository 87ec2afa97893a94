// The subcommands that act on this machine instead of on a running server: run, service, config,
// and the hidden "role" by which processes start each other.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace msearch::daemon {

// Each gets the arguments after its own name and returns the exit status.
int RunCommand(const std::vector<std::string>& arguments);
int ServiceCommand(const std::vector<std::string>& arguments);
int ConfigCommand(const std::vector<std::string>& arguments);
int RoleCommand(const std::vector<std::string>& arguments);

}  // namespace msearch::daemon
