// Second looks through the real queue, catalog and blobs; the reader is a small program of its own.
#include "ingest/readings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <thread>

#include "base/file.h"
#include "ingest/embed.h"
#include "ingest/read.h"

namespace msearch::ingest {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

constexpr char kModelKey[] = "model-1";

template <typename T>
T Get(Result<T> result) {
  if (result.ok()) return std::move(result).value();
  ADD_FAILURE() << CodeName(result.code()) << ": " << result.message();
  return T();
}

// Reads a file's text as what stands in it; fails on one that says so.
class TextReader final : public Reader {
 public:
  Result<Findings> Read(const ReadJob& job, const Fd&, media::Codec&,
                        queue::TaskContext&) override {
    ++reads;
    const std::string text = TRY(ReadFile(job.AbsolutePath(), 1 << 20));
    if (text == "broken") return Error{Code::kCorrupt, job.path + ": broken"};
    Findings findings;
    if (text.empty()) return findings;
    media::Segment segment;
    segment.kind = media::SegmentKind::kText;
    segment.text = text;
    segment.boxes = {{text, 0, 0, 1, 0.5F}};
    findings.segments.push_back(segment);
    findings.attributes = {{"language", "en"}};
    return findings;
  }
  void UnloadIfIdle() override {}
  std::atomic<int> reads = 0;
};

// Embeds a text as its length.
class LengthEmbedder final : public embedding::Embedder {
 public:
  LengthEmbedder() {
    info_.name = "length";
    info_.key = kModelKey;
    info_.views = {{"length", 2}};
    info_.embeds_passages = true;
  }
  const embedding::ModelInfo& info() const override { return info_; }
  const embedding::DeviceInfo& device() const override { return device_; }
  Result<std::vector<embedding::Embedding>> EmbedPictures(
      std::span<const embedding::ImageInput>) override {
    return Error{Code::kUnsupported, "pictures"};
  }
  Result<std::vector<embedding::Embedding>> EmbedPassages(
      std::span<const std::string> passages) override {
    std::vector<embedding::Embedding> out;
    for (const std::string& passage : passages) {
      out.emplace_back().views = {{static_cast<float>(passage.size()), 1}};
    }
    return out;
  }
  Result<std::vector<embedding::Probe>> ProbeWords(const std::string&) override {
    return Error{Code::kUnsupported, "words"};
  }
  Result<std::vector<embedding::Probe>> ProbePicture(const embedding::ImageInput&) override {
    return Error{Code::kUnsupported, "picture"};
  }
  Result<std::vector<embedding::Probe>> ProbeLike(const std::vector<std::vector<float>>&) override {
    return Error{Code::kUnsupported, "like"};
  }

 private:
  embedding::ModelInfo info_;
  embedding::DeviceInfo device_;
};

class ReadingsTest : public testing::Test {
 protected:
  ReadingsTest() {
    std::string path = testing::TempDir() + "/readings-XXXXXX";
    folder_ = mkdtemp(path.data());
    std::filesystem::create_directory(folder_ + "/root");
    catalog_ = Get(catalog::Catalog::OpenSqlite(folder_ + "/catalog.db"));
    queue_ = Get(queue::OpenEmbeddedQueue({.path = folder_ + "/queue.db"}));
    blobs_ = Get(storage::OpenFileBlobStore(folder_ + "/blobs", 1 << 24));
    readings_ = std::make_unique<Readings>(catalog_, queue_, blobs_, [this] { return wanted_; });
    catalog::Root root;
    root.name = "root";
    root.path = folder_ + "/root";
    Get(catalog_->AddRoot(root));
    model_.name = "length";
    model_.key = kModelKey;
    model_.embeds_passages = true;
  }
  ~ReadingsTest() override {
    workers_.clear();
    std::filesystem::remove_all(folder_);
  }

