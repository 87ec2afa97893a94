// The monitor's seam to the operating system: what it asks of a file system, so that tests can
// let directories fail, hang or lie about their type.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"

namespace msearch::watch {

enum class FileKind : uint8_t {
  kFile,
  kDirectory,
  kLink,
  kOther,    // FIFO, socket, device: never opened
  kUnknown,  // the listing doesn't say
};

struct FileInfo {
  FileKind kind = FileKind::kUnknown;
  bool mount_root = false;  // something is mounted here
  uint64_t device = 0;
  uint64_t inode = 0;
  uint64_t size = 0;
  int64_t modified_ns = 0;
  int64_t changed_ns = 0;
  int64_t born_ns = 0;  // 0 where the file system doesn't tell
};

// The names in one directory, in the file system's order, in one buffer.
struct Listing {
  struct Entry {
    uint32_t offset;
    uint32_t size;
    uint64_t inode;
    FileKind kind;
  };
  std::string names;  // each ends with a NUL
  std::vector<Entry> entries;

  std::string_view name(const Entry& entry) const {
    return {names.data() + entry.offset, entry.size};
  }
};

// What is to be known of a kind of file system.
struct FileSystemKind {
  std::string_view name;           // "nfs"; empty: nothing special
  std::string_view blind_because;  // why inotify doesn't see all changes; empty: it does
  bool stable_inodes = true;       // the same file keeps its inode when mounted again
};

// Thread-safe. Functions that return int return 0 or an errno.
class FileSystem {
 public:
  virtual ~FileSystem() = default;
  // `path` is relative to the directory `at`, or absolute; "" is `at` itself.
  virtual int OpenDirectory(int at, const std::string& path, bool follow, Fd* directory) const;
  // Replaces what the listing held. "." and ".." are left out.
  virtual int List(int directory, Listing* listing) const;
  virtual int Stat(int at, const char* path, bool follow, FileInfo* info) const;
  virtual int KindOf(int directory, FileSystemKind* kind) const;
  // The watch descriptor, or a negative errno.
  virtual int AddWatch(int inotify, int directory, uint32_t mask) const;
};

const FileSystem& RealFileSystem();

}  // namespace msearch::watch
