// A walk visits one directory at a time, from a list of those still to be visited, so its memory
// is bounded by the largest directories on one path. A directory is watched before it is listed:
// what changes after the listing is noticed. The listing is sorted and merged with the rows of the
// snapshot, which come in the same order. Files are asked for their state before the rows are
// read, never meanwhile, so that a file system that hangs holds no lock on the snapshot; and in
// the order of their inodes, which saves a disk most of its seeks.
//
// Links (with follow_links): a link to a file counts as a file with the target's size and times; a
// link to a directory is entered unless that directory is already on the way from the root, at
// most kLinksMax deep, because links that point at each other's neighbours multiply. What changes
// behind a link is noticed only where its directory is watched, else by the next scan.
#include "watch/scanner.h"

#include <algorithm>
#include <array>
#include <cerrno>

#include "base/result.h"

namespace msearch::watch {
namespace {

constexpr size_t kChunk = 4096;  // files asked for and compared at once
constexpr int kLinksMax = 4;

// The fault alone, without an object.
std::string Fault(int error_number) { return ErrnoError("", error_number).message.substr(2); }

}  // namespace

Result<> Scanner::Walk(const std::string& path) {
  std::vector<Step> steps;
  steps.push_back(TRY(StepTo(path)));
  while (!steps.empty()) {
    TRY(round_.Progress());
    const Step step = std::move(steps.back());
    steps.pop_back();
    TRY(Visit(step, &steps));
  }
  return Ok{};
}

// The step to `path`, or to the first directory on the way that the snapshot doesn't know.
Result<Scanner::Step> Scanner::StepTo(const std::string& path) {
  Step step{.kind = round_.tree.kind()};
  step.row = TRY(round_.snapshot->FindDirectory(round_.root, 0, ""));
  step.ancestors = nullptr;
  FileInfo info = round_.tree.info();
  for (size_t begin = 0; step.row && begin < path.size();) {
    const size_t end = std::min(path.find('/', begin), path.size());
    if (round_.filter->follow_links()) {
      step.ancestors =
          std::make_shared<const Ancestor>(Ancestor{info.device, info.inode, step.ancestors});
    }
    step.parent = step.row->id;
    step.parent_device = info.device;
    step.path = path.substr(0, end);
    step.row = TRY(round_.snapshot->FindDirectory(round_.root, step.parent, NameOf(step.path)));
    FileInfo itself;
    round_.tree.file_system().Stat(round_.tree.fd(), step.path.c_str(), false, &itself);
    step.link = itself.kind == FileKind::kLink;
    if (step.link) ++step.links;
    round_.tree.Probe(step.path, round_.filter->follow_links(), &info);
    begin = end + 1;
  }
  return step;
}

Result<> Scanner::Visit(const Step& step, std::vector<Step>* next) {
  const FileSystem& file_system = round_.tree.file_system();
  Fd fd;
  FileInfo info;
  const bool follow = step.link && round_.filter->follow_links();
  int error = file_system.OpenDirectory(round_.tree.fd(), step.path, follow, &fd);
  if (error == 0) error = file_system.Stat(fd.get(), "", false, &info);
  if (error == 0 && IsLoop(step, info)) return Ok{};
  if (error == 0 && round_.own_folder->Holds(fd.get(), info)) {
    if (step.row) sweep_.MissTree(*step.row, step.path, true);
    return Ok{};
  }
  if (error == 0) {
    WatchDirectory(fd.get(), step.path);
    error = file_system.List(fd.get(), &listing_);
  }
  if (error == 0 && HasName(listing_, kDataFolderMark)) {
    if (round_.notifier != nullptr) round_.notifier->Forget(step.path);
    if (step.row) sweep_.MissTree(*step.row, step.path, true);
    return Ok{};
  }
  if (IsAbsence(error) && !step.path.empty()) {
    if (step.row) sweep_.MissTree(*step.row, step.path, false);
    return Ok{};
  }
  if (error != 0) return Unreadable(step, error);

  const bool other_device = step.parent_device.value_or(info.device) != info.device;
  const bool mount =
      step.path.empty() ? round_.tree.is_mount() : !step.link && (info.mount_root || other_device);
  if (step.row && step.row->mount && !mount && !step.path.empty() && LooksEmpty(listing_)) {
    round_.CountUnreadable(step.path, "what was mounted here is away");
    return Ok{};
  }
  Step here = step;
  if (other_device && file_system.KindOf(fd.get(), &here.kind) == 0 &&
      !here.kind.blind_because.empty() && round_.counts.blind.empty()) {
    round_.counts.blind = step.path + " is " + std::string(here.kind.name) + ": " +
                          std::string(here.kind.blind_because);
  }
  if (round_.filter->follow_links()) {
    here.ancestors =
        std::make_shared<const Ancestor>(Ancestor{info.device, info.inode, step.ancestors});
  }
  const int64_t id = TRY(KeepRow(step, info, mount));
  const Names names = SortNames(fd.get(), here);
  const Place place{id, here.path, here.kind.stable_inodes};
  TRY(CompareFiles(fd.get(), here, place, names.files));
  here.parent_device = info.device;
  return CompareDirectories(here, id, names.directories, next);
}

Result<int64_t> Scanner::KeepRow(const Step& step, const FileInfo& info, bool mount) {
  if (!step.row) {
    return round_.snapshot->AddDirectory(round_.root, step.parent, NameOf(step.path), info.device,
                                         mount);
  }
  if (step.row->device != info.device || step.row->mount != mount) {
    TRY(round_.snapshot->UpdateDirectory(step.row->id, info.device, mount));
  }
  return step.row->id;
}

// What was known below the directory stays.
Result<> Scanner::Unreadable(const Step& step, int error) {
  if (step.path.empty() || !round_.tree.Answers()) {
    root_lost_ = true;
    return Error{Code::kUnavailable, ErrnoError(step.path, error).message};
  }
  round_.CountUnreadable(step.path, Fault(error));
  return Ok{};
}

bool Scanner::IsLoop(const Step& step, const FileInfo& info) const {
  for (const Ancestor* at = step.ancestors.get(); at != nullptr; at = at->above.get()) {
    if (at->device == info.device && at->inode == info.inode) return true;
  }
  return false;
}

void Scanner::WatchDirectory(int fd, const std::string& path) {
  if (round_.notifier == nullptr || !watch_error_.empty()) return;
  Result<> watched = round_.notifier->Watch(fd, path);
  // Other faults are about this directory, and opening or listing it tells of them.
  if (!watched.ok() && watched.code() == Code::kExhausted) watch_error_ = watched.message();
}

Scanner::Names Scanner::SortNames(int fd, const Step& step) const {
  Names names;
  for (const Listing::Entry& entry : listing_.entries) {
    const std::string_view name = listing_.name(entry);
    FileKind kind = entry.kind;
    FileInfo info;
    if (kind == FileKind::kUnknown &&
        round_.tree.file_system().Stat(fd, name.data(), false, &info) == 0) {
      kind = info.kind;
    }
    const bool link = kind == FileKind::kLink;
    if (link) {
      if (!round_.filter->follow_links()) continue;
      if (round_.tree.file_system().Stat(fd, name.data(), true, &info) != 0) continue;
      kind = info.kind;
    }
    if (kind == FileKind::kDirectory) {
      if (link && step.links >= kLinksMax) continue;
      if (round_.filter->AcceptsDirectory(step.path, name)) {
        names.directories.emplace_back(name, link);
      }
    } else if (kind == FileKind::kFile || kind == FileKind::kUnknown) {
      if (round_.filter->AcceptsFile(step.path, name)) names.files.push_back(entry);
    }
  }
  std::ranges::sort(names.directories);
  std::ranges::sort(names.files, {},
                    [this](const Listing::Entry& entry) { return listing_.name(entry); });
  return names;
}

Result<> Scanner::CompareFiles(int fd, const Step& step, const Place& place,
                               const std::vector<Listing::Entry>& files) {
  bool missing = false;
  bool fault = false;
  std::vector<Seen> chunk;
  std::vector<uint32_t> order;
  std::string_view after;
  size_t at = 0;
  do {
    chunk.clear();
    order.clear();
    while (at < files.size() && chunk.size() < kChunk) {
      order.push_back(static_cast<uint32_t>(chunk.size()));
      chunk.push_back({files[at++], 0, {}});
    }
    std::ranges::sort(order, {}, [&](uint32_t i) { return chunk[i].entry.inode; });
    const bool follow = round_.filter->follow_links();
    for (const uint32_t i : order) {
      Seen& seen = chunk[i];
      seen.error =
          round_.tree.file_system().Stat(fd, listing_.name(seen.entry).data(), follow, &seen.info);
      if (seen.error != 0 && !IsAbsence(seen.error) && !fault) {
        fault = true;
        TRY(Unreadable(step, seen.error));
      }
    }
    round_.counts.files += chunk.size();
    TRY(round_.Progress());
    const bool last = at == files.size();
    const std::string_view to = last ? LastName() : listing_.name(chunk.back().entry);
    TRY(CompareChunk(place, after, to, chunk, &missing));
    after = to;
  } while (at < files.size());
  if (missing) sweep_.MissFilesOf(place.directory, std::string(place.path));
  return Ok{};
}

Result<> Scanner::CompareChunk(const Place& place, std::string_view after, std::string_view to,
                               const std::vector<Seen>& chunk, bool* missing) {
  struct Different {
    const Seen* seen;
    bool known;
    bool settled;
  };
  std::vector<Different> different;
  const auto look = [&](const Seen& seen, const FileRow* row) {
    if (IsAbsence(seen.error) || (seen.error == 0 && seen.info.kind != FileKind::kFile)) {
      if (row != nullptr) *missing = true;
      return;
    }
    if (seen.error != 0) return;
    const bool unchanged = row != nullptr && Unchanged(*row, seen.info, place.stable_inodes);
    if (!unchanged || round_.full) different.push_back({&seen, row != nullptr, unchanged});
  };
  auto at = chunk.begin();
  TRY(round_.snapshot->Files(place.directory, after, to,
                             [&](std::string_view name, const FileRow& row) {
                               while (at != chunk.end() && listing_.name(at->entry) < name)
                                 look(*at++, nullptr);
                               if (at != chunk.end() && listing_.name(at->entry) == name) {
                                 look(*at++, &row);
                               } else {
                                 *missing = true;
                               }
                             }));
  while (at != chunk.end()) look(*at++, nullptr);
  for (const auto& [seen, known, settled] : different) {
    TRY(Consider(round_, place, listing_.name(seen->entry), seen->info, known, settled));
  }
  return Ok{};
}

Result<> Scanner::CompareDirectories(const Step& from, int64_t id,
                                     const std::vector<std::pair<std::string, bool>>& found,
                                     std::vector<Step>* next) {
  const size_t first = next->size();
  const auto add = [&](const std::pair<std::string, bool>& entry, const DirectoryRow* row) {
    Step& step = next->emplace_back(from);
    step.path = JoinPath(from.path, entry.first);
    step.parent = id;
    step.row = row != nullptr ? std::optional(*row) : std::nullopt;
    step.link = entry.second;
    step.links = from.links + (entry.second ? 1 : 0);
  };
  auto at = found.begin();
  for (const DirectoryRow& row : TRY(round_.snapshot->Directories(id))) {
    while (at != found.end() && at->first < row.name) add(*at++, nullptr);
    if (at != found.end() && at->first == row.name) {
      add(*at++, &row);
      continue;
    }
    const bool excluded = !round_.filter->AcceptsDirectory(from.path, row.name);
    sweep_.MissTree(row, JoinPath(from.path, row.name), excluded);
  }
  while (at != found.end()) add(*at++, nullptr);
  std::reverse(next->begin() + static_cast<std::ptrdiff_t>(first), next->end());
  return Ok{};
}

Result<std::optional<DirectoryRow>> Scanner::RowOf(const std::string& path) {
  std::optional<DirectoryRow> row = TRY(round_.snapshot->FindDirectory(round_.root, 0, ""));
  for (size_t begin = 0; row && begin < path.size();) {
    const size_t end = std::min(path.find('/', begin), path.size());
    row =
        TRY(round_.snapshot->FindDirectory(round_.root, row->id, path.substr(begin, end - begin)));
    begin = end + 1;
  }
  return row;
}

bool Scanner::StableInodes(const std::string& directory, const FileInfo& info) const {
  if (info.device == round_.tree.info().device) return round_.tree.kind().stable_inodes;
  Fd fd;
  FileSystemKind kind;
  const FileSystem& file_system = round_.tree.file_system();
  return file_system.OpenDirectory(round_.tree.fd(), directory, true, &fd) == 0 &&
         file_system.KindOf(fd.get(), &kind) == 0 && kind.stable_inodes;
}

Result<bool> Scanner::LookAt(const std::string& path) {
  const std::string directory(DirectoryOf(path));
  const std::string_view name = NameOf(path);
  const std::optional<DirectoryRow> parent = TRY(RowOf(directory));
  if (!parent || name == kDataFolderMark) {
    TRY(Walk(directory));
    return true;
  }
  FileInfo info;
  const Tree::Presence presence = round_.tree.Probe(path, round_.filter->follow_links(), &info);
  if (presence == Tree::Presence::kUnknown) {
    if (round_.tree.Answers()) return false;
    root_lost_ = true;
    return Error{Code::kUnavailable, path + ": the root stopped answering"};
  }
  const bool file =
      presence == Tree::Presence::kFile && round_.filter->AcceptsFile(directory, name);
  const bool entered =
      presence == Tree::Presence::kDirectory && round_.filter->AcceptsDirectory(directory, name);
  const std::optional<FileRow> row = TRY(round_.snapshot->FindFile(parent->id, name));
  if (row && !file) sweep_.MissFile(parent->id, path);
  if (!entered) {
    round_.settling->Remove(path);
    if (auto known = TRY(round_.snapshot->FindDirectory(round_.root, parent->id, name))) {
      sweep_.MissTree(*known, path, presence == Tree::Presence::kDirectory);
    }
  }
  if (entered) TRY(Walk(path));
  if (!file) return entered;
  const Place place{parent->id, directory, StableInodes(directory, info)};
  if (!row || !Unchanged(*row, info, place.stable_inodes)) {
    TRY(Consider(round_, place, name, info, row.has_value(), false));
  }
  return false;
}

Result<> Scanner::LookAgain(const std::string& path, const FileInfo& before) {
  const std::string directory(DirectoryOf(path));
  const std::optional<DirectoryRow> parent = TRY(RowOf(directory));
  FileInfo info;
  if (!parent ||
      round_.tree.Probe(path, round_.filter->follow_links(), &info) != Tree::Presence::kFile ||
      !Settling::Same(info, before)) {
    TRY(LookAt(path));
    return Ok{};
  }
  const std::optional<FileRow> row = TRY(round_.snapshot->FindFile(parent->id, NameOf(path)));
  const Place place{parent->id, directory, StableInodes(directory, info)};
  if (row && Unchanged(*row, info, place.stable_inodes)) return Ok{};
  return Consider(round_, place, NameOf(path), info, row.has_value(), true);
}

}  // namespace msearch::watch
