// Cuts a long recording into windows of speech for a model that hears 30 seconds at a time. Pauses
// and everything that isn't speech are left out, so that silence costs nothing and can't be
// mistaken for words; a window remembers where its parts come from.
#pragma once

#include <cstddef>
#include <deque>
#include <functional>
#include <span>
#include <vector>

#include "base/result.h"

namespace msearch::embedding {

struct SpeechWindow {
  struct Piece {
    size_t offset = 0;  // in `samples`
    size_t source = 0;  // sample of the recording
    size_t length = 0;
  };
  std::vector<float> samples;
  std::vector<Piece> pieces;

  // Where a moment of the window lies in the recording, both in seconds. At a seam between two
  // pieces the later one counts for a beginning, the earlier one for an end. REQUIRES: a piece
  double BeginsAt(double seconds) const;
  double EndsAt(double seconds) const;
};

// Takes a recording piece by piece and holds no more than a window of it. Not thread-safe.
class SpeechWindows {
 public:
  static constexpr size_t kRate = 16000;
  static constexpr size_t kFrame = 512;
  static constexpr size_t kWindowMax = 30 * kRate;

  // How likely it is that somebody speaks in the next kFrame samples.
  using Activity = std::function<Result<float>(std::span<const float> frame)>;
  // Takes a window that is complete; an error ends the work.
  using Take = std::function<Result<>(SpeechWindow window)>;

  SpeechWindows(Activity activity, Take take);

  Result<> Add(std::span<const float> samples);
  // REQUIRES: no Add after it
  Result<> Finish();

 private:
  Result<> AddFrame(std::span<const float> frame);
  // Ends the speech that is being heard at `length` samples after its beginning.
  Result<> EndSpeech(size_t length);
  Result<> CutLongSpeech();
  // The end of the quietest frame of the speech before `room`, if it is a pause and leaves parts
  // worth hearing on both sides; otherwise 0.
  size_t PauseWithin(size_t room, size_t length) const;
  // Puts samples of the speech at the window's end. REQUIRES: that they fit
  void AddPiece(size_t begin, size_t end);
  Result<> Emit();

  const Activity activity_;
  const Take take_;
  std::vector<float> rest_;    // less than a frame
  size_t heard_ = 0;           // samples, whole frames
  std::deque<float> lead_in_;  // what came just before, while nobody speaks

  bool speaking_ = false;
  std::vector<float> speech_;      // from its beginning (with the lead-in) on
  std::vector<float> activities_;  // of each frame of speech_ behind the lead-in
  size_t lead_in_length_ = 0;
  size_t speech_source_ = 0;
  size_t voiced_ = 0;      // frames with a voice
  size_t last_voice_ = 0;  // samples from the beginning of speech_ to the end of the last of them

  SpeechWindow window_;
};

}  // namespace msearch::embedding
