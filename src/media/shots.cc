// Finding cuts while decoding as little as possible.
//
// One pass over the packets decodes the key frames only and compares each with the one before, on a
// grid of averaged cells. In between lies a stretch of frames that nobody looked at; what it holds
// is told from facts that cost nothing. Where an encoder puts key frames at cuts, the two key
// frames differ, the second came sooner than the encoder's usual distance, and no packet between
// them stands out as one with a new picture would (packet_sizes.h). Then the cut is the key frame.
//
// A packet that stands out is decoded by itself, right after the key frame before it: what it holds
// of a new picture is there whatever it refers to, and what it doesn't hold looks like the key
// frame. So a few frames tell whether it is a cut. Where all key frames are equally far apart, or
// one cut was found away from them, the encoder doesn't put them at cuts: then packets that stand
// out a little are decoded as well, as long as that finds something.
//
// Only what stays unexplained is decoded from the key frame on, without the frames that no other
// refers to, as far as the budget goes and something is found: key frames that differ clearly with
// a second between them that took more bytes than others (a dissolve), or of a codec whose frames
// can't be decoded alone (VP8, VP9), or with a packet between them that can only be a new picture.
// There the cut is where neighbours differ most: by an absolute amount, and by a multiple of what
// is usual around there, so that neither noise nor steady motion makes a cut. A dissolve shows as a
// peak of the differences across a second. Key frames that differ for no reason to be seen in the
// packets are taken for motion.

#include "media/shots.h"

#include <algorithm>
#include <cmath>

#include "media/packet_sizes.h"

namespace msearch::media {
namespace {

constexpr double kKeyStep = 0.5;        // of films made of key frames only: look this often
constexpr double kCloseStretch = 0.25;  // stretches no longer than this need no closer look
constexpr double kShortStretch = 2;     // wherever a cut is in it, it is near
constexpr size_t kSpikesMax = 12;       // of a stretch of kSpikesSeconds
constexpr double kSpikesSeconds = 10;
constexpr double kSpikesTimesMax = 100;  // of a longer one so many times as much at most
constexpr int kFramesHeld = 16;          // as many as the decoder can
constexpr double kSameDistance = 0.03;   // of key frames, as a share
constexpr double kFlash = 0.4;           // what is gone so soon is no shot
// Frames that may be decoded to look closer: so many, and a share of the film's.
constexpr size_t kCloserFrames = 300;
constexpr size_t kCloserShare = 10;
constexpr size_t kCloserShareMost = 2;  // where the encoder saw no cuts
// Looks that found nothing, more than those that found something, before the rest is taken for
// motion.
constexpr int kPatience = 4;
constexpr int kEncouraged = 2;
constexpr double kBehindHump = 1.5;
constexpr double kKeysDiffer = 6;  // worth a closer look
constexpr double kKeysDifferClearly = 14;
constexpr double kKeysDifferSurely = 40;  // seldom by motion
constexpr double kClearHump = 1.5;
constexpr double kDissolveTop = 0.3;  // no packet of a dissolve has so much of a second
constexpr double kMotionMax = 13;     // more than this between key frames is not all motion
constexpr double kJump = 7;           // of neighbouring frames, for a cut
constexpr double kJumpRatio = 4;      // over what is usual there
constexpr double kDissolve = 12;      // across kDissolveSeconds
constexpr double kDissolveSeconds = 1;
constexpr double kDissolveRatio = 3;

struct Key {
  double time = 0;
  FrameLook look;
  bool shown = true;  // not when the film begins after it, at 0
};

struct Cut {
  double time = 0;
  double strength = 0;
};

// The value below which this share of them lies.
double Quantile(std::vector<double> values, double share) {
  if (values.empty()) return 0;
  const auto at =
      values.begin() + static_cast<ptrdiff_t>(static_cast<double>(values.size() - 1) * share);
  std::nth_element(values.begin(), at, values.end());
  return *at;
}
double Median(std::vector<double> values) { return Quantile(std::move(values), 0.5); }

class Finder {
 public:
  Finder(AvFile& file, const ShotLimits& limits)
      : file_(file), stream_(*file.video()), limits_(limits) {}

  Result<Film> Find() {
    TRY(ReadKeys());
    if (keys_.empty()) return std::move(film_);
    MeasureDuration();
    std::vector<Cut> cuts;
    if (film_.duration > limits_.whole_seconds_max) {
      cuts = FindCuts();
      DropCloseCuts(&cuts);
      if (cuts.size() >= limits_.shots_max) DropWeakest(&cuts);
    }
    MakeShots(cuts);
    return std::move(film_);
  }

 private:
  bool OutOfTime() const {
    return file_.past_deadline() ||
           (limits_.deadline && std::chrono::steady_clock::now() > *limits_.deadline);
  }