  // A picture of which the file holds the words, committed.
  void Add(const std::string& name, const std::string& text) {
    const std::string path = folder_ + "/root/" + name;
    ASSERT_TRUE(WriteFileAtomically(path, text).ok());
    struct stat info {};
    ASSERT_EQ(stat(path.c_str(), &info), 0);
    catalog::FileFact fact;
    fact.path = name;
    fact.size = text.size();
    fact.modified_ns = info.st_mtim.tv_sec * 1'000'000'000LL + info.st_mtim.tv_nsec;
    Get(catalog_->FilesPresent("root", std::array{fact}));
    const auto pending = Get(catalog_->PendingFiles(0, 10));
    ASSERT_THAT(pending, SizeIs(1));
    catalog::Commit commit;
    commit.file = pending[0].id;
    commit.version = pending[0].version;
    commit.token = {1, ++token_};
    commit.hash = Sha256(name + text);
    catalog::MediaContent content;
    content.hash = commit.hash;
    content.type = "image";
    content.segments.emplace_back();
    commit.content = content;
    Get(catalog_->Apply(std::array{commit}));
  }

  void StartWorkers() {
    std::vector<queue::WorkerOptions> all(3);
    all[0].queues = {std::string(kReadQueue)};
    all[0].handlers["read"] =
        ReadHandler(blobs_, std::make_shared<media::Codec>(std::vector<std::string>{}, limits_),
                    {{"text", reader_}});
    all[1].queues = {std::string(kEmbedQueue)};
    all[1].handlers["embed_texts"] = EmbedTextsHandler(blobs_, holder_);
    all[2].queues = {std::string(kCommitQueue)};
    all[2].handlers = readings_->Handlers();
    for (queue::WorkerOptions& options : all) {
      options.info.id = options.queues[0];
      workers_.emplace_back([this, options](std::stop_token stop) {
        queue::RunWorker(*queue_, options, stop, Milliseconds(1000));
      });
    }
  }

  // Steps as the reconciler does, until the walk is over and no task is left.
  void Settle() {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    while (std::chrono::steady_clock::now() < deadline) {
      ASSERT_TRUE(readings_->Step(model_).ok());
      const int64_t revision = Get(catalog_->Revision());
      int64_t open = 0;
      for (const queue::QueueStats& stats : Get(queue_->Stats())) {
        open += stats.queued + stats.started;
      }
      if (open == 0 && readings_->walked() == revision && Get(catalog_->Revision()) == revision) {
        return;
      }
      std::this_thread::sleep_for(Milliseconds(5));
    }
    FAIL() << "readings never settle";
  }

  std::vector<std::string> Found(const std::string& words) {
    std::vector<std::string> kinds;
    for (const catalog::TextMatch& match : Get(catalog_->SearchText(words, {}, 10))) {
      const auto infos = Get(catalog_->GetSegments(std::array{match.segment}, {}));
      for (const catalog::SegmentInfo& info : infos) {
        kinds.push_back(info.kind + " " + info.paths.front().path);
      }
    }
    return kinds;
  }

