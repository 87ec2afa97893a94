// Films and sounds: what an opened container gives, one function for each question of a decoder
// row. `demuxer` is FFmpeg's name of the container.
#pragma once

#include <vector>

#include "base/result.h"
#include "media/codec.h"
#include "media/source.h"

namespace msearch::media {

// A container with pictures becomes a video: shots with model pixels, a thumbnail and a film strip;
// its sound, or a container with sound alone, windows of kSoundWindowSeconds. What can be read of
// a file without its end is kept.
Result<Prepared> PrepareFilm(const MediaSource& source, const char* demuxer,
                             const PrepareOptions& options);
// Whether it has more than one frame.
bool HasMotion(const MediaSource& source, const char* demuxer);
Result<View> ViewFilm(const MediaSource& source, const char* demuxer, const ViewWanted& wanted);
// Hands on pieces of at most kClipPieceBytesMax while the rest is made; what it holds doesn't grow
// with the length of the clip.
Result<Clip> CutFilm(const MediaSource& source, const char* demuxer, const ClipWanted& wanted,
                     const TakeClip& take);
Result<std::vector<float>> SampleFilm(const MediaSource& source, const char* demuxer,
                                      const SamplesWanted& wanted);

inline constexpr double kSoundWindowSeconds = 10;

// Loads what decoding films needs from disk, since a sandbox won't let it later.
void PreloadFilmLibraries();

}  // namespace msearch::media
