// Keeps one model's vector index in step with the catalog's change log.
#pragma once

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "catalog/catalog.h"
#include "embedding/embedder.h"
#include "index/vector_index.h"

namespace msearch::ingest {

// Thread-safe.
class IndexFollower {
 public:
  // Opens `path`; a damaged or foreign file is deleted and built again from the catalog.
  static Result<std::unique_ptr<IndexFollower>> Open(const std::string& path,
                                                     const embedding::ModelInfo& model,
                                                     const catalog::Catalog* catalog);
  ~IndexFollower();  // saves

  std::shared_ptr<index::VectorIndex> index() const { return index_; }
  const embedding::ModelInfo& model() const { return model_; }
  const std::string& path() const { return path_; }
  // Something was committed: look at the change log soon.
  void Poke();
  // True when everything that the catalog knew at this moment is searchable.
  bool CaughtUp() const;
  // Empty, or why the index can't follow ("disk full", ...).
  std::string problem() const;

 private:
  IndexFollower(std::string path, embedding::ModelInfo model, const catalog::Catalog* catalog,
                std::shared_ptr<index::VectorIndex> index);
  void Run(std::stop_token stop);
  Result<size_t> CatchUp(std::stop_token stop);
  void SaveIfWorthIt(bool force);

  const std::string path_;
  const embedding::ModelInfo model_;
  const catalog::Catalog* const catalog_;
  const std::shared_ptr<index::VectorIndex> index_;

  std::atomic<bool> looked_ = false;  // at the change log, and took what it found
  mutable std::mutex mutex_;
  std::condition_variable_any poked_;
  bool poke_ = true;
  std::string problem_;
  size_t unsaved_ = 0;
  SteadyTime changed_at_{};
  std::jthread thread_;
};

}  // namespace msearch::ingest
