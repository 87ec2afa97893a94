// The kernel's notices of changes in a root's directories (inotify).
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/file.h"
#include "base/result.h"
#include "watch/file_system.h"

namespace msearch::watch {

struct Notice {
  enum class Kind {
    kName,        // something happened to this name: look at it
    kAttributes,  // of a directory: it may be readable now
    kLost,        // notices were lost, or the root itself went away: look at everything
  } kind = Kind::kName;
  std::string path;  // relative to the root
  bool directory = false;
};

// Not thread-safe.
class Notifier {
 public:
  // kExhausted when the user's inotify instances are used up.
  static Result<std::unique_ptr<Notifier>> Open(const FileSystem& file_system);

  // Watches the open directory, known as `path` from now on; watching it twice is harmless.
  // kExhausted when the user's watches are used up.
  Result<> Watch(int directory, const std::string& path);
  // No notices any more from `path` and below.
  void Forget(std::string_view path);
  // Notices waiting now; never blocks, and is bounded: what is left stays for the next call.
  std::vector<Notice> Read();
  // Whether one half of a rename was read and the other not yet.
  bool rename_half_read() const { return !renames_.empty(); }
  void ForgetRenames() { renames_.clear(); }
  // Readable when notices wait.
  int fd() const { return inotify_.get(); }
  size_t watches() const { return by_path_.size(); }

 private:
  Notifier(const FileSystem& file_system, Fd inotify)
      : file_system_(file_system), inotify_(std::move(inotify)) {}
  struct Event;
  void Take(const Event& event, std::vector<Notice>* notices);
  void Detach(int watch, const std::string& path);

  const FileSystem& file_system_;
  Fd inotify_;
  // A directory that is reached by several paths (links) has one watch.
  std::map<std::string, int, std::less<>> by_path_;
  std::unordered_map<int, std::vector<std::string>> paths_;
  std::set<uint32_t> renames_;  // cookies of IN_MOVED_FROM without its IN_MOVED_TO
};

}  // namespace msearch::watch
