#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <unordered_map>

#include "catalog/filter.h"
#include "catalog/sqlite_catalog.h"
#include "catalog/words.h"

// Phrase by phrase, each adds its share of BM25 to the segments that have it. A phrase that is in
// very many segments tells little, so only its newest ones are scored; that keeps the work bounded
// whatever is asked.

namespace msearch::catalog {
namespace {

using storage::Sqlite;
using storage::Statement;

constexpr size_t kPhrasesMax = 48;
constexpr int64_t kCountedMax = 2000;  // of one phrase, and scored
constexpr size_t kColumnCount = 4;
// Of name, path, label and text, as in the search for all words.
constexpr double kWeights[kColumnCount] = {4.0, 1.0, 3.0, 1.0};
constexpr double kLengthWeights[kColumnCount] = {0.06, 0.03, 0.06, 0.012};

struct Wanted {
  size_t index = 0;
  std::string match;  // as FTS5 reads it
  int64_t count = 0;
  double rarity = 0;
};

std::string MatchOf(const std::string& phrase) {
  // Without its own quotation marks, so that it stays one phrase.
  std::string plain = phrase;
  std::replace(plain.begin(), plain.end(), '"', ' ');
  const TextQuery query = ParseTextQuery("\"" + plain + "\"");
  std::string match;
  for (const Phrase& part : query.phrases) {
    for (const std::string& term : part.terms) match += (match.empty() ? "" : " ") + term;
  }
  return match.empty() ? match : "\"" + match + "\"";
}

// Of the columns of one phrase in one row: counts of occurrences, then lengths.
double Score(std::string_view blob) {
  uint32_t counts[2 * kColumnCount];
  if (blob.size() != sizeof(counts)) return 0;
  std::memcpy(counts, blob.data(), sizeof(counts));
  double score = 0;
  for (size_t column = 0; column < kColumnCount; ++column) {
    const double count = counts[column];
    if (count == 0) continue;
    score += kWeights[column] * count /
             (count + 0.5 + kLengthWeights[column] * counts[kColumnCount + column]);
  }
  return score;
}

Result<std::vector<Wanted>> Count(Sqlite& db, std::span<const std::string> phrases) {
  const int64_t rows = TRY(db.QueryInt("SELECT max(id) FROM segments")).value_or(0);
  std::vector<Wanted> wanted;
  for (size_t i = 0; i < phrases.size() && i < kPhrasesMax; ++i) {
    Wanted one{i, MatchOf(phrases[i])};
    if (one.match.empty()) continue;
    one.count =
        TRY(db.QueryInt("SELECT count(*) FROM (SELECT 1 FROM words WHERE words MATCH ? LIMIT ?)",
                        one.match, kCountedMax))
            .value_or(0);
    one.rarity = std::log(1.0 + (static_cast<double>(std::max<int64_t>(rows, 1)) + 0.5) /
                                    (static_cast<double>(one.count) + 0.5));
    wanted.push_back(std::move(one));
  }
  return wanted;
}

}  // namespace

Result<AnyMatches> SqliteCatalog::SearchAny(std::span<const std::string> phrases,
                                            const Filters& filters, size_t limit) const {
  return Read([&](Sqlite& db) -> Result<AnyMatches> {
    AnyMatches out;
    out.rarity.assign(phrases.size(), 0);
    std::vector<SegmentId> allowed;
    if (!filters.empty()) allowed = TRY(PassingSegments(db, filters));
    const std::function<bool(int64_t)> passes = [&](int64_t segment) {
      return filters.empty() || std::ranges::binary_search(allowed, segment);
    };
    std::unordered_map<SegmentId, double> found;
    for (const Wanted& one : TRY(Count(db, phrases))) {
      out.rarity[one.index] = one.rarity;
      if (one.count == 0) continue;
      Statement rows =
          TRY(db.Prepare("SELECT rowid,match_counts(words) FROM words WHERE words MATCH ? "
                         "AND passes(rowid,?) ORDER BY rowid DESC LIMIT ?"));
      rows.Bind(1, one.match).BindPredicate(2, &passes).Bind(3, kCountedMax);
      while (TRY(rows.Step())) found[rows.Int(0)] += one.rarity * Score(rows.Blob(1));
    }
    for (const auto& [segment, score] : found) out.matches.push_back({segment, score});
    std::sort(out.matches.begin(), out.matches.end(), [](const auto& a, const auto& b) {
      return a.score != b.score ? a.score > b.score : a.segment > b.segment;
    });
    if (out.matches.size() > limit) out.matches.resize(limit);
    return out;
  });
}

}  // namespace msearch::catalog
