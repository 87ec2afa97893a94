// msearch's own data folder: never looked into, in whatever root it lies and however it is reached.
// What is indexed is written there, so looking would find more to index each time.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "watch/file_system.h"

namespace msearch::watch {

// A file in every data folder, by which those of others are known: of another msearch, or of a
// compute server on this machine. A folder that has it is never looked into.
inline constexpr std::string_view kDataFolderMark = ".msearch-data";
// The nearest folder with the mark that `path` is or lies in; empty: none.
std::string MarkedFolderAround(const std::string& path);

// Immutable, so thread-safe.
class OwnFolder {
 public:
  // Links in `path` are resolved now. Empty, or not there: nothing lies in it.
  explicit OwnFolder(const std::string& path);
  // Whether an open directory is this folder or lies below it: by a link or by another mount too.
  bool Holds(int directory, const FileInfo& info) const;

 private:
  std::string path_;  // empty: none
  uint64_t device_ = 0;
  uint64_t inode_ = 0;
};

}  // namespace msearch::watch
