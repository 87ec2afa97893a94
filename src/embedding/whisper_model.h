// Whisper's two networks: the encoder, which hears a window, and the decoder, which says the next
// token after those before it and remembers keys and values instead of computing them again.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "embedding/onnx_runtime.h"

namespace msearch::embedding {

struct WhisperShape {
  size_t bands = 80;  // of the log-mel spectrogram
  size_t layers = 0;  // of the decoder
  size_t heads = 0;
  size_t head_size = 0;
};

// One call at a time.
class WhisperModel {
 public:
  // A place in a transcript. Copies are cheap and may go on differently.
  struct Place {
    HeldTensor heard;              // what the encoder made of the window
    std::vector<HeldTensor> said;  // keys and values of the tokens so far, by layer
    std::vector<HeldTensor> keys;  // keys and values of what was heard, by layer
    HeldTensor scores;             // logits of the next token, one for each of the vocabulary
  };

  // What was run so far; processor time of the calling threads, in seconds.
  struct Work {
    size_t steps = 0;  // of the decoder
    double encoder = 0;
    double decoder = 0;
  };

  static Result<std::unique_ptr<WhisperModel>> Open(const std::string& encoder_path,
                                                    const std::string& decoder_path,
                                                    const WhisperShape& shape,
                                                    const SessionOptions& options);

  const DeviceInfo& device() const { return encoder_->device(); }
  const WhisperShape& shape() const { return shape_; }
  const Work& work() const { return work_; }

  // `mel` as LogMel gives it; `token` begins the transcript.
  Result<Place> Begin(std::span<const float> mel, int64_t token);
  // The place after one more token.
  Result<Place> Say(const Place& place, int64_t token);

 private:
  WhisperModel() = default;
  Result<Place> Run(const Place& place, int64_t token);

  WhisperShape shape_;
  std::unique_ptr<Session> encoder_, decoder_;
  std::vector<std::string> said_inputs_, keys_inputs_, said_outputs_, keys_outputs_;
  Work work_;
};

}  // namespace msearch::embedding
