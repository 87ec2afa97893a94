#include <gmock/gmock.h>

#include <algorithm>
#include <random>

#include "support/catalog_conformance.h"

// Random histories of reports, commits and failures, compared with a model in memory.

namespace msearch::catalog {
namespace {

using testing::SizeIs;

// What a catalog must say about files and contents, by the simplest means.
struct Oracle {
  struct Entry {
    FileFact fact;
    FileState state = FileState::kPending;
    std::string content;   // of what's shown for it; empty: nothing
    bool current = false;  // whether that is of this version
  };
  std::map<std::string, std::map<std::string, Entry>> roots;

  std::set<std::string> Contents() const {
    std::set<std::string> contents;
    for (const auto& [root, files] : roots) {
      for (const auto& [path, entry] : files) {
        if (!entry.content.empty()) contents.insert(entry.content);
      }
    }
    return contents;
  }
};

class RandomWalk {
 public:
  RandomWalk(CatalogUnderTest& state, uint32_t seed) : state_(state), random_(seed) {
    catalog_ = state_.Open();
    for (const char* name : {"one", "two"}) AddRoot(name);
  }

  void Step() {
    switch (Pick(12)) {
      case 0:
      case 1:
      case 2:
        return Present();
      case 3:
        return Move();
      case 4:
        return Gone();
      case 5:
      case 6:
      case 7:
      case 8:
        return Commit();
      case 9:
        return Fail();
      case 10:
        return Rarely();
      default:
        return replica_.Follow(*catalog_);
    }
  }

  void Check() {
    CheckCounts();
    CheckMedia();
    replica_.Follow(*catalog_);
    Replica fresh;
    fresh.Follow(*catalog_, kModel, 100);
    EXPECT_EQ(replica_.vectors, fresh.vectors);
    EXPECT_EQ(Get(catalog_->CountSegments(kModel)), static_cast<int64_t>(fresh.vectors.size()));
    std::vector<SegmentId> with_vectors;
    for (const auto& [segment, value] : fresh.vectors) with_vectors.push_back(segment);
    EXPECT_EQ(with_vectors, Get(catalog_->FilterSegments({})));
  }

 private:
  size_t Pick(size_t count) { return random_() % count; }
  std::string PickRoot() { return Pick(2) == 0 ? "one" : "two"; }
  std::string PickPath() { return "f" + std::to_string(Pick(12)); }

  void AddRoot(const std::string& name) {
    Root root;
    root.name = name;
    root.path = "/" + name;
    Get(catalog_->AddRoot(root));
    oracle_.roots[name];
  }

  void Present() {
    const std::string root = PickRoot();
    FileFact fact = Fact(PickPath(), 100 + Pick(2));
    fact.inode = ++inode_ % 5;
    Oracle::Entry& entry = oracle_.roots[root][fact.path];
    const bool changed =
        entry.fact.path.empty() || entry.fact.size != fact.size || entry.fact.inode != fact.inode;
    EXPECT_EQ(Get(catalog_->FilesPresent(root, std::array{fact})), changed ? 1 : 0);
    entry.fact = fact;
    if (!changed) return;
    entry.state = FileState::kPending;
    entry.current = false;
  }

  void Move() {
    const std::string root = PickRoot();
    auto& files = oracle_.roots[root];
    const auto from = files.find(PickPath());
    const std::string to = PickPath();
    if (from == files.end() || from->first == to) return;
    FileFact fact = from->second.fact;
    fact.path = to;
    Expect(catalog_->FileMoved(root, from->first, fact));
    Oracle::Entry entry = from->second;
    entry.fact = fact;
    files.erase(from);
    files[to] = entry;
  }

  void Gone() {
    const std::string root = PickRoot();
    const std::string path = PickPath();
    Expect(catalog_->FilesGone(root, std::array{path}));
    oracle_.roots[root].erase(path);
  }

  std::optional<File> PickPending() {
    const std::vector<File> files = Get(catalog_->PendingFiles(0, 1000));
    if (files.empty()) return std::nullopt;
    return files[Pick(files.size())];
  }

  Oracle::Entry& EntryOf(const File& file) {
    for (const Root& root : Get(catalog_->Roots())) {
      if (root.id == file.root_id) return oracle_.roots[root.name][file.fact.path];
    }
    ADD_FAILURE() << "a file without root";
    return nowhere_;
  }

  void Commit() {
    const std::optional<File> file = PickPending();
    if (!file) return;
    catalog::Commit commit;
    commit.file = file->id;
    commit.version = file->version;
    commit.token = {1, ++token_};
    commit.model_key = kModel;
    const std::string bytes = "content " + std::to_string(Pick(9));
    commit.hash = Sha256(bytes);
    const bool known = Get(catalog_->HasContent(commit.hash, "p1", kModel));
    if (!known || Pick(2) == 0) commit.content = Document(bytes, {"text", bytes});
    const int times = Pick(4) == 0 ? 2 : 1;
    for (int i = 0; i < times; ++i) {
      Expect(Get(catalog_->Apply(std::span(&commit, 1))).at(0).status);
    }
    if (Pick(4) == 0) {
      commit.token = {1, token_ - 1};
      EXPECT_EQ(Get(catalog_->Apply(std::span(&commit, 1))).at(0).status.code(), Code::kStale);
    }
    Oracle::Entry& entry = EntryOf(*file);
    entry.state = FileState::kIndexed;
    entry.content = bytes;
    entry.current = true;
  }

