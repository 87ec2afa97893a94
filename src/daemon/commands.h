// The subcommands that act on this machine instead of on a running server: run, service, config,
// and the hidden "role" by which processes start each other.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "cli/cli.h"
#include "queue/redis_queue.h"

namespace msearch::daemon {

// Each gets the arguments after its own name and returns the exit status.
int RunCommand(const std::vector<std::string>& arguments);
int ServiceCommand(const std::vector<std::string>& arguments);
int ConfigCommand(const std::vector<std::string>& arguments);
int RoleCommand(const std::vector<std::string>& arguments);

// What the command line needs of this machine: getting a model pack, and looking for trouble.
std::string Version();
Result<std::string> PullModel(const cli::PullRequest& request);
std::vector<cli::Check> LocalChecks();
// Whether a Redis server is fit for the queue, as this process sees it.
std::vector<cli::Check> RedisChecks(const queue::RedisQueueOptions& options);

}  // namespace msearch::daemon
