// Vectors of pictures that somebody waits for, without a commit. They run as tasks of high priority
// on the workers, as a file's preparation and embedding do: so they are balanced, and survive a
// worker's death.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "embedding/embedder.h"
#include "ingest/pipeline.h"
#include "queue/task_queue.h"
#include "storage/blob_store.h"

namespace msearch::ingest {

struct FeatureInput {
  std::string name;
  std::function<Result<std::string>()> read;  // its bytes; called when its turn has come
};

using Features = std::vector<embedding::Embedding>;  // by segment; a picture has one

class FeatureExtractor {
 public:
  FeatureExtractor(std::shared_ptr<queue::TaskQueue> queue,
                   std::shared_ptr<storage::BlobStore> blobs)
      : queue_(std::move(queue)), blobs_(std::move(blobs)) {}

  // One answer for each input, in order; kTimeout for those that weren't done within `timeout`,
  // with what they waited for in the message. At most 16 are under way at a time, so that a long
  // list keeps within the bytes for blobs. After `stop` as after the timeout.
  std::vector<Result<Features>> Extract(const std::vector<FeatureInput>& inputs,
                                        const TargetModel& model, Milliseconds timeout,
                                        const std::stop_token& stop = {});

 private:
  Result<Features> One(const FeatureInput& input, const TargetModel& model, SteadyTime deadline,
                       const std::stop_token& stop);
  // Follows the steps from the first to the one that has the vectors.
  Result<Features> Follow(queue::Task task, SteadyTime deadline, const std::stop_token& stop);
  Error NotInTime(const queue::Task& task) const;

  const std::shared_ptr<queue::TaskQueue> queue_;
  const std::shared_ptr<storage::BlobStore> blobs_;
};

}  // namespace msearch::ingest
