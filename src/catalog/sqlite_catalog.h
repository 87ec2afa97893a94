// The catalog in one SQLite file. The methods stand in sqlite_*.cc by subject.
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "catalog/catalog.h"
#include "storage/sqlite.h"

namespace msearch::catalog {

class SqliteCatalog final : public Catalog {
 public:
  static Result<std::unique_ptr<Catalog>> Open(const std::string& path, bool read_only,
                                               const Clock* clock);

  Result<uint64_t> Epoch() const override;
  Result<uint64_t> RaiseEpoch() override;
  Result<std::optional<std::string>> GetSetting(const std::string& key) const override;
  Result<> SetSetting(const std::string& key, const std::string& value) override;

  Result<Root> AddRoot(const Root& root) override;
  Result<> UpdateRoot(const Root& root) override;
  Result<> RemoveRoot(const std::string& name) override;
  Result<Root> GetRoot(const std::string& name) const override;
  Result<std::vector<Root>> Roots() const override;
  Result<std::map<std::string, RootCounts>> CountsByRoot() const override;

  Result<int64_t> FilesPresent(const std::string& root, std::span<const FileFact> files,
                               bool force) override;
  Result<> FileMoved(const std::string& root, const std::string& old_path,
                     const FileFact& file) override;
  Result<> FilesGone(const std::string& root, std::span<const std::string> paths) override;

  Result<std::vector<File>> PendingFiles(FileId after, size_t limit) const override;
  Result<File> GetFile(FileId id) const override;
  Result<std::optional<MediaId>> FindMedia(const Digest& hash) const override;
  Result<bool> HasContent(const Digest& hash, const std::string& preparation,
                          const std::string& model_key) const override;
  Result<int64_t> MarkOutdated(const std::string& preparation,
                               const std::string& model_key) override;

  Result<std::vector<CommitEffect>> Apply(std::span<const Commit> commits) override;
  Result<> MarkFailed(FileId file, int64_t version, Token token, const Error& error,
                      int attempts) override;
  Result<std::vector<FailureInfo>> Failures(const FailureFilter& filter, size_t offset,
                                            size_t limit, int64_t* total) const override;
  Result<std::map<std::string, int64_t>> FailureClasses(const std::string& root) const override;
  Result<int64_t> RetryFailures(const FailureFilter& filter) override;

  Result<std::vector<Unread>> UnreadMedia(const ReaderSpec& reader, MediaId after,
                                          size_t limit) const override;
  Result<> ApplyReading(const Reading& reading) override;
  Result<std::vector<TextSegment>> UnembeddedTexts(const std::string& model_key, SegmentId after,
                                                   size_t limit) const override;
  Result<int64_t> ApplyVectors(const std::string& model_key,
                               std::span<const SegmentViews> vectors) override;
  Result<int64_t> Revision() const override;

  Result<Media> GetMedia(MediaId id) const override;
  Result<std::vector<Media>> ListMedia(const MediaQuery& query, int64_t* total) const override;
  Result<std::vector<std::pair<SegmentId, MediaId>>> MediaOf(
      std::span<const SegmentId> ids) const override;
  Result<std::vector<SegmentInfo>> GetSegments(std::span<const SegmentId> ids,
                                               const Filters& filters) const override;
  Result<std::vector<SegmentId>> SegmentsOf(MediaId media) const override;
  Result<std::string> SegmentText(SegmentId id) const override;
  Result<std::string> TextSnippet(SegmentId id, const std::string& words) const override;
  Result<std::vector<SegmentId>> FilterSegments(const Filters& filters) const override;
  Result<std::vector<TextMatch>> SearchText(const std::string& words, const Filters& filters,
                                            size_t limit) const override;
  Result<AnyMatches> SearchAny(std::span<const std::string> phrases, const Filters& filters,
                               size_t limit) const override;

  Result<std::vector<IndexChange>> ChangesFor(const std::string& model_key, uint64_t position,
                                              size_t limit, bool* restart) const override;
  Result<uint64_t> Position(const std::string& model_key) const override;
  Result<int64_t> CountSegments(const std::string& model_key) const override;
  Result<int64_t> DropOtherModels(std::span<const std::string> keep) override;
  Result<int64_t> PurgeOrphans(Milliseconds age) override;
  Result<> BackupTo(const std::string& path) const override;

 private:
  // kDurable survives a loss of power, for what nobody would report again; the rest is
  // repaired by the reconciler.
  enum class Durability { kNormal, kDurable };

  SqliteCatalog(std::string path, const Clock* clock) : path_(std::move(path)), clock_(clock) {}

  // Runs `body(db)`, which gives a Result, in one transaction; waits for the other writers of this
  // process. kPermission when opened read-only.
  template <typename Body>
  auto Write(Durability durability, Body&& body)
      -> decltype(body(std::declval<storage::Sqlite&>())) {
    std::unique_lock turn(next_);
    std::lock_guard lock(writing_);
    turn.unlock();
    TRY(BeginWrite(durability));
    decltype(body(*writer_)) result = Error{};
    const Result<> done = writer_->Transact([&]() -> Result<> {
      result = body(*writer_);
      if (!result.ok()) return result.error();
      return Ok{};
    });
    if (!done.ok()) return Named(done.error());
    return result;
  }
  Result<> BeginWrite(Durability durability);

  // Runs `body(db)` on a connection of its own, seeing one state of the database.
  template <typename Body>
  auto Read(Body&& body) const -> decltype(body(std::declval<storage::Sqlite&>())) {
    std::unique_ptr<storage::Sqlite> reader = TRY(BorrowReader());
    decltype(body(*reader)) result = Error{};
    const Result<> done = reader->Snapshot([&]() -> Result<> {
      result = body(*reader);
      return Ok{};
    });
    ReturnReader(std::move(reader));
    if (!done.ok()) return Named(done.error());
    if (!result.ok()) return Named(result.error());
    return result;
  }
  Result<std::unique_ptr<storage::Sqlite>> BorrowReader() const;
  void ReturnReader(std::unique_ptr<storage::Sqlite> reader) const;

  // Errors of the database say which file.
  Error Named(const Error& error) const;

  Result<> FinishRemovals();
  Result<> RemoveRootRows(int64_t root_id);

  const std::string path_;
  const Clock* const clock_;

  // Who waits for writing_ holds next_: so one that writes step by step (the removal of a root)
  // can't take writing_ again before those that wait.
  std::mutex next_;
  std::mutex writing_;
  std::unique_ptr<storage::Sqlite> writer_;      // guarded by writing_; null when read-only
  Durability durability_ = Durability::kNormal;  // of writer_ now

  mutable std::mutex pool_;
  mutable std::vector<std::unique_ptr<storage::Sqlite>> readers_;  // guarded by pool_
};

}  // namespace msearch::catalog
