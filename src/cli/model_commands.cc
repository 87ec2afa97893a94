#include "base/log.h"
#include "cli/commands.h"

namespace msearch::cli {
namespace {

std::string SizeOf(const Json& model) {
  const auto bytes = static_cast<uint64_t>(Number(model, "bytes"));
  const auto download = static_cast<uint64_t>(Number(model, "download_bytes"));
  if (bytes > 0) return FormatBytes(bytes);
  return download > 0 ? FormatBytes(download) + " to get" : "";
}

std::string UseOf(const Json& model) {
  if (GetBool(model, "active").value_or(false)) return "active";
  return GetBool(model, "target").value_or(false) ? "being built" : "";
}

Result<int> ListModels(Session& session) {
  const Json answer = TRY(session.client().Get("/api/models"));
  if (session.json) {
    session.PrintJson(answer);
    return kExitOk;
  }
  Table table({"MODEL", "FOR", "USE", "STATE", "SIZE", "DEVICE", "LICENCE"});
  for (const Json& model : List(answer, "models")) {
    const std::string state = Text(model, "state");
    table.Add({{Text(model, "name"), Color::kStrong},
               {Text(model, "purpose")},
               {UseOf(model), Color::kGood},
               {state, state == "ready" ? Color::kGood : Color::kNone},
               {SizeOf(model)},
               {Text(model, "device")},
               {Text(model, "licence")}});
  }
  table.Print(session.terminal);
  session.terminal.Print("");
  for (const Json& model : List(answer, "models")) {
    std::string line = Text(model, "name") + ": " + Text(model, "title");
    if (auto quality = GetString(model, "quality")) line += ". " + *quality;
    if (auto reason = GetString(model, "device_reason"); reason && !reason->empty()) {
      line += " Device: " + *reason;
    }
    session.terminal.Print(Printable(line));
  }
  for (const Json& reader : List(answer, "readers")) {
    if (auto problem = GetString(reader, "problem")) {
      session.terminal.Note("msearch: " + Text(reader, "name") + ": " + Printable(*problem));
    }
  }
  if (auto problem = GetString(answer, "problem")) {
    session.terminal.Note("msearch: " + Printable(*problem));
  }
  return kExitOk;
}

Result<int> UseModel(Session& session, const std::string& name) {
  const Json answer = TRY(session.client().Post(Target({"api", "models", name, "use"})));
  if (session.json) {
    session.PrintJson(answer);
  } else if (auto target = GetString(answer, "target"); target && !target->empty()) {
    session.terminal.Print(Printable("Building the vectors of " + *target + "; until then " +
                                     Text(answer, "active") + " answers"));
  } else {
    session.terminal.Print(Printable(Text(answer, "model") + " is in use"));
  }
  return kExitOk;
}

void ShowProgress(Terminal& terminal, const PullProgress& progress) {
  std::string text = progress.stage + " " + progress.file;
  std::optional<double> fraction;
  if (progress.bytes_total > 0) {
    fraction = static_cast<double>(progress.bytes_done) / static_cast<double>(progress.bytes_total);
    text += fmt::format("  {} of {}", FormatBytes(progress.bytes_done),
                        FormatBytes(progress.bytes_total));
  } else if (progress.bytes_done > 0) {
    text += "  " + FormatBytes(progress.bytes_done);
  }
  terminal.Progress(fraction, text);
}

Result<int> PullModel(Session& session, PullRequest request) {
  if (!session.program.pull) {
    return Error{Code::kUnsupported, "model pull: not in this program"};
  }
  request.stop = session.interrupt.token();
  request.progress = [&session](const PullProgress& progress) {
    ShowProgress(session.terminal, progress);
  };
  const std::string use = TRY(session.program.pull(request));
  if (session.json) {
    session.PrintJson({{"model", request.model}, {"state", "ready"}});
  } else {
    session.terminal.Print(Printable(request.model + " is ready; " + use));
  }
  return kExitOk;
}

}  // namespace

void AddModelCommands(CLI::App& app, Session& session) {
  CLI::App* model = app.add_subcommand("model", "What understands pictures and words");
  model->require_subcommand(1);
  OnCommand(model->add_subcommand("list", "Show all, with size, licence and quality"), session,
            ListModels);

  auto request = std::make_shared<PullRequest>();
  CLI::App* pull = model->add_subcommand("pull", "Get one onto this machine; needs no server");
  pull->add_option("NAME", request->model)->required();
  pull->add_option("--source", request->source, "A folder that holds the files already")
      ->type_name("DIR");
  pull->add_option("--data", request->data, "Data folder; else as configured")->type_name("DIR");
  pull->add_option("--config", request->config, "Configuration file; else as found")
      ->type_name("FILE");
  OnCommand(pull, session, [request](Session& s) { return PullModel(s, *request); });

  auto name = std::make_shared<std::string>();
  CLI::App* use = model->add_subcommand("use", "Embed and search with another one");
  use->add_option("NAME", *name)->required();
  OnCommand(use, session, [name](Session& s) { return UseModel(s, *name); });
}

}  // namespace msearch::cli
