#include <sys/wait.h>

#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>

#include "base/child.h"
#include "base/log.h"
#include "embedding/embedding_wire.h"
#include "embedding/model_packs.h"

// One thread owns the child: the kernel ends a child together with the *thread* that started it, so
// it mustn't be the caller's. The same thread ends the child when nobody asked for `idle_seconds`.
//
// Requests are {"call": name} with vectors or pixels as parts; every answer also tells the device,
// which the parent can't know before.

namespace msearch::embedding {
namespace {

// A child that answers one request at a time. Thread-safe.
class ChildThread {
 public:
  ChildThread(ChildOptions options, Milliseconds timeout, std::chrono::seconds idle)
      : child_(std::move(options)),
        timeout_(timeout),
        idle_(idle),
        thread_([this](std::stop_token stop) { Run(stop); }) {}

  Result<Frame> Call(const Frame& request) {
    const std::lock_guard one_at_a_time(callers_);
    std::unique_lock lock(mutex_);
    request_ = &request;
    changed_.notify_all();
    changed_.wait(lock, [&] { return answer_.has_value(); });
    Result<Frame> answer = std::move(*answer_);
    answer_.reset();
    return answer;
  }

 private:
  void Run(std::stop_token stop) {
    std::unique_lock lock(mutex_);
    while (!stop.stop_requested()) {
      const auto asked = [&] { return request_ != nullptr; };
      if (!child_.running()) {
        changed_.wait(lock, stop, asked);
      } else if (!changed_.wait_for(lock, stop, idle_, asked) && !stop.stop_requested()) {
        LOG_DEBUG("embedding child: ended after {} s without use", idle_.count());
        child_.Kill();
      }
      if (request_ == nullptr) continue;
      const Frame* request = std::exchange(request_, nullptr);
      lock.unlock();
      // One that died while nobody asked (for lack of memory, say) is no fault of this request.
      if (HasDied()) child_.Kill();
      Result<Frame> answer = child_.Call(*request, timeout_);
      lock.lock();
      answer_ = std::move(answer);
      changed_.notify_all();
    }
    child_.Kill();
  }

  bool HasDied() const {
    siginfo_t info{};
    return child_.running() &&
           waitid(P_PID, static_cast<id_t>(child_.pid()), &info, WEXITED | WNOHANG | WNOWAIT) ==
               0 &&
           info.si_pid != 0;
  }

  std::mutex callers_;
  std::mutex mutex_;  // of what follows
  std::condition_variable_any changed_;
  const Frame* request_ = nullptr;
  std::optional<Result<Frame>> answer_;
  Child child_;  // of the thread alone
  const Milliseconds timeout_;
  const std::chrono::seconds idle_;
  std::jthread thread_;  // last: ends before the rest goes
};

class RemoteEmbedder : public Embedder {
 public:
  explicit RemoteEmbedder(RemoteEmbedderOptions options)
      : info_(std::move(options.info)),
        device_{"", "", "not loaded yet"},
        child_({.arguments = std::move(options.child_arguments), .name = "embedding child"},
               Milliseconds(options.timeout_ms), std::chrono::seconds(options.idle_seconds)) {}

  const ModelInfo& info() const override { return info_; }
  const DeviceInfo& device() const override { return device_; }

  Result<std::vector<Embedding>> EmbedPictures(std::span<const ImageInput> pictures) override {
    Frame request{{{"call", "pictures"}}, {}, {}};
    for (const ImageInput& picture : pictures) request.parts.emplace_back(picture.rgb);
    return Embeddings(request, pictures.size());
  }

  Result<std::vector<Embedding>> EmbedPassages(std::span<const std::string> passages) override {
    Frame request{{{"call", "passages"}}, {passages.begin(), passages.end()}, {}};
    return Embeddings(request, passages.size());
  }

  Result<std::vector<Probe>> ProbeWords(const std::string& words) override {
    return Probes({{{"call", "probe_words"}}, {words}, {}});
  }

  Result<std::vector<Probe>> ProbePicture(const ImageInput& picture) override {
    return Probes({{{"call", "probe_picture"}}, {std::string(picture.rgb)}, {}});
  }

  Result<std::vector<Probe>> ProbeLike(const std::vector<std::vector<float>>& views) override {
    Frame request{{{"call", "probe_like"}}, {}, {}};
    for (const std::vector<float>& view : views) request.parts.push_back(ToPart(view));
    return Probes(request);
  }

 private:
  Result<Frame> Ask(const Frame& request) {
    Frame answer = TRY(child_.Call(request));
    if (GetString(answer.head, "key") != info_.key) {
      return Error{Code::kStale, "embedding child: runs another model than " + info_.name};
    }
    device_ = {GetString(answer.head, "requested").value_or(""),
               GetString(answer.head, "used").value_or(""),
               GetString(answer.head, "reason").value_or("")};
    return answer;
  }

  Result<std::vector<Embedding>> Embeddings(const Frame& request, size_t count) {
    const Frame answer = TRY(Ask(request));
    std::vector<Embedding> embeddings = TRY(EmbeddingsFromFrame(answer));
    for (const Embedding& embedding : embeddings) {
      if (embedding.views.size() != info_.views.size()) count = SIZE_MAX;
    }
    if (embeddings.size() == count) return embeddings;
    return Error{Code::kCorrupt, "embedding child: an answer to something else"};
  }

  Result<std::vector<Probe>> Probes(const Frame& request) {
    const Frame answer = TRY(Ask(request));
    return ProbesFromFrame(answer);
  }

  const ModelInfo info_;
  DeviceInfo device_;
  ChildThread child_;
};

template <typename T>
Result<Frame> Answer(Result<T> result) {
  if (!result.ok()) return result.error();
  return ToFrame(*result);
}

Result<Frame> Serve(Embedder& embedder, const Frame& request) {
  const std::string call = GetString(request.head, "call").value_or("");
  if (call == "pictures") {
    std::vector<ImageInput> pictures;
    for (const std::string& part : request.parts) pictures.push_back({part});
    return Answer(embedder.EmbedPictures(pictures));
  }
  if (call == "passages") return Answer(embedder.EmbedPassages(request.parts));
  if (call == "probe_like") {
    std::vector<std::vector<float>> views;
    for (const std::string& part : request.parts) views.push_back(TRY(FromPart(part)));
    return Answer(embedder.ProbeLike(views));
  }
  if (request.parts.size() == 1 && call == "probe_words") {
    return Answer(embedder.ProbeWords(request.parts[0]));
  }
  if (request.parts.size() == 1 && call == "probe_picture") {
    return Answer(embedder.ProbePicture({request.parts[0]}));
  }
  return Error{Code::kInvalid, "embedding child: no call '" + call + "'"};
}

}  // namespace

std::unique_ptr<Embedder> MakeRemoteEmbedder(RemoteEmbedderOptions options) {
  return std::make_unique<RemoteEmbedder>(std::move(options));
}

int ServeEmbedder(Result<std::unique_ptr<Embedder>> loaded) {
  Channel channel = ParentChannel();
  ServeParent(channel, [&](const Frame& request) -> Result<Frame> {
    if (!loaded.ok()) return loaded.error();
    Embedder& embedder = **loaded;
    Frame answer = TRY(Serve(embedder, request));
    const DeviceInfo& device = embedder.device();
    answer.head["key"] = embedder.info().key;
    answer.head["requested"] = device.requested;
    answer.head["used"] = device.used;
    answer.head["reason"] = device.reason;
    return answer;
  });
  return 0;
}

}  // namespace msearch::embedding
