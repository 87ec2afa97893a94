// The embedding worker's step: from prepared pixels and passages to vectors.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "embedding/embedder.h"
#include "ingest/pipeline.h"
#include "queue/worker.h"
#include "storage/blob_store.h"

namespace msearch::ingest {

// The worker's model: loaded when first needed, swapped when tasks name another, given back after
// a while without work. Thread-safe.
class ModelHolder {
 public:
  using Load = std::function<Result<std::unique_ptr<embedding::Embedder>>(const std::string& name)>;
  ModelHolder(Load load, Milliseconds unload_after)
      : load_(std::move(load)), unload_after_(unload_after) {}

  // Calls `use` with the model; kStale when the pack that is installed isn't the one of `key`.
  Result<> With(const std::string& name, const std::string& key,
                const std::function<Result<>(embedding::Embedder&)>& use);
  void UnloadIfIdle();
  // {"model", "device", "device_reason"} for the heartbeat.
  Json Describe() const;

 private:
  const Load load_;
  const Milliseconds unload_after_;
  std::mutex use_mutex_;  // held while the model works
  mutable std::mutex describe_mutex_;
  std::unique_ptr<embedding::Embedder> embedder_;
  SteadyTime used_at_{};
  Json description_ = Json::object();
};

// The handler for kind "embed". A batch that fails as a whole is tried one task at a time, so that
// one bad input costs only itself.
queue::BatchHandler EmbedHandler(std::shared_ptr<storage::BlobStore> blobs,
                                 std::shared_ptr<ModelHolder> model);

// The handler for kind "embed_texts".
queue::BatchHandler EmbedTextsHandler(std::shared_ptr<storage::BlobStore> blobs,
                                      std::shared_ptr<ModelHolder> model);

// Blobs of a parcel were lost: prepare again, at most 5 times.
Result<queue::NewTask> StartAgain(const Parcel& parcel, queue::Priority priority);

}  // namespace msearch::ingest
