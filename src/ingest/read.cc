#include "ingest/read.h"

#include <fcntl.h>
#include <sys/stat.h>

namespace msearch::ingest {
namespace {

using queue::Outcome;

// The file, if it is still what was committed; nothing if it has changed or gone since: then the
// catalog has heard of it, or will.
Result<std::optional<Fd>> OpenUnchanged(const ReadJob& job) {
  auto file = OpenFile(job.AbsolutePath(), O_RDONLY);
  if (!file.ok() && file.code() == Code::kNotFound) return std::optional<Fd>();
  if (!file.ok()) return file.error();
  struct stat info {};
  const bool same = fstat(file->get(), &info) == 0 && S_ISREG(info.st_mode) &&
                    static_cast<uint64_t>(info.st_size) == job.size &&
                    info.st_mtim.tv_sec * 1'000'000'000LL + info.st_mtim.tv_nsec == job.modified_ns;
  if (!same) return std::optional<Fd>();
  return std::optional<Fd>(std::move(*file));
}

Result<> ReadOne(storage::BlobStore& blobs, media::Codec& codec, const Readers& readers,
                 queue::TaskContext& task, Outcome* outcome) {
  const ReadJob job = TRY(ReadJob::FromJson(task.lease().task.payload));
  const auto reader = readers.find(job.reader);
  if (reader == readers.end()) {
    return Error{Code::kUnsupported, "reader " + job.reader + ": not in this worker"};
  }
  const std::optional<Fd> file = TRY(OpenUnchanged(job));
  if (!file) {
    outcome->result = {{"changed", true}};
    return Ok{};
  }
  const Findings findings = TRY(reader->second->Read(job, *file, codec, task));
  ReadingParcel parcel{job, TRY(blobs.Put(EncodeFindings(findings)))};
  outcome->result = {{"segments", findings.segments.size()}};
  outcome->follow_ups.push_back(ReadingTask(parcel));
  return Ok{};
}

}  // namespace

queue::BatchHandler ReadHandler(std::shared_ptr<storage::BlobStore> blobs,
                                std::shared_ptr<media::Codec> codec, Readers readers) {
  return [blobs, codec, readers](std::span<const std::unique_ptr<queue::TaskContext>> tasks) {
    std::vector<Outcome> outcomes;
    for (const auto& task : tasks) {
      Outcome& outcome = outcomes.emplace_back();
      if (task->ShouldStop()) {
        outcome.release = true;
        continue;
      }
      outcome.status = ReadOne(*blobs, *codec, readers, *task, &outcome);
    }
    return outcomes;
  };
}

}  // namespace msearch::ingest
