#include "support/films.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "base/file.h"

namespace msearch::test {

std::string MadeByFfmpeg(const std::string& arguments, const std::string& extension) {
  const TemporaryDirectory directory;
  const std::string path = directory.path() + "/made." + extension;
  const std::string command = "ffmpeg -nostdin -v error -y -threads 1 " + arguments + " " + path;
  EXPECT_EQ(std::system(command.c_str()), 0) << command;
  auto bytes = ReadFile(path);
  EXPECT_TRUE(bytes.ok()) << bytes.message();
  return bytes.ok() ? std::move(*bytes) : "";
}

std::string Scenes(const std::vector<double>& seconds, int width, int height, int rate) {
  static const char* const kSources[] = {
      "smptebars=",   "mandelbrot=start_scale=2:", "color=c=darkgreen:",
      "testsrc2=",    "color=c=orange:",           "rgbtestsrc=",
      "color=c=navy:"};
  const std::string size =
      "s=" + std::to_string(width) + "x" + std::to_string(height) + ":r=" + std::to_string(rate);
  std::string graph;
  std::string inputs;
  for (size_t i = 0; i < seconds.size(); ++i) {
    const std::string name = "[s" + std::to_string(i) + "]";
    graph += kSources[i % std::size(kSources)] + size +
             ",trim=duration=" + std::to_string(seconds[i]) + ",format=yuv420p,setsar=1" + name +
             ";";
    inputs += name;
  }
  return "-filter_complex '" + graph + inputs + "concat=n=" + std::to_string(seconds.size()) +
         ":v=1[v]' -map '[v]'";
}

}  // namespace msearch::test
