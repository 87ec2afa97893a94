#include <algorithm>

#include "catalog/media_rows.h"
#include "catalog/sqlite_catalog.h"

// Files as the monitor reports them, and those that wait for the pipeline.

namespace msearch::catalog {
namespace {

using storage::Sqlite;
using storage::Statement;

constexpr std::string_view kFileColumns =
    "SELECT id,root_id,path,size,modified_ns,device,inode,version,state,media_id,error_code,"
    "error_message,attempts,failed_at FROM files ";

File ReadFileRow(const Statement& row) {
  File file;
  file.id = row.Int(0);
  file.root_id = row.Int(1);
  file.fact = {row.String(2), static_cast<uint64_t>(row.Int(3)), row.Int(4),
               static_cast<uint64_t>(row.Int(5)), static_cast<uint64_t>(row.Int(6))};
  file.version = row.Int(7);
  file.state = static_cast<FileState>(row.Int(8));
  file.media = row.OptionalInt(9);
  if (!row.IsNull(10)) file.error = Error{CodeFromName(row.Text(10)), row.String(11)};
  file.attempts = static_cast<int>(row.Int(12));
  file.failed_at = row.OptionalInt(13);
  return file;
}

Result<std::optional<File>> FindFile(Sqlite& db, int64_t root_id, const std::string& path) {
  Statement row = TRY(db.Prepare(std::string(kFileColumns) + "WHERE root_id=? AND path=?"));
  row.With(root_id, path);
  if (!TRY(row.Step())) return std::optional<File>();
  return std::optional(ReadFileRow(row));
}

// The device isn't compared: a network or removable disk may get another number every time.
bool IsSameContent(const FileFact& a, const FileFact& b) {
  return a.size == b.size && a.modified_ns == b.modified_ns && a.inode == b.inode;
}

Result<> SaveFact(Sqlite& db, FileId id, const FileFact& fact) {
  return db.Run("UPDATE files SET path=?2,size=?3,modified_ns=?4,device=?5,inode=?6 WHERE id=?1",
                id, fact.path, static_cast<int64_t>(fact.size), fact.modified_ns,
                static_cast<int64_t>(fact.device), static_cast<int64_t>(fact.inode));
}

Result<> MakePending(Sqlite& db, FileId id) {
  return db.Run(
      "UPDATE files SET state=0,version=version+1,error_code=NULL,error_message=NULL,"
      "attempts=0,failed_at=NULL WHERE id=?",
      id);
}

// True when the file became pending.
Result<bool> RecordPresent(Sqlite& db, int64_t root_id, const FileFact& fact, bool force) {
  const std::optional<File> known = TRY(FindFile(db, root_id, fact.path));
  if (!known) {
    TRY(db.Run("INSERT INTO files(root_id,path,size,modified_ns,device,inode) VALUES(?,?,?,?,?,?)",
               root_id, fact.path, static_cast<int64_t>(fact.size), fact.modified_ns,
               static_cast<int64_t>(fact.device), static_cast<int64_t>(fact.inode)));
    return true;
  }
  const bool same = IsSameContent(known->fact, fact);
  if (!same || known->fact.device != fact.device) TRY(SaveFact(db, known->id, fact));
  if (same && !force) return false;
  TRY(MakePending(db, known->id));
  return true;
}

Result<> RemoveFile(Sqlite& db, const File& file, UnixMs now) {
  TRY(db.Run("DELETE FROM files WHERE id=?", file.id));
  if (file.media) TRY(ReleaseMedia(db, *file.media, now));
  return Ok{};
}

Result<> RecordMoved(Sqlite& db, int64_t root_id, const std::string& old_path, const FileFact& fact,
                     UnixMs now) {
  const std::optional<File> old = TRY(FindFile(db, root_id, old_path));
  // When two files changed places, another file may stand at the old path by now.
  if (!old || old_path == fact.path || old->fact.inode != fact.inode) {
    TRY(RecordPresent(db, root_id, fact, false));
    return Ok{};
  }
  if (const std::optional<File> replaced = TRY(FindFile(db, root_id, fact.path))) {
    TRY(RemoveFile(db, *replaced, now));
  }
  TRY(SaveFact(db, old->id, fact));
  if (!IsSameContent(old->fact, fact)) TRY(MakePending(db, old->id));
  if (old->media) TRY(RefreshNames(db, *old->media));
  return Ok{};
}

Result<int64_t> RootId(Sqlite& db, const std::string& name) {
  const auto id = TRY(db.QueryInt("SELECT id FROM roots WHERE name=? AND removing=0", name));
  if (!id) return Error{Code::kNotFound, "root " + name + ": not found"};
  return *id;
}

Result<> AppendPending(Sqlite& db, int64_t root_id, FileId after, size_t limit,
                       std::vector<File>& out) {
  Statement rows = TRY(db.Prepare(std::string(kFileColumns) +
                                  "WHERE root_id=? AND state=0 AND id>? ORDER BY id LIMIT ?"));
  rows.With(root_id, after, static_cast<int64_t>(limit));
  while (TRY(rows.Step())) out.push_back(ReadFileRow(rows));
  return Ok{};
}

}  // namespace

Result<int64_t> SqliteCatalog::FilesPresent(const std::string& root,
                                            std::span<const FileFact> files, bool force) {
  return Write(Durability::kDurable, [&](Sqlite& db) -> Result<int64_t> {
    const int64_t root_id = TRY(RootId(db, root));
    int64_t pending = 0;
    for (const FileFact& fact : files) {
      if (TRY(RecordPresent(db, root_id, fact, force))) ++pending;
    }
    return pending;
  });
}

Result<> SqliteCatalog::FileMoved(const std::string& root, const std::string& old_path,
                                  const FileFact& file) {
  return Write(Durability::kDurable, [&](Sqlite& db) -> Result<> {
    return RecordMoved(db, TRY(RootId(db, root)), old_path, file, clock_->NowMs());
  });
}

Result<> SqliteCatalog::FilesGone(const std::string& root, std::span<const std::string> paths) {
  return Write(Durability::kDurable, [&](Sqlite& db) -> Result<> {
    const int64_t root_id = TRY(RootId(db, root));
    for (const std::string& path : paths) {
      if (const auto file = TRY(FindFile(db, root_id, path))) {
        TRY(RemoveFile(db, *file, clock_->NowMs()));
      }
    }
    return Ok{};
  });
}

Result<std::vector<File>> SqliteCatalog::PendingFiles(FileId after, size_t limit) const {
  return Read([&](Sqlite& db) -> Result<std::vector<File>> {
    std::vector<int64_t> roots;
    {
      Statement rows = TRY(db.Prepare("SELECT id FROM roots WHERE paused=0 AND removing=0"));
      while (TRY(rows.Step())) roots.push_back(rows.Int(0));
    }
    std::vector<File> files;
    for (const int64_t root : roots) TRY(AppendPending(db, root, after, limit, files));
    std::ranges::sort(files, {}, &File::id);
    if (files.size() > limit) files.resize(limit);
    return files;
  });
}

Result<File> SqliteCatalog::GetFile(FileId id) const {
  return Read([&](Sqlite& db) -> Result<File> {
    Statement row = TRY(db.Prepare(std::string(kFileColumns) + "WHERE id=?"));
    row.With(id);
    if (!TRY(row.Step())) {
      return Error{Code::kNotFound, "file " + std::to_string(id) + ": not found"};
    }
    return ReadFileRow(row);
  });
}

namespace {

// Files that couldn't be indexed, and contents that a reader failed on, by one of their files.
// ?1: root, ?2: code.
constexpr std::string_view kFailures =
    "(SELECT f.id AS id,'' AS reader,r.name AS root,f.path AS path,f.error_code AS code,"
    "f.error_message AS message,f.attempts AS attempts,f.failed_at AS at "
    "FROM roots r JOIN files f ON f.root_id=r.id WHERE f.state=2 AND r.removing=0 "
    "AND (?1='' OR r.name=?1) AND (?2='' OR f.error_code=?2) UNION ALL "
    "SELECT f.id,k.name,r.name,f.path,g.error_code,g.error_message,g.attempts,g.at "
    "FROM readings g JOIN readers k ON k.id=g.reader_id "
    "JOIN media m ON m.id=g.media_id AND m.orphaned_at IS NULL "
    "JOIN files f ON f.id=(SELECT min(id) FROM files WHERE media_id=g.media_id) "
    "JOIN roots r ON r.id=f.root_id "
    "WHERE g.state=2 AND r.removing=0 AND (?1='' OR r.name=?1) AND (?2='' OR g.error_code=?2))";

}  // namespace

Result<std::vector<FailureInfo>> SqliteCatalog::Failures(const FailureFilter& filter, size_t offset,
                                                         size_t limit, int64_t* total) const {
  return Read([&](Sqlite& db) -> Result<std::vector<FailureInfo>> {
    *total =
        TRY(db.QueryInt("SELECT count(*) FROM " + std::string(kFailures), filter.root, filter.code))
            .value_or(0);
    Statement rows =
        TRY(db.Prepare("SELECT id,reader,root,path,code,message,attempts,at FROM " +
                       std::string(kFailures) + " ORDER BY at DESC,id DESC LIMIT ?3 OFFSET ?4"));
    rows.With(filter.root, filter.code, static_cast<int64_t>(limit), static_cast<int64_t>(offset));
    std::vector<FailureInfo> failures;
    while (TRY(rows.Step())) {
      failures.push_back({rows.Int(0), rows.String(1), rows.String(2), rows.String(3),
                          Error{CodeFromName(rows.Text(4)), rows.String(5)},
                          static_cast<int>(rows.Int(6)), rows.Int(7)});
    }
    return failures;
  });
}

Result<std::map<std::string, int64_t>> SqliteCatalog::FailureClasses(
    const std::string& root) const {
  return Read([&](Sqlite& db) -> Result<std::map<std::string, int64_t>> {
    Statement rows =
        TRY(db.Prepare("SELECT code,count(*) FROM " + std::string(kFailures) + " GROUP BY code"));
    rows.With(root, "");
    std::map<std::string, int64_t> classes;
    while (TRY(rows.Step())) classes[rows.String(0)] = rows.Int(1);
    return classes;
  });
}

Result<int64_t> SqliteCatalog::RetryFailures(const FailureFilter& filter) {
  return Write(Durability::kNormal, [&](Sqlite& db) -> Result<int64_t> {
    if (!filter.root.empty()) TRY(RootId(db, filter.root));
    TRY(
        db.Run("UPDATE files SET state=0,error_code=NULL,error_message=NULL,attempts=0,"
               "failed_at=NULL WHERE state=2 AND (?2='' OR error_code=?2) AND root_id IN "
               "(SELECT id FROM roots WHERE removing=0 AND (?1='' OR name=?1))",
               filter.root, filter.code));
    const int64_t files = db.changes();
    TRY(
        db.Run("DELETE FROM readings WHERE state=2 AND (?2='' OR error_code=?2) AND media_id IN "
               "(SELECT f.media_id FROM files f "
               "JOIN roots r ON r.id=f.root_id WHERE r.removing=0 AND (?1='' OR r.name=?1))",
               filter.root, filter.code));
    const int64_t readings = db.changes();
    if (readings > 0) TRY(RaiseRevision(db));
    return files + readings;
  });
}

}  // namespace msearch::catalog
