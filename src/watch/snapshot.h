// What the monitor last reported of every root: directories and files, in SQLite. Rows of
// different roots never meet.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "storage/sqlite.h"
#include "watch/monitor.h"

namespace msearch::watch {

struct StoredRoot {
  int64_t id = 0;
  RootSpec spec;
  uint64_t files = 0;
  std::optional<UnixMs> last_scan_at;
  uint64_t last_scan_ms = 0;
};

struct DirectoryRow {
  int64_t id = 0;
  std::string name;
  uint64_t device = 0;
  bool mount = false;  // something was mounted here when it was last read
};

struct FileRow {
  uint64_t size = 0;
  int64_t modified_ns = 0;
  uint64_t inode = 0;
  int64_t born_ns = 0;
};

// A file that the snapshot knows by another name.
struct KnownFile {
  int64_t directory = 0;
  std::string name;
  uint64_t device = 0;
  FileRow row;
};

// One connection: not thread-safe, but several (of several threads) may be open on one file. Ids
// of roots and directories are never used twice.
class Snapshot {
 public:
  // kCorrupt for a file that is no snapshot.
  static Result<std::unique_ptr<Snapshot>> Open(const std::string& database);

  Result<std::vector<StoredRoot>> Roots();
  // Adds or redefines the root of this name; gives its id.
  Result<int64_t> PutRoot(const RootSpec& spec);
  Result<> PutScan(int64_t root, UnixMs ended_at, uint64_t duration_ms);
  // Forgets the root; its directories and files become orphans.
  Result<> RemoveRoot(int64_t root);
  // Bit by bit, so that others can write in between.
  Result<> RemoveOrphans();

  // The directory `name` in `parent`; parent 0 and name "" is the root's own.
  Result<std::optional<DirectoryRow>> FindDirectory(int64_t root, int64_t parent,
                                                    std::string_view name);
  Result<int64_t> AddDirectory(int64_t root, int64_t parent, std::string_view name, uint64_t device,
                               bool mount);
  Result<> UpdateDirectory(int64_t id, uint64_t device, bool mount);
  // REQUIRES: no files or directories in it.
  Result<> RemoveDirectory(int64_t id);
  // In the order of their names.
  Result<std::vector<DirectoryRow>> Directories(int64_t parent);
  // Relative to the root; nothing for an id that isn't there (any more).
  Result<std::optional<std::string>> PathOf(int64_t directory);

  // Files with `after` < name <= `to`, in the order of names. `visit` must not use the snapshot
  // or touch a file system: a reader that hangs keeps the database's log from shrinking.
  Result<> Files(int64_t directory, std::string_view after, std::string_view to,
                 const std::function<void(std::string_view name, const FileRow& row)>& visit);
  // The first `count` names after `after`.
  Result<std::vector<std::string>> Names(int64_t directory, std::string_view after, int count);
  Result<std::optional<FileRow>> FindFile(int64_t directory, std::string_view name);
  // At most 16: hard links of one file.
  Result<std::vector<KnownFile>> FilesByInode(int64_t root, uint64_t inode);

  // Within Transact. Both say by how much the number of files changed.
  Result<int> PutFile(int64_t directory, std::string_view name, const FileRow& row);
  Result<int> RemoveFile(int64_t directory, std::string_view name);
  Result<> PutFileCount(int64_t root, uint64_t files);
  Result<> Transact(const std::function<Result<>()>& body) { return db_->Transact(body); }

 private:
  explicit Snapshot(std::unique_ptr<storage::Sqlite> db) : db_(std::move(db)) {}
  Result<> RemoveDirectoriesOf(int64_t root);

  std::unique_ptr<storage::Sqlite> db_;
};

// Greater than every file name.
std::string_view LastName();

}  // namespace msearch::watch
