#include "ingest/prepare.h"

#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <optional>

#include "base/log.h"
#include "base/strings.h"
#include "media/format.h"

// The content's hash comes first: a copy, a move that the monitor couldn't explain, or a touched
// file ends here, at the price of one read. Else the file is decoded once, by the codec child, from
// the descriptor that was hashed. A file that changes meanwhile is left for its next version: the
// monitor has seen it or will.
//
// While the child decodes one file of a batch, this process fetches and hashes the next.

namespace msearch::ingest {
namespace {

using queue::Outcome;

media::PixelsWanted Wanted(const embedding::ImageInputSpec& spec) {
  using Fit = embedding::ImageInputSpec::Fit;
  media::PixelsWanted wanted;
  wanted.width = spec.width;
  wanted.height = spec.height;
  wanted.fit = spec.fit == Fit::kStretch      ? media::PixelsWanted::Fit::kStretch
               : spec.fit == Fit::kCenterCrop ? media::PixelsWanted::Fit::kCenterCrop
                                              : media::PixelsWanted::Fit::kPad;
  return wanted;
}

// Bytes that came as a blob.
class UploadedFile final : public MediaFile {
 public:
  static Result<std::unique_ptr<MediaFile>> Make(std::string_view bytes) {
    Fd file(memfd_create("upload", MFD_CLOEXEC));
    if (!file.valid()) return ErrnoError("upload", errno);
    TRY(WriteAll(file.get(), bytes));
    return std::unique_ptr<MediaFile>(std::make_unique<UploadedFile>(std::move(file)));
  }
  explicit UploadedFile(Fd file) : file_(std::move(file)) {}
  Result<Digest> Hash() override { return Sha256File(file_.get()); }
  Result<const Fd*> Open() override { return &file_; }
  bool Changed() const override { return false; }

 private:
  const Fd file_;
};

class Preparer {
 public:
  Preparer(std::shared_ptr<storage::BlobStore> blobs, std::shared_ptr<media::Codec> codec,
           std::shared_ptr<MediaAccess> media, ContentKnown known, PrepareOptions options)
      : blobs_(std::move(blobs)),
        codec_(std::move(codec)),
        media_(std::move(media)),
        known_(std::move(known)),
        options_(std::move(options)) {}

  std::vector<Outcome> Handle(std::span<const std::unique_ptr<queue::TaskContext>> tasks) {
    std::vector<Outcome> outcomes(tasks.size());
    std::optional<Decoding> decoding;
    const auto end = [&] {
      if (!decoding) return;
      const Result<> done = End(*decoding);
      if (!done.ok()) decoding->outcome->status = done.error();
      decoding.reset();
    };
    for (size_t i = 0; i < tasks.size(); ++i) {
      Outcome& outcome = outcomes[i];
      if (tasks[i]->ShouldStop() || !HasRoom()) {
        outcome.release = true;
        if (!tasks[i]->ShouldStop()) outcome.delay = Milliseconds(250);
        continue;
      }
      Decoding next;
      next.task = tasks[i].get();
      next.outcome = &outcome;
      const Result<bool> decodes = Look(&next);
      if (!decodes.ok()) outcome.status = decodes.error();
      if (!decodes.ok() || !*decodes) continue;
      end();
      decoding = std::move(next);
      Begin(*decoding);
    }
    end();
    return outcomes;
  }

 private:
  // A file that the codec child is about to decode, or decodes.
  struct Decoding {
    const queue::TaskContext* task = nullptr;
    Outcome* outcome = nullptr;
    std::unique_ptr<MediaFile> file;
    const Fd* content = nullptr;  // of the file
    Parcel parcel;
    bool upload() const { return !parcel.job.upload.empty(); }
    Error Changing() const { return {Code::kUnavailable, parcel.job.path + ": still changing"}; }
  };

