// WebP pictures. One that moves is a short film, as an animated GIF is.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "media/codec.h"
#include "media/source.h"

namespace msearch::media {

// Of an animation. What is larger is read as its first picture.
inline constexpr uint64_t kWebpCanvasPixelsMax = 32'000'000;
inline constexpr uint64_t kWebpBytesMax = uint64_t{256} << 20;
// Of all frames together, each counted with the whole canvas. What comes behind isn't read; then
// the attribute "frames_read" says how many were.
inline constexpr uint64_t kWebpPixelsMax = 2'000'000'000;
inline constexpr double kWebpSecondsMax = 24 * 3600;

Result<Prepared> PrepareWebp(const MediaSource& source, const PrepareOptions& options);
Result<View> ViewWebp(const MediaSource& source, const ViewWanted& wanted);
// kUnsupported for one that doesn't move.
Result<Clip> CutWebp(const MediaSource& source, const ClipWanted& wanted, const TakeClip& take);

// A WebP file without its end, as a shorter one that is whole: what follows its last whole chunk is
// dropped, and its size set. Another file stays as it is.
void DropBrokenEnd(std::string* file);

}  // namespace msearch::media
