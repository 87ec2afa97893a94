// Finding the shots of a film against bare decoding of its key frames with the same libraries.
//
//   shots_bench [FILE [ROUNDS]]      FILE: MP4, MOV, MKV, WebM, AVI or TS; without one, a film of
//                                    1080p H.264 is made by the ffmpeg program
//
// Bare: packets are read, key frames go through the decoder, frames are dropped. Ours: FindShots,
// which compares them and looks closer where it has to. Both with the same settings of the decoder,
// in turns; the figures are medians of this thread's processor time.

#include <fcntl.h>
#include <sys/stat.h>

#include <cstdio>
#include <cstdlib>

#include "base/file.h"
#include "measure.h"
#include "media/shots.h"

namespace {

using namespace msearch;
using bench::Median;
using bench::ThreadSeconds;

[[noreturn]] void Die(const std::string& message) {
  std::fprintf(stderr, "shots_bench: %s\n", message.c_str());
  std::exit(1);
}

// Eight scenes with motion, cut hard, as x264 encodes them by default: 64 seconds.
std::string MakeFilm(const std::string& folder) {
  const std::string path = folder + "/film.mp4";
  const char* const sources[] = {
      "testsrc2=", "gradients=seed=3:speed=0.02:", "smptehdbars=", "mandelbrot=start_scale=2:"};
  std::string graph;
  std::string inputs;
  for (int i = 0; i < 8; ++i) {
    graph += std::string(sources[i % 4]) +
             "s=1920x1080:r=25,trim=duration=" + std::to_string(5 + i % 4 * 2) +
             ",format=yuv420p,setsar=1[s" + std::to_string(i) + "];";
    inputs += "[s" + std::to_string(i) + "]";
  }
  const std::string command = "ffmpeg -nostdin -v error -y -filter_complex '" + graph + inputs +
                              "concat=n=8[v]' -map '[v]' -c:v libx264 -preset veryfast " + path;
  if (std::system(command.c_str()) != 0) Die("ffmpeg can't make the film");
  return path;
}

const char* DemuxerOf(const std::string& path) {
  const std::string extension = path.substr(path.rfind('.') + 1);
  if (extension == "mkv" || extension == "webm") return "matroska";
  if (extension == "avi") return "avi";
  if (extension == "ts") return "mpegts";
  return "mov";
}

std::unique_ptr<media::AvFile> Open(const Fd& fd, const char* demuxer) {
  struct stat info {};
  if (fstat(fd.get(), &info) != 0) Die("fstat");
  media::MediaSource source;
  source.fd = fd.get();
  source.size = static_cast<uint64_t>(info.st_size);
  auto file = media::AvFile::Open(source, demuxer);
  if (!file.ok()) Die(file.message());
  if ((*file)->video() == nullptr) Die("no film in it");
  return std::move(*file);
}

size_t DecodeKeys(media::AvFile& file, AVDiscard loop_filter) {
  auto codec = file.Decoder(*file.video(), 1 << 28);
  if (!codec.ok()) Die(codec.message());
  (*codec)->skip_frame = AVDISCARD_NONKEY;
  (*codec)->skip_loop_filter = loop_filter;
  const media::av::Packet packet = media::av::MakePacket();
  const media::av::Frame frame = media::av::MakeFrame();
  size_t frames = 0;
  auto count = [&](AVFrame*) {
    ++frames;
    return true;
  };
  while (file.Read(*file.video(), packet.get())) {
    if ((packet->flags & AV_PKT_FLAG_KEY) == 0) continue;
    media::DecodePacket(codec->get(), packet.get(), frame.get(), count);
  }
  media::DecodePacket(codec->get(), nullptr, frame.get(), count);
  return frames;
}

}  // namespace

int main(int argc, char** argv) {
  const TemporaryDirectory scratch;
  const std::string path = argc > 1 ? argv[1] : MakeFilm(scratch.path());
  const int rounds = argc > 2 ? std::atoi(argv[2]) : 9;
  const auto fd = OpenFile(path, O_RDONLY);
  if (!fd.ok()) Die(fd.message());
  const char* const demuxer = DemuxerOf(path);
  std::vector<double> bare, filtered, ours;
  size_t keys = 0;
  media::Film film;
  for (int round = 0; round < rounds + 1; ++round) {
    double begin = ThreadSeconds();
    keys = DecodeKeys(*Open(*fd, demuxer), AVDISCARD_ALL);
    const double unfiltered = ThreadSeconds() - begin;
    begin = ThreadSeconds();
    DecodeKeys(*Open(*fd, demuxer), AVDISCARD_DEFAULT);
    const double with_filter = ThreadSeconds() - begin;
    begin = ThreadSeconds();
    auto found = media::FindShots(*Open(*fd, demuxer), {});
    const double shots = ThreadSeconds() - begin;
    if (!found.ok()) Die(found.message());
    film = std::move(*found);
    if (round == 0) continue;  // fills caches
    bare.push_back(unfiltered);
    filtered.push_back(with_filter);
    ours.push_back(shots);
  }
  std::printf("%.1f s, %zu packets, %zu key frames, %zu shots, %zu frames decoded, %d rounds\n",
              film.duration, film.frames, keys, film.shots.size(), film.decoded, rounds);
  for (const media::Shot& shot : film.shots) std::printf("  %.2f-%.2f", shot.start, shot.end);
  std::printf("\nbare key frames, no loop filter   %8.1f ms\n", Median(bare) * 1000);
  std::printf("bare key frames, as they come     %8.1f ms\n", Median(filtered) * 1000);
  std::printf("finding shots                     %8.1f ms\n", Median(ours) * 1000);
  std::printf("ratio to the first (1: as fast)   %8.3f\n", Median(bare) / Median(ours));
  std::printf("ratio to the second               %8.3f\n", Median(filtered) / Median(ours));
  return 0;
}
