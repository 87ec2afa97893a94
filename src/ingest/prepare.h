// The task worker's step: from an open file to what can be embedded and committed.
#pragma once

#include <functional>
#include <memory>

#include "ingest/capability.h"
#include "ingest/media_access.h"
#include "ingest/pipeline.h"
#include "media/codec.h"
#include "queue/worker.h"
#include "storage/blob_store.h"

namespace msearch::ingest {

struct PrepareOptions {
  uint64_t picture_pixels_max = 250'000'000;
  uint32_t thumbnail_side_max = 320;
  // For one file; a film or sound gets a second more for every two megabytes, up to an hour.
  uint32_t file_seconds = 60;
  Reach reach;
  // Whether the software that reads a format is here: asked about a file that couldn't be opened,
  // for the reason. Empty: it is.
  std::function<bool(std::string_view format)> installed;
};

// Whether a content is complete for this preparation and model, so that nothing but its path is
// missing. A wrong "no" costs work; a wrong "yes" is caught at the commit.
using ContentKnown = std::function<Result<bool>(const Digest& hash, const std::string& model_key)>;

// The handler for kind "prepare". Uses `codec` from the calling thread only. A file whose format
// isn't opened here is handed on, if options.reach says so.
queue::BatchHandler PrepareHandler(std::shared_ptr<storage::BlobStore> blobs,
                                   std::shared_ptr<media::Codec> codec,
                                   std::shared_ptr<MediaAccess> media, ContentKnown known,
                                   PrepareOptions options);

// To give a task back, instead of counting an error, when there was no room for what it brings: a
// full disk or Redis is no fault of its file. Leaves other outcomes as they are.
void WaitForRoom(const Error& error, queue::Outcome* outcome);

// Gives tasks back, instead of counting an error, whose outcome is one that may pass while `away`
// says that the machine which files and blobs come from can't be reached.
queue::BatchHandler ReleasedWhile(std::function<bool()> away, queue::BatchHandler handler);

}  // namespace msearch::ingest
