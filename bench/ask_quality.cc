// How good the answers are: a labelled set of questions over a library that its file describes.
//
// The library has all that the file has, whatever the set, so that every set's documents are in the
// way of the others': texts as they are; pictures from the Tux Paint stamps; signs, texts drawn by
// pango-view; speech by flite ("flite:slt") or espeak-ng ("cmn"). All readers of speech and
// of text in pictures that are installed have read it before the first question; what can't be read
// here is left out with its questions, and the output says so.
#include <algorithm>
#include <array>
#include <cctype>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <vector>

#include "ask_client.h"
#include "base/strings.h"
#include "measure.h"

namespace msearch::bench {
namespace {

namespace fs = std::filesystem;
using test::Server;

constexpr size_t kCitationsCounted = 3;

struct Count {
  int all = 0;
  int cited = 0;   // the right source is among the first citations
  int worded = 0;  // the key words stand in the answer; of unanswerable ones: refused
};

void MakeFolder(const std::string& path) { fs::create_directories(fs::path(path).parent_path()); }

void Write(const std::string& path, const std::string& bytes) {
  MakeFolder(path);
  std::ofstream(path, std::ios::binary) << bytes;
}

bool Run(const std::string& command) { return std::system(command.c_str()) == 0; }

// The paths that couldn't be made.
std::set<std::string> WriteLibrary(const Json& json, const std::string& folder) {
  std::set<std::string> missing;
  for (const auto& [path, content] : json["files"].items()) {
    Write(folder + "/" + path, content.get<std::string>());
  }
  for (const auto& [path, stamp] : json["pictures"].items()) {
    MakeFolder(folder + "/" + path);
    std::error_code error;
    fs::copy_file("/usr/share/tuxpaint/stamps/" + stamp.get<std::string>(), folder + "/" + path,
                  error);
    if (error) missing.insert(path);
  }
  for (const auto& [path, text] : json["signs"].items()) {
    const std::string words = folder + "/../sign.txt";
    Write(words, text.get<std::string>());
    MakeFolder(folder + "/" + path);
    if (!Run("pango-view -q --font='Noto Sans CJK SC 16' --dpi=120 --margin=40 --output='" +
             folder + "/" + path + "' '" + words + "'")) {
      missing.insert(path);
    }
  }
  for (const auto& [path, spoken] : json["speech"].items()) {
    const std::string voice = spoken[0];
    const std::string words = folder + "/../speech.txt";
    Write(words, spoken[1].get<std::string>());
    const std::string to = "'" + folder + "/" + path + "'";
    MakeFolder(folder + "/" + path);
    const bool flite = voice.starts_with("flite:");
    if (!Run(flite ? "flite -voice " + voice.substr(6) + " -f '" + words + "' -o " + to
                   : "espeak-ng -s 145 -v " + voice + " -w " + to + " -f '" + words + "'")) {
      missing.insert(path);
    }
  }
  return missing;
}

// Readers that work here, by name.
std::set<std::string> Readers(const Server& server) {
  std::set<std::string> readers;
  const Json models = server.Get("/api/models").json;
  for (const Json& reader : models.value("readers", Json::array())) {
    if (!reader.contains("problem")) readers.insert(reader["name"].get<std::string>());
  }
  return readers;
}

// Until all is committed, read and embedded.
void AwaitRead(const Server& server) {
  constexpr int kTries = 10;  // of two minutes each
  for (int i = 0; i < kTries; ++i) {
    if (server.AwaitIdle()) return;
    std::printf("still reading: %s\n", server.Get("/api/index/status").body.substr(0, 200).c_str());
  }
  Die("indexing did not end");
}

// Text as it is compared: without case, spaces and signs.
std::string Plain(const std::string& text) {
  std::string out;
  for (const char c : FoldCase(text)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x80 || std::isalnum(byte)) out += c;
  }
  return out;
}

// "25|twenty-five": one of these.
bool HasWord(const std::string& plain, const std::string& alternatives) {
  const auto parts = Split(alternatives, '|');
  return std::any_of(parts.begin(), parts.end(), [&](std::string_view part) {
    return plain.find(Plain(std::string(part))) != std::string::npos;
  });
}

std::string GroupOf(const Json& one) {
  const std::string source = GetString(one, "source").value_or("");
  const std::string question = one["question"];
  const bool chinese = std::any_of(question.begin(), question.end(),
                                   [](char c) { return static_cast<unsigned char>(c) >= 0xe3; });
  if (source.empty()) return chinese ? "unanswerable, Chinese" : "unanswerable, English";
  for (const char* folder : {"speech", "pictures", "signs"}) {
    if (source.starts_with(std::string(folder) + "/")) return folder;
  }
  return chinese ? "documents, Chinese" : "documents, English";
}

// What is wrong with the answer; empty: nothing.
std::string Judge(const Json& one, const Json& result, Count* count) {
  const bool found = GetBool(result, "found").value_or(false);
  const std::string source = GetString(one, "source").value_or("");
  ++count->all;
  if (source.empty()) {
    count->worded += found ? 0 : 1;
    return found ? "answered, but can't be" : "";
  }
  bool right = false;
  const Json citations = result.value("citations", Json::array());
  for (size_t i = 0; i < std::min(citations.size(), kCitationsCounted); ++i) {
    right |= GetString(citations[i], "path") == source;
  }
  const std::string answer = Plain(GetString(result, "answer").value_or(""));
  const bool words =
      found && std::all_of(one["words"].begin(), one["words"].end(),
                           [&](const Json& w) { return HasWord(answer, w.get<std::string>()); });
  count->cited += right ? 1 : 0;
  count->worded += words ? 1 : 0;
  if (!found) return "refused";
  if (!right) return "wrong source";
  return words ? "" : "without the key words";
}

void PrintRow(const std::string& name, const Count& count, bool answerable) {
  const auto share = [&](int part) { return count.all > 0 ? 100.0 * part / count.all : 0.0; };
  if (answerable) {
    std::printf("%-24s %3d: right source %3d (%.0f %%), key words %3d (%.0f %%)\n", name.c_str(),
                count.all, count.cited, share(count.cited), count.worded, share(count.worded));
  } else {
    std::printf("%-24s %3d: refused %d (%.0f %%)\n", name.c_str(), count.all, count.worded,
                share(count.worded));
  }
}

}  // namespace