  // Of its packet where that says it: with most packets left out the decoder guesses wrongly.
  double TimeOf(const AVFrame& frame) const {
    const int64_t stamp = frame.pts != AV_NOPTS_VALUE ? frame.pts : frame.best_effort_timestamp;
    return stamp == AV_NOPTS_VALUE ? -1 : file_.Seconds(stamp, stream_);
  }

  Result<> ReadKeys() {
    av::Codec codec = TRY(file_.Decoder(stream_, limits_.pixels_max));
    codec->skip_frame = AVDISCARD_NONKEY;
    codec->skip_loop_filter = AVDISCARD_ALL;
    const av::Packet packet = av::MakePacket();
    const av::Frame frame = av::MakeFrame();
    auto take = [&](AVFrame* decoded) {
      const double time = TimeOf(*decoded);
      const bool stamped = decoded->pts != AV_NOPTS_VALUE || time >= 0;
      const auto look = LookAt(*decoded);
      ++film_.decoded;
      if (look && stamped) keys_.push_back({std::max(0.0, time), *look, time >= 0});
      return true;
    };
    double last_key = -1e9;
    std::optional<double> last_seen;
    while (file_.Read(stream_, packet.get())) {
      const int64_t stamp = packet->pts != AV_NOPTS_VALUE ? packet->pts : packet->dts;
      if (stamp == AV_NOPTS_VALUE) continue;
      const double time = file_.Seconds(stamp, stream_);
      const bool key = (packet->flags & AV_PKT_FLAG_KEY) != 0;
      end_ =
          std::max(end_, time + static_cast<double>(packet->duration) * av_q2d(stream_.time_base));
      ++film_.frames;
      packets_.Add(time, static_cast<uint32_t>(packet->size), key);
      if (!key) continue;
      if (last_seen) {
        distances_.push_back(time - *last_seen);
        longest_ = std::max(longest_, distances_.back());
      }
      last_seen = time;
      if (time - last_key < kKeyStep) continue;
      if (OutOfTime()) break;
      last_key = time;
      // Of what is cut off at the beginning decoders give nothing.
      packet->flags &= ~AV_PKT_FLAG_DISCARD;
      DecodePacket(codec.get(), packet.get(), frame.get(), take);
      if (codec->codec_id != AV_CODEC_ID_HEVC) continue;
      // Before the next one makes its decoder drop what it still holds.
      DecodePacket(codec.get(), nullptr, frame.get(), take);
      Ffmpeg()->avcodec_flush_buffers(codec.get());
    }
    DecodePacket(codec.get(), nullptr, frame.get(), take);
    std::stable_sort(keys_.begin(), keys_.end(),
                     [](const Key& a, const Key& b) { return a.time < b.time; });
    // Of those before the film begins the last is what it begins with.
    while (keys_.size() > 1 && !keys_[0].shown && keys_[1].time <= 0) keys_.erase(keys_.begin());
    for (const Key& key : keys_) {
      if (key.shown) film_.keys.push_back(key.time);
    }
    return Ok{};
  }

  // What the file really holds: the end of a broken one is missing whatever its header says. When
  // time ran out the header has to be believed.
  void MeasureDuration() {
    film_.duration = std::max(end_, keys_.back().time);
    if (OutOfTime()) film_.duration = std::max(film_.duration, file_.duration());
  }

  // A stretch that has to be looked at more closely.
  struct Doubt {
    const Key* from = nullptr;
    const Key* to = nullptr;  // none: the film ends
    double end = 0;           // how far to look
    double weight = 0;
    std::optional<Cut> guess;  // when there is no time to look
    bool must = false;         // whatever the budget
    bool dissolves = true;     // may be in it
  };

  std::vector<Cut> FindCuts() {
    for (size_t i = 1; i < keys_.size(); ++i) {
      differences_.push_back(Difference(keys_[i - 1].look, keys_[i].look));
    }
    std::vector<Cut> cuts;
    regular_ = KeysAreRegular();
    for (size_t i = 0; i < differences_.size(); ++i) Explain(i, &cuts);
    // Behind the last key frame nobody looked.
    ExplainEnd(&cuts);
    std::stable_sort(doubts_.begin(), doubts_.end(),
                     [](const Doubt& a, const Doubt& b) { return a.weight > b.weight; });
    const size_t share = alone_ && !regular_ ? kCloserShare : kCloserShareMost;
    const size_t frames_max = film_.decoded + kCloserFrames + film_.frames / share;
    int patience = kPatience;
    for (const Doubt& doubt : doubts_) {
      if (!doubt.must && patience <= 0) continue;
      if ((doubt.must || film_.decoded < frames_max) && !OutOfTime()) {
        const size_t before = cuts.size();
        LookCloser(doubt, &cuts);
        if (cuts.size() > before) {
          patience += kEncouraged;
        } else if (!doubt.must) {
          --patience;
        }
      } else if (doubt.guess) {
        cuts.push_back(*doubt.guess);
      }
    }
    return cuts;
  }

