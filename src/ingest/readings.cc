#include "ingest/readings.h"

#include "base/log.h"

namespace msearch::ingest {
namespace {

using queue::Outcome;
using queue::TaskContext;

constexpr size_t kPage = 200;
constexpr int64_t kWindow = 1000;  // tasks queued at a time, of reading and of texts each
constexpr size_t kTextsPerTask = 32;
constexpr size_t kTextBytesPerTask = 64 << 10;
constexpr auto kFullWalkEvery = std::chrono::minutes(10);

std::string CursorKey(const catalog::ReaderSpec& spec) { return spec.name + "\n" + spec.key; }

ReadJob JobFor(const catalog::ReaderSpec& spec, const catalog::Unread& unread) {
  ReadJob job;
  job.hash = unread.hash;
  job.reader = spec.name;
  job.key = spec.key;
  job.type = unread.type;
  job.mime = unread.mime;
  job.root_path = unread.root_path;
  job.path = unread.file.path;
  job.size = unread.file.size;
  job.modified_ns = unread.file.modified_ns;
  job.duration = unread.duration;
  job.attributes = unread.attributes;
  for (const catalog::Segment& shot : unread.shots) {
    job.shots.push_back({shot.start_time.value_or(0), shot.end_time.value_or(0)});
  }
  return job;
}

catalog::Reading ReadingOf(const ReadJob& job, const queue::Lease& lease) {
  catalog::Reading reading;
  reading.hash = job.hash;
  reading.reader = job.reader;
  reading.key = job.key;
  reading.token = {lease.token.epoch, lease.token.counter};
  return reading;
}

bool IsMoot(const Result<>& applied) {
  return !applied.ok() && (applied.code() == Code::kStale || applied.code() == Code::kNotFound);
}

}  // namespace

Readings::Readings(std::shared_ptr<catalog::Catalog> catalog,
                   std::shared_ptr<queue::TaskQueue> queue,
                   std::shared_ptr<storage::BlobStore> blobs,
                   std::function<std::vector<WantedReader>()> wanted, bool workers_differ)
    : catalog_(std::move(catalog)),
      queue_(std::move(queue)),
      blobs_(std::move(blobs)),
      wanted_(std::move(wanted)),
      workers_differ_(workers_differ) {}

void Readings::Restart() {
  std::lock_guard lock(mutex_);
  restart_ = true;
  walked_.reset();
}

void Readings::Changed(catalog::MediaId media) {
  std::lock_guard lock(mutex_);
  changed_from_ = std::min(changed_from_.value_or(media), media);
}

std::optional<int64_t> Readings::walked() const {
  std::lock_guard lock(mutex_);
  return walked_;
}

Result<bool> Readings::WalkReader(const WantedReader& reader, Window* window) {
  catalog::MediaId& cursor = cursors_[CursorKey(reader.spec)];
  // What waits for somebody who has this reader, or can open what it reads: a window of its own, so
  // that it keeps nothing from the other readers.
  int64_t own_room = kWindow;
  for (const auto& [queue, queued] : window->queued) {
    if (IsOfStep(queue, QueueNeeding(kReadQueue, {reader.spec.name}))) own_room -= queued;
  }
  while (true) {
    if (window->room <= 0 || own_room <= 0) return false;
    const auto page = TRY(catalog_->UnreadMedia(reader.spec, cursor, kPage));
    if (page.empty()) return true;
    std::vector<queue::NewTask> tasks;
    for (const catalog::Unread& unread : page) {
      const ReadJob job = JobFor(reader.spec, unread);
      if (!reader.wants || reader.wants(unread)) {
        queue::NewTask task = ReadTask(job, job.reader, job.format());
        if (!window->workforce.SomeLack(kReadQueue, task.queue)) task = ReadTask(job);
        --(task.queue == kReadQueue ? window->room : own_room);
        tasks.push_back(std::move(task));
        continue;
      }
      catalog::Reading nothing;
      nothing.hash = job.hash;
      nothing.reader = job.reader;
      nothing.key = job.key;
      Result<> applied = catalog_->ApplyReading(nothing);
      if (!applied.ok() && !IsMoot(applied)) return applied.error();
    }
    if (!tasks.empty()) TRY(queue_->Enqueue(tasks));
    cursor = page.back().media;
  }
}

Result<bool> Readings::WalkTexts(const TargetModel& model, int64_t* room) {
  if (!model.embeds_passages) return true;
  catalog::SegmentId& cursor = text_cursors_[model.key];
  while (true) {
    if (*room <= 0) return false;
    const auto page = TRY(catalog_->UnembeddedTexts(model.key, cursor, kPage));
    if (page.empty()) return true;
    std::vector<queue::NewTask> tasks;
    TextsJob job{model, {}, {}};
    size_t bytes = 0;
    auto flush = [&] {
      if (!job.texts.empty()) tasks.push_back(EmbedTextsTask(job));
      job.texts.clear();
      bytes = 0;
    };
    for (const catalog::TextSegment& text : page) {
      bytes += text.text.size();
      if (job.texts.size() == kTextsPerTask || bytes > kTextBytesPerTask) flush();
      job.texts.push_back(text);
    }
    flush();
    TRY(queue_->Enqueue(tasks));
    *room -= static_cast<int64_t>(tasks.size());
    cursor = page.back().id;
  }
}

Result<> Readings::Step(const std::optional<TargetModel>& model) {
  std::lock_guard walk(walk_mutex_);
  const auto now = std::chrono::steady_clock::now();
  const auto readers = wanted_ ? wanted_() : std::vector<WantedReader>();
  std::set<std::string> names;
  for (const WantedReader& reader : readers) names.insert(CursorKey(reader.spec));
  if (model) names.insert("texts\n" + model->key);
  const int64_t revision = TRY(catalog_->Revision());
  {
    std::lock_guard lock(mutex_);
    const bool full = restart_ || now - full_walk_at_ > kFullWalkEvery;
    if (full) {
      cursors_.clear();
      text_cursors_.clear();
      full_walk_at_ = now;
    }
    if (changed_from_) {
      for (auto& [key, cursor] : cursors_) cursor = std::min(cursor, *changed_from_ - 1);
    }
    if (!full && !changed_from_ && walked_ == revision && names == readers_before_) return Ok{};
    restart_ = false;
    changed_from_.reset();
    walked_.reset();
  }
  readers_before_ = names;
  Window window;
  window.room = kWindow;
  int64_t text_room = kWindow;
  for (const queue::QueueStats& stats : TRY(queue_->Stats())) {
    if (stats.name == kReadQueue) window.room -= stats.queued;
    if (IsOfStep(stats.name, kReadQueue)) window.queued[stats.name] = stats.queued;
    if (IsOfStep(stats.name, kEmbedQueue)) text_room -= stats.queued;
  }
  if (workers_differ_ && !readers.empty()) window.workforce = Workforce(TRY(queue_->Workers()));
  bool complete = true;
  for (const WantedReader& reader : readers) {
    complete = TRY(WalkReader(reader, &window)) && complete;
  }
  if (model) complete = TRY(WalkTexts(*model, &text_room)) && complete;
  std::lock_guard lock(mutex_);
  if (complete && !restart_ && !changed_from_) walked_ = revision;
  return Ok{};
}

Result<> Readings::Commit(const TaskContext& task, Outcome* outcome) {
  const ReadingParcel parcel = TRY(ReadingParcel::FromJson(task.lease().task.payload));
  auto bytes = blobs_->Get(parcel.findings);
  if (!bytes.ok() && bytes.code() == Code::kNotFound) {
    // Lost on the way: the content is still unread.
    Restart();
    outcome->result = {{"blobs_lost", true}};
    return Ok{};
  }
  if (!bytes.ok()) return bytes.error();
  const Findings findings = TRY(DecodeFindings(*bytes));
  catalog::Reading reading = ReadingOf(parcel.job, task.lease());
  reading.attributes = findings.attributes;
  for (const media::Segment& segment : findings.segments) {
    reading.segments.push_back(ToCatalog(segment));
  }
  Result<> applied = catalog_->ApplyReading(reading);
  if (!applied.ok() && !IsMoot(applied)) return applied;
  if (!applied.ok() && applied.code() == Code::kStale) ++stale_;
  blobs_->Remove(parcel.findings);
  outcome->result = {{"effect", applied.ok() ? "committed" : applied.message()}};
  return Ok{};
}

Result<> Readings::CommitFailure(const TaskContext& task) {
  const Json& payload = task.lease().task.payload;
  const Json original = payload.value("payload", Json::object());
  const Json& job = original.contains("job") ? original["job"] : original;
  catalog::Reading reading = ReadingOf(TRY(ReadJob::FromJson(job)), task.lease());
  const Json why = payload.value("error", Json::object());
  reading.error = Error{CodeFromName(GetString(why, "code").value_or("internal")),
                        GetString(why, "message").value_or("unknown")};
  reading.attempts = static_cast<int>(GetInt(payload, "attempts").value_or(1));
  Result<> applied = catalog_->ApplyReading(reading);
  return IsMoot(applied) ? Ok{} : applied;
}

Result<> Readings::CommitVectors(const TaskContext& task) {
  const TextsJob job = TRY(TextsJob::FromJson(task.lease().task.payload));
  auto bytes = blobs_->Get(job.vectors);
  if (!bytes.ok() && bytes.code() == Code::kNotFound) {
    Restart();
    return Ok{};
  }
  if (!bytes.ok()) return bytes.error();
  const auto embeddings = TRY(DecodeVectors(*bytes));
  if (embeddings.size() != job.texts.size()) {
    return Error{Code::kInvalid, "vectors: not one for each text"};
  }
  std::vector<catalog::SegmentViews> vectors;
  for (size_t i = 0; i < embeddings.size(); ++i) {
    vectors.push_back({job.texts[i].id, embeddings[i].views});
  }
  TRY(catalog_->ApplyVectors(job.model.key, vectors));
  blobs_->Remove(job.vectors);
  return Ok{};
}

std::map<std::string, queue::BatchHandler> Readings::Handlers() {
  using One = std::function<Result<>(const TaskContext&, Outcome*)>;
  auto each = [](One one) -> queue::BatchHandler {
    return [one](std::span<const std::unique_ptr<TaskContext>> tasks) {
      std::vector<Outcome> outcomes;
      for (const auto& task : tasks) {
        Outcome& outcome = outcomes.emplace_back();
        outcome.status = one(*task, &outcome);
      }
      return outcomes;
    };
  };
  return {
      {"reading", each([this](const auto& task, Outcome* out) { return Commit(task, out); })},
      {"reading_failed", each([this](const auto& task, Outcome*) { return CommitFailure(task); })},
      {"vectors", each([this](const auto& task, Outcome*) { return CommitVectors(task); })}};
}

}  // namespace msearch::ingest
