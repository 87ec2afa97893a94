// Logging: one line per event, to the terminal and to one file per process. The one include of
// spdlog and fmt. Thread-safe.
#pragma once

#include <fmt/format.h>
#include <spdlog/spdlog.h>

#include <string>
#include <string_view>

#include "base/result.h"

namespace msearch {

struct LogOptions {
  std::string process;         // shown in every line, and the name of the file: "controller"
  std::string directory;       // empty: no file. Rotated at 10 MiB, 3 files kept
  std::string level = "info";  // debug, info, warning, error
  bool terminal = true;        // stderr
};

// Called once per process, before any thread. Before it, lines go to stderr.
Result<> StartLogging(const LogOptions& options);

#define LOG_DEBUG(...) ::spdlog::debug(__VA_ARGS__)
#define LOG_INFO(...) ::spdlog::info(__VA_ARGS__)
#define LOG_WARNING(...) ::spdlog::warn(__VA_ARGS__)
#define LOG_ERROR(...) ::spdlog::error(__VA_ARGS__)

}  // namespace msearch
