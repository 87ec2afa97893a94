// Files that may still grow: held back until their size and times held still for a while.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "watch/file_system.h"

namespace msearch::watch {

// Not thread-safe.
class Settling {
 public:
  static constexpr size_t kFilesMax = 10'000;

  explicit Settling(Milliseconds settle) : settle_(settle) {}

  // Whether the file's own times say that it has held still long enough. The change time counts
  // too: programs set the modification time back, but writing always moves the change time. Times
  // in the future (a clock elsewhere) say nothing.
  bool IsStill(const FileInfo& info) const;

  // Starts the file's wait, anew if it changed since it was added last. False when too many wait
  // already: then it has to be found again by a scan.
  bool Add(const std::string& path, const FileInfo& info, SteadyTime now);
  void Remove(const std::string& path) { waiting_.erase(path); }
  void Clear() { waiting_.clear(); }

  // Takes out what held still, as far as is known, with how it looked when it was added.
  struct Due {
    std::string path;
    FileInfo info;
  };
  std::vector<Due> TakeDue(SteadyTime now);
  std::optional<SteadyTime> next_due() const;

  static bool Same(const FileInfo& a, const FileInfo& b);

 private:
  struct Waiting {
    FileInfo info;
    SteadyTime due;
  };
  const Milliseconds settle_;
  std::map<std::string, Waiting> waiting_;
};

}  // namespace msearch::watch