  // Embedding that lags holds preparing back, so that the bytes in flight stay bounded. There is
  // work for seconds below this mark.
  bool HasRoom() const { return blobs_->bytes() <= blobs_->bytes_max() / 4 * 3; }

  // The pixels of one film fill a part of the store only.
  uint32_t ShotsMax(const media::PixelsWanted& pixels) const {
    constexpr uint64_t kMost = 1000;
    const uint64_t shot = uint64_t{3} * pixels.width * pixels.height;
    if (shot == 0) return kMost;
    return static_cast<uint32_t>(std::clamp<uint64_t>(blobs_->bytes_max() / 8 / shot, 1, kMost));
  }

  // Films and sounds may take longer the more there is of them.
  uint32_t SecondsMax(const PrepareJob& job) const {
    const auto type = media::TypeOfExtension(job.path);
    if (type != media::MediaType::kVideo && type != media::MediaType::kAudio) return 0;
    constexpr uint64_t kBytesPerSecond = 2 << 20;
    constexpr uint64_t kLongest = 3600;
    const uint64_t own = options_.file_seconds;
    return static_cast<uint32_t>(
        std::min(own + job.size / kBytesPerSecond, std::max(own, kLongest)));
  }

  // Whether the file has to be decoded; if not, its outcome is set.
  Result<bool> Look(Decoding* that) {
    Parcel& parcel = that->parcel;
    const queue::Task& task = that->task->lease().task;
    parcel.job = TRY(PrepareJob::FromJson(task.payload));
    const PrepareJob& job = parcel.job;
    const std::string_view by_name = media::FormatOfName(job.path);
    if (!options_.reach.Opens(by_name)) return HandOn(that, by_name);
    that->file = that->upload() ? TRY(UploadedFile::Make(TRY(blobs_->Get(job.upload))))
                                : TRY(media_->Find(job, that->task->stop_token()));
    parcel.hash = TRY(that->file->Hash());
    if (that->file->Changed()) return that->Changing();
    const std::string model_key = job.model ? job.model->key : "";
    const auto known = that->upload() ? Result<bool>(false) : known_(parcel.hash, model_key);
    if (known.ok() && *known) {
      that->outcome->result = {{"known", true}};
      that->outcome->follow_ups.push_back(CommitTask(parcel, task.priority));
      return false;
    }
    that->content = TRY(that->file->Open());
    const std::string_view by_content = media::FormatOf(*that->content, job.path);
    if (!options_.reach.Opens(by_content)) return HandOn(that, by_content);
    return true;
  }

  // To those who open this format. Never to oneself: a queue that this worker serves no more is
  // left to the others.
  Result<bool> HandOn(Decoding* that, std::string_view format) const {
    const PrepareJob& job = that->parcel.job;
    if (!options_.reach.hands_on || job.beside_controller) {
      const Error error = CannotOpen(format);
      return Error{error.code, job.path + ": " + error.message};
    }
    const queue::Task& task = that->task->lease().task;
    queue::NewTask next = PrepareTask(job, task.priority, format);
    if (next.queue == task.queue) {
      that->outcome->release = true;
      that->outcome->delay = Milliseconds(1000);
      return false;
    }
    // Who waits for the vectors finds the next step by this one.
    if (that->upload()) next.parent = task.id;
    that->outcome->result = {{"handed_on", next.queue}};
    that->outcome->follow_ups.push_back(std::move(next));
    return false;
  }

  void Begin(const Decoding& that) {
    const PrepareJob& job = that.parcel.job;
    media::PrepareOptions wanted;
    wanted.picture_pixels_max = options_.picture_pixels_max;
    wanted.thumbnail_side_max = that.upload() ? 0 : options_.thumbnail_side_max;
    if (job.model) {
      wanted.pixels = Wanted(job.model->image);
      wanted.passage_words_max = job.model->passage_words_max;
    }
    wanted.shots_max = ShotsMax(wanted.pixels);
    wanted.seconds_max = SecondsMax(job);
    codec_->Begin(*that.content, job.path, wanted);
  }

