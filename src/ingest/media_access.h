// How a worker gets at the bytes of a file that a job names: from the file itself where its path
// can be opened, or, on a machine without the controller's disks, from the controller.
#pragma once

#include <memory>
#include <stop_token>
#include <string>

#include "base/digest.h"
#include "base/file.h"
#include "base/result.h"
#include "ingest/pipeline.h"

namespace msearch::ingest {

// The file of one job. Used by one thread.
class MediaFile {
 public:
  virtual ~MediaFile() = default;
  // Of the content; comes without moving the bytes where they are elsewhere.
  virtual Result<Digest> Hash() = 0;
  // An open descriptor of exactly the content that was hashed, for reading with pread. Valid for
  // as long as this object.
  virtual Result<const Fd*> Open() = 0;
  // Whether the file isn't what the job describes any more: what was read of it is of no use.
  virtual bool Changed() const = 0;
};

// A content that the catalog has, and one of the files that hold it.
struct KnownContent {
  Digest hash;
  std::string path;  // absolute, on the controller's machine
  uint64_t size = 0;
  int64_t modified_ns = 0;
};

// Thread-safe.
class MediaAccess {
 public:
  virtual ~MediaAccess() = default;
  // kNotFound and the like when the file is gone, kUnsupported when it isn't a regular file,
  // kUnavailable when it is still changing or can't be reached now.
  virtual Result<std::unique_ptr<MediaFile>> Find(const PrepareJob& job, std::stop_token stop) = 0;
  // A second look at a content that was committed; kNotFound when no file has it any more.
  virtual Result<Fd> OpenContent(const KnownContent& content, std::stop_token stop) = 0;
};

// Files of this machine's own disks and shares.
std::unique_ptr<MediaAccess> LocalMedia();

// The open file when it is a regular one with this size and time. kUnavailable when it has others.
Result<Fd> OpenUnchanged(const std::string& path, uint64_t size, int64_t modified_ns);

}  // namespace msearch::ingest
