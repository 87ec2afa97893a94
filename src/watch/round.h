// One round of looking at a root: what the parts that look share. Used by the root's thread alone.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "watch/filter.h"
#include "watch/notifier.h"
#include "watch/outbox.h"
#include "watch/own_folder.h"
#include "watch/settling.h"
#include "watch/snapshot.h"
#include "watch/tree.h"

namespace msearch::watch {

struct ScanCounts {
  uint64_t files = 0;
  uint64_t unreadable = 0;         // directories
  std::string first_unreadable;    // "a/b: Permission denied"
  std::string blind;               // a directory below the root where inotify is blind, and why
  bool settling_was_full = false;  // files were passed over that still grow
};

struct Round {
  int64_t root;
  Snapshot* snapshot;
  Outbox* outbox;
  Settling* settling;
  Notifier* notifier;  // null: directories aren't watched
  const Filter* filter;
  const OwnFolder* own_folder;
  Tree tree;
  bool full;  // every file is reported, changed or not
  // Called now and then; false ends the round with kCancelled.
  std::function<bool(const ScanCounts&)> progress;
  ScanCounts counts = {};

  Result<> Progress() {
    if (progress(counts)) return Ok{};
    return Error{Code::kCancelled, "interrupted"};
  }
  void CountUnreadable(const std::string& path, const std::string& fault) {
    if (counts.unreadable++ == 0) {
      counts.first_unreadable = (path.empty() ? "" : path + ": ") + fault;
    }
  }
};

}  // namespace msearch::watch
