// Whisper's encoder and decoder as somebody with ONNX Runtime alone would run them at their best:
// tensors bound once (IoBinding), keys and values handed from step to step without a copy, the
// transcript's beginning in one run, one thread, no rules. No code of msearch's own but the
// spectrogram and the search for the highest score, which are the same for both.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "embedding/whisper_model.h"

namespace msearch::bench {

class BareWhisper {
 public:
  // `unpack`: weights kept in 8 bits become floats once, when the model is opened. It is the
  // quicker way, but not the runtime's default.
  static Result<std::unique_ptr<BareWhisper>> Open(const std::string& folder,
                                                   const embedding::WhisperShape& shape,
                                                   bool unpack);
  ~BareWhisper();

  // Hears a window (a spectrogram) and says the likeliest token each time until `end`, at most 224.
  // Gives the runs of the decoder.
  Result<size_t> Say(std::span<const float> mel, const std::vector<int64_t>& beginning,
                     int64_t end);
  // The same, but says these tokens; the likeliest is looked for all the same.
  Result<size_t> Repeat(std::span<const float> mel, const std::vector<int64_t>& beginning,
                        const std::vector<int64_t>& said);

 private:
  struct Impl;
  explicit BareWhisper(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace msearch::bench
