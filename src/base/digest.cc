#include "base/digest.h"

#include <openssl/evp.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <vector>

#include "base/strings.h"

namespace msearch {

struct Hasher::Impl {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  ~Impl() { EVP_MD_CTX_free(context); }
};

Hasher::Hasher() : impl_(std::make_unique<Impl>()) {
  EVP_DigestInit_ex(impl_->context, EVP_sha256(), nullptr);
}
Hasher::~Hasher() = default;

void Hasher::Update(std::string_view bytes) {
  EVP_DigestUpdate(impl_->context, bytes.data(), bytes.size());
}

Digest Hasher::Finish() {
  std::array<uint8_t, Digest::kBytes> out{};
  unsigned size = 0;
  EVP_DigestFinal_ex(impl_->context, out.data(), &size);
  return Digest(out);
}

Digest Sha256(std::string_view bytes) {
  Hasher hasher;
  hasher.Update(bytes);
  return hasher.Finish();
}

Result<Digest> Sha256File(int fd) {
  Hasher hasher;
  std::vector<char> buffer(1 << 18);
  off_t offset = 0;
  while (true) {
    const ssize_t got = pread(fd, buffer.data(), buffer.size(), offset);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return ErrnoError("read", errno);
    if (got == 0) return hasher.Finish();
    hasher.Update({buffer.data(), static_cast<size_t>(got)});
    offset += got;
  }
}

Result<Digest> Digest::FromHex(std::string_view hex) {
  auto bytes = HexDecode(hex);
  if (!bytes || bytes->size() != kBytes) return Error{Code::kInvalid, "digest: not 64 hex digits"};
  return FromBytes(*bytes);
}

Result<Digest> Digest::FromBytes(std::string_view bytes) {
  if (bytes.size() != kBytes) return Error{Code::kInvalid, "digest: not 32 bytes"};
  std::array<uint8_t, kBytes> out{};
  std::memcpy(out.data(), bytes.data(), kBytes);
  return Digest(out);
}

std::string Digest::hex() const { return HexEncode(bytes()); }

}  // namespace msearch

size_t std::hash<msearch::Digest>::operator()(const msearch::Digest& digest) const noexcept {
  size_t value = 0;
  std::memcpy(&value, digest.bytes().data(), sizeof(value));
  return value;
}
