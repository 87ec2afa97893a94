// Which names of a root count: the one place that reads a root's patterns.
#pragma once

#include <set>
#include <string>
#include <string_view>

#include "watch/monitor.h"

namespace msearch::watch {

// "" + "b" is "b", "a" + "b" is "a/b": paths relative to a root, whose own path is "".
std::string JoinPath(std::string_view directory, std::string_view name);
std::string_view DirectoryOf(std::string_view path);
std::string_view NameOf(std::string_view path);

// Immutable, so thread-safe.
class Filter {
 public:
  explicit Filter(const RootSpec& spec);
  // By their names alone; a link counts by its own name. The directory itself is accepted.
  bool AcceptsFile(std::string_view directory, std::string_view name) const;
  bool AcceptsDirectory(std::string_view directory, std::string_view name) const;
  bool follow_links() const { return spec_.follow_links; }

 private:
  bool Excluded(std::string_view path, bool directory) const;

  RootSpec spec_;
  std::set<std::string, std::less<>> extensions_;
};

}  // namespace msearch::watch
