// Where things lie: in the data folder, and beside the program.
#pragma once

#include <string>

#include "base/result.h"
#include "daemon/settings.h"

namespace msearch::daemon {

struct Layout {
  std::string data;     // absolute
  std::string catalog;  // catalog.db
  std::string queue;    // queue.db
  std::string monitor;  // monitor.db
  std::string blobs;
  std::string index;
  std::string thumbnails;
  std::string uploads;
  std::string media;  // fetched from the controller, on a compute server
  std::string builds;
  std::string journal;  // journal.db: accepted questions and analyses
  std::string asked;    // pictures that came with them
  std::string models;
  std::string logs;
  std::string run;        // lock, process id, address, settings of the running server
  std::string manifests;  // model packs that ship with the program
  std::string web;        // the built page; empty when there is none

  static Layout Of(const Settings& settings);
  // kPermission, kExhausted, ...: naming the folder.
  Result<> MakeFolders() const;
};

inline constexpr std::string_view kVersion = MSEARCH_VERSION;

}  // namespace msearch::daemon
