#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <unordered_map>
#include <unordered_set>

#include "catalog/filter.h"
#include "catalog/sqlite_catalog.h"
#include "catalog/words.h"

// Words to segments. FTS5 says which rows match and how often in which column; the score is
// computed here, because FTS5's own bm25() first reads all matches of each phrase, even of those
// that are everywhere. The measure is BM25 with the columns saturating apart.
//
// At most kRankedMax matches are ranked. When there are more, the words are so common that those
// with a match in a name or label come first, then the newest. So a word that is in everything
// answers about as fast as a rare one.
//
// The last word counts as a prefix only when taking it as a whole word finds fewer than asked for.
//
// Names and paths stand only at the first segment of a media. That a query's words may be spread
// over the name of a long document and one of its later passages takes a second step: for every
// phrase the media that have it in name or path, then among their segments those that have the
// other phrases.

namespace msearch::catalog {
namespace {

using storage::Sqlite;
using storage::Statement;

constexpr size_t kRankedMax = 1000;
// Beyond that many matches a phrase is merely common; counting on would cost more than it says.
constexpr int64_t kCountedMax = 2000;
constexpr size_t kSpreadMediaMax = 500;
constexpr size_t kSpreadPhrasesMax = 6;

struct Column {
  std::string_view name;
  double weight;
  double length_weight;  // how much each term in the column takes from a match in it
};
// As in the table `words`.
constexpr Column kColumns[] = {
    {"name", 4.0, 0.06}, {"path", 1.0, 0.03}, {"label", 3.0, 0.06}, {"text", 1.0, 0.012}};
constexpr size_t kColumnCount = std::size(kColumns);
// The order in which matches are reported.
constexpr size_t kFieldOrder[] = {0, 2, 1, 3};
constexpr double kPrefixWeight = 0.5;

struct Candidate {
  SegmentId segment = 0;
  double score = 0;
};

using Predicate = std::function<bool(int64_t)>;

// A query as FTS5 reads it. An alternative (word or prefix) is one phrase of FTS5's.
struct Expression {
  std::string text;
  struct Part {
    size_t phrase;  // of the query
    double weight;
  };
  std::vector<Part> parts;
};

// Terms hold letters and digits only, so quoting them needs no escape.
void AppendPhrase(const Phrase& phrase, size_t index, bool as_prefix, Expression& out) {
  std::string before;
  for (size_t i = 0; i + 1 < phrase.terms.size(); ++i) before += phrase.terms[i] + " ";
  const std::string exact = "\"" + before + phrase.terms.back() + "\"";
  if (!out.text.empty()) out.text += " AND ";
  out.parts.push_back({index, 1.0});
  if (!as_prefix || phrase.prefix.empty()) {
    out.text += exact;
    return;
  }
  out.text += "(" + exact + " OR \"" + before + phrase.prefix + "\" *)";
  out.parts.push_back({index, kPrefixWeight});
}

Expression MakeExpression(const TextQuery& query, bool as_prefix, uint64_t without = 0) {
  Expression out;
  for (size_t i = 0; i < query.phrases.size(); ++i) {
    if ((without >> i & 1) == 0) AppendPhrase(query.phrases[i], i, as_prefix, out);
  }
  return out;
}

// One search, on one connection.
class TextSearch {
 public:
  TextSearch(Sqlite& db, const TextQuery& query, size_t limit)
      : db_(db), query_(query), limit_(limit) {}

  Result<> Allow(const Filters& filters) {
    if (filters.empty()) return Ok{};
    allowed_ = TRY(PassingSegments(db_, filters));
    passes_ = [this](int64_t segment) { return std::ranges::binary_search(*allowed_, segment); };
    return Ok{};
  }

  Result<std::vector<Candidate>> Run() {
    TRY(CountPhrases(false));
    TRY(Collect(MakeExpression(query_, false)));
    const bool prefix = !query_.phrases.back().prefix.empty();
    if (prefix && found_.size() < limit_) {
      found_.clear();
      TRY(CountPhrases(true));
      TRY(Collect(MakeExpression(query_, true)));
    }
    if (found_.size() < limit_ && query_.phrases.size() > 1) TRY(CollectSpread(prefix));
    return Best();
  }

