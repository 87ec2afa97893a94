// The directories and files below a root, as they are on disk now.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/file.h"
#include "base/result.h"
#include "watch/file_system.h"
#include "watch/filter.h"
#include "watch/monitor.h"

namespace msearch::watch {

// A root directory held open while it is looked at, and no longer: an open directory keeps its
// disk from being unmounted. Everything is seen through this descriptor, so that a disk that goes
// away meanwhile isn't mistaken for the empty directory beneath it.
class Tree {
 public:
  // kUnavailable, naming path and fault, when the root can't be reached: it isn't there, can't be
  // read, or it `was_mount` and is now an empty directory with nothing mounted on it.
  static Result<Tree> Open(const FileSystem& file_system, const RootSpec& spec, bool was_mount);

  const FileSystem& file_system() const { return *file_system_; }
  int fd() const { return fd_.get(); }
  const FileInfo& info() const { return info_; }  // of the root itself
  bool is_mount() const { return is_mount_; }
  const FileSystemKind& kind() const { return kind_; }
  // Whether the root still answers.
  bool Answers() const;

  enum class Presence {
    kFile,
    kDirectory,
    kAbsent,   // or a special file, or a link that isn't followed
    kUnknown,  // the file system doesn't say: what was known stays
  };
  // What is at `path`, following a link there only when told to.
  Presence Probe(const std::string& path, bool follow_links, FileInfo* info) const;

 private:
  Tree() = default;

  const FileSystem* file_system_ = nullptr;
  Fd fd_;
  FileInfo info_;
  FileSystemKind kind_;
  bool is_mount_ = false;
};

// No names, or only hidden ones.
bool LooksEmpty(const Listing& listing);
bool HasName(const Listing& listing, std::string_view name);
// Whether an errno says that there is nothing.
bool IsAbsence(int error_number);

}  // namespace msearch::watch
