// JSON forms of what the monitor takes and gives.
//
// JSON strings are UTF-8, file names are bytes. A path that is valid UTF-8 stands under its key as
// it is ("path"); any other stands under that key with "_base64" behind it ("path_base64"), and
// its first key is absent. So the usual case is readable and every name survives the way.
#include <array>

#include "base/strings.h"
#include "watch/monitor.h"

namespace msearch::watch {
namespace {

constexpr std::array<std::string_view, 3> kKindNames{"present", "moved", "gone"};

void PutPath(Json& json, const std::string& key, const std::string& path) {
  if (IsUtf8(path)) {
    json[key] = path;
  } else {
    json[key + "_base64"] = Base64Encode(path);
  }
}

Result<std::string> GetPath(const Json& json, const std::string& key) {
  if (std::optional<std::string> path = GetString(json, key)) return *path;
  if (std::optional<std::string> encoded = GetString(json, key + "_base64")) {
    if (std::optional<std::string> path = Base64Decode(*encoded)) return *path;
  }
  return Error{Code::kInvalid, key + ": absent or not text"};
}

Result<uint64_t> GetUnsigned(const Json& json, std::string_view key) {
  const auto found = json.find(key);
  if (found != json.end() && found->is_number_unsigned()) return found->get<uint64_t>();
  if (found != json.end() && found->is_number_integer() && found->get<int64_t>() >= 0) {
    return static_cast<uint64_t>(found->get<int64_t>());
  }
  return Error{Code::kInvalid, std::string(key) + ": absent, negative or not a whole number"};
}

Result<std::vector<std::string>> GetList(const Json& json, std::string_view key) {
  std::vector<std::string> list;
  const auto found = json.find(key);
  if (found == json.end()) return list;
  if (!found->is_array()) return Error{Code::kInvalid, std::string(key) + ": not a list"};
  for (const Json& item : *found) {
    if (!item.is_string()) return Error{Code::kInvalid, std::string(key) + ": not a list of text"};
    list.push_back(item.get<std::string>());
  }
  return list;
}

}  // namespace

Json RootSpec::ToJson() const {
  Json json{{"name", name},
            {"recursive", recursive},
            {"extensions", extensions},
            {"include", include},
            {"exclude", exclude},
            {"follow_links", follow_links},
            {"hidden", hidden},
            {"scan_interval_s", scan_interval_s},
            {"paused", paused}};
  PutPath(json, "path", path);
  return json;
}

Result<RootSpec> RootSpec::FromJson(const Json& json) {
  if (!json.is_object()) return Error{Code::kInvalid, "root: not an object"};
  RootSpec spec;
  std::optional<std::string> name = GetString(json, "name");
  if (!name) return Error{Code::kInvalid, "name: absent or not text"};
  spec.name = *name;
  spec.path = TRY(GetPath(json, "path"));
  spec.extensions = TRY(GetList(json, "extensions"));
  spec.include = TRY(GetList(json, "include"));
  spec.exclude = TRY(GetList(json, "exclude"));
  spec.recursive = GetBool(json, "recursive").value_or(spec.recursive);
  spec.follow_links = GetBool(json, "follow_links").value_or(spec.follow_links);
  spec.hidden = GetBool(json, "hidden").value_or(spec.hidden);
  spec.paused = GetBool(json, "paused").value_or(spec.paused);
  spec.scan_interval_s =
      static_cast<int>(GetInt(json, "scan_interval_s").value_or(spec.scan_interval_s));
  return spec;
}

Json Change::ToJson() const {
  Json json{{"kind", kKindNames[static_cast<size_t>(kind)]}};
  PutPath(json, "path", path);
  if (kind == Kind::kGone) return json;
  if (kind == Kind::kMoved) PutPath(json, "old_path", old_path);
  json["size"] = size;
  json["modified_ns"] = modified_ns;
  json["device"] = device;
  json["inode"] = inode;
  return json;
}

Result<Change> Change::FromJson(const Json& json) {
  if (!json.is_object()) return Error{Code::kInvalid, "change: not an object"};
  Change change;
  const std::string name = GetString(json, "kind").value_or("");
  size_t kind = 0;
  while (kind < kKindNames.size() && kKindNames[kind] != name) ++kind;
  if (kind == kKindNames.size()) return Error{Code::kInvalid, "kind: unknown: " + name};
  change.kind = static_cast<Kind>(kind);
  change.path = TRY(GetPath(json, "path"));
  if (change.kind == Kind::kGone) return change;
  if (change.kind == Kind::kMoved) change.old_path = TRY(GetPath(json, "old_path"));
  change.size = TRY(GetUnsigned(json, "size"));
  change.device = TRY(GetUnsigned(json, "device"));
  change.inode = TRY(GetUnsigned(json, "inode"));
  const std::optional<int64_t> modified = GetInt(json, "modified_ns");
  if (!modified) return Error{Code::kInvalid, "modified_ns: absent or not a whole number"};
  change.modified_ns = *modified;
  return change;
}

std::string_view StateName(RootState state) {
  switch (state) {
    case RootState::kScanning:
      return "scanning";
    case RootState::kWatching:
      return "watching";
    case RootState::kPolling:
      return "polling";
    case RootState::kUnreachable:
      return "unreachable";
    case RootState::kPaused:
      return "paused";
  }
  return "unknown";
}

Json RootStatus::ToJson() const {
  Json json{{"name", name},
            {"state", StateName(state)},
            {"reason", reason},
            {"watch", watch},
            {"files", files},
            {"unreadable", unreadable},
            {"last_scan_ms", last_scan_ms},
            {"scan_files_seen", scan_files_seen}};
  json["last_scan_at"] = last_scan_at ? Json(FormatRfc3339(*last_scan_at)) : Json(nullptr);
  return json;
}

}  // namespace msearch::watch