  // Whether all key frames follow each other at the same distance: then they say nothing of cuts.
  bool KeysAreRegular() const {
    const auto usual = std::count_if(distances_.begin(), distances_.end(), [&](double distance) {
      return std::abs(distance - longest_) < kSameDistance * longest_;
    });
    return static_cast<size_t>(usual) * 10 >= distances_.size() * 9;
  }

  // Whether an encoder that was told how far key frames may be apart would have put one here
  // anyway: others are as far apart, or it came after a round number of seconds or of frames.
  bool IsLongest(double from, double to) const {
    constexpr double kCustoms[] = {12,  15,  24,  25,  30,  48,  50,  60,  75,  90,  100, 120,
                                   125, 128, 150, 180, 200, 240, 250, 256, 300, 500, 600};
    const double seconds = to - from;
    if (seconds < longest_ * (1 - kSameDistance)) return false;
    const auto as_far = std::count_if(distances_.begin(), distances_.end(), [&](double distance) {
      return distance > longest_ * (1 - kSameDistance);
    });
    const auto frames = static_cast<double>(packets_.CountBetween(from, to) + 1);
    return as_far > 1 ||
           std::any_of(std::begin(kCustoms), std::end(kCustoms),
                       [&](double custom) { return std::abs(frames - custom) <= 2; }) ||
           std::abs(seconds - std::round(seconds)) < 1.2 * seconds / frames;
  }

  // What lies between a key frame and the next, and what it says.
  struct Stretch {
    size_t index = 0;
    const Key* from = nullptr;
    const Key* to = nullptr;
    double length = 0;
    double difference = 0;
    bool differ = false;   // the two key frames do
    bool clearly = false;  // and hardly by motion
    bool surely = false;
    bool early = false;  // the second came before its time: the encoder saw something new
    PacketSizes::Spikes spikes;

    size_t spikes_max() const { return SpikesMax(length); }
  };
  static size_t SpikesMax(double length) {
    return static_cast<size_t>(std::clamp(length / kSpikesSeconds, 1.0, kSpikesTimesMax) *
                               kSpikesMax);
  }

  Stretch StretchAt(size_t i) const {
    Stretch stretch;
    stretch.index = i;
    stretch.from = &keys_[i];
    stretch.to = &keys_[i + 1];
    stretch.length = stretch.to->time - stretch.from->time;
    stretch.difference = differences_[i];
    const double usual = Usual(i);
    stretch.differ = stretch.difference > std::max(kKeysDiffer, 2 * usual);
    stretch.clearly = stretch.difference > std::max(kKeysDifferClearly, 3 * usual);
    stretch.surely = stretch.difference > kKeysDifferSurely;
    const double from = stretch.from->time;
    const double to = stretch.to->time;
    stretch.early = !IsUsual(stretch.length, i) && !IsLongest(from, to);
    stretch.spikes = packets_.SpikesBetween(from, to, stretch.spikes_max());
    return stretch;
  }

  void Explain(size_t i, std::vector<Cut>* cuts) {
    const Stretch stretch = StretchAt(i);
    // Away and back to the same picture are two changes.
    const bool away = (stretch.spikes.times.size() >= 2 && stretch.spikes.large) ||
                      (stretch.early && !stretch.spikes.sure.empty());
    if (!stretch.differ && !away) return;
    if (stretch.differ && stretch.length <= kCloseStretch) {
      if (stretch.difference > kJump) cuts->push_back({stretch.to->time, stretch.difference});
      return;
    }
    if (stretch.clearly && TellByKeys(stretch, cuts)) return;
    const bool certain = stretch.clearly && stretch.early;
    // An encoder that saw no cuts hid them.
    if (alone_ && regular_ && TakeHints(stretch, certain, cuts)) return;
    if (TellByPackets(stretch, cuts)) return;
    if (alone_ && TakeSpots(*stretch.from, stretch.to, stretch.spikes, certain, cuts)) {
      hidden_ = true;
      return;
    }
    if (alone_ && stretch.clearly && !regular_ && TakeHints(stretch, certain, cuts)) return;
    if (stretch.clearly || !stretch.spikes.sure.empty()) Suspect(stretch, cuts);
  }

  // What the sizes of packets only hint at, as long as that leads to something.
  bool TakeHints(const Stretch& stretch, bool certain, std::vector<Cut>* cuts) {
    if (hints_patience_ <= 0 || (!regular_ && !hidden_)) return false;
    PacketSizes::Spikes spikes = stretch.spikes;
    spikes.times = WithHints(spikes.times, stretch.from->time, stretch.to->time);
    if (spikes.times.size() == stretch.spikes.times.size()) return false;
    const bool found = TakeSpots(*stretch.from, stretch.to, spikes, certain, cuts);
    hidden_ |= found;
    hints_patience_ += found ? kEncouraged : -1;
    return found;
  }