  std::string folder_;
  std::shared_ptr<catalog::Catalog> catalog_;
  std::shared_ptr<queue::TaskQueue> queue_;
  std::shared_ptr<storage::BlobStore> blobs_;
  std::vector<WantedReader> wanted_ = {{{"text", "reader-1", {"image"}}, {}}};
  std::shared_ptr<TextReader> reader_ = std::make_shared<TextReader>();
  media::CodecLimits limits_;
  std::shared_ptr<ModelHolder> holder_ = std::make_shared<ModelHolder>(
      [](const std::string&) -> Result<std::unique_ptr<embedding::Embedder>> {
        return std::unique_ptr<embedding::Embedder>(new LengthEmbedder);
      },
      Milliseconds(1000000));
  TargetModel model_;
  std::unique_ptr<Readings> readings_;
  std::vector<std::jthread> workers_;
  uint64_t token_ = 0;
};

TEST_F(ReadingsTest, WhatAReaderFindsIsSearchableByWordsAndByMeaning) {
  StartWorkers();
  Add("sign.jpg", "no smoking");
  Add("blank.jpg", "");
  Settle();
  EXPECT_THAT(Found("smoking"), ElementsAre("text sign.jpg"));
  EXPECT_EQ(Get(catalog_->CountSegments(kModelKey)), 1);
  EXPECT_EQ(reader_->reads, 2);
  EXPECT_EQ(blobs_->bytes(), 0U);
}

TEST_F(ReadingsTest, ContentIsReadOnceUntilItsReaderIsAnother) {
  StartWorkers();
  Add("sign.jpg", "no smoking");
  Settle();
  readings_->Restart();
  Settle();
  EXPECT_EQ(reader_->reads, 1);
  wanted_[0].spec.key = "reader-2";
  Settle();
  EXPECT_EQ(reader_->reads, 2);
}

TEST_F(ReadingsTest, FailureEndsAsOneWithItsReasonAndIsReadAgainOnDemand) {
  StartWorkers();
  Add("bad.jpg", "broken");
  Settle();
  int64_t total = 0;
  const auto failures = Get(catalog_->Failures({.root = ""}, 0, 10, &total));
  ASSERT_THAT(failures, SizeIs(1));
  EXPECT_EQ(failures[0].reader, "text");
  EXPECT_EQ(failures[0].error.code, Code::kCorrupt);
  Get(catalog_->RetryFailures({.root = ""}));
  readings_->Restart();
  Settle();
  EXPECT_EQ(reader_->reads, 2);
}

TEST_F(ReadingsTest, LostTasksComeBackWithAWalkFromTheTop) {
  Add("sign.jpg", "no smoking");
  ASSERT_TRUE(readings_->Step(model_).ok());
  const auto tasks = Get(queue_->List({}));
  ASSERT_THAT(tasks, SizeIs(1));
  ASSERT_TRUE(queue_->Cancel(tasks[0].id).ok());
  StartWorkers();
  Settle();
  EXPECT_THAT(Found("smoking"), IsEmpty());
  readings_->Restart();
  Settle();
  EXPECT_THAT(Found("smoking"), ElementsAre("text sign.jpg"));
}

TEST_F(ReadingsTest, UnwantedContentCountsAsReadWithoutATask) {
  wanted_[0].wants = [](const catalog::Unread& unread) { return unread.mime == "image/png"; };
  StartWorkers();
  Add("sign.jpg", "no smoking");
  Settle();
  EXPECT_EQ(reader_->reads, 0);
  EXPECT_THAT(Get(catalog_->UnreadMedia(wanted_[0].spec, 0, 10)), IsEmpty());
}

TEST_F(ReadingsTest, FileThatChangedMeanwhileIsNotRead) {
  Add("sign.jpg", "no smoking");
  ASSERT_TRUE(WriteFileAtomically(folder_ + "/root/sign.jpg", "something else").ok());
  StartWorkers();
  Settle();
  EXPECT_EQ(reader_->reads, 0);
  EXPECT_THAT(Get(catalog_->UnreadMedia(wanted_[0].spec, 0, 10)), SizeIs(1));
}

TEST_F(ReadingsTest, WhatSomeWorkersCanNotReadIsQueuedForThoseWhoCan) {
  Readings readings(
      catalog_, queue_, blobs_, [this] { return wanted_; }, true);
  Add("sign.jpg", "no smoking");
  queue::TaskFilter queued;
  queued.status = queue::Status::kQueued;
  const auto place = [&]() -> std::string {
    EXPECT_TRUE(readings.Step(model_).ok());
    const auto tasks = Get(queue_->List(queued));
    EXPECT_THAT(tasks, SizeIs(1));
    return tasks.empty() ? "" : tasks[0].queue;
  };
  EXPECT_EQ(place(), "read") << "nobody is there who lacks anything";
  ASSERT_TRUE(queue_->Cancel(Get(queue_->List(queued))[0].id).ok());
  readings.Restart();
  queue::WorkerInfo worker;
  worker.id = "w1";
  worker.detail["queues"] = {"read"};
  ASSERT_TRUE(queue_->Heartbeat(worker, Milliseconds(60000)).ok());
  EXPECT_EQ(place(), "read-text");
}

TEST_F(ReadingsTest, JobAndFindingsSurviveTheirPayloads) {
  ReadJob job;
  job.hash = Sha256("x");
  job.reader = "speech";
  job.key = "whisper";
  job.path = "\xe9t\xe9.mp4";
  job.root_path = "/films";
  job.duration = 61.5;
  job.shots = {{0, 1.5}, {1.5, 3}};
  const auto back = ReadJob::FromJson(*ParseJson(DumpJson(job.ToJson())));
  ASSERT_TRUE(back.ok()) << back.message();
  EXPECT_EQ(back->path, job.path);
  EXPECT_EQ(back->duration, 61.5);
  EXPECT_EQ(back->shots[1].start, 1.5);
  EXPECT_EQ(DecodeFindings("no cbor").ok(), false);
  EXPECT_EQ(ReadJob::FromJson(Json{{"hash", job.hash.hex()}}).code(), Code::kInvalid);
}

}  // namespace
}  // namespace msearch::ingest
