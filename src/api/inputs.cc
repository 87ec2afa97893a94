#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "api/route_table.h"
#include "base/strings.h"
#include "ingest/capability.h"
#include "ingest/pipeline.h"

namespace msearch::api {

Result<Fd> MemoryFile(std::string_view bytes) {
  Fd file(memfd_create("upload", MFD_CLOEXEC));
  if (!file.valid()) return ErrnoError("upload", errno);
  TRY(WriteAll(file.get(), bytes));
  return file;
}

Result<Fd> OpenInsideRoot(const catalog::Catalog& catalog, const std::string& path) {
  namespace fs = std::filesystem;
  const Error outside{Code::kPermission, path + ": not inside a root"};
  // A path with a zero byte would be opened by what stands before it.
  if (path.find('\0') != std::string::npos) {
    return Error{Code::kInvalid, "path: has a zero byte"};
  }
  std::error_code error;
  const fs::path real = fs::canonical(path, error);
  for (const catalog::Root& root : TRY(catalog.Roots())) {
    const auto prefix = root.path + "/";
    if (!error && real.string().starts_with(prefix)) {
      Fd file = TRY(OpenFile(real.string(), O_RDONLY));
      // A part of the path may have become a link since it was resolved.
      const fs::path opened =
          fs::read_symlink("/proc/self/fd/" + std::to_string(file.get()), error);
      return !error && opened.string().starts_with(prefix) ? Result<Fd>(std::move(file)) : outside;
    }
    // Whether something exists outside the roots is nobody's business.
    if (error && fs::path(path).lexically_normal().string().starts_with(prefix)) {
      return Error{Code::kNotFound, path + ": " + error.message()};
    }
  }
  return outside;
}

Result<> CheckRoots(const catalog::Catalog& catalog, const std::vector<std::string>& names) {
  if (names.empty()) return Ok{};
  std::vector<std::string> known;
  for (const catalog::Root& root : TRY(catalog.Roots())) known.push_back(root.name);
  for (const std::string& name : names) {
    if (std::find(known.begin(), known.end(), name) != known.end()) continue;
    return Error{Code::kNotFound,
                 "root " + SanitizeUtf8(name) + ": no such root" + Suggestion(name, known)};
  }
  return Ok{};
}

Result<> CheckQueue(const Context& context, const std::string& name) {
  std::vector<std::string> known;
  for (const std::string_view own :
       {ingest::kScanQueue, ingest::kChangesQueue, ingest::kPrepareQueue, ingest::kReadQueue,
        ingest::kEmbedQueue, ingest::kCommitQueue, answer::kAnalysisQueue, answer::kAnswerQueue,
        answer::kQueryQueue, answer::kEndedQueue}) {
    known.emplace_back(own);
  }
  // Those of a capability are there before the first task is in them.
  for (const auto& of_step :
       {ingest::PrepareQueues(), ingest::ReadQueues(), ingest::EmbedQueuesFor(context.device, true),
        ingest::QueuesBeside(ingest::kAnalysisStep, "")}) {
    known.insert(known.end(), of_step.begin(), of_step.end());
  }
  if (std::find(known.begin(), known.end(), name) != known.end()) return Ok{};
  for (const auto& stats : TRY(context.queue->Stats())) {
    if (stats.name == name) return Ok{};
  }
  std::string message = "queue " + SanitizeUtf8(name) + ": no such queue";
  if (const auto nearest = NearestWord(name, known)) message += "; did you mean " + *nearest + "?";
  return Error{Code::kNotFound, message};
}

}  // namespace msearch::api