  std::vector<double> WithHints(std::vector<double> times, double from, double to) const {
    const auto hints = packets_.HintsBetween(from, to, SpikesMax(to - from));
    times.insert(times.end(), hints.begin(), hints.end());
    std::sort(times.begin(), times.end());
    times.erase(std::unique(times.begin(), times.end()), times.end());
    return times;
  }

  // Cuts that key frames stand at: those between, or the one at the end.
  bool TellByKeys(const Stretch& stretch, std::vector<Cut>* cuts) {
    const double from = stretch.from->time;
    const double to = stretch.to->time;
    const auto keys = packets_.KeysBetween(from, to, kSpikesMax);
    if (!keys.empty() && TakeKeys(*stretch.from, *stretch.to, keys, cuts)) return true;
    if (!stretch.early || !stretch.spikes.sure.empty() || (stretch.spikes.large && alone_)) {
      return false;
    }
    cuts->push_back({to, stretch.difference});
    return true;
  }

  // What the sizes of packets say without a look at any: a cut, a dissolve, or that nothing in them
  // tells and all has to be looked at.
  bool TellByPackets(const Stretch& stretch, std::vector<Cut>* cuts) {
    const double from = stretch.from->time;
    const double to = stretch.to->time;
    if (!regular_ && stretch.clearly && !stretch.early &&
        (stretch.surely || stretch.length <= kShortStretch)) {
      if (const auto time = packets_.NewPictureBetween(from, to)) {
        cuts->push_back({*time, stretch.difference});
        hidden_ = true;
        return true;
      }
    }
    if (!stretch.surely || stretch.early || stretch.length <= kShortStretch) return false;
    if (stretch.spikes.times.empty() && !packets_.ShowsNewPictures(from, to)) {
      doubts_.push_back(
          {stretch.from, stretch.to, to, stretch.difference, std::nullopt, /*must=*/true});
      return true;
    }
    const auto hump = packets_.HumpBetween(from, to);
    if (!alone_ || !stretch.spikes.sure.empty() || !hump || hump->ratio <= kClearHump ||
        hump->top >= kDissolveTop)
      return false;
    cuts->push_back({hump->middle, stretch.difference});
    return true;
  }

  // Something changed, and nothing has told where.
  void Suspect(const Stretch& stretch, std::vector<Cut>* cuts) {
    const double from = stretch.from->time;
    const double to = stretch.to->time;
    const double difference = stretch.difference;
    Doubt doubt{stretch.from, stretch.to, to, difference, std::nullopt};
    const bool brief = stretch.length <= kShortStretch;
    // In a second nothing tells a dissolve from motion, but that there is none around it.
    const bool stands_out = difference >= 2.5 * Around(stretch.index, 3, 0.5);
    doubt.dissolves = !brief || stands_out;
    if (!stretch.spikes.sure.empty()) {
      doubt.must = true;
    } else if (stretch.early) {
      cuts->push_back({to, difference});
      return;
    } else if (packets_.SpentLittleBetween(from, to)) {
      doubt.guess = Cut{to, difference};
      doubt.dissolves = false;  // they cost more
    } else if (brief) {
      if (!stands_out) return;
      doubt.guess = Cut{to, difference};
    } else if (!alone_ && stretch.surely) {
      if (const auto large = packets_.LargeBetween(from, to)) doubt.guess = Cut{*large, difference};
    } else if (const auto hump = packets_.HumpBetween(from, to)) {
      doubt.guess = Cut{hump->middle, difference};
      doubt.end = std::min(to, hump->middle + kBehindHump);
    } else if (alone_ && !regular_) {
      return;
    }
    doubts_.push_back(doubt);
  }

  void ExplainEnd(std::vector<Cut>* cuts) {
    const Key& last = keys_.back();
    const double end = film_.duration + 1;
    PacketSizes::Spikes spikes = packets_.SpikesBetween(last.time, end, SpikesMax(end - last.time));
    Doubt doubt{&last, nullptr, end, kKeysDifferClearly, std::nullopt};
    // GIF's frames are small and have no other key than the first, whatever they show.
    doubt.must = stream_.codecpar->codec_id == AV_CODEC_ID_GIF || !spikes.sure.empty();
    if (alone_) {
      if (regular_ || hidden_) spikes.times = WithHints(spikes.times, last.time, end);
      TakeSpots(last, nullptr, spikes, false, cuts);
    } else if (doubt.must || !WithHints(spikes.times, last.time, end).empty()) {
      doubts_.push_back(doubt);
    }
  }

  // Where all key frames differ much, from motion, one pair has to stand out. Not above the middle
  // of them: there may be a cut in every second stretch.
  double Usual(size_t i) const {
    return keys_[i + 1].time - keys_[i].time < 4 ? std::min(Around(i, 6, 0.3), kMotionMax) : 0;
  }

