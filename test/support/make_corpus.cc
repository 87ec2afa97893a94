// make_corpus COUNT FOLDER SEED: writes that many photographic JPEGs of 2 to 12 megapixels, the
// same for the same seed. Each is a part of one of a few large textures, since making the texture
// costs more than encoding. One in six is stored on its side, as phones do; all carry EXIF.

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "base/file.h"
#include "media/encode.h"
#include "support/pictures.h"

namespace {

using namespace msearch;

constexpr uint32_t kTextureWidth = 4200;
constexpr uint32_t kTextureHeight = 3200;
constexpr int kPicturesPerTexture = 100;

std::string ExifFor(int number, std::mt19937_64& random) {
  test::ExifTags tags;
  tags.orientation = random() % 6 == 0 ? 6 : 1;
  tags.make = "Example";
  tags.model = "Example One";
  char date[32];
  std::snprintf(date, sizeof(date), "20%02d:%02d:%02d %02d:%02d:%02d", number % 25, 1 + number % 12,
                1 + number % 28, number % 24, number % 60, number % 59);
  tags.date_time_original = date;
  tags.gps = {static_cast<double>(random() % 160) - 80, static_cast<double>(random() % 340) - 170};
  return test::MakeExif(tags);
}

Result<> WritePictures(int begin, int end, const std::string& folder, uint64_t seed) {
  std::mt19937_64 random(seed + static_cast<uint64_t>(begin) * 1000003);
  const media::Raster texture = test::Photograph(kTextureWidth, kTextureHeight, random());
  for (int number = begin; number < end; ++number) {
    const double megapixels = 2 + static_cast<double>(random() % 1000) / 100;
    const double ratio = random() % 3 == 0 ? 1.5 : 4.0 / 3;
    const auto width =
        std::min(kTextureWidth - 8, static_cast<uint32_t>(std::sqrt(megapixels * 1e6 * ratio)));
    const auto height = std::min(kTextureHeight - 8, static_cast<uint32_t>(width / ratio));
    const media::Raster part =
        test::Crop(texture, static_cast<uint32_t>(random() % (kTextureWidth - width)),
                   static_cast<uint32_t>(random() % (kTextureHeight - height)), width, height);
    media::JpegOptions options;
    options.quality = 89 + static_cast<int>(random() % 5);
    const std::string exif = ExifFor(number, random);
    options.exif = exif;
    char name[32];
    std::snprintf(name, sizeof(name), "/IMG_%05d.jpg", number);
    TRY(WriteFileAtomically(folder + name, TRY(media::EncodeJpeg(part, options))));
  }
  return Ok{};
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) {
    std::fprintf(stderr, "usage: make_corpus COUNT FOLDER SEED\n");
    return 2;
  }
  const int count = std::atoi(argv[1]);
  const std::string folder = argv[2];
  const uint64_t seed = std::strtoull(argv[3], nullptr, 10);
  std::filesystem::create_directories(folder);
  const int workers = static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
  std::vector<int> failed(static_cast<size_t>(workers));
  std::vector<std::thread> threads;
  for (int worker = 0; worker < workers; ++worker) {
    threads.emplace_back([&, worker] {
      for (int begin = worker * kPicturesPerTexture; begin < count;
           begin += workers * kPicturesPerTexture) {
        const Result<> written =
            WritePictures(begin, std::min(count, begin + kPicturesPerTexture), folder, seed);
        if (written.ok()) continue;
        std::fprintf(stderr, "make_corpus: %s\n", written.message().c_str());
        failed[static_cast<size_t>(worker)] = 1;
        return;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  return std::count(failed.begin(), failed.end(), 1) > 0 ? 1 : 0;
}
