// Second looks: the embedding worker's step that finds words in what was committed, at low
// priority.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "base/file.h"
#include "ingest/capability.h"
#include "ingest/media_access.h"
#include "ingest/pipeline.h"
#include "media/codec.h"
#include "queue/worker.h"
#include "storage/blob_store.h"

namespace msearch::ingest {

// Finds words in contents of some types: what is said, what stands in a picture. Joins a codec
// child and a model. One call at a time.
class Reader {
 public:
  virtual ~Reader() = default;
  // `file` is the content, open and unchanged. Long work reports progress through `task` and
  // returns soon once it says so. Nothing found is no error. kUnavailable while its model isn't
  // there.
  virtual Result<Findings> Read(const ReadJob& job, const Fd& file, media::Codec& codec,
                                queue::TaskContext& task) = 0;
  // Gives the model's memory back after a while without work.
  virtual void UnloadIfIdle() = 0;
};
using Readers = std::map<std::string, std::shared_ptr<Reader>>;  // by ReadJob::reader

struct ReadOptions {
  Reach reach;
  // Whether this worker has what the job's reader needs; it may get it first. Empty: always.
  std::function<bool(const ReadJob&)> has;
  // Told after each look why the reader's model can't be used here; an empty problem: it can. May
  // be empty.
  std::function<void(const std::string& reader, const std::string& problem)> lacks;
};

// The handler for kind "read". Uses `codec` from the calling thread only. What can't be read here
// is handed on, if options.reach says so; for want of a model no task fails: else it is given back.
queue::BatchHandler ReadHandler(std::shared_ptr<storage::BlobStore> blobs,
                                std::shared_ptr<media::Codec> codec, Readers readers,
                                std::shared_ptr<MediaAccess> media = LocalMedia(),
                                ReadOptions options = {});

}  // namespace msearch::ingest