  // The value below which this share of the differences around the i-th lies.
  double Around(size_t i, size_t reach, double share) const {
    std::vector<double> around;
    for (size_t j = i < reach ? 0 : i - reach; j < std::min(differences_.size(), i + reach + 1);
         ++j) {
      if (j != i) around.push_back(differences_[j]);
    }
    return Quantile(std::move(around), share);
  }

  // Whether other key frames follow each other at this distance, or this one comes the usual
  // longest time after an earlier one, so that it means nothing.
  bool IsUsual(double length, size_t i) const {
    const double expected = keys_[i + 1].time - longest_;
    const auto key = std::lower_bound(keys_.begin(), keys_.end(), expected - 0.02,
                                      [](const Key& a, double time) { return a.time < time; });
    if (key != keys_.end() && key != keys_.begin() + static_cast<ptrdiff_t>(i) &&
        key->time < expected + 0.02) {
      return true;
    }
    size_t same = 0;
    for (size_t j = 0; j + 1 < keys_.size(); ++j) {
      same += j != i && std::abs(keys_[j + 1].time - keys_[j].time - length) < 0.05 ? 1 : 0;
    }
    return same >= std::max<size_t>(2, keys_.size() * 3 / 20);
  }

  struct Looked {
    double time = 0;
    FrameLook look;
  };

  // Goes to the key frame at this time, or before it; the packet is the key frame's.
  bool GoTo(double time, AVPacket* packet) {
    // Containers without an index guess, and may end up behind it.
    for (const double back : {0.0, 2.0, 8.0}) {
      if (!file_.Seek(time - back, stream_)) continue;
      while (file_.Read(stream_, packet)) {
        if ((packet->flags & AV_PKT_FLAG_KEY) == 0) continue;
        const int64_t stamp = packet->pts != AV_NOPTS_VALUE ? packet->pts : packet->dts;
        if (stamp == AV_NOPTS_VALUE || file_.Seconds(stamp, stream_) <= time + 0.001) return true;
        break;
      }
    }
    return false;
  }

  // The frames of these packets, each decoded after the key frame and those before it, without
  // what lies between.
  std::vector<Looked> Spot(const Key& from, const std::vector<double>& times) {
    std::vector<Looked> looks;
    const av::Packet packet = av::MakePacket();
    const av::Frame frame = av::MakeFrame();
    auto made = file_.Decoder(stream_, limits_.pixels_max);
    if (!made.ok() || !GoTo(from.time, packet.get())) return looks;
    av::Codec codec = std::move(*made);
    codec->skip_loop_filter = AVDISCARD_ALL;
    codec->flags |= AV_CODEC_FLAG_OUTPUT_CORRUPT;
    // With frames missing H.264 counts wrongly, and drops what seems to come too late for its
    // place: unless nothing comes out before the end.
    if (codec->codec_id == AV_CODEC_ID_H264) codec->has_b_frames = kFramesHeld;
    auto take = [&](AVFrame* decoded) {
      ++film_.decoded;
      const double time = TimeOf(*decoded);
      if (!Has(times, time)) return true;
      if (const auto look = LookAt(*decoded)) looks.push_back({time, *look});
      return true;
    };
    DecodePacket(codec.get(), packet.get(), frame.get(), take);
    size_t left = times.size();
    while (left > 0 && file_.Read(stream_, packet.get())) {
      const int64_t stamp = packet->pts != AV_NOPTS_VALUE ? packet->pts : packet->dts;
      if (stamp == AV_NOPTS_VALUE) continue;
      const double time = file_.Seconds(stamp, stream_);
      if (time > times.back() + 2 || OutOfTime()) break;
      if (!Has(times, time)) continue;
      --left;
      DecodePacket(codec.get(), packet.get(), frame.get(), take);
    }
    DecodePacket(codec.get(), nullptr, frame.get(), take);
    std::sort(looks.begin(), looks.end(),
              [](const Looked& a, const Looked& b) { return a.time < b.time; });
    if (codec->codec_id == AV_CODEC_ID_HEVC) FillGray(from.look, &looks);
    return looks;
  }

  // Where a picture of HEVC builds on missing ones it is gray: nothing is known there, so it looks
  // like the one before.
  static void FillGray(const FrameLook& key, std::vector<Looked>* looks) {
    constexpr size_t kCells = size_t{FrameLook::kColumns} * FrameLook::kRows;
    const FrameLook* before = &key;
    for (Looked& looked : *looks) {
      for (size_t cell = 0; cell < kCells; ++cell) {
        bool gray = true;
        for (size_t part = 0; part < 3; ++part) {
          gray = gray && std::abs(looked.look.cells[part * kCells + cell] - 128) <= 2;
        }
        if (!gray) continue;
        for (size_t part = 0; part < 3; ++part) {
          looked.look.cells[part * kCells + cell] = before->cells[part * kCells + cell];
        }
      }
      before = &looked.look;
    }
  }

