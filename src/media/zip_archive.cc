#include "media/zip_archive.h"

#include <algorithm>

#include "base/strings.h"
#include "media/dynamic_library.h"
#include "media/zip_library.h"

namespace msearch::media {
namespace {

Result<ZipLibrary> Load() {
  const DynamicLibrary library = TRY(DynamicLibrary::Open("libzip.so.4"));
  ZipLibrary zip;
#define MSEARCH_ZIP_FIND(name)                                          \
  if (!library.Find(#name, zip.name)) {                                 \
    return Error{Code::kUnsupported, "libzip: has no function " #name}; \
  }
  MSEARCH_ZIP_FUNCTIONS(MSEARCH_ZIP_FIND)
#undef MSEARCH_ZIP_FIND
  return zip;
}

Error Fault(const char* message) {
  return {Code::kCorrupt, "ZIP: " + SanitizeUtf8(message != nullptr ? message : "")};
}

// libzip's reader of our descriptor: its own ones duplicate or open files, which the sandbox
// forbids.
struct Input {
  int fd = -1;
  uint64_t size = 0;
  uint64_t at = 0;
  zip_error_t error{};

  zip_int64_t Read(void* out, zip_uint64_t length) {
    const Result<size_t> got =
        ReadAt(fd, at, static_cast<char*>(out), std::min<uint64_t>(length, size - at));
    if (!got.ok()) return Fail(ZIP_ER_READ);
    at += *got;
    return static_cast<zip_int64_t>(*got);
  }

  zip_int64_t Seek(void* arguments, zip_uint64_t length) {
    const zip_int64_t to =
        Zip()->zip_source_seek_compute_offset(at, size, arguments, length, &error);
    if (to < 0) return -1;
    at = static_cast<uint64_t>(to);
    return 0;
  }

  zip_int64_t Stat(void* out) {
    auto* stat = static_cast<zip_stat_t*>(out);
    Zip()->zip_stat_init(stat);
    stat->size = size;
    stat->valid = ZIP_STAT_SIZE;
    return sizeof(*stat);
  }

  zip_int64_t Fail(int code) {
    Zip()->zip_error_set(&error, code, 0);
    return -1;
  }
};

zip_int64_t Serve(void* self, void* data, zip_uint64_t length, zip_source_cmd_t command) {
  auto* input = static_cast<Input*>(self);
  switch (command) {
    case ZIP_SOURCE_OPEN:
      input->at = 0;
      return 0;
    case ZIP_SOURCE_READ:
      return input->Read(data, length);
    case ZIP_SOURCE_SEEK:
      return input->Seek(data, length);
    case ZIP_SOURCE_TELL:
      return static_cast<zip_int64_t>(input->at);
    case ZIP_SOURCE_STAT:
      return input->Stat(data);
    case ZIP_SOURCE_ERROR:
      return Zip()->zip_error_to_data(&input->error, data, length);
    case ZIP_SOURCE_CLOSE:
    case ZIP_SOURCE_FREE:
      return 0;
    case ZIP_SOURCE_SUPPORTS:
      return Zip()->zip_source_make_command_bitmap(
          ZIP_SOURCE_OPEN, ZIP_SOURCE_READ, ZIP_SOURCE_CLOSE, ZIP_SOURCE_STAT, ZIP_SOURCE_ERROR,
          ZIP_SOURCE_FREE, ZIP_SOURCE_SEEK, ZIP_SOURCE_TELL, ZIP_SOURCE_SUPPORTS, -1);
    default:
      return input->Fail(ZIP_ER_OPNOTSUPP);
  }
}

}  // namespace

const Result<ZipLibrary>& Zip() {
  static const Result<ZipLibrary> library = Load();
  return library;
}

struct ZipArchive::Impl {
  ~Impl() {
    if (archive != nullptr) Zip()->zip_discard(archive);
  }

  Input input;
  uint64_t bytes_left = 0;
  uint64_t bytes_max = 0;
  zip_t* archive = nullptr;
};

ZipArchive::ZipArchive(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
ZipArchive::~ZipArchive() = default;
ZipArchive::ZipArchive(ZipArchive&&) noexcept = default;
ZipArchive& ZipArchive::operator=(ZipArchive&&) noexcept = default;

Result<ZipArchive> ZipArchive::Open(const MediaSource& source, uint64_t bytes_max) {
  if (!Zip().ok()) return Zip().error();
  const ZipLibrary& zip = *Zip();
  auto impl = std::make_unique<Impl>();
  impl->input.fd = source.fd;
  impl->input.size = source.size;
  impl->bytes_left = impl->bytes_max = bytes_max;
  zip_error_t error;
  zip.zip_error_init(&error);
  zip_source_t* input = zip.zip_source_function_create(Serve, &impl->input, &error);
  if (input != nullptr) {
    impl->archive = zip.zip_open_from_source(input, ZIP_RDONLY, &error);
    if (impl->archive == nullptr) zip.zip_source_free(input);
  }
  const Error fault = Fault(zip.zip_error_strerror(&error));
  zip.zip_error_fini(&error);
  if (impl->archive == nullptr) return fault;
  const zip_int64_t entries = zip.zip_get_num_entries(impl->archive, 0);
  if (entries > kEntriesMax) {
    return Error{Code::kTooLarge, "ZIP: " + std::to_string(entries) + " entries, limit " +
                                      std::to_string(kEntriesMax)};
  }
  return ZipArchive(std::move(impl));
}

std::vector<std::string> ZipArchive::Names() const {
  std::vector<std::string> names;
  const zip_int64_t entries = Zip()->zip_get_num_entries(impl_->archive, 0);
  for (zip_int64_t i = 0; i < entries; ++i) {
    const char* name = Zip()->zip_get_name(impl_->archive, static_cast<zip_uint64_t>(i), 0);
    if (name != nullptr) names.emplace_back(name);
  }
  return names;
}

bool ZipArchive::Has(const std::string& name) const {
  return Zip()->zip_name_locate(impl_->archive, name.c_str(), 0) >= 0;
}

Result<std::string> ZipArchive::Read(const std::string& name) {
  const ZipLibrary& zip = *Zip();
  const zip_int64_t at = zip.zip_name_locate(impl_->archive, name.c_str(), 0);
  if (at < 0) return Error{Code::kNotFound, "ZIP: no " + SanitizeUtf8(name)};
  const auto index = static_cast<zip_uint64_t>(at);
  zip_stat_t stat;
  if (zip.zip_stat_index(impl_->archive, index, 0, &stat) == 0 &&
      (stat.valid & ZIP_STAT_ENCRYPTION_METHOD) != 0 && stat.encryption_method != ZIP_EM_NONE) {
    return Error{Code::kUnsupported, "ZIP: encrypted"};
  }
  const std::unique_ptr<zip_file_t, decltype(zip.zip_fclose)> file(
      zip.zip_fopen_index(impl_->archive, index, 0), zip.zip_fclose);
  if (!file) return Fault(zip.zip_strerror(impl_->archive));
  std::string bytes;
  while (true) {
    constexpr size_t kStep = 64 << 10;
    const size_t size = bytes.size();
    bytes.resize(size + kStep);
    const zip_int64_t got = zip.zip_fread(file.get(), bytes.data() + size, kStep);
    if (got < 0) return Fault(zip.zip_file_strerror(file.get()));
    bytes.resize(size + static_cast<size_t>(got));
    if (got == 0) break;
    if (static_cast<uint64_t>(got) > impl_->bytes_left) {
      return Error{Code::kTooLarge,
                   "ZIP: unpacks to more than " + std::to_string(impl_->bytes_max) + " bytes"};
    }
    impl_->bytes_left -= static_cast<uint64_t>(got);
  }
  return bytes;
}

}  // namespace msearch::media