  void Fail() {
    const std::optional<File> file = PickPending();
    if (!file) return;
    Expect(catalog_->MarkFailed(file->id, file->version, {1, ++token_}, {Code::kCorrupt, "f: bad"},
                                1));
    Oracle::Entry& entry = EntryOf(*file);
    entry.state = FileState::kFailed;
    if (!entry.current) entry.content.clear();
  }

  void Rarely() {
    switch (Pick(6)) {
      case 0:
        Get(catalog_->PurgeOrphans(Milliseconds(Pick(2) * 1000)));
        return;
      case 1:
        state_.clock().Advance(Milliseconds(700));
        return;
      case 2:
        Get(catalog_->RetryFailures({.root = ""}));
        return ForEach([](Oracle::Entry& entry) {
          if (entry.state == FileState::kFailed) entry.state = FileState::kPending;
        });
      case 3:
        Get(catalog_->MarkOutdated("p2", ""));
        return ForEach([](Oracle::Entry& entry) {
          if (entry.state == FileState::kIndexed) entry.state = FileState::kPending;
        });
      case 4: {
        const std::string root = PickRoot();
        Expect(catalog_->RemoveRoot(root));
        oracle_.roots.erase(root);
        return AddRoot(root);
      }
      default:
        catalog_.reset();
        catalog_ = state_.Open();
    }
  }

  template <typename Change>
  void ForEach(Change&& change) {
    for (auto& [root, files] : oracle_.roots) {
      for (auto& [path, entry] : files) change(entry);
    }
  }

  void CheckCounts() {
    const std::map<std::string, RootCounts> counts = Get(catalog_->CountsByRoot());
    for (const auto& [root, files] : oracle_.roots) {
      RootCounts expected;
      for (const auto& [path, entry] : files) {
        ++expected.files;
        expected.bytes += static_cast<int64_t>(entry.fact.size);
        if (entry.state == FileState::kPending) ++expected.pending;
        if (entry.state == FileState::kIndexed) ++expected.indexed;
        if (entry.state == FileState::kFailed) ++expected.failed;
      }
      const RootCounts& got = counts.at(root);
      EXPECT_EQ(std::tie(got.files, got.indexed, got.pending, got.failed, got.bytes),
                std::tie(expected.files, expected.indexed, expected.pending, expected.failed,
                         expected.bytes));
    }
  }

  void CheckMedia() {
    int64_t total = 0;
    std::map<std::string, std::set<std::string>> expected;
    for (const auto& [root, files] : oracle_.roots) {
      for (const auto& [path, entry] : files) {
        if (!entry.content.empty()) expected[entry.content].insert(root + ":" + path);
      }
    }
    std::map<std::string, std::set<std::string>> got;
    for (const Media& listed : Get(catalog_->ListMedia({{}, 0, 1000}, &total))) {
      const Media media = Get(catalog_->GetMedia(listed.id));
      ASSERT_THAT(media.content.segments, SizeIs(2));
      for (const Media::Path& path : media.paths) {
        got[media.content.segments[1].text].insert(path.root + ":" + path.path);
      }
      CheckFound(media);
    }
    EXPECT_EQ(got, expected);
    EXPECT_EQ(total, static_cast<int64_t>(expected.size()));
    // Nothing else is found by words either: two segments of each.
    EXPECT_THAT(Get(catalog_->SearchText("text", {}, 1000)), SizeIs(expected.size()));
    EXPECT_THAT(Get(catalog_->SearchText("content", {}, 1000)), SizeIs(expected.size()));
  }

  // By all its names, in its first segment.
  void CheckFound(const Media& media) {
    const SegmentId first = Get(catalog_->SegmentsOf(media.id)).at(0);
    for (const Media::Path& path : media.paths) {
      const std::vector<TextMatch> matches =
          Get(catalog_->SearchText("\"" + path.path + "\"", {}, 1000));
      EXPECT_TRUE(std::ranges::any_of(matches, [&](const TextMatch& match) {
        return match.segment == first;
      })) << path.path;
    }
  }

  CatalogUnderTest& state_;
  std::mt19937 random_;
  std::unique_ptr<Catalog> catalog_;
  Oracle oracle_;
  Oracle::Entry nowhere_;
  Replica replica_;
  uint64_t token_ = 0;
  uint64_t inode_ = 0;
};

}  // namespace

TEST_P(CatalogConformance, RandomHistoriesAgreeWithAModelInMemory) {
  for (uint32_t seed = 1; seed <= 6; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    const std::unique_ptr<CatalogUnderTest> state = GetParam().make();
    RandomWalk walk(*state, seed);
    for (int step = 1; step <= 300 && !HasFailure(); ++step) {
      walk.Step();
      if (step % 10 == 0) walk.Check();
    }
  }
}

}  // namespace msearch::catalog
