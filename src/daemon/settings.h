// Every setting of msearch, from one table: the configuration file, the environment, the flags,
// `--help`, `msearch config show` and docs/settings.md all derive from it. Only the composition
// root (this folder) knows settings; everything else takes plain options.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace msearch::daemon {

enum class SettingType { kText, kInteger, kBoolean, kTextList };

struct Setting {
  std::string_view key;  // in the file, dots for nesting: "processes.task_worker.num_instances"
  SettingType type;
  std::string_view fallback;     // as text; lists separated by commas
  std::string_view environment;  // besides MSEARCH_<KEY IN UPPER CASE>: the name of older systems
  std::string_view flag;         // "--port"; empty: none
  std::string_view help;
  int64_t min = 0;  // of integers
  int64_t max = 0;
  bool secret = false;  // `config show` hides the value
};

const std::vector<Setting>& SettingsTable();

// Resolved settings: flags over environment over file over defaults. Immutable.
class Settings {
 public:
  struct Source {
    std::string config;  // --config: a profile's name or a path; empty: search
    std::map<std::string, std::string> flags;  // by flag ("--port") as typed
    std::map<std::string, std::string> environment;
    // By key: of a flag that stands for several settings, its name and text.
    std::map<std::string, std::pair<std::string, std::string>> by_key;
  };
  // kInvalid naming the key, its place, and for an unknown key the nearest one.
  static Result<Settings> Load(const Source& source);

  std::string Text(std::string_view key) const;
  int64_t Integer(std::string_view key) const;
  bool Boolean(std::string_view key) const;
  std::vector<std::string> TextList(std::string_view key) const;
  // "default", "file config/config.yml", "environment REDIS_HOST", "flag --port"
  std::string Origin(std::string_view key) const;
  // The file that was read; empty: none.
  const std::string& file() const { return file_; }

  // For handing to the role processes; secrets are in it.
  Json ToJson() const;
  static Result<Settings> FromJson(const Json& json);

 private:
  struct Value {
    std::string text;
    std::string origin;
  };
  const Value& Get(std::string_view key) const;
  Result<> Set(const Setting& setting, const std::string& text, const std::string& origin);

  std::map<std::string, Value, std::less<>> values_;
  std::string file_;
};

// The environment of this process as a map.
std::map<std::string, std::string> ProcessEnvironment();

// The reference page for users (docs/settings.md), generated.
std::string SettingsMarkdown();

}  // namespace msearch::daemon
