// The subtitles inside a film.
#pragma once

#include <vector>

#include "media/av_file.h"
#include "media/codec.h"
#include "media/document.h"

namespace msearch::media {

// Passages with the times at which they are shown, of every track of file.texts(), one track after
// the other; their indices count from 0. Reads the file to its end or its deadline. What can't be
// read is left out.
std::vector<Segment> ReadFilmTexts(AvFile& file, const PrepareOptions& options);

}  // namespace msearch::media
