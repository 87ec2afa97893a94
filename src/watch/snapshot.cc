// Directories form a tree by parent, so that a path is stored once; files are clustered by
// (directory, name), so that a scan reads a directory's rows in one sweep and in the order in
// which it sorts the names it finds. Names are blobs: bytes, compared as bytes. Unsigned numbers
// (inodes, devices) are stored as the signed numbers of the same bits.
#include "watch/snapshot.h"

#include <utility>

namespace msearch::watch {
namespace {

constexpr std::string_view kSchema = R"sql(
CREATE TABLE roots(
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  name TEXT NOT NULL UNIQUE,
  spec TEXT NOT NULL,
  files INTEGER NOT NULL DEFAULT 0,
  last_scan_at INTEGER,
  last_scan_ms INTEGER NOT NULL DEFAULT 0);
CREATE TABLE directories(
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  root INTEGER NOT NULL,
  parent INTEGER NOT NULL,
  name BLOB NOT NULL,
  device INTEGER NOT NULL,
  mount INTEGER NOT NULL,
  UNIQUE(parent, name, root));
CREATE INDEX directories_by_root ON directories(root);
CREATE TABLE files(
  directory INTEGER NOT NULL,
  name BLOB NOT NULL,
  size INTEGER NOT NULL,
  modified_ns INTEGER NOT NULL,
  inode INTEGER NOT NULL,
  born_ns INTEGER NOT NULL,
  PRIMARY KEY(directory, name)) WITHOUT ROWID;
CREATE INDEX files_by_inode ON files(inode);
)sql";

constexpr int kDepthMax = 4096;  // PATH_MAX: more components fit in no path

FileRow RowAt(const storage::Statement& statement, int column) {
  return {static_cast<uint64_t>(statement.Int(column)), statement.Int(column + 1),
          static_cast<uint64_t>(statement.Int(column + 2)), statement.Int(column + 3)};
}

DirectoryRow DirectoryAt(const storage::Statement& statement) {
  return {statement.Int(0), std::string(statement.Blob(1)), static_cast<uint64_t>(statement.Int(2)),
          statement.Int(3) != 0};
}

}  // namespace

std::string_view LastName() {
  static const std::string last(256, '\xFF');  // NAME_MAX is 255
  return last;
}

Result<std::unique_ptr<Snapshot>> Snapshot::Open(const std::string& database) {
  storage::SqliteOptions options;
  options.cache_kib = 1024;
  std::unique_ptr<storage::Sqlite> db = TRY(storage::Sqlite::Open(database, options));
  TRY(db->Migrate({kSchema}));
  return std::unique_ptr<Snapshot>(new Snapshot(std::move(db)));
}

Result<std::vector<StoredRoot>> Snapshot::Roots() {
  storage::Statement statement = TRY(
      db_->Prepare("SELECT id, spec, files, last_scan_at, last_scan_ms FROM roots ORDER BY name"));
  std::vector<StoredRoot> roots;
  while (TRY(statement.Step())) {
    StoredRoot root;
    root.id = statement.Int(0);
    root.spec = TRY(RootSpec::FromJson(TRY(ParseJson(statement.Text(1)))));
    root.files = static_cast<uint64_t>(statement.Int(2));
    root.last_scan_at = statement.OptionalInt(3);
    root.last_scan_ms = static_cast<uint64_t>(statement.Int(4));
    roots.push_back(std::move(root));
  }
  return roots;
}

Result<int64_t> Snapshot::PutRoot(const RootSpec& spec) {
  TRY(
      db_->Run("INSERT INTO roots(name, spec) VALUES(?, ?)"
               " ON CONFLICT(name) DO UPDATE SET spec = excluded.spec",
               spec.name, DumpJson(spec.ToJson())));
  return TRY(db_->QueryInt("SELECT id FROM roots WHERE name = ?", spec.name)).value_or(0);
}

