// Packaged programs that read a format for us, because their licence or their size keeps them out
// of this program: run one at a time, in the cage of the codec child that starts them
// (EnterToolSandbox), with the file as their standard input and nothing else of it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "media/source.h"

namespace msearch::media {

struct ToolRun {
  std::string program;  // of the distribution: sought in /usr/bin only
  std::vector<std::string> arguments;
  uint64_t output_bytes_max = 0;
  unsigned cpu_seconds_max = 0;  // then it is killed
};

struct ToolOutput {
  int status = 0;        // of its exit
  std::string out;       // cut off at the limit
  bool complete = true;  // false: there would have been more
  std::string errors;    // its first words to stderr, on one line
};

// Errors: kUnsupported (it isn't installed), kCrashed (a signal ended it; its peak memory is in the
// message), kTooLarge (its time was up). An exit with another status than 0 is no error.
Result<ToolOutput> RunTool(const MediaSource& source, const ToolRun& run);

}  // namespace msearch::media
