#include "search/search.h"

#include <algorithm>
#include <cmath>
#include <future>
#include <map>
#include <tuple>
#include <unordered_map>

#include "base/log.h"
#include "base/strings.h"
#include "catalog/words.h"
#include "search/candidates.h"
#include "search/probes.h"
#include "search/sound.h"

// Each way of searching (a probe of the index, the full text) gives a ranked list of segments, each
// with a confidence between 0 and 1. Lists are fused by reciprocal ranks (Cormack, Clarke and
// Buettcher, 2009: sum of 1 / (60 + rank)), because inner products of different views and BM25 have
// no common scale; a list weighs as much as its surest match. The confidences also say what ranks
// can't: whether anything fits at all. A hit is strong if one of its lists is sure of it. Strong
// hits come before weak ones, and the score shown is the confidence of all lists together (1 -
// product of (1 - p)), held from rising down the page so that order and score never contradict each
// other.

namespace msearch::search {
namespace {

using catalog::MediaId;
using catalog::SegmentId;

constexpr double kTie = 1e-4;
constexpr size_t kSnippetBytesMax = 300;

// How sure a match of all words in a field is. A label is the model's opinion, the rest is a fact.
double TextConfidence(const std::vector<std::string>& fields) {
  double best = 0;
  for (const std::string& field : fields) {
    best = std::max(best, field == "name" || field == "text" ? 0.95 : field == "path" ? 0.8 : 0.6);
  }
  return best;
}

void AddText(const std::vector<catalog::TextMatch>& matches, Candidates* candidates) {
  double surest = 0;
  for (const catalog::TextMatch& match : matches) {
    surest = std::max(surest, TextConfidence(match.fields));
  }
  size_t rank = 0;
  for (size_t i = 0; i < matches.size(); ++i) {
    const catalog::TextMatch& match = matches[i];
    // Equal matches share a rank, so that other evidence decides between them.
    if (i > 0 && match.score < matches[i - 1].score * (1 - kTie)) rank = i;
    Candidate& candidate = (*candidates)[match.segment];
    candidate.fused += ListWeight(surest) / (kRankOffset + static_cast<double>(rank));
    candidate.doubt *= 1 - TextConfidence(match.fields);
    candidate.strong = true;
    for (const std::string& field : match.fields) candidate.reasons.push_back({field, ""});
  }
}

void AddProbe(const embedding::Probe& probe, const std::vector<index::Match>& matches,
              Candidates* candidates) {
  double surest = 0;
  for (const index::Match& match : matches) {
    surest = std::max<double>(surest, embedding::Confidence(probe, match.by_view));
  }
  for (size_t rank = 0; rank < matches.size(); ++rank) {
    const double confidence = embedding::Confidence(probe, matches[rank].by_view);
    Candidate& candidate = (*candidates)[matches[rank].segment];
    candidate.fused += ListWeight(surest) / (kRankOffset + static_cast<double>(rank));
    candidate.doubt *= 1 - std::clamp(confidence, 0.0, 1.0);
    candidate.strong |= confidence >= probe.calibration.strong;
    if (confidence >= probe.calibration.weak) {
      candidate.reasons.push_back({probe.name, ""});
    }
  }
}

// The probes that the query makes; empty with a notice when the model can't.
Result<std::vector<embedding::Probe>> MakeProbes(const catalog::Catalog& catalog,
                                                 const Engine& engine, const Query& query,
                                                 std::string* notice) {
  std::vector<embedding::Probe> probes;
  auto add = [&](Result<std::vector<embedding::Probe>> made) -> Result<> {
    for (embedding::Probe& probe : TRY(std::move(made))) probes.push_back(std::move(probe));
    return Ok{};
  };
  std::lock_guard lock(*engine.embedder_mutex);
  if (!query.words.empty()) {
    if (engine.model.answers_words) {
      TRY(add(engine.embedder->ProbeWords(query.words)));
    } else {
      *notice = "words: model " + engine.model.name +
                " compares pictures only; names and texts were searched";
    }
  }
  if (query.picture) TRY(add(engine.embedder->ProbePicture({*query.picture})));
  if (query.like) {
    bool any = false;
    for (SegmentId segment : TRY(catalog.SegmentsOf(*query.like))) {
      std::vector<std::vector<float>> views;
      for (uint32_t view = 0; view < engine.model.views.size(); ++view) {
        auto vector = engine.index->Get(segment, view);
        views.push_back(vector.ok() ? std::move(*vector) : std::vector<float>());
        any |= !views.back().empty();
      }
      if (!any) continue;
      TRY(add(engine.embedder->ProbeLike(views)));
      break;
    }
    if (!any) *notice = "this file has no embedding yet";
  }
  return probes;
}

// By the sound of the query, and for "more like this" by that of the library's own media.
Result<> SearchSounds(const catalog::Catalog& catalog, const Sounds& sounds, const Query& query,
                      const Allowed& allowed, size_t depth, std::string* notice,
                      Candidates* candidates) {
  std::function<bool(SegmentId)> test;
  if (!allowed.all) {
    test = [&](SegmentId segment) {
      return std::binary_search(allowed.sorted.begin(), allowed.sorted.end(), segment);
    };
  }
  if (query.sound) {
    const bool heard = std::any_of(query.sound->windows.begin(), query.sound->windows.end(),
                                   [](const auto& window) { return !window.empty(); });
    if (!heard) *notice = "sound: there is nothing to hear in it";
    TRY(AddSound(catalog, sounds, *query.sound, test, depth, candidates));
  }
  if (query.like) {
    SoundQuery own = TRY(SoundOf(catalog, sounds, *query.like));
    if (own.windows.empty()) return Ok{};
    // A film is like another by what it shows; that its sound is the same says more.
    const auto media = TRY(catalog.GetMedia(*query.like));
    if (media.content.type != "audio")
      own.windows.clear();
    else
      notice->clear();
    TRY(AddSound(catalog, sounds, own, test, depth, candidates));
  }
  return Ok{};
}

// Of a film with hundreds of shots only the best moments are shown.
constexpr size_t kMomentsMax = 12;

struct Group {
  std::vector<std::pair<SegmentId, const Candidate*>> members;
  double fused = 0;
  bool strong = false;
  double score = 0;
};

// Media files in order: strong before weak, then by fused rank.
std::vector<std::pair<MediaId, Group>> GroupByMedia(
    const Candidates& candidates, const std::vector<std::pair<SegmentId, MediaId>>& media) {
  std::unordered_map<MediaId, Group> groups;
  for (const auto& [segment, owner] : media) {
    const Candidate& candidate = candidates.at(segment);
    Group& group = groups[owner];
    group.members.emplace_back(segment, &candidate);
    group.fused = std::max(group.fused, candidate.fused);
    group.strong |= candidate.strong;
    group.score = std::max(group.score, 1 - candidate.doubt);
  }
  for (auto& [id, group] : groups) {
    if (group.members.size() <= kMomentsMax) continue;
    std::nth_element(group.members.begin(), group.members.begin() + kMomentsMax,
                     group.members.end(), [](const auto& a, const auto& b) {
                       return std::tuple(a.second->strong, a.second->fused, b.first) >
                              std::tuple(b.second->strong, b.second->fused, a.first);
                     });
    group.members.resize(kMomentsMax);
  }
  std::vector<std::pair<MediaId, Group>> ordered(groups.begin(), groups.end());
  std::sort(ordered.begin(), ordered.end(), [](const auto& a, const auto& b) {
    if (a.second.strong != b.second.strong) return a.second.strong;
    if (a.second.fused != b.second.fused) return a.second.fused > b.second.fused;
    return a.first < b.first;
  });
  return ordered;
}

// The best candidates only, so that looking up segments stays bounded.
void KeepBest(size_t count, Candidates* candidates) {
  if (candidates->size() <= count) return;
  std::vector<std::pair<double, SegmentId>> order;
  for (const auto& [segment, candidate] : *candidates) {
    order.emplace_back(candidate.fused + (candidate.strong ? 1 : 0), segment);
  }
  std::nth_element(order.begin(), order.begin() + static_cast<ptrdiff_t>(count), order.end(),
                   std::greater<>());
  for (size_t i = count; i < order.size(); ++i) candidates->erase(order[i].second);
}

void Explain(const catalog::SegmentInfo& info, std::vector<Reason>* reasons) {
  std::vector<Reason> kept;
  for (Reason& reason : *reasons) {
    const bool seen = std::any_of(kept.begin(), kept.end(),
                                  [&](const Reason& other) { return other.kind == reason.kind; });
    if (seen) continue;
    if (reason.kind == "label" || reason.kind == "pictures") {
      std::vector<std::string> names;
      for (const Json& label : info.attributes.value("labels", Json::array())) {
        if (names.size() < 3) names.push_back(GetString(label, "label").value_or(""));
      }
      reason.text = Join(names, ", ");
    } else if ((reason.kind == "name" || reason.kind == "path") && !info.paths.empty()) {
      reason.text = SanitizeUtf8(info.paths.front().path);
    }
    kept.push_back(std::move(reason));
  }
  *reasons = std::move(kept);
}

// The boxes of the words that were asked for; all when none has any (a match by meaning).
std::vector<catalog::TextBox> BoxesOf(const catalog::SegmentInfo& info,
                                      const catalog::TextQuery& words) {
  std::vector<catalog::TextBox> asked;
  for (const catalog::TextBox& box : info.boxes) {
    const std::string terms = catalog::IndexText(box.text);
    const bool occurs =
        std::any_of(words.phrases.begin(), words.phrases.end(),
                    [&](const catalog::Phrase& phrase) { return catalog::Occurs(phrase, terms); });
    if (occurs) asked.push_back(box);
  }
  return asked.empty() ? info.boxes : asked;
}

// Only what is shown is looked up whole.
Result<> AddHits(const catalog::Catalog& catalog, const Query& query,
                 const std::vector<std::pair<MediaId, Group>>& groups, double ceiling,
                 std::vector<Hit>* hits) {
  std::vector<SegmentId> ids;
  for (const auto& [media, group] : groups) {
    for (const auto& [segment, candidate] : group.members) ids.push_back(segment);
  }
  std::unordered_map<SegmentId, catalog::SegmentInfo> infos;
  for (catalog::SegmentInfo& info : TRY(catalog.GetSegments(ids, query.filters))) {
    infos[info.id] = std::move(info);
  }
  const catalog::TextQuery words = catalog::ParseTextQuery(query.words);
  for (const auto& [media, group] : groups) {
    ceiling = std::min(ceiling, group.score);
    const size_t first = hits->size();
    for (const auto& [segment, candidate] : group.members) {
      const auto info = infos.find(segment);
      if (info == infos.end()) continue;  // gone since
      Hit& hit = hits->emplace_back();
      hit.segment = std::move(info->second);
      hit.score = std::min(ceiling, 1 - candidate->doubt);
      hit.strong = candidate->strong;
      if (candidate->moment) {
        hit.segment.start_time = candidate->moment->first;
        hit.segment.end_time = candidate->moment->second;
      }
      hit.reasons = candidate->reasons;
      hit.boxes = BoxesOf(hit.segment, words);
      Explain(hit.segment, &hit.reasons);
      for (Reason& reason : hit.reasons) {
        if (reason.kind != "text") continue;
        const auto snippet = catalog.TextSnippet(segment, query.words);
        if (snippet.ok()) reason.text = TruncateUtf8(*snippet, kSnippetBytesMax);
      }
    }
    std::sort(hits->begin() + static_cast<ptrdiff_t>(first), hits->end(),
              [](const Hit& a, const Hit& b) {
                const auto place = [](const catalog::SegmentInfo& info) {
                  return std::tuple(info.start_time.value_or(0), info.page.value_or(0), info.index,
                                    info.id);
                };
                return place(a.segment) < place(b.segment);
              });
  }
  return Ok{};
}

Result<> Check(const Query& query) {
  if (query.words.empty() && !query.picture && !query.like && !query.sound) {
    return Error{Code::kInvalid, "search: neither words nor a picture or sound given"};
  }
  if (query.words.size() > kWordsBytesMax) {
    return Error{Code::kInvalid,
                 fmt::format("search: words are longer than {} bytes", kWordsBytesMax)};
  }
  if (query.limit < 1 || query.limit > kLimitMax) {
    return Error{Code::kInvalid, fmt::format("search: limit is not between 1 and {}", kLimitMax)};
  }
  if (query.offset + query.limit > kDepthMax) {
    return Error{Code::kInvalid, fmt::format("search: offset + limit is above {}", kDepthMax)};
  }
  return Ok{};
}

}  // namespace

Result<Answer> Search(const catalog::Catalog& catalog, const std::optional<Engine>& engine,
                      const Sounds& sounds, const Query& query) {
  TRY(Check(query));
  // Some segments of a file share a group, and some candidates are filtered: look deeper.
  const size_t depth = std::max<size_t>(100, (query.offset + query.limit) * 3 / 2);
  Answer answer;
  Candidates candidates;
  // While another process turns the words into probes, and beside the scan.
  std::future<Result<std::vector<catalog::TextMatch>>> text;
  if (!query.words.empty()) {
    text = std::async(std::launch::async, [&catalog, &query, depth] {
      return catalog.SearchText(query.words, query.filters, depth);
    });
  }
  const Allowed allowed = TRY(MakeAllowed(catalog, query.filters));
  if (engine) {
    auto probes = MakeProbes(catalog, *engine, query, &answer.notice);
    if (!probes.ok() && query.words.empty()) return probes.error();
    if (!probes.ok()) {
      // Words still find names and texts while the model is away.
      LOG_WARNING("query: {}", probes.message());
      answer.notice = probes.message();
    } else {
      for (const embedding::Probe& probe : *probes) {
        AddProbe(probe, TRY(RunProbe(*engine, probe, allowed, depth)), &candidates);
      }
    }
  } else if (query.words.empty() && !query.sound) {
    return Error{Code::kUnavailable, "search: no model is ready"};
  }
  TRY(SearchSounds(catalog, sounds, query, allowed, depth, &answer.notice, &candidates));
  size_t text_matches = 0;
  if (!query.words.empty()) {
    const auto matches = TRY(text.get());
    text_matches = matches.size();
    AddText(matches, &candidates);
  }
  if (query.like) {
    for (SegmentId segment : TRY(catalog.SegmentsOf(*query.like))) candidates.erase(segment);
  }

  KeepBest(depth, &candidates);
  std::vector<SegmentId> ids;
  for (const auto& [segment, candidate] : candidates) ids.push_back(segment);
  auto groups = GroupByMedia(candidates, TRY(catalog.MediaOf(ids)));
  for (const auto& [media, group] : groups) answer.total += group.strong ? 1 : 0;
  answer.total_is_bound = text_matches == depth;
  answer.nothing_fits = answer.total == 0;
  double ceiling = 1;
  for (size_t i = 0; i < std::min(groups.size(), query.offset); ++i) {
    ceiling = std::min(ceiling, groups[i].second.score);
  }
  groups.erase(groups.begin(),
               groups.begin() + static_cast<ptrdiff_t>(std::min(groups.size(), query.offset)));
  if (groups.size() > query.limit) groups.resize(query.limit);
  TRY(AddHits(catalog, query, groups, ceiling, &answer.hits));
  return answer;
}

}  // namespace msearch::search
