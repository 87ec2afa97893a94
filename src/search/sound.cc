#include "search/sound.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <unordered_set>

// A fingerprint says that it is the same recording and where; a short query is laid over every
// track as it is, of a longer one pieces from all over are, and those that agree on the place tell
// the moment together. Sounds alike are compared window by window, a window of the library counting
// by its best match; of a long query a few windows stand for all.

namespace msearch::search {
namespace {

using catalog::SegmentId;

constexpr size_t kPieceItems = 120;
constexpr size_t kPiecesMax = 8;
constexpr size_t kWindowsMax = 8;
// An item looks this far ahead of its beginning.
constexpr double kItemSpanSeconds = 2.5;
// Pieces that agree on the place to this many items belong together.
constexpr int64_t kAgree = 4;

// How sure "alike" is by the cosine of two windows: sigmoid(bias + slope * cosine).
constexpr double kAlikeBias = -10;
constexpr double kAlikeSlope = 14;
constexpr double kAlikeWeak = 0.15;
constexpr double kAlikeStrong = 0.5;

// How sure the same recording is by the share of differing bits: other recordings begin at 0.33.
double RecordingConfidence(double error_rate) {
  return 0.99 - std::clamp((error_rate - 0.1) / 0.15, 0.0, 1.0) * 0.39;
}

double AlikeConfidence(double cosine) {
  return 1 / (1 + std::exp(-(kAlikeBias + kAlikeSlope * cosine)));
}

struct Piece {
  int64_t begin = 0;
  std::span<const uint32_t> items;
};

std::vector<Piece> Pieces(const std::vector<uint32_t>& items) {
  if (items.size() <= index::FingerprintIndex::kQueryItemsMax) return {{0, items}};
  std::vector<Piece> pieces;
  const size_t count = std::min(kPiecesMax, items.size() / kPieceItems);
  for (size_t i = 0; i < count; ++i) {
    const size_t begin = (items.size() - kPieceItems) * i / (count - 1);
    pieces.push_back({static_cast<int64_t>(begin), std::span(items).subspan(begin, kPieceItems)});
  }
  return pieces;
}

struct Recording {
  int64_t place = 0;  // where the query begins, in the track's items
  double error_rate = 1;
  int64_t first = 0;  // items of the track that were recognised
  int64_t last = 0;
};

Result<std::map<SegmentId, Recording>> FindRecordings(const Sounds& sounds, const SoundQuery& query,
                                                      const std::function<bool(SegmentId)>& allowed,
                                                      size_t depth) {
  std::map<SegmentId, Recording> found;
  for (const Piece& piece : Pieces(query.fingerprint)) {
    for (const index::FingerprintMatch& match :
         TRY(sounds.recordings->Search(piece.items, depth, allowed))) {
      const int64_t first = std::max<int64_t>(0, match.offset);
      const int64_t last = match.offset + static_cast<int64_t>(piece.items.size());
      const int64_t place = match.offset - piece.begin;
      Recording& recording = found[match.id];
      if (recording.error_rate < 1 && std::abs(place - recording.place) <= kAgree) {
        recording.first = std::min(recording.first, first);
        recording.last = std::max(recording.last, last);
        recording.error_rate = std::min(recording.error_rate, match.error_rate);
      } else if (match.error_rate < recording.error_rate) {
        recording = {place, match.error_rate, first, last};
      }
    }
  }
  return found;
}

// The windows of the sound whose first one this is.
Result<std::vector<catalog::SegmentInfo>> WindowsOf(const catalog::Catalog& catalog,
                                                    catalog::MediaId media) {
  const auto ids = TRY(catalog.SegmentsOf(media));
  auto windows = TRY(catalog.GetSegments(ids, {}));
  std::erase_if(windows, [](const auto& segment) { return segment.kind != "sound"; });
  std::sort(windows.begin(), windows.end(),
            [](const auto& a, const auto& b) { return a.index < b.index; });
  return windows;
}

Result<> AddRecordings(const catalog::Catalog& catalog, const Sounds& sounds,
                       const SoundQuery& query, const std::function<bool(SegmentId)>& allowed,
                       size_t depth, Candidates* candidates,
                       std::unordered_set<SegmentId>* recognised) {
  const auto found = TRY(FindRecordings(sounds, query, allowed, depth));
  std::vector<std::pair<double, SegmentId>> order;
  for (const auto& [id, recording] : found) order.emplace_back(recording.error_rate, id);
  std::sort(order.begin(), order.end());
  if (order.size() > depth) order.resize(depth);
  for (size_t rank = 0; rank < order.size(); ++rank) {
    const Recording& recording = found.at(order[rank].second);
    const auto first = TRY(catalog.GetSegments(std::array{order[rank].second}, {}));
    if (first.empty()) continue;  // gone meanwhile
    const auto windows = TRY(WindowsOf(catalog, first.front().media));
    if (windows.empty()) continue;
    for (const catalog::SegmentInfo& other : windows) recognised->insert(other.id);
    const double begin = windows.front().start_time.value_or(0);
    const double end = windows.back().end_time.value_or(begin);
    const double from = begin + static_cast<double>(recording.first) * query.item_seconds;
    const double to = std::min(
        end, begin + static_cast<double>(recording.last) * query.item_seconds + kItemSpanSeconds);
    // The window in which most of its beginning lies.
    const catalog::SegmentInfo* window = &windows.front();
    for (const catalog::SegmentInfo& other : windows) {
      if (other.start_time.value_or(0) <= from + 1) window = &other;
    }
    const double confidence = RecordingConfidence(recording.error_rate);
    Candidate& candidate = (*candidates)[window->id];
    // What is the same comes before what is alike.
    candidate.fused += 2 * ListWeight(confidence) / (kRankOffset + static_cast<double>(rank));
    candidate.doubt *= 1 - confidence;
    candidate.strong = true;
    candidate.reasons.push_back({"same_recording", ""});
    candidate.moment = {from, to};
  }
  return Ok{};
}

Result<> AddAlike(const Sounds& sounds, const SoundQuery& query,
                  const std::function<bool(SegmentId)>& allowed, size_t depth,
                  const std::unordered_set<SegmentId>& recognised, Candidates* candidates) {
  std::vector<const std::vector<float>*> heard;
  for (const std::vector<float>& window : query.windows) {
    if (!window.empty()) heard.push_back(&window);
  }
  const size_t count = std::min(kWindowsMax, heard.size());
  std::unordered_map<SegmentId, double> best;
  for (size_t i = 0; i < count; ++i) {
    index::ViewQuery view;
    view.vector = *heard[count > 1 ? i * (heard.size() - 1) / (count - 1) : 0];
    for (const index::Match& match : TRY(sounds.alike->Search({&view, 1}, depth, allowed))) {
      // That a recording is like itself goes without saying.
      if (recognised.contains(match.segment)) continue;
      double& cosine = best.try_emplace(match.segment, -1).first->second;
      cosine = std::max<double>(cosine, match.by_view.front());
    }
  }
  std::vector<std::pair<double, SegmentId>> order;
  for (const auto& [segment, cosine] : best) order.emplace_back(-cosine, segment);
  std::sort(order.begin(), order.end());
  if (order.size() > depth) order.resize(depth);
  const double surest = order.empty() ? 0 : AlikeConfidence(-order.front().first);
  for (size_t rank = 0; rank < order.size(); ++rank) {
    const double confidence = AlikeConfidence(-order[rank].first);
    if (confidence < kAlikeWeak) break;
    Candidate& candidate = (*candidates)[order[rank].second];
    candidate.fused += ListWeight(surest) / (kRankOffset + static_cast<double>(rank));
    candidate.doubt *= 1 - confidence;
    candidate.strong |= confidence >= kAlikeStrong;
    candidate.reasons.push_back({"sounds_alike", ""});
  }
  return Ok{};
}

}  // namespace

Result<SoundQuery> SoundOf(const catalog::Catalog& catalog, const Sounds& sounds,
                           catalog::MediaId media) {
  SoundQuery query;
  bool first = true;
  for (const catalog::SegmentInfo& window : TRY(WindowsOf(catalog, media))) {
    if (first && sounds.recordings) query.fingerprint = sounds.recordings->Get(window.id);
    first = false;
    if (!sounds.alike) continue;
    auto numbers = sounds.alike->Get(window.id, 0);
    query.windows.push_back(numbers.ok() ? std::move(*numbers) : std::vector<float>());
  }
  return query;
}

Result<> AddSound(const catalog::Catalog& catalog, const Sounds& sounds, const SoundQuery& query,
                  const std::function<bool(SegmentId)>& allowed, size_t depth,
                  Candidates* candidates) {
  std::unordered_set<SegmentId> recognised;
  if (sounds.recordings && !query.fingerprint.empty()) {
    TRY(AddRecordings(catalog, sounds, query, allowed, depth, candidates, &recognised));
  }
  if (sounds.alike) TRY(AddAlike(sounds, query, allowed, depth, recognised, candidates));
  return Ok{};
}

}  // namespace msearch::search
