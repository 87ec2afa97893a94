#include "search/passages.h"

#include <algorithm>
#include <unordered_map>

#include "base/log.h"
#include "search/probes.h"

// The list by words and the lists by meaning are fused by reciprocal ranks, as in a search.

namespace msearch::search {
namespace {

using catalog::SegmentId;

constexpr double kRankOffset = 60;

struct Found {
  double fused = 0;
  double words = 0;
  double meaning = 0;
  bool strong = false;
};

Result<> Check(const PassageQuery& query) {
  if (query.words.empty() && query.phrases.empty()) {
    return Error{Code::kInvalid, "passages: neither words nor phrases given"};
  }
  if (query.words.size() > kWordsBytesMax) {
    return Error{Code::kInvalid,
                 fmt::format("passages: words are longer than {} bytes", kWordsBytesMax)};
  }
  if (query.phrases.size() > kPassagePhrasesMax) {
    return Error{Code::kInvalid, fmt::format("passages: more than {} phrases", kPassagePhrasesMax)};
  }
  if (query.limit < 1 || query.limit > kPassagesMax) {
    return Error{Code::kInvalid,
                 fmt::format("passages: limit is not between 1 and {}", kPassagesMax)};
  }
  return Ok{};
}

Result<> AddMeaning(const catalog::Catalog& catalog, const Engine& engine,
                    const PassageQuery& query, size_t depth,
                    std::unordered_map<SegmentId, Found>* found) {
  if (query.words.empty() || !engine.model.answers_words) return Ok{};
  std::vector<embedding::Probe> probes;
  {
    std::lock_guard lock(*engine.embedder_mutex);
    probes = TRY(engine.embedder->ProbeWords(query.words));
  }
  const Allowed allowed = TRY(MakeAllowed(catalog, query.filters));
  for (const embedding::Probe& probe : probes) {
    const auto matches = TRY(RunProbe(engine, probe, allowed, depth));
    for (size_t rank = 0; rank < matches.size(); ++rank) {
      const double confidence = embedding::Confidence(probe, matches[rank].by_view);
      if (confidence < probe.calibration.weak) continue;
      Found& one = (*found)[matches[rank].segment];
      one.fused += 1 / (kRankOffset + static_cast<double>(rank));
      one.meaning = std::max(one.meaning, confidence);
      one.strong |= confidence >= probe.calibration.strong;
    }
  }
  return Ok{};
}

}  // namespace

Result<Passages> FindPassages(const catalog::Catalog& catalog, const std::optional<Engine>& engine,
                              const PassageQuery& query) {
  TRY(Check(query));
  const size_t depth = query.limit * 2;
  Passages out;
  std::unordered_map<SegmentId, Found> found;
  const auto any = TRY(catalog.SearchAny(query.phrases, query.filters, depth));
  out.rarity = any.rarity;
  for (size_t rank = 0; rank < any.matches.size(); ++rank) {
    Found& one = found[any.matches[rank].segment];
    one.words = any.matches[rank].score;
    one.fused += 1 / (kRankOffset + static_cast<double>(rank));
  }
  if (engine) {
    const auto added = AddMeaning(catalog, *engine, query, depth, &found);
    if (!added.ok()) {
      // Words still find what they find while the model is away.
      LOG_WARNING("passages: {}", added.message());
      out.notice = added.message();
    }
  }
  std::vector<std::pair<double, SegmentId>> order;
  for (const auto& [segment, one] : found) order.emplace_back(-one.fused, segment);
  std::sort(order.begin(), order.end());
  if (order.size() > query.limit) order.resize(query.limit);
  std::vector<SegmentId> ids;
  for (const auto& [fused, segment] : order) ids.push_back(segment);
  for (catalog::SegmentInfo& info : TRY(catalog.GetSegments(ids, query.filters))) {
    auto text = catalog.SegmentText(info.id);
    if (!text.ok() && text.code() != Code::kNotFound) return text.error();
    Passage passage;
    const Found& one = found[info.id];
    passage.words = one.words;
    passage.meaning = one.meaning;
    passage.strong = one.strong;
    if (text.ok()) passage.text = std::move(*text);
    passage.segment = std::move(info);
    out.passages.push_back(std::move(passage));
  }
  return out;
}

}  // namespace msearch::search
