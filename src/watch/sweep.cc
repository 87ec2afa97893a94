// Of a directory with missing files only its id is kept, so memory is bounded by the number of
// changed directories however many files are gone. The directory is listed once more and its rows
// are held against the names: exact names, because on a file system that ignores case asking for
// an old name finds the new one.
#include "watch/sweep.h"

#include <algorithm>
#include <optional>

namespace msearch::watch {
namespace {

constexpr int kNamesAtOnce = 1000;

// The names that count in a directory now; nothing when it can't be read.
std::optional<std::vector<std::string>> NamesNow(const Round& round, const std::string& path) {
  const Tree& tree = round.tree;
  Fd fd;
  Listing listing;
  const bool follow = round.filter->follow_links();
  if (tree.file_system().OpenDirectory(tree.fd(), path, follow, &fd) != 0) return std::nullopt;
  if (tree.file_system().List(fd.get(), &listing) != 0) return std::nullopt;
  std::vector<std::string> names;
  for (const Listing::Entry& entry : listing.entries) {
    const std::string_view name = listing.name(entry);
    if (entry.kind == FileKind::kDirectory || entry.kind == FileKind::kOther) continue;
    if (!round.filter->AcceptsFile(path, name)) continue;
    if (entry.kind != FileKind::kFile) {
      FileInfo info;
      const Tree::Presence presence = tree.Probe(JoinPath(path, name), follow, &info);
      if (presence == Tree::Presence::kAbsent || presence == Tree::Presence::kDirectory) continue;
    }
    names.emplace_back(name);
  }
  std::ranges::sort(names);
  return names;
}

}  // namespace

void Sweep::MissFilesOf(int64_t directory, std::string path) {
  thinned_.push_back({{.id = directory}, std::move(path)});
}

void Sweep::MissFile(int64_t directory, std::string path) {
  files_.push_back({{.id = directory}, std::move(path)});
}

void Sweep::MissTree(const DirectoryRow& row, std::string path, bool excluded) {
  trees_.push_back({row, std::move(path), excluded});
}

Result<> Sweep::Run() {
  TRY(round_.outbox->Flush());
  for (const Directory& file : files_) {
    // It may have been moved in the snapshot by now.
    if (TRY(round_.snapshot->FindFile(file.row.id, NameOf(file.path)))) {
      TRY(Report(file.row.id, file.path));
    }
  }
  files_.clear();
  for (const Directory& directory : thinned_) TRY(SweepFilesOf(directory));
  thinned_.clear();
  for (const Directory& tree : trees_) TRY(SweepTree(tree));
  trees_.clear();
  return round_.outbox->Flush();
}

Result<> Sweep::SweepFilesOf(const Directory& directory) {
  const std::optional<std::vector<std::string>> present = NamesNow(round_, directory.path);
  if (!present) return Ok{};
  std::vector<std::string> names;
  std::string after;
  do {
    TRY(round_.Progress());
    names = TRY(round_.snapshot->Names(directory.row.id, after, kNamesAtOnce));
    for (const std::string& name : names) {
      if (std::ranges::binary_search(*present, name)) continue;
      TRY(Report(directory.row.id, JoinPath(directory.path, name)));
    }
    if (!names.empty()) after = names.back();
  } while (names.size() == kNamesAtOnce);
  return Ok{};
}

Result<> Sweep::SweepTree(const Directory& directory) {
  if (!directory.excluded) {
    FileInfo info;
    const Tree::Presence presence =
        round_.tree.Probe(directory.path, round_.filter->follow_links(), &info);
    // Back again, or not to be told: the next scan will see.
    if (presence == Tree::Presence::kDirectory || presence == Tree::Presence::kUnknown) return Ok{};
    if (round_.filter->follow_links() &&
        round_.tree.Probe(directory.path, false, &info) == Tree::Presence::kAbsent &&
        info.kind == FileKind::kLink) {
      round_.CountUnreadable(directory.path, "what the link leads to is away");
      return Ok{};
    }
  }
  std::vector<int64_t> emptied;
  TRY(ReportTree(directory, &emptied));
  if (round_.notifier != nullptr) round_.notifier->Forget(directory.path);
  TRY(round_.outbox->Flush());
  return round_.snapshot->Transact([&]() -> Result<> {
    for (const int64_t id : emptied) TRY(round_.snapshot->RemoveDirectory(id));
    return Ok{};
  });
}

// False when something below stays known, because a disk that was mounted there is away.
Result<bool> Sweep::ReportTree(const Directory& directory, std::vector<int64_t>* emptied) {
  if (directory.row.mount && !directory.excluded) {
    round_.CountUnreadable(directory.path, "what was mounted here is away");
    return false;
  }
  bool all = true;
  for (const DirectoryRow& child : TRY(round_.snapshot->Directories(directory.row.id))) {
    const std::string path = JoinPath(directory.path, child.name);
    if (!TRY(ReportTree({child, path, directory.excluded}, emptied))) all = false;
  }
  TRY(ReportAll(directory.row.id, directory.path));
  if (all) emptied->push_back(directory.row.id);
  return all;
}

Result<> Sweep::ReportAll(int64_t directory, const std::string& path) {
  std::vector<std::string> names;
  std::string after;
  do {
    TRY(round_.Progress());
    names = TRY(round_.snapshot->Names(directory, after, kNamesAtOnce));
    for (const std::string& name : names) TRY(Report(directory, JoinPath(path, name)));
    if (!names.empty()) after = names.back();
  } while (names.size() == kNamesAtOnce);
  return Ok{};
}

Result<> Sweep::Report(int64_t directory, std::string path) {
  round_.settling->Remove(path);
  Finding finding;
  finding.change.kind = Change::Kind::kGone;
  finding.change.path = std::move(path);
  finding.directory = directory;
  return round_.outbox->Add(std::move(finding));
}

}  // namespace msearch::watch
