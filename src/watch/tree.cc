#include "watch/tree.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>

namespace msearch::watch {

bool LooksEmpty(const Listing& listing) {
  return std::ranges::all_of(listing.entries, [&](const Listing::Entry& entry) {
    return listing.name(entry).starts_with('.');
  });
}

bool HasName(const Listing& listing, std::string_view name) {
  return std::ranges::any_of(
      listing.entries, [&](const Listing::Entry& entry) { return listing.name(entry) == name; });
}

bool IsAbsence(int error_number) { return error_number == ENOENT || error_number == ENOTDIR; }

Result<Tree> Tree::Open(const FileSystem& file_system, const RootSpec& spec, bool was_mount) {
  Tree tree;
  tree.file_system_ = &file_system;
  const auto unreachable = [&](int error_number) {
    return Error{Code::kUnavailable, ErrnoError(spec.path, error_number).message};
  };
  if (int e = file_system.OpenDirectory(AT_FDCWD, spec.path, true, &tree.fd_))
    return unreachable(e);
  if (int e = file_system.Stat(tree.fd(), "", false, &tree.info_)) return unreachable(e);
  if (int e = file_system.KindOf(tree.fd(), &tree.kind_)) return unreachable(e);
  FileInfo above;
  tree.is_mount_ =
      tree.info_.mount_root ||
      (file_system.Stat(tree.fd(), "..", false, &above) == 0 && above.device != tree.info_.device);
  if (was_mount && !tree.is_mount_) {
    Listing listing;
    if (int e = file_system.List(tree.fd(), &listing)) return unreachable(e);
    if (LooksEmpty(listing)) {
      return Error{Code::kUnavailable, spec.path + ": what was mounted here is away"};
    }
  }
  return tree;
}

bool Tree::Answers() const {
  FileInfo info;
  return file_system_->Stat(fd(), "", false, &info) == 0;
}

Tree::Presence Tree::Probe(const std::string& path, bool follow_links, FileInfo* info) const {
  int error = file_system_->Stat(fd(), path.c_str(), false, info);
  if (error == 0 && info->kind == FileKind::kLink) {
    if (!follow_links) return Presence::kAbsent;
    error = file_system_->Stat(fd(), path.c_str(), true, info);
    if (error == ELOOP) return Presence::kAbsent;
  }
  if (IsAbsence(error)) return Presence::kAbsent;
  if (error != 0) return Presence::kUnknown;
  if (info->kind == FileKind::kFile) return Presence::kFile;
  return info->kind == FileKind::kDirectory ? Presence::kDirectory : Presence::kAbsent;
}

}  // namespace msearch::watch
