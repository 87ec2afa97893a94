#include <algorithm>

#include "cli/commands.h"

namespace msearch::cli {
namespace {

// A server that hangs mustn't keep whoever asks what is wrong.
constexpr Milliseconds kPatience{30000};

std::string AdviceOnServer(Code code) {
  switch (code) {
    case Code::kPermission:
      return "set MSEARCH_TOKEN to its access token";
    case Code::kTimeout:
      return "it hangs: see its log, or msearch service restart";
    default:
      return "msearch service start";
  }
}

// What the server says about itself, or that it can't be asked.
std::vector<Check> ServerChecks(const Session& session) {
  const Client client = session.client();
  const Result<Json> answer = client.Get("/api/doctor", kPatience);
  if (!answer.ok()) {
    return {{"server", false, answer.message(), AdviceOnServer(answer.code())}};
  }
  std::vector<Check> checks{{"server", true, client.server() + " answers", ""}};
  for (const Json& check : List(*answer, "checks")) {
    checks.push_back({Text(check, "name"), GetBool(check, "ok").value_or(false),
                      Text(check, "detail"), Text(check, "advice")});
  }
  return checks;
}

Json ToJson(const std::vector<Check>& checks) {
  Json list = Json::array();
  for (const Check& check : checks) {
    Json item{{"name", check.name}, {"ok", check.ok}, {"detail", check.detail}};
    if (!check.ok && !check.advice.empty()) item["advice"] = check.advice;
    list.push_back(std::move(item));
  }
  return {{"checks", list}};
}

Result<int> Doctor(Session& session) {
  std::vector<Check> checks;
  if (session.program.local_checks) checks = session.program.local_checks();
  for (Check& check : ServerChecks(session)) checks.push_back(std::move(check));
  const bool healthy =
      std::all_of(checks.begin(), checks.end(), [](const Check& check) { return check.ok; });
  if (session.json) {
    session.PrintJson(ToJson(checks));
    return healthy ? kExitOk : kExitFailure;
  }
  Table table({"CHECK", "", "DETAIL", "ADVICE"});
  for (const Check& check : checks) {
    table.Add({{check.name},
               {check.ok ? "ok" : "BAD", check.ok ? Color::kGood : Color::kBad},
               {check.detail},
               {check.ok ? "" : check.advice}});
  }
  table.Print(session.terminal);
  return healthy ? kExitOk : kExitFailure;
}

}  // namespace

void AddDoctorCommand(CLI::App& app, Session& session) {
  OnCommand(app.add_subcommand("doctor", "Find out what is wrong, and what to do about it"),
            session, Doctor);
}

}  // namespace msearch::cli
