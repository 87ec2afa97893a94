// A model of a reader: loaded when first needed, given back after a while without work.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <mutex>

#include "base/clock.h"
#include "base/free_memory.h"
#include "base/result.h"

namespace msearch::ingest {

// Thread-safe.
template <typename Model>
class IdleModel {
 public:
  using Load = std::function<Result<std::unique_ptr<Model>>()>;
  IdleModel(Load load, Milliseconds unload_after)
      : load_(std::move(load)), unload_after_(unload_after) {}

  // Calls `use` with the model, which nobody else has meanwhile. kUnavailable while it can't be
  // loaded: a pack that isn't here may be pulled yet, and that is no fault of the file.
  Result<> With(const std::function<Result<>(Model&)>& use) {
    std::lock_guard lock(mutex_);
    if (model_ == nullptr) {
      auto loaded = load_();
      if (!loaded.ok()) return Error{Code::kUnavailable, loaded.message()};
      model_ = std::move(*loaded);
    }
    Result<> done = use(*model_);
    used_at_ = std::chrono::steady_clock::now();
    return done;
  }

  void UnloadIfIdle() {
    std::unique_lock lock(mutex_, std::try_to_lock);
    if (!lock.owns_lock() || model_ == nullptr) return;
    if (std::chrono::steady_clock::now() - used_at_ < unload_after_) return;
    model_.reset();
    ReturnFreeMemory();
  }

 private:
  const Load load_;
  const Milliseconds unload_after_;
  std::mutex mutex_;
  std::unique_ptr<Model> model_;
  SteadyTime used_at_{};
};

}  // namespace msearch::ingest
