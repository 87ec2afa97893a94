#include "ingest/index_follower.h"

#include <filesystem>

#include "base/log.h"

namespace msearch::ingest {
namespace {

index::IndexOptions OptionsFor(const embedding::ModelInfo& model) {
  index::IndexOptions options;
  options.model_key = model.key;
  for (const embedding::ViewInfo& view : model.views) {
    using Codes = index::View::Codes;
    options.views.push_back({view.name, view.dimensions, view.fine ? Codes::kBf16 : Codes::kInt8});
  }
  return options;
}

}  // namespace

Result<std::unique_ptr<IndexFollower>> IndexFollower::Open(const std::string& path,
                                                           const embedding::ModelInfo& model,
                                                           const catalog::Catalog* catalog) {
  auto opened = index::VectorIndex::Open(path, OptionsFor(model));
  if (!opened.ok() && (opened.code() == Code::kCorrupt || opened.code() == Code::kStale)) {
    LOG_WARNING("{}; it is built again from the catalog", opened.message());
    std::error_code ignored;
    std::filesystem::remove(path, ignored);
    opened = index::VectorIndex::Open(path, OptionsFor(model));
  }
  if (!opened.ok()) return opened.error();
  return std::unique_ptr<IndexFollower>(
      new IndexFollower(path, model, catalog, std::move(opened).value()));
}

IndexFollower::IndexFollower(std::string path, embedding::ModelInfo model,
                             const catalog::Catalog* catalog,
                             std::shared_ptr<index::VectorIndex> index)
    : path_(std::move(path)),
      model_(std::move(model)),
      catalog_(catalog),
      index_(std::move(index)),
      thread_([this](std::stop_token stop) { Run(stop); }) {}

IndexFollower::~IndexFollower() {
  thread_.request_stop();
  poked_.notify_all();
  if (thread_.joinable()) thread_.join();
  SaveIfWorthIt(true);
}

void IndexFollower::Poke() {
  {
    std::lock_guard lock(mutex_);
    poke_ = true;
  }
  poked_.notify_all();
}

bool IndexFollower::CaughtUp() const {
  // An index file may be ahead of the catalog (a backup was restored); the first look at the log
  // tells.
  if (!looked_) return false;
  auto position = catalog_->Position(model_.key);
  return position.ok() && index_->position() >= *position;
}

std::string IndexFollower::problem() const {
  std::lock_guard lock(mutex_);
  return problem_;
}

void IndexFollower::Run(std::stop_token stop) {
  while (!stop.stop_requested()) {
    auto applied = CatchUp(stop);
    {
      std::unique_lock lock(mutex_);
      problem_ = applied.ok() ? "" : applied.message();
      if (applied.ok() && *applied > 0) {
        unsaved_ += *applied;
        changed_at_ = std::chrono::steady_clock::now();
      }
    }
    if (applied.ok()) looked_ = true;
    if (!applied.ok()) LOG_ERROR("index of {}: {}", model_.name, applied.message());
    SaveIfWorthIt(false);
    std::unique_lock lock(mutex_);
    poked_.wait_for(lock, stop, std::chrono::seconds(5), [&] { return poke_; });
    poke_ = false;
  }
}

Result<size_t> IndexFollower::CatchUp(std::stop_token stop) {
  constexpr size_t kPage = 500;
  size_t applied = 0;
  while (!stop.stop_requested()) {
    bool restart = false;
    const auto changes = TRY(catalog_->ChangesFor(model_.key, index_->position(), kPage, &restart));
    if (restart) {
      for (index::SegmentId segment : index_->Segments()) index_->Remove(segment);
      index_->set_position(0);
    }
    for (const catalog::IndexChange& change : changes) {
      if (change.removed) {
        index_->Remove(change.segment);
      } else {
        std::vector<std::span<const float>> views(change.views.begin(), change.views.end());
        TRY(index_->Add(change.segment, views));
      }
      index_->set_position(change.position);
    }
    applied += changes.size();
    if (changes.empty()) break;
  }
  return applied;
}

// Saving writes the whole file, so it waits for a pause or for enough to be worth it; what isn't
// saved comes again from the change log.
void IndexFollower::SaveIfWorthIt(bool force) {
  constexpr size_t kUnsavedMax = 50000;
  constexpr auto kPause = std::chrono::seconds(20);
  {
    std::lock_guard lock(mutex_);
    if (unsaved_ == 0) return;
    const bool paused = std::chrono::steady_clock::now() - changed_at_ > kPause;
    if (!force && !paused && unsaved_ < kUnsavedMax) return;
    unsaved_ = 0;
  }
  if (Result<> saved = index_->Save(); !saved.ok()) {
    LOG_ERROR("index of {}: {}", model_.name, saved.message());
    std::lock_guard lock(mutex_);
    problem_ = saved.message();
  }
}

}  // namespace msearch::ingest
