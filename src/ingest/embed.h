// The embedding worker's step: from prepared pixels and passages to vectors.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "embedding/embedder.h"
#include "ingest/pipeline.h"
#include "ingest/prepare.h"
#include "queue/worker.h"
#include "storage/blob_store.h"

namespace msearch::ingest {

// The worker's model: loaded when first needed, swapped when tasks name another, given back after
// a while without work. Thread-safe.
class ModelHolder {
 public:
  using Load = std::function<Result<std::unique_ptr<embedding::Embedder>>(const std::string& name)>;
  // The key of the pack of this name that is installed here. Empty: whatever `load` gives.
  using InstalledKey = std::function<Result<std::string>(const std::string& name)>;
  ModelHolder(Load load, Milliseconds unload_after, InstalledKey installed_key = {})
      : load_(std::move(load)),
        unload_after_(unload_after),
        installed_key_(std::move(installed_key)) {}

  // Calls `use` with the model. Without a pack of this name and key here, *lacking is set beside
  // the error: another worker may have it.
  Result<> With(const std::string& name, const std::string& key,
                const std::function<Result<>(embedding::Embedder&)>& use, bool* lacking = nullptr);
  // False for a minute after a task had to be given back for want of its model, unless that model
  // is installed meanwhile: so a worker without it doesn't keep tasks from those that have it.
  bool Ready();
  void UnloadIfIdle();
  // {"model", "device", "device_reason", "lacks"} for the heartbeat.
  Json Describe() const;

 private:
  // Why the model isn't here, if it isn't.
  std::optional<Error> FindLack(const std::string& name, const std::string& key) const;

  const Load load_;
  const Milliseconds unload_after_;
  const InstalledKey installed_key_;
  std::mutex use_mutex_;  // held while the model works
  mutable std::mutex describe_mutex_;
  std::unique_ptr<embedding::Embedder> embedder_;
  SteadyTime used_at_{};
  Json description_ = Json::object();
  struct Lack {
    std::string name;
    std::string key;
    std::string problem;
    SteadyTime since;
    SteadyTime looked_at;
  };
  std::optional<Lack> lack_;  // by describe_mutex_
};

// The handler for kind "embed". A task whose model isn't installed here is given back. A batch that
// fails as a whole is tried one task at a time, so that one bad input costs only itself. A content
// that is `known` by now goes to its commit without being embedded.
queue::BatchHandler EmbedHandler(std::shared_ptr<storage::BlobStore> blobs,
                                 std::shared_ptr<ModelHolder> model, ContentKnown known = {});

// The handler for kind "embed_texts".
queue::BatchHandler EmbedTextsHandler(std::shared_ptr<storage::BlobStore> blobs,
                                      std::shared_ptr<ModelHolder> model);

// Blobs of a parcel were lost: prepare again, at most 5 times.
Result<queue::NewTask> StartAgain(const Parcel& parcel, queue::Priority priority);

}  // namespace msearch::ingest
