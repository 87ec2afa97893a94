// The catalog: roots, files, media, segments, embeddings and full text, and what is still to be
// done about them. Written by the controller alone. Holds facts; decides nothing about order or
// retries (ingest does) and knows no queue. SQLite now, PostgreSQL next to it later: hence plain
// structs, tokenisation of our own, and a change log that index replicas follow.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/digest.h"
#include "base/json.h"
#include "base/result.h"

namespace msearch::catalog {

using MediaId = int64_t;
using SegmentId = int64_t;
using FileId = int64_t;

struct Root {
  int64_t id = 0;
  std::string name;
  std::string path;
  std::string origin = "api";     // "api" or "config"
  Json options = Json::object();  // patterns and the like: watch::RootSpec without name and path
  bool paused = false;
  std::string state;             // last told by the monitor: "scanning", "watching", ...
  Json status = Json::object();  // watch::RootStatus as JSON
  UnixMs created_at = 0;
};

struct RootCounts {
  int64_t files = 0;
  int64_t indexed = 0;
  int64_t pending = 0;
  int64_t failed = 0;
  int64_t bytes = 0;
};

// A file as the monitor saw it.
struct FileFact {
  std::string path;  // relative to its root
  uint64_t size = 0;
  int64_t modified_ns = 0;
  uint64_t device = 0;
  uint64_t inode = 0;
};

enum class FileState { kPending, kIndexed, kFailed };
std::string_view FileStateName(FileState state);

struct File {
  FileId id = 0;
  int64_t root_id = 0;
  FileFact fact;
  // Grows with every observed change; a result that was prepared for an older version is stale.
  int64_t version = 0;
  FileState state = FileState::kPending;
  std::optional<MediaId> media;
  std::optional<Error> error;
  int attempts = 0;
  std::optional<UnixMs> failed_at;
};

// Where a piece of a segment's text stands: fractions of the picture's width and height.
struct TextBox {
  std::string text;
  float x = 0;
  float y = 0;
  float width = 0;
  float height = 0;
};

// One vector per view of a model, empty where the model has none.
using Views = std::vector<std::vector<float>>;

struct Segment {
  uint32_t index = 0;            // within those of its reader; below kSegmentsMax
  std::string kind = "picture";  // "picture", "shot", "sound", "passage", "speech", "text"
  std::string reader;            // who found it; empty: the preparation
  std::string text;
  std::optional<double> start_time;
  std::optional<double> end_time;
  std::optional<uint32_t> page;
  Views views;                          // under the commit's model
  std::map<std::string, Views> spaces;  // under others, by their keys: sound beside sight
  std::vector<std::string> labels;  // searchable words that the model found, general ones included
  std::vector<TextBox> boxes;
};
inline constexpr uint32_t kSegmentsMax = 1 << 24;

// All that is known of one content, as the pipeline delivers it.
struct MediaContent {
  Digest hash;
  std::string preparation;  // version of decoding and segmenting: another one means do it again
  std::string type;         // "image", "video", "audio", "document"
  std::string mime;
  uint64_t size = 0;
  uint32_t width = 0;
  uint32_t height = 0;
  std::optional<double> duration;
  std::optional<UnixMs> captured_at;
  std::string camera;
  std::optional<std::pair<double, double>> gps;
  std::optional<uint64_t> perceptual_hash;
  std::string title;
  Json attributes = Json::object();  // the rest that is shown: labels with probabilities, ...
  std::vector<Segment> segments;
};

struct Media {
  MediaId id = 0;
  MediaContent content;  // segments without vectors
  struct Path {
    std::string root;
    std::string path;
    uint64_t size = 0;
    int64_t modified_ns = 0;
  };
  std::vector<Path> paths;
};

// Fencing at the effect: a commit for a file is refused (kStale) when its token is lower than the
// highest seen for that file, or the file's version has moved on.
struct Token {
  uint64_t epoch = 0;
  uint64_t counter = 0;
  auto operator<=>(const Token&) const = default;
};

struct Commit {
  FileId file = 0;
  int64_t version = 0;
  Token token;
  std::string model_key;  // of the segments' views; empty: none
  // Either the content, or only its hash when it's known already (a copy, a move, a touch).
  std::optional<MediaContent> content;
  Digest hash;
};

struct CommitEffect {
  Result<> status = Ok{};  // kStale; kNotFound when the file is gone, or a known hash isn't
  MediaId media = 0;
  bool content_new = false;
};

// A reader takes a second, longer look at contents and finds words in them: what is said in a film,
// what stands in a picture. Its segments stand beside those of the preparation and outlive a new
// preparation or model, but not a new content.
struct ReaderSpec {
  std::string name;                // "speech", "text"
  std::string key;                 // another one than last time: read again
  std::vector<std::string> types;  // of media
};

// A visible content that a reader hasn't read, and a file to read it from.
struct Unread {
  MediaId media = 0;
  Digest hash;
  std::string type;
  std::string mime;
  std::optional<double> duration;
  Json attributes;
  std::string root;
  std::string root_path;
  FileFact file;
  std::vector<Segment> shots;  // of a video: index and times of its shots
};

struct Reading {
  Digest hash;
  std::string reader;
  std::string key;
  Token token;  // fences as a commit's: by content and reader
  std::vector<Segment> segments;
  Json attributes = Json::object();  // shown with the media under the reader's name
  std::optional<Error> error;        // it failed: what an earlier reading found stays
  int attempts = 0;
};

// A segment of a reader, whose text a model is to embed. The text of an id never changes.
struct TextSegment {
  SegmentId id = 0;
  std::string text;
};

struct SegmentViews {
  SegmentId id = 0;
  Views views;
};

struct Filters {
  std::vector<std::string> roots;  // names
  std::vector<std::string> types;
  std::string path_prefix;          // of the relative path
  std::optional<UnixMs> date_from;  // capture date, else modification date; inclusive
  std::optional<UnixMs> date_to;    // exclusive
  std::optional<uint64_t> size_min;
  std::optional<uint64_t> size_max;
  bool empty() const;
};

struct TextMatch {
  SegmentId segment = 0;
  double score = 0;                 // in the manner of BM25, higher is better
  std::vector<std::string> fields;  // where: "name", "path", "label", "text"
};

// Segments that have any of some phrases.
struct AnyMatches {
  std::vector<double> rarity;  // of each phrase: the higher, the fewer segments have it
  struct Match {
    SegmentId segment = 0;
    double score = 0;  // in the manner of BM25: the sum over the phrases that it has
  };
  std::vector<Match> matches;  // best first
};

// A segment as a hit needs it.
struct SegmentInfo {
  SegmentId id = 0;
  MediaId media = 0;
  uint32_t index = 0;
  std::string kind;
  std::optional<double> start_time;
  std::optional<double> end_time;
  std::optional<uint32_t> page;
  std::vector<TextBox> boxes;
  std::string type;
  Digest hash;
  uint32_t width = 0;  // of the media; 0: none
  uint32_t height = 0;
  Json attributes;                 // of the media
  std::vector<Media::Path> paths;  // at least one; roots and prefix of the filters first
};

// One entry of the change log, in commit order.
struct IndexChange {
  uint64_t position = 0;
  SegmentId segment = 0;
  bool removed = false;
  std::vector<std::vector<float>> views;  // when not removed
};

struct FailureInfo {
  FileId file = 0;
  std::string reader;  // that failed on the file's content; empty: the file couldn't be indexed
  std::string root;
  std::string path;
  Error error;
  int attempts = 0;
  UnixMs failed_at = 0;
};

// Empty: any.
struct FailureFilter {
  std::string root;
  std::string code;  // CodeName of the error: the class of a failure
};

// Thread-safe: one writer at a time, readers beside it.
class Catalog {
 public:
  static Result<std::unique_ptr<Catalog>> OpenSqlite(const std::string& path,
                                                     const Clock* clock = nullptr);
  // For other processes of this machine: may call the const methods only.
  static Result<std::unique_ptr<Catalog>> OpenSqliteReadOnly(const std::string& path);
  virtual ~Catalog() = default;