  // The cut among key frames that weren't looked at yet. False when none stands out.
  bool TakeKeys(const Key& from, const Key& to, const std::vector<double>& times,
                std::vector<Cut>* cuts) {
    if (OutOfTime()) return false;
    std::vector<Looked> looks = Spot(from, times);
    if (looks.empty()) return false;
    looks.push_back({to.time, to.look});
    const FrameLook* before = &from.look;
    Cut most;
    double second = 0;
    for (const Looked& looked : looks) {
      const double jump = Difference(*before, looked.look);
      second = std::max(second, std::min(jump, most.strength));
      if (jump > most.strength) most = {looked.time, jump};
      before = &looked.look;
    }
    if (most.strength < 2 * second) return false;
    cuts->push_back(most);
    return true;
  }

  // Cuts at those of the packets that begin something new. False when they don't explain the
  // stretch.
  bool TakeSpots(const Key& from, const Key* to, const PacketSizes::Spikes& spikes, bool key_at_cut,
                 std::vector<Cut>* cuts) {
    if (spikes.times.empty() || OutOfTime()) return false;
    const double jump_min =
        to == nullptr ? kKeysDifferClearly : std::max(kJump, Difference(from.look, to->look) / 4);
    std::vector<Cut> found;
    std::vector<const FrameLook*> seen{&from.look};
    bool sure = false;
    double back = -1;  // when a picture of before showed again, which the next key frame shows
    const std::vector<Looked> looks = Spot(from, spikes.times);
    for (const Looked& looked : looks) {
      const double jump = Difference(*seen.back(), looked.look);
      const bool new_picture = Has(spikes.sure, looked.time);
      if (jump < (new_picture ? kJump : jump_min)) continue;
      if (!new_picture && std::any_of(seen.begin(), seen.end(), [&](const FrameLook* other) {
            return Difference(*other, looked.look) < kJump;
          })) {
        // Or the packet holds little of a picture, and what it builds on is missing: then it looks
        // like one that was there before.
        if (back < 0 && to != nullptr &&
            Difference(looked.look, to->look) < Difference(*seen.back(), to->look) / 2) {
          back = looked.time;
        }
        continue;
      }
      if (new_picture && seen.size() > 1 && looked.time - found.back().time < kFlash &&
          Difference(*seen[seen.size() - 2], looked.look) < kJump) {
        found.pop_back();
        seen.pop_back();
        continue;
      }
      found.push_back({looked.time, jump});
      seen.push_back(&looked.look);
      sure |= new_picture;
      back = -1;
    }
    // Some decoders give nothing where too much is missing.
    for (const double time : spikes.sure) {
      const bool seen_there = std::any_of(looks.begin(), looks.end(), [&](const Looked& looked) {
        return std::abs(looked.time - time) < 1e-3;
      });
      if (!seen_there) found.push_back({time, kKeysDifferClearly});
    }
    if (found.empty()) return to == nullptr;
    if (to == nullptr) {
      cuts->insert(cuts->end(), found.begin(), found.end());
      return true;
    }
    const double rest = Difference(*seen.back(), to->look);
    if (rest > kJump && back >= 0) {
      if (back - found.back().time < kFlash) {
        found.pop_back();
      } else {
        found.push_back({back, rest});
      }
    } else if ((rest > kKeysDifferClearly && key_at_cut) ||
               (sure && !regular_ && rest > kKeysDifferClearly)) {
      found.push_back({to->time, rest});
    } else if (!sure && rest > std::max(kJump, 0.7 * found.back().strength)) {
      // The last of them has to lead to what the next key frame shows: a flash doesn't.
      return false;
    }
    cuts->insert(cuts->end(), found.begin(), found.end());
    return true;
  }

  // REQUIRES: `times` in order.
  static bool Has(const std::vector<double>& times, double time) {
    const auto next = std::lower_bound(times.begin(), times.end(), time - 1e-3);
    return next != times.end() && *next < time + 1e-3;
  }

