// What every back end of the catalog must do, as one suite that runs unchanged over each:
//
//   INSTANTIATE_TEST_SUITE_P(Sqlite, CatalogConformance, testing::Values(CatalogKind{...}));
//
// in a program that links catalog_conformance.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "catalog/catalog.h"
#include "support/manual_clock.h"

namespace msearch::catalog {

// One back end's state, empty at first, and gone with the object.
class CatalogUnderTest {
 public:
  virtual ~CatalogUnderTest() = default;
  // Opens the state again, after a restart.
  virtual std::unique_ptr<Catalog> Open() = 0;
  test::ManualClock& clock() { return clock_; }

 protected:
  test::ManualClock clock_;
};

struct CatalogKind {
  std::string name;
  std::function<std::unique_ptr<CatalogUnderTest>()> make;
};
inline void PrintTo(const CatalogKind& kind, std::ostream* out) { *out << kind.name; }

// A file as the monitor would report it. Equal paths give equal facts.
FileFact Fact(const std::string& path, uint64_t size = 100, int64_t modified_ms = 1000);
// A picture with one segment, whose hash is that of `bytes`, with a vector of its own.
MediaContent Picture(const std::string& bytes, const std::string& text = "",
                     std::vector<std::string> labels = {});
// A document with a segment for each text.
MediaContent Document(const std::string& bytes, const std::vector<std::string>& texts);

inline constexpr char kModel[] = "model-1";

// The value, or a failed test and nothing of use.
template <typename T>
T Get(Result<T> result) {
  if (result.ok()) return std::move(result).value();
  ADD_FAILURE() << CodeName(result.code()) << ": " << result.message();
  return T();
}
inline void Expect(const Result<>& result) {
  EXPECT_TRUE(result.ok()) << CodeName(result.code()) << ": " << result.message();
}

// What a replica of an index holds: the first value of the first view by segment.
struct Replica {
  uint64_t position = 0;
  std::map<SegmentId, float> vectors;
  int restarts = 0;
  // Replays the log in pages until nothing comes.
  void Follow(const Catalog& catalog, const std::string& model = kModel, size_t page = 3);
};

class CatalogConformance : public testing::TestWithParam<CatalogKind> {
 protected:
  CatalogConformance() : state_(GetParam().make()), catalog_(state_->Open()) {}

  void AddRoot(const std::string& name) {
    Root root;
    root.name = name;
    root.path = "/" + name;
    Get(catalog_->AddRoot(root));
  }
  void Reopen() {
    catalog_.reset();
    catalog_ = state_->Open();
  }

  // The file at this path, which must be pending.
  File PendingAt(const std::string& path);
  std::set<std::string> PendingPaths();
  // Reports the file if that's new, and commits this content for it.
  CommitEffect Index(const std::string& root, const std::string& path, const MediaContent& content,
                     const std::string& model = kModel);
  // Commits for a pending file, as the lease with this token.
  Commit CommitFor(const File& file, const MediaContent& content, Token token);
  CommitEffect ApplyOne(const Commit& commit);

  // Paths of the media found, "root:path", sorted; of every media the first path.
  std::vector<std::string> Search(const std::string& words, const Filters& filters = {});
  std::vector<std::string> Listed(const Filters& filters = {});
  // By FilterSegments.
  std::vector<std::string> Passing(const Filters& filters);

  std::unique_ptr<CatalogUnderTest> state_;
  std::unique_ptr<Catalog> catalog_;
  uint64_t token_ = 0;  // the last one that Index used
};

}  // namespace msearch::catalog
