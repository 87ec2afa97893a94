// How many cuts of films are found, by codec, with and without the encoder's detection of scenes,
// by the distance of key frames.
//
//   shots_recall FOLDER [WORD]...    FOLDER: where the ffmpeg program makes the films, once. Of
//                                    films whose names have one of the words, where there are any
//   PICTURES=FOLDER                  panned over instead of the stamps of Tux Paint
//
// Films of a minute with eleven hard cuts each, 480 x 270 at 25 frames a second: drawn scenes that
// move; pictures panned over; the same dark, or bright, in turns; the same with grain; two pictures
// in turns. Found is a cut that is reported within 0.3 s, wrong is a report without one. Decoded:
// frames decoded, of all that there are; beside it, processor time for a minute of film.

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "base/file.h"
#include "measure.h"
#include "media/shots.h"

namespace {

using namespace msearch;
namespace fs = std::filesystem;

constexpr double kNear = 0.3;
// Not at round numbers, so that key frames of a steady distance don't meet them by chance.
constexpr double kSeconds[] = {3.2, 5.4, 2.6, 7.8, 4.12, 2.2, 9.4, 3.52, 6.2, 2.88, 5.0, 4.6};
constexpr size_t kScenes = std::size(kSeconds);
constexpr const char* kDrawn[kScenes] = {
    "testsrc2=",
    "mandelbrot=start_scale=2:",
    "gradients=seed=3:speed=0.02:",
    "smptehdbars=",
    "life=mold=10:ratio=0.1:death_color=#C83232:life_color=#00ff00:seed=4:",
    "testsrc=",
    "mandelbrot=start_x=-0.7:start_y=0.2:start_scale=0.3:",
    "color=c=white:",
    "gradients=seed=9:speed=0.05:",
    "testsrc2=",
    "cellauto=seed=3:rule=110:",
    "rgbtestsrc="};

[[noreturn]] void Die(const std::string& message) {
  std::fprintf(stderr, "shots_recall: %s\n", message.c_str());
  std::exit(1);
}

void Make(const std::string& arguments, const std::string& path) {
  const std::string part = path + ".part" + fs::path(path).extension().string();
  const std::string command = "ffmpeg -nostdin -v error -y " + arguments + " '" + part + "'";
  if (std::system(command.c_str()) != 0) Die("can't run " + command);
  fs::rename(part, path);
}

// As many large pictures as there are scenes, from all over the folder.
std::vector<std::string> Pictures() {
  const char* const folder = std::getenv("PICTURES");
  std::vector<std::string> all;
  std::error_code error;
  for (const auto& entry : fs::recursive_directory_iterator(
           folder != nullptr ? folder : "/usr/share/tuxpaint/stamps", error)) {
    const std::string type = entry.path().extension();
    if ((type == ".png" || type == ".jpg") && entry.file_size(error) > 60'000) {
      all.push_back(entry.path());
    }
  }
  if (all.size() < kScenes) Die("not enough pictures");
  std::sort(all.begin(), all.end());
  std::vector<std::string> out;
  for (size_t i = 0; i < kScenes; ++i) out.push_back(all[(2 * i + 1) * all.size() / (2 * kScenes)]);
  return out;
}

struct Source {
  const char* name;
  bool drawn;
  size_t different;        // how many of the scenes; then again from the first
  const char* filters[2];  // of scenes in turns
};
constexpr Source kSources[] = {
    {"drawn", true, kScenes, {"null", "null"}},
    {"photos", false, kScenes, {"null", "null"}},
    {"light",
     false,
     kScenes,
     {"eq=brightness=-0.3:contrast=0.45", "eq=brightness=0.2:contrast=0.6"}},
    {"grain", false, kScenes, {"noise=alls=10:allf=t", "noise=alls=10:allf=t"}},
    {"turns", false, 2, {"null", "null"}},
};

// Without loss.
void MakeSource(const Source& source, const std::string& path) {
  std::vector<std::string> pictures;
  if (!source.drawn) pictures = Pictures();
  std::string inputs, graph, labels;
  for (size_t i = 0; i < kScenes; ++i) {
    const std::string number = std::to_string(i);
    const std::string seconds = std::to_string(kSeconds[i]);
    if (source.drawn) {
      inputs += "-f lavfi -t " + seconds + " -i '" + kDrawn[i] + "s=480x270:r=25' ";
      graph += "[" + number + ":v]";
    } else {
      inputs +=
          "-loop 1 -framerate 25 -t " + seconds + " -i '" + pictures[i % source.different] + "' ";
      const std::string hue = std::to_string(i % source.different * 97 % 360);
      graph += "color=c=0x6090b0:s=960x720:r=25,hue=h=" + hue + "[b" + number + "];[" + number +
               ":v]scale=960:720[p" + number + "];[b" + number + "][p" + number +
               "]overlay=shortest=1,crop=480:270:x='200+" + std::to_string(5 + 7 * (i % 4)) +
               "*t':y='180+6*t',";
    }
    graph += std::string(source.filters[i % 2]) + ",format=yuv420p,setsar=1[s" + number + "];";
    labels += "[s" + number + "]";
  }
  Make(inputs + "-filter_complex \"" + graph + labels + "concat=n=" + std::to_string(kScenes) +
           "[v]\" -map '[v]' -c:v libx264 -qp 0 -preset ultrafast",
       path);
}

struct Encoder {
  const char* name;
  const char* arguments;
  const char* without_scenes;  // GOP stands for the distance of key frames
  const char* extension;
  const char* demuxer;
};
constexpr Encoder kEncoders[] = {
    {"h264", "-c:v libx264 -preset veryfast", "-sc_threshold 0", "mp4", "mov"},
    {"h264-10bit", "-c:v libx264 -preset veryfast -pix_fmt yuv420p10le", "-sc_threshold 0", "mp4",
     "mov"},
    {"hevc", "-c:v libx265 -preset veryfast", "-x265-params log-level=1:scenecut=0", "mp4", "mov"},
    {"hevc-10bit", "-c:v libx265 -preset veryfast -pix_fmt yuv420p10le",
     "-x265-params log-level=1:scenecut=0", "mp4", "mov"},
    {"vp8-realtime", "-c:v libvpx -deadline realtime -cpu-used 6 -b:v 700k", "-keyint_min GOP",
     "webm", "matroska"},
    {"vp8-good", "-c:v libvpx -deadline good -cpu-used 4 -b:v 700k", "-keyint_min GOP", "webm",
     "matroska"},
    {"vp9-realtime", "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -b:v 500k", "-keyint_min GOP",
     "webm", "matroska"},
    {"mpeg4", "-c:v mpeg4 -q:v 5", "-sc_threshold 1000000000", "avi", "avi"},
    {"mpeg4-b", "-c:v mpeg4 -b:v 900k -bf 2", "-sc_threshold 1000000000", "mkv", "matroska"},
    {"mpeg2", "-c:v mpeg2video -q:v 5 -bf 2", "-sc_threshold 1000000000", "ts", "mpegts"},
};
constexpr const char* kDistances[] = {"25", "250", "9999"};

std::string With(std::string text, const std::string& distance) {
  const size_t at = text.find("GOP");
  return at == std::string::npos ? text : text.replace(at, 3, distance);
}

struct Score {
  size_t cuts = 0, found = 0, wrong = 0, decoded = 0, frames = 0;
  double seconds = 0, film = 0;
  std::string wrongs;
};

void Look(const std::string& path, const char* demuxer, const std::vector<double>& cuts,
          Score* score) {
  const auto fd = OpenFile(path, O_RDONLY);
  if (!fd.ok()) Die(fd.message());
  media::MediaSource source;
  source.fd = fd->get();
  source.size = fs::file_size(path);
  auto file = media::AvFile::Open(source, demuxer);
  if (!file.ok()) Die(path + ": " + file.message());
  const double begin = bench::ThreadSeconds();
  auto film = media::FindShots(**file, {});
  score->seconds += bench::ThreadSeconds() - begin;
  if (!film.ok()) Die(path + ": " + film.message());
  std::vector<bool> met(cuts.size());
  std::string errors;
  for (size_t i = 1; i < film->shots.size(); ++i) {
    const double time = film->shots[i].start;
    const auto near = std::find_if(cuts.begin(), cuts.end(),
                                   [&](double cut) { return std::abs(cut - time) <= kNear; });
    if (near != cuts.end()) {
      met[static_cast<size_t>(near - cuts.begin())] = true;
      continue;
    }
    ++score->wrong;
    errors += " +" + std::to_string(time).substr(0, 5);
  }
  score->cuts += cuts.size();
  for (size_t i = 0; i < cuts.size(); ++i) {
    if (met[i]) ++score->found;
    if (!met[i]) errors += " -" + std::to_string(cuts[i]).substr(0, 5);
  }
  if (!errors.empty()) std::printf("  %s:%s\n", fs::path(path).filename().c_str(), errors.c_str());
  score->decoded += film->decoded;
  score->frames += film->frames;
  score->film += film->duration;
}

double Share(size_t part, size_t whole) {
  return whole == 0 ? 1 : static_cast<double>(part) / static_cast<double>(whole);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) Die("FOLDER [WORD]...");
  const std::string folder = argv[1];
  fs::create_directories(folder);
  auto asked_for = [&](const std::string& name) {
    return argc == 2 || std::any_of(argv + 2, argv + argc, [&](const char* word) {
             return name.find(word) != std::string::npos;
           });
  };
  std::vector<double> cuts;
  double at = 0;
  for (size_t i = 0; i + 1 < kScenes; ++i) cuts.push_back(at += kSeconds[i]);
  std::vector<std::string> table;
  for (const Encoder& encoder : kEncoders) {
    for (const char* const scenes : {"on", "off"}) {
      for (const char* const distance : kDistances) {
        Score score;
        for (const Source& source : kSources) {
          const std::string name =
              std::string(encoder.name) + "_" + scenes + "_" + distance + "_" + source.name;
          if (!asked_for(name)) continue;
          const std::string original = folder + "/" + source.name + ".mkv";
          if (!fs::exists(original)) MakeSource(source, original);
          const std::string path = folder + "/" + name + "." + encoder.extension;
          std::string off = scenes == std::string("off") ? encoder.without_scenes : "";
          if (!fs::exists(path)) {
            Make("-i " + original + " " + encoder.arguments + " -g " + distance + " " +
                     With(off, distance),
                 path);
          }
          Look(path, encoder.demuxer, cuts, &score);
        }
        if (score.cuts == 0) continue;
        char line[200];
        std::snprintf(line, sizeof line, "%-13s %-4s %5s  %8.3f %9.3f %9.3f %8.0f", encoder.name,
                      scenes, distance, Share(score.found, score.cuts),
                      Share(score.found, score.found + score.wrong),
                      Share(score.decoded, score.frames), 60'000 * score.seconds / score.film);
        table.push_back(line);
        std::printf("%s\n", line);
        std::fflush(stdout);
      }
    }
  }
  std::printf("\ncodec         scenes keys    recall precision   decoded ms/minute\n");
  for (const std::string& line : table) std::printf("%s\n", line.c_str());
  return 0;
}
