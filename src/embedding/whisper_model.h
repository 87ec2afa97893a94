// Whisper's two networks: the encoder, which hears a window, and the decoder, which says the next
// token after those before it and remembers keys and values instead of computing them again.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "embedding/onnx_runtime.h"
#include "embedding/output_layer.h"

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
    std::vector<HeldTensor> said;  // keys and values of the tokens so far, by layer
    std::vector<HeldTensor> keys;  // keys and values of what was heard, by layer
    HeldTensor scores;             // logits of the next token, one for each of the vocabulary
  };
  struct Beginning {
    Place place;
    HeldTensor first_scores;  // logits of what follows the first token
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

  // What the encoder makes of a window; `mel` as LogMel gives it.
  Result<HeldTensor> Hear(std::span<const float> mel);
  // The place after `tokens`, which begin a transcript. REQUIRES: not empty
  Result<Beginning> Begin(const HeldTensor& heard, std::span<const int64_t> tokens);
  // The place after one more token.
  Result<Place> Say(const Place& place, int64_t token);
  // The place after the first `count` tokens of those before `place`, without scores. Cheap for
  // few tokens. REQUIRES: count >= 1, and no more than were said
  Place Back(const Place& place, size_t count) const;

 private:
  WhisperModel() = default;
  void OpenSmaller(const std::string& encoder_path, const std::string& decoder_path,
                   const SessionOptions& options);
  Result<std::vector<HeldTensor>> Run(const HeldTensor& heard, std::span<const int64_t> tokens,
                                      const Place* after);
  HeldTensor ScoresOf(const HeldTensor& output, size_t row) const;

  WhisperShape shape_;
  std::unique_ptr<Session> encoder_, decoder_;
  std::optional<OutputLayer> last_layer_;  // where it was taken from the decoder
  HeldTensor unheard_;
  std::vector<std::string> said_inputs_, keys_inputs_, said_outputs_, keys_outputs_;
  Work work_;
};

}  // namespace msearch::embedding
