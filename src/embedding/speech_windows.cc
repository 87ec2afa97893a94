#include "embedding/speech_windows.h"

#include <algorithm>
#include <utility>

// Speech begins with a frame that is likely enough, and ends when none was for half a second; a
// little of what is around it belongs to it. Neighbouring stretches share a window, with the pause
// between them cut short, unless it was so long that they hardly belong together. Of a stretch that
// doesn't fit any more, a window takes what comes before a short pause: a window costs the same
// however much is in it. Speech without a pause is cut where a voice is least likely in the
// window's last third.

namespace msearch::embedding {
namespace {

constexpr float kBegin = 0.5F;
constexpr float kGoOn = 0.35F;
constexpr size_t kRate = SpeechWindows::kRate;
constexpr size_t kPause = kRate / 2;      // ends speech
constexpr size_t kMargin = kRate / 5;     // kept around speech
constexpr size_t kPauseKept = kRate / 2;  // of a pause within a window
constexpr size_t kPauseMax = 8 * kRate;   // within a window
constexpr size_t kVoicedMin = 4;          // frames; less is a click
constexpr size_t kPartMin = 2 * kRate;    // of speech that is divided between windows

double Seconds(size_t samples) { return static_cast<double>(samples) / kRate; }

}  // namespace

double SpeechWindow::BeginsAt(double seconds) const {
  for (const Piece& piece : pieces) {
    // A moment in the pause before a piece is the piece's beginning.
    if (seconds >= Seconds(piece.offset + piece.length)) continue;
    return Seconds(piece.source) + std::max(seconds - Seconds(piece.offset), 0.0);
  }
  return Seconds(pieces.back().source + pieces.back().length);
}

double SpeechWindow::EndsAt(double seconds) const {
  for (auto piece = pieces.rbegin(); piece != pieces.rend(); ++piece) {
    if (seconds <= Seconds(piece->offset)) continue;
    return Seconds(piece->source) +
           std::min(seconds - Seconds(piece->offset), Seconds(piece->length));
  }
  return Seconds(pieces.front().source);
}

SpeechWindows::SpeechWindows(Activity activity, Take take)
    : activity_(std::move(activity)), take_(std::move(take)) {}

Result<> SpeechWindows::Add(std::span<const float> samples) {
  rest_.insert(rest_.end(), samples.begin(), samples.end());
  size_t begin = 0;
  for (; begin + kFrame <= rest_.size(); begin += kFrame) {
    TRY(AddFrame({rest_.data() + begin, kFrame}));
  }
  rest_.erase(rest_.begin(), rest_.begin() + static_cast<ptrdiff_t>(begin));
  return Ok{};
}

Result<> SpeechWindows::Finish() {
  if (!rest_.empty()) {
    rest_.resize(kFrame, 0.0F);
    TRY(AddFrame(rest_));
  }
  if (speaking_) TRY(EndSpeech(std::min(speech_.size(), last_voice_ + kMargin)));
  return Emit();
}

Result<> SpeechWindows::AddFrame(std::span<const float> frame) {
  const float activity = TRY(activity_(frame));
  heard_ += kFrame;
  if (!speaking_ && activity < kBegin) {
    lead_in_.insert(lead_in_.end(), frame.begin(), frame.end());
    while (lead_in_.size() > kMargin) lead_in_.pop_front();
    return Ok{};
  }
  if (!speaking_) {
    speaking_ = true;
    speech_.assign(lead_in_.begin(), lead_in_.end());
    lead_in_length_ = lead_in_.size();
    speech_source_ = heard_ - kFrame - lead_in_length_;
    lead_in_.clear();
    activities_.clear();
    voiced_ = 0;
  }
  speech_.insert(speech_.end(), frame.begin(), frame.end());
  activities_.push_back(activity);
  if (activity >= kGoOn) {
    ++voiced_;
    last_voice_ = speech_.size();
  }
  if (speech_.size() >= last_voice_ + kPause) {
    TRY(EndSpeech(last_voice_ + kMargin));
    speaking_ = false;
    lead_in_.assign(speech_.end() - kMargin, speech_.end());
    return Ok{};
  }
  return speech_.size() + kFrame > kWindowMax ? CutLongSpeech() : Ok{};
}

Result<> SpeechWindows::CutLongSpeech() {
  const auto from = activities_.begin() + static_cast<ptrdiff_t>(activities_.size() * 2 / 3);
  const auto quietest = std::min_element(from, activities_.end());
  const auto frames = static_cast<size_t>(quietest - activities_.begin()) + 1;
  const size_t length = lead_in_length_ + frames * kFrame;
  TRY(EndSpeech(length));
  speech_.erase(speech_.begin(), speech_.begin() + static_cast<ptrdiff_t>(length));
  activities_.erase(activities_.begin(), quietest + 1);
  speech_source_ += length;
  lead_in_length_ = 0;
  last_voice_ = last_voice_ > length ? last_voice_ - length : 0;
  voiced_ = static_cast<size_t>(
      std::count_if(activities_.begin(), activities_.end(), [](float a) { return a >= kGoOn; }));
  return Ok{};
}

Result<> SpeechWindows::EndSpeech(size_t length) {
  if (voiced_ < kVoicedMin) return Ok{};
  size_t begin = 0;
  if (!window_.pieces.empty()) {
    const SpeechWindow::Piece& last = window_.pieces.back();
    const size_t pause = speech_source_ - (last.source + last.length);
    const size_t used = window_.samples.size() + std::min(pause, kPauseKept);
    if (pause > kPauseMax) {
      TRY(Emit());
    } else if (used + length > kWindowMax) {
      begin = used < kWindowMax ? PauseWithin(kWindowMax - used, length) : 0;
      if (begin > 0) {
        window_.samples.resize(used, 0.0F);
        AddPiece(0, begin);
      }
      TRY(Emit());
    } else {
      window_.samples.resize(used, 0.0F);
    }
  }
  AddPiece(begin, length);
  return Ok{};
}

size_t SpeechWindows::PauseWithin(size_t room, size_t length) const {
  size_t best = 0;
  float least = kGoOn;
  for (size_t frame = 0; frame < activities_.size(); ++frame) {
    const size_t end = lead_in_length_ + (frame + 1) * kFrame;
    if (end > room || end + kPartMin > length) break;
    if (end < kPartMin || activities_[frame] > least) continue;
    least = activities_[frame];
    best = end;
  }
  return best;
}

void SpeechWindows::AddPiece(size_t begin, size_t end) {
  window_.pieces.push_back({window_.samples.size(), speech_source_ + begin, end - begin});
  window_.samples.insert(window_.samples.end(), speech_.begin() + static_cast<ptrdiff_t>(begin),
                         speech_.begin() + static_cast<ptrdiff_t>(end));
}

Result<> SpeechWindows::Emit() {
  if (window_.pieces.empty()) return Ok{};
  return take_(std::exchange(window_, {}));
}

}  // namespace msearch::embedding
