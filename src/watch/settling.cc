#include "watch/settling.h"

#include <algorithm>

namespace msearch::watch {

bool Settling::IsStill(const FileInfo& info) const {
  using std::chrono::nanoseconds;
  const int64_t now =
      std::chrono::duration_cast<nanoseconds>(std::chrono::system_clock::now().time_since_epoch())
          .count();
  const int64_t settle = nanoseconds(settle_).count();
  if (now - info.changed_ns < settle) return false;
  // A camera whose clock runs ahead: the change time alone decides.
  return info.modified_ns > now || now - info.modified_ns >= settle;
}

bool Settling::Same(const FileInfo& a, const FileInfo& b) {
  return a.size == b.size && a.modified_ns == b.modified_ns && a.changed_ns == b.changed_ns &&
         a.inode == b.inode;
}

bool Settling::Add(const std::string& path, const FileInfo& info, SteadyTime now) {
  const auto found = waiting_.find(path);
  if (found != waiting_.end()) {
    if (!Same(found->second.info, info)) found->second = {info, now + settle_};
    return true;
  }
  if (waiting_.size() >= kFilesMax) return false;
  waiting_.emplace(path, Waiting{info, now + settle_});
  return true;
}

std::vector<Settling::Due> Settling::TakeDue(SteadyTime now) {
  std::vector<Due> due;
  for (auto at = waiting_.begin(); at != waiting_.end();) {
    if (at->second.due > now) {
      ++at;
      continue;
    }
    due.push_back({at->first, at->second.info});
    at = waiting_.erase(at);
  }
  return due;
}

std::optional<SteadyTime> Settling::next_due() const {
  std::optional<SteadyTime> next;
  for (const auto& [path, waiting] : waiting_) {
    if (!next || waiting.due < *next) next = waiting.due;
  }
  return next;
}

}  // namespace msearch::watch
