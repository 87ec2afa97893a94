// What a file that was seen means, given what the snapshot knows.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "watch/round.h"

namespace msearch::watch {

// A directory of the root, by its row in the snapshot.
struct Place {
  int64_t directory = 0;
  std::string_view path;
  bool stable_inodes = true;
};

bool Unchanged(const FileRow& row, const FileInfo& info, bool stable_inodes);

// Puts a file that is new or changed into the outbox, as present or as moved from elsewhere, or
// lets it settle first. `known`: the snapshot has a row for it. `settled`: it waited already.
Result<> Consider(Round& round, const Place& place, std::string_view name, const FileInfo& info,
                  bool known, bool settled);

}  // namespace msearch::watch
