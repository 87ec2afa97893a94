// A file that appears is what another one was if the snapshot knows that other one by the same
// device, inode, size and times, and it isn't there any more. That one rule finds renames of files
// and of directories, noticed or found by a scan. Asking whether the old name is really gone keeps
// hard links apart; when several old names of one inode are gone, the one with the same last
// component counts (a directory of hard links was renamed), else none does. A name that the
// snapshot has already is never the destination of a move, so that moves of one batch can't
// overwrite each other's sources: when 1 becomes 2 and 2 becomes 3, then 3 was moved and 2 has
// changed.
#include "watch/compare.h"

#include <utility>
#include <vector>

namespace msearch::watch {
namespace {

struct Source {
  KnownFile file;
  std::string path;
};

bool IsGone(const Round& round, const std::string& path, const FileInfo& now_elsewhere) {
  FileInfo there;
  const int error = round.tree.file_system().Stat(round.tree.fd(), path.c_str(),
                                                  round.filter->follow_links(), &there);
  if (error != 0) return IsAbsence(error);
  return there.inode != now_elsewhere.inode || there.device != now_elsewhere.device;
}

bool SameFile(const KnownFile& known, const FileInfo& info) {
  if (known.device != info.device || !Unchanged(known.row, info, true)) return false;
  // Inodes are used again: a file born later is another one.
  return known.row.born_ns == 0 || info.born_ns == 0 || known.row.born_ns == info.born_ns;
}

Result<std::optional<Source>> FindSource(Round& round, const std::string& path,
                                         const FileInfo& info) {
  std::vector<Source> sources;
  for (KnownFile& file : TRY(round.snapshot->FilesByInode(round.root, info.inode))) {
    if (!SameFile(file, info)) continue;
    const std::optional<std::string> directory = TRY(round.snapshot->PathOf(file.directory));
    if (!directory) continue;
    std::string old_path = JoinPath(*directory, file.name);
    if (old_path == path || round.outbox->Moves(old_path)) continue;
    if (IsGone(round, old_path, info)) {
      sources.push_back({std::move(file), std::move(old_path)});
    }
  }
  if (sources.size() > 1) {
    std::erase_if(sources, [&](const Source& s) { return s.file.name != NameOf(path); });
  }
  if (sources.size() != 1) return std::optional<Source>();
  return std::optional(std::move(sources.front()));
}

}  // namespace

bool Unchanged(const FileRow& row, const FileInfo& info, bool stable_inodes) {
  return row.size == info.size && row.modified_ns == info.modified_ns &&
         (!stable_inodes || row.inode == info.inode);
}

Result<> Consider(Round& round, const Place& place, std::string_view name, const FileInfo& info,
                  bool known, bool settled) {
  Finding finding;
  Change& change = finding.change;
  change.path = JoinPath(place.path, name);
  change.size = info.size;
  change.modified_ns = info.modified_ns;
  change.device = info.device;
  change.inode = info.inode;
  finding.directory = place.directory;
  finding.row = {info.size, info.modified_ns, info.inode, info.born_ns};
  if (!known && !round.full) {
    if (std::optional<Source> source = TRY(FindSource(round, change.path, info))) {
      change.kind = Change::Kind::kMoved;
      change.old_path = std::move(source->path);
      finding.old_directory = source->file.directory;
    }
  }
  if (change.kind == Change::Kind::kPresent && !settled && !round.settling->IsStill(info)) {
    if (!round.settling->Add(change.path, info, std::chrono::steady_clock::now())) {
      round.counts.settling_was_full = true;
    }
    return Ok{};
  }
  round.settling->Remove(change.path);
  return round.outbox->Add(std::move(finding));
}

}  // namespace msearch::watch
