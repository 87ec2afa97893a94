// What the subcommands share. Private to this folder.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <memory>
#include <string>

#include "base/json.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/interrupt.h"
#include "cli/terminal.h"

namespace msearch::cli {

// One invocation: what was given to all commands, and what the one chosen has to do.
struct Session {
  explicit Session(const Program& what) : program(what) {}

  const Program& program;
  std::string server;
  std::string token;
  bool json = false;
  // The chosen command, set while the arguments are parsed; its value is the exit status.
  std::function<Result<int>(Session&)> chosen;

  InterruptWatch interrupt;
  Terminal terminal;

  Client client() const { return Client(server, token, interrupt.token()); }
  void PrintJson(const Json& json_value);
};

using Action = std::function<Result<int>(Session&)>;
// `action` runs when `command` was named.
void OnCommand(CLI::App* command, Session& session, Action action);

void AddRootCommands(CLI::App& app, Session& session);
void AddSearchCommand(CLI::App& app, Session& session);
void AddAskCommand(CLI::App& app, Session& session);
void AddIndexCommands(CLI::App& app, Session& session);
void AddTaskCommands(CLI::App& app, Session& session);
void AddModelCommands(CLI::App& app, Session& session);
void AddDoctorCommand(CLI::App& app, Session& session);

// Look-ups for printing; empty or 0 when absent.
std::string Text(const Json& object, std::string_view key);
int64_t Number(const Json& object, std::string_view key);
// Null when absent.
const Json& Field(const Json& object, const char* key);
// An array, empty when absent.
const Json& List(const Json& object, const char* key);

}  // namespace msearch::cli
