// Damaged, foreign and unwritable index files.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstring>

#include "base/file.h"
#include "index/file_format.h"
#include "index/file_writer.h"
#include "index/test_index.h"

namespace msearch::index {
namespace {

constexpr int kSegments = 400;

class IndexFileTest : public testing::Test {
 protected:
  void SetUp() override {
    const auto index = *VectorIndex::Open(path_, TwoViews());
    for (SegmentId segment = 1; segment <= kSegments; ++segment) {
      Vectors vectors = {RandomDirection(random_, 24), RandomLabels(random_, 40)};
      if (segment % 4 == 0) vectors[1].clear();
      ASSERT_TRUE(AddTo(*index, segment, vectors).ok());
    }
    ASSERT_TRUE(index->Save().ok());
    bytes_ = *ReadFile(path_);
  }

  void Write(const std::string& bytes) { ASSERT_TRUE(WriteFileAtomically(path_, bytes).ok()); }

  // Opens the file and uses all of it: the first error.
  Result<> Use(const IndexOptions& options = TwoViews()) {
    const auto index = TRY(VectorIndex::Open(path_, options));
    TRY(index->Search(std::vector<ViewQuery>{{.vector = RandomDirection(random_, 24)}}, kSegments));
    TRY(index->Search(std::vector<ViewQuery>{{.view = 1, .vector = RandomLabels(random_, 40)}},
                      kSegments));
    return Ok{};
  }

  // The file's head, to be changed and put back with a hash that fits.
  FileHead Head() { return *DecodeHead(bytes_.substr(0, *HeadBytes(bytes_))); }
  void WriteWithHead(const FileHead& head) {
    const std::string encoded = EncodeHead(head);
    Write(encoded + bytes_.substr(encoded.size()));
  }

