// Finding cuts while decoding as little as possible.
//
// One pass over the packets decodes the key frames only and compares each with the one before, on a
// grid of averaged cells. In between lies a stretch of frames that nobody looked at. Encoders put
// key frames at cuts where they can, so most cuts show in three facts that cost nothing: the two
// key frames differ, the second came sooner than the encoder's usual distance, and no packet
// between them stands out as one that holds a new picture would. Then the cut is the key frame.
// Where key frames differ but that explanation fails, or where a packet between them stands out, or
// key frames are far apart, the stretch is decoded (without the frames that no other refers to) and
// the cut is where neighbours differ most: by an absolute amount, and by a multiple of what is
// usual around there, so that neither noise nor steady motion makes a cut. A dissolve shows as a
// peak of the differences across a second.

#include "media/shots.h"

#include <algorithm>
#include <cmath>

namespace msearch::media {
namespace {

constexpr double kKeyStep = 0.5;        // of films made of key frames only: look this often
constexpr double kCloseStretch = 0.25;  // stretches no longer than this need no closer look
constexpr double kLongStretch = 12;     // longer ones are always decoded
constexpr double kKeysDiffer = 6;       // worth a closer look
constexpr double kKeysDifferClearly = 14;
constexpr double kJump = 7;       // of neighbouring frames, for a cut
constexpr double kJumpRatio = 4;  // over what is usual there
constexpr double kDissolve = 12;  // across kDissolveSeconds
constexpr double kDissolveSeconds = 1;
constexpr double kDissolveRatio = 3;
constexpr size_t kPacketsMax = 4'000'000;

struct PacketNote {
  double time = 0;
  uint32_t bytes = 0;
  bool key = false;
};

struct Key {
  double time = 0;
  FrameLook look;
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

  double TimeOf(const AVFrame& frame) const {
    return frame.best_effort_timestamp == AV_NOPTS_VALUE
               ? -1
               : file_.Seconds(frame.best_effort_timestamp, stream_);
  }

  Result<> ReadKeys() {
    av::Codec codec = TRY(file_.Decoder(stream_, limits_.pixels_max));
    codec->skip_frame = AVDISCARD_NONKEY;
    codec->skip_loop_filter = AVDISCARD_ALL;
    const av::Packet packet = av::MakePacket();
    const av::Frame frame = av::MakeFrame();
    auto take = [&](AVFrame* decoded) {
      const double time = TimeOf(*decoded);
      const auto look = LookAt(*decoded);
      ++film_.decoded;
      if (look && time >= 0) keys_.push_back({time, *look});
      return true;
    };
    double last_key = -1e9;
    while (file_.Read(stream_, packet.get())) {
      const int64_t stamp = packet->pts != AV_NOPTS_VALUE ? packet->pts : packet->dts;
      if (stamp == AV_NOPTS_VALUE) continue;
      const double time = file_.Seconds(stamp, stream_);
      const bool key = (packet->flags & AV_PKT_FLAG_KEY) != 0;
      end_ =
          std::max(end_, time + static_cast<double>(packet->duration) * av_q2d(stream_.time_base));
      ++film_.frames;
      if (packets_.size() < kPacketsMax) {
        packets_.push_back({time, static_cast<uint32_t>(packet->size), key});
      }
      if (!key || time - last_key < kKeyStep) continue;
      if (OutOfTime()) break;
      last_key = time;
      DecodePacket(codec.get(), packet.get(), frame.get(), take);
    }
    DecodePacket(codec.get(), nullptr, frame.get(), take);
    std::stable_sort(keys_.begin(), keys_.end(),
                     [](const Key& a, const Key& b) { return a.time < b.time; });
    std::stable_sort(packets_.begin(), packets_.end(),
                     [](const PacketNote& a, const PacketNote& b) { return a.time < b.time; });
    for (const Key& key : keys_) film_.keys.push_back(key.time);
    return Ok{};
  }