int Quality(const std::string& file, const std::string& set, const std::string& pack) {
  const auto text = ReadFile(file);
  const auto json = text.ok() ? ParseJson(*text) : Result<Json>(text.error());
  if (!json.ok()) Die(json.message());
  if (!json->contains(set)) Die(file + ": has no set " + set);
  setenv("MSEARCH_READING_SPEECH", "whisper-tiny", 0);
  setenv("MSEARCH_READING_TEXT", "on", 0);
  Server server({}, pack);
  std::set<std::string> missing = WriteLibrary(*json, server.files());
  if (!server.Start()) Die(server.log());
  const std::set<std::string> readers = Readers(server);
  const std::array<std::pair<const char*, const char*>, 2> read_by{
      {{"speech", "speech"}, {"signs", "text"}}};
  for (const auto& [part, reader] : read_by) {
    if (readers.contains(reader)) continue;
    for (const auto& [path, unused] : (*json)[part].items()) missing.insert(path);
  }
  server.AddRoot();
  AwaitRead(server);
  std::map<std::string, Count> groups;
  std::vector<double> times;
  int left_out = 0;
  for (const Json& one : (*json)[set]) {
    if (missing.contains(GetString(one, "source").value_or(""))) {
      ++left_out;
      continue;
    }
    const std::string question = one["question"];
    const Stopwatch watch;
    const Json result = Ended(server, Submit(server, question))["result"];
    times.push_back(watch.seconds());
    const std::string fault = Judge(one, result, &groups[GroupOf(one)]);
    if (fault.empty()) continue;
    std::printf("%-24s %.2f  %s\n    %s\n", fault.c_str(),
                GetDouble(result, "confidence").value_or(0), question.c_str(),
                GetString(result, "answer").value_or("").c_str());
  }
  for (const std::string& path : missing) std::printf("can't be read here: %s\n", path.c_str());
  Count answerable, unanswerable;
  for (const auto& [name, count] : groups) {
    const bool refusable = name.starts_with("unanswerable");
    PrintRow(name, count, !refusable);
    Count& sum = refusable ? unanswerable : answerable;
    sum.all += count.all;
    sum.cited += count.cited;
    sum.worded += count.worded;
  }
  std::printf("set %s, %d questions left out\n", set.c_str(), left_out);
  PrintRow("answerable", answerable, true);
  PrintRow("unanswerable", unanswerable, false);
  std::printf("time from question to answer, median      %.0f ms\n", Median(times) * 1000);
  return 0;
}

}  // namespace msearch::bench
