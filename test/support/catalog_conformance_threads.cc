#include <atomic>
#include <thread>

#include "support/catalog_conformance.h"

namespace msearch::catalog {

TEST_P(CatalogConformance, ThreadsMayReadAndWriteTogether) {
  constexpr int kFilesEach = 25;
  AddRoot("one");
  AddRoot("two");
  std::atomic<bool> done = false;
  const auto write = [&](const std::string& root) {
    for (int i = 0; i < kFilesEach; ++i) {
      const std::string path = root + std::to_string(i);
      Get(catalog_->FilesPresent(root, std::array{Fact(path)}));
      for (const File& file : Get(catalog_->PendingFiles(0, 10))) {
        // Both writers may see the same file; either result is right.
        Commit commit = CommitFor(file, Document(file.fact.path, {"word"}), {1, 1});
        Expect(Get(catalog_->Apply(std::span(&commit, 1))).at(0).status);
      }
    }
  };
  const auto read = [&] {
    Replica replica;
    while (!done) {
      replica.Follow(*catalog_);
      const size_t found = Get(catalog_->SearchText("word", {}, 1000)).size();
      EXPECT_GE(found, replica.vectors.size());
      int64_t total = 0;
      Get(catalog_->ListMedia({}, &total));
      EXPECT_GE(static_cast<size_t>(total), found);
    }
  };
  std::jthread reader(read);
  std::jthread other(read);
  {
    std::jthread first([&] { write("one"); });
    std::jthread second([&] { write("two"); });
  }
  done = true;
  other.join();
  reader.join();
  EXPECT_EQ(Get(catalog_->CountSegments(kModel)), 2 * kFilesEach);
  EXPECT_EQ(Get(catalog_->CountsByRoot())["two"].indexed, kFilesEach);
}

}  // namespace msearch::catalog