  // What the file really holds: the end of a broken one is missing whatever its header says. When
  // time ran out the header has to be believed.
  void MeasureDuration() {
    film_.duration = std::max(end_, keys_.back().time);
    if (OutOfTime()) film_.duration = std::max(film_.duration, file_.duration());
  }

  std::vector<Cut> FindCuts() {
    std::vector<double> differences;
    std::vector<double> lengths;
    for (size_t i = 1; i < keys_.size(); ++i) {
      differences.push_back(Difference(keys_[i - 1].look, keys_[i].look));
      lengths.push_back(keys_[i].time - keys_[i - 1].time);
    }
    const double longest = lengths.empty() ? 0 : *std::max_element(lengths.begin(), lengths.end());
    std::vector<Cut> cuts;
    for (size_t i = 0; i < differences.size(); ++i) {
      const Suspicion suspicion = Suspect(i, differences, longest);
      if (suspicion == Suspicion::kCutAtKey || suspicion == Suspicion::kCutNear) {
        cuts.push_back({keys_[i + 1].time, differences[i]});
      } else if (suspicion == Suspicion::kLook && !OutOfTime()) {
        LookCloser(keys_[i], &keys_[i + 1], &cuts);
      }
    }
    // Behind the last key frame nobody looked.
    const Key& last = keys_.back();
    const bool worth = film_.duration - last.time > kLongStretch ||
                       LargestBetween(last.time, film_.duration).suspicious;
    if (worth && !OutOfTime()) LookCloser(last, nullptr, &cuts);
    return cuts;
  }

  enum class Suspicion { kNone, kCutAtKey, kCutNear, kLook };

  Suspicion Suspect(size_t i, const std::vector<double>& differences, double longest) {
    const double begin = keys_[i].time;
    const double end = keys_[i + 1].time;
    // Where all key frames differ much, from motion, one pair has to stand out. Not above the
    // middle of them: there may be a cut in every second stretch.
    std::vector<double> around;
    for (size_t j = i < 6 ? 0 : i - 6; j < std::min(differences.size(), i + 7); ++j) {
      if (j != i) around.push_back(differences[j]);
    }
    const double usual = end - begin < 4 ? Quantile(around, 0.3) : 0;
    const bool differ = differences[i] > std::max(kKeysDiffer, 2 * usual);
    const Spike spike = LargestBetween(begin, end);
    if (end - begin > kLongStretch) return Suspicion::kLook;
    if (!differ) return spike.suspicious ? Suspicion::kLook : Suspicion::kNone;
    if (end - begin <= kCloseStretch) {
      return differences[i] > kJump ? Suspicion::kCutNear : Suspicion::kNone;
    }
    const bool early = end - begin < longest * 0.97 && !IsUsual(end - begin, i);
    if (early && !spike.suspicious && differences[i] > std::max(kKeysDifferClearly, 3 * usual)) {
      return Suspicion::kCutAtKey;
    }
    return Suspicion::kLook;
  }

  // Whether other key frames follow each other at this distance, so that it means nothing.
  bool IsUsual(double length, size_t i) const {
    size_t same = 0;
    for (size_t j = 0; j + 1 < keys_.size(); ++j) {
      same += j != i && std::abs(keys_[j + 1].time - keys_[j].time - length) < 0.05 ? 1 : 0;
    }
    return same >= std::max<size_t>(2, keys_.size() * 3 / 20);
  }

  struct Spike {
    bool suspicious = false;  // some packet may hold a new picture
  };

