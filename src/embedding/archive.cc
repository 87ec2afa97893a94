#include "embedding/archive.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>

#include <memory>
#include <vector>

#include "base/file.h"

namespace msearch::embedding {
namespace {

using Reader = std::unique_ptr<::archive, decltype(&archive_read_free)>;

Error Fault(const std::string& path, ::archive* reader) {
  const char* text = archive_error_string(reader);
  return {Code::kCorrupt, path + ": " + (text == nullptr ? "not an archive" : text)};
}

Result<Reader> OpenArchive(const std::string& path, bool zip) {
  Reader reader(archive_read_new(), archive_read_free);
  if (zip) {
    archive_read_support_format_zip_seekable(reader.get());
  } else {
    archive_read_support_filter_gzip(reader.get());
    archive_read_support_format_tar(reader.get());
  }
  if (archive_read_open_filename(reader.get(), path.c_str(), 1 << 16) != ARCHIVE_OK) {
    return Fault(path, reader.get());
  }
  return reader;
}

// Calls `take` with each piece of the current member.
template <typename Take>
Result<> ReadMember(const std::string& path, ::archive* reader, uint64_t bytes_max, Take&& take) {
  std::vector<char> buffer(1 << 18);
  uint64_t total = 0;
  while (true) {
    const la_ssize_t got = archive_read_data(reader, buffer.data(), buffer.size());
    if (got < 0) return Fault(path, reader);
    if (got == 0) return Ok{};
    total += static_cast<uint64_t>(got);
    if (total > bytes_max) {
      return Error{Code::kTooLarge,
                   path + ": a member of more than " + std::to_string(bytes_max) + " bytes"};
    }
    TRY(take(std::string_view(buffer.data(), static_cast<size_t>(got))));
  }
}

std::string MemberName(archive_entry* entry) {
  const char* name = archive_entry_pathname(entry);
  return name == nullptr ? "" : name;
}

}  // namespace

Result<> ExtractFromPackage(const std::string& package_path,
                            const std::map<std::string, std::string>& members, uint64_t bytes_max) {
  const Reader reader = TRY(OpenArchive(package_path, false));
  std::map<std::string, std::string> missing = members;
  archive_entry* entry = nullptr;
  while (!missing.empty()) {
    const int status = archive_read_next_header(reader.get(), &entry);
    if (status == ARCHIVE_EOF) break;
    if (status < ARCHIVE_WARN) return Fault(package_path, reader.get());
    const std::string name = MemberName(entry);
    const auto wanted = missing.find(name.substr(name.find('/') + 1));
    if (wanted == missing.end() || archive_entry_filetype(entry) != AE_IFREG) continue;
    const Fd out = TRY(OpenFile(wanted->second, O_WRONLY | O_CREAT | O_TRUNC));
    TRY(ReadMember(package_path, reader.get(), bytes_max,
                   [&](std::string_view bytes) { return WriteAll(out.get(), bytes); }));
    missing.erase(wanted);
  }
  if (!missing.empty()) {
    return Error{Code::kNotFound, package_path + ": no " + missing.begin()->first + " in it"};
  }
  return Ok{};
}

Result<std::string> ReadZipMember(const std::string& path, const std::string& member,
                                  uint64_t bytes_max) {
  const Reader reader = TRY(OpenArchive(path, true));
  archive_entry* entry = nullptr;
  while (true) {
    const int status = archive_read_next_header(reader.get(), &entry);
    if (status == ARCHIVE_EOF) break;
    if (status < ARCHIVE_WARN) return Fault(path, reader.get());
    if (MemberName(entry) != member) continue;
    std::string out;
    TRY(ReadMember(path, reader.get(), bytes_max, [&](std::string_view bytes) -> Result<> {
      out += bytes;
      return Ok{};
    }));
    return out;
  }
  return Error{Code::kNotFound, path + ": no " + member + " in it"};
}

}  // namespace msearch::embedding
