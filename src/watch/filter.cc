#include "watch/filter.h"

#include "base/strings.h"

namespace msearch::watch {

std::string JoinPath(std::string_view directory, std::string_view name) {
  std::string path;
  path.reserve(directory.size() + name.size() + 1);
  path += directory;
  if (!directory.empty()) path += '/';
  path += name;
  return path;
}

std::string_view DirectoryOf(std::string_view path) {
  const size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? std::string_view() : path.substr(0, slash);
}

std::string_view NameOf(std::string_view path) {
  const size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? path : path.substr(slash + 1);
}

Filter::Filter(const RootSpec& spec)
    : spec_(spec), extensions_(spec.extensions.begin(), spec.extensions.end()) {}

bool Filter::AcceptsFile(std::string_view directory, std::string_view name) const {
  if (!spec_.hidden && name.starts_with('.')) return false;
  if (!extensions_.empty()) {
    const size_t dot = name.rfind('.');
    if (dot == std::string_view::npos || dot == 0) return false;
    if (!extensions_.contains(AsciiLower(name.substr(dot)))) return false;
  }
  if (spec_.include.empty() && spec_.exclude.empty()) return true;
  const std::string path = JoinPath(directory, name);
  if (Excluded(path, false)) return false;
  if (spec_.include.empty()) return true;
  for (const std::string& pattern : spec_.include) {
    if (GlobMatch(pattern, path)) return true;
  }
  return false;
}

bool Filter::AcceptsDirectory(std::string_view directory, std::string_view name) const {
  if (!spec_.recursive) return false;
  if (!spec_.hidden && name.starts_with('.')) return false;
  return spec_.exclude.empty() || !Excluded(JoinPath(directory, name), true);
}

bool Filter::Excluded(std::string_view path, bool directory) const {
  for (const std::string& pattern : spec_.exclude) {
    // "name/" means directories only.
    if (!directory && pattern.ends_with('/')) continue;
    if (GlobMatch(pattern, path)) return true;
  }
  return false;
}

}  // namespace msearch::watch
