#include "base/strings.h"
#include "catalog/media_rows.h"
#include "catalog/sqlite_catalog.h"

// Removing a root first marks it, which takes it out of sight and frees its name, and then deletes
// its files in bounded steps. A removal that a crash cut short is finished at the next opening.

namespace msearch::catalog {
namespace {

using storage::Sqlite;
using storage::Statement;

constexpr int kRemoveStep = 250;

constexpr std::string_view kRootColumns =
    "SELECT id,name,path,origin,options,paused,state,status,created_at FROM roots ";

Result<Root> ReadRoot(const Statement& row) {
  Root root;
  root.id = row.Int(0);
  root.name = row.String(1);
  root.path = row.String(2);
  root.origin = row.String(3);
  root.options = TRY(ParseJson(row.Text(4)));
  root.paused = row.Int(5) != 0;
  root.state = row.String(6);
  root.status = TRY(ParseJson(row.Text(7)));
  root.created_at = row.Int(8);
  return root;
}

Result<std::vector<Root>> ReadRoots(Sqlite& db) {
  std::vector<Root> roots;
  Statement rows =
      TRY(db.Prepare(std::string(kRootColumns) + "WHERE removing=0 ORDER BY created_at,id"));
  while (TRY(rows.Step())) roots.push_back(TRY(ReadRoot(rows)));
  return roots;
}

// Without the slashes at its end, unless it's nothing but a slash.
std::string PlainPath(std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  return path;
}

bool IsWithin(const std::string& inner, const std::string& outer) {
  if (inner == outer || outer == "/") return true;
  return inner.starts_with(outer + "/");
}

Result<> CheckNewRoot(const Root& root, const std::vector<Root>& others) {
  if (root.name.empty()) return Error{Code::kInvalid, "root: its name is empty"};
  if (root.path.empty() || root.path[0] != '/') {
    return Error{Code::kInvalid, "root " + root.name + ": its path isn't absolute"};
  }
  for (const Root& other : others) {
    if (other.name == root.name) {
      return Error{Code::kConflict, "root " + root.name + ": the name is in use"};
    }
    if (other.path == root.path) {
      return Error{Code::kConflict, root.path + ": is root " + other.name + " already"};
    }
    if (IsWithin(root.path, other.path)) {
      return Error{Code::kConflict, root.path + ": lies inside root " + other.name};
    }
    if (IsWithin(other.path, root.path)) {
      return Error{Code::kConflict, root.path + ": contains root " + other.name};
    }
  }
  return Ok{};
}

// Deletes some files of the root; how many.
Result<int64_t> RemoveFilesStep(Sqlite& db, int64_t root_id, UnixMs now) {
  struct Row {
    FileId id;
    std::optional<MediaId> media;
  };
  std::vector<Row> files;
  {
    Statement rows = TRY(db.Prepare("SELECT id,media_id FROM files WHERE root_id=? LIMIT ?"));
    rows.With(root_id, kRemoveStep);
    while (TRY(rows.Step())) files.push_back({rows.Int(0), rows.OptionalInt(1)});
  }
  for (const Row& file : files) {
    TRY(db.Run("DELETE FROM files WHERE id=?", file.id));
    if (file.media) TRY(ReleaseMedia(db, *file.media, now));
  }
  return static_cast<int64_t>(files.size());
}

Error NoRoot(const std::string& name) { return {Code::kNotFound, "root " + name + ": not found"}; }

}  // namespace

Result<Root> SqliteCatalog::AddRoot(const Root& root) {
  Root added = root;
  added.path = PlainPath(root.path);
  if (added.created_at == 0) added.created_at = clock_->NowMs();
  return Write(Durability::kDurable, [&](Sqlite& db) -> Result<Root> {
    TRY(CheckNewRoot(added, TRY(ReadRoots(db))));
    TRY(
        db.Run("INSERT INTO roots(name,path,origin,options,paused,state,status,created_at) "
               "VALUES(?,?,?,?,?,?,?,?)",
               added.name, added.path, added.origin, DumpJson(added.options), added.paused,
               added.state, DumpJson(added.status), added.created_at));
    added.id = db.last_insert_id();
    return added;
  });
}

Result<> SqliteCatalog::UpdateRoot(const Root& root) {
  return Write(Durability::kNormal, [&](Sqlite& db) -> Result<> {
    TRY(
        db.Run("UPDATE roots SET options=?2,paused=?3,state=?4,status=?5,origin=?6 "
               "WHERE name=?1 AND removing=0",
               root.name, DumpJson(root.options), root.paused, root.state, DumpJson(root.status),
               root.origin));
    if (db.changes() == 0) return NoRoot(root.name);
    return Ok{};
  });
}

Result<> SqliteCatalog::RemoveRoot(const std::string& name) {
  const int64_t id = TRY(Write(Durability::kDurable, [&](Sqlite& db) -> Result<int64_t> {
    const auto found = TRY(db.QueryInt("SELECT id FROM roots WHERE name=? AND removing=0", name));
    if (!found) return NoRoot(name);
    TRY(db.Run("UPDATE roots SET removing=1,name=?2 WHERE id=?1", *found,
               "/removing/" + std::to_string(*found)));
    return *found;
  }));
  return RemoveRootRows(id);
}

Result<> SqliteCatalog::RemoveRootRows(int64_t root_id) {
  const UnixMs now = clock_->NowMs();
  while (TRY(Write(Durability::kNormal,
                   [&](Sqlite& db) { return RemoveFilesStep(db, root_id, now); })) > 0) {
  }
  return Write(Durability::kNormal,
               [&](Sqlite& db) { return db.Run("DELETE FROM roots WHERE id=?", root_id); });
}

Result<> SqliteCatalog::FinishRemovals() {
  std::vector<int64_t> roots;
  {
    Statement rows = TRY(writer_->Prepare("SELECT id FROM roots WHERE removing=1"));
    while (TRY(rows.Step())) roots.push_back(rows.Int(0));
  }
  for (const int64_t root : roots) TRY(RemoveRootRows(root));
  return Ok{};
}

Result<Root> SqliteCatalog::GetRoot(const std::string& name) const {
  return Read([&](Sqlite& db) -> Result<Root> {
    Statement row = TRY(db.Prepare(std::string(kRootColumns) + "WHERE name=? AND removing=0"));
    row.With(name);
    if (!TRY(row.Step())) return NoRoot(name);
    return ReadRoot(row);
  });
}

Result<std::vector<Root>> SqliteCatalog::Roots() const { return Read(ReadRoots); }

Result<std::map<std::string, RootCounts>> SqliteCatalog::CountsByRoot() const {
  return Read([](Sqlite& db) -> Result<std::map<std::string, RootCounts>> {
    std::map<std::string, RootCounts> counts;
    Statement rows =
        TRY(db.Prepare("SELECT name,files,indexed,pending,failed,bytes FROM roots "
                       "JOIN root_counts ON root_id=id WHERE removing=0"));
    while (TRY(rows.Step())) {
      counts[rows.String(0)] = {rows.Int(1), rows.Int(2), rows.Int(3), rows.Int(4), rows.Int(5)};
    }
    return counts;
  });
}

}  // namespace msearch::catalog
