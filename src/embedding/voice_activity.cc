#include "embedding/voice_activity.h"

#include <algorithm>
#include <cmath>

#include "embedding/thread_clock.h"

namespace msearch::embedding {
namespace {

constexpr std::array<int64_t, 3> kStateShape = {2, 1, 128};
constexpr std::array<float, 2 * 128> kNoState{};
// About -70 dB: no recording's speech is so quiet. Spares the model digital silence.
constexpr float kSilence = 3e-4F;
// After so many the model has settled on "nobody" anyway; its state then starts afresh.
constexpr size_t kSilentFramesMax = 8;
// From here on speech hardly ends within the next frame; where it does, that is found a frame
// later.
constexpr float kSure = 0.9F;
constexpr size_t kSkippedMax = 1;

}  // namespace

VoiceActivity::VoiceActivity(std::unique_ptr<Session> session) : session_(std::move(session)) {
  Reset();
}

Result<std::unique_ptr<VoiceActivity>> VoiceActivity::Open(const std::string& model_path,
                                                           const SessionOptions& options) {
  SessionOptions single = options;  // the frames are far too small to share
  single.threads = 1;
  single.device = "cpu";
  return std::unique_ptr<VoiceActivity>(new VoiceActivity(TRY(Session::Open(model_path, single))));
}

void VoiceActivity::Reset() {
  input_.fill(0);
  silent_frames_ = 0;
  last_ = 0;
  skipped_ = 0;
  state_ = HeldTensor({kStateShape.begin(), kStateShape.end()}, kNoState, nullptr);
}

Result<float> VoiceActivity::Probability(std::span<const float> frame) {
  if (frame.size() != kFrame) {
    return Error{Code::kInvalid, "voice activity: a frame of " + std::to_string(frame.size()) +
                                     " samples, expected " + std::to_string(kFrame)};
  }
  const bool silent =
      std::all_of(frame.begin(), frame.end(), [](float x) { return std::abs(x) < kSilence; });
  silent_frames_ = silent ? silent_frames_ + 1 : 0;
  if (silent_frames_ > kSilentFramesMax) {
    const size_t silent_frames = silent_frames_;
    Reset();
    silent_frames_ = silent_frames;
    return 0.0F;
  }
  if (last_ >= kSure && !silent && skipped_ < kSkippedMax) {
    ++skipped_;
    std::copy(frame.end() - kContext, frame.end(), input_.begin());
    return last_;
  }
  skipped_ = 0;
  std::copy(frame.begin(), frame.end(), input_.begin() + kContext);
  constexpr int64_t kRate = 16000;
  const std::vector<TensorView> inputs = {
      {"input", TensorView::Type::kFloat, {1, kContext + kFrame}, input_.data()},
      state_.As("state"),
      {"sr", TensorView::Type::kInt64, {}, &kRate}};
  const double before = ThreadSeconds();
  std::vector<HeldTensor> outputs = TRY(session_->RunHeld(inputs, {"output", "stateN"}));
  seconds_ += ThreadSeconds() - before;
  if (outputs[0].values().size() != 1 || outputs[1].values().size() != kNoState.size()) {
    return Error{Code::kInternal, "voice activity: the model has outputs of another size"};
  }
  state_ = std::move(outputs[1]);
  std::copy(input_.end() - kContext, input_.end(), input_.begin());
  last_ = outputs[0].values()[0];
  return last_;
}

}  // namespace msearch::embedding
