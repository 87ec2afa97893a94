#include "ingest/read.h"

#include "ingest/prepare.h"

namespace msearch::ingest {
namespace {

using queue::Outcome;

constexpr Milliseconds kGiveBackDelay{30000};  // for want of a model, on everything that needs it

// To those who have the reader and open the format; never to oneself.
void HandOn(const ReadJob& job, const queue::Task& task, Milliseconds delay, Outcome* outcome) {
  queue::NewTask next = ReadTask(job, job.reader, job.format());
  if (next.queue == task.queue) {
    outcome->release = true;
    outcome->delay = delay;
    return;
  }
  outcome->result = {{"handed_on", next.queue}};
  outcome->follow_ups.push_back(std::move(next));
}

Result<> ReadOne(storage::BlobStore& blobs, media::Codec& codec, MediaAccess& media,
                 const Readers& readers, const ReadOptions& options, queue::TaskContext& task,
                 Outcome* outcome) {
  const ReadJob job = TRY(ReadJob::FromJson(task.lease().task.payload));
  const auto reader = readers.find(job.reader);
  const bool able = reader != readers.end() && options.reach.Opens(job.format()) &&
                    (!options.has || options.has(job));
  if (!able && options.reach.hands_on) {
    HandOn(job, task.lease().task, Milliseconds(1000), outcome);
    return Ok{};
  }
  if (reader == readers.end()) {
    return Error{Code::kUnsupported, "reader " + job.reader + ": not in this worker"};
  }
  const auto file = media.OpenContent({job.hash, job.AbsolutePath(), job.size, job.modified_ns},
                                      task.stop_token());
  if (!file.ok() && file.code() == Code::kNotFound) {
    // It has changed or gone since: the catalog has heard of it, or will.
    outcome->result = {{"changed", true}};
    return Ok{};
  }
  if (!file.ok()) return file.error();
  const Result<Findings> findings = reader->second->Read(job, *file, codec, task);
  const bool lacks = !findings.ok() && findings.code() == Code::kUnavailable;
  if (options.lacks) options.lacks(job.reader, lacks ? findings.message() : "");
  if (lacks) {
    // No fault of the content, so it mustn't fail for that: somebody else may have the model, or
    // this machine later.
    if (options.reach.hands_on) {
      HandOn(job, task.lease().task, kGiveBackDelay, outcome);
    } else {
      outcome->release = true;
      outcome->delay = kGiveBackDelay;
    }
    return Ok{};
  }
  if (!findings.ok()) return findings.error();
  const auto stored = blobs.Put(EncodeFindings(*findings));
  if (!stored.ok()) {
    WaitForRoom(stored.error(), outcome);
    return stored.error();
  }
  ReadingParcel parcel{job, *stored};
  outcome->result = {{"segments", findings->segments.size()}};
  outcome->follow_ups.push_back(ReadingTask(parcel));
  return Ok{};
}

}  // namespace

queue::BatchHandler ReadHandler(std::shared_ptr<storage::BlobStore> blobs,
                                std::shared_ptr<media::Codec> codec, Readers readers,
                                std::shared_ptr<MediaAccess> media, ReadOptions options) {
  return [blobs, codec, media, readers,
          options](std::span<const std::unique_ptr<queue::TaskContext>> tasks) {
    std::vector<Outcome> outcomes;
    for (const auto& task : tasks) {
      Outcome& outcome = outcomes.emplace_back();
      if (task->ShouldStop()) {
        outcome.release = true;
        continue;
      }
      outcome.status = ReadOne(*blobs, *codec, *media, readers, options, *task, &outcome);
    }
    return outcomes;
  };
}

}  // namespace msearch::ingest
