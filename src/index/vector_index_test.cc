#include "index/vector_index.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <set>
#include <thread>

#include "base/file.h"
#include "index/test_index.h"

namespace msearch::index {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

class VectorIndexTest : public testing::Test {
 protected:
  std::unique_ptr<VectorIndex> Open(IndexOptions options = TwoViews()) {
    auto index = VectorIndex::Open(path_, std::move(options));
    EXPECT_TRUE(index.ok()) << index.message();
    return *std::move(index);
  }

  Vectors RandomVectors() { return {RandomDirection(random_, 24), RandomLabels(random_, 40)}; }

  // Puts `count` segments with ids 10, 20, ... into both.
  void Fill(VectorIndex& index, Library& library, int count) {
    for (int i = 1; i <= count; ++i) {
      library[10 * i] = RandomVectors();
      ASSERT_TRUE(AddTo(index, 10 * i, library[10 * i]).ok());
    }
  }

  std::vector<ViewQuery> SemanticQuery() { return {{.vector = RandomDirection(random_, 24)}}; }
  std::vector<ViewQuery> BothQuery() {
    return {{.vector = RandomDirection(random_, 24)},
            {.view = 1,
             .vector = RandomLabels(random_, 40),
             .transform = ViewQuery::Transform::kLog,
             .weight = 0.7F,
             .divide_by_mean = true}};
  }

  static void ExpectSame(const Result<std::vector<Match>>& found,
                         const std::vector<Match>& expected) {
    ASSERT_TRUE(found.ok()) << found.message();
    ASSERT_EQ(SegmentsOf(*found), SegmentsOf(expected));
    for (size_t i = 0; i < expected.size(); ++i) {
      EXPECT_NEAR((*found)[i].score, expected[i].score, 1e-5);
      ASSERT_EQ((*found)[i].by_view.size(), expected[i].by_view.size());
      for (size_t v = 0; v < expected[i].by_view.size(); ++v) {
        EXPECT_NEAR((*found)[i].by_view[v], expected[i].by_view[v],
                    1e-4 * std::max(1.0F, std::fabs(expected[i].by_view[v])));
      }
    }
  }

  // Standardising by codes shifts fused scores a little, so that neighbours may change places: the
  // scores must agree segment by segment, and nothing clearly better may be missing.
  static void ExpectNear(const Result<std::vector<Match>>& found,
                         const std::vector<Match>& expected_all, size_t count) {
    constexpr float kTolerance = 0.02F;
    ASSERT_TRUE(found.ok()) << found.message();
    ASSERT_EQ(found->size(), std::min(count, expected_all.size()));
    std::map<SegmentId, float> scores;
    for (const Match& match : expected_all) scores[match.segment] = match.score;
    float last = std::numeric_limits<float>::max();
    for (const Match& match : *found) {
      ASSERT_TRUE(scores.contains(match.segment));
      EXPECT_NEAR(match.score, scores[match.segment], kTolerance);
      EXPECT_LE(match.score, last);
      last = match.score;
    }
    const std::vector<SegmentId> segments = SegmentsOf(*found);
    const std::set<SegmentId> present(segments.begin(), segments.end());
    for (const Match& match : expected_all) {
      EXPECT_TRUE(match.score <= last + kTolerance || present.contains(match.segment));
    }
  }

