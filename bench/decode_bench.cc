// Picture decoding, the codec child included, against bare libjpeg-turbo in this process.
//
//   decode_bench [FOLDER [ROUNDS]]      FOLDER: JPEGs; without one, 40 are made
//
// Bare: the file is read, decoded by TurboJPEG at the smallest scale that is enough, and the middle
// resampled to 224 x 224. Ours: Codec::Prepare, which gives the same pixels, and thumbnail,
// perceptual hash and EXIF besides, from a sandboxed child. The two take turns file by file, so
// that a noisy machine disturbs both alike; the figures are medians over the rounds. Processor time
// is that of parent and child together.

#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <vector>

#include "bare_jpeg.h"
#include "base/file.h"
#include "measure.h"
#include "media/codec.h"
#include "media/encode.h"
#include "support/pictures.h"

namespace {

using namespace msearch;
using bench::Median;
using Clock = std::chrono::steady_clock;

constexpr uint32_t kSide = 224;
constexpr uint32_t kThumbnailSide = 320;
constexpr media::PixelsWanted kWanted{kSide, kSide, media::PixelsWanted::Fit::kCenterCrop};

[[noreturn]] void Die(const std::string& message) {
  std::fprintf(stderr, "decode_bench: %s\n", message.c_str());
  std::exit(1);
}

void MakePictures(const std::string& folder) {
  const media::Raster texture = test::Photograph(4200, 3200, 1);
  for (uint32_t i = 0; i < 40; ++i) {
    const uint32_t width = 1640 + i * 60;
    const media::Raster part = test::Crop(texture, i * 4, i * 3, width, width * 3 / 4);
    const auto bytes = media::EncodeJpeg(part, {.quality = 90});
    if (!bytes.ok()) Die(bytes.message());
    const auto written = WriteFileAtomically(folder + "/" + std::to_string(i) + ".jpg", *bytes);
    if (!written.ok()) Die(written.message());
  }
}

std::vector<std::string> Files(const std::string& folder) {
  std::vector<std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() == ".jpg") files.push_back(entry.path().string());
  }
  std::sort(files.begin(), files.end());
  if (files.empty()) Die(folder + ": no .jpg in it");
  return files;
}

void Bare(const std::string& path, bench::BareJpeg& decoder) {
  const auto pixels = decoder.Pixels(path);
  if (!pixels.ok()) Die(pixels.message());
  if (pixels->size() != size_t{kSide} * kSide * 3) Die("wrong size");
}

void Ours(const std::string& path, media::Codec& codec) {
  const auto file = OpenFile(path, 0);
  if (!file.ok()) Die(file.message());
  media::PrepareOptions options;
  options.pixels = kWanted;
  options.thumbnail_side_max = kThumbnailSide;
  const auto prepared = codec.Prepare(*file, path, options);
  if (!prepared.ok()) Die(prepared.message());
}

pid_t CodecChild() {
  pid_t pid = 0;
  std::ifstream("/proc/self/task/" + std::to_string(getpid()) + "/children") >> pid;
  return pid;
}

// Of this process and the child's main thread, in seconds.
double ProcessorTime(pid_t child) {
  timespec own{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &own);
  double nanoseconds = 0;
  std::ifstream("/proc/" + std::to_string(child) + "/schedstat") >> nanoseconds;
  return static_cast<double>(own.tv_sec) + (static_cast<double>(own.tv_nsec) + nanoseconds) / 1e9;
}

struct Cost {
  double seconds = 0;
  double processor_seconds = 0;
};

void Measure(Cost& cost, pid_t child, const std::function<void()>& work) {
  const auto begin = Clock::now();
  const double processor_begin = ProcessorTime(child);
  work();
  cost.processor_seconds += ProcessorTime(child) - processor_begin;
  cost.seconds += std::chrono::duration<double>(Clock::now() - begin).count();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc >= 2 && std::strcmp(argv[1], "codec") == 0) return media::ServeCodec();
  const TemporaryDirectory scratch;
  const std::string folder = argc > 1 ? argv[1] : scratch.path();
  const int rounds = argc > 2 ? std::atoi(argv[2]) : 7;
  if (argc <= 1) MakePictures(folder);
  const std::vector<std::string> files = Files(folder);

  media::CodecLimits limits;
  limits.files_per_child = 1 << 30;  // one child: its processor time is read from outside
  media::Codec codec({"codec"}, limits);
  bench::BareJpeg decoder(kWanted, kThumbnailSide);
  std::vector<double> bare_ms, ours_ms, bare_cpu_ms, ours_cpu_ms, ratios, cpu_ratios;
  for (const std::string& path : files)
    Ours(path, codec);  // starts the child, fills the page cache
  const double per_file = 1000 / static_cast<double>(files.size());
  for (int round = 0; round < rounds; ++round) {
    Cost bare;
    Cost ours;
    for (const std::string& path : files) {
      const pid_t child = CodecChild();
      Measure(bare, child, [&] { Bare(path, decoder); });
      Measure(ours, child, [&] { Ours(path, codec); });
    }
    bare_ms.push_back(bare.seconds * per_file);
    ours_ms.push_back(ours.seconds * per_file);
    bare_cpu_ms.push_back(bare.processor_seconds * per_file);
    ours_cpu_ms.push_back(ours.processor_seconds * per_file);
    ratios.push_back(bare.seconds / ours.seconds);
    cpu_ratios.push_back(bare.processor_seconds / ours.processor_seconds);
  }
  std::printf("%zu pictures, %d rounds, medians\n", files.size(), rounds);
  std::printf("                                        elapsed    processor\n");
  std::printf("bare libjpeg-turbo, decode and resize  %7.2f ms   %7.2f ms a picture\n",
              Median(bare_ms), Median(bare_cpu_ms));
  std::printf("codec child, everything                %7.2f ms   %7.2f ms a picture\n",
              Median(ours_ms), Median(ours_cpu_ms));
  std::printf("ratio (1: as fast as bare)             %7.3f      %7.3f\n", Median(ratios),
              Median(cpu_ratios));
  return 0;
}
