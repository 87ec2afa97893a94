#include "daemon/settings.h"

#include <yaml-cpp/yaml.h>

#include <charconv>
#include <filesystem>
#include <set>

#include "base/file.h"
#include "base/log.h"
#include "base/strings.h"
#include "media/format.h"

extern char** environ;

namespace msearch::daemon {
namespace {

using enum SettingType;
constexpr int64_t kMiB = 1 << 20;
constexpr std::string_view kExtensions =
    ".jpg,.jpeg,.png,.webp,.gif,.tif,.tiff,.bmp,.heic,.heif,.avif,.jxl,"
    ".arw,.cr2,.cr3,.dng,.nef,.orf,.pef,.raf,.rw2,.srw,"
    ".txt,.md,.markdown,.html,.htm,.xhtml,.csv,.tsv,.srt,.vtt,"
    ".pdf,.rtf,.docx,.odt,.pptx,.odp,.xlsx,.ods,.epub,"
    ".mp4,.m4v,.mov,.qt,.mkv,.webm,.avi,.flv,.f4v,.wmv,.asf,.mxf,.ts,.mts,.m2ts,.mpg,.mpeg,.vob,"
    ".ogv,.3gp,.3g2,"
    ".mp3,.mp2,.m4a,.m4b,.aac,.ac3,.wav,.w64,.flac,.ogg,.oga,.opus,.aif,.aiff,.aifc,.wma,.amr,.au,"
    ".caf,.ape,.wv,.tta,.mka";

const std::vector<Setting> kTable{
    {"server.host", kText, "127.0.0.1", "", "--host",
     "Address to listen on. Anything but loopback needs an access token"},
    {"server.port", kInteger, "19198", "", "--port", "Port to listen on; 0 takes a free one", 0,
     65535},
    {"server.token", kText, "", "", "--token",
     "Access token that clients must send (Authorization: Bearer); empty: none", 0, 0, true},
    {"server.allowed_hosts", kTextList, "", "", "",
     "Host names under which the server may be reached, besides its address and localhost"},
    {"server.threads", kInteger, "8", "", "", "Requests handled at the same time", 1, 256},
    {"server.upload_bytes_max", kInteger, "67108864", "", "", "Largest upload accepted, bytes",
     kMiB, int64_t{16} << 30},
    {"data.directory", kText, "", "", "--data",
     "Folder for catalog, index, models, thumbnails; empty: $XDG_DATA_HOME/msearch or "
     "~/.local/share/msearch"},
    {"logging.level", kText, "info", "", "--log-level", "debug, info, warning or error"},
    {"logging.directory", kText, "", "", "",
     "Folder of the log files; empty: logs/ below the data folder"},
    {"processes.file_monitor.watched_dirs", kTextList, "", "", "",
     "Folders to index, besides those added over the API"},
    {"processes.file_monitor.supported_extensions", kTextList, kExtensions, "", "",
     "File names that are looked at; empty: all that msearch can read"},
    {"processes.file_monitor.recursive", kBoolean, "true", "", "",
     "Look into folders within folders"},
    {"processes.file_monitor.scan_interval", kInteger, "300", "", "",
     "Seconds between full scans, as a safety net; where watching is blind, between polls", 1,
     86400},
    {"processes.file_monitor.exclude", kTextList, "", "", "",
     "Patterns of relative paths to leave out, as *.tmp or cache/**"},
    {"processes.file_monitor.settle_ms", kInteger, "2000", "", "",
     "A file is taken up once its size and time held still this long", 0, 600000},
    {"processes.file_monitor.follow_links", kBoolean, "false", "", "", "Follow symbolic links"},
    {"processes.embedding_worker.device", kText, "auto", "", "--device", "auto, cpu or cuda"},
    {"processes.embedding_worker.batch_size", kInteger, "8", "", "", "Pictures embedded at once", 1,
     256},
    {"processes.embedding_worker.num_instances", kInteger, "0", "", "",
     "Embedding workers; 0: one for every four cores", 0, 256},
    {"processes.embedding_worker.threads", kInteger, "1", "", "",
     "Threads of each embedding worker", 1, 256},
    {"processes.embedding_worker.idle_unload", kInteger, "300", "", "",
     "Seconds without work until a model's memory is given back", 1, 86400},
    {"reading.speech", kText, "whisper-tiny", "", "",
     "Pack that writes down what is said in sound and video; off: nothing is written down"},
    {"reading.text", kText, "on", "", "",
     "Read text in pictures, scanned pages and videos: on, off, or the name of a pack"},
    {"reading.sounds", kText, "auto", "", "",
     "Tell what is heard in sound and video (a dog, rain): auto (once the pack yamnet is pulled), "
     "on, off, or the name of a pack"},
    {"reading.languages", kTextList, "", "", "",
     "Languages that are spoken, as en or zh; empty: any"},
    {"processes.task_worker.num_instances", kInteger, "0", "COMPUTE_WORKERS", "",
     "Task workers; 0: one for every core", 0, 256},
    {"processes.task_worker.formats", kTextList, "", "", "",
     "Formats that workers of this machine open, of picture (PNG, WebP, GIF, TIFF), heif, jxl, "
     "raw, "
     "film (videos and sounds), pdf, office; empty: all whose software is installed. JPEG, BMP and "
     "plain text are always opened"},
    {"processes.task_worker.memory_bytes_max", kInteger, "3221225472", "", "",
     "Address space of a codec child, bytes", 256 * kMiB, int64_t{1} << 40},
    {"processes.task_worker.files_per_child", kInteger, "1000", "", "",
     "A codec child is replaced after so many files", 1, 1 << 30},
    {"processes.task_worker.child_memory_bytes_max", kInteger, "268435456", "", "",
     "A codec child that still holds more than this after a file is replaced, bytes", 32 * kMiB,
     int64_t{1} << 40},
    {"processes.task_worker.file_timeout", kInteger, "60", "", "",
     "Seconds that one file may take to decode", 1, 86400},
    {"processes.task_worker.picture_pixels_max", kInteger, "250000000", "", "",
     "Pictures with more pixels than this are refused by their header", 1, int64_t{1} << 40},
    {"model.name", kText, "open-1k", "", "--model", "Model pack to embed with"},
    {"model.device", kText, "", "", "",
     "Device that files are to be embedded on, cpu or cuda: with Redis only workers that have it "
     "take such tasks; empty: any. Of the controller; compute servers follow it"},
    {"model.directory", kText, "", "", "",
     "Folder of pulled models; empty: models/ below the data folder"},
    {"model.runtime", kText, "", "", "",
     "ONNX Runtime library; empty: beside the program, then the system's"},
    {"answer.endpoint", kText, "", "", "",
     "Language model that writes answers: an address that speaks the OpenAI protocol, as "
     "http://127.0.0.1:8080/v1. What it is asked holds parts of your files. Empty: answers are "
     "quotations"},
    {"answer.model", kText, "", "", "", "Its model, as the endpoint names it; empty: its default"},
    {"answer.vision_model", kText, "", "", "",
     "Model of the endpoint that sees pictures, for describing them; empty: none"},
    {"answer.key", kText, "", "", "", "Key that the endpoint wants (Authorization: Bearer)", 0, 0,
     true},
    {"answer.timeout", kInteger, "120", "", "", "Seconds that the language model may take", 1, 600},
    {"answer.tokens_max", kInteger, "512", "", "", "Longest answer of the language model", 16,
     65536},
    {"answer.concurrency", kInteger, "2", "", "",
     "Answers that the language model writes at a time, of all workers of a machine", 1, 256},
    {"answer.result_seconds", kInteger, "3600", "", "",
     "How long results of questions and analyses are kept", 1, 31536000},
    {"answer.uploads_bytes_max", kInteger, "1073741824", "", "",
     "Bytes of uploaded pictures that wait to be analysed", kMiB, int64_t{1} << 40},
    {"queue.lease_seconds", kInteger, "15", "", "",
     "A task of a worker that died is taken up by another after this long", 2, 3600},
    {"queue.retention_seconds", kInteger, "3600", "", "", "How long results are kept", 1, 31536000},
    {"queue.failures_seconds", kInteger, "1209600", "", "", "How long failed tasks are kept", 1,
     31536000},
    {"blobs.bytes_max", kInteger, "268435456", "", "",
     "Bytes in flight between task and embedding workers", 16 * kMiB, int64_t{1} << 40},
    {"blobs.in_redis", kBoolean, "false", "", "",
     "Keep these bytes in Redis instead of the controller's data folder, so that compute servers "
     "hand "
     "them on without the controller's disk and network. Of the controller; compute servers follow "
     "it"},
    {"compute.controller", kText, "", "", "--controller",
     "Of a compute server on another machine: the controller's address, http://HOST:PORT. Its "
     "access token is server.token. Empty: workers share the controller's data folder"},
    {"compute.cache_bytes_max", kInteger, "4294967296", "", "",
     "Media fetched from the controller are kept within so many bytes; a larger one is fetched for "
     "one use",
     16 * kMiB, int64_t{1} << 50},
    {"compute.feature_timeout", kInteger, "30", "FEATURE_TIMEOUT", "",
     "Seconds that a request for one picture's vectors waits for the workers", 1, 3600},
    {"compute.batch_feature_timeout", kInteger, "60", "BATCH_FEATURE_TIMEOUT", "",
     "The same for a list of pictures that names no time of its own", 1, 3600},
    {"celery.queue", kText, "", "", "",
     "List of the Redis server from which tasks are answered that Python programs send with Celery "
     "(generate_embeddings_task), as celery, which is Celery's default; empty: none"},
    {"celery.timeout", kInteger, "120", "", "", "Seconds that such a task waits for the workers", 1,
     86400},
    {"celery.result_seconds", kInteger, "86400", "", "",
     "How long the results of such tasks are kept", 1, 31536000},
    {"redis.fallback", kBoolean, "true", "", "",
     "While Redis is away, go on with an embedded queue and workers of the controller's machine"},
    {"redis.fallback_after_ms", kInteger, "3000", "", "",
     "How long Redis may not answer before that, and has to answer before it is used again", 100,
     600000},
    {"redis.host", kText, "", "REDIS_HOST", "",
     "Redis server that holds the queue; of a cluster some nodes, as a:7000,b:7000; empty: the "
     "embedded queue"},
    {"redis.port", kInteger, "6379", "REDIS_PORT", "", "Port of the Redis server", 1, 65535},
    {"redis.db", kInteger, "0", "REDIS_DB", "", "Number of the Redis database", 0, 1 << 20},
    {"redis.user", kText, "", "REDIS_USER", "", "User of the Redis server; empty: the default one"},
    {"redis.password", kText, "", "REDIS_PASSWORD", "", "Password of the Redis server", 0, 0, true},
    {"redis.prefix", kText, "", "REDIS_PREFIX", "",
     "Before every key, so that several systems share a server; in a cluster it needs a hash tag, "
     "as {msearch}:"},
    {"redis.tls", kBoolean, "false", "REDIS_TLS", "", "Speak TLS with the Redis server"},
    {"redis.ca_file", kText, "", "", "",
     "Certificates to trust for TLS (PEM); empty: the system's"},
    {"redis.certificate_file", kText, "", "", "",
     "Certificate to show to the Redis server (PEM); empty: none"},
    {"redis.key_file", kText, "", "", "", "Private key of that certificate (PEM)"},
    {"redis.sentinels", kText, "", "", "",
     "Sentinels that name the Redis server instead of redis.host, as a:26379,b:26379"},
    {"redis.sentinel_master", kText, "mymaster", "", "", "Name of the server at the sentinels"},
    {"redis.sentinel_password", kText, "", "", "", "Password of the sentinels", 0, 0, true},
};

std::string EnvironmentName(std::string_view key) {
  std::string name = "MSEARCH_";
  for (char c : key) name += c == '.' ? '_' : static_cast<char>(std::toupper(c));
  return name;
}

const Setting* Find(std::string_view key) {
  for (const Setting& setting : kTable) {
    if (setting.key == key) return &setting;
  }
  return nullptr;
}

Result<> UnknownKey(const std::string& key, const std::string& where) {
  std::vector<std::string> keys;
  for (const Setting& setting : kTable) keys.emplace_back(setting.key);
  std::string message = where + ": unknown setting " + key;
  if (auto nearest = NearestWord(key, keys)) message += "; did you mean " + *nearest + "?";
  return Error{Code::kInvalid, message};
}

std::optional<int64_t> ParseInteger(std::string_view text) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<bool> ParseBoolean(std::string_view text) {
  const std::string lower = AsciiLower(text);
  if (lower == "true" || lower == "yes" || lower == "on" || lower == "1") return true;
  if (lower == "false" || lower == "no" || lower == "off" || lower == "0") return false;
  return std::nullopt;
}

// Walks the YAML tree, joining keys by dots, until a key of the table is reached.
Result<> Flatten(const YAML::Node& node, const std::string& prefix, const std::string& file,
                 std::map<std::string, std::string>* out) {
  for (const auto& entry : node) {
    const std::string key = prefix.empty() ? entry.first.as<std::string>()
                                           : prefix + "." + entry.first.as<std::string>();
    const YAML::Node& value = entry.second;
    const std::string where = file + ":" + std::to_string(entry.first.Mark().line + 1);
    if (value.IsMap() && Find(key) == nullptr) {
      TRY(Flatten(value, key, file, out));
    } else if (Find(key) == nullptr) {
      // An empty section is harmless when it's a prefix of known keys.
      bool section = false;
      for (const Setting& setting : kTable) section |= setting.key.starts_with(key + ".");
      if (!section || !value.IsNull()) TRY(UnknownKey(key, where));
    } else if (value.IsSequence()) {
      std::vector<std::string> parts;
      for (const auto& item : value) parts.push_back(item.as<std::string>());
      (*out)[key] = Join(parts, ",");
    } else if (value.IsScalar()) {
      (*out)[key] = value.as<std::string>();
    } else if (value.IsNull()) {
      (*out)[key] = "";
    } else {
      return Error{Code::kInvalid, where + ": " + key + ": a single value is expected"};
    }
  }
  return Ok{};
}

Result<std::map<std::string, std::string>> ReadYaml(const std::string& file) {
  const std::string text = TRY(ReadFile(file, kMiB));
  std::map<std::string, std::string> values;
  try {
    const YAML::Node root = YAML::Load(text);
    if (root.IsNull()) return values;
    if (!root.IsMap()) return Error{Code::kInvalid, file + ": not a table of settings"};
    TRY(Flatten(root, "", file, &values));
  } catch (const YAML::Exception& e) {
    return Error{Code::kInvalid, file + ": " + e.what()};
  }
  return values;
}

// A profile is a file NAME.yml in a config folder beside the program or in the present folder.
Result<std::string> FindFile(const std::string& config) {
  namespace fs = std::filesystem;
  const bool profile = config.find('/') == std::string::npos && !config.ends_with(".yml") &&
                       !config.ends_with(".yaml");
  if (!config.empty() && !profile) {
    if (!fs::exists(config)) return Error{Code::kNotFound, config + ": no such configuration file"};
    return config;
  }
  const std::string name = (config.empty() ? "config" : config) + ".yml";
  const std::string program = ProgramDirectory();
  for (const std::string& folder :
       {std::string("config"), program + "/config", program + "/../config",
        program + "/../etc/msearch", std::string("/etc/msearch")}) {
    std::error_code error;
    if (fs::exists(folder + "/" + name, error)) return folder + "/" + name;
  }
  if (config.empty()) return std::string();
  return Error{Code::kNotFound, config + ": no such profile (config/" + name + ")"};
}

std::string FormatNames() {
  std::vector<std::string> names;
  for (const media::Format& format : media::Formats()) names.emplace_back(format.name);
  return Join(names, ", ");
}

}  // namespace

const std::vector<Setting>& SettingsTable() { return kTable; }

Result<> Settings::Set(const Setting& setting, const std::string& text, const std::string& origin) {
  auto wrong = [&](std::string_view expected) {
    return Error{Code::kInvalid,
                 fmt::format("{}: {}: \"{}\" is not {}", origin, setting.key, text, expected)};
  };
  if (setting.type == kInteger) {
    const auto value = ParseInteger(text);
    if (!value) return wrong("a whole number");
    if (*value < setting.min || *value > setting.max) {
      return wrong(fmt::format("between {} and {}", setting.min, setting.max));
    }
  }
  if (setting.type == kBoolean && !ParseBoolean(text)) return wrong("true or false");
  auto one_of = [&](std::initializer_list<std::string_view> choices) {
    for (std::string_view choice : choices) {
      if (AsciiLower(text) == choice) return true;
    }
    return false;
  };
  const bool level = setting.key == "logging.level";
  if (level && !one_of({"debug", "info", "warning", "error"})) {
    return wrong("debug, info, warning or error");
  }
  if (setting.key == "processes.embedding_worker.device" && !one_of({"auto", "cpu", "cuda"})) {
    return wrong("auto, cpu or cuda");
  }
  if (setting.key == "model.device" && !one_of({"", "cpu", "cuda"})) {
    return wrong("empty, cpu or cuda");
  }
  if (setting.key == "processes.task_worker.formats") {
    for (std::string_view part : Split(text, ',')) {
      if (!Trim(part).empty() && media::FindFormat(Trim(part)) == nullptr) {
        return wrong("a list of " + FormatNames());
      }
    }
  }
  values_[std::string(setting.key)] = {level ? AsciiLower(text) : text, origin};
  return Ok{};
}

Result<Settings> Settings::Load(const Source& source) {
  Settings settings;
  for (const Setting& setting : kTable) {
    TRY(settings.Set(setting, std::string(setting.fallback), "default"));
  }
  settings.file_ = TRY(FindFile(source.config));
  if (!settings.file_.empty()) {
    for (const auto& [key, text] : TRY(ReadYaml(settings.file_))) {
      TRY(settings.Set(*Find(key), text, "file " + settings.file_));
    }
  }
  for (const Setting& setting : kTable) {
    for (const std::string& name :
         {std::string(setting.environment), EnvironmentName(setting.key)}) {
      const auto found = source.environment.find(name);
      if (!name.empty() && found != source.environment.end()) {
        TRY(settings.Set(setting, found->second, "environment " + name));
      }
    }
  }
  for (const auto& [key, given] : source.by_key) {
    TRY(settings.Set(*Find(key), given.second, "flag " + given.first));
  }
  for (const auto& [flag, text] : source.flags) {
    for (const Setting& setting : kTable) {
      if (setting.flag == flag) TRY(settings.Set(setting, text, "flag " + flag));
    }
  }
  return settings;
}

const Settings::Value& Settings::Get(std::string_view key) const {
  const auto found = values_.find(key);
  if (found == values_.end()) std::abort();  // a key that isn't in the table is a bug
  return found->second;
}

std::string Settings::Text(std::string_view key) const { return Get(key).text; }
int64_t Settings::Integer(std::string_view key) const { return *ParseInteger(Get(key).text); }
bool Settings::Boolean(std::string_view key) const { return *ParseBoolean(Get(key).text); }
std::string Settings::Origin(std::string_view key) const { return Get(key).origin; }

std::vector<std::string> Settings::TextList(std::string_view key) const {
  std::vector<std::string> items;
  for (std::string_view part : Split(Get(key).text, ',')) {
    if (!Trim(part).empty()) items.emplace_back(Trim(part));
  }
  return items;
}

Json Settings::ToJson() const {
  Json json{{"file", file_}, {"values", Json::object()}};
  for (const auto& [key, value] : values_) json["values"][key] = {value.text, value.origin};
  return json;
}

Result<Settings> Settings::FromJson(const Json& json) {
  Settings settings;
  settings.file_ = GetString(json, "file").value_or("");
  try {
    for (const auto& [key, value] : json.at("values").items()) {
      settings.values_[key] = {value.at(0).get<std::string>(), value.at(1).get<std::string>()};
    }
  } catch (const Json::exception& e) {
    return Error{Code::kInvalid, std::string("settings: ") + e.what()};
  }
  for (const Setting& setting : kTable) {
    if (!settings.values_.contains(setting.key)) {
      return Error{Code::kInvalid, "settings: " + std::string(setting.key) + " is missing"};
    }
  }
  return settings;
}

std::map<std::string, std::string> ProcessEnvironment() {
  std::map<std::string, std::string> out;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text(*entry);
    const size_t equals = text.find('=');
    if (equals != std::string_view::npos) {
      out.emplace(text.substr(0, equals), text.substr(equals + 1));
    }
  }
  return out;
}

std::string SettingsMarkdown() {
  std::string out =
      "# Settings\n\nGenerated by `msearch config show --markdown`. A flag wins over the "
      "environment, the environment over the file (`config/config.yml`), the file over the "
      "default. Every setting can be given as `MSEARCH_` and its key in capitals with dots as "
      "underscores.\n\n| key | default | flag | also from | meaning |\n|---|---|---|---|---|\n";
  for (const Setting& setting : kTable) {
    auto code = [](std::string_view text) {
      return text.empty() ? std::string() : fmt::format("`{}`", text);
    };
    out += fmt::format("| `{}` | {} | {} | {} | {} |\n", setting.key, code(setting.fallback),
                       code(setting.flag), code(setting.environment), setting.help);
  }
  return out;
}

}  // namespace msearch::daemon