  TemporaryDirectory directory_;
  std::string path_ = directory_.path() + "/index";
  std::mt19937 random_{3};
  std::string bytes_;
};

TEST_F(IndexFileTest, AWholeFileIsFineThroughout) {
  const auto index = *VectorIndex::Open(path_, TwoViews());
  EXPECT_TRUE(index->Verify().ok());
  EXPECT_TRUE(Use().ok());
}

TEST_F(IndexFileTest, ACutFileIsCorrupt) {
  for (const size_t size : {size_t{0}, size_t{1}, size_t{15}, size_t{16}, size_t{4000},
                            size_t{4096}, size_t{8192}, bytes_.size() / 2, bytes_.size() - 1}) {
    Write(bytes_.substr(0, size));
    EXPECT_EQ(VectorIndex::Open(path_, TwoViews()).code(), Code::kCorrupt) << size;
  }
  Write(bytes_ + "more");
  EXPECT_EQ(VectorIndex::Open(path_, TwoViews()).code(), Code::kCorrupt);
}

TEST_F(IndexFileTest, AFlippedBitIsFoundBeforeItsByteIsUsed) {
  const FileLayout layout(Head());
  for (int i = 0; i < 400; ++i) {
    std::string damaged = bytes_;
    // The beginning is small: give it a share of its own.
    const size_t at = random_() % (i % 2 == 0 ? layout.data : bytes_.size());
    damaged[at] = static_cast<char>(damaged[at] ^ (1 << (random_() % 8)));
    Write(damaged);
    const auto index = VectorIndex::Open(path_, TwoViews());
    if (at < layout.exact) {
      EXPECT_EQ(index.code(), Code::kCorrupt) << "byte " << at;
    } else {
      ASSERT_TRUE(index.ok());
      EXPECT_EQ((*index)->Verify().code(), Code::kCorrupt) << "byte " << at;
      EXPECT_EQ(Use().code(), Code::kCorrupt) << "byte " << at;
    }
  }
}

TEST_F(IndexFileTest, DamageIsNotCopiedIntoANewFile) {
  std::string damaged = bytes_;
  damaged[FileLayout(Head()).views[0].exact + 5] ^= 4;
  Write(damaged);
  const auto index = *VectorIndex::Open(path_, TwoViews());
  index->Remove(300);
  EXPECT_EQ(index->Save().code(), Code::kCorrupt);
  EXPECT_EQ(*ReadFile(path_), damaged);
}

TEST_F(IndexFileTest, SizesThatAreForgedAreRefused) {
  for (const uint64_t many :
       {uint64_t{401}, uint64_t{1} << 31, uint64_t{1} << 32, uint64_t{1} << 61, ~uint64_t{0}}) {
    FileHead head = Head();
    head.segments = many;
    WriteWithHead(head);
    EXPECT_EQ(VectorIndex::Open(path_, TwoViews()).code(), Code::kCorrupt) << many;
    head = Head();
    head.rows[0] = many;
    WriteWithHead(head);
    EXPECT_EQ(VectorIndex::Open(path_, TwoViews()).code(), Code::kCorrupt) << many;
    head = Head();
    head.views[1].dimensions = static_cast<uint32_t>(many);
    WriteWithHead(head);
    EXPECT_EQ(VectorIndex::Open(path_, TwoViews()).code(), Code::kCorrupt) << many;
    // Consistent with itself, but not with the file.
    head = Head();
    head.segments = head.rows[0] = head.rows[1] = many >> 31;
    head.file_bytes = FileLayout(head).file_bytes;
    WriteWithHead(head);
    EXPECT_EQ(VectorIndex::Open(path_, TwoViews()).code(), Code::kCorrupt) << many;
  }
}

TEST_F(IndexFileTest, IdsAndSlotsThatAreForgedAreRefused) {
  const FileLayout layout(Head());
  const auto forge = [&](uint64_t offset, uint64_t bytes, const char* with) {
    std::string forged = bytes_;
    std::memcpy(forged.data() + offset, with, bytes);
    const uint64_t chunk = layout.ChunkOf(offset);
    const uint64_t hash =
        HashOf(std::string_view(forged).substr(layout.data + chunk * kChunkBytes, kChunkBytes));
    std::memcpy(forged.data() + layout.table + chunk * sizeof(hash), &hash, sizeof(hash));
    FileHead head = Head();
    head.table_hash = HashOf(std::string_view(forged).substr(layout.table, layout.table_bytes()));
    Write(EncodeHead(head) + forged.substr(layout.table));
    return VectorIndex::Open(path_, TwoViews());
  };
  EXPECT_TRUE(forge(layout.ids, 8, bytes_.data() + layout.ids).ok());
  const SegmentId id = 5;
  EXPECT_EQ(forge(layout.ids, sizeof(id), reinterpret_cast<const char*>(&id)).code(),
            Code::kCorrupt);
  const uint64_t last_slot = layout.views[1].slots + (Head().rows[1] - 1) * sizeof(uint32_t);
  const uint32_t slot = kSegments;
  EXPECT_EQ(forge(last_slot, sizeof(slot), reinterpret_cast<const char*>(&slot)).code(),
            Code::kCorrupt);
}

TEST_F(IndexFileTest, AnotherModelsFileIsStale) {
  IndexOptions options = TwoViews();
  options.model_key = "test/2";
  EXPECT_EQ(VectorIndex::Open(path_, options).code(), Code::kStale);
  options = TwoViews();
  options.views[0].dimensions = 25;
  EXPECT_EQ(VectorIndex::Open(path_, options).code(), Code::kStale);
  options = TwoViews();
  options.views[1].codes = View::Codes::kInt8;
  EXPECT_EQ(VectorIndex::Open(path_, options).code(), Code::kStale);
  options.views.pop_back();
  EXPECT_EQ(VectorIndex::Open(path_, options).code(), Code::kStale);
}

TEST_F(IndexFileTest, AnotherVersionIsStale) {
  std::string other = bytes_;
  const uint64_t head_bytes = *HeadBytes(bytes_);
  other[8] = 99;
  const uint64_t hash = HashOf(std::string_view(other).substr(0, head_bytes - 8));
  std::memcpy(other.data() + head_bytes - 8, &hash, sizeof(hash));
  Write(other);
  EXPECT_EQ(VectorIndex::Open(path_, TwoViews()).code(), Code::kStale);
}

TEST_F(IndexFileTest, ADirectoryInItsPlaceIsAnError) {
  EXPECT_EQ(VectorIndex::Open(directory_.path(), TwoViews()).code(), Code::kInvalid);
}

TEST_F(IndexFileTest, WhatAnInterruptedSaveLeftIsRemoved) {
  ASSERT_TRUE(WriteFileAtomically(UnfinishedPath(path_), "half").ok());
  EXPECT_TRUE(VectorIndex::Open(path_, TwoViews()).ok());
  EXPECT_EQ(OpenFile(UnfinishedPath(path_), O_RDONLY).code(), Code::kNotFound);
}

// In a child process, whose limits and mounts end with it; its exit status is `child`'s result.
int InChild(const std::function<int()>& child) {
  const pid_t pid = fork();
  if (pid == 0) _exit(child());
  int status = 0;
  EXPECT_EQ(waitpid(pid, &status, 0), pid);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + status;
}

TEST_F(IndexFileTest, AWriteThatIsRefusedLeavesTheOldFile) {
  const int status = InChild([&] {
    const auto index = VectorIndex::Open(path_, TwoViews());
    if (!index.ok()) return 1;
    (*index)->Remove(1);
    signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{40000, 40000};
    setrlimit(RLIMIT_FSIZE, &limit);
    if ((*index)->Save().ok()) return 2;
    return (*index)->size() == kSegments - 1 ? 0 : 3;
  });
  EXPECT_EQ(status, 0);
  EXPECT_EQ(*ReadFile(path_), bytes_);
  EXPECT_EQ(OpenFile(UnfinishedPath(path_), O_RDONLY).code(), Code::kNotFound);
}

TEST_F(IndexFileTest, AFullDiskIsReportedAndSavingWorksAgainLater) {
  constexpr int kCannotMount = 77;
  const std::string mounted = directory_.path() + "/small";
  ASSERT_EQ(mkdir(mounted.c_str(), 0700), 0);
  const int status = InChild([&] {
    const int spaces = CLONE_NEWNS | (geteuid() == 0 ? 0 : CLONE_NEWUSER);
    if (unshare(spaces) != 0) return kCannotMount;
    mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr);
    if (mount("none", mounted.c_str(), "tmpfs", 0, "size=1m") != 0) return kCannotMount;
    const std::string path = mounted + "/index";
    const auto index = VectorIndex::Open(path, TwoViews());
    if (!AddTo(**index, 1, {RandomDirection(random_, 24), {}}).ok()) return 1;
    if (!(*index)->Save().ok()) return 2;
    const std::string before = *ReadFile(path);
    for (SegmentId segment = 2; segment < 8000; ++segment) {
      if (!AddTo(**index, segment, {{}, RandomLabels(random_, 40)}).ok()) return 3;
    }
    if ((*index)->Save().code() != Code::kExhausted) return 4;
    if (*ReadFile(path) != before) return 5;
    for (SegmentId segment = 100; segment < 8000; ++segment) (*index)->Remove(segment);
    if (!(*index)->Save().ok()) return 6;
    return (*VectorIndex::Open(path, TwoViews()))->size() == 99 ? 0 : 7;
  });
  if (status == kCannotMount) GTEST_SKIP() << "this machine lets nobody mount a small disk";
  EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace msearch::index