  // The fencing epoch; Raise adds one, durably, and gives the new value.
  virtual Result<uint64_t> Epoch() const = 0;
  virtual Result<uint64_t> RaiseEpoch() = 0;
  // Small values that must survive: the queue's state id, the active model, ...
  virtual Result<std::optional<std::string>> GetSetting(const std::string& key) const = 0;
  virtual Result<> SetSetting(const std::string& key, const std::string& value) = 0;

  // kConflict for a name or path in use, or a path inside or around another root.
  virtual Result<Root> AddRoot(const Root& root) = 0;
  virtual Result<> UpdateRoot(const Root& root) = 0;  // by name; not its path and creation
  virtual Result<> RemoveRoot(
      const std::string& name) = 0;  // and its files; media left without path go
  virtual Result<Root> GetRoot(const std::string& name) const = 0;
  virtual Result<std::vector<Root>> Roots() const = 0;
  virtual Result<std::map<std::string, RootCounts>> CountsByRoot() const = 0;

  // Records that these files are there: new ones and those whose size, time or inode differ
  // become pending with a higher version; unchanged ones stay (unless `force`). Returns how many
  // became pending.
  virtual Result<int64_t> FilesPresent(const std::string& root, std::span<const FileFact> files,
                                       bool force = false) = 0;
  // Renames within or between directories of the root: the file keeps everything. An old path
  // that isn't known makes it FilesPresent.
  virtual Result<> FileMoved(const std::string& root, const std::string& old_path,
                             const FileFact& file) = 0;
  virtual Result<> FilesGone(const std::string& root, std::span<const std::string> paths) = 0;

