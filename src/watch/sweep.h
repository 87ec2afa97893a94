// What was missed on a walk, and is reported as gone at the end of the round: only then is known
// what has been found elsewhere.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "watch/round.h"

namespace msearch::watch {

class Sweep {
 public:
  explicit Sweep(Round& round) : round_(round) {}

  // Files of this directory were missed, or one file, or a directory with all that is below it
  // (`excluded`: it may be there, but doesn't count any more).
  void MissFilesOf(int64_t directory, std::string path);
  void MissFile(int64_t directory, std::string path);
  void MissTree(const DirectoryRow& row, std::string path, bool excluded);

  // Reports what is still missing, and forgets it.
  Result<> Run();

 private:
  struct Directory {
    DirectoryRow row;
    std::string path;
    bool excluded = false;
  };
  Result<> SweepFilesOf(const Directory& directory);
  Result<> SweepTree(const Directory& directory);
  Result<bool> ReportTree(const Directory& directory, std::vector<int64_t>* emptied);
  Result<> ReportAll(int64_t directory, const std::string& path);
  Result<> Report(int64_t directory, std::string path);

  Round& round_;
  std::vector<Directory> thinned_;
  std::vector<Directory> trees_;
  std::vector<Directory> files_;  // the row is the directory's, the path the file's
};

}  // namespace msearch::watch
