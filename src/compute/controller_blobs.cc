#include "compute/controller_blobs.h"

#include <mutex>

#include "base/log.h"
#include "net/http_client.h"

namespace msearch::compute {
namespace {

constexpr char kPath[] = "/api/compute/blobs";
constexpr std::chrono::seconds kBudgetEvery{1};

class ControllerBlobs final : public storage::BlobStore {
 public:
  explicit ControllerBlobs(std::shared_ptr<ControllerLink> link) : link_(std::move(link)) {}

  Result<std::string> Put(std::string_view bytes) override {
    const Json answer = TRY(link_->PostBytes(kPath, bytes));
    const auto id = GetString(answer, "id");
    if (!id) return Error{Code::kUnavailable, "controller: gave no id for a blob"};
    return *id;
  }
  Result<std::string> Get(const std::string& id) const override {
    return link_->GetBytes(PathOf(id));
  }
  void Remove(const std::string& id) override {
    // What stays behind is removed by its age.
    const Result<> removed = link_->Delete(PathOf(id));
    if (!removed.ok() && removed.code() != Code::kNotFound) LOG_DEBUG("{}", removed.message());
  }
  uint64_t bytes() const override { return Budget().first; }
  uint64_t bytes_max() const override { return Budget().second; }
  Result<int> RemoveOlderThan(Milliseconds) override { return 0; }  // the controller does

 private:
  static std::string PathOf(const std::string& id) {
    return std::string(kPath) + "/" + net::UrlEncode(id);
  }
  // Used and allowed. While the controller doesn't answer, what it said last.
  std::pair<uint64_t, uint64_t> Budget() const {
    const std::lock_guard lock(mutex_);
    const SteadyTime now = std::chrono::steady_clock::now();
    if (now - asked_at_ < kBudgetEvery) return budget_;
    asked_at_ = now;
    auto answer = link_->GetJson(kPath, Milliseconds(5000));
    if (answer.ok()) {
      budget_ = {static_cast<uint64_t>(GetInt(*answer, "bytes").value_or(0)),
                 static_cast<uint64_t>(GetInt(*answer, "bytes_max").value_or(0))};
    }
    return budget_;
  }

  const std::shared_ptr<ControllerLink> link_;
  mutable std::mutex mutex_;
  mutable SteadyTime asked_at_{};
  mutable std::pair<uint64_t, uint64_t> budget_{0, uint64_t{64} << 20};
};

}  // namespace

std::unique_ptr<storage::BlobStore> OpenControllerBlobs(std::shared_ptr<ControllerLink> link) {
  return std::make_unique<ControllerBlobs>(std::move(link));
}

}  // namespace msearch::compute
