#include "watch/own_folder.h"

#include <sys/stat.h>

#include <filesystem>

namespace msearch::watch {

std::string MarkedFolderAround(const std::string& path) {
  namespace fs = std::filesystem;
  std::error_code error;
  for (fs::path folder = path; true; folder = folder.parent_path()) {
    if (fs::exists(folder / kDataFolderMark, error)) return folder.string();
    if (folder == folder.parent_path()) return "";
  }
}

OwnFolder::OwnFolder(const std::string& path) {
  std::error_code error;
  const auto real = std::filesystem::canonical(path, error);
  struct stat info {};
  if (path.empty() || error || stat(real.c_str(), &info) != 0) return;
  path_ = real.string();
  device_ = info.st_dev;
  inode_ = info.st_ino;
}

bool OwnFolder::Holds(int directory, const FileInfo& info) const {
  if (path_.empty()) return false;
  if (info.device == device_ && info.inode == inode_) return true;
  std::error_code error;
  const auto real =
      std::filesystem::read_symlink("/proc/self/fd/" + std::to_string(directory), error);
  return !error && real.string().starts_with(path_ + "/");
}

}  // namespace msearch::watch
