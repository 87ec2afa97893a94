#include "catalog/change_log.h"

#include <bit>
#include <cstring>

namespace msearch::catalog {
namespace {

using storage::Sqlite;
using storage::Statement;

static_assert(std::endian::native == std::endian::little);

constexpr int kStep = 2000;

void AppendU32(std::string& out, size_t value) {
  const auto number = static_cast<uint32_t>(value);
  out.append(reinterpret_cast<const char*>(&number), sizeof(number));
}

bool TakeU32(std::string_view& bytes, uint32_t& value) {
  if (bytes.size() < sizeof(value)) return false;
  std::memcpy(&value, bytes.data(), sizeof(value));
  bytes.remove_prefix(sizeof(value));
  return true;
}

constexpr std::string_view kPruneTo = "catalog.prune_changes_to";

// The position up to which removals are to be forgotten, chosen when there are too many.
Result<std::optional<int64_t>> PruneGoal(Sqlite& db, int64_t removals_max) {
  if (auto goal = TRY(db.QueryInt("SELECT value FROM settings WHERE key=?", kPruneTo))) return goal;
  const int64_t removals =
      TRY(db.QueryInt("SELECT count(*) FROM changes WHERE removed=1")).value_or(0);
  if (removals <= removals_max) return std::optional<int64_t>();
  const int64_t live = TRY(db.QueryInt("SELECT count(*) FROM changes")).value_or(0) - removals;
  if (removals <= 2 * live) return std::optional<int64_t>();
  const auto goal = TRY(db.QueryInt(
      "SELECT position FROM changes WHERE removed=1 ORDER BY position DESC LIMIT 1 OFFSET ?",
      removals_max / 2));
  if (goal) TRY(db.Run("INSERT INTO settings(key,value) VALUES(?,?)", kPruneTo, *goal));
  return goal;
}

}  // namespace

std::string PackViews(const std::vector<std::vector<float>>& views) {
  std::string out;
  AppendU32(out, views.size());
  for (const std::vector<float>& view : views) {
    AppendU32(out, view.size());
    out.append(reinterpret_cast<const char*>(view.data()), view.size() * sizeof(float));
  }
  return out;
}

Result<std::vector<std::vector<float>>> UnpackViews(std::string_view bytes) {
  const Error damaged{Code::kCorrupt, "catalog: a stored vector is damaged"};
  uint32_t count = 0;
  if (!TakeU32(bytes, count) || count > bytes.size()) return damaged;
  std::vector<std::vector<float>> views(count);
  for (std::vector<float>& view : views) {
    uint32_t size = 0;
    if (!TakeU32(bytes, size) || size > bytes.size() / sizeof(float)) return damaged;
    view.resize(size);
    if (size > 0) std::memcpy(view.data(), bytes.data(), size * sizeof(float));
    bytes.remove_prefix(size * sizeof(float));
  }
  if (!bytes.empty()) return damaged;
  return views;
}

Result<> LogChange(Sqlite& db, SegmentId segment, int64_t model, bool removed) {
  return db.Run("INSERT OR REPLACE INTO changes(segment_id,model_id,removed) VALUES(?,?,?)",
                segment, model, removed);
}

Result<> LogMediaChange(Sqlite& db, MediaId media, bool removed) {
  return db.Run(
      "INSERT OR REPLACE INTO changes(segment_id,model_id,removed) "
      "SELECT e.segment_id,e.model_id,? FROM segments s JOIN embeddings e ON e.segment_id=s.id "
      "WHERE s.media_id=? ORDER BY s.idx",
      removed, media);
}

Result<std::vector<IndexChange>> ReadChanges(Sqlite& db, const std::string& model_key,
                                             uint64_t position, size_t limit, bool* restart) {
  *restart = position > TRY(LastPosition(db));
  std::vector<IndexChange> changes;
  int64_t model = 0;
  {
    Statement find = TRY(db.Prepare("SELECT id,removed_floor FROM models WHERE key=?"));
    find.With(model_key);
    // A model that was never known here has nothing that could be missed.
    if (!TRY(find.Step())) return changes;
    model = find.Int(0);
    if (position > 0 && position < static_cast<uint64_t>(find.Int(1))) *restart = true;
  }
  Statement rows = TRY(
      db.Prepare("SELECT c.position,c.segment_id,c.removed,e.views FROM changes c "
                 "LEFT JOIN embeddings e ON e.segment_id=c.segment_id AND e.model_id=c.model_id "
                 "WHERE c.model_id=? AND c.position>? ORDER BY c.position LIMIT ?"));
  rows.With(model, static_cast<int64_t>(*restart ? 0 : position), static_cast<int64_t>(limit));
  while (TRY(rows.Step())) {
    IndexChange change{static_cast<uint64_t>(rows.Int(0)), rows.Int(1), rows.Int(2) != 0, {}};
    if (!change.removed) change.views = TRY(UnpackViews(rows.Blob(3)));
    changes.push_back(std::move(change));
  }
  return changes;
}

Result<uint64_t> LastPosition(Sqlite& db) {
  const auto last = TRY(db.QueryInt("SELECT seq FROM sqlite_sequence WHERE name='changes'"));
  return static_cast<uint64_t>(last.value_or(0));
}

Result<uint64_t> SkipPosition(Sqlite& db) {
  TRY(db.Run("INSERT INTO changes(segment_id,model_id,removed) VALUES(0,0,1)"));
  const int64_t position = db.last_insert_id();
  TRY(db.Run("DELETE FROM changes WHERE position=?", position));
  return static_cast<uint64_t>(position);
}

Result<bool> PruneChanges(Sqlite& db, int64_t removals_max) {
  const std::optional<int64_t> goal = TRY(PruneGoal(db, removals_max));
  if (!goal) return false;
  TRY(
      db.Run("INSERT OR REPLACE INTO changes(segment_id,model_id,removed) "
             "SELECT segment_id,model_id,0 FROM changes WHERE position<=? AND removed=0 "
             "ORDER BY position LIMIT ?",
             *goal, kStep));
  if (db.changes() > 0) return true;
  TRY(db.Run("UPDATE models SET removed_floor=?1 WHERE removed_floor<?1", *goal));
  TRY(
      db.Run("DELETE FROM changes WHERE position IN (SELECT position FROM changes "
             "WHERE removed=1 AND position<=? ORDER BY position LIMIT ?)",
             *goal, kStep));
  if (db.changes() == kStep) return true;
  TRY(db.Run("DELETE FROM settings WHERE key=?", kPruneTo));
  return false;
}

}  // namespace msearch::catalog
