#include <algorithm>
#include <filesystem>

#include "base/log.h"
#include "base/strings.h"
#include "cli/commands.h"

namespace msearch::cli {
namespace {

struct SearchOptions {
  std::vector<std::string> words;
  std::string image;
  std::string audio;
  int64_t limit = 20;
  int64_t offset = 0;
  std::vector<std::string> roots;
  std::vector<std::string> types;
  std::string path_prefix;
  std::string date_from;
  std::string date_to;
  uint64_t size_min = 0;
  uint64_t size_max = 0;
};

Json FiltersOf(const SearchOptions& options) {
  Json filters = Json::object();
  if (!options.roots.empty()) filters["root"] = options.roots;
  if (!options.types.empty()) filters["type"] = options.types;
  if (!options.path_prefix.empty()) filters["path_prefix"] = options.path_prefix;
  if (!options.date_from.empty()) filters["date_from"] = options.date_from;
  if (!options.date_to.empty()) filters["date_to"] = options.date_to;
  if (options.size_min > 0) filters["size_min"] = options.size_min;
  if (options.size_max > 0) filters["size_max"] = options.size_max;
  return filters;
}

Result<Json> Ask(const Session& session, const SearchOptions& options) {
  const std::string words = Join(options.words, " ");
  if (options.image.empty() && options.audio.empty()) {
    return session.client().Post("/api/search", {{"query", words},
                                                 {"limit", options.limit},
                                                 {"offset", options.offset},
                                                 {"filters", FiltersOf(options)}});
  }
  std::vector<net::FormPart> form{{.name = "limit", .value = std::to_string(options.limit)},
                                  {.name = "offset", .value = std::to_string(options.offset)},
                                  {.name = "filters", .value = DumpJson(FiltersOf(options))}};
  for (const auto& [name, path] :
       {std::pair{"image", options.image}, std::pair{"audio", options.audio}}) {
    if (path.empty()) continue;
    std::error_code error;
    if (!std::filesystem::is_regular_file(path, error)) {
      return Error{Code::kNotFound, path + ": no such file"};
    }
    form.push_back({.name = name, .file_path = path});
  }
  if (!words.empty()) form.push_back({.name = "query", .value = words});
  return session.client().PostForm("/api/search", std::move(form));
}

// "talks/opening.mp4 0:12-0:18", "paper.txt p. 3"
std::string PlaceOf(const Json& hit) {
  std::string place = Text(hit, "path");
  auto start = GetDouble(hit, "start_time");
  if (start) place += " " + FormatSpan(*start, GetDouble(hit, "end_time").value_or(*start));
  if (auto page = GetInt(hit, "page")) place += fmt::format(" p. {}", *page);
  return place;
}

std::string ReasonsOf(const Json& hit) {
  std::vector<std::string> texts;
  for (const Json& reason : List(hit, "reasons")) {
    std::string text = reason.is_string() ? reason.get<std::string>() : Text(reason, "text");
    if (text.empty()) text = Text(reason, "kind");
    if (std::find(texts.begin(), texts.end(), text) == texts.end()) texts.push_back(text);
  }
  return Join(texts, "; ");
}

void PrintHits(Session& session, const Json& answer, int64_t offset) {
  Table table({">#", ">SCORE", "FIT", "FILE", "ROOT", "WHY"});
  int64_t rank = offset;
  Json media;
  for (const Json& hit : List(answer, "hits")) {
    const Json& id = Field(hit, "media_id");
    const bool moment_of_same = id == media && !id.is_null();
    if (!moment_of_same) ++rank;
    media = id;
    const bool strong = Text(hit, "strength") == "strong";
    table.Add({{moment_of_same ? "" : std::to_string(rank)},
               {fmt::format("{:.2f}", GetDouble(hit, "score").value_or(0))},
               {strong ? "strong" : "weak", strong ? Color::kGood : Color::kDim},
               {PlaceOf(hit), Color::kStrong},
               {Text(hit, "root")},
               {ReasonsOf(hit), Color::kDim}});
  }
  if (!table.empty()) table.Print(session.terminal);
}

void PrintSummary(Session& session, const Json& answer) {
  if (auto notice = GetString(answer, "notice")) session.terminal.Note(Printable(*notice));
  const double took_ms = GetDouble(answer, "took_ms").value_or(0);
  if (List(answer, "hits").empty()) {
    session.terminal.Note(fmt::format("No hits ({:.0f} ms)", took_ms));
  } else if (GetBool(answer, "nothing_fits").value_or(false)) {
    session.terminal.Note(
        fmt::format("Nothing fits well; these are the nearest ({:.0f} ms)", took_ms));
  } else {
    session.terminal.Note(
        fmt::format("{}{} fit ({:.0f} ms)",
                    GetBool(answer, "total_is_bound").value_or(false) ? "At least " : "",
                    Number(answer, "total"), took_ms));
  }
}

Result<int> RunSearch(Session& session, const SearchOptions& options) {
  if (options.words.empty() && options.image.empty() && options.audio.empty()) {
    return Error{Code::kInvalid, "search: words, --image or --audio is expected"};
  }
  const Json answer = TRY(Ask(session, options));
  if (session.json) {
    session.PrintJson(answer);
    return kExitOk;
  }
  PrintHits(session, answer, options.offset);
  PrintSummary(session, answer);
  return kExitOk;
}

}  // namespace

void AddSearchCommand(CLI::App& app, Session& session) {
  auto options = std::make_shared<SearchOptions>();
  CLI::App* search = app.add_subcommand("search", "Find by words, by picture or by sound");
  search->add_option("WORDS", options->words, "What to look for");
  search->add_option("--image", options->image, "A picture to find similar ones of")
      ->type_name("FILE");
  search->add_option("--audio", options->audio, "A sound, or a film, to find again or its like")
      ->type_name("FILE");
  search->add_option("--limit", options->limit, "Media files to show")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  search->add_option("--offset", options->offset, "Media files to skip")
      ->check(CLI::NonNegativeNumber);
  search->add_option("--root", options->roots, "Only below these roots")
      ->type_name("NAME")
      ->delimiter(',')
      ->expected(1)
      ->take_all();
  search->add_option("--type", options->types, "Only image, video, audio or document")
      ->type_name("TYPE")
      ->delimiter(',')
      ->expected(1)
      ->take_all()
      ->check(CLI::IsMember({"image", "video", "audio", "document"}));
  search->add_option("--path-prefix", options->path_prefix,
                     "Only paths that begin so, below the root");
  search->add_option("--from", options->date_from, "Not older: a date or an RFC 3339 time")
      ->type_name("DATE");
  search->add_option("--to", options->date_to, "Not newer; a date includes that day")
      ->type_name("DATE");
  search->add_option("--size-min", options->size_min, "Not smaller: bytes, or 10MB")
      ->transform(CLI::AsSizeValue(false));
  search->add_option("--size-max", options->size_max, "Not larger")
      ->transform(CLI::AsSizeValue(false));
  OnCommand(search, session, [options](Session& s) { return RunSearch(s, *options); });
}

}  // namespace msearch::cli
