#include "ingest/pipeline.h"

#include <algorithm>
#include <cstring>

#include "base/strings.h"
#include "ingest/capability.h"
#include "media/format.h"

namespace msearch::ingest {
namespace {

using queue::NewTask;

// File names are bytes; JSON is text. Names that aren't UTF-8 travel as base64 under another key.
void PutPath(Json* json, const std::string& key, const std::string& path) {
  if (IsUtf8(path)) {
    (*json)[key] = path;
  } else {
    (*json)[key + "_base64"] = Base64Encode(path);
  }
}

std::string GetPath(const Json& json, const std::string& key) {
  if (auto path = GetString(json, key)) return *path;
  return Base64Decode(GetString(json, key + "_base64").value_or("")).value_or("");
}

std::string FileKey(const PrepareJob& job) {
  return "file:" + std::to_string(job.file) + ":" + std::to_string(job.version);
}

NewTask FileTask(std::string_view queue, std::string_view kind, const PrepareJob& job, Json payload,
                 queue::Priority priority) {
  NewTask task;
  task.queue = queue;
  task.kind = kind;
  task.payload = std::move(payload);
  task.priority = priority;
  if (!job.upload.empty()) {
    // Somebody waits for it.
    task.retry.errors_max = 2;
    task.retry.backoff_first = Milliseconds(200);
    return task;
  }
  task.unique_key = FileKey(job);
  task.dead_letter = {std::string(kCommitQueue), "failed"};
  return task;
}

}  // namespace

Json TargetModel::ToJson() const {
  Json json{{"name", name},
            {"key", key},
            {"image", image.ToJson()},
            {"passages", embeds_passages},
            {"passage_words_max", passage_words_max}};
  if (!device.empty()) json["device"] = device;
  return json;
}

Result<TargetModel> TargetModel::FromJson(const Json& json) {
  TargetModel model;
  model.name = GetString(json, "name").value_or("");
  model.key = GetString(json, "key").value_or("");
  if (model.name.empty() || model.key.empty() || !json.contains("image")) {
    return Error{Code::kInvalid, "task: model without name, key or input"};
  }
  model.image = TRY(embedding::ImageInputSpec::FromJson(json["image"]));
  model.embeds_passages = GetBool(json, "passages").value_or(false);
  model.passage_words_max = static_cast<uint32_t>(GetInt(json, "passage_words_max").value_or(200));
  model.device = GetString(json, "device").value_or("");
  return model;
}

Json PrepareJob::ToJson() const {
  Json json{{"file", file}, {"version", version},         {"root", root},
            {"size", size}, {"modified_ns", modified_ns}, {"restarts", restarts}};
  PutPath(&json, "root_path", root_path);
  PutPath(&json, "path", path);
  if (!upload.empty()) json["upload"] = upload;
  if (beside_controller) json["beside_controller"] = true;
  if (model) json["model"] = model->ToJson();
  return json;
}

Result<PrepareJob> PrepareJob::FromJson(const Json& json) {
  PrepareJob job;
  job.file = GetInt(json, "file").value_or(0);
  job.version = GetInt(json, "version").value_or(0);
  job.root = GetString(json, "root").value_or("");
  job.root_path = GetPath(json, "root_path");
  job.path = GetPath(json, "path");
  job.size = static_cast<uint64_t>(GetInt(json, "size").value_or(0));
  job.modified_ns = GetInt(json, "modified_ns").value_or(0);
  job.restarts = static_cast<int>(GetInt(json, "restarts").value_or(0));
  job.upload = GetString(json, "upload").value_or("");
  job.beside_controller = GetBool(json, "beside_controller").value_or(false);
  if ((job.file == 0 && job.upload.empty()) || job.path.empty())
    return Error{Code::kInvalid, "task: no file named"};
  if (json.contains("model")) job.model = TRY(TargetModel::FromJson(json["model"]));
  return job;
}

Json Parcel::ToJson() const {
  Json json{{"job", job.ToJson()}, {"hash", hash.hex()}};
  if (!document.empty()) json["document"] = document;
  if (!pixels.empty()) json["pixels"] = pixels;
  if (!vectors.empty()) json["vectors"] = vectors;
  return json;
}

Result<Parcel> Parcel::FromJson(const Json& json) {
  if (!json.is_object() || !json.contains("job")) {
    return Error{Code::kInvalid, "task: payload without a job"};
  }
  Parcel parcel;
  parcel.job = TRY(PrepareJob::FromJson(json["job"]));
  parcel.hash = TRY(Digest::FromHex(GetString(json, "hash").value_or("")));
  parcel.document = GetString(json, "document").value_or("");
  parcel.pixels = GetString(json, "pixels").value_or("");
  parcel.vectors = GetString(json, "vectors").value_or("");
  return parcel;
}

std::vector<std::string> Parcel::Blobs() const {
  std::vector<std::string> ids;
  for (const std::string& id : {document, pixels, vectors}) {
    if (!id.empty()) ids.push_back(id);
  }
  return ids;
}

catalog::Segment ToCatalog(const media::Segment& from) {
  catalog::Segment segment;
  segment.index = from.index;
  segment.kind = media::KindName(from.kind);
  segment.text = from.text;
  segment.start_time = from.start_time;
  segment.end_time = from.end_time;
  segment.page = from.page;
  for (const media::TextBox& box : from.boxes) {
    segment.boxes.push_back({box.text, box.x, box.y, box.width, box.height});
  }
  return segment;
}

std::string_view ReadJob::format() const {
  return type == "video" || type == "audio" ? "film" : media::FormatOfMime(mime);
}

Json ReadJob::ToJson() const {
  Json json{{"hash", hash.hex()},
            {"reader", reader},
            {"key", key},
            {"type", type},
            {"mime", mime},
            {"size", size},
            {"attributes", attributes},
            {"modified_ns", modified_ns}};
  PutPath(&json, "root_path", root_path);
  PutPath(&json, "path", path);
  if (duration) json["duration"] = *duration;
  for (const Shot& shot : shots) json["shots"].push_back({shot.start, shot.end});
  return json;
}

Result<ReadJob> ReadJob::FromJson(const Json& json) {
  ReadJob job;
  job.hash = TRY(Digest::FromHex(GetString(json, "hash").value_or("")));
  job.reader = GetString(json, "reader").value_or("");
  job.key = GetString(json, "key").value_or("");
  job.type = GetString(json, "type").value_or("");
  job.mime = GetString(json, "mime").value_or("");
  job.root_path = GetPath(json, "root_path");
  job.path = GetPath(json, "path");
  job.size = static_cast<uint64_t>(GetInt(json, "size").value_or(0));
  job.modified_ns = GetInt(json, "modified_ns").value_or(0);
  job.duration = GetDouble(json, "duration");
  if (json.contains("attributes")) job.attributes = json["attributes"];
  if (job.reader.empty() || job.key.empty() || job.path.empty()) {
    return Error{Code::kInvalid, "task: no reader or file named"};
  }
  for (const Json& shot : json.value("shots", Json::array())) {
    if (!shot.is_array() || shot.size() != 2 || !shot[0].is_number() || !shot[1].is_number()) {
      return Error{Code::kInvalid, "task: a shot without times"};
    }
    job.shots.push_back({shot[0].get<double>(), shot[1].get<double>()});
  }
  return job;
}

std::string EncodeFindings(const Findings& findings) {
  Json json{{"segments", Json::array()}, {"attributes", findings.attributes}};
  for (const media::Segment& segment : findings.segments) {
    json["segments"].push_back(media::ToJson(segment));
  }
  return ToCbor(json);
}

Result<Findings> DecodeFindings(std::string_view bytes) {
  const Json json = TRY(FromCbor(bytes));
  const Error broken{Code::kCorrupt, "findings: broken blob"};
  if (!json.is_object() || !json.contains("segments") || !json["segments"].is_array()) {
    return broken;
  }
  Findings findings;
  for (const Json& segment : json["segments"]) {
    findings.segments.push_back(media::SegmentFromJson(segment));
  }
  findings.attributes = json.value("attributes", Json::object());
  if (!findings.attributes.is_object()) return broken;
  return findings;
}

Json ReadingParcel::ToJson() const { return {{"job", job.ToJson()}, {"findings", findings}}; }

Result<ReadingParcel> ReadingParcel::FromJson(const Json& json) {
  if (!json.is_object() || !json.contains("job")) {
    return Error{Code::kInvalid, "task: payload without a job"};
  }
  return ReadingParcel{TRY(ReadJob::FromJson(json["job"])),
                       GetString(json, "findings").value_or("")};
}

Json TextsJob::ToJson() const {
  Json json{{"model", model.ToJson()}, {"texts", Json::array()}};
  for (const catalog::TextSegment& text : texts) {
    json["texts"].push_back(vectors.empty() ? Json{text.id, text.text} : Json{text.id, ""});
  }
  if (!vectors.empty()) json["vectors"] = vectors;
  return json;
}

Result<TextsJob> TextsJob::FromJson(const Json& json) {
  const Error broken{Code::kInvalid, "task: texts without model or ids"};
  if (!json.is_object() || !json.contains("model")) return broken;
  TextsJob job;
  job.model = TRY(TargetModel::FromJson(json["model"]));
  job.vectors = GetString(json, "vectors").value_or("");
  for (const Json& text : json.value("texts", Json::array())) {
    if (!text.is_array() || text.size() != 2 || !text[0].is_number_integer() ||
        !text[1].is_string()) {
      return broken;
    }
    job.texts.push_back({text[0].get<int64_t>(), text[1].get<std::string>()});
  }
  if (job.texts.empty()) return broken;
  return job;
}

NewTask ReadTask(const ReadJob& job, std::string_view reader, std::string_view format) {
  NewTask task;
  task.queue = QueueNeeding(kReadQueue, {reader, format});
  task.kind = "read";
  task.payload = job.ToJson();
  task.priority = queue::Priority::kLow;
  task.unique_key = "read:" + job.reader + ":" + job.hash.hex();
  // Three times as long as it plays, for a slow machine; a picture or document ten minutes.
  const double seconds = std::clamp(3 * job.duration.value_or(0), 600.0, 7 * 86400.0);
  task.timeout = Milliseconds(static_cast<int64_t>(seconds * 1000));
  task.retry.errors_max = 3;
  task.dead_letter = {std::string(kCommitQueue), "reading_failed"};
  return task;
}

NewTask ReadingTask(const ReadingParcel& parcel) {
  NewTask task;
  task.queue = kCommitQueue;
  task.kind = "reading";
  task.payload = parcel.ToJson();
  task.priority = queue::Priority::kLow;
  task.unique_key = "read:" + parcel.job.reader + ":" + parcel.job.hash.hex();
  task.retry.errors_max = 1000;
  return task;
}

NewTask EmbedTextsTask(const TextsJob& job) {
  NewTask task;
  task.queue = QueueNeeding(kEmbedQueue, {job.model.device});
  task.kind = "embed_texts";
  task.payload = job.ToJson();
  task.priority = queue::Priority::kLow;
  task.unique_key = "texts:" + job.model.key + ":" + std::to_string(job.texts.front().id);
  return task;
}

NewTask VectorsTask(const TextsJob& job) {
  NewTask task;
  task.queue = kCommitQueue;
  task.kind = "vectors";
  task.payload = job.ToJson();
  task.priority = queue::Priority::kLow;
  task.unique_key = "texts:" + job.model.key + ":" + std::to_string(job.texts.front().id);
  task.retry.errors_max = 1000;
  return task;
}

NewTask PrepareTask(const PrepareJob& job, queue::Priority priority, std::string_view format) {
  const std::string queue =
      QueueNeeding(kPrepareQueue, {job.beside_controller ? kBesideController : format});
  NewTask task = FileTask(queue, "prepare", job, job.ToJson(), priority);
  // Reading and decoding a long film takes long; see also ingest/prepare.cc.
  constexpr uint64_t kBytesPerMillisecond = 1000;
  task.timeout += Milliseconds(std::min<uint64_t>(job.size / kBytesPerMillisecond, 4 * 3600'000));
  return task;
}

NewTask EmbedTask(const Parcel& parcel, queue::Priority priority) {
  const PrepareJob& job = parcel.job;
  const std::string_view device = job.model ? std::string_view(job.model->device) : "";
  const std::string queue =
      QueueNeeding(kEmbedQueue, {job.beside_controller ? kBesideController : device});
  return FileTask(queue, "embed", job, parcel.ToJson(), priority);
}

NewTask CommitTask(const Parcel& parcel, queue::Priority priority) {
  NewTask task = FileTask(kCommitQueue, "commit", parcel.job, parcel.ToJson(), priority);
  // Commits fail for the disk's or the database's sake, never for the file's: keep trying.
  task.retry.errors_max = 1000;
  return task;
}

NewTask ScanTask(const watch::RootSpec& root, bool full) {
  NewTask task;
  task.queue = kScanQueue;
  task.kind = "scan";
  task.payload = {{"root", root.ToJson()}, {"full", full}};
  task.priority = queue::Priority::kHigh;
  task.timeout = Milliseconds(int64_t{24} * 3600 * 1000);
  return task;
}

NewTask UnwatchTask(const std::string& root) {
  NewTask task;
  task.queue = kScanQueue;
  task.kind = "unwatch";
  task.payload = {{"root", root}};
  task.priority = queue::Priority::kHigh;
  return task;
}

NewTask ChangesTask(const watch::RootSpec& root, const std::vector<watch::Change>& changes) {
  NewTask task;
  task.queue = kChangesQueue;
  task.kind = "changes";
  task.payload = {{"root", root.name}, {"root_path", root.path}, {"changes", Json::array()}};
  for (const watch::Change& change : changes) task.payload["changes"].push_back(change.ToJson());
  task.retry.errors_max = 1000;
  return task;
}

NewTask ScanEndedTask(const watch::RootSpec& root, const watch::RootStatus& status, bool complete) {
  NewTask task;
  task.queue = kChangesQueue;
  task.kind = "scan_ended";
  task.payload = {{"root", root.name}, {"status", status.ToJson()}, {"complete", complete}};
  task.retry.errors_max = 1000;
  return task;
}

namespace {

void PutSize(std::string* out, size_t size) {
  const auto value = static_cast<uint32_t>(size);
  out->append(reinterpret_cast<const char*>(&value), sizeof(value));
}

// Nothing when there aren't as many bytes.
std::optional<uint32_t> TakeSize(std::string_view* bytes) {
  uint32_t value = 0;
  if (bytes->size() < sizeof(value)) return std::nullopt;
  std::memcpy(&value, bytes->data(), sizeof(value));
  bytes->remove_prefix(sizeof(value));
  return value;
}
std::optional<std::string_view> TakePart(std::string_view* bytes) {
  const auto size = TakeSize(bytes);
  if (!size || bytes->size() < *size) return std::nullopt;
  const std::string_view part = bytes->substr(0, *size);
  bytes->remove_prefix(*size);
  return part;
}

}  // namespace

// The blob: the head as CBOR, thumbnail, strip and sound, each behind its u32 size. Little-endian.
std::string EncodePrepared(const media::Prepared& prepared) {
  std::string out;
  for (const std::string& part :
       {ToCbor(prepared.Head()), prepared.thumbnail, prepared.strip, prepared.sound}) {
    PutSize(&out, part.size());
    out += part;
  }
  return out;
}

Result<media::Prepared> DecodePrepared(std::string_view bytes) {
  const Error broken{Code::kCorrupt, "document: broken blob"};
  const auto head = TakePart(&bytes);
  if (!head) return broken;
  media::Prepared prepared = TRY(media::Prepared::FromHead(TRY(FromCbor(*head))));
  for (std::string* part : {&prepared.thumbnail, &prepared.strip, &prepared.sound}) {
    const auto taken = TakePart(&bytes);
    if (!taken) return broken;
    *part = *taken;
  }
  return prepared;
}

// The blob: for each embedding u32 views, for each view u32 dimensions and its floats, then u32
// size and the labels as CBOR. All little-endian.
std::string EncodeVectors(const std::vector<embedding::Embedding>& embeddings) {
  std::string out;
  PutSize(&out, embeddings.size());
  for (const embedding::Embedding& one : embeddings) {
    PutSize(&out, one.views.size());
    for (const std::vector<float>& view : one.views) {
      PutSize(&out, view.size());
      out.append(reinterpret_cast<const char*>(view.data()), view.size() * sizeof(float));
    }
    Json labels = Json::array();
    for (const embedding::Label& label : one.labels) {
      labels.push_back({label.text, label.probability, label.generals});
    }
    const std::string cbor = ToCbor(labels);
    PutSize(&out, cbor.size());
    out += cbor;
  }
  return out;
}

Result<std::vector<embedding::Embedding>> DecodeVectors(std::string_view bytes) {
  const Error broken{Code::kCorrupt, "vectors: broken blob"};
  const auto count = TakeSize(&bytes);
  if (!count) return broken;
  std::vector<embedding::Embedding> out;
  for (uint32_t i = 0; i < *count; ++i) {
    embedding::Embedding one;
    const auto views = TakeSize(&bytes);
    if (!views || *views > 64) return broken;
    for (uint32_t v = 0; v < *views; ++v) {
      const auto dimensions = TakeSize(&bytes);
      if (!dimensions || bytes.size() / sizeof(float) < *dimensions) return broken;
      std::vector<float> view(*dimensions);
      if (*dimensions > 0) std::memcpy(view.data(), bytes.data(), *dimensions * sizeof(float));
      bytes.remove_prefix(*dimensions * sizeof(float));
      one.views.push_back(std::move(view));
    }
    const auto cbor = TakePart(&bytes);
    if (!cbor) return broken;
    const Json labels = TRY(FromCbor(*cbor));
    try {
      for (const Json& label : labels) {
        one.labels.push_back({label.at(0).get<std::string>(), label.at(1).get<float>(),
                              label.at(2).get<std::vector<std::string>>()});
      }
    } catch (const Json::exception&) {
      return broken;
    }
    out.push_back(std::move(one));
  }
  return out;
}

}  // namespace msearch::ingest
