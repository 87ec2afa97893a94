// SHA-256: the identity of content, of blobs and of model files.
#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

namespace msearch {

// A SHA-256 digest. Ordered and hashable.
class Digest {
 public:
  static constexpr size_t kBytes = 32;
  Digest() = default;
  explicit Digest(const std::array<uint8_t, kBytes>& bytes) : bytes_(bytes) {}
  // From 64 hexadecimal digits; kInvalid otherwise.
  static Result<Digest> FromHex(std::string_view hex);
  // From 32 bytes; kInvalid otherwise.
  static Result<Digest> FromBytes(std::string_view bytes);
  std::string hex() const;
  std::string_view bytes() const {
    return {reinterpret_cast<const char*>(bytes_.data()), bytes_.size()};
  }
  auto operator<=>(const Digest&) const = default;

 private:
  std::array<uint8_t, kBytes> bytes_{};
};

// Incremental hashing. Not thread-safe.
class Hasher {
 public:
  Hasher();
  ~Hasher();
  Hasher(const Hasher&) = delete;
  Hasher& operator=(const Hasher&) = delete;
  void Update(std::string_view bytes);
  // REQUIRES: called once, last.
  Digest Finish();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

Digest Sha256(std::string_view bytes);
// Of everything from the file descriptor's beginning; reads with pread, so the offset stays.
Result<Digest> Sha256File(int fd);

}  // namespace msearch

template <>
struct std::hash<msearch::Digest> {
  size_t operator()(const msearch::Digest& digest) const noexcept;
};
