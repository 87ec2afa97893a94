#include "cli/cli.h"

#include <cstdlib>

#include "base/log.h"
#include "base/strings.h"
#include "cli/commands.h"

namespace msearch::cli {
namespace {

constexpr char kFooter[] =
    "Exit status: 0 done, 1 failed, 2 wrong arguments, 3 the server can't be reached or can't "
    "answer now,\n4 some files failed (index status --strict), 5 not found, 6 access denied, "
    "7 conflict, 130 interrupted.\n\n"
    "\"msearch COMMAND --help\" tells more about a command.";

std::string FromEnvironment(const char* name, const char* fallback) {
  const char* value = std::getenv(name);
  return value != nullptr && *value != '\0' ? value : fallback;
}

int StatusOf(Code code) {
  switch (code) {
    case Code::kInvalid:
      return kExitUsage;
    case Code::kNotFound:
      return kExitNotFound;
    case Code::kPermission:
      return kExitDenied;
    case Code::kConflict:
      return kExitConflict;
    case Code::kUnavailable:
    case Code::kTimeout:
      return kExitNoServer;
    case Code::kCancelled:
      return kExitInterrupted;
    default:
      return kExitFailure;
  }
}

void AddGlobalOptions(CLI::App& app, Session& session) {
  session.server = FromEnvironment("MSEARCH_SERVER", "http://127.0.0.1:19198");
  session.token = FromEnvironment("MSEARCH_TOKEN", "");
  app.add_option("--server", session.server, "Address of the server (or MSEARCH_SERVER)")
      ->type_name("URL")
      ->capture_default_str();
  app.add_option("--token", session.token,
                 "Access token; better MSEARCH_TOKEN, which other users can't see")
      ->type_name("TEXT");
  app.add_flag("--json", session.json, "Print what the API answered");
}

// Which of the names was meant, for a command that doesn't exist.
std::string Suggestion(const CLI::App& app, const std::string& word) {
  std::vector<std::string> names;
  for (const CLI::App* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    if (!command->get_group().empty()) names.push_back(command->get_name());
  }
  auto nearest = NearestWord(word, names);
  return nearest ? "; did you mean " + *nearest + "?" : "";
}

int ParseFailure(const CLI::App& app, const CLI::ParseError& error, int argc, char** argv) {
  if (error.get_exit_code() == 0) {  // --help, --version
    app.exit(error);
    return kExitOk;
  }
  std::string message = error.what();
  if (argc > 1 && argv[1][0] != '-' && app.get_subcommands().empty()) {
    message = std::string(argv[1]) + ": no such command" + Suggestion(app, argv[1]);
  }
  std::fprintf(stderr, "msearch: %s\nTry \"msearch --help\".\n", Printable(message).c_str());
  return kExitUsage;
}

int RunChosen(Session& session) {
  Result<int> status = session.chosen(session);
  session.terminal.EndProgress();
  if (session.interrupt.interrupted()) {
    session.terminal.Note("msearch: interrupted");
    return kExitInterrupted;
  }
  if (status.ok()) return *status;
  session.terminal.Note("msearch: " + Printable(status.message()));
  return StatusOf(status.code());
}

}  // namespace

int Main(int argc, char** argv, const Program& program) {
  for (const ServerCommand& command : program.commands) {
    if (argc > 1 && command.name == argv[1]) return command.run({argv + 2, argv + argc});
  }
  CLI::App app{"Find your pictures, videos, sounds and documents by what is in them", "msearch"};
  app.set_version_flag("--version", "msearch " + program.version);
  app.require_subcommand(1);
  app.fallthrough();
  app.footer(kFooter);
  Session session(program);
  AddGlobalOptions(app, session);
  for (const ServerCommand& command : program.commands) {
    app.add_subcommand(command.name, command.help)
        ->group(command.help.empty() ? "" : "Server, on this machine");
  }
  AddSearchCommand(app, session);
  AddAskCommand(app, session);
  AddRootCommands(app, session);
  AddIndexCommands(app, session);
  AddTaskCommands(app, session);
  AddModelCommands(app, session);
  AddDoctorCommand(app, session);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return ParseFailure(app, error, argc, argv);
  }
  return RunChosen(session);
}

void OnCommand(CLI::App* command, Session& session, Action action) {
  command->callback([&session, action = std::move(action)] { session.chosen = action; });
}

void Session::PrintJson(const Json& json_value) { terminal.Print(DumpJson(json_value, 2)); }

std::string Text(const Json& object, std::string_view key) {
  return GetString(object, key).value_or("");
}

int64_t Number(const Json& object, std::string_view key) { return GetInt(object, key).value_or(0); }

const Json& Field(const Json& object, const char* key) {
  static const Json kNull;
  auto found = object.find(key);
  return found != object.end() ? *found : kNull;
}

const Json& List(const Json& object, const char* key) {
  static const Json kEmpty = Json::array();
  const Json& field = Field(object, key);
  return field.is_array() ? field : kEmpty;
}

}  // namespace msearch::cli
