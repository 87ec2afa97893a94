#include "daemon/command_line.h"

#include <algorithm>
#include <cstdio>

#include "base/strings.h"

namespace msearch::daemon {
namespace {

bool IsLoopback(const std::string& host) {
  return host == "localhost" || host == "::1" || host.starts_with("127.");
}

}  // namespace

Result<Parsed> Parse(const std::vector<std::string>& arguments,
                     const std::vector<std::string>& switches) {
  Parsed parsed;
  parsed.source.environment = ProcessEnvironment();
  if (auto config = parsed.source.environment.find("MSEARCH_CONFIG");
      config != parsed.source.environment.end()) {
    parsed.source.config = config->second;
  }
  std::vector<std::string> known{"--config", "--workers", "--debug", "--help"};
  known.insert(known.end(), switches.begin(), switches.end());
  for (const Setting& setting : SettingsTable()) {
    if (!setting.flag.empty()) known.emplace_back(setting.flag);
  }
  for (size_t i = 0; i < arguments.size(); ++i) {
    const std::string& argument = arguments[i];
    if (!argument.starts_with("-")) {
      parsed.words.push_back(argument);
      continue;
    }
    const size_t equals = argument.find('=');
    const std::string name = argument == "-h" ? "--help" : argument.substr(0, equals);
    if (std::find(known.begin(), known.end(), name) == known.end()) {
      std::string message = name + ": no such flag";
      if (auto nearest = NearestWord(name, known)) message += "; did you mean " + *nearest + "?";
      return Error{Code::kInvalid, message};
    }
    const bool is_switch = name == "--debug" || name == "--help" ||
                           std::find(switches.begin(), switches.end(), name) != switches.end();
    std::string value;
    if (equals != std::string::npos) {
      value = argument.substr(equals + 1);
    } else if (!is_switch) {
      if (i + 1 == arguments.size()) return Error{Code::kInvalid, name + ": a value is missing"};
      value = arguments[++i];
    }
    if (name == "--config") {
      parsed.source.config = value;
    } else if (name == "--debug") {
      parsed.source.flags["--log-level"] = "debug";
    } else if (name == "--workers") {
      parsed.others[name] = value;
      for (const char* key :
           {"processes.task_worker.num_instances", "processes.embedding_worker.num_instances"}) {
        parsed.source.by_key[key] = {name, value};
      }
    } else if (is_switch) {
      parsed.others[name] = "1";
    } else {
      parsed.source.flags[name] = value;
    }
  }
  return parsed;
}

int Complain(const Error& error, int status) {
  std::fprintf(stderr, "msearch: %s\n", error.message.c_str());
  return status;
}

void PrintFlags() {
  std::printf("\nFlags:\n");
  std::printf("  %-16s %s\n", "--config", "a profile (development, production) or a file");
  std::printf("  %-16s %s\n", "--workers", "number of task workers and of embedding workers");
  std::printf("  %-16s %s\n", "--debug", "as --log-level debug");
  for (const Setting& setting : SettingsTable()) {
    if (!setting.flag.empty()) {
      std::printf("  %-16s %s\n", std::string(setting.flag).c_str(),
                  std::string(setting.help).c_str());
    }
  }
  std::printf("\nAll settings: msearch config show\n");
}

Result<Settings> LoadChecked(const Settings::Source& source) {
  Settings settings = TRY(Settings::Load(source));
  if (!IsLoopback(settings.Text("server.host")) && settings.Text("server.token").empty()) {
    return Error{Code::kInvalid, "server.host: listening on " + settings.Text("server.host") +
                                     " needs an access token (server.token, --token)"};
  }
  return settings;
}

}  // namespace msearch::daemon
