#include <unistd.h>

#include "base/log.h"
#include "ingest/dead_letter.h"
#include "ingest/embed.h"
#include "ingest/library.h"
#include "ingest/sound_spaces.h"
#include "queue/worker.h"

// What the controller does with reports and finished work. Every effect is idempotent, because a
// task may come twice: a change says what is, a commit is keyed by content and version and fenced
// by its token, a thumbnail is named by the content's hash.

namespace msearch::ingest {
namespace {

using queue::Outcome;
using queue::TaskContext;

// Labels below this share of certainty aren't shown; below the next, not searched by word.
constexpr float kLabelShown = 0.03F;
constexpr float kLabelSearched = 0.15F;
constexpr float kGeneralSearched = 0.5F;
constexpr size_t kLabelsShown = 5;

// Words to search by: likely labels, and general words that the labels agree on.
std::vector<std::string> SearchableLabels(const std::vector<embedding::Label>& labels) {
  std::vector<std::string> words;
  std::map<std::string, float> generals;
  for (const embedding::Label& label : labels) {
    if (label.probability >= kLabelSearched) words.push_back(label.text);
    for (const std::string& general : label.generals) generals[general] += label.probability;
  }
  for (const auto& [word, probability] : generals) {
    if (probability >= kGeneralSearched) words.push_back(word);
  }
  return words;
}

Json ShownLabels(const std::vector<embedding::Label>& labels) {
  Json shown = Json::array();
  for (const embedding::Label& label : labels) {
    if (label.probability < kLabelShown || shown.size() == kLabelsShown) break;
    shown.push_back({{"label", label.text}, {"probability", label.probability}});
  }
  return shown;
}

catalog::MediaContent ContentOf(const Parcel& parcel, const media::Prepared& prepared,
                                const std::vector<embedding::Embedding>& embeddings) {
  catalog::MediaContent content;
  content.hash = parcel.hash;
  content.preparation = kPreparation;
  content.type = media::TypeName(prepared.type);
  content.mime = prepared.mime;
  content.size = parcel.job.size;
  content.width = prepared.width;
  content.height = prepared.height;
  content.captured_at = prepared.captured_at;
  content.camera = prepared.camera;
  content.gps = prepared.gps;
  content.perceptual_hash = prepared.perceptual_hash;
  content.title = prepared.title;
  if (prepared.duration > 0) content.duration = prepared.duration;
  content.attributes = prepared.attributes;
  for (size_t i = 0; i < prepared.segments.size(); ++i) {
    const media::Segment& from = prepared.segments[i];
    catalog::Segment segment = ToCatalog(from);
    if (i < embeddings.size()) {
      segment.views = embeddings[i].views;
      segment.labels = SearchableLabels(embeddings[i].labels);
      if (i == 0 && !embeddings[i].labels.empty()) {
        content.attributes["labels"] = ShownLabels(embeddings[i].labels);
      }
    }
    content.segments.push_back(std::move(segment));
  }
  return content;
}

catalog::Token TokenOf(const queue::Lease& lease) {
  return {lease.token.epoch, lease.token.counter};
}

struct Pending {
  Parcel parcel;
  catalog::Commit commit;
  Outcome outcome;
  bool open = false;
};

}  // namespace

void Library::HandleCommits(std::stop_token stop) {
  auto load = [this](const TaskContext& task) {
    Pending pending;
    Result<> loaded = [&]() -> Result<> {
      pending.parcel = TRY(Parcel::FromJson(task.lease().task.payload));
      const Parcel& parcel = pending.parcel;
      pending.commit.file = parcel.job.file;
      pending.commit.version = parcel.job.version;
      pending.commit.token = TokenOf(task.lease());
      pending.commit.hash = parcel.hash;
      if (parcel.job.model) pending.commit.model_key = parcel.job.model->key;
      if (parcel.document.empty()) return Ok{};
      const auto prepared = TRY(DecodePrepared(TRY(blobs_->Get(parcel.document))));
      std::vector<embedding::Embedding> embeddings;
      if (!parcel.vectors.empty()) {
        embeddings = TRY(DecodeVectors(TRY(blobs_->Get(parcel.vectors))));
      }
      if (!prepared.thumbnail.empty()) TRY(thumbnails_.Store(parcel.hash, prepared.thumbnail));
      if (!prepared.strip.empty()) TRY(thumbnails_.StoreStrip(parcel.hash, prepared.strip));
      pending.commit.content = ContentOf(parcel, prepared, embeddings);
      if (!prepared.sound.empty()) {
        AddSoundPrint(TRY(media::SoundPrint::Decode(prepared.sound)), &*pending.commit.content);
      }
      return Ok{};
    }();
    pending.open = loaded.ok();
    if (loaded.ok()) return pending;
    if (loaded.code() == Code::kNotFound) {
      auto again = StartAgain(pending.parcel, task.lease().task.priority);
      if (again.ok()) {
        pending.outcome.follow_ups.push_back(std::move(*again));
        pending.outcome.result = {{"blobs_lost", true}};
        return pending;
      }
      loaded = again.error();
    }
    pending.outcome.status = loaded;
    return pending;
  };

  queue::BatchHandler commit = [this, load](std::span<const std::unique_ptr<TaskContext>> tasks) {
    std::vector<Pending> all;
    std::vector<catalog::Commit> commits;
    for (const auto& task : tasks) {
      all.push_back(load(*task));
      if (all.back().open) commits.push_back(all.back().commit);
    }
    auto effects = catalog_->Apply(commits);
    size_t next = 0;
    std::vector<Outcome> outcomes;
    for (size_t i = 0; i < all.size(); ++i) {
      Pending& pending = all[i];
      if (pending.open && !effects.ok()) pending.outcome.status = effects.error();
      if (pending.open && effects.ok()) {
        const catalog::CommitEffect& effect = (*effects)[next++];
        const bool missing = !effect.status.ok() && effect.status.code() == Code::kNotFound;
        if (missing && !pending.commit.content) {
          auto again = StartAgain(pending.parcel, tasks[i]->lease().task.priority);
          if (again.ok()) pending.outcome.follow_ups.push_back(std::move(*again));
        } else if (!effect.status.ok() && effect.status.code() == Code::kStale) {
          ++stale_commits_;
        } else if (!effect.status.ok() && !missing) {
          pending.outcome.status = effect.status;
        }
        pending.outcome.result = {
            {"media_id", effect.media},
            {"effect", effect.status.ok() ? "committed" : effect.status.message()}};
        if (effect.content_new) readings_.Changed(effect.media);
        if (effect.status.ok()) ++(effect.content_new ? content_commits_ : path_commits_);
        if (effect.status.ok()) Count(pending.parcel.job.root, pending.parcel.job.path);
        for (const std::string& id : pending.parcel.Blobs()) blobs_->Remove(id);
      }
      outcomes.push_back(std::move(pending.outcome));
    }
    PokeIndex();
    return outcomes;
  };

  queue::BatchHandler failed = [this](std::span<const std::unique_ptr<TaskContext>> tasks) {
    std::vector<Outcome> outcomes;
    for (const auto& task : tasks) {
      const Json& payload = task->lease().task.payload;
      Outcome& outcome = outcomes.emplace_back();
      auto letter = ReadDeadLetter(payload);
      if (!letter.ok()) {
        outcome.status = letter.error();
        continue;
      }
      const Parcel* parcel = &letter->parcel;
      Result<> marked =
          catalog_->MarkFailed(parcel->job.file, parcel->job.version, TokenOf(task->lease()),
                               letter->error, letter->attempts);
      for (const std::string& id : parcel->Blobs()) blobs_->Remove(id);
      const bool moot =
          !marked.ok() && (marked.code() == Code::kStale || marked.code() == Code::kNotFound);
      if (!marked.ok() && !moot) outcome.status = marked;
    }
    return outcomes;
  };

  queue::WorkerOptions worker;
  worker.info.id = options_.worker_id + ":commit";
  worker.info.role = "controller";
  worker.info.host = options_.host;
  worker.info.pid = getpid();
  worker.info.started_at = SystemClock().NowMs();
  worker.queues = {std::string(kCommitQueue)};
  worker.batch_max = 64;
  worker.lease_duration = options_.lease_duration;
  for (const auto& reading : readings_.Handlers()) {
    worker.handlers[reading.first] =
        [this, handler = reading.second](std::span<const std::unique_ptr<TaskContext>> tasks) {
          std::vector<Outcome> outcomes = handler(tasks);
          Poke();
          PokeIndex();
          return outcomes;
        };
  }
  worker.handlers["commit"] = commit;
  worker.handlers["failed"] = failed;
  queue::RunWorker(*queue_, worker, stop, Milliseconds(5000));
}

void Library::PokeIndex() {
  std::lock_guard lock(model_mutex_);
  if (active_ != nullptr) active_->Poke();
  if (target_ != nullptr) target_->Poke();
  if (sounds_ != nullptr) sounds_->Poke();
  if (fingerprints_ != nullptr) fingerprints_->Poke();
}

Result<> Library::ApplyChanges(const Json& payload) {
  const std::string root = GetString(payload, "root").value_or("");
  std::vector<catalog::FileFact> present;
  std::vector<std::string> gone;
  // Reports of one kind in a row are applied together; their order is kept.
  auto flush = [&]() -> Result<> {
    if (!present.empty()) TRY(catalog_->FilesPresent(root, present));
    if (!gone.empty()) TRY(catalog_->FilesGone(root, gone));
    present.clear();
    gone.clear();
    return Ok{};
  };
  for (const Json& item : payload.value("changes", Json::array())) {
    const watch::Change change = TRY(watch::Change::FromJson(item));
    const catalog::FileFact fact{change.path, change.size, change.modified_ns, change.device,
                                 change.inode};
    using Kind = watch::Change::Kind;
    if (change.kind == Kind::kPresent) {
      if (!gone.empty()) TRY(flush());
      present.push_back(fact);
    } else if (change.kind == Kind::kGone) {
      if (!present.empty()) TRY(flush());
      gone.push_back(change.path);
    } else {
      TRY(flush());
      TRY(catalog_->FileMoved(root, change.old_path, fact));
    }
  }
  return flush();
}

Result<> Library::ApplyScanEnded(const Json& payload) {
  std::lock_guard lock(roots_mutex_);
  auto root = catalog_->GetRoot(GetString(payload, "root").value_or(""));
  if (!root.ok()) return root.error();
  root->status = payload.value("status", Json::object());
  root->state = GetString(root->status, "state").value_or(root->state);
  return catalog_->UpdateRoot(*root);
}

void Library::HandleReports(std::stop_token stop) {
  auto each = [this](Result<> (Library::*apply)(const Json&)) {
    return [this, apply](std::span<const std::unique_ptr<TaskContext>> tasks) {
      std::vector<Outcome> outcomes;
      for (const auto& task : tasks) {
        Result<> done = (this->*apply)(task->lease().task.payload);
        // The root was removed meanwhile: nothing left to record.
        if (!done.ok() && done.code() == Code::kNotFound) done = Ok{};
        outcomes.emplace_back().status = done;
      }
      Poke();
      PokeIndex();
      return outcomes;
    };
  };
  queue::WorkerOptions worker;
  worker.info.id = options_.worker_id + ":reports";
  worker.info.role = "controller";
  worker.info.host = options_.host;
  worker.info.pid = getpid();
  worker.info.started_at = SystemClock().NowMs();
  worker.queues = {std::string(kChangesQueue)};
  worker.batch_max = 4;
  worker.lease_duration = options_.lease_duration;
  worker.handlers = {{"changes", each(&Library::ApplyChanges)},
                     {"scan_ended", each(&Library::ApplyScanEnded)}};
  queue::RunWorker(*queue_, worker, stop, Milliseconds(5000));
}

}  // namespace msearch::ingest
