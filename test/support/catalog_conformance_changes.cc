#include <gmock/gmock.h>

#include "support/catalog_conformance.h"

namespace msearch::catalog {
namespace {

using testing::IsEmpty;
using testing::SizeIs;

}  // namespace

TEST_P(CatalogConformance, ReplicaFollowsAdditionsAndRemovals) {
  AddRoot("photos");
  Replica replica;
  for (int i = 0; i < 10; ++i) {
    Index("photos", std::to_string(i), Document(std::to_string(i), {"one", "two"}));
    if (i % 3 == 0) replica.Follow(*catalog_);
  }
  replica.Follow(*catalog_);
  EXPECT_THAT(replica.vectors, SizeIs(20));
  EXPECT_EQ(replica.position, Get(catalog_->Position(kModel)));
  Expect(catalog_->FilesGone("photos", std::array{std::string("3"), std::string("4")}));
  replica.Follow(*catalog_);
  EXPECT_THAT(replica.vectors, SizeIs(16));
  EXPECT_EQ(replica.restarts, 0);
  EXPECT_EQ(Get(catalog_->CountSegments(kModel)), 16);
  Replica late;
  late.Follow(*catalog_);
  EXPECT_EQ(late.vectors, replica.vectors);
}

TEST_P(CatalogConformance, VectorsAreDeliveredAsTheyWereCommitted) {
  AddRoot("photos");
  MediaContent content = Picture("x");
  content.segments[0].views = {{0.25F, -1.5F, 3e-20F}, {}, {7.0F}};
  Index("photos", "a.jpg", content);
  MediaContent none = Picture("y");
  none.segments[0].views = {{}, {}};
  Index("photos", "b.jpg", none);
  bool restart = true;
  const std::vector<IndexChange> changes = Get(catalog_->ChangesFor(kModel, 0, 10, &restart));
  EXPECT_FALSE(restart);
  ASSERT_THAT(changes, SizeIs(1));
  EXPECT_EQ(changes[0].views, content.segments[0].views);
  EXPECT_TRUE(Get(catalog_->HasContent(none.hash, "p1", kModel)));
}

TEST_P(CatalogConformance, NewModelsVectorsGrowBesideTheOldOnes) {
  AddRoot("photos");
  const CommitEffect first = Index("photos", "a.jpg", Picture("x"));
  const std::vector<SegmentId> segments = Get(catalog_->SegmentsOf(first.media));
  Index("photos", "b.jpg", Picture("y"));
  EXPECT_EQ(Get(catalog_->MarkOutdated("p1", "model-2")), 2);
  EXPECT_TRUE(Index("photos", "a.jpg", Picture("x"), "model-2").content_new);
  EXPECT_EQ(Get(catalog_->SegmentsOf(first.media)), segments);
  EXPECT_EQ(Get(catalog_->CountSegments(kModel)), 2);
  EXPECT_EQ(Get(catalog_->CountSegments("model-2")), 1);
  Index("photos", "b.jpg", Picture("y"), "model-2");
  Replica old_one;
  old_one.Follow(*catalog_);
  Replica replica;
  replica.Follow(*catalog_, "model-2");
  EXPECT_EQ(old_one.vectors, replica.vectors);
  EXPECT_EQ(Get(catalog_->DropOtherModels(std::array{std::string("model-2")})), 2);
  EXPECT_EQ(Get(catalog_->CountSegments(kModel)), 0);
  EXPECT_FALSE(Get(catalog_->HasContent(Sha256("x"), "p1", kModel)));
  EXPECT_TRUE(Get(catalog_->HasContent(Sha256("x"), "p1", "model-2")));
  // The dropped model's replica learns that nothing is left of it, and the other loses nothing.
  old_one.Follow(*catalog_);
  EXPECT_EQ(old_one.restarts, 1);
  EXPECT_THAT(old_one.vectors, IsEmpty());
  replica.Follow(*catalog_, "model-2");
  EXPECT_EQ(replica.restarts, 0);
  EXPECT_EQ(replica.position, Get(catalog_->Position("model-2")));
}

TEST_P(CatalogConformance, NewPreparationKeepsTheOldModelsVectorsUntilTheyAreDropped) {
  AddRoot("notes");
  Index("notes", "a.txt", Document("a", {"one", "two", "three"}));
  EXPECT_EQ(Get(catalog_->MarkOutdated("p2", "model-2")), 1);
  MediaContent again = Document("a", {"one two", "three"});
  again.preparation = "p2";
  Index("notes", "a.txt", again, "model-2");
  EXPECT_EQ(Get(catalog_->CountSegments("model-2")), 2);
  EXPECT_EQ(Get(catalog_->CountSegments(kModel)), 2);  // no hole in the search meanwhile
  EXPECT_FALSE(Get(catalog_->HasContent(Sha256("a"), "p2", kModel)));
}

TEST_P(CatalogConformance, ReplicaFromTheFutureStartsFromNothing) {
  AddRoot("photos");
  Index("photos", "a.jpg", Picture("x"));
  // As after restoring an old backup beside a newer index.
  Replica replica;
  replica.position = Get(catalog_->Position()) + 1000;
  replica.vectors[77] = 1;
  replica.Follow(*catalog_);
  EXPECT_EQ(replica.restarts, 1);
  EXPECT_THAT(replica.vectors, SizeIs(1));
}

}  // namespace msearch::catalog
