// Compares a root's tree with its snapshot: walks directories and looks at single paths.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "watch/compare.h"
#include "watch/round.h"
#include "watch/sweep.h"

namespace msearch::watch {

class Scanner {
 public:
  explicit Scanner(Round& round) : round_(round), sweep_(round) {}

  // Each reports what is new, changed or moved, and notes what is missing. kUnavailable with
  // root_lost() when the root stopped answering; kCancelled when interrupted.

  // A directory and all below it.
  Result<> Walk(const std::string& path);
  // One name, of which something was heard. A directory is walked, and the value is true then.
  Result<bool> LookAt(const std::string& path);
  // A file that was held back, and looked like `before` when that began.
  Result<> LookAgain(const std::string& path, const FileInfo& before);

  // Reports what was missing and is neither back nor found elsewhere. Comes last.
  Result<> Finish() { return sweep_.Run(); }

  // Why directories could not be watched; empty if they could.
  const std::string& watch_error() const { return watch_error_; }
  bool root_lost() const { return root_lost_; }

 private:
  // A directory that was entered on the way, to find loops.
  struct Ancestor {
    uint64_t device;
    uint64_t inode;
    std::shared_ptr<const Ancestor> above;
  };
  // A directory to be visited.
  struct Step {
    std::string path;
    int64_t parent = 0;  // its row
    std::optional<DirectoryRow> row;
    std::optional<uint64_t> parent_device;
    FileSystemKind kind;
    bool link = false;
    int links = 0;  // links to directories on the way here
    std::shared_ptr<const Ancestor> ancestors;
  };
  // What a listing holds that counts, in the order of names.
  struct Names {
    std::vector<Listing::Entry> files;
    std::vector<std::pair<std::string, bool>> directories;  // the flag: by a link
  };
  struct Seen {
    Listing::Entry entry;
    int error = 0;
    FileInfo info;
  };

  Result<Step> StepTo(const std::string& path);
  Result<> Visit(const Step& step, std::vector<Step>* next);
  Result<int64_t> KeepRow(const Step& step, const FileInfo& info, bool mount);
  Result<> Unreadable(const Step& step, int error);
  bool IsLoop(const Step& step, const FileInfo& info) const;
  void WatchDirectory(int fd, const std::string& path);
  Names SortNames(int fd, const Step& step) const;
  Result<> CompareFiles(int fd, const Step& step, const Place& place,
                        const std::vector<Listing::Entry>& files);
  Result<> CompareChunk(const Place& place, std::string_view after, std::string_view to,
                        const std::vector<Seen>& chunk, bool* missing);
  Result<> CompareDirectories(const Step& from, int64_t id,
                              const std::vector<std::pair<std::string, bool>>& found,
                              std::vector<Step>* next);
  // The row of the directory at this path.
  Result<std::optional<DirectoryRow>> RowOf(const std::string& path);
  bool StableInodes(const std::string& directory, const FileInfo& info) const;

  Round& round_;
  Sweep sweep_;
  std::string watch_error_;
  bool root_lost_ = false;
  Listing listing_;  // of the directory being visited
};

}  // namespace msearch::watch
