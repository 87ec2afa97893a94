#include "ingest/thumbnails.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

namespace msearch::ingest {
namespace {

namespace fs = std::filesystem;

class ThumbnailsTest : public testing::Test {
 protected:
  ThumbnailsTest() {
    std::string path = testing::TempDir() + "/thumbnails-XXXXXX";
    folder_ = mkdtemp(path.data());
  }
  ~ThumbnailsTest() override { fs::remove_all(folder_); }

  // Over all folders.
  int SweepAll(Thumbnails& thumbnails, const Digest& kept, Milliseconds age) {
    int removed = 0;
    for (int i = 0; i < 256; ++i) {
      const auto swept =
          thumbnails.Sweep([&](const Digest& hash) -> Result<bool> { return hash == kept; }, age);
      EXPECT_TRUE(swept.ok()) << swept.message();
      removed += *swept;
    }
    return removed;
  }

  std::string folder_;
};

TEST_F(ThumbnailsTest, SweepKeepsWhatIsKnownAndRemovesTheRest) {
  Thumbnails thumbnails(folder_);
  const Digest kept = Sha256("kept");
  const Digest gone = Sha256("gone");
  ASSERT_TRUE(thumbnails.Store(kept, "jpeg").ok());
  ASSERT_TRUE(thumbnails.Store(gone, "jpeg").ok());
  std::ofstream(fs::path(thumbnails.PathOf(gone)).parent_path() / ".tmp-of-a-dead-process") << "x";
  EXPECT_EQ(SweepAll(thumbnails, kept, Milliseconds(0)), 2);
  EXPECT_TRUE(fs::exists(thumbnails.PathOf(kept)));
  EXPECT_FALSE(fs::exists(thumbnails.PathOf(gone)));
}

TEST_F(ThumbnailsTest, SweepLeavesWhatWasMadeJustNow) {
  Thumbnails thumbnails(folder_);
  ASSERT_TRUE(thumbnails.Store(Sha256("of a commit under way"), "jpeg").ok());
  EXPECT_EQ(SweepAll(thumbnails, Sha256("kept"), Milliseconds(3600 * 1000)), 0);
}

TEST_F(ThumbnailsTest, SweepOfAFolderThatWasDeletedFindsNothing) {
  Thumbnails thumbnails(folder_ + "/absent");
  EXPECT_EQ(SweepAll(thumbnails, Sha256("kept"), Milliseconds(0)), 0);
}

}  // namespace
}  // namespace msearch::ingest
