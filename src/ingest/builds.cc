#include "ingest/builds.h"

#include <algorithm>
#include <filesystem>

#include "base/file.h"
#include "base/log.h"

namespace msearch::ingest {
namespace {

constexpr uint64_t kFileBytesMax = 16 << 20;

bool IsId(const std::string& id) {
  return !id.empty() && id.size() <= 64 && std::all_of(id.begin(), id.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-';
  });
}

std::vector<std::string> Texts(const Json& json, const char* key) {
  std::vector<std::string> texts;
  if (!json.contains(key) || !json[key].is_array()) return texts;
  for (const Json& item : json[key]) {
    if (item.is_string()) texts.push_back(item.get<std::string>());
  }
  return texts;
}

Result<Build> FromFile(const std::string& path) {
  const Json json = TRY(ParseJson(TRY(ReadFile(path, kFileBytesMax))));
  Build build;
  build.id = GetString(json, "build_id").value_or("");
  build.roots = Texts(json, "dataset_names");
  build.scans = Texts(json, "scans");
  build.distributed = GetBool(json, "distributed").value_or(true);
  build.state = GetString(json, "state").value_or("");
  build.progress = GetDouble(json, "progress").value_or(0);
  build.files = GetInt(json, "files").value_or(0);
  build.indexed = GetInt(json, "indexed").value_or(0);
  build.pending = GetInt(json, "pending").value_or(0);
  build.failed = GetInt(json, "failed").value_or(0);
  if (json.contains("failures") && json["failures"].is_array()) build.failures = json["failures"];
  auto time = [&](const char* key) -> UnixMs {
    const auto text = GetString(json, key);
    return text ? ParseRfc3339(*text).value_or(0) : 0;
  };
  build.started_at = time("started_at");
  build.finished_at = time("finished_at");
  if (!IsId(build.id)) return Error{Code::kCorrupt, path + ": not a build's progress"};
  return build;
}

}  // namespace

Json Build::ToJson() const {
  Json json{{"build_id", id},       {"dataset_names", roots},
            {"scans", scans},       {"state", state},
            {"progress", progress}, {"files", files},
            {"indexed", indexed},   {"pending", pending},
            {"failed", failed},     {"started_at", FormatRfc3339(started_at)},
            {"failures", failures}, {"distributed", distributed}};
  if (finished_at > 0) json["finished_at"] = FormatRfc3339(finished_at);
  return json;
}

void Builds::Load() {
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(directory_, error)) {
    if (entry.path().extension() != ".json") continue;
    auto build = FromFile(entry.path().string());
    if (!build.ok() || build->state == "finished") continue;
    // One that was just beginning: every root is scanned at the start anyway.
    build->scans.resize(build->roots.size());
    std::lock_guard lock(mutex_);
    running_[build->id] = *build;
  }
}

void Builds::Put(const Build& build) {
  {
    std::lock_guard lock(mutex_);
    if (build.state == "finished") {
      running_.erase(build.id);
    } else {
      running_[build.id] = build;
    }
  }
  std::error_code ignored;
  std::filesystem::create_directories(directory_, ignored);
  Result<> written = WriteFileAtomically(directory_ + "/" + build.id + ".json",
                                         DumpJson(build.ToJson(), 2) + "\n");
  if (!written.ok()) LOG_WARNING("progress of build {}: {}", build.id, written.message());
}

void Builds::Drop(const std::string& id) {
  std::lock_guard lock(mutex_);
  running_.erase(id);
  std::error_code ignored;
  std::filesystem::remove(directory_ + "/" + id + ".json", ignored);
}

std::vector<Build> Builds::Running() const {
  std::lock_guard lock(mutex_);
  std::vector<Build> builds;
  for (const auto& [id, build] : running_) builds.push_back(build);
  return builds;
}

Result<Build> Builds::Get(const std::string& id) const {
  const Error unknown{Code::kNotFound, id + ": no such build"};
  if (!IsId(id)) return unknown;
  {
    std::lock_guard lock(mutex_);
    if (auto found = running_.find(id); found != running_.end()) return found->second;
  }
  auto build = FromFile(directory_ + "/" + id + ".json");
  if (!build.ok() && build.code() == Code::kNotFound) return unknown;
  return build;
}

}  // namespace msearch::ingest
