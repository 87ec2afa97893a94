// The subtitles inside a film.
#pragma once

#include <vector>

#include "media/av_file.h"
#include "media/codec.h"
#include "media/document.h"

namespace msearch::media {

// Gathers them while something else of the file is read, from its beginning, so that a large file
// isn't read once more for them. What can't be read is left out.
class FilmTexts {
 public:
  // `file` has to stay, and nobody else may listen to its texts.
  FilmTexts(AvFile& file, const PrepareOptions& options);
  ~FilmTexts();
  FilmTexts(const FilmTexts&) = delete;
  FilmTexts& operator=(const FilmTexts&) = delete;

  // Reads what is left of the file. Passages with the times at which they are shown, of every track
  // of file.texts(), one track after the other.
  std::vector<Segment> Finish();

 private:
  struct Track {
    const AVStream* stream;
    std::vector<Cue> cues;
  };
  void Take(const AVPacket& packet);

  AvFile& file_;
  uint64_t bytes_left_;
  const uint32_t words_max_;
  std::vector<Track> tracks_;
};

}  // namespace msearch::media
