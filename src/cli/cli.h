// The command line: subcommands that talk to a running server through the REST API. The one
// include of CLI11 is in this folder. What acts on this machine instead of on a server comes from
// the caller, so that this folder knows neither settings nor models.
//
// The server is --server URL, else MSEARCH_SERVER, else http://127.0.0.1:19198; its access token
// --token, else MSEARCH_TOKEN. With --json a command prints what the API answered, and nothing
// else, to standard output. Errors, notes and progress go to standard error; progress bars are
// drawn on a terminal only, colours on a terminal without NO_COLOR only.
#pragma once

#include <cstdint>
#include <functional>
#include <stop_token>
#include <string>
#include <vector>

#include "base/result.h"

namespace msearch::cli {

// The exit status of every subcommand of this folder.
enum ExitStatus {
  kExitOk = 0,             // done; a search without hits is done, too
  kExitFailure = 1,        // anything that has no number of its own; doctor: a check failed
  kExitUsage = 2,          // wrong arguments, or the server said that the request is wrong
  kExitNoServer = 3,       // the server can't be reached, or can't answer now
  kExitSomeFailed = 4,     // index status --strict: some files failed
  kExitNotFound = 5,       // what the arguments name doesn't exist; ask: nothing answers it
  kExitDenied = 6,         // access token missing or wrong, or not allowed
  kExitConflict = 7,       // it exists already, or its state forbids the operation
  kExitInterrupted = 130,  // Ctrl-C
};

// A subcommand of somebody else's. `run` gets the arguments after its name and returns the exit
// status; without `help` it isn't listed.
struct ServerCommand {
  std::string name;
  std::string help;
  std::function<int(const std::vector<std::string>&)> run;
};

// How far a pull is.
struct PullProgress {
  std::string file;
  std::string stage;  // "download", "verify", "convert"
  uint64_t bytes_done = 0;
  uint64_t bytes_total = 0;  // 0 when not known
};

struct PullRequest {
  std::string model;
  std::string source;  // a folder that holds the files; empty: where the pack says
  std::string data;    // --data; empty: as configured
  std::string config;  // --config; empty: as found
  std::function<void(const PullProgress&)> progress;
  std::stop_token stop;
};

// One line of `msearch doctor`.
struct Check {
  std::string name;
  bool ok = false;
  std::string detail;
  std::string advice;  // what to do when it isn't ok
};

struct Program {
  std::string version;
  std::vector<ServerCommand> commands;
  // `model pull`: works without a server. From the calling thread. Tells how the pack is put to
  // use.
  std::function<Result<std::string>(const PullRequest&)> pull;
  // `doctor`: what can be told about this machine without a server (runtime library, disk space).
  std::function<std::vector<Check>()> local_checks;
};

// Runs the subcommand that the arguments name and returns the exit status.
int Main(int argc, char** argv, const Program& program);

}  // namespace msearch::cli
