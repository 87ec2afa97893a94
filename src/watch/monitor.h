// What changed below a root. Reports, decides nothing: what a change means is for the controller.
//
// The monitor keeps a snapshot of every root (names, sizes, times, inodes) in a database of its
// own, so that a rescan of an unchanged root reads no file and a file system that hangs blocks
// nobody but the monitor's thread for that root.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/json.h"
#include "base/result.h"

namespace msearch::watch {

class FileSystem;

struct RootSpec {
  std::string name;
  std::string path;  // absolute; a root that is a link itself is followed
  bool recursive = true;
  std::vector<std::string> extensions;  // ".jpg" in lower case; empty: all files
  std::vector<std::string> include;     // GlobMatch patterns on the relative path; empty: all
  std::vector<std::string> exclude;     // wins over include; a matching directory isn't entered
  bool follow_links = false;            // links to files and directories; loops are cut
  bool hidden = false;                  // names that begin with a dot
  int scan_interval_s = 300;            // full scan this often; where watching is blind, the poll
  bool paused = false;                  // neither watched nor scanned
  Json ToJson() const;
  static Result<RootSpec> FromJson(const Json& json);
  bool operator==(const RootSpec&) const = default;
};

// State-based: says what is, not what happened, so that reporting one twice is harmless.
struct Change {
  enum class Kind {
    kPresent,  // path is a regular file of this size and time: new or changed
    kMoved,    // path is what old_path was: same device, inode, size and time
    kGone,     // nothing at path any more, or it is excluded now
  } kind = Kind::kPresent;
  std::string path;      // relative to the root, bytes as the file system has them
  std::string old_path;  // kMoved
  uint64_t size = 0;
  int64_t modified_ns = 0;
  uint64_t device = 0;
  uint64_t inode = 0;
  Json ToJson() const;  // paths that aren't UTF-8 are kept exactly (see the .cc)
  static Result<Change> FromJson(const Json& json);
};

enum class RootState { kScanning, kWatching, kPolling, kUnreachable, kPaused };
std::string_view StateName(RootState state);

struct RootStatus {
  std::string name;
  RootState state = RootState::kScanning;
  std::string
      reason;         // why it polls or can't be reached: "nfs: changes made elsewhere aren't seen"
  std::string watch;  // "inotify" or "polling"
  uint64_t files = 0;       // known in the snapshot
  uint64_t unreadable = 0;  // directories that couldn't be read: nothing below them counts as gone
  std::optional<UnixMs> last_scan_at;  // end of the last complete one
  uint64_t last_scan_ms = 0;
  uint64_t scan_files_seen = 0;  // of the scan under way
  Json ToJson() const;
};

// Where reports go. A call returns Ok only when the report is safe (durable); then the monitor
// updates its snapshot. Errors make it try the same report again with back-off. Calls come from
// several threads, for one root in order. A call must return in bounded time (Unwatch and the
// monitor's end wait for the one under way) and must not call the monitor.
class Reporter {
 public:
  virtual ~Reporter() = default;
  // At most 500 changes: first the moves, then what is present, then what is gone. No path of a
  // move is the destination of another one; what a move leaves behind at old_path may be reported
  // as present after it.
  virtual Result<> Report(const RootSpec& root, const std::vector<Change>& changes) = 0;
  // All changes that the scan found have been reported, except files that still grow. `complete`
  // is false when the root was unreachable or the scan stopped half-way: absences mean nothing.
  virtual Result<> ScanEnded(const RootSpec& root, const RootStatus& status, bool complete) = 0;
};

struct MonitorOptions {
  std::string database;        // the snapshot's file
  std::string own_folder;      // left out of every root, with all below it; empty: none
  Milliseconds settle{2000};   // a file counts once its size and time held still so long
  Milliseconds coalesce{200};  // changes are gathered this long before they are reported
  Milliseconds recheck{5000};  // an unreachable root is looked at again this often
  // A seam for tests; null: the machine's. Shared, as a hanging call may outlive the monitor.
  std::shared_ptr<const FileSystem> file_system;
};

// Thread-safe.
class Monitor {
 public:
  // Roots known from the last run are watched again at once, and scanned. A snapshot that is no
  // database is put aside: every file is reported as present then. kConflict while another
  // process has it open.
  static Result<std::unique_ptr<Monitor>> Open(const MonitorOptions& options, Reporter* reporter);
  virtual ~Monitor() = default;  // stops and joins

  // Adds the root or changes its definition; it's scanned. A root whose patterns changed reports
  // what they exclude now as gone. The same definition again does nothing. kInvalid for a path
  // that isn't absolute and the like; a path that isn't there is a state, not an error.
  virtual Result<> Watch(const RootSpec& root) = 0;
  // Forgets the root and its snapshot; reports nothing more. kNotFound for an unknown name.
  virtual Result<> Unwatch(const std::string& name) = 0;
  // A scan that begins after this call; returns when it ended (complete or not, see the status).
  // With `full` the snapshot is disregarded: every file is reported as present. kNotFound for an
  // unknown name, kConflict for a paused root, kCancelled when stopped or unwatched meanwhile.
  virtual Result<RootStatus> Scan(const std::string& name, bool full, std::stop_token stop) = 0;
  virtual std::vector<RootStatus> Status() const = 0;
};

}  // namespace msearch::watch