  TemporaryDirectory directory_;
  std::string path_ = directory_.path() + "/index";
  std::mt19937 random_{7};
};

TEST_F(VectorIndexTest, AnEmptyIndexAnswersNothing) {
  const auto index = Open();
  EXPECT_EQ(index->size(), 0U);
  EXPECT_EQ(index->position(), 0U);
  EXPECT_THAT(index->Segments(), IsEmpty());
  EXPECT_THAT(*index->Search(SemanticQuery(), 10), IsEmpty());
  EXPECT_THAT(*index->Search(BothQuery(), 10), IsEmpty());
  EXPECT_EQ(index->Get(1, 0).code(), Code::kNotFound);
  EXPECT_TRUE(index->Save().ok());
  EXPECT_FALSE(OpenFile(path_, 0).ok()) << "nothing changed, so nothing should be written";
}

TEST_F(VectorIndexTest, SearchAgreesWithBruteForce) {
  const auto index = Open();
  Library library;
  Fill(*index, library, 3000);
  for (int i = 0; i < 20; ++i) {
    const auto query = SemanticQuery();
    ExpectSame(index->Search(query, 10), SearchByBruteForce(library, query, 10));
  }
  ASSERT_TRUE(index->Save().ok());
  for (int i = 0; i < 20; ++i) {
    const auto query = SemanticQuery();
    ExpectSame(index->Search(query, 10), SearchByBruteForce(library, query, 10));
  }
}

TEST_F(VectorIndexTest, ViewsAreStandardisedAndFused) {
  const auto index = Open();
  Library library;
  Fill(*index, library, 1500);
  for (int i = 0; i < 10; ++i) {
    const auto query = BothQuery();
    ExpectNear(index->Search(query, 10), SearchByBruteForce(library, query, 1500), 10);
    ExpectNear(index->Search(query, 1500), SearchByBruteForce(library, query, 1500), 1500);
  }
}

TEST_F(VectorIndexTest, OneViewAloneStaysRawEvenTransformed) {
  const auto index = Open();
  Library library;
  Fill(*index, library, 200);
  std::vector<ViewQuery> query = {BothQuery()[1]};
  ExpectSame(index->Search(query, 10), SearchByBruteForce(library, query, 10));
}

TEST_F(VectorIndexTest, SegmentsWithoutAViewDontMatchThere) {
  const auto index = Open();
  Library library;
  for (SegmentId segment = 1; segment <= 900; ++segment) {
    Vectors vectors = RandomVectors();
    if (segment % 3 == 0) vectors[0].clear();
    if (segment % 5 == 0) vectors[1].clear();
    library[segment] = vectors;
    ASSERT_TRUE(AddTo(*index, segment, vectors).ok());
    if (segment == 600) {
      ASSERT_TRUE(index->Save().ok());
    }
  }
  const auto one = SemanticQuery();
  ExpectSame(index->Search(one, 900), SearchByBruteForce(library, one, 900));
  const auto both = BothQuery();
  ExpectNear(index->Search(both, 900), SearchByBruteForce(library, both, 900), 900);
  EXPECT_EQ(index->Get(3, 0).code(), Code::kNotFound);
  EXPECT_EQ(*index->Get(3, 1), library[3][1]);
  EXPECT_EQ(index->size(), 900U);
}

TEST_F(VectorIndexTest, FiltersLoseNothing) {
  const auto index = Open();
  Library library;
  Fill(*index, library, 1000);
  ASSERT_TRUE(index->Save().ok());
  for (int i = 1; i <= 100; ++i) {
    library[10 * i + 5] = RandomVectors();
    ASSERT_TRUE(AddTo(*index, 10 * i + 5, library[10 * i + 5]).ok());
  }
  for (const int one_in : {2, 30, 400}) {
    const auto allowed = [&](SegmentId segment) { return segment / 5 % one_in == 0; };
    std::vector<SegmentId> candidates;
    for (const auto& [segment, vectors] : library) {
      if (allowed(segment)) candidates.push_back(segment);
    }
    const auto one = SemanticQuery();
    const auto expected = SearchByBruteForce(library, one, 10, allowed);
    ExpectSame(index->Search(one, 10, allowed), expected);
    ExpectSame(index->SearchAmong(one, 10, candidates), expected);
    const auto both = BothQuery();
    const auto expected_both = SearchByBruteForce(library, both, 2000, allowed);
    ExpectNear(index->Search(both, 10, allowed), expected_both, 10);
    ExpectNear(index->SearchAmong(both, 10, candidates), expected_both, 10);
  }
}

TEST_F(VectorIndexTest, AFilterIsAskedAtMostOnceForASegment) {
  const auto index = Open();
  Library library;
  Fill(*index, library, 500);
  for (const auto& query : {SemanticQuery(), BothQuery()}) {
    std::map<SegmentId, int> asked;
    ASSERT_TRUE(index->Search(query, 5, [&](SegmentId s) { return ++asked[s] > 0; }).ok());
    for (const auto& [segment, times] : asked) EXPECT_EQ(times, 1);
  }
}

TEST_F(VectorIndexTest, CandidatesMayBeUnknownRepeatedAndUnordered) {
  const auto index = Open();
  Library library;
  Fill(*index, library, 50);
  ASSERT_TRUE(index->Save().ok());
  const std::vector<SegmentId> candidates = {300, 7, 20, 300, -4, 20, 500};
  const auto found = index->SearchAmong(SemanticQuery(), 10, candidates);
  EXPECT_THAT(SegmentsOf(*found), testing::UnorderedElementsAre(20, 300, 500));
  EXPECT_THAT(*index->SearchAmong(SemanticQuery(), 10, {}), IsEmpty());
}

TEST_F(VectorIndexTest, EqualScoresComeInTheOrderOfIds) {
  const auto index = Open();
  const Vectors same = RandomVectors();
  for (const SegmentId segment : {900, 5, 300, 40, -7, 1000}) {
    ASSERT_TRUE(AddTo(*index, segment, same).ok());
    if (segment == 300) {
      ASSERT_TRUE(index->Save().ok());
    }
  }
  for (SegmentId segment = 2000; segment < 2500; ++segment) {
    ASSERT_TRUE(AddTo(*index, segment, same).ok());
  }
  EXPECT_THAT(SegmentsOf(*index->Search(SemanticQuery(), 4)), ElementsAre(-7, 5, 40, 300));
  EXPECT_THAT(SegmentsOf(*index->Search(BothQuery(), 4)), ElementsAre(-7, 5, 40, 300));
}

TEST_F(VectorIndexTest, ANegativeWeightPutsTheLeastSimilarFirst) {
  const auto index = Open();
  Library library;
  Fill(*index, library, 1000);
  auto query = SemanticQuery();
  query[0].weight = -2;
  ExpectSame(index->Search(query, 10), SearchByBruteForce(library, query, 10));
}

TEST_F(VectorIndexTest, RefusesWhatDoesNotFit) {
  const auto index = Open();
  Vectors wrong = RandomVectors();
  wrong[0].pop_back();
  EXPECT_EQ(AddTo(*index, 1, wrong).code(), Code::kInvalid);
  EXPECT_EQ(AddTo(*index, 1, {RandomDirection(random_, 24)}).code(), Code::kInvalid);
  for (const float bad : {NAN, INFINITY, 2e15F}) {
    Vectors vectors = RandomVectors();
    vectors[1][3] = bad;
    EXPECT_EQ(AddTo(*index, 1, vectors).code(), Code::kInvalid);
    auto query = SemanticQuery();
    query[0].vector[0] = bad;
    EXPECT_EQ(index->Search(query, 1).code(), Code::kInvalid);
  }
  EXPECT_EQ(index->size(), 0U);
  EXPECT_EQ(index->Search({}, 1).code(), Code::kInvalid);
  EXPECT_EQ(index->Search(std::vector<ViewQuery>{{.vector = {1, 2}}}, 1).code(), Code::kInvalid);
  auto no_view = SemanticQuery();
  no_view[0].view = 2;
  EXPECT_EQ(index->SearchAmong(no_view, 1, {}).code(), Code::kInvalid);
  EXPECT_EQ(VectorIndex::Open(path_, {.model_key = "m", .views = {}}).code(), Code::kInvalid);
}

TEST_F(VectorIndexTest, VectorsOfZeroAndOfExtremeSizeKeepScoresFinite) {
  const auto index = Open();
  for (const float size : {0.0F, 1e-40F, 1e-20F, 1e15F}) {
    const Vectors vectors = {std::vector<float>(24, size), std::vector<float>(40, size)};
    ASSERT_TRUE(AddTo(*index, index->size() + SegmentId{1}, vectors).ok());
  }
  auto query = BothQuery();
  query[0].vector.assign(24, 1e15F);
  const auto found = index->Search(query, 10);
  ASSERT_EQ(found->size(), 4U);
  for (const Match& match : *found) EXPECT_TRUE(std::isfinite(match.score));
}

TEST_F(VectorIndexTest, StoresThePositionWithTheFile) {
  const auto index = Open();
  index->set_position(42);
  ASSERT_TRUE(index->Save().ok());
  index->set_position(43);
  EXPECT_EQ(index->position(), 43U);
  EXPECT_EQ(Open()->position(), 42U);
}

// Every operation in random order against a map.
TEST_F(VectorIndexTest, BehavesLikeAMapThroughAnyHistory) {
  auto index = Open();
  Library library;
  const auto any = [&](int below) { return static_cast<int>(random_() % below); };
  for (int step = 0; step < 4000; ++step) {
    const SegmentId segment = any(600) - 100;
    const int dice = any(1000);
    if (dice < 700) {
      Vectors vectors = RandomVectors();
      if (any(4) == 0) vectors[any(2)].clear();
      ASSERT_TRUE(AddTo(*index, segment, vectors).ok());
      library[segment] = std::move(vectors);
    } else if (dice < 985) {
      index->Remove(segment);
      library.erase(segment);
    } else if (dice < 995) {
      index->set_position(step);
      ASSERT_TRUE(index->Save().ok());
    } else {
      index->set_position(step);
      ASSERT_TRUE(index->Save().ok());
      index = Open();
      EXPECT_EQ(index->position(), static_cast<uint64_t>(step));
    }
    ASSERT_EQ(index->size(), library.size());
    if (step % 50 != 0 || library.empty()) continue;
    const auto one = SemanticQuery();
    ExpectSame(index->Search(one, 5), SearchByBruteForce(library, one, 5));
    const auto both = BothQuery();
    ExpectNear(index->Search(both, 5), SearchByBruteForce(library, both, 1000), 5);
  }
  std::vector<SegmentId> segments;
  for (const auto& [segment, vectors] : library) {
    segments.push_back(segment);
    for (uint32_t view = 0; view < 2; ++view) {
      if (vectors[view].empty()) continue;
      EXPECT_EQ(*index->Get(segment, view), vectors[view]);
    }
  }
  EXPECT_EQ(index->Segments(), segments);
}

// A segment that is being replaced all the time is found by every search, and one that is removed
// by none that begins later.
TEST_F(VectorIndexTest, SearchesSeeWholeStatesWhileAWriterWorksAndSaves) {
  const auto index = Open();
  Library library;
  Fill(*index, library, 300);
  const auto query = SemanticQuery();
  const Vectors winner = {query[0].vector, {}};
  ASSERT_TRUE(AddTo(*index, 1, winner).ok());

  std::atomic<bool> done = false;
  std::atomic<SegmentId> removed_up_to = 0;
  std::atomic<int> searches = 0;
  std::vector<std::thread> readers;
  for (int r = 0; r < 2; ++r) {
    readers.emplace_back([&] {
      while (!done) {
        const SegmentId removed = removed_up_to;
        const auto found = index->Search(query, 1000);
        ASSERT_TRUE(found.ok()) << found.message();
        ASSERT_EQ(found->front().segment, 1);
        for (const Match& match : *found)
          ASSERT_TRUE(match.segment < 10 || match.segment > std::min<SegmentId>(removed, 3000));
        ASSERT_EQ(index->SearchAmong(query, 5, std::vector<SegmentId>{1})->size(), 1U);
        ASSERT_EQ(*index->Get(1, 0), winner[0]);
        (void)index->Segments();
        ++searches;
      }
    });
  }
  std::thread saver([&] {
    while (!done) ASSERT_TRUE(index->Save().ok());
  });
  // Ends by what happened, not by time.
  for (int i = 1; i <= 300 || searches < 300; ++i) {
    ASSERT_TRUE(AddTo(*index, 1, winner).ok());
    index->Remove(10 * i);
    removed_up_to = 10 * i;
    ASSERT_TRUE(AddTo(*index, 100000 + i % 300, RandomVectors()).ok());
  }
  done = true;
  for (std::thread& reader : readers) reader.join();
  saver.join();
  ASSERT_TRUE(index->Save().ok());
  EXPECT_EQ(Open()->size(), 301U);
}

}  // namespace
}  // namespace msearch::index
