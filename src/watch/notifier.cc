#include "watch/notifier.h"

#include <sys/inotify.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "watch/filter.h"

namespace msearch::watch {
namespace {

// IN_MODIFY as well as IN_CLOSE_WRITE: a file may be written for hours before it is closed.
// IN_ATTRIB tells of times that were set, and of directories that became readable.
constexpr uint32_t kMask = IN_CREATE | IN_MODIFY | IN_CLOSE_WRITE | IN_ATTRIB | IN_MOVED_FROM |
                           IN_MOVED_TO | IN_DELETE | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR |
                           IN_EXCL_UNLINK;
constexpr int kReadsMax = 64;
constexpr size_t kRenamesMax = 1024;

}  // namespace

struct Notifier::Event {
  int watch;
  uint32_t mask;
  uint32_t cookie;
  std::string_view name;
};

Result<std::unique_ptr<Notifier>> Notifier::Open(const FileSystem& file_system) {
  Fd inotify(inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
  if (!inotify.valid()) {
    if (errno == EMFILE) {
      return Error{Code::kExhausted,
                   "inotify: all instances are in use (fs.inotify.max_user_instances)"};
    }
    return ErrnoError("inotify", errno);
  }
  return std::unique_ptr<Notifier>(new Notifier(file_system, std::move(inotify)));
}

Result<> Notifier::Watch(int directory, const std::string& path) {
  const int watch = file_system_.AddWatch(inotify_.get(), directory, kMask);
  if (watch == -ENOSPC || watch == -ENOMEM) {
    return Error{Code::kExhausted, "inotify: no watch left after " +
                                       std::to_string(by_path_.size()) +
                                       " directories (fs.inotify.max_user_watches)"};
  }
  if (watch < 0) return ErrnoError("inotify: " + path, -watch);
  const auto [known, added] = by_path_.try_emplace(path, watch);
  if (!added) {
    if (known->second == watch) return Ok{};
    Detach(known->second, path);
    known->second = watch;
  }
  paths_[watch].push_back(path);
  return Ok{};
}

void Notifier::Detach(int watch, const std::string& path) {
  const auto found = paths_.find(watch);
  if (found == paths_.end()) return;
  std::erase(found->second, path);
  if (!found->second.empty()) return;
  paths_.erase(found);
  inotify_rm_watch(inotify_.get(), watch);
}

void Notifier::Forget(std::string_view path) {
  const std::string below = JoinPath(path, "");  // "path/", or "" for the root
  if (auto self = by_path_.find(path); self != by_path_.end()) {
    Detach(self->second, self->first);
    by_path_.erase(self);
  }
  auto at = by_path_.lower_bound(below);
  while (at != by_path_.end() && at->first.starts_with(below)) {
    Detach(at->second, at->first);
    at = by_path_.erase(at);
  }
}

std::vector<Notice> Notifier::Read() {
  std::vector<Notice> notices;
  alignas(inotify_event) std::array<char, size_t{1} << 16> buffer;
  for (int reads = 0; reads < kReadsMax; ++reads) {
    const ssize_t size = read(inotify_.get(), buffer.data(), buffer.size());
    if (size <= 0) break;
    for (ssize_t at = 0; at < size;) {
      const auto* event = reinterpret_cast<const inotify_event*>(buffer.data() + at);
      const size_t name_size = event->len > 0 ? strnlen(event->name, event->len) : 0;
      Take({event->wd, event->mask, event->cookie, {event->name, name_size}}, &notices);
      at += static_cast<ssize_t>(sizeof(inotify_event) + event->len);
    }
  }
  return notices;
}

void Notifier::Take(const Event& event, std::vector<Notice>* notices) {
  if ((event.mask & IN_Q_OVERFLOW) != 0) {
    notices->push_back({Notice::Kind::kLost, "", true});
    return;
  }
  const auto found = paths_.find(event.watch);
  if (found == paths_.end()) return;
  if ((event.mask & (IN_DELETE_SELF | IN_MOVE_SELF | IN_UNMOUNT)) != 0) {
    // Of other directories the one above tells, or the next scan when they are reached by a link.
    if (std::ranges::find(found->second, "") != found->second.end() ||
        (event.mask & IN_UNMOUNT) != 0) {
      notices->push_back({Notice::Kind::kLost, "", true});
    }
    return;
  }
  if ((event.mask & IN_IGNORED) != 0) {  // the kernel dropped the watch
    for (const std::string& path : found->second) by_path_.erase(path);
    paths_.erase(found);
    return;
  }
  if (event.name.empty()) return;  // of the directory itself: the one above tells the same
  if ((event.mask & IN_MOVED_FROM) != 0 && renames_.size() < kRenamesMax) {
    renames_.insert(event.cookie);
  }
  if ((event.mask & IN_MOVED_TO) != 0) renames_.erase(event.cookie);
  const bool directory = (event.mask & IN_ISDIR) != 0;
  const bool attributes = directory && (event.mask & IN_ATTRIB) != 0;
  for (const std::string& path : found->second) {
    notices->push_back({attributes ? Notice::Kind::kAttributes : Notice::Kind::kName,
                        JoinPath(path, event.name), directory});
  }
}

}  // namespace msearch::watch
