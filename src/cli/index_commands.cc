#include <algorithm>
#include <chrono>

#include "base/log.h"
#include "cli/commands.h"

namespace msearch::cli {
namespace {

// How long the server may hold one answer. Short where somebody watches the bar.
constexpr int kHoldSeconds = 30;
constexpr int kWatchedHoldSeconds = 1;
constexpr Milliseconds kPatience{15000};
constexpr int kFailuresShown = 20;

struct FailureOptions {
  std::string root;
  std::string code;
  int64_t limit = 100;
  bool dry_run = false;
};

struct StatusOptions {
  bool wait = false;
  bool strict = false;
  bool failures = false;
  double timeout_s = 0;
};

void ShowProgress(Session& session, const Json& status) {
  const int64_t files = Number(status, "files");
  const int64_t done = files - Number(status, "pending");
  std::string text = fmt::format("{} of {} files", done, files);
  if (Number(status, "scans_pending") > 0) text += ", scanning";
  if (auto speed = GetDouble(status, "speed_files_s"); speed && *speed > 0) {
    text += fmt::format(", {:.1f}/s", *speed);
  }
  if (auto eta = GetDouble(status, "eta_s")) text += ", " + FormatDuration(*eta) + " left";
  for (const Json& root : List(status, "roots")) {
    if (auto current = GetString(root, "current")) {
      text += "  " + *current;
      break;
    }
  }
  std::optional<double> fraction;
  if (files > 0) fraction = static_cast<double>(done) / static_cast<double>(files);
  session.terminal.Progress(fraction, text);
}

Result<Json> AwaitIdle(Session& session, double timeout_s) {
  const auto start = std::chrono::steady_clock::now();
  const int hold_max = session.terminal.shows_progress() ? kWatchedHoldSeconds : kHoldSeconds;
  std::string problem;
  while (true) {
    int hold = hold_max;
    if (timeout_s > 0) {
      const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - start;
      if (passed.count() >= timeout_s) {
        return Error{Code::kTimeout, "index: not done in time"};
      }
      hold = std::clamp(static_cast<int>(timeout_s - passed.count() + 1), 1, hold_max);
    }
    Json status = TRY(
        session.client().Get(Target({"api", "index", "status"}, {{"wait", std::to_string(hold)}}),
                             std::chrono::seconds(hold) + kPatience));
    if (GetBool(status, "idle").value_or(false)) return status;
    if (Text(status, "problem") != problem) {
      problem = Text(status, "problem");
      if (!problem.empty()) session.terminal.Note("msearch: " + Printable(problem));
    }
    ShowProgress(session, status);
  }
}

Result<> ShowFailures(Session& session) {
  const Json answer = TRY(session.client().Get(
      Target({"api", "failures"}, {{"limit", std::to_string(kFailuresShown)}})));
  for (const Json& failure : List(answer, "failures")) {
    session.terminal.Note(Printable(fmt::format("failed: {}: {} ({})", Text(failure, "root"),
                                                Text(failure, "message"), Text(failure, "path"))));
  }
  const int64_t more =
      Number(answer, "total") - static_cast<int64_t>(List(answer, "failures").size());
  if (more > 0) session.terminal.Note(fmt::format("... and {} more", more));
  return Ok{};
}

// Grouped by class, the largest first; then the files.
Result<int> Failures(Session& session, const FailureOptions& options) {
  const Json answer = TRY(session.client().Get(Target(
      {"api", "failures"},
      {{"root", options.root}, {"code", options.code}, {"limit", std::to_string(options.limit)}})));
  if (session.json) {
    session.PrintJson(answer);
    return kExitOk;
  }
  Table classes({"CLASS", ">FILES"});
  for (const Json& one : List(answer, "classes")) {
    classes.Add({{Text(one, "code")}, {std::to_string(Number(one, "count"))}});
  }
  classes.Print(session.terminal);
  Table table({"CLASS", ">ATTEMPTS", "ROOT", "PATH", "REASON"});
  for (const Json& failure : List(answer, "failures")) {
    table.Add({{Text(failure, "code"), Color::kBad},
               {std::to_string(Number(failure, "attempts"))},
               {Text(failure, "root")},
               {Text(failure, "path")},
               {Text(failure, "message")}});
  }
  table.Print(session.terminal);
  const int64_t more =
      Number(answer, "total") - static_cast<int64_t>(List(answer, "failures").size());
  if (more > 0) session.terminal.Note(fmt::format("... and {} more", more));
  return kExitOk;
}

Result<int> RetryFailures(Session& session, const FailureOptions& options) {
  Json body = {{"dry_run", options.dry_run}};
  if (!options.root.empty()) body["root"] = options.root;
  if (!options.code.empty()) body["code"] = options.code;
  const Json answer = TRY(session.client().Post("/api/failures/retry", body));
  if (session.json) {
    session.PrintJson(answer);
  } else if (options.dry_run) {
    session.terminal.Print(fmt::format("{} would be tried again", Number(answer, "matched")));
  } else {
    session.terminal.Print(fmt::format("{} are tried again", Number(answer, "retried")));
  }
  return kExitOk;
}

void PrintStatus(Session& session, const Json& status) {
  Table table({"ROOT", "STATE", ">FILES", ">INDEXED", ">PENDING", ">FAILED", ">SPEED", "LEFT"});
  auto add = [&](const std::string& name, const std::string& state, const Json& counts,
                 const Json& pace) {
    const double speed = GetDouble(pace, "speed_files_s").value_or(0);
    const auto eta = GetDouble(pace, "eta_s");
    const int64_t failed = Number(counts, "failed");
    table.Add({{name},
               {state},
               {std::to_string(Number(counts, "files"))},
               {std::to_string(Number(counts, "indexed"))},
               {std::to_string(Number(counts, "pending"))},
               {std::to_string(failed), failed > 0 ? Color::kBad : Color::kNone},
               {speed > 0 ? fmt::format("{:.1f}/s", speed) : ""},
               {eta ? FormatDuration(*eta) : ""}});
  };
  for (const Json& root : List(status, "roots")) {
    add(Text(root, "name"), Text(root, "state"), Field(root, "counts"), root);
  }
  add("total", GetBool(status, "idle").value_or(false) ? "idle" : "working", status, status);
  table.Print(session.terminal);
  if (auto problem = GetString(status, "problem")) {
    session.terminal.Note("msearch: " + Printable(*problem));
  }
}

Result<int> IndexStatus(Session& session, const StatusOptions& options) {
  const Json status = TRY(options.wait ? AwaitIdle(session, options.timeout_s)
                                       : session.client().Get(Target({"api", "index", "status"})));
  const int64_t failed = Number(status, "failed");
  if (session.json) {
    session.PrintJson(status);
  } else {
    PrintStatus(session, status);
    if (failed > 0 && (options.failures || options.strict)) TRY(ShowFailures(session));
  }
  return options.strict && failed > 0 ? kExitSomeFailed : kExitOk;
}

Result<int> IndexBuild(Session& session, const std::vector<std::string>& names, bool here) {
  const Json answer = TRY(session.client().Post(
      "/api/build_index", {{"dataset_names", names}, {"distributed", !here}}));
  if (session.json) {
    session.PrintJson(answer);
  } else {
    session.terminal.Print(Printable("Build " + Text(answer, "build_id") +
                                     " has begun; \"msearch index status --wait\" waits for it"));
  }
  return kExitOk;
}

Result<int> IndexVerify(Session& session) {
  const Json answer =
      TRY(session.client().Post("/api/index/verify", Json::object(), std::chrono::minutes(10)));
  const bool ok = GetBool(answer, "ok").value_or(false);
  if (session.json) {
    session.PrintJson(answer);
  } else if (ok) {
    session.terminal.Print("The index agrees with the catalog");
  } else {
    for (const Json& problem : List(answer, "problems")) {
      session.terminal.Print(
          Printable(problem.is_string() ? problem.get<std::string>() : DumpJson(problem)));
    }
  }
  return ok ? kExitOk : kExitFailure;
}

}  // namespace

void AddIndexCommands(CLI::App& app, Session& session) {
  CLI::App* index = app.add_subcommand("index", "What is indexed and what is still to be done");
  index->require_subcommand(1);

  auto options = std::make_shared<StatusOptions>();
  CLI::App* status = index->add_subcommand("status", "Show it");
  CLI::Option* wait = status->add_flag("--wait", options->wait,
                                       "Wait until all that is known is searchable or has failed");
  status->add_option("--timeout", options->timeout_s, "Give up waiting (exit status 3)")
      ->type_name("SECONDS")
      ->check(CLI::NonNegativeNumber)
      ->needs(wait);
  status->add_flag("--strict", options->strict, "Exit status 4 when some files failed");
  status->add_flag("--failures", options->failures, "Show the first failures with their reasons");
  OnCommand(status, session, [options](Session& s) { return IndexStatus(s, *options); });

  auto filter = std::make_shared<FailureOptions>();
  CLI::App* failures =
      index->add_subcommand("failures", "What couldn't be read, and why, by class");
  failures->add_option("--root", filter->root, "Only of this root");
  failures->add_option("--class", filter->code, "Only of this class: corrupt, crashed, ...");
  failures->add_option("--limit", filter->limit, "Files listed")->check(CLI::Range(1, 1000));
  OnCommand(failures, session, [filter](Session& s) { return Failures(s, *filter); });
  CLI::App* retry = index->add_subcommand("retry", "Try files that failed again");
  retry->add_option("--root", filter->root, "Only of this root");
  retry->add_option("--class", filter->code, "Only of this class: corrupt, crashed, ...");
  retry->add_flag("--dry-run", filter->dry_run, "Only count them");
  OnCommand(retry, session, [filter](Session& s) { return RetryFailures(s, *filter); });

  auto names = std::make_shared<std::vector<std::string>>();
  CLI::App* build = index->add_subcommand("build", "Scan again and index what is missing");
  build->add_option("NAMES", *names, "Roots; else all");
  auto here = std::make_shared<bool>(false);
  build->add_flag("--here", *here, "On the controller's machine only, not on compute servers");
  OnCommand(build, session, [names, here](Session& s) { return IndexBuild(s, *names, *here); });

  OnCommand(index->add_subcommand("verify", "Hold the index against the catalog"), session,
            IndexVerify);
}

}  // namespace msearch::cli
