// Frames of films: as pictures to look at, and as a few numbers to tell shots apart by.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "media/av_file.h"
#include "media/raster.h"

namespace msearch::media {

// Upright size of the stream's frames, pixels made square; {0, 0} when it isn't known.
std::pair<uint32_t, uint32_t> FilmSize(const AVStream& stream);
// The EXIF orientation that the container's display matrix amounts to, 1 to 8.
int FilmOrientation(const AVStream& stream);

// The frame upright with square pixels, reduced so that its shorter side is at least
// `shorter_side_min` and its longer one at least `longer_side_min`, whichever needs more; never
// enlarged beyond making pixels square.
Result<Raster> FrameRaster(const AVFrame& frame, const AVStream& stream, uint32_t shorter_side_min,
                           uint32_t longer_side_min);

// What a frame looks like from afar: brightness and two colours of a grid of cells, 0 to 255, each
// averaged over some of its pixels. Noise vanishes in the averages.
struct FrameLook {
  static constexpr int kColumns = 16;
  static constexpr int kRows = 9;
  std::array<uint8_t, size_t{3} * kColumns * kRows> cells{};
};
// Costs a small part of decoding. Nothing for a frame without pixels.
std::optional<FrameLook> LookAt(const AVFrame& frame);
// 0 (alike) to about 255: the mean difference of cells, colours counted half.
double Difference(const FrameLook& a, const FrameLook& b);
// How much there is to see: the spread of brightness over cells, 0 for a blank frame.
double Contrast(const FrameLook& look);

// Decodes single frames of a film, going forwards or back.
class FrameReader {
 public:
  // Of file.video(), which must be there.
  static Result<FrameReader> Make(AvFile& file, uint64_t pixels_max);

  // Calls `use` with the first frame at or after `seconds`, or with the last before it where the
  // film ends earlier. `exact`: false when `seconds` is the time of a key frame, which is quick.
  // kNotFound when nothing can be decoded there.
  template <typename Use>
  Result<> At(double seconds, bool exact, Use&& use) {
    TRY(Find(seconds, exact));
    use(*found_, found_seconds_);
    return Ok{};
  }

 private:
  FrameReader(AvFile& file, av::Codec codec);
  Result<> Find(double seconds, bool exact);
  void Rewind(double seconds);

  AvFile* file_;
  av::Codec codec_;
  av::Packet packet_;
  av::Frame frame_;
  av::Frame found_;
  double found_seconds_ = 0;
  bool in_stride_ = false;  // the decoder stands right behind found_
};

}  // namespace msearch::media
