#include "media/film_strip.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "media/resize.h"

namespace msearch::media {
namespace {

constexpr size_t kTilesWanted = 12;
// Frames that aren't key frames cost decoding up to them: only of films as short as this.
constexpr double kAnyFrameSeconds = 10;

}  // namespace

void FilmStrip::Add(const Raster& frame, double time) {
  if (tiles_.size() >= kTilesMax) return;
  const double scale = static_cast<double>(kTileSide) / std::max(frame.width, frame.height);
  auto scaled = [&](uint32_t side) {
    return std::clamp<uint32_t>(static_cast<uint32_t>(std::lround(side * scale)), 1, kTileSide);
  };
  const uint32_t width = tiles_.empty() ? scaled(frame.width) : tiles_[0].width;
  const uint32_t height = tiles_.empty() ? scaled(frame.height) : tiles_[0].height;
  tiles_.push_back(Resize(frame, width, height));
  times_.push_back(time);
}

Raster FilmStrip::Picture() const {
  const uint32_t width = tiles_[0].width;
  const uint32_t height = tiles_[0].height;
  const auto count = static_cast<uint32_t>(tiles_.size());
  Raster out(width * std::min(count, kColumns), height * ((count + kColumns - 1) / kColumns));
  std::fill(out.rgbx.begin(), out.rgbx.end(), 0);
  for (uint32_t i = 0; i < count; ++i) {
    const uint32_t left = i % kColumns * width;
    const uint32_t top = i / kColumns * height;
    for (uint32_t y = 0; y < height; ++y) {
      std::memcpy(out.row(top + y) + size_t{left} * 4, tiles_[i].row(y), size_t{width} * 4);
    }
  }
  return out;
}

Json FilmStrip::Layout() const {
  Json times = Json::array();
  for (double time : times_) times.push_back(std::round(time * 100) / 100);
  return {{"tile", {tiles_[0].width, tiles_[0].height}}, {"columns", kColumns}, {"times", times}};
}

std::vector<FrameWanted> FramesWanted(const Film& film) {
  std::vector<FrameWanted> wanted;
  const size_t every = (film.shots.size() + FilmStrip::kTilesMax - 1) / FilmStrip::kTilesMax;
  for (size_t i = 0; i < film.shots.size(); ++i) {
    const Shot& shot = film.shots[i];
    wanted.push_back({shot.frame, shot.key, static_cast<int>(i), i % every == 0});
  }
  const size_t shots = wanted.size();
  if (shots >= kTilesWanted || film.duration < 1) return wanted;
  const double step = film.duration / kTilesWanted;
  for (size_t i = 0; i < kTilesWanted; ++i) {
    FrameWanted more{(static_cast<double>(i) + 0.5) * step, false, -1, true};
    const auto after = std::lower_bound(film.keys.begin(), film.keys.end(), more.time);
    for (const auto key : {after, after == film.keys.begin() ? after : std::prev(after)}) {
      if (key != film.keys.end() && std::abs(*key - more.time) < step / 2) {
        more.time = *key;
        more.key = true;
      }
    }
    if (!more.key && film.duration > kAnyFrameSeconds) continue;
    const bool seen = std::any_of(wanted.begin(), wanted.end(), [&](const FrameWanted& other) {
      return std::abs(other.time - more.time) < step / 2;
    });
    if (!seen) wanted.push_back(more);
  }
  std::stable_sort(wanted.begin(), wanted.end(),
                   [](const FrameWanted& a, const FrameWanted& b) { return a.time < b.time; });
  return wanted;
}

}  // namespace msearch::media
