#include "ingest/thumbnails.h"

#include <filesystem>
#include <vector>

#include "base/file.h"
#include "base/strings.h"

namespace msearch::ingest {
namespace fs = std::filesystem;

std::string Thumbnails::PathOf(const Digest& hash) const {
  const std::string hex = hash.hex();
  return directory_ + "/" + hex.substr(0, 2) + "/" + hex + ".jpg";
}

std::string Thumbnails::StripPathOf(const Digest& hash) const {
  const std::string hex = hash.hex();
  return directory_ + "/" + hex.substr(0, 2) + "/" + hex + ".strip.jpg";
}

namespace {

Result<> StoreAt(const std::string& path, std::string_view jpeg) {
  std::error_code error;
  fs::create_directories(fs::path(path).parent_path(), error);
  return WriteFileAtomically(path, jpeg);
}

}  // namespace

Result<> Thumbnails::Store(const Digest& hash, std::string_view jpeg) const {
  return StoreAt(PathOf(hash), jpeg);
}

Result<> Thumbnails::StoreStrip(const Digest& hash, std::string_view jpeg) const {
  return StoreAt(StripPathOf(hash), jpeg);
}

Result<int> Thumbnails::Sweep(const std::function<Result<bool>(const Digest&)>& known,
                              Milliseconds age) {
  const std::string folder =
      directory_ + "/" + HexEncode(std::string(1, static_cast<char>(next_++ % 256)));
  const auto before = fs::file_time_type::clock::now() - age;
  std::vector<fs::path> leftovers;
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, error)) {
    std::error_code ignored;
    if (entry.last_write_time(ignored) > before || ignored) continue;
    const auto hash = Digest::FromHex(entry.path().filename().string().substr(0, 64));
    if (!hash.ok() || !TRY(known(*hash))) leftovers.push_back(entry.path());
  }
  int removed = 0;
  for (const fs::path& path : leftovers) removed += fs::remove(path, error) ? 1 : 0;
  return removed;
}

}  // namespace msearch::ingest
