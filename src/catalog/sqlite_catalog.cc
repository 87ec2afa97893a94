#include "catalog/sqlite_catalog.h"

#include <unistd.h>

#include <cstdio>

#include "catalog/change_log.h"
#include "catalog/media_rows.h"
#include "catalog/schema.h"

// One connection writes, behind a mutex; each reading thread borrows a connection, so that reading
// never waits for writing (WAL). Long deletions are cut into steps, between which other writers
// get their turn.

namespace msearch::catalog {
namespace {

using storage::Sqlite;
using storage::SqliteOptions;
using storage::Statement;

constexpr size_t kIdleReadersMax = 4;
constexpr int kReaderCacheKib = 4096;
constexpr int kWriterCacheKib = 16384;
constexpr int kDeleteStep = 500;
constexpr int64_t kRemovalsMax = 100'000;
constexpr std::string_view kEpochKey = "catalog.epoch";

Result<uint64_t> ReadEpoch(Sqlite& db) {
  const auto epoch = TRY(db.QueryInt("SELECT value FROM settings WHERE key=?", kEpochKey));
  return static_cast<uint64_t>(epoch.value_or(1));
}

Result<> PutSetting(Sqlite& db, std::string_view key, std::string_view value) {
  return db.Run(
      "INSERT INTO settings(key,value) VALUES(?,?) "
      "ON CONFLICT(key) DO UPDATE SET value=excluded.value",
      key, value);
}

Result<std::vector<int64_t>> Ints(Statement& rows) {
  std::vector<int64_t> values;
  while (TRY(rows.Step())) values.push_back(rows.Int(0));
  return values;
}

// `kept`: keys, as a JSON array.
Result<int64_t> DeleteEmbeddingsStep(Sqlite& db, const std::string& kept) {
  Statement rows = TRY(db.Prepare(
      "SELECT e.id,e.segment_id,e.model_id FROM models m JOIN embeddings e ON e.model_id=m.id "
      "WHERE m.key NOT IN (SELECT value FROM json_each(?)) LIMIT ?"));
  rows.With(kept, kDeleteStep);
  struct Row {
    int64_t id, segment, model;
  };
  std::vector<Row> found;
  while (TRY(rows.Step())) found.push_back({rows.Int(0), rows.Int(1), rows.Int(2)});
  for (const Row& row : found) {
    TRY(db.Run("DELETE FROM embeddings WHERE id=?", row.id));
    TRY(db.Run("DELETE FROM changes WHERE segment_id=? AND model_id=?", row.segment, row.model));
  }
  return static_cast<int64_t>(found.size());
}

}  // namespace

Result<std::unique_ptr<Catalog>> Catalog::OpenSqlite(const std::string& path, const Clock* clock) {
  return SqliteCatalog::Open(path, false, clock);
}

Result<std::unique_ptr<Catalog>> Catalog::OpenSqliteReadOnly(const std::string& path) {
  return SqliteCatalog::Open(path, true, nullptr);
}

Result<std::unique_ptr<Catalog>> SqliteCatalog::Open(const std::string& path, bool read_only,
                                                     const Clock* clock) {
  std::unique_ptr<SqliteCatalog> catalog(
      new SqliteCatalog(path, clock != nullptr ? clock : &SystemClock()));
  if (!read_only) {
    SqliteOptions options;
    options.cache_kib = kWriterCacheKib;
    catalog->writer_ = TRY(Sqlite::Open(path, options));
    if (Result<> migrated = catalog->writer_->Migrate(Migrations()); !migrated.ok()) {
      return catalog->Named(migrated.error());
    }
    TRY(catalog->FinishRemovals());
  }
  const auto version = TRY(catalog->Read(
      [](Sqlite& db) { return db.QueryInt("SELECT user_version FROM pragma_user_version"); }));
  if (version != static_cast<int64_t>(Migrations().size())) {
    return Error{Code::kUnsupported, path + ": made by another version of msearch"};
  }
  return std::unique_ptr<Catalog>(std::move(catalog));
}

Error SqliteCatalog::Named(const Error& error) const {
  constexpr std::string_view kObject = "database";
  if (!error.message.starts_with(kObject)) return error;
  return {error.code, path_ + error.message.substr(kObject.size())};
}

Result<> SqliteCatalog::BeginWrite(Durability durability) {
  if (writer_ == nullptr) return Error{Code::kPermission, path_ + ": opened for reading only"};
  if (durability == durability_) return Ok{};
  TRY(writer_->Execute(durability == Durability::kDurable ? "PRAGMA synchronous=FULL"
                                                          : "PRAGMA synchronous=NORMAL"));
  durability_ = durability;
  return Ok{};
}

Result<std::unique_ptr<Sqlite>> SqliteCatalog::BorrowReader() const {
  {
    std::lock_guard lock(pool_);
    if (!readers_.empty()) {
      std::unique_ptr<Sqlite> reader = std::move(readers_.back());
      readers_.pop_back();
      return reader;
    }
  }
  SqliteOptions options;
  options.read_only = true;
  options.cache_kib = kReaderCacheKib;
  return Sqlite::Open(path_, options);
}

void SqliteCatalog::ReturnReader(std::unique_ptr<Sqlite> reader) const {
  std::lock_guard lock(pool_);
  if (readers_.size() < kIdleReadersMax) readers_.push_back(std::move(reader));
}

Result<uint64_t> SqliteCatalog::Epoch() const { return Read(ReadEpoch); }

Result<uint64_t> SqliteCatalog::RaiseEpoch() {
  return Write(Durability::kDurable, [](Sqlite& db) -> Result<uint64_t> {
    const uint64_t epoch = TRY(ReadEpoch(db)) + 1;
    TRY(PutSetting(db, kEpochKey, std::to_string(epoch)));
    return epoch;
  });
}

Result<std::optional<std::string>> SqliteCatalog::GetSetting(const std::string& key) const {
  return Read([&](Sqlite& db) {
    return db.QueryString("SELECT value FROM settings WHERE key=?", "user." + key);
  });
}

Result<> SqliteCatalog::SetSetting(const std::string& key, const std::string& value) {
  return Write(Durability::kDurable,
               [&](Sqlite& db) { return PutSetting(db, "user." + key, value); });
}

Result<std::vector<IndexChange>> SqliteCatalog::ChangesFor(const std::string& model_key,
                                                           uint64_t position, size_t limit,
                                                           bool* restart) const {
  return Read([&](Sqlite& db) { return ReadChanges(db, model_key, position, limit, restart); });
}

Result<uint64_t> SqliteCatalog::Position(const std::string& model_key) const {
  return Read([&](Sqlite& db) -> Result<uint64_t> {
    if (model_key.empty()) return LastPosition(db);
    const auto last = TRY(db.QueryInt(
        "SELECT max(position) FROM changes WHERE model_id=(SELECT id FROM models WHERE key=?)",
        model_key));
    return static_cast<uint64_t>(last.value_or(0));
  });
}

Result<int64_t> SqliteCatalog::CountSegments(const std::string& model_key) const {
  return Read([&](Sqlite& db) -> Result<int64_t> {
    return TRY(db.QueryInt("SELECT count(*) FROM changes WHERE removed=0 AND model_id="
                           "(SELECT id FROM models WHERE key=?)",
                           model_key))
        .value_or(0);
  });
}

Result<int64_t> SqliteCatalog::DropOtherModels(std::span<const std::string> keep) {
  const std::string kept = DumpJson(Json(std::vector<std::string>(keep.begin(), keep.end())));
  // First what makes their replicas start anew and their content count as incomplete: the rest may
  // be interrupted.
  TRY(Write(Durability::kNormal, [&](Sqlite& db) -> Result<> {
    const uint64_t floor = TRY(SkipPosition(db));
    TRY(db.Run(
        "UPDATE models SET removed_floor=? WHERE key NOT IN (SELECT value FROM json_each(?))",
        static_cast<int64_t>(floor), kept));
    TRY(
        db.Run("DELETE FROM changes WHERE removed=1 AND model_id IN (SELECT id FROM models WHERE "
               "key NOT IN (SELECT value FROM json_each(?)))",
               kept));
    return db.Run(
        "DELETE FROM media_models WHERE model_id IN (SELECT id FROM models WHERE "
        "key NOT IN (SELECT value FROM json_each(?)))",
        kept);
  }));
  int64_t total = 0;
  while (true) {
    const int64_t dropped =
        TRY(Write(Durability::kNormal, [&](Sqlite& db) { return DeleteEmbeddingsStep(db, kept); }));
    if (dropped == 0) return total;
    total += dropped;
  }
}

Result<int64_t> SqliteCatalog::PurgeOrphans(Milliseconds age) {
  const UnixMs before = clock_->NowMs() - age.count();
  int64_t total = 0;
  while (true) {
    const int64_t purged = TRY(Write(Durability::kNormal, [&](Sqlite& db) -> Result<int64_t> {
      std::vector<int64_t> orphans;
      {
        Statement rows = TRY(
            db.Prepare("SELECT id FROM media WHERE orphaned_at<=? ORDER BY orphaned_at LIMIT ?"));
        rows.With(before, kDeleteStep / 10);
        orphans = TRY(Ints(rows));
      }
      for (const MediaId media : orphans) TRY(DeleteMedia(db, media));
      return static_cast<int64_t>(orphans.size());
    }));
    if (purged == 0) break;
    total += purged;
  }
  while (
      TRY(Write(Durability::kNormal, [](Sqlite& db) { return PruneChanges(db, kRemovalsMax); }))) {
  }
  return total;
}

Result<> SqliteCatalog::BackupTo(const std::string& path) const {
  if (access(path.c_str(), F_OK) == 0) {
    return Error{Code::kConflict, path + ": exists already"};
  }
  // Renamed when it's whole: an interrupted backup must not look like one.
  const std::string part = path + ".part";
  unlink(part.c_str());
  std::unique_ptr<Sqlite> reader = TRY(BorrowReader());
  const Result<> copied = reader->BackupTo(part);
  ReturnReader(std::move(reader));
  if (!copied.ok()) {
    unlink(part.c_str());
    return Error{copied.code(), path + ": " + copied.message()};
  }
  if (rename(part.c_str(), path.c_str()) != 0) return ErrnoError(path, errno);
  return Ok{};
}

}  // namespace msearch::catalog
