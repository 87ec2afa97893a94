#include "base/log.h"

#include <spdlog/sinks/rotating_file_sink.h>
#include <spdlog/sinks/stdout_color_sinks.h>

#include <filesystem>
#include <memory>
#include <vector>

namespace msearch {

Result<> StartLogging(const LogOptions& options) {
  constexpr size_t kFileBytesMax = 10 << 20;
  constexpr size_t kFilesKept = 3;
  try {
    std::vector<spdlog::sink_ptr> sinks;
    if (options.terminal) sinks.push_back(std::make_shared<spdlog::sinks::stderr_color_sink_mt>());
    if (!options.directory.empty()) {
      std::filesystem::create_directories(options.directory);
      sinks.push_back(std::make_shared<spdlog::sinks::rotating_file_sink_mt>(
          options.directory + "/" + options.process + ".log", kFileBytesMax, kFilesKept));
    }
    auto logger = std::make_shared<spdlog::logger>(options.process, sinks.begin(), sinks.end());
    logger->set_level(spdlog::level::from_str(options.level));
    logger->set_pattern("%Y-%m-%dT%H:%M:%S.%e%z %^%-7l%$ [%n %P] %v");
    logger->flush_on(spdlog::level::info);
    spdlog::set_default_logger(std::move(logger));
    return Ok{};
  } catch (const std::exception& e) {
    return Error{Code::kUnavailable, options.directory + ": " + e.what()};
  }
}

}  // namespace msearch
