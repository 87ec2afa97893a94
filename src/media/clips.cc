// A clip passes from `waiting_` to a worker, which has its child make it, and then to `kept_`. Who
// asks for it before it is there leaves a call-back; who got it is a reader. Both count as
// interest: a clip in which nobody has any is given up at the next piece, or within a tenth of a
// second.
#include "media/clips.h"

#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "media/source.h"

namespace msearch::media {
namespace {

// Without a name, so that it goes with its last descriptor, whatever happens to this process.
Result<Fd> UnnamedFile(const std::string& directory) {
  Fd file(open(directory.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
  if (file.valid()) return file;
  std::string path = directory + "/clip-XXXXXX";  // not every file system has such files
  file = Fd(mkostemp(path.data(), O_CLOEXEC));
  if (!file.valid()) return ErrnoError(directory, errno);
  unlink(path.c_str());
  return file;
}

}  // namespace

class Clips::Making {
 public:
  Making(Fd film, std::string film_name, const ClipWanted& clip_wanted, std::string clip_key)
      : film_(std::move(film)),
        name_(std::move(film_name)),
        wanted_(clip_wanted),
        key_(std::move(clip_key)) {}

  const std::string& key() const { return key_; }
  const std::string& name() const { return name_; }
  const ClipWanted& wanted() const { return wanted_; }
  const Fd& film() const { return film_; }
  int fd() const { return file_.get(); }

  // Of the worker that makes it, in this order.
  Result<> Open(const std::string& directory) {
    file_ = TRY(UnnamedFile(directory));
    return Ok{};
  }
  // The piece is in the file when this is called.
  void Grow(const Clip& clip, size_t bytes, bool patient) {
    std::vector<std::function<void()>> calls;
    {
      std::lock_guard lock(mutex_);
      clip_ = clip;
      bytes_ += bytes;
      if (!patient) begun_ = true;
      TakeReady(&calls);
    }
    for (const auto& call : calls) call();
  }
  void End(Result<Clip> clip) {
    std::vector<std::function<void()>> calls;
    {
      std::lock_guard lock(mutex_);
      if (clip.ok()) {
        clip_ = *clip;
      } else {
        error_ = clip.error();
      }
      ended_ = true;
      film_ = Fd();
      TakeReady(&calls);
    }
    for (const auto& call : calls) call();
  }

  bool wanted_by_anybody() const {
    std::lock_guard lock(mutex_);
    return readers_ > 0 || !asked_.empty();
  }
  uint64_t bytes() const {
    std::lock_guard lock(mutex_);
    return bytes_;
  }

  // What is to be called when there is an answer.
  void Ask(std::shared_ptr<Making> self, bool whole, Done done) {
    std::vector<std::function<void()>> calls;
    {
      std::lock_guard lock(mutex_);
      asked_.push_back({std::move(self), whole, std::move(done)});
      TakeReady(&calls);
    }
    for (const auto& call : calls) call();
  }

  void Join() {
    std::lock_guard lock(mutex_);
    ++readers_;
  }
  void Leave() {
    std::lock_guard lock(mutex_);
    --readers_;
  }
  Clip clip() const {
    std::lock_guard lock(mutex_);
    return clip_;
  }
  bool complete() const {
    std::lock_guard lock(mutex_);
    return ended_ && !error_;
  }
  Result<std::optional<size_t>> Read(uint64_t offset, char* out, size_t size,
                                     std::function<void()> more) {
    uint64_t there = 0;
    {
      std::lock_guard lock(mutex_);
      there = bytes_;
      if (offset >= there && !ended_) {
        more_.push_back(std::move(more));
        return std::optional<size_t>();
      }
      if (offset >= there && error_) return *error_;
    }
    if (offset >= there) return std::optional<size_t>(0);
    const auto count = static_cast<size_t>(std::min<uint64_t>(size, there - offset));
    return std::optional<size_t>(TRY(ReadAt(file_.get(), offset, out, count)));
  }

 private:
  struct Asked {
    std::shared_ptr<Making> self;
    bool whole = false;
    Done done;
  };
  void TakeReady(std::vector<std::function<void()>>* calls);  // REQUIRES: mutex_ held

  Fd film_;  // of the worker; closed in the end
  const std::string name_;
  const ClipWanted wanted_;
  const std::string key_;
  Fd file_;

  mutable std::mutex mutex_;  // guards what follows
  Clip clip_;
  uint64_t bytes_ = 0;
  bool begun_ = false;  // may be given while it is made
  bool ended_ = false;
  std::optional<Error> error_;
  int readers_ = 0;
  std::vector<Asked> asked_;
  std::vector<std::function<void()>> more_;
};

class Clips::Reader : public ClipReader {
 public:
  explicit Reader(std::shared_ptr<Making> clip) : clip_(std::move(clip)) {}
  ~Reader() override { clip_->Leave(); }
  Clip clip() const override { return clip_->clip(); }
  bool complete() const override { return clip_->complete(); }
  int fd() const override { return clip_->fd(); }
  Result<std::optional<size_t>> Read(uint64_t offset, char* out, size_t size,
                                     std::function<void()> more) override {
    return clip_->Read(offset, out, size, std::move(more));
  }

 private:
  std::shared_ptr<Making> clip_;
};

void Clips::Making::TakeReady(std::vector<std::function<void()>>* calls) {
  std::vector<Asked> later;
  for (Asked& asked : asked_) {
    if (ended_ && error_) {
      calls->push_back([done = std::move(asked.done), error = *error_] { done(error); });
    } else if (ended_ || (begun_ && bytes_ > 0 && !asked.whole)) {
      ++readers_;
      auto reader = std::make_shared<Reader>(std::move(asked.self));
      calls->push_back([done = std::move(asked.done), reader] { done({reader}); });
    } else {
      later.push_back(std::move(asked));
    }
  }
  asked_ = std::move(later);
  for (auto& more : more_) calls->push_back(std::move(more));
  more_.clear();
}

Clips::Clips(ClipsOptions options) : options_(std::move(options)) {
  for (int i = 0; i < options_.at_once; ++i) {
    workers_.emplace_back([this](const std::stop_token& stop) {
      pthread_setname_np(pthread_self(), "clips");
      Work(stop);
    });
  }
}

Clips::~Clips() {
  for (std::jthread& worker : workers_) worker.request_stop();
  for (std::jthread& worker : workers_) worker.join();
  for (const auto& clip : waiting_) clip->End(Error{Code::kCancelled, "clip: stopping"});
}

void Clips::Get(Fd file, const std::string& name, const ClipWanted& wanted, const std::string& key,
                bool whole, Done done) {
  std::shared_ptr<Making> clip;
  {
    std::lock_guard lock(mutex_);
    if (const auto known = known_.find(key); known != known_.end()) {
      clip = known->second;
      const auto kept = std::find(kept_.begin(), kept_.end(), clip);
      if (kept != kept_.end()) kept_.splice(kept_.begin(), kept_, kept);
      clip->Join();  // until the question is in
    } else if (waiting_.size() < options_.waiting_max) {
      clip = std::make_shared<Making>(std::move(file), name, wanted, key);
      known_.emplace(key, clip);
      waiting_.push_back(clip);
      // Before a worker sees it: who wants it is known from the beginning.
      clip->Ask(clip, whole, std::exchange(done, nullptr));
      changed_.notify_one();
    }
  }
  if (!clip) return done(Error{Code::kExhausted, "clip: too many are being made, try again later"});
  if (!done) return;
  clip->Ask(clip, whole, std::move(done));
  clip->Leave();
}

void Clips::Work(const std::stop_token& stop) {
  std::optional<Codec> codec;
  while (!stop.stop_requested()) {
    std::shared_ptr<Making> clip;
    {
      std::unique_lock lock(mutex_);
      const auto some = [this] { return !waiting_.empty(); };
      if (!changed_.wait_for(lock, stop, options_.child_idle_max, some)) {
        codec.reset();
        changed_.wait(lock, stop, some);
      }
      if (stop.stop_requested()) return;
      clip = std::move(waiting_.front());
      waiting_.pop_front();
    }
    if (!codec) codec.emplace(options_.child_arguments, options_.limits);
    Make(*clip, *codec, stop);
    Keep(std::move(clip));
  }
}

void Clips::Make(Making& clip, Codec& codec, const std::stop_token& stop) {
  const Result<> opened = clip.Open(options_.directory);
  if (!opened.ok()) return clip.End(opened.error());
  const SteadyTime begun = std::chrono::steady_clock::now();
  Result<> written = Ok{};
  const auto take = [&](const Clip& so_far, std::string_view piece) {
    if (stop.stop_requested() || GiveUp(clip)) return false;
    if (!piece.empty()) written = WriteAll(clip.fd(), piece);
    const bool patient = std::chrono::steady_clock::now() - begun < options_.patience;
    if (written.ok()) clip.Grow(so_far, piece.size(), patient);
    return written.ok();
  };
  Result<Clip> made = codec.ClipOf(clip.film(), clip.name(), clip.wanted(), take);
  if (!written.ok()) made = Error{Code::kExhausted, "clip: " + written.message()};
  clip.End(std::move(made));
}

// Whoever asks from now on gets another.
void Clips::Forget(const Making& clip) {
  const auto known = known_.find(clip.key());
  if (known != known_.end() && known->second.get() == &clip) known_.erase(known);
}

bool Clips::GiveUp(const Making& clip) {
  if (clip.wanted_by_anybody()) return false;
  std::lock_guard lock(mutex_);
  if (clip.wanted_by_anybody()) return false;
  Forget(clip);
  return true;
}

void Clips::Keep(std::shared_ptr<Making> clip) {
  std::lock_guard lock(mutex_);
  if (!clip->complete()) return Forget(*clip);
  kept_.push_front(std::move(clip));
  uint64_t bytes = 0;
  size_t count = 0;
  for (auto at = kept_.begin(); at != kept_.end();) {
    bytes += (*at)->bytes();
    ++count;
    if (count <= options_.kept_max && bytes <= options_.kept_bytes_max) {
      ++at;
    } else {
      Forget(**at);
      at = kept_.erase(at);
    }
  }
}

}  // namespace msearch::media
