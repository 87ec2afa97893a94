// Clips for players: cut in codec children, written to files without a name, and read while they
// are written. This process holds a piece of each at a time, never a clip.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/file.h"
#include "base/result.h"
#include "media/codec.h"

namespace msearch::media {

// One who reads a clip that is made or being made. When the last of them goes before it is done,
// so does the clip, and the child that makes it. Thread-safe.
class ClipReader {
 public:
  virtual ~ClipReader() = default;
  // Without its end as long as it is being made.
  virtual Clip clip() const = 0;
  virtual bool complete() const = 0;
  // The file; open as long as the reader lives.
  virtual int fd() const = 0;
  // Up to `size` bytes from `offset` on; 0 at the end. Nullopt when they are still to be made: then
  // `more` is called once, later and from another thread, when there are more or it has ended.
  virtual Result<std::optional<size_t>> Read(uint64_t offset, char* out, size_t size,
                                             std::function<void()> more) = 0;
};

struct ClipsOptions {
  std::vector<std::string> child_arguments;
  CodecLimits limits;       // its time is that of one piece
  std::string directory;    // where the files lie; of a file system with room
  int at_once = 2;          // children
  size_t waiting_max = 16;  // clips that nobody has begun to make
  size_t kept_max = 8;      // that are done, to be read again, in part or whole
  uint64_t kept_bytes_max = uint64_t{2} << 30;
  // A clip that takes longer is given while it is made. Players can't go forth and back in one
  // until they get it anew, when it is there.
  Milliseconds patience{1000};
  Milliseconds child_idle_max{30000};  // then it ends
};

// Thread-safe.
class Clips {
 public:
  using Done = std::function<void(Result<std::shared_ptr<ClipReader>>)>;

  explicit Clips(ClipsOptions options);
  // Nobody may ask any more. Clips in the making end as kCancelled.
  ~Clips();
  Clips(const Clips&) = delete;
  Clips& operator=(const Clips&) = delete;

  // `key` stands for content and stretch: who asks for the same reads the same clip. `done` is
  // called once, at once or from another thread: when the clip is there or, unless it is wanted
  // `whole`, when its beginning is and the rest takes longer than the patience. Errors as
  // Codec::ClipOf; kExhausted when too many wait or the disk is full.
  void Get(Fd file, const std::string& name, const ClipWanted& wanted, const std::string& key,
           bool whole, Done done);

 private:
  class Making;
  class Reader;
  void Work(const std::stop_token& stop);
  void Make(Making& clip, Codec& codec, const std::stop_token& stop);
  void Keep(std::shared_ptr<Making> clip);
  bool GiveUp(const Making& clip);
  void Forget(const Making& clip);  // REQUIRES: mutex_ held

  const ClipsOptions options_;
  std::mutex mutex_;  // guards what follows
  std::condition_variable_any changed_;
  std::deque<std::shared_ptr<Making>> waiting_;
  std::map<std::string, std::shared_ptr<Making>> known_;  // waiting, in the making, or kept
  std::list<std::shared_ptr<Making>> kept_;               // the one asked for last is first
  std::vector<std::jthread> workers_;
};

}  // namespace msearch::media