  // Pending files with id > after, in order, of roots that aren't paused.
  virtual Result<std::vector<File>> PendingFiles(FileId after, size_t limit) const = 0;
  virtual Result<File> GetFile(FileId id) const = 0;
  virtual Result<std::optional<MediaId>> FindMedia(const Digest& hash) const = 0;
  // Whether the content is complete for this preparation and model (empty: any), so that only a
  // path has to be added.
  virtual Result<bool> HasContent(const Digest& hash, const std::string& preparation,
                                  const std::string& model_key) const = 0;
  // Marks indexed files whose content lacks this preparation or model (empty: any) as pending,
  // without a new version. They stay searchable. Returns how many.
  virtual Result<int64_t> MarkOutdated(const std::string& preparation,
                                       const std::string& model_key) = 0;

  // Applies all in one transaction; each has its own effect. A file edited in place, whose media
  // has no other path, keeps its media id with the new content.
  virtual Result<std::vector<CommitEffect>> Apply(std::span<const Commit> commits) = 0;
  // The file can't be indexed; fenced as a commit. What was indexed of an older version of it
  // disappears; of this version (a new model failed) it stays.
  virtual Result<> MarkFailed(FileId file, int64_t version, Token token, const Error& error,
                              int attempts) = 0;
  virtual Result<std::vector<FailureInfo>> Failures(const FailureFilter& filter, size_t offset,
                                                    size_t limit, int64_t* total) const = 0;
  // How many there are of each class, by its code; filtered by root alone.
  virtual Result<std::map<std::string, int64_t>> FailureClasses(const std::string& root) const = 0;
  // Failed files become pending again, and what readers failed on is unread again. Returns how
  // many.
  virtual Result<int64_t> RetryFailures(const FailureFilter& filter) = 0;

  // Media with id > after, in order, with a file in a root that isn't paused.
  virtual Result<std::vector<Unread>> UnreadMedia(const ReaderSpec& reader, MediaId after,
                                                  size_t limit) const = 0;
  // Replaces what the reader found in this content before. kStale when a later lease was here,
  // kNotFound when the content is gone.
  virtual Result<> ApplyReading(const Reading& reading) = 0;
  // Texts of readers without vectors of this model, with id > after, in order.
  virtual Result<std::vector<TextSegment>> UnembeddedTexts(const std::string& model_key,
                                                           SegmentId after, size_t limit) const = 0;
  // Stores vectors of segments that are still there. Returns how many were.
  virtual Result<int64_t> ApplyVectors(const std::string& model_key,
                                       std::span<const SegmentViews> vectors) = 0;
  // Grows whenever UnreadMedia or UnembeddedTexts may give something that they didn't before.
  virtual Result<int64_t> Revision() const = 0;