Result<> Snapshot::PutScan(int64_t root, UnixMs ended_at, uint64_t duration_ms) {
  return db_->Run("UPDATE roots SET last_scan_at = ?, last_scan_ms = ? WHERE id = ?", ended_at,
                  static_cast<int64_t>(duration_ms), root);
}

Result<> Snapshot::RemoveRoot(int64_t root) {
  return db_->Run("DELETE FROM roots WHERE id = ?", root);
}

Result<> Snapshot::RemoveOrphans() {
  while (true) {
    const std::optional<int64_t> orphan = TRY(db_->QueryInt(
        "SELECT root FROM directories WHERE root NOT IN (SELECT id FROM roots) LIMIT 1"));
    if (!orphan) return Ok{};
    TRY(RemoveDirectoriesOf(*orphan));
  }
}

Result<> Snapshot::RemoveDirectoriesOf(int64_t root) {
  constexpr int kAtOnce = 100;
  bool more = true;
  while (more) {
    TRY(Transact([&]() -> Result<> {
      std::vector<int64_t> ids;
      {
        storage::Statement statement =
            TRY(db_->Prepare("SELECT id FROM directories WHERE root = ? LIMIT ?"));
        statement.With(root, kAtOnce);
        while (TRY(statement.Step())) ids.push_back(statement.Int(0));
      }
      for (const int64_t id : ids) {
        TRY(db_->Run("DELETE FROM files WHERE directory = ?", id));
        TRY(RemoveDirectory(id));
      }
      more = ids.size() == kAtOnce;
      return Ok{};
    }));
  }
  return Ok{};
}

Result<std::optional<DirectoryRow>> Snapshot::FindDirectory(int64_t root, int64_t parent,
                                                            std::string_view name) {
  storage::Statement statement =
      TRY(db_->Prepare("SELECT id, name, device, mount FROM directories"
                       " WHERE parent = ? AND name = ? AND root = ?"));
  statement.Bind(1, parent).BindBlob(2, name).Bind(3, root);
  if (!TRY(statement.Step())) return std::optional<DirectoryRow>();
  return std::optional(DirectoryAt(statement));
}

Result<int64_t> Snapshot::AddDirectory(int64_t root, int64_t parent, std::string_view name,
                                       uint64_t device, bool mount) {
  storage::Statement statement = TRY(db_->Prepare(
      "INSERT INTO directories(root, parent, name, device, mount) VALUES(?, ?, ?, ?, ?)"));
  statement.Bind(1, root).Bind(2, parent).BindBlob(3, name);
  statement.Bind(4, static_cast<int64_t>(device)).Bind(5, mount);
  TRY(statement.Run());
  return db_->last_insert_id();
}

Result<> Snapshot::UpdateDirectory(int64_t id, uint64_t device, bool mount) {
  return db_->Run("UPDATE directories SET device = ?, mount = ? WHERE id = ?",
                  static_cast<int64_t>(device), mount, id);
}

Result<> Snapshot::RemoveDirectory(int64_t id) {
  return db_->Run("DELETE FROM directories WHERE id = ?", id);
}

Result<std::vector<DirectoryRow>> Snapshot::Directories(int64_t parent) {
  storage::Statement statement = TRY(db_->Prepare(
      "SELECT id, name, device, mount FROM directories WHERE parent = ? ORDER BY name"));
  statement.With(parent);
  std::vector<DirectoryRow> rows;
  while (TRY(statement.Step())) rows.push_back(DirectoryAt(statement));
  return rows;
}

Result<std::optional<std::string>> Snapshot::PathOf(int64_t directory) {
  std::string path;
  for (int depth = 0; depth < kDepthMax; ++depth) {
    storage::Statement statement =
        TRY(db_->Prepare("SELECT parent, name FROM directories WHERE id = ?"));
    statement.With(directory);
    if (!TRY(statement.Step())) break;
    directory = statement.Int(0);
    if (directory == 0) return std::optional(path);
    path =
        path.empty() ? std::string(statement.Blob(1)) : std::string(statement.Blob(1)) + '/' + path;
  }
  return std::optional<std::string>();
}

