#include <filesystem>

#include "base/log.h"
#include "cli/commands.h"

namespace msearch::cli {
namespace {

Color StateColor(const std::string& state) {
  if (state == "unreachable") return Color::kBad;
  return state == "paused" ? Color::kDim : Color::kGood;
}

void PrintRoots(Session& session, const Json& answer) {
  Table table({"NAME", "STATE", ">FILES", ">INDEXED", ">PENDING", ">FAILED", "PATH"});
  for (const Json& root : List(answer, "roots")) {
    const Json& counts = Field(root, "counts");
    const int64_t failed = Number(counts, "failed");
    std::string state = Text(root, "state");
    const Color color = StateColor(state);
    if (auto reason = GetString(root, "state_reason")) state += " (" + *reason + ")";
    table.Add({{Text(root, "name")},
               {state, color},
               {std::to_string(Number(counts, "files"))},
               {std::to_string(Number(counts, "indexed"))},
               {std::to_string(Number(counts, "pending"))},
               {std::to_string(failed), failed > 0 ? Color::kBad : Color::kNone},
               {Text(root, "path")}});
  }
  if (table.empty()) {
    session.terminal.Print("No roots yet: add a folder with \"msearch root add PATH\".");
  } else {
    table.Print(session.terminal);
  }
}

Result<int> AddRoot(Session& session, const std::string& path, const std::string& name) {
  // The server has another working directory.
  std::error_code error;
  std::string absolute = std::filesystem::absolute(path, error).lexically_normal().string();
  if (error) return Error{Code::kInvalid, path + ": " + error.message()};
  if (absolute.size() > 1 && absolute.ends_with('/')) absolute.pop_back();
  Json body{{"path", absolute}};
  if (!name.empty()) body["name"] = name;
  const Json root = TRY(session.client().Post("/api/roots", body));
  if (session.json) {
    session.PrintJson(root);
  } else {
    session.terminal.Print(
        Printable(fmt::format("Added {}: {}", Text(root, "name"), Text(root, "path"))));
  }
  return kExitOk;
}

Result<int> ListRoots(Session& session) {
  const Json answer = TRY(session.client().Get("/api/roots"));
  if (session.json) {
    session.PrintJson(answer);
  } else {
    PrintRoots(session, answer);
  }
  return kExitOk;
}

Result<int> RemoveRoot(Session& session, const std::string& name) {
  const Json answer = TRY(session.client().Delete(Target({"api", "roots", name})));
  if (session.json) {
    session.PrintJson(answer);
  } else {
    session.terminal.Print(Printable("Removed " + name + "; its files are untouched"));
  }
  return kExitOk;
}

Result<int> ScanRoot(Session& session, const std::string& name, bool full) {
  Parameters query;
  if (full) query.emplace_back("full", "1");
  const Json answer = TRY(session.client().Post(Target({"api", "roots", name, "scan"}, query)));
  if (session.json) {
    session.PrintJson(answer);
  } else {
    session.terminal.Print(
        Printable("Scanning " + name + "; \"msearch index status --wait\" waits for it"));
  }
  return kExitOk;
}

}  // namespace

void AddRootCommands(CLI::App& app, Session& session) {
  struct Options {
    std::string path;
    std::string name;
    bool full = false;
  };
  auto options = std::make_shared<Options>();
  CLI::App* root = app.add_subcommand("root", "Folders that are searched");
  root->require_subcommand(1);

  CLI::App* add = root->add_subcommand("add", "Add a folder");
  add->add_option("PATH", options->path, "Path on the server's machine")->required();
  add->add_option("--name", options->name, "How to call it; else after the folder");
  OnCommand(add, session,
            [options](Session& s) { return AddRoot(s, options->path, options->name); });

  OnCommand(root->add_subcommand("list", "Show all, with their state and counts"), session,
            ListRoots);

  CLI::App* remove = root->add_subcommand("remove", "Forget a folder; its files stay");
  remove->add_option("NAME", options->name)->required();
  OnCommand(remove, session, [options](Session& s) { return RemoveRoot(s, options->name); });

  CLI::App* scan = root->add_subcommand("scan", "Look for changes now");
  scan->add_option("NAME", options->name)->required();
  scan->add_flag("--full", options->full, "Look at every file again, changed or not");
  OnCommand(scan, session,
            [options](Session& s) { return ScanRoot(s, options->name, options->full); });
}

}  // namespace msearch::cli
