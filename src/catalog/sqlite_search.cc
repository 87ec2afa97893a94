#include <algorithm>
#include <unordered_set>

#include "catalog/filter.h"
#include "catalog/sqlite_catalog.h"
#include "catalog/words.h"

// Words to segments. Up to kRankedMax matches are ranked by BM25. Beyond that the words are so
// common that BM25 says little but costs much (it reads every match): then only where they occur
// counts, names before labels before paths before text, and within that the newest first. So a
// word that is in everything answers as fast as a rare one.

namespace msearch::catalog {
namespace {

using storage::Sqlite;
using storage::Statement;

constexpr int64_t kRankedMax = 2000;

struct Field {
  std::string_view name;
  int column;
  double score;  // when BM25 isn't computed
};
constexpr Field kFields[] = {
    {"name", 0, 0.4}, {"label", 2, 0.3}, {"path", 1, 0.2}, {"text", 3, 0.1}};

struct Candidate {
  SegmentId segment = 0;
  double score = 0;
};

// Terms hold letters and digits only, so quoting them needs no escape.
std::string PhraseExpression(const Phrase& phrase) {
  std::string before;
  for (size_t i = 0; i + 1 < phrase.terms.size(); ++i) before += phrase.terms[i] + " ";
  const std::string exact = "\"" + before + phrase.terms.back() + "\"";
  if (phrase.prefix.empty()) return exact;
  const std::string prefix = "\"" + before + phrase.prefix + "\" *";
  if (phrase.terms.back().starts_with(phrase.prefix)) return prefix;
  return "(" + exact + " OR " + prefix + ")";
}

std::string Expression(const TextQuery& query) {
  std::string out;
  for (const Phrase& phrase : query.phrases) {
    if (!out.empty()) out += " AND ";
    out += PhraseExpression(phrase);
  }
  return out;
}

// The segments that may be shown; everything when there are no filters.
struct Allowed {
  bool all = true;
  std::vector<SegmentId> segments;
  bool operator()(SegmentId segment) const {
    return all || std::ranges::binary_search(segments, segment);
  }
};

Result<bool> IsCommon(Sqlite& db, const std::string& expression) {
  return TRY(db.QueryInt("SELECT count(*) FROM (SELECT 1 FROM words WHERE words MATCH ? LIMIT ?)",
                         expression, kRankedMax + 1)) > kRankedMax;
}

Result<std::vector<Candidate>> Ranked(Sqlite& db, const std::string& expression,
                                      const Allowed& allowed, size_t limit) {
  std::vector<Candidate> found;
  Statement rows =
      TRY(db.Prepare("SELECT rowid,bm25(words,10.0,3.0,8.0,1.0) FROM words WHERE words MATCH ?"));
  rows.With(expression);
  while (TRY(rows.Step())) {
    if (allowed(rows.Int(0))) found.push_back({rows.Int(0), -rows.Double(1)});
  }
  const size_t count = std::min(limit, found.size());
  std::partial_sort(found.begin(), found.begin() + static_cast<ptrdiff_t>(count), found.end(),
                    [](const Candidate& a, const Candidate& b) {
                      return a.score != b.score ? a.score > b.score : a.segment < b.segment;
                    });
  found.resize(count);
  return found;
}

Result<std::vector<Candidate>> ByField(Sqlite& db, const std::string& expression,
                                       const Allowed& allowed, size_t limit) {
  std::vector<Candidate> found;
  std::unordered_set<SegmentId> seen;
  const auto take = [&](const std::string& match, double score) -> Result<> {
    Statement rows =
        TRY(db.Prepare("SELECT rowid FROM words WHERE words MATCH ? ORDER BY rowid DESC"));
    rows.With(match);
    while (found.size() < limit && TRY(rows.Step())) {
      const SegmentId segment = rows.Int(0);
      if (allowed(segment) && seen.insert(segment).second) found.push_back({segment, score});
    }
    return Ok{};
  };
  for (const Field& field : kFields) {
    TRY(take("{" + std::string(field.name) + "} : (" + expression + ")", field.score));
  }
  TRY(take(expression, 0.05));  // words spread over several fields
  return found;
}

Result<TextMatch> Describe(Sqlite& db, const TextQuery& query, const Candidate& candidate) {
  TextMatch match{candidate.segment, candidate.score, {}, {}};
  Statement row = TRY(db.Prepare(
      "SELECT w.name,w.path,w.label,w.text,s.text FROM words w JOIN segments s ON s.id=w.rowid "
      "WHERE w.rowid=?"));
  row.With(candidate.segment);
  if (!TRY(row.Step())) return match;
  for (const Field& field : kFields) {
    const std::string_view terms = row.Text(field.column);
    if (terms.empty()) continue;
    for (const Phrase& phrase : query.phrases) {
      if (!Occurs(phrase, terms)) continue;
      match.fields.emplace_back(field.name);
      break;
    }
  }
  match.snippet = Snippet(query, row.Text(4));
  return match;
}

}  // namespace

Result<std::vector<TextMatch>> SqliteCatalog::SearchText(const std::string& words,
                                                         const Filters& filters,
                                                         size_t limit) const {
  const TextQuery query = ParseTextQuery(words);
  if (query.empty() || limit == 0) return std::vector<TextMatch>();
  return Read([&](Sqlite& db) -> Result<std::vector<TextMatch>> {
    const std::string expression = Expression(query);
    Allowed allowed{filters.empty(), {}};
    if (!allowed.all) allowed.segments = TRY(PassingSegments(db, filters));
    const std::vector<Candidate> found = TRY(IsCommon(db, expression))
                                             ? TRY(ByField(db, expression, allowed, limit))
                                             : TRY(Ranked(db, expression, allowed, limit));
    std::vector<TextMatch> matches;
    for (const Candidate& candidate : found) {
      matches.push_back(TRY(Describe(db, query, candidate)));
    }
    return matches;
  });
}

}  // namespace msearch::catalog
