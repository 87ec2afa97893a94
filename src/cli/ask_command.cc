#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <cstdio>
#include <filesystem>
#include <mutex>

#include "base/log.h"
#include "base/strings.h"
#include "cli/commands.h"

namespace msearch::cli {
namespace {

constexpr Milliseconds kAgainAfter{500};

struct AskOptions {
  std::vector<std::string> words;
  std::string image;
  std::vector<std::string> roots;
  bool quotes = false;
};

// What a stream of server-sent events brings: whole events, however they are cut into pieces.
class EventReader {
 public:
  template <typename Take>
  bool Feed(std::string_view bytes, Take&& take) {
    waiting_ += bytes;
    for (size_t end = waiting_.find("\n\n"); end != std::string::npos;
         end = waiting_.find("\n\n")) {
      const std::string block = waiting_.substr(0, end);
      waiting_.erase(0, end + 2);
      std::string event;
      std::string data;
      for (const std::string_view line : Split(block, '\n')) {
        if (line.starts_with("event: ")) event = line.substr(7);
        if (line.starts_with("data: ")) data += line.substr(6);
      }
      if (event.empty()) continue;
      auto json = ParseJson(data);
      if (json.ok() && !take(event, *json)) return false;
    }
    return true;
  }

 private:
  std::string waiting_;
};

// Follows one task to its end, showing what comes.
class Follower {
 public:
  explicit Follower(Session& session)
      : session_(session), live_(!session.json && isatty(STDOUT_FILENO) != 0) {}

  Result<Json> Run(const std::string& id) {
    const Client client = session_.client();
    for (int failures = 0; failures < 60;) {
      EventReader reader;
      std::optional<Json> end;
      const Result<> streamed = client.Stream(
          Target({"api", "async", "task", id, "events"}), [&](std::string_view bytes) {
            failures = 0;
            return reader.Feed(bytes, [&](const std::string& event, const Json& json) {
              return Take(event, json, &end);
            });
          });
      if (end) return std::move(*end);
      if (session_.interrupt.interrupted()) return Error{Code::kCancelled, "ask: interrupted"};
      if (!streamed.ok() && streamed.code() != Code::kUnavailable &&
          streamed.code() != Code::kCancelled) {
        return streamed.error();
      }
      // The server went away; the task goes on, and so does this when it is back.
      ++failures;
      std::mutex mutex;
      std::unique_lock lock(mutex);
      std::condition_variable_any().wait_for(lock, session_.interrupt.token(), kAgainAfter,
                                             [] { return false; });
    }
    return Error{Code::kUnavailable, "ask: the server went away"};
  }
  // What was shown of the answer before it was checked.
  const std::string& shown() const { return shown_; }

 private:
  bool Take(const std::string& event, const Json& json, std::optional<Json>* end) {
    if (event == "end") {
      *end = json;
      if (!shown_.empty() && live_) std::fputs("\n", stdout);
      session_.terminal.EndProgress();
      return false;
    }
    if (event == "gone") return false;
    if (event == "text") {
      const std::string text = GetString(json, "append").value_or(Text(json, "replace"));
      if (!live_) return true;
      session_.terminal.EndProgress();
      if (json.contains("replace") && !shown_.empty()) {
        std::fputs("\n", stdout);
        shown_.clear();
      }
      shown_ += text;
      std::fputs(Printable(text).c_str(), stdout);
      std::fflush(stdout);
      return true;
    }
    if (!shown_.empty()) return true;
    const std::string status = Text(json, "status");
    std::string line = status;
    if (auto stage = GetString(json, "stage")) line = *stage;
    if (status == "queued") {
      if (auto position = GetInt(json, "position")) line += fmt::format(", place {}", *position);
      if (auto reason = GetString(json, "reason")) line += " (" + *reason + ")";
      if (auto eta = GetDouble(json, "eta")) line += ", about " + FormatDuration(*eta);
    }
    session_.terminal.Progress(GetDouble(json, "progress"), line);
    return true;
  }