  Spike LargestBetween(double begin, double end) const {
    const auto first =
        std::upper_bound(packets_.begin(), packets_.end(), begin + 1e-6,
                         [](double time, const PacketNote& packet) { return time < packet.time; });
    const uint32_t key_bytes = first != packets_.begin() ? std::prev(first)->bytes : 0;
    std::vector<uint32_t> sizes;
    for (auto packet = first; packet != packets_.end() && packet->time < end - 1e-6; ++packet) {
      sizes.push_back(packet->bytes);
    }
    Spike spike;
    for (size_t i = 0; i < sizes.size(); ++i) {
      // A new picture costs more than anything shortly before it, and more than what follows.
      constexpr size_t kNear = 8;
      uint32_t before = 0;
      uint32_t after = 0;
      for (size_t j = i < kNear ? 0 : i - kNear; j < i; ++j) before = std::max(before, sizes[j]);
      for (size_t j = i + 1; j < std::min(sizes.size(), i + 1 + kNear); ++j) {
        after = std::max(after, sizes[j]);
      }
      spike.suspicious |= sizes[i] > 128 && sizes[i] > key_bytes / 6 && sizes[i] > before * 1.8 &&
                          sizes[i] > after * 1.2;
      // Or what follows is of another sort: a new picture that is simple costs little.
      constexpr uint32_t kLevel = 6;
      spike.suspicious |= i >= 3 && i + 3 < sizes.size() && std::max(before, after) > 512 &&
                          (after > kLevel * before || before > kLevel * after);
    }
    return spike;
  }

  struct Looked {
    double time = 0;
    FrameLook look;
  };

  // Goes to the key frame at this time, or before it; the packet is the key frame's.
  bool GoTo(double time, AVPacket* packet) {
    // Containers without an index guess, and may end up behind it.
    for (const double back : {0.0, 2.0, 8.0}) {
      if (!file_.Seek(std::max(0.0, time - back), stream_)) return false;
      while (file_.Read(stream_, packet)) {
        if ((packet->flags & AV_PKT_FLAG_KEY) == 0) continue;
        const int64_t stamp = packet->pts != AV_NOPTS_VALUE ? packet->pts : packet->dts;
        if (stamp == AV_NOPTS_VALUE || file_.Seconds(stamp, stream_) <= time + 0.001) return true;
        break;
      }
    }
    return false;
  }

  // Decodes from one key frame up to the next (none: to the end). What can't be decoded is left
  // out, and the difference of the key frames tells that there is a cut between them.
  void LookCloser(const Key& from, const Key* to, std::vector<Cut>* cuts) {
    std::vector<Looked> looks{{from.time, from.look}};
    const double end = to != nullptr ? to->time : film_.duration;
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
        if (look) looks.push_back({time, *look});
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
    if (to != nullptr) looks.push_back({to->time, to->look});
    CutsAmong(looks, cuts);
  }

  void CutsAmong(const std::vector<Looked>& looks, std::vector<Cut>* cuts) const {
    if (looks.size() < 2) return;
    std::vector<double> jumps;
    for (size_t i = 1; i < looks.size(); ++i) {
      jumps.push_back(Difference(looks[i - 1].look, looks[i].look));
    }
    bool any = false;
    for (size_t i = 0; i < jumps.size(); ++i) {
      std::vector<double> around;
      for (size_t j = i < 12 ? 0 : i - 12; j < std::min(jumps.size(), i + 13); ++j) {
        if (j != i) around.push_back(jumps[j]);
      }
      if (jumps[i] < kJump || jumps[i] < kJumpRatio * Median(around)) continue;
      cuts->push_back({looks[i + 1].time, jumps[i]});
      any = true;
    }
    if (!any) DissolveAmong(looks, cuts);
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
    // A second must be a small part of the stretch, or nothing can stand out.
    if (across.empty() || looks.back().time - looks.front().time < 4 * kDissolveSeconds) return;
    const auto peak = std::max_element(across.begin(), across.end());
    if (*peak < kDissolve || *peak < kDissolveRatio * Median(across)) return;
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
      shot->key = true;
      shot->contrast = Contrast(key.look);
    }
    if (!shot->key) shot->frame = shot->start + std::min(1.0, (shot->end - shot->start) / 3);
  }

  AvFile& file_;
  const AVStream& stream_;
  const ShotLimits& limits_;
  Film film_;
  std::vector<PacketNote> packets_;
  std::vector<Key> keys_;
  double end_ = 0;
};

}  // namespace

Result<Film> FindShots(AvFile& file, const ShotLimits& limits) {
  return Finder(file, limits).Find();
}

}  // namespace msearch::media
