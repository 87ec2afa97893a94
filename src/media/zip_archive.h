// A ZIP archive, read in place: what office documents and electronic books are.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "media/source.h"

namespace msearch::media {

// Not thread-safe. The source must outlive it.
class ZipArchive {
 public:
  static constexpr int64_t kEntriesMax = 100'000;

  // `bytes_max` bounds all that Read gives, together, whatever the entries claim. Errors: kCorrupt,
  // kTooLarge.
  static Result<ZipArchive> Open(const MediaSource& source, uint64_t bytes_max);
  ~ZipArchive();
  ZipArchive(ZipArchive&&) noexcept;
  ZipArchive& operator=(ZipArchive&&) noexcept;

  std::vector<std::string> Names() const;
  bool Has(const std::string& name) const;
  // kNotFound, kCorrupt, kUnsupported (encrypted, or packed in a way not known), kTooLarge.
  Result<std::string> Read(const std::string& name);

 private:
  struct Impl;
  explicit ZipArchive(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace msearch::media