 private:
  // How rare the phrases are. Of a single one it doesn't matter.
  Result<> CountPhrases(bool as_prefix) {
    counts_.assign(query_.phrases.size(), 1);
    if (query_.phrases.size() == 1) return Ok{};
    for (size_t i = 0; i < query_.phrases.size(); ++i) {
      Expression one;
      AppendPhrase(query_.phrases[i], i, as_prefix, one);
      counts_[i] = TRY(db_.QueryInt("SELECT count(*) FROM (SELECT 1 FROM words WHERE words MATCH ? "
                                    "LIMIT ?)",
                                    one.text, kCountedMax))
                       .value_or(0);
    }
    rows_ = TRY(db_.QueryInt("SELECT max(id) FROM segments")).value_or(0);
    return Ok{};
  }

  double Rarity(size_t phrase) const {
    const auto count = static_cast<double>(counts_[phrase]);
    return std::log(1.0 + (static_cast<double>(std::max<int64_t>(rows_, 1)) + 0.5) / (count + 0.5));
  }

  double Score(const Expression& expression, std::string_view blob) const {
    std::vector<uint32_t> counts(blob.size() / sizeof(uint32_t));
    std::memcpy(counts.data(), blob.data(), counts.size() * sizeof(uint32_t));
    const size_t parts = expression.parts.size();
    if (counts.size() != (parts + 1) * kColumnCount) return 0;
    double score = 0;
    for (size_t part = 0; part < parts; ++part) {
      double columns = 0;
      for (size_t column = 0; column < kColumnCount; ++column) {
        const double count = counts[part * kColumnCount + column];
        if (count == 0) continue;
        const double length = counts[parts * kColumnCount + column];
        columns += kColumns[column].weight * count /
                   (count + 0.5 + kColumns[column].length_weight * length);
      }
      score += Rarity(expression.parts[part].phrase) * expression.parts[part].weight * columns;
    }
    return score;
  }

  // Adds matches of `match` that aren't found yet, the newest first, until `most` are found.
  Result<> Take(const Expression& expression, const std::string& match, const Predicate* passes,
                size_t most) {
    Statement rows = TRY(db_.Prepare(
        passes == nullptr ? "SELECT rowid,match_counts(words) FROM words WHERE words MATCH ? "
                            "ORDER BY rowid DESC"
                          : "SELECT rowid,match_counts(words) FROM words WHERE words MATCH ? "
                            "AND passes(rowid,?) ORDER BY rowid DESC"));
    rows.Bind(1, match);
    if (passes != nullptr) rows.BindPredicate(2, passes);
    while (found_.size() < most && TRY(rows.Step())) {
      found_.try_emplace(rows.Int(0), Score(expression, rows.Blob(1)));
    }
    return Ok{};
  }

  Result<> Collect(const Expression& expression) {
    const Predicate* passes = allowed_ ? &passes_ : nullptr;
    TRY(Take(expression, expression.text, passes, kRankedMax));
    if (found_.size() < kRankedMax) return Ok{};
    std::unordered_map<SegmentId, double> newest;
    newest.swap(found_);
    TRY(Take(expression, "{name label} : (" + expression.text + ")", passes, kRankedMax));
    found_.merge(newest);
    return Ok{};
  }

  // Which phrases a media has in its names, as bits.
  Result<std::unordered_map<MediaId, uint64_t>> NamedMedia(bool as_prefix) {
    std::unordered_map<MediaId, uint64_t> named;
    const size_t phrases = std::min(query_.phrases.size(), kSpreadPhrasesMax);
    for (size_t i = 0; i < phrases; ++i) {
      if (counts_[i] == 0 || counts_[i] >= kCountedMax) continue;
      Expression one;
      AppendPhrase(query_.phrases[i], i, as_prefix, one);
      Statement rows = TRY(db_.Prepare(
          "SELECT s.media_id FROM words w CROSS JOIN segments s ON s.id=w.rowid "
          "WHERE words MATCH ? AND EXISTS(SELECT 1 FROM segments o WHERE o.media_id=s.media_id "
          "AND o.id<>s.id) LIMIT ?"));
      rows.With("{name path} : " + one.text, static_cast<int64_t>(kSpreadMediaMax));
      while (TRY(rows.Step())) named[rows.Int(0)] |= uint64_t{1} << i;
    }
    return named;
  }

