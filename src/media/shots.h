// Where one shot of a film ends and the next begins.
#pragma once

#include <chrono>
#include <optional>
#include <vector>

#include "media/av_file.h"
#include "media/film_frame.h"

namespace msearch::media {

struct ShotLimits {
  double whole_seconds_max = 6;  // films up to this are one shot
  double shot_seconds_min = 0.4;
  double shot_seconds_max = 30;  // longer ones are cut evenly
  size_t shots_max = 500;        // beyond, the weakest cuts are dropped
  uint64_t pixels_max = 250'000'000;
  // Decoding stops here, and what comes after counts as seen without cuts.
  std::optional<std::chrono::steady_clock::time_point> deadline;
};

struct Shot {
  double start = 0;
  double end = 0;
  // A frame that shows it: the time of a key frame where `key`, else any time in the shot.
  double frame = 0;
  bool key = false;
  double contrast = 0;  // of that frame; 0: blank, or not known
};

struct Film {
  std::vector<Shot> shots;   // in order, without gaps; empty when nothing could be decoded
  std::vector<double> keys;  // times of key frames that can be decoded
  double duration = 0;       // of the pictures, as far as there are any
  size_t frames = 0;         // packets seen, key or not
  size_t decoded = 0;        // frames decoded to find the cuts
};

// Of file.video(), which must be there; reads it from where it stands to the end, then goes back
// where a cut has to be looked at more closely.
Result<Film> FindShots(AvFile& file, const ShotLimits& limits);

}  // namespace msearch::media
