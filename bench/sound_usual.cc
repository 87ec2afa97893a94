// Prints src/media/sound_usual.inc: what is usual in the numbers that describe sounds, over the
// files named on standard input, one a line.

#include <fcntl.h>

#include <array>
#include <cmath>
#include <cstdio>
#include <iostream>

#include "base/file.h"
#include "media/codec.h"
#include "media/sound_print.h"

using namespace msearch;

int main(int argc, char** argv) {
  if (argc >= 3 && std::string_view(argv[1]) == "role") return media::ServeCodec();
  constexpr size_t kCount = media::SoundPrint::kDimensions;
  std::array<double, kCount> sum{};
  std::array<double, kCount> squares{};
  double sounds = 0;
  media::Codec codec({"role", "codec"}, {});
  for (std::string path; std::getline(std::cin, path);) {
    const auto file = OpenFile(path, O_RDONLY);
    if (!file.ok()) continue;
    const auto samples = codec.SamplesOf(*file, path, {.start = 0, .seconds = 20, .rate = 16000});
    if (!samples.ok()) continue;
    media::SoundPrinter printer;
    printer.Add(*samples);
    const std::vector<float> numbers = printer.Numbers();
    if (numbers.empty()) continue;
    ++sounds;
    for (size_t i = 0; i < kCount; ++i) {
      sum[i] += numbers[i];
      squares[i] += double{numbers[i]} * numbers[i];
    }
  }
  auto print = [&](const char* name, auto value) {
    std::printf("constexpr float %s[] = {", name);
    for (size_t i = 0; i < kCount; ++i) {
      std::printf("%s%.4fF,", i % 8 == 0 ? "\n    " : " ", value(i));
    }
    std::printf("\n};\n");
  };
  std::printf("// Of %.0f sounds, by bench/sound_usual.\n", sounds);
  print("kUsualMean", [&](size_t i) { return sum[i] / sounds; });
  print("kUsualDeviation", [&](size_t i) {
    const double mean = sum[i] / sounds;
    return std::sqrt(std::max(1e-4, squares[i] / sounds - mean * mean));
  });
}
