// The film strip: small frames of a film in the rows of one picture, to look through it at a glance
// and to show each moment by a frame of its own.
#pragma once

#include <vector>

#include "base/json.h"
#include "media/raster.h"
#include "media/shots.h"

namespace msearch::media {

class FilmStrip {
 public:
  static constexpr uint32_t kTileSide = 160;  // longer side
  static constexpr uint32_t kColumns = 10;
  static constexpr size_t kTilesMax = 100;

  // Tiles come in the order of their times, the first decides the size of all.
  void Add(const Raster& frame, double time);
  bool empty() const { return tiles_.empty(); }
  Raster Picture() const;
  // {tile: [width, height], columns, times}
  Json Layout() const;

 private:
  std::vector<Raster> tiles_;
  std::vector<double> times_;
};

// Which frames of a film are needed: each shot's own, and more for the strip where shots are few.
struct FrameWanted {
  double time = 0;
  bool key = false;
  int shot = -1;  // whose frame it is; -1: only for the strip
  bool tile = false;
};
std::vector<FrameWanted> FramesWanted(const Film& film);

}  // namespace msearch::media