  // Decodes from one key frame up to the end of the doubt, at most to the next key frame. What
  // can't be decoded is left out, and the difference of the key frames tells that there is a cut
  // between them.
  void LookCloser(const Doubt& doubt, std::vector<Cut>* cuts) {
    const Key& from = *doubt.from;
    const Key* const to = doubt.to;
    double end = doubt.end;
    std::vector<Looked> looks{{from.time, from.look}};
    const double arrived = to != nullptr ? Difference(from.look, to->look) / 5 : 0;
    const auto spikes = packets_.SpikesBetween(from.time, end, SpikesMax(end - from.time)).times;
    const double last_spike = spikes.empty() ? 0 : spikes.back();
    const av::Packet packet = av::MakePacket();
    const av::Frame frame = av::MakeFrame();
    auto made = file_.Decoder(stream_, limits_.pixels_max);
    if (made.ok() && GoTo(from.time, packet.get())) {
      av::Codec codec = std::move(*made);
      // Unfiltered pictures that others build on would drift away from what is meant.
      codec->skip_loop_filter = AVDISCARD_NONREF;
      codec->skip_frame = AVDISCARD_NONREF;
      bool done = false;
      auto take = [&](AVFrame* decoded) {
        const double time = TimeOf(*decoded);
        ++film_.decoded;
        done = time >= end - 1e-3;
        if (done || time <= from.time + 1e-3) return !done;
        const auto look = LookAt(*decoded);
        if (!look) return true;
        looks.push_back({time, *look});
        if (to == nullptr || Difference(*look, to->look) > arrived) return true;
        // What the next key frame shows is there; a little more, to see that it stays.
        end = std::min(end, std::max(time, last_spike) + kDissolveSeconds);
        return true;
      };
      size_t packets = 0;
      do {
        // A film that claims thousands of frames a second.
        if (++packets > 20000 || (packets % 64 == 0 && OutOfTime())) break;
        DecodePacket(codec.get(), packet.get(), frame.get(), take);
      } while (!done && file_.Read(stream_, packet.get()));
      if (!done) DecodePacket(codec.get(), nullptr, frame.get(), take);
    }
    if (to != nullptr && end >= to->time) looks.push_back({to->time, to->look});
    CutsAmong(looks, doubt.dissolves, cuts);
  }

  void CutsAmong(const std::vector<Looked>& looks, bool dissolves, std::vector<Cut>* cuts) const {
    if (looks.size() < 2) return;
    std::vector<double> jumps;
    for (size_t i = 1; i < looks.size(); ++i) {
      jumps.push_back(Difference(looks[i - 1].look, looks[i].look));
    }
    bool any = false;
    for (size_t i = 0; i < jumps.size(); ++i) {
      const size_t after = Flash(looks, jumps, i);
      if (after > i) {
        i = after;
        continue;
      }
      std::vector<double> around;
      for (size_t j = i < 12 ? 0 : i - 12; j < std::min(jumps.size(), i + 13); ++j) {
        if (j != i) around.push_back(jumps[j]);
      }
      if (jumps[i] < kJump || jumps[i] < kJumpRatio * Median(around)) continue;
      // A step of a dissolve is a small part of what changes around it.
      size_t begin = i;
      size_t end = i + 1;
      while (begin > 0 && looks[begin].time > looks[i].time - kDissolveSeconds / 2) --begin;
      while (end + 1 < looks.size() && looks[end].time < looks[i].time + kDissolveSeconds / 2)
        ++end;
      if (jumps[i] < Difference(looks[begin].look, looks[end].look) / 2) continue;
      cuts->push_back({looks[i + 1].time, jumps[i]});
      any = true;
    }
    if (!any && dissolves) DissolveAmong(looks, cuts);
  }

  // The jump back to the picture that this one leaves, where it follows soon; else i.
  static size_t Flash(const std::vector<Looked>& looks, const std::vector<double>& jumps,
                      size_t i) {
    if (jumps[i] < kJump) return i;
    for (size_t j = i + 1; j < jumps.size() && looks[j + 1].time < looks[i + 1].time + kFlash;
         ++j) {
      if (jumps[j] >= kJump && Difference(looks[i].look, looks[j + 1].look) < kJump / 2) return j;
    }
    return i;
  }

  void DissolveAmong(const std::vector<Looked>& looks, std::vector<Cut>* cuts) const {
    std::vector<double> across;
    std::vector<double> middles;
    size_t to = 0;
    for (size_t from = 0; from < looks.size(); ++from) {
      while (to < looks.size() && looks[to].time < looks[from].time + kDissolveSeconds) ++to;
      if (to == looks.size()) break;
      across.push_back(Difference(looks[from].look, looks[to].look));
      middles.push_back((looks[from].time + looks[to].time) / 2);
    }
    if (across.empty()) return;
    const auto peak = std::max_element(across.begin(), across.end());
    // In a stretch of which a second is a large part nothing can stand out, but motion would have
    // changed less in it than in all the stretch.
    const bool stands_out = looks.back().time - looks.front().time < 4 * kDissolveSeconds
                                ? *peak > 0.75 * Difference(looks.front().look, looks.back().look)
                                : *peak > kDissolveRatio * Median(across);
    if (*peak < kDissolve || !stands_out) return;
    // The first and last frame belong to different pictures: a flash comes back.
    if (Difference(looks.front().look, looks.back().look) < kDissolve) return;
    cuts->push_back({middles[static_cast<size_t>(peak - across.begin())], *peak});
  }

