#include "ingest/embed.h"

#include <algorithm>

#include "base/free_memory.h"
#include "base/log.h"
#include "ingest/prepare.h"

namespace msearch::ingest {
namespace {

using queue::Outcome;
using queue::TaskContext;

constexpr std::chrono::seconds kLackRemembered{60};
constexpr std::chrono::seconds kLookAgain{5};
constexpr Milliseconds kGiveBackDelay{500};
constexpr size_t kPicturesAtOnce = 32;

// One task's inputs and, after embedding, its vectors: one embedding per segment.
struct Item {
  Parcel parcel;
  queue::Priority priority = queue::Priority::kNormal;
  std::string pixels;  // of all its pictures
  size_t picture_bytes = 1;
  std::vector<media::Segment> segments;
  bool document = false;
  std::vector<embedding::Embedding> embeddings;
  Outcome outcome;
  bool open = true;  // still to be embedded

  size_t pictures() const { return pixels.size() / picture_bytes; }
  std::string_view picture(size_t i) const {
    return std::string_view(pixels).substr(i * picture_bytes, picture_bytes);
  }
};

// Another queue, or a lease that was lost, may have brought this content to its commit since the
// task was made.
bool IsOvertaken(const ContentKnown& known, const Parcel& parcel, const queue::Task& task) {
  constexpr int64_t kSoonMs = 2000;
  const bool old = SystemClock().NowMs() - task.created_at > kSoonMs || task.attempts > 0;
  if (!known || !old || !parcel.job.model || !parcel.job.upload.empty()) return false;
  return known(parcel.hash, parcel.job.model->key).value_or(false);
}

Item LoadItem(storage::BlobStore& blobs, const ContentKnown& known, const TaskContext& task) {
  Item item;
  item.priority = task.lease().task.priority;
  Result<> loaded = [&]() -> Result<> {
    item.parcel = TRY(Parcel::FromJson(task.lease().task.payload));
    if (!item.parcel.job.model) return Error{Code::kInvalid, "task: no model named"};
    if (IsOvertaken(known, item.parcel, task.lease().task)) {
      for (const std::string& id : item.parcel.Blobs()) blobs.Remove(id);
      Parcel path_only;
      path_only.job = item.parcel.job;
      path_only.hash = item.parcel.hash;
      item.open = false;
      item.outcome.result = {{"known", true}};
      item.outcome.follow_ups.push_back(CommitTask(path_only, item.priority));
      return Ok{};
    }
    media::Prepared prepared = TRY(DecodePrepared(TRY(blobs.Get(item.parcel.document))));
    item.segments = std::move(prepared.segments);
    item.document = prepared.type == media::MediaType::kDocument;
    if (item.parcel.pixels.empty()) return Ok{};
    item.pixels = TRY(blobs.Get(item.parcel.pixels));
    const embedding::ImageInputSpec& spec = item.parcel.job.model->image;
    item.picture_bytes = size_t{3} * spec.width * spec.height;
    if (item.picture_bytes == 0 || item.pixels.size() % item.picture_bytes != 0) {
      return Error{Code::kInvalid, "pixels: not pictures as the model wants them"};
    }
    return Ok{};
  }();
  if (loaded.ok()) return item;
  item.open = false;
  if (loaded.code() != Code::kNotFound) {
    item.outcome.status = loaded;
    return item;
  }
  auto again = StartAgain(item.parcel, item.priority);
  if (!again.ok()) {
    item.outcome.status = again.error();
    return item;
  }
  item.outcome.result = {{"blobs_lost", true}};
  if (!item.parcel.job.upload.empty()) again->parent = task.lease().task.id;
  item.outcome.follow_ups.push_back(std::move(*again));
  return item;
}

bool HasPixels(const Item& item, const media::Segment& segment) {
  return segment.pixels >= 0 && static_cast<size_t>(segment.pixels) < item.pictures();
}

// A document may have pages that are pictures, and pages that have nothing for a model.
bool IsPassage(const Item& item, const media::Segment& segment) {
  return item.document && !HasPixels(item, segment) && !segment.text.empty();
}

Result<> EmbedItems(embedding::Embedder& model, std::span<Item*> items) {
  std::vector<embedding::ImageInput> pictures;
  std::vector<std::string> passages;
  for (Item* item : items) {
    for (size_t i = 0; i < item->pictures(); ++i) pictures.push_back({item->picture(i)});
    if (!model.info().embeds_passages) continue;
    for (const media::Segment& segment : item->segments) {
      if (IsPassage(*item, segment)) passages.push_back(segment.text);
    }
  }
  std::vector<embedding::Embedding> seen;
  std::vector<embedding::Embedding> read;
  // A film brings hundreds: their inputs and what a model makes of them have to fit in memory.
  for (size_t begin = 0; begin < pictures.size(); begin += kPicturesAtOnce) {
    const auto part =
        std::span(pictures).subspan(begin, std::min(kPicturesAtOnce, pictures.size() - begin));
    for (embedding::Embedding& one : TRY(model.EmbedPictures(part))) seen.push_back(std::move(one));
  }
  if (!passages.empty()) read = TRY(model.EmbedPassages(passages));

  size_t next_picture = 0;
  size_t next_passage = 0;
  for (Item* item : items) {
    item->embeddings.assign(item->segments.size(), {});
    for (size_t i = 0; i < item->segments.size(); ++i) {
      const media::Segment& segment = item->segments[i];
      if (HasPixels(*item, segment)) {
        item->embeddings[i] = seen[next_picture + static_cast<size_t>(segment.pixels)];
      } else if (IsPassage(*item, segment) && model.info().embeds_passages) {
        item->embeddings[i] = read[next_passage++];
      }
    }
    next_picture += item->pictures();
  }
  return Ok{};
}

void Deliver(storage::BlobStore& blobs, Item* item) {
  auto vectors = blobs.Put(EncodeVectors(item->embeddings));
  if (!vectors.ok()) {
    item->outcome.status = vectors.error();
    WaitForRoom(vectors.error(), &item->outcome);
    return;
  }
  item->parcel.vectors = *vectors;
  // The inputs have done their work; the document goes on to the commit.
  if (!item->parcel.pixels.empty()) blobs.Remove(std::exchange(item->parcel.pixels, ""));
  item->outcome.result = {{"segments", item->embeddings.size()}};
  if (!item->parcel.job.upload.empty()) {
    // Only the vectors were wanted; whoever did removes their blob.
    blobs.Remove(item->parcel.document);
    item->outcome.result["vectors"] = *vectors;
    return;
  }
  item->outcome.follow_ups.push_back(CommitTask(item->parcel, item->priority));
}

// Items of one model.
void EmbedGroup(storage::BlobStore& blobs, ModelHolder& holder, std::span<Item*> items) {
  const TargetModel& target = *items[0]->parcel.job.model;
  bool lacking = false;
  auto use = [&](embedding::Embedder& model) -> Result<> {
    Result<> together = EmbedItems(model, items);
    if (together.ok() || items.size() == 1) return together;
    LOG_WARNING("embedding {} files at once: {}; trying one by one", items.size(),
                together.message());
    for (Item*& item : items) {
      Result<> alone = EmbedItems(model, std::span(&item, 1));
      if (!alone.ok()) {
        item->outcome.status = alone;
        item->open = false;
      }
    }
    return Ok{};
  };
  const Result<> done = holder.With(target.name, target.key, use, &lacking);
  for (Item* item : items) {
    if (lacking) {
      item->outcome.release = true;
      item->outcome.delay = kGiveBackDelay;
    } else if (!done.ok()) {
      item->outcome.status = done;
    } else if (item->open) {
      Deliver(blobs, item);
    }
  }
}

}  // namespace

Result<queue::NewTask> StartAgain(const Parcel& parcel, queue::Priority priority) {
  constexpr int kRestartsMax = 5;
  PrepareJob job = parcel.job;
  if (++job.restarts > kRestartsMax) {
    return Error{Code::kInvalid, job.path + ": its intermediate data was lost " +
                                     std::to_string(kRestartsMax) + " times"};
  }
  return PrepareTask(job, priority);
}

std::optional<Error> ModelHolder::FindLack(const std::string& name, const std::string& key) const {
  if (!installed_key_) return std::nullopt;
  auto installed = installed_key_(name);
  if (!installed.ok()) return installed.error();
  if (*installed == key) return std::nullopt;
  return Error{Code::kUnavailable, name + ": this machine has other files of this model"};
}

Result<> ModelHolder::With(const std::string& name, const std::string& key,
                           const std::function<Result<>(embedding::Embedder&)>& use,
                           bool* lacking) {
  std::lock_guard lock(use_mutex_);
  if (embedder_ == nullptr || embedder_->info().name != name || embedder_->info().key != key) {
    if (auto lack = FindLack(name, key)) {
      if (lacking != nullptr) *lacking = true;
      LOG_WARNING("model {}: {}", name, lack->message);
      std::lock_guard describe(describe_mutex_);
      const auto now = std::chrono::steady_clock::now();
      lack_ = Lack{name, key, lack->message, now, now};
      return *lack;
    }
    embedder_.reset();
    auto loaded = load_(name);
    if (!loaded.ok()) return Error{Code::kUnavailable, loaded.message()};
    embedder_ = std::move(*loaded);
    std::lock_guard describe(describe_mutex_);
    description_ = {{"model", name},
                    {"device", embedder_->device().used},
                    {"device_reason", embedder_->device().reason}};
  }
  if (embedder_->info().key != key) {
    return Error{Code::kStale, name + ": the files of this model changed since the task was made"};
  }
  Result<> done = use(*embedder_);
  used_at_ = std::chrono::steady_clock::now();
  return done;
}

bool ModelHolder::Ready() {
  const auto now = std::chrono::steady_clock::now();
  std::string name;
  std::string key;
  {
    std::lock_guard describe(describe_mutex_);
    if (!lack_) return true;
    if (now - lack_->since > kLackRemembered) {
      lack_.reset();
      return true;
    }
    if (now - lack_->looked_at < kLookAgain) return false;
    lack_->looked_at = now;
    name = lack_->name;
    key = lack_->key;
  }
  if (FindLack(name, key)) return false;
  std::lock_guard describe(describe_mutex_);
  lack_.reset();
  return true;
}

void ModelHolder::UnloadIfIdle() {
  std::unique_lock lock(use_mutex_, std::try_to_lock);
  if (!lock.owns_lock() || embedder_ == nullptr) return;
  if (std::chrono::steady_clock::now() - used_at_ < unload_after_) return;
  embedder_.reset();
  ReturnFreeMemory();
  std::lock_guard describe(describe_mutex_);
  description_ = Json::object();
}

Json ModelHolder::Describe() const {
  std::lock_guard lock(describe_mutex_);
  Json description = description_;
  if (lack_) description["lacks"] = {{"name", lack_->name}, {"problem", lack_->problem}};
  return description;
}

queue::BatchHandler EmbedHandler(std::shared_ptr<storage::BlobStore> blobs,
                                 std::shared_ptr<ModelHolder> model, ContentKnown known) {
  return [blobs, model, known](std::span<const std::unique_ptr<TaskContext>> tasks) {
    std::vector<Item> items;
    items.reserve(tasks.size());
    for (const auto& task : tasks) items.push_back(LoadItem(*blobs, known, *task));
    std::map<std::string, std::vector<Item*>> groups;
    for (Item& item : items) {
      if (item.open) groups[item.parcel.job.model->key].push_back(&item);
    }
    for (auto& [key, group] : groups) EmbedGroup(*blobs, *model, group);
    std::vector<Outcome> outcomes;
    for (Item& item : items) outcomes.push_back(std::move(item.outcome));
    return outcomes;
  };
}

queue::BatchHandler EmbedTextsHandler(std::shared_ptr<storage::BlobStore> blobs,
                                      std::shared_ptr<ModelHolder> model) {
  auto one = [blobs, model](const TaskContext& task, Outcome* outcome) -> Result<> {
    TextsJob job = TRY(TextsJob::FromJson(task.lease().task.payload));
    std::vector<std::string> texts;
    for (const catalog::TextSegment& text : job.texts) texts.push_back(text.text);
    std::vector<embedding::Embedding> embeddings;
    bool lacking = false;
    auto embed = [&](embedding::Embedder& embedder) -> Result<> {
      embeddings = TRY(embedder.EmbedPassages(texts));
      return Ok{};
    };
    const Result<> embedded = model->With(job.model.name, job.model.key, embed, &lacking);
    if (lacking) {
      outcome->release = true;
      outcome->delay = kGiveBackDelay;
      return Ok{};
    }
    TRY(embedded);
    const auto vectors = blobs->Put(EncodeVectors(embeddings));
    if (!vectors.ok()) {
      WaitForRoom(vectors.error(), outcome);
      return vectors.error();
    }
    job.vectors = *vectors;
    outcome->result = {{"texts", texts.size()}};
    outcome->follow_ups.push_back(VectorsTask(job));
    return Ok{};
  };
  return [one](std::span<const std::unique_ptr<TaskContext>> tasks) {
    std::vector<Outcome> outcomes;
    for (const auto& task : tasks) {
      Outcome& outcome = outcomes.emplace_back();
      outcome.status = one(*task, &outcome);
    }
    return outcomes;
  };
}

}  // namespace msearch::ingest