  Result<> End(Decoding& that) {
    auto prepared = codec_->End();
    if (that.file->Changed()) return that.Changing();
    if (!prepared.ok()) return Explained(that, prepared.error());
    Parcel& parcel = that.parcel;
    const PrepareJob& job = parcel.job;
    Result<> stored = Store(*prepared, &parcel);
    if (!stored.ok()) {
      for (const std::string& id : parcel.Blobs()) blobs_->Remove(id);
      WaitForRoom(stored.error(), that.outcome);
      return stored;
    }
    const bool embeds =
        job.model && (!parcel.pixels.empty() || (prepared->type == media::MediaType::kDocument &&
                                                 job.model->embeds_passages));
    that.outcome->result = {{"type", media::TypeName(prepared->type)},
                            {"segments", prepared->segments.size()}};
    if (that.upload() && !embeds) {
      for (const std::string& id : parcel.Blobs()) blobs_->Remove(id);
      return Error{Code::kUnsupported, job.path + ": the model makes no vectors of it"};
    }
    const queue::Task& task = that.task->lease().task;
    that.outcome->follow_ups.push_back(embeds ? EmbedTask(parcel, task.priority)
                                              : CommitTask(parcel, task.priority));
    // Who waits for the vectors finds the next step by this one.
    if (that.upload()) that.outcome->follow_ups.back().parent = task.id;
    return Ok{};
  }

  // What a library or a program says of its own absence helps nobody.
  Error Explained(const Decoding& that, const Error& error) const {
    if (error.code != Code::kUnsupported || !options_.installed) return error;
    const std::string& path = that.parcel.job.path;
    const std::string_view format = media::FormatOf(*that.content, path);
    if (format.empty() || options_.installed(format)) return error;
    return {error.code, path + ": " + CannotOpen(format).message};
  }

  Result<> Store(const media::Prepared& prepared, Parcel* parcel) {
    parcel->document = TRY(blobs_->Put(EncodePrepared(prepared)));
    if (!prepared.pixels.empty()) parcel->pixels = TRY(blobs_->Put(Join(prepared.pixels, "")));
    return Ok{};
  }

  const std::shared_ptr<storage::BlobStore> blobs_;
  const std::shared_ptr<media::Codec> codec_;
  const std::shared_ptr<MediaAccess> media_;
  const ContentKnown known_;
  const PrepareOptions options_;
};

}  // namespace

queue::BatchHandler PrepareHandler(std::shared_ptr<storage::BlobStore> blobs,
                                   std::shared_ptr<media::Codec> codec,
                                   std::shared_ptr<MediaAccess> media, ContentKnown known,
                                   PrepareOptions options) {
  auto preparer = std::make_shared<Preparer>(std::move(blobs), std::move(codec), std::move(media),
                                             std::move(known), std::move(options));
  return [preparer](std::span<const std::unique_ptr<queue::TaskContext>> tasks) {
    return preparer->Handle(tasks);
  };
}

void WaitForRoom(const Error& error, queue::Outcome* outcome) {
  if (error.code != Code::kExhausted) return;
  LOG_WARNING("{}; the task is given back", error.message);
  outcome->release = true;
  outcome->delay = Milliseconds(2000);
}

queue::BatchHandler ReleasedWhile(std::function<bool()> away, queue::BatchHandler handler) {
  return [away = std::move(away), handler = std::move(handler)](
             std::span<const std::unique_ptr<queue::TaskContext>> tasks) {
    std::vector<Outcome> outcomes = handler(tasks);
    for (Outcome& outcome : outcomes) {
      if (outcome.status.ok() || !IsTransient(outcome.status.code()) || !away()) continue;
      LOG_WARNING("{}; the task is given back", outcome.status.message());
      outcome = Outcome();
      outcome.release = true;
      outcome.delay = Milliseconds(1000);
    }
    return outcomes;
  };
}

}  // namespace msearch::ingest
