// What a clip costs the process that hands it on.
//
//   clip_bench FILE [SECONDS, 590]
//
// The first so many seconds of the film are cut twice, as the controller has them cut: read while
// they are made, and again when they are there. Printed: bytes, time to the first byte and to the
// last, and by how much this process's own memory (RssAnon and RssShmem) was larger at its largest.

#include <fcntl.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <future>

#include "base/clock.h"
#include "base/strings.h"
#include "media/clips.h"

namespace {

using namespace msearch;

double OwnMiB() {
  const std::string status = ReadFile("/proc/self/status", 1 << 16).value_or("");
  double kib = 0;
  for (const std::string_view line : Split(status, '\n')) {
    if (!line.starts_with("RssAnon:") && !line.starts_with("RssShmem:")) continue;
    kib += std::atof(std::string(line.substr(line.find(':') + 1)).c_str());
  }
  return kib / 1024;
}

double SecondsSince(SteadyTime begun) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
}

int Cut(media::Clips& clips, const std::string& path, double seconds) {
  auto film = OpenFile(path, O_RDONLY);
  if (!film.ok()) return std::fprintf(stderr, "%s\n", film.message().c_str()), 1;
  const double before = OwnMiB();
  const SteadyTime begun = std::chrono::steady_clock::now();
  std::promise<Result<std::shared_ptr<media::ClipReader>>> answer;
  clips.Get(std::move(*film), path, {.start = 0, .end = seconds}, path, false,
            [&](auto reader) { answer.set_value(std::move(reader)); });
  const auto reader = answer.get_future().get();
  if (!reader.ok()) return std::fprintf(stderr, "%s\n", reader.message().c_str()), 1;
  const bool complete = (*reader)->complete();
  double first = 0;
  double most = before;
  uint64_t bytes = 0;
  std::string piece(64 << 10, '\0');
  while (true) {
    std::promise<void> more;
    const auto read = (*reader)->Read(bytes, piece.data(), piece.size(), [&] { more.set_value(); });
    if (!read.ok()) return std::fprintf(stderr, "%s\n", read.message().c_str()), 1;
    if (!*read) {
      more.get_future().wait();
      continue;
    }
    if (**read == 0) break;
    if (bytes == 0) first = SecondsSince(begun);
    if (bytes >> 22 != (bytes + **read) >> 22) most = std::max(most, OwnMiB());
    bytes += **read;
  }
  std::printf("%s: %.1f MiB; first byte after %.3f s, last after %.3f s; memory +%.1f MiB\n",
              complete ? "there" : "read while it was made", static_cast<double>(bytes) / (1 << 20),
              first, SecondsSince(begun), most - before);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc >= 2 && std::strcmp(argv[1], "codec") == 0) return media::ServeCodec();
  if (argc < 2) return std::fprintf(stderr, "clip_bench FILE [SECONDS]\n"), 2;
  const double seconds = argc > 2 ? std::atof(argv[2]) : 590;
  const TemporaryDirectory folder;
  media::ClipsOptions options;
  options.child_arguments = {"codec"};
  options.directory = folder.path();
  options.patience = Milliseconds(0);
  media::Clips clips(options);
  return Cut(clips, argv[1], seconds) + Cut(clips, argv[1], seconds) > 0 ? 1 : 0;
}
