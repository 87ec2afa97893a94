#include "watch/file_system.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

namespace msearch::watch {
namespace {

struct KnownKind {
  uint32_t magic;  // statfs(2) f_type, and linux/magic.h
  FileSystemKind kind;
};

constexpr std::string_view kElsewhere = "changes made elsewhere aren't seen";
constexpr std::string_view kBehind = "changes made behind it aren't seen";
constexpr std::string_view kPseudo = "it doesn't tell of changes";

constexpr std::array kKnownKinds{
    KnownKind{0x6969, {"nfs", kElsewhere}},
    KnownKind{0x517B, {"smb", kElsewhere, false}},
    KnownKind{0xFF534D42, {"cifs", kElsewhere, false}},
    KnownKind{0xFE534D42, {"smb2", kElsewhere, false}},
    KnownKind{0x65735546, {"fuse", kBehind, false}},
    KnownKind{0x01021997, {"9p", kElsewhere, false}},
    KnownKind{0x786F4256, {"vboxsf", kElsewhere, false}},
    KnownKind{0xBACBACBC, {"vmhgfs", kElsewhere, false}},
    KnownKind{0x7C7C6673, {"prl_fs", kElsewhere, false}},
    KnownKind{0x5346414F, {"afs", kElsewhere}},
    KnownKind{0x6B414653, {"afs", kElsewhere}},
    KnownKind{0x73757245, {"coda", kElsewhere}},
    KnownKind{0x00C36400, {"ceph", kElsewhere}},
    KnownKind{0x0BD00BD0, {"lustre", kElsewhere}},
    KnownKind{0x19830326, {"beegfs", kElsewhere}},
    KnownKind{0x47504653, {"gpfs", kElsewhere}},
    KnownKind{0x01161970, {"gfs2", kElsewhere}},
    KnownKind{0x7461636F, {"ocfs2", kElsewhere}},
    KnownKind{0x0187, {"autofs", kPseudo, false}},
    KnownKind{0x9FA0, {"proc", kPseudo, false}},
    KnownKind{0x62656572, {"sysfs", kPseudo, false}},
    KnownKind{0x794C7630, {"overlay", "", false}},
    KnownKind{0x4D44, {"vfat", "", false}},
    KnownKind{0x2011BAB0, {"exfat", "", false}},
};

int64_t Nanoseconds(const statx_timestamp& time) {
  return time.tv_sec * 1'000'000'000 + time.tv_nsec;
}

FileKind KindOfMode(unsigned mode) {
  if (S_ISREG(mode)) return FileKind::kFile;
  if (S_ISDIR(mode)) return FileKind::kDirectory;
  return S_ISLNK(mode) ? FileKind::kLink : FileKind::kOther;
}

FileKind KindOfEntry(unsigned char type) {
  switch (type) {
    case DT_REG:
      return FileKind::kFile;
    case DT_DIR:
      return FileKind::kDirectory;
    case DT_LNK:
      return FileKind::kLink;
    case DT_UNKNOWN:
      return FileKind::kUnknown;
    default:
      return FileKind::kOther;
  }
}

void Append(const char* name, uint64_t inode, unsigned char type, Listing* listing) {
  if (name[0] == '.' && (name[1] == '\0' || (name[1] == '.' && name[2] == '\0'))) return;
  const size_t size = strlen(name);
  listing->entries.push_back({static_cast<uint32_t>(listing->names.size()),
                              static_cast<uint32_t>(size), inode, KindOfEntry(type)});
  listing->names.append(name, size + 1);
}

}  // namespace

int FileSystem::OpenDirectory(int at, const std::string& path, bool follow, Fd* directory) const {
  const int flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOCTTY | (follow ? 0 : O_NOFOLLOW);
  int fd = -1;
  do {
    fd = openat(at, path.empty() ? "." : path.c_str(), flags);
  } while (fd < 0 && errno == EINTR);
  if (fd < 0) return errno;
  *directory = Fd(fd);
  return 0;
}

int FileSystem::List(int directory, Listing* listing) const {
  alignas(dirent64) std::array<char, size_t{1} << 16> buffer;
  listing->names.clear();
  listing->entries.clear();
  while (true) {
    const ssize_t size = getdents64(directory, buffer.data(), buffer.size());
    if (size < 0) return errno;
    if (size == 0) return 0;
    for (ssize_t at = 0; at < size;) {
      const auto* entry = reinterpret_cast<const dirent64*>(buffer.data() + at);
      Append(entry->d_name, entry->d_ino, entry->d_type, listing);
      at += entry->d_reclen;
    }
  }
}

int FileSystem::Stat(int at, const char* path, bool follow, FileInfo* info) const {
  const int flags =
      AT_NO_AUTOMOUNT | (follow ? 0 : AT_SYMLINK_NOFOLLOW) | (*path == '\0' ? AT_EMPTY_PATH : 0);
  struct statx found;
  if (statx(at, path, flags, STATX_BASIC_STATS | STATX_BTIME, &found) != 0) return errno;
  info->kind = KindOfMode(found.stx_mode);
  info->mount_root = (found.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0;
  info->device = makedev(found.stx_dev_major, found.stx_dev_minor);
  info->inode = found.stx_ino;
  info->size = found.stx_size;
  info->modified_ns = Nanoseconds(found.stx_mtime);
  info->changed_ns = Nanoseconds(found.stx_ctime);
  info->born_ns = (found.stx_mask & STATX_BTIME) != 0 ? Nanoseconds(found.stx_btime) : 0;
  return 0;
}

int FileSystem::KindOf(int directory, FileSystemKind* kind) const {
  struct statfs found;
  if (fstatfs(directory, &found) != 0) return errno;
  *kind = {};
  for (const KnownKind& known : kKnownKinds) {
    if (known.magic == static_cast<uint32_t>(found.f_type)) *kind = known.kind;
  }
  return 0;
}

int FileSystem::AddWatch(int inotify, int directory, uint32_t mask) const {
  // Through the descriptor: the directory that is about to be read, whatever its name is by now.
  const std::string path = "/proc/self/fd/" + std::to_string(directory);
  const int watch = inotify_add_watch(inotify, path.c_str(), mask);
  return watch >= 0 ? watch : -errno;
}

const FileSystem& RealFileSystem() {
  static const FileSystem real;
  return real;
}

}  // namespace msearch::watch
