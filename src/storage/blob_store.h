// Bytes between the steps of the pipeline: model inputs, prepared documents, vectors, uploads.
// Short-lived, checked when read, within a byte budget.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"

namespace msearch::storage {

// Thread-safe, and shared by processes.
class BlobStore {
 public:
  virtual ~BlobStore() = default;
  // Stores the bytes and gives the id to fetch them by. kExhausted when the budget or the disk is
  // full; kTooLarge for what would not even fit when it's empty. Every Put gives an id of its own,
  // so one Remove belongs to each.
  virtual Result<std::string> Put(std::string_view bytes) = 0;
  // kNotFound when it expired, was removed or lost: the step that made it has to run again.
  virtual Result<std::string> Get(const std::string& id) const = 0;
  virtual void Remove(const std::string& id) = 0;
  // Bytes stored now, about (refreshed at most once a second).
  virtual uint64_t bytes() const = 0;
  virtual uint64_t bytes_max() const = 0;
  // Removes what is older than `age`; gives the number removed.
  virtual Result<int> RemoveOlderThan(Milliseconds age) = 0;
};

// Files in `directory` (made if absent), for the processes of one machine.
Result<std::unique_ptr<BlobStore>> OpenFileBlobStore(const std::string& directory,
                                                     uint64_t bytes_max);

}  // namespace msearch::storage
