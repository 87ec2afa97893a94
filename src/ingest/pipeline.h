// The life of a file as one table: which task follows which. Payloads are written and read here
// and nowhere else.
//
//   queue    kind        handled by         followed by
//   scan     scan        monitor            changes*, scan_ended (changes)
//   scan     unwatch     monitor            -
//   changes  changes     controller         - (the reconciler enqueues prepare)
//   changes  scan_ended  controller         -
//   tasks    prepare     task worker        embed, or commit when there's nothing to embed
//   embed    embed       embedding worker   commit; prepare when its blobs were lost
//   commit   commit      controller         - ; prepare when its blobs were lost
//   commit   failed      controller         - (dead letter of prepare, embed and commit)
//
// and of a second look at a committed content, by a reader (speech, text in pictures):
//
//   read     read            embedding worker   reading
//   commit   reading         controller         - (the reconciler enqueues embed_texts)
//   commit   reading_failed  controller         - (dead letter of read and reading)
//   embed    embed_texts     embedding worker   vectors
//   commit   vectors         controller         -
//
// From prepare to commit a file version has one unique key ("file:ID:VERSION"), handed from each
// task to its follow-up in the atomic step of completion: so a version is in the pipeline at most
// once, and the reconciler may enqueue whatever the catalog calls pending, at any time.
//
// Beside the queues tasks, read and embed there are others for what not every worker can do: see
// ingest/capability.h.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/digest.h"
#include "base/json.h"
#include "base/result.h"
#include "catalog/catalog.h"
#include "embedding/embedder.h"
#include "media/codec.h"
#include "queue/task.h"
#include "watch/monitor.h"

namespace msearch::ingest {

inline constexpr std::string_view kScanQueue = "scan";
inline constexpr std::string_view kChangesQueue = "changes";
inline constexpr std::string_view kPrepareQueue = "tasks";
inline constexpr std::string_view kEmbedQueue = "embed";
inline constexpr std::string_view kCommitQueue = "commit";
inline constexpr std::string_view kReadQueue = "read";

// Version of decoding and segmenting. Raised when the same bytes would give other segments:
// then everything is prepared again.
inline constexpr std::string_view kPreparation = "2";

// The model that files are being embedded with. Absent: full text and names only.
struct TargetModel {
  std::string name;  // of the pack
  std::string key;
  embedding::ImageInputSpec image;
  bool embeds_passages = false;
  uint32_t passage_words_max = 200;
  std::string device;  // that has to embed; empty: any
  Json ToJson() const;
  static Result<TargetModel> FromJson(const Json& json);
};

// What a prepare task is told. Rides along in every later payload, so that any step that misses
// its blobs can ask for a new start.
struct PrepareJob {
  catalog::FileId file = 0;
  int64_t version = 0;
  std::string root;       // name
  std::string root_path;  // absolute
  std::string path;       // relative
  uint64_t size = 0;
  int64_t modified_ns = 0;
  int restarts = 0;                // how often blobs were lost
  bool beside_controller = false;  // for workers of the controller's machine only
  // Blob with the bytes to look at, instead of a file of the catalog: only their vectors are
  // wanted, nothing is committed. `path` is their name then.
  std::string upload;
  std::optional<TargetModel> model;
  std::string AbsolutePath() const { return root_path + "/" + path; }
  Json ToJson() const;
  static Result<PrepareJob> FromJson(const Json& json);
};

// Where the bytes between the steps are.
struct Parcel {
  PrepareJob job;
  Digest hash;
  std::string document;  // blob: see EncodePrepared; empty: content was known
  std::string pixels;    // blob: Prepared::pixels one behind the other; empty: none
  std::string vectors;   // blob: see EncodeVectors; empty: not embedded
  Json ToJson() const;
  static Result<Parcel> FromJson(const Json& json);
  std::vector<std::string> Blobs() const;
};

// Without vectors and labels, which a preparation doesn't have.
catalog::Segment ToCatalog(const media::Segment& segment);

// What a reader is told: which content, and a file that had it.
struct ReadJob {
  Digest hash;
  std::string reader;
  std::string key;   // of the reader: catalog::ReaderSpec
  std::string type;  // of the media
  std::string mime;
  std::string root_path;
  std::string path;
  uint64_t size = 0;
  int64_t modified_ns = 0;
  std::optional<double> duration;  // seconds
  struct Shot {
    double start = 0;
    double end = 0;
  };
  std::vector<Shot> shots;
  Json attributes = Json::object();  // what the preparation said of the media
  std::string AbsolutePath() const { return root_path + "/" + path; }
  std::string_view format() const;  // media::Format; empty: opened everywhere
  Json ToJson() const;
  static Result<ReadJob> FromJson(const Json& json);
};

// What a reader found in a content.
struct Findings {
  std::vector<media::Segment> segments;
  Json attributes = Json::object();  // shown with the media: {"language": "en", ...}
};
std::string EncodeFindings(const Findings& findings);
Result<Findings> DecodeFindings(std::string_view bytes);

// Findings under way to the catalog.
struct ReadingParcel {
  ReadJob job;
  std::string findings;  // blob
  Json ToJson() const;
  static Result<ReadingParcel> FromJson(const Json& json);
};

// Texts of readers that a model is to embed, and then their vectors.
struct TextsJob {
  TargetModel model;
  std::vector<catalog::TextSegment> texts;
  std::string vectors;  // blob: see EncodeVectors; empty: not embedded yet
  Json ToJson() const;  // with vectors, the texts' ids only
  static Result<TextsJob> FromJson(const Json& json);
};

// `reader` and `format`: what its worker has to have, if it is to go where only those look who do
// (ingest/capability.h); empty: to all.
queue::NewTask ReadTask(const ReadJob& job, std::string_view reader = {},
                        std::string_view format = {});
queue::NewTask ReadingTask(const ReadingParcel& parcel);
queue::NewTask EmbedTextsTask(const TextsJob& job);
queue::NewTask VectorsTask(const TextsJob& job);
queue::NewTask PrepareTask(const PrepareJob& job, queue::Priority priority,
                           std::string_view format = {});
queue::NewTask EmbedTask(const Parcel& parcel, queue::Priority priority);
queue::NewTask CommitTask(const Parcel& parcel, queue::Priority priority);
queue::NewTask ScanTask(const watch::RootSpec& root, bool full);
queue::NewTask UnwatchTask(const std::string& root);
queue::NewTask ChangesTask(const watch::RootSpec& root, const std::vector<watch::Change>& changes);
queue::NewTask ScanEndedTask(const watch::RootSpec& root, const watch::RootStatus& status,
                             bool complete);

// What a decode gave but its pixels, as one blob.
std::string EncodePrepared(const media::Prepared& prepared);
Result<media::Prepared> DecodePrepared(std::string_view bytes);

// Embeddings of a document's segments, in order, as one blob.
std::string EncodeVectors(const std::vector<embedding::Embedding>& embeddings);
Result<std::vector<embedding::Embedding>> DecodeVectors(std::string_view bytes);

}  // namespace msearch::ingest