  Session& session_;
  const bool live_;
  std::string shown_;
};

// "talks/opening.mp4 0:12-0:18", "paper.pdf p. 3"
std::string PlaceOf(const Json& citation) {
  std::string place = Text(citation, "path");
  if (auto start = GetDouble(citation, "start_time")) {
    place += " " + FormatSpan(*start, GetDouble(citation, "end_time").value_or(*start));
  }
  if (auto page = GetInt(citation, "page")) place += fmt::format(" p. {}", *page);
  return place;
}

void PrintCitations(Session& session, const Json& citations, bool quotes) {
  for (const Json& citation : citations) {
    session.terminal.Print(
        session.terminal.Paint(fmt::format("[{}] ", Number(citation, "number")), Color::kDim) +
        session.terminal.Paint(Printable(PlaceOf(citation)), Color::kStrong) +
        session.terminal.Paint(Printable("  " + Text(citation, "root")), Color::kDim));
    if (quotes) session.terminal.Print("    " + Printable(Text(citation, "quote")));
  }
}

int PrintAnswer(Session& session, const Json& result, const std::string& shown, bool quotes) {
  const Json& analysis = Field(result, "analysis");
  if (analysis.is_object()) {
    session.terminal.Print(
        session.terminal.Paint(Printable(Text(analysis, "description")), Color::kDim));
    session.terminal.Print("");
  }
  const std::string answer = Text(result, "answer");
  // What came while it was written isn't repeated when checking left it as it was.
  if (std::string(Trim(shown)) != answer) session.terminal.Print(Printable(answer));
  session.terminal.Print("");
  const bool found = GetBool(result, "found").value_or(false);
  const bool generated = Text(result, "mode") == "generated";
  PrintCitations(session, List(result, found ? "citations" : "nearest"),
                 quotes || generated || !found);
  if (auto notice = GetString(result, "notice")) session.terminal.Note(Printable(*notice));
  if (found) {
    session.terminal.Note(generated ? "Written by " + Printable(Text(result, "model")) +
                                          " from these sources"
                                    : "Quoted from these files");
  } else if (!List(result, "nearest").empty()) {
    session.terminal.Note("These came nearest");
  }
  return found ? kExitOk : kExitNotFound;
}

Result<Json> Submit(Session& session, const AskOptions& options) {
  const std::string question = Join(options.words, " ");
  Json filters = Json::object();
  if (!options.roots.empty()) filters["root"] = options.roots;
  if (options.image.empty()) {
    return session.client().Post(
        "/api/async/query",
        {{"question", question}, {"filters", filters}, {"generate", !options.quotes}});
  }
  std::error_code error;
  if (!std::filesystem::is_regular_file(options.image, error)) {
    return Error{Code::kNotFound, options.image + ": no such file"};
  }
  return session.client().PostForm(
      "/api/async/query", {{.name = "question", .value = question},
                           {.name = "filters", .value = DumpJson(filters)},
                           {.name = "generate", .value = options.quotes ? "false" : "true"},
                           {.name = "image", .file_path = options.image}});
}

Result<int> RunAsk(Session& session, const AskOptions& options) {
  if (options.words.empty()) return Error{Code::kInvalid, "ask: a question is expected"};
  const Json accepted = TRY(Submit(session, options));
  const std::string id = Text(accepted, "task_id");
  Follower follower(session);
  const auto end = follower.Run(id);
  if (!end.ok()) {
    if (session.interrupt.interrupted()) {
      // Nobody waits for it any more. The session's own client is stopped.
      (void)Client(session.server, session.token, {}).Delete(Target({"api", "async", "task", id}));
    }
    return end.error();
  }
  if (session.json) {
    session.PrintJson(*end);
  } else if (Text(*end, "status") == "finished") {
    return PrintAnswer(session, Field(*end, "result"), follower.shown(), options.quotes);
  }
  const std::string status = Text(*end, "status");
  if (status != "finished") {
    const Json& error = Field(*end, "error");
    return Error{Code::kInternal, "ask: " + (error.is_object() ? Text(error, "message") : status)};
  }
  return GetBool(Field(*end, "result"), "found").value_or(false) ? kExitOk : kExitNotFound;
}

}  // namespace

void AddAskCommand(CLI::App& app, Session& session) {
  auto options = std::make_shared<AskOptions>();
  CLI::App* ask =
      app.add_subcommand("ask", "Answer a question from what is indexed, with where it stands");
  ask->add_option("QUESTION", options->words, "In English or Chinese");
  ask->add_option("--image", options->image, "A picture that the question is about")
      ->type_name("FILE");
  ask->add_option("--root", options->roots, "Only below these roots")
      ->type_name("NAME")
      ->delimiter(',')
      ->expected(1)
      ->take_all();
  ask->add_flag("--quotes", options->quotes,
                "Quotations only, even if a language model is configured, and shown in full");
  OnCommand(ask, session, [options](Session& s) { return RunAsk(s, *options); });
}

}  // namespace msearch::cli