  virtual Result<Media> GetMedia(MediaId id) const = 0;
  struct MediaQuery {
    Filters filters;
    size_t offset = 0;
    size_t limit = 50;
  };
  // Newest first (capture date, else the oldest modification date of its files); without segments.
  virtual Result<std::vector<Media>> ListMedia(const MediaQuery& query, int64_t* total) const = 0;
  // The media of each segment, in the order of `ids`, without those that are gone: what ranking
  // needs of many, before GetSegments shows a few.
  virtual Result<std::vector<std::pair<SegmentId, MediaId>>> MediaOf(
      std::span<const SegmentId> ids) const = 0;
  // In the order of `ids`, without those that are gone. The filters only order the paths.
  virtual Result<std::vector<SegmentInfo>> GetSegments(std::span<const SegmentId> ids,
                                                       const Filters& filters) const = 0;
  virtual Result<std::vector<SegmentId>> SegmentsOf(MediaId media) const = 0;
  virtual Result<std::string> SegmentText(SegmentId id) const = 0;
  // Of the segment's text, around the words; empty where the text has none of them.
  virtual Result<std::string> TextSnippet(SegmentId id, const std::string& words) const = 0;
  // All segments that pass; sorted.
  virtual Result<std::vector<SegmentId>> FilterSegments(const Filters& filters) const = 0;
  // Words over names, paths, labels and texts. Every word must occur, in any of them; the last may
  // be a prefix where taking it as a whole word finds too little; "..." asks for a phrase; words
  // that only connect (the, of) needn't occur. Chinese, Japanese and Korean match as sequences of
  // characters. Names and paths belong to the first segment of a media; words may be spread over
  // them and any other segment. Best first; of very common words only the names, the labels and
  // the newest are ranked (about 2000 segments). No input is an error.
  virtual Result<std::vector<TextMatch>> SearchText(const std::string& words,
                                                    const Filters& filters, size_t limit) const = 0;

  // For questions, of which a text that answers them has hardly all words: segments in which any of
  // the phrases occurs. What is rare weighs most. Of very common phrases, only the newest segments
  // (2000) are looked at. A phrase without words has rarity 0.
  virtual Result<AnyMatches> SearchAny(std::span<const std::string> phrases, const Filters& filters,
                                       size_t limit) const = 0;

  // What changed for the index of this model after `position`, in order. A removed segment comes
  // once as removed; one that was added and removed since needs not come at all; an addition may
  // come again. When `position` is older than what is remembered, or belongs to a later state (a
  // backup was restored), `restart` is set and what comes is from the beginning: the caller drops
  // everything, position included, before it takes it.
  virtual Result<std::vector<IndexChange>> ChangesFor(const std::string& model_key,
                                                      uint64_t position, size_t limit,
                                                      bool* restart) const = 0;
  // The position of the last change for this model (empty: for any): where a replica of its index
  // that has everything stands, or beyond.
  virtual Result<uint64_t> Position(const std::string& model_key = "") const = 0;
  virtual Result<int64_t> CountSegments(const std::string& model_key) const = 0;
  // Embeddings of other models than these are deleted. Returns how many.
  virtual Result<int64_t> DropOtherModels(std::span<const std::string> keep) = 0;
  // Media that lost their last path at least `age` ago are deleted. Returns how many. Until then
  // they are kept out of sight: no list, search or count shows them and the index is told that
  // they are gone, but HasContent is true, so that a file moved from one root to another (gone
  // here, present there) needs no embedding, and keeps its media id. To be called now and then;
  // it also shortens the change log.
  virtual Result<int64_t> PurgeOrphans(Milliseconds age) = 0;
  // A consistent copy into a new file, while others write. kConflict when `path` exists.
  virtual Result<> BackupTo(const std::string& path) const = 0;
};

}  // namespace msearch::catalog
