#include "media/packet_sizes.h"

#include <algorithm>
#include <cmath>

namespace msearch::media {
namespace {

constexpr size_t kPacketsMax = 2'000'000;
constexpr double kSame = 1e-6;  // seconds
// A film whose packets are shown in another order than decoded is shuffled by no more than this.
constexpr double kShuffle = 3;
constexpr double kLarge = 0.4;  // of a key frame: so much is spent on new pictures only
constexpr double kHumpSeconds = 1;
constexpr double kHumpRatio = 1.15;
// Seconds from the key frames: encoders often spend more on the first packets, and what rises up to
// the last may not fall.
constexpr double kFirst = 0.9;
constexpr double kHumpSpread = 4;  // times the usual spread of seconds

struct Strong {
  double time = 0;
  double strength = 0;
};
// The times of the strongest, in order.
std::vector<double> Strongest(std::vector<Strong> all, size_t count_max) {
  if (all.size() > count_max) {
    std::nth_element(all.begin(), all.begin() + static_cast<ptrdiff_t>(count_max), all.end(),
                     [](const Strong& a, const Strong& b) { return a.strength > b.strength; });
    all.resize(count_max);
  }
  std::vector<double> times;
  for (const Strong& strong : all) times.push_back(strong.time);
  std::sort(times.begin(), times.end());
  return times;
}

// REQUIRES: not empty.
double Median(std::vector<double>* values) {
  const auto middle = values->begin() + static_cast<ptrdiff_t>(values->size() / 2);
  std::nth_element(values->begin(), middle, values->end());
  return *middle;
}

}  // namespace

void PacketSizes::Add(double time, uint32_t bytes, bool key) {
  if (notes_.size() >= kPacketsMax) return;
  notes_.push_back({time, bytes, key, time > latest_});
  latest_ = std::max(latest_, time);
}

std::vector<PacketSizes::Note> PacketSizes::Between(double begin, double end) const {
  std::vector<Note> out;
  // Nearly sorted: what is shuffled is near.
  auto note = std::partition_point(notes_.begin(), notes_.end(), [&](const Note& other) {
    return other.time < begin - kShuffle;
  });
  for (; note != notes_.end() && note->time < end + kShuffle; ++note) {
    if (note->time > begin + kSame && note->time < end - kSame) out.push_back(*note);
  }
  return out;
}

std::vector<PacketSizes::Note> PacketSizes::CarriersBetween(double begin, double end,
                                                            uint32_t* key_bytes) const {
  std::vector<Note> notes;
  for (const Note& note : Between(begin - kShuffle, end)) {
    if (note.key && note.time <= begin + kSame) *key_bytes = note.bytes;
    if (note.time > begin + kSame && note.carries_on && !note.key) notes.push_back(note);
  }
  return notes;
}

PacketSizes::Spikes PacketSizes::SpikesBetween(double begin, double end, size_t count_max) const {
  constexpr size_t kNear = 5;
  constexpr double kAboveBefore = 1.8;
  constexpr double kAboveAfter = 1.2;
  constexpr double kNotable = 1 / 6.0;
  constexpr uint32_t kBytesMin = 128;
  constexpr uint32_t kLevelBytesMin = 512;
  constexpr uint32_t kFallBytesMin = kLevelBytesMin / 2;
  constexpr double kLevel = 6;
  constexpr double kFall = 4;
  uint32_t key_bytes = 0;
  const std::vector<Note> notes = CarriersBetween(begin, end, &key_bytes);
  constexpr double kSureBefore = 3;
  constexpr double kSureAfter = 1.5;
  std::vector<Strong> spikes;
  Spikes out;
  for (size_t i = 0; i < notes.size(); ++i) {
    uint32_t before = 0;
    uint32_t after = 0;
    for (size_t j = i < kNear ? 0 : i - kNear; j < i; ++j)
      before = std::max(before, notes[j].bytes);
    for (size_t j = i + 1; j < std::min(notes.size(), i + 1 + kNear); ++j) {
      after = std::max(after, notes[j].bytes);
    }
    const double bytes = notes[i].bytes;
    // Encoders often spend more on the first one, and more on the last, which fewer lean on.
    const bool edge = i == 0 || i + 1 == notes.size();
    const double below = i == 0 ? after : before;
    const double above = i + 1 == notes.size() ? before : after;
    // A new picture costs more than anything shortly before it, and more than what follows.
    const bool spike = bytes > kBytesMin && bytes > (edge ? kLarge : kNotable) * key_bytes &&
                       bytes > below * kAboveBefore && bytes > above * kAboveAfter;
    // Or what follows is of another sort: a new picture that is simple costs little.
    const bool rise = i > 0 && bytes > kLevelBytesMin && bytes > kLevel * before;
    const uint32_t just_before =
        i == 0 ? 0 : std::min(notes[i - 1].bytes, notes[i < 2 ? 0 : i - 2].bytes);
    const bool fall =
        i + 2 < notes.size() &&
        just_before > std::max<double>(kFallBytesMin, kFall * std::max<double>(bytes, after));
    if (!spike && !rise && !fall) continue;
    const double strength = spike ? bytes / std::max(1.0, below) : kAboveBefore;
    out.large |= spike && bytes > kLarge * key_bytes;
    spikes.push_back({notes[i].time, strength});
    if (spike && !edge && bytes > kLarge * key_bytes && bytes > kSureBefore * before &&
        bytes > kSureAfter * after) {
      out.sure.push_back(notes[i].time);
    }
  }
  out.times = Strongest(std::move(spikes), count_max);
  return out;
}

std::vector<double> PacketSizes::HintsBetween(double begin, double end, size_t count_max) const {
  constexpr size_t kReach = 8;
  constexpr double kSpreads = 3;     // above what is usual around there
  constexpr double kOfLevel = 0.03;  // so much is no difference
  constexpr double kBytes = 8;
  constexpr double kStep = 3;  // between what is usual before and after
  constexpr double kFirstOfStep = 2;
  constexpr double kDip = 2;
  constexpr double kDipBytesMin = 512;
  uint32_t key_bytes = 0;
  const std::vector<Note> notes = CarriersBetween(begin, end, &key_bytes);
  std::vector<Strong> hints;
  std::vector<double> before, after;
  for (size_t i = 1; i < notes.size(); ++i) {
    before.clear();
    after.clear();
    for (size_t j = i < kReach ? 0 : i - kReach; j < i; ++j) before.push_back(notes[j].bytes);
    for (size_t j = i + 1; j < std::min(notes.size(), i + 1 + kReach); ++j) {
      after.push_back(notes[j].bytes);
    }
    const double usual_before = Median(&before);
    const double usual_after = after.empty() ? usual_before : Median(&after);
    const double usual = std::max(usual_before, usual_after);
    for (double& bytes : before) bytes = std::abs(bytes - usual_before);
    for (double& bytes : after) bytes = std::abs(bytes - usual_after);
    before.insert(before.end(), after.begin(), after.end());
    const double spread = Median(&before) + kOfLevel * usual + kBytes;
    const double bytes = notes[i].bytes;
    const double last = notes[i - 1].bytes;
    const double next = i + 1 < notes.size() ? notes[i + 1].bytes : 0;
    if (bytes >= last && bytes >= next && bytes - usual > kSpreads * spread) {
      hints.push_back({notes[i].time, (bytes - usual) / spread});
      continue;
    }
    // Encoders that look ahead spend little on what is soon not to be seen any more.
    if (usual > kDipBytesMin && last < usual_before / kDip && bytes > kDip * last) {
      hints.push_back({notes[i].time, kSpreads + std::log2(usual_before / std::max(1.0, last))});
      continue;
    }
    const bool rises = usual_after > kStep * usual_before && bytes > kFirstOfStep * last;
    const bool falls = usual_before > kStep * usual_after && last > kFirstOfStep * bytes;
    if (usual > kBytes && (rises || falls)) {
      const double step = usual / std::max(1.0, std::min(usual_before, usual_after));
      hints.push_back({notes[i].time, kSpreads + std::log2(step)});
      // A simple picture may itself have cost as much as what was there before.
      if (falls) hints.push_back({notes[i - 1].time, kSpreads + std::log2(step)});
    }
  }
  return Strongest(std::move(hints), count_max);
}

std::optional<double> PacketSizes::LargeBetween(double begin, double end) const {
  uint32_t key_bytes = 0;
  const std::vector<Note> notes = CarriersBetween(begin, end, &key_bytes);
  const auto largest = std::max_element(
      notes.begin(), notes.end(), [](const Note& a, const Note& b) { return a.bytes < b.bytes; });
  if (largest == notes.end() || largest->bytes < kLarge * key_bytes) return std::nullopt;
  return largest->time;
}

std::optional<double> PacketSizes::NewPictureBetween(double begin, double end) const {
  uint32_t key_bytes = 0;
  std::vector<Note> notes = CarriersBetween(begin, end, &key_bytes);
  if (notes.size() < 3) return std::nullopt;
  std::partial_sort(notes.begin(), notes.begin() + 2, notes.end(),
                    [](const Note& a, const Note& b) { return a.bytes > b.bytes; });
  if (notes[0].bytes < 2.0 * notes[1].bytes || notes[0].bytes < kLarge * key_bytes ||
      notes[1].bytes > 0.3 * key_bytes) {
    return std::nullopt;
  }
  return notes[0].time;
}

bool PacketSizes::ShowsNewPictures(double begin, double end) const {
  uint32_t key_bytes = 0;
  std::vector<Note> notes = CarriersBetween(begin, end, &key_bytes);
  for (const Note& note : Between(end - 2 * kSame, end + 2 * kSame)) {
    if (note.key) key_bytes = std::max(key_bytes, note.bytes);
  }
  if (notes.empty()) return true;
  const auto middle = notes.begin() + static_cast<ptrdiff_t>(notes.size() / 2);
  std::nth_element(notes.begin(), middle, notes.end(),
                   [](const Note& a, const Note& b) { return a.bytes < b.bytes; });
  return middle->bytes < 0.45 * key_bytes;
}

std::optional<PacketSizes::Hump> PacketSizes::HumpBetween(double begin, double end) const {
  std::vector<Note> notes = Between(begin, end);
  std::sort(notes.begin(), notes.end(),
            [](const Note& a, const Note& b) { return a.time < b.time; });
  struct Second {
    double middle = 0;
    double bytes = 0;
  };
  std::vector<Second> seconds;
  size_t to = 0;
  double sum = 0;
  for (size_t from = 0; from < notes.size(); ++from) {
    while (to < notes.size() && notes[to].time < notes[from].time + kHumpSeconds) {
      sum += notes[to++].bytes;
    }
    if (to == notes.size()) break;
    seconds.push_back({notes[from].time + kHumpSeconds / 2, sum});
    sum -= notes[from].bytes;
  }
  if (end - begin < 4 * kHumpSeconds || seconds.size() < 8) return std::nullopt;
  std::vector<double> sorted;
  for (const Second& second : seconds) sorted.push_back(second.bytes);
  std::sort(sorted.begin(), sorted.end());
  const double median = sorted[sorted.size() / 2];
  const double spread = median - sorted[sorted.size() / 4];
  const auto most =
      std::max_element(seconds.begin(), seconds.end(),
                       [](const Second& a, const Second& b) { return a.bytes < b.bytes; });
  // What is before it, and what is after it, are less: else one part of the stretch moves more.
  auto usual = [&](auto first, auto last) {
    std::vector<double> bytes;
    for (; first < last; ++first) bytes.push_back(first->bytes);
    if (bytes.empty()) return 0.0;
    std::nth_element(bytes.begin(), bytes.begin() + static_cast<ptrdiff_t>(bytes.size() / 2),
                     bytes.end());
    return bytes[bytes.size() / 2];
  };
  auto before = seconds.begin();
  auto after = most;
  while (after != seconds.end() && after->middle < most->middle + kHumpSeconds) ++after;
  auto until = most;
  while (until != before && until->middle > most->middle - kHumpSeconds) --until;
  const double aside = std::max({median, usual(before, until), usual(after, seconds.end())});
  if (most->bytes < kHumpRatio * aside || most->bytes - median < kHumpSpread * spread ||
      most->middle < begin + kFirst || most->middle > end - kFirst) {
    return std::nullopt;
  }
  uint32_t top = 0;
  for (const Note& note : notes) {
    if (std::abs(note.time - most->middle) <= kHumpSeconds / 2) top = std::max(top, note.bytes);
  }
  return Hump{most->middle, most->bytes / std::max(1.0, aside), top / std::max(1.0, most->bytes)};
}

bool PacketSizes::SpentLittleBetween(double begin, double end) const {
  double sum = 0;
  double key_bytes = 0;
  for (const Note& note : Between(begin, end + 2 * kSame)) {
    if (note.time < end - kSame) {
      sum += note.bytes;
    } else if (note.key) {
      key_bytes = note.bytes;
    }
  }
  return sum < key_bytes / 4;
}

std::vector<double> PacketSizes::KeysBetween(double begin, double end, size_t count_max) const {
  std::vector<double> keys;
  for (const Note& note : Between(begin, end)) {
    if (note.key) keys.push_back(note.time);
  }
  if (keys.size() <= count_max) return keys;
  std::vector<double> out;
  for (size_t i = 0; i < count_max; ++i) {
    out.push_back(keys[(2 * i + 1) * keys.size() / (2 * count_max)]);
  }
  return out;
}

}  // namespace msearch::media