Result<> Snapshot::Files(
    int64_t directory, std::string_view after, std::string_view to,
    const std::function<void(std::string_view name, const FileRow& row)>& visit) {
  storage::Statement statement =
      TRY(db_->Prepare("SELECT name, size, modified_ns, inode, born_ns FROM files"
                       " WHERE directory = ? AND name > ? AND name <= ? ORDER BY name"));
  statement.Bind(1, directory).BindBlob(2, after).BindBlob(3, to);
  while (TRY(statement.Step())) visit(statement.Blob(0), RowAt(statement, 1));
  return Ok{};
}

Result<std::vector<std::string>> Snapshot::Names(int64_t directory, std::string_view after,
                                                 int count) {
  storage::Statement statement = TRY(db_->Prepare(
      "SELECT name FROM files WHERE directory = ? AND name > ? ORDER BY name LIMIT ?"));
  statement.Bind(1, directory).BindBlob(2, after).Bind(3, count);
  std::vector<std::string> names;
  while (TRY(statement.Step())) names.emplace_back(statement.Blob(0));
  return names;
}

Result<std::optional<FileRow>> Snapshot::FindFile(int64_t directory, std::string_view name) {
  storage::Statement statement = TRY(db_->Prepare(
      "SELECT size, modified_ns, inode, born_ns FROM files WHERE directory = ? AND name = ?"));
  statement.Bind(1, directory).BindBlob(2, name);
  if (!TRY(statement.Step())) return std::optional<FileRow>();
  return std::optional(RowAt(statement, 0));
}

Result<std::vector<KnownFile>> Snapshot::FilesByInode(int64_t root, uint64_t inode) {
  storage::Statement statement = TRY(
      db_->Prepare("SELECT f.directory, f.name, d.device, f.size, f.modified_ns, f.inode, f.born_ns"
                   " FROM files f JOIN directories d ON d.id = f.directory"
                   " WHERE f.inode = ? AND d.root = ? LIMIT 16"));
  statement.With(static_cast<int64_t>(inode), root);
  std::vector<KnownFile> files;
  while (TRY(statement.Step())) {
    files.push_back({statement.Int(0), std::string(statement.Blob(1)),
                     static_cast<uint64_t>(statement.Int(2)), RowAt(statement, 3)});
  }
  return files;
}

Result<int> Snapshot::PutFile(int64_t directory, std::string_view name, const FileRow& row) {
  const auto bind = [&](storage::Statement& statement) {
    statement.Bind(1, static_cast<int64_t>(row.size)).Bind(2, row.modified_ns);
    statement.Bind(3, static_cast<int64_t>(row.inode)).Bind(4, row.born_ns);
    statement.Bind(5, directory).BindBlob(6, name);
  };
  storage::Statement update =
      TRY(db_->Prepare("UPDATE files SET size = ?, modified_ns = ?, inode = ?, born_ns = ?"
                       " WHERE directory = ? AND name = ?"));
  bind(update);
  TRY(update.Run());
  if (db_->changes() > 0) return 0;
  storage::Statement insert =
      TRY(db_->Prepare("INSERT INTO files(size, modified_ns, inode, born_ns, directory, name)"
                       " VALUES(?, ?, ?, ?, ?, ?)"));
  bind(insert);
  TRY(insert.Run());
  return 1;
}

Result<int> Snapshot::RemoveFile(int64_t directory, std::string_view name) {
  storage::Statement statement =
      TRY(db_->Prepare("DELETE FROM files WHERE directory = ? AND name = ?"));
  statement.Bind(1, directory).BindBlob(2, name);
  TRY(statement.Run());
  return -static_cast<int>(db_->changes());
}

Result<> Snapshot::PutFileCount(int64_t root, uint64_t files) {
  return db_->Run("UPDATE roots SET files = ? WHERE id = ?", static_cast<int64_t>(files), root);
}

}  // namespace msearch::watch
