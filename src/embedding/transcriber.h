// What a speech model does for msearch: sound to words, with the times at which they were said.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "embedding/embedder.h"

namespace msearch::embedding {

struct SpokenText {
  double start = 0;  // seconds of the recording
  double end = 0;
  std::string text;
  std::string language;  // "en"
  float confidence = 0;  // 0 to 1: the mean probability of its tokens
};

// The next samples of a recording: mono, 16 kHz, from -1 to 1; any number of them, none at the end.
// An error ends the transcription, so it also serves to stop one.
using SampleSource = std::function<Result<std::vector<float>>()>;

// What a transcription did, for benchmarks and tests.
struct TranscriptionTrace {
  struct Window {
    std::vector<float> samples;
    std::vector<int64_t> said;  // tokens of the attempt that was kept, without the end
    int64_t language = 0;       // its token
  };
  bool keep_windows = true;  // they grow with the recording
  std::vector<Window> windows;
  size_t steps = 0;     // runs of the decoder
  size_t attempts = 0;  // at windows
  // Processor time of the calling thread, in seconds; what is missing from the sum went to rules,
  // windows and texts.
  double voice_activity = 0;
  double spectrogram = 0;
  double encoder = 0;
  double decoder = 0;
};

struct TranscriptionOptions {
  // Languages that may occur ("en", "zh"); empty: any that the model knows.
  std::vector<std::string> languages;
  TranscriptionTrace* trace = nullptr;  // is added to, where there is one
};

// Thread-safety: one call at a time.
class Transcriber {
 public:
  virtual ~Transcriber() = default;
  // Changes whenever the same sound may give other words.
  virtual const std::string& key() const = 0;
  virtual const DeviceInfo& device() const = 0;
  // In order of time. A recording without speech gives nothing. Needs no more memory for a long
  // recording than for one of a minute. kInvalid for a language that the model doesn't know.
  virtual Result<std::vector<SpokenText>> Transcribe(const SampleSource& source,
                                                     const TranscriptionOptions& options) = 0;
};

}  // namespace msearch::embedding
