// What an audio-tagging model does for msearch: what kinds of sounds are heard in a recording, and
// when.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "embedding/embedder.h"
#include "embedding/transcriber.h"

namespace msearch::embedding {

struct SoundTag {
  std::string name;       // "Dog", "Rain", as the model's makers call it
  float probability = 0;  // 0 to 1
};

// A stretch of a recording in which something was heard.
struct HeardWindow {
  double start = 0;  // seconds of the recording
  double end = 0;
  std::vector<SoundTag> tags;  // likeliest first; at least one
};

// Thread-safety: one call at a time.
class SoundTagger {
 public:
  virtual ~SoundTagger() = default;
  // Changes whenever the same sound may give other tags.
  virtual const std::string& key() const = 0;
  virtual const DeviceInfo& device() const = 0;
  // Tags of at least this probability, in order of time; windows without any are left out. Needs no
  // more memory for a long recording than for one of a minute. kCorrupt for a model whose
  // scores aren't probabilities.
  virtual Result<std::vector<HeardWindow>> Tag(const SampleSource& source,
                                               float probability_min) = 0;
};

}  // namespace msearch::embedding