  Result<> CollectSpread(bool as_prefix) {
    std::unordered_map<uint64_t, std::unordered_set<SegmentId>> by_mask;
    const uint64_t all = (uint64_t{1} << query_.phrases.size()) - 1;
    for (const auto& [media, mask] : TRY(NamedMedia(as_prefix))) {
      if (mask == all) continue;
      Statement rows = TRY(db_.Prepare("SELECT id FROM segments WHERE media_id=?"));
      rows.With(media);
      while (TRY(rows.Step())) by_mask[mask].insert(rows.Int(0));
    }
    for (const auto& named : by_mask) {
      const Predicate passes = [&](int64_t segment) {
        return named.second.contains(segment) && (!allowed_ || passes_(segment));
      };
      const Expression others = MakeExpression(query_, as_prefix, named.first);
      TRY(Take(others, others.text, &passes, kRankedMax));
    }
    return Ok{};
  }

  std::vector<Candidate> Best() const {
    std::vector<Candidate> best;
    for (const auto& [segment, score] : found_) best.push_back({segment, score});
    const size_t count = std::min(limit_, best.size());
    std::partial_sort(best.begin(), best.begin() + static_cast<ptrdiff_t>(count), best.end(),
                      [](const Candidate& a, const Candidate& b) {
                        return a.score != b.score ? a.score > b.score : a.segment > b.segment;
                      });
    best.resize(count);
    return best;
  }

  Sqlite& db_;
  const TextQuery& query_;
  const size_t limit_;
  std::optional<std::vector<SegmentId>> allowed_;  // sorted; nothing: all
  Predicate passes_;
  std::vector<int64_t> counts_;  // matches of each phrase, at most kCountedMax
  int64_t rows_ = 0;
  std::unordered_map<SegmentId, double> found_;
};

Result<TextMatch> Describe(Sqlite& db, const TextQuery& query, const Candidate& candidate) {
  TextMatch match{candidate.segment, candidate.score, {}};
  // Names and paths are those of the media's first segment.
  Statement row = TRY(db.Prepare(
      "SELECT f.name,f.path,w.label,w.text FROM words w JOIN segments s ON s.id=w.rowid "
      "JOIN words f ON f.rowid=(SELECT id FROM segments WHERE media_id=s.media_id ORDER BY idx "
      "LIMIT 1) WHERE w.rowid=?"));
  row.With(candidate.segment);
  if (!TRY(row.Step())) return match;
  for (const size_t column : kFieldOrder) {
    const std::string_view terms = row.Text(static_cast<int>(column));
    const bool occurs =
        !terms.empty() && std::ranges::any_of(query.phrases, [&](const Phrase& phrase) {
          return Occurs(phrase, terms);
        });
    if (occurs) match.fields.emplace_back(kColumns[column].name);
  }
  return match;
}

}  // namespace

Result<std::vector<TextMatch>> SqliteCatalog::SearchText(const std::string& words,
                                                         const Filters& filters,
                                                         size_t limit) const {
  const TextQuery query = ParseTextQuery(words);
  if (query.empty() || limit == 0) return std::vector<TextMatch>();
  return Read([&](Sqlite& db) -> Result<std::vector<TextMatch>> {
    TextSearch search(db, query, limit);
    TRY(search.Allow(filters));
    std::vector<TextMatch> matches;
    for (const Candidate& candidate : TRY(search.Run())) {
      matches.push_back(TRY(Describe(db, query, candidate)));
    }
    return matches;
  });
}

Result<std::string> SqliteCatalog::TextSnippet(SegmentId id, const std::string& words) const {
  return Snippet(ParseTextQuery(words), TRY(SegmentText(id)));
}

}  // namespace msearch::catalog
