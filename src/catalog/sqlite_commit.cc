#include "catalog/media_rows.h"
#include "catalog/sqlite_catalog.h"

// How results of the pipeline take effect. A commit is refused when its token is lower than the
// highest seen for its file (a newer lease took over) or the file has changed since. Applying
// one twice has one effect: the second finds its content complete and its file linked.

namespace msearch::catalog {
namespace {

using storage::Sqlite;
using storage::Statement;

struct FenceRow {
  int64_t version = 0;
  std::optional<MediaId> media;
  int64_t media_version = 0;
};

std::string Named(FileId file) { return "file " + std::to_string(file); }

// The file, if the token and version may still have an effect; otherwise kNotFound or kStale.
// Remembers the token.
Result<FenceRow> PassFence(Sqlite& db, FileId file, int64_t version, Token token) {
  FenceRow row;
  Token highest;
  {
    Statement rows = TRY(db.Prepare(
        "SELECT version,media_id,media_version,token_epoch,token_counter FROM files WHERE id=?"));
    rows.With(file);
    if (!TRY(rows.Step())) return Error{Code::kNotFound, Named(file) + ": gone"};
    row = {rows.Int(0), rows.OptionalInt(1), rows.Int(2)};
    highest = {static_cast<uint64_t>(rows.Int(3)), static_cast<uint64_t>(rows.Int(4))};
  }
  if (token < highest) {
    return Error{Code::kStale, Named(file) + ": a newer lease took over"};
  }
  if (token > highest) {
    TRY(db.Run("UPDATE files SET token_epoch=?2,token_counter=?3 WHERE id=?1", file,
               static_cast<int64_t>(token.epoch), static_cast<int64_t>(token.counter)));
  }
  if (version != row.version) return Error{Code::kStale, Named(file) + ": has changed since"};
  return row;
}

// Where the content belongs: the media that has this hash, else the one that this file had alone
// (edited in place), else a new one.
Result<MediaId> MediaFor(Sqlite& db, const Digest& hash, FileId file,
                         std::optional<MediaId> former) {
  if (const auto known = TRY(FindMediaByHash(db, hash))) return *known;
  if (former) {
    const auto other =
        TRY(db.QueryInt("SELECT 1 FROM files WHERE media_id=? AND id<>? LIMIT 1", *former, file));
    if (!other) return *former;
  }
  return AddMedia(db, hash);
}

Result<CommitEffect> SaveCommit(Sqlite& db, const Commit& commit, const FenceRow& file,
                                UnixMs now) {
  CommitEffect effect;
  if (commit.content) {
    const MediaContent& content = *commit.content;
    const auto known = TRY(FindMediaByHash(db, content.hash));
    if (known && TRY(IsComplete(db, *known, content.preparation, commit.model_key))) {
      effect.media = *known;
    } else {
      effect.content_new = true;
      effect.media = TRY(MediaFor(db, content.hash, commit.file, file.media));
      TRY(SaveContent(db, effect.media, content, commit.model_key));
    }
  } else {
    const auto known = TRY(FindMediaByHash(db, commit.hash));
    if (!known || !TRY(IsComplete(db, *known, "", commit.model_key))) {
      effect.status = Error{Code::kNotFound, Named(commit.file) + ": its content isn't known"};
      return effect;
    }
    effect.media = *known;
  }
  TRY(LinkFile(db, commit.file, effect.media, effect.content_new));
  TRY(
      db.Run("UPDATE files SET state=1,media_version=version,error_code=NULL,error_message=NULL,"
             "attempts=0,failed_at=NULL WHERE id=?",
             commit.file));
  if (file.media && *file.media != effect.media) TRY(ReleaseMedia(db, *file.media, now));
  return effect;
}

// An error of the database ends the whole transaction; a refusal is this commit's own.
Result<CommitEffect> ApplyOne(Sqlite& db, const Commit& commit, UnixMs now) {
  CommitEffect refused;
  if (commit.content) refused.status = CheckContent(*commit.content);
  if (!refused.status.ok()) return refused;
  const Result<FenceRow> file = PassFence(db, commit.file, commit.version, commit.token);
  if (file.ok()) return SaveCommit(db, commit, *file, now);
  if (file.code() != Code::kStale && file.code() != Code::kNotFound) return file.error();
  refused.status = file.error();
  return refused;
}

}  // namespace

Result<std::vector<CommitEffect>> SqliteCatalog::Apply(std::span<const Commit> commits) {
  return Write(Durability::kNormal, [&](Sqlite& db) -> Result<std::vector<CommitEffect>> {
    std::vector<CommitEffect> effects;
    effects.reserve(commits.size());
    for (const Commit& commit : commits) {
      effects.push_back(TRY(ApplyOne(db, commit, clock_->NowMs())));
    }
    return effects;
  });
}

Result<> SqliteCatalog::MarkFailed(FileId file, int64_t version, Token token, const Error& error,
                                   int attempts) {
  Result<> refused = Ok{};
  TRY(Write(Durability::kNormal, [&](Sqlite& db) -> Result<> {
    const Result<FenceRow> row = PassFence(db, file, version, token);
    if (!row.ok()) {
      if (row.code() != Code::kStale && row.code() != Code::kNotFound) return row.error();
      refused = row.error();
      return Ok{};
    }
    TRY(
        db.Run("UPDATE files SET state=2,error_code=?2,error_message=?3,attempts=?4,failed_at=?5 "
               "WHERE id=?1",
               file, CodeName(error.code), error.message, attempts, clock_->NowMs()));
    // What was indexed of an older version isn't there any more. Of this version (a new model
    // failed on it) it's still right.
    if (!row->media || row->media_version == row->version) return Ok{};
    TRY(db.Run("UPDATE files SET media_id=NULL WHERE id=?", file));
    return ReleaseMedia(db, *row->media, clock_->NowMs());
  }));
  return refused;
}

Result<int64_t> SqliteCatalog::MarkOutdated(const std::string& preparation,
                                            const std::string& model_key) {
  return Write(Durability::kNormal, [&](Sqlite& db) -> Result<int64_t> {
    TRY(
        db.Run("UPDATE files SET state=0 WHERE state=1 AND media_id IN ("
               "SELECT m.id FROM media m WHERE (?1<>'' AND m.preparation<>?1) OR (?2<>'' AND "
               "NOT EXISTS(SELECT 1 FROM media_models mm JOIN models k ON k.id=mm.model_id "
               "WHERE mm.media_id=m.id AND k.key=?2)))",
               preparation, model_key));
    return db.changes();
  });
}

Result<std::optional<MediaId>> SqliteCatalog::FindMedia(const Digest& hash) const {
  return Read([&](Sqlite& db) -> Result<std::optional<MediaId>> {
    Statement row = TRY(db.Prepare("SELECT id FROM media WHERE hash=? AND orphaned_at IS NULL"));
    row.BindBlob(1, hash.bytes());
    if (!TRY(row.Step())) return std::optional<MediaId>();
    return row.OptionalInt(0);
  });
}

Result<bool> SqliteCatalog::HasContent(const Digest& hash, const std::string& preparation,
                                       const std::string& model_key) const {
  return Read([&](Sqlite& db) -> Result<bool> {
    const auto media = TRY(FindMediaByHash(db, hash));
    if (!media) return false;
    return IsComplete(db, *media, preparation, model_key);
  });
}

}  // namespace msearch::catalog