  void DropCloseCuts(std::vector<Cut>* cuts) const {
    std::sort(cuts->begin(), cuts->end(),
              [](const Cut& a, const Cut& b) { return a.time < b.time; });
    std::vector<Cut> kept;
    for (const Cut& cut : *cuts) {
      if (cut.time < limits_.shot_seconds_min ||
          film_.duration - cut.time < limits_.shot_seconds_min) {
        continue;
      }
      if (!kept.empty() && cut.time - kept.back().time < limits_.shot_seconds_min) {
        if (cut.strength > kept.back().strength) kept.back() = cut;
        continue;
      }
      kept.push_back(cut);
    }
    *cuts = std::move(kept);
  }

  void DropWeakest(std::vector<Cut>* cuts) const {
    const size_t keep = limits_.shots_max > 0 ? limits_.shots_max - 1 : 0;
    std::nth_element(cuts->begin(), cuts->begin() + static_cast<ptrdiff_t>(keep), cuts->end(),
                     [](const Cut& a, const Cut& b) { return a.strength > b.strength; });
    cuts->resize(keep);
    std::sort(cuts->begin(), cuts->end(),
              [](const Cut& a, const Cut& b) { return a.time < b.time; });
  }

  // The longest stretch without a cut that keeps the number of shots within its limit.
  double LongestShot(const std::vector<Cut>& cuts) const {
    if (film_.duration <= limits_.whole_seconds_max) return film_.duration + 1;
    const size_t spare =
        limits_.shots_max > cuts.size() + 1 ? limits_.shots_max - cuts.size() - 1 : 0;
    if (spare == 0) return film_.duration + 1;
    return std::max(limits_.shot_seconds_max, film_.duration / static_cast<double>(spare));
  }

  void MakeShots(const std::vector<Cut>& cuts) {
    const double longest = LongestShot(cuts);
    double start = 0;
    for (size_t i = 0; i <= cuts.size(); ++i) {
      const double end = i < cuts.size() ? cuts[i].time : film_.duration;
      const auto parts = static_cast<size_t>(std::max(1.0, std::ceil((end - start) / longest)));
      for (size_t part = 0; part < parts; ++part) {
        Shot shot;
        shot.start = start + (end - start) * static_cast<double>(part) / static_cast<double>(parts);
        shot.end =
            start + (end - start) * static_cast<double>(part + 1) / static_cast<double>(parts);
        ChooseFrame(&shot);
        film_.shots.push_back(shot);
      }
      start = end;
    }
  }

  // A key frame that shows something, near the middle; else a moment soon after the beginning.
  void ChooseFrame(Shot* shot) const {
    const double middle = (shot->start + shot->end) / 2;
    const double half = std::max(0.001, (shot->end - shot->start) / 2);
    double best = -1;
    for (const Key& key : keys_) {
      if (key.time < shot->start - 1e-3) continue;
      if (key.time > shot->end - 1e-3) break;
      const double centred = 1 - std::abs(key.time - middle) / half;
      const double score = std::min(Contrast(key.look), 30.0) / 30 + 0.5 * std::max(0.0, centred);
      if (score <= best) continue;
      best = score;
      shot->frame = key.time;
      shot->key = key.shown;
      shot->contrast = Contrast(key.look);
    }
    if (!shot->key && best < 0)
      shot->frame = shot->start + std::min(1.0, (shot->end - shot->start) / 3);
  }

  // Whether a packet can be decoded when some before it are missing: where their values steer how
  // the next ones are read, nothing sensible comes out.
  static bool DecodesAlone(AVCodecID codec) {
    switch (codec) {
      case AV_CODEC_ID_H264:
      case AV_CODEC_ID_HEVC:
      case AV_CODEC_ID_MPEG4:
      case AV_CODEC_ID_MPEG2VIDEO:
      case AV_CODEC_ID_MPEG1VIDEO:
      case AV_CODEC_ID_H263:
      case AV_CODEC_ID_MSMPEG4V3:
      case AV_CODEC_ID_WMV1:
      case AV_CODEC_ID_WMV2:
        return true;
      default:
        return false;
    }
  }

  AvFile& file_;
  const AVStream& stream_;
  const ShotLimits& limits_;
  const bool alone_ = DecodesAlone(stream_.codecpar->codec_id);
  Film film_;
  PacketSizes packets_;
  std::vector<Doubt> doubts_;
  std::vector<Key> keys_;
  std::vector<double> differences_;  // of each key frame from the next
  int hints_patience_ = kPatience;
  bool regular_ = false;
  bool hidden_ = false;            // a cut was found that no key frame stands at
  std::vector<double> distances_;  // of key frames, looked at or not
  double longest_ = 0;             // of these
  double end_ = 0;
};

}  // namespace

Result<Film> FindShots(AvFile& file, const ShotLimits& limits) {
  return Finder(file, limits).Find();
}

}  // namespace msearch::media
