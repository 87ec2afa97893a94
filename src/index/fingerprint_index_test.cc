#include "index/fingerprint_index.h"

#include <gtest/gtest.h>

#include <random>

namespace msearch::index {
namespace {

using Items = std::vector<uint32_t>;

Items Random(std::mt19937& random, size_t count) {
  Items items(count);
  for (uint32_t& item : items) item = static_cast<uint32_t>(random()) | 1;
  return items;
}

Items Excerpt(const Items& track, size_t from, size_t count) {
  return {track.begin() + static_cast<ptrdiff_t>(from),
          track.begin() + static_cast<ptrdiff_t>(from + count)};
}

// Turns over this share of the bits.
Items Damaged(Items items, double share, std::mt19937& random) {
  std::bernoulli_distribution turn(share);
  for (uint32_t& item : items) {
    for (int bit = 0; bit < 32; ++bit) item ^= turn(random) ? 1U << bit : 0;
    item |= 1;
  }
  return items;
}

class Fingerprints : public testing::Test {
 protected:
  Fingerprints() {
    for (int64_t id = 1; id <= 50; ++id) {
      tracks_.push_back(Random(random_, 300 + static_cast<size_t>(id) * 7));
      index_.Put(id, tracks_.back());
    }
  }
  std::mt19937 random_{7};
  std::vector<Items> tracks_;
  FingerprintIndex index_;
};

TEST_F(Fingerprints, AnExcerptIsFoundWithItsPlace) {
  const auto found = index_.Search(Excerpt(tracks_[20], 111, 60), 10);
  ASSERT_TRUE(found.ok());
  ASSERT_EQ(found->size(), 1U);
  EXPECT_EQ(found->front().id, 21);
  EXPECT_EQ(found->front().offset, 111);
  EXPECT_EQ(found->front().items, 60U);
  EXPECT_EQ(found->front().error_rate, 0);
}

TEST_F(Fingerprints, DamageIsBorneUpToItsLimit) {
  for (const auto& [share, count] : {std::pair<double, size_t>{0.15, 1}, {0.35, 0}, {0.5, 0}}) {
    const auto found = index_.Search(Damaged(Excerpt(tracks_[5], 40, 80), share, random_), 10);
    ASSERT_TRUE(found.ok());
    ASSERT_EQ(found->size(), count) << share;
    if (count == 1) {
      EXPECT_EQ(found->front().id, 6);
      EXPECT_EQ(found->front().offset, 40);
    }
  }
}

TEST_F(Fingerprints, QueriesMayStandOver) {
  Items query = Random(random_, 30);
  const Items begin = Excerpt(tracks_[9], 0, 40);
  query.insert(query.end(), begin.begin(), begin.end());
  auto found = index_.Search(query, 10);
  ASSERT_TRUE(found.ok());
  ASSERT_EQ(found->size(), 1U);
  EXPECT_EQ(found->front().id, 10);
  EXPECT_EQ(found->front().offset, -30);
  // And a track that is shorter than the query lies within it.
  index_.Put(99, Excerpt(query, 10, 45));
  found = index_.Search(query, 10);
  ASSERT_TRUE(found.ok());
  ASSERT_EQ(found->size(), 2U);
  EXPECT_EQ(found->front().id, 99);
  EXPECT_EQ(found->front().offset, -10);
}

TEST_F(Fingerprints, SilenceAndSteadyTonesMatchNothing) {
  index_.Put(100, Items(200, 0));
  index_.Put(101, Items(200, 0x12345679));
  for (const Items& query : {Items(60, 0), Items(60, 0x12345679), Items(5, 77)}) {
    const auto found = index_.Search(query, 10);
    ASSERT_TRUE(found.ok());
    EXPECT_TRUE(found->empty());
  }
  // Silence within a query takes nothing away from the rest.
  Items half = Excerpt(tracks_[3], 50, 80);
  std::fill(half.begin() + 30, half.begin() + 60, 0);
  const auto found = index_.Search(half, 10);
  ASSERT_TRUE(found.ok());
  ASSERT_EQ(found->size(), 1U);
  EXPECT_EQ(found->front().items, 50U);
}

TEST_F(Fingerprints, WhatIsRemovedReplacedOrNotAllowedIsNotFound) {
  const Items query = Excerpt(tracks_[0], 10, 60);
  EXPECT_TRUE(index_.Search(query, 10, [](int64_t id) { return id != 1; })->empty());
  index_.Put(1, tracks_[1]);
  EXPECT_TRUE(index_.Search(query, 10)->empty());
  index_.Put(1, tracks_[0]);
  EXPECT_EQ(index_.Search(query, 10)->size(), 1U);
  index_.Remove(1);
  EXPECT_TRUE(index_.Search(query, 10)->empty());
  EXPECT_EQ(index_.size(), 49U);
}

TEST_F(Fingerprints, TooLongAQueryIsRefused) {
  EXPECT_EQ(index_.Search(Random(random_, FingerprintIndex::kQueryItemsMax + 1), 1).code(),
            Code::kInvalid);
}

}  // namespace
}  // namespace msearch::index
