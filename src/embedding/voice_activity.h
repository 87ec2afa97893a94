// Where somebody speaks: Silero's voice activity model, frame by frame.
#pragma once

#include <array>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "embedding/onnx_runtime.h"

namespace msearch::embedding {

// One stream of sound at a time; not thread-safe.
class VoiceActivity {
 public:
  static constexpr size_t kFrame = 512;  // samples at 16 kHz: 32 ms

  static Result<std::unique_ptr<VoiceActivity>> Open(const std::string& model_path,
                                                     const SessionOptions& options);
  // Forgets what was heard.
  void Reset();
  // How likely it is that somebody speaks in the next kFrame samples. Amid clear speech only every
  // other frame is listened to; the one after it counts as just as likely.
  Result<float> Probability(std::span<const float> frame);
  // Processor time that this has taken since it was last asked.
  double TakeSeconds() { return std::exchange(seconds_, 0); }

 private:
  static constexpr size_t kContext = 64;  // samples before the frame that the model sees as well

  explicit VoiceActivity(std::unique_ptr<Session> session);

  std::unique_ptr<Session> session_;
  std::array<float, kContext + kFrame> input_{};
  HeldTensor state_;
  size_t silent_frames_ = 0;
  float last_ = 0;      // probability
  size_t skipped_ = 0;  // frames since it was computed
  double seconds_ = 0;
};

}  // namespace msearch::embedding
