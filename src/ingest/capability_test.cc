#include "ingest/capability.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "base/file.h"
#include "ingest/pipeline.h"
#include "ingest/prepare.h"
#include "ingest/read.h"
#include "media/format.h"
#include "storage/blob_store.h"

namespace msearch::ingest {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::IsSupersetOf;
using testing::SizeIs;
using testing::UnorderedElementsAre;

queue::WorkerInfo Worker(const std::vector<std::string>& queues) {
  queue::WorkerInfo worker;
  worker.id = "w" + std::to_string(queues.size());
  worker.detail["queues"] = queues;
  return worker;
}

TEST(Capability, QueuesAreNamedByStepAndWhatIsNeeded) {
  EXPECT_EQ(QueueNeeding("tasks", {"pdf"}), "tasks-pdf");
  EXPECT_EQ(QueueNeeding("read", {"text", ""}), "read-text");
  EXPECT_EQ(QueueNeeding("tasks", {""}), "tasks");
  EXPECT_TRUE(IsOfStep("tasks", "tasks"));
  EXPECT_TRUE(IsOfStep("tasks-pdf", "tasks"));
  EXPECT_FALSE(IsOfStep("tasksets", "tasks"));
  EXPECT_FALSE(IsOfStep("read", "tasks"));
  EXPECT_TRUE(NeedsCapability("read-text-pdf"));
  EXPECT_FALSE(NeedsCapability("read"));
}

TEST(Capability, AWorkerServesWhatItCanDo) {
  EXPECT_THAT(PrepareQueuesFor({"pdf"}, false), ElementsAre("tasks-pdf"));
  EXPECT_THAT(PrepareQueuesFor({}, true), ElementsAre("tasks-controller"));
  EXPECT_THAT(ReadQueuesFor({"text", "speech"}, {"pdf", "film"}),
              testing::UnorderedElementsAre("read-text", "read-text-pdf", "read-text-film",
                                            "read-speech-film"));
  EXPECT_THAT(EmbedQueuesFor("cuda", true), ElementsAre("embed-controller", "embed-cuda"));
  EXPECT_THAT(EmbedQueuesFor("", false), IsEmpty());
  for (const media::Format& format : media::Formats()) {
    EXPECT_THAT(PrepareQueues(), Contains(QueueNeeding("tasks", {format.name})));
    EXPECT_THAT(ReadQueues(), Contains(QueueNeeding("read", {"text", format.name})));
  }
  EXPECT_THAT(PrepareQueues(), IsSupersetOf({"tasks", "tasks-controller"}));
}

TEST(Capability, SomeLackItWhenOneOfTheStepsWorkersDoesNotServeItsQueue) {
  EXPECT_FALSE(Workforce().SomeLack("tasks", "tasks-pdf")) << "nobody is there who lacks it";
  const Workforce able({Worker({"tasks", "tasks-pdf"}), Worker({"embed"})});
  EXPECT_FALSE(able.SomeLack("tasks", "tasks-pdf"));
  const Workforce mixed({Worker({"tasks", "tasks-pdf"}), Worker({"tasks"})});
  EXPECT_TRUE(mixed.SomeLack("tasks", "tasks-pdf"));
  EXPECT_FALSE(mixed.SomeLack("tasks", "tasks"));
}

TEST(Capability, WhatIsLackingIsSaidWithWhatToDo) {
  EXPECT_THAT(LackOf("tasks-pdf"), testing::AllOf(HasSubstr("no worker opens PDF documents"),
                                                  HasSubstr("install poppler-utils")));
  EXPECT_THAT(LackOf("read-speech-film"), HasSubstr("writes down what is said"));
  EXPECT_THAT(LackOf("tasks-controller"), HasSubstr("distributed: false"));
  EXPECT_THAT(LackOf("embed-cuda"), HasSubstr("device cuda"));
  EXPECT_THAT(LackOf("tasks"), HasSubstr("no worker serves queue tasks: start msearch run"));
  EXPECT_EQ(LackOf("tasks-other"), "no worker serves queue tasks-other");
  EXPECT_EQ(LackOf("full_query"), "no worker serves queue full_query");
}

// --- handing on ------------------------------------------------------------------------------

class OneTask final : public queue::TaskContext {
 public:
  explicit OneTask(const queue::NewTask& task) {
    lease_.task.id = "t1";
    lease_.task.queue = task.queue;
    lease_.task.kind = task.kind;
    lease_.task.payload = task.payload;
    lease_.task.priority = task.priority;
  }
  bool ShouldStop() const override { return false; }
  std::stop_token stop_token() const override { return {}; }
  void SetProgress(const queue::Progress&) override {}
  const queue::Lease& lease() const override { return lease_; }

 private:
  queue::Lease lease_;
};

class HandingOn : public testing::Test {
 protected:
  queue::Outcome Prepare(const queue::NewTask& task, Reach reach) {
    PrepareOptions options;
    options.reach = std::move(reach);
    auto codec = std::make_shared<media::Codec>(std::vector<std::string>{"role", "codec"},
                                                media::CodecLimits());
    const auto known = [](const Digest&, const std::string&) { return Result<bool>(false); };
    return Run(PrepareHandler(blobs_, codec, LocalMedia(), known, options), task);
  }
  queue::Outcome Read(const queue::NewTask& task, ReadOptions options, Readers readers = {}) {
    auto codec = std::make_shared<media::Codec>(std::vector<std::string>{"role", "codec"},
                                                media::CodecLimits());
    return Run(ReadHandler(blobs_, codec, std::move(readers), LocalMedia(), std::move(options)),
               task);
  }
  static queue::Outcome Run(const queue::BatchHandler& handler, const queue::NewTask& task) {
    std::vector<std::unique_ptr<queue::TaskContext>> tasks;
    tasks.push_back(std::make_unique<OneTask>(task));
    return handler(tasks).at(0);
  }
  PrepareJob File(const std::string& name, const std::string& bytes) const {
    EXPECT_TRUE(WriteFileAtomically(folder_.path() + "/" + name, bytes).ok());
    PrepareJob job;
    job.file = 7;
    job.version = 2;
    job.root_path = folder_.path();
    job.path = name;
    job.size = bytes.size();
    struct stat info {};
    EXPECT_EQ(stat((folder_.path() + "/" + name).c_str(), &info), 0);
    job.modified_ns = info.st_mtim.tv_sec * 1'000'000'000LL + info.st_mtim.tv_nsec;
    return job;
  }

  TemporaryDirectory folder_;
  std::shared_ptr<storage::BlobStore> blobs_ =
      storage::OpenFileBlobStore(folder_.path() + "/blobs", 1 << 24).value();
};

TEST_F(HandingOn, AFileThatIsNotOpenedHereGoesToThoseWhoOpenIt) {
  // Told by its name, before anything is fetched: this one isn't there at all.
  PrepareJob job = File("a.pdf", "%PDF-1.7");
  job.path = "scan.pdf";
  const queue::NewTask task = PrepareTask(job, queue::Priority::kHigh);
  const queue::Outcome outcome = Prepare(task, {std::set<std::string>{"film"}, true});
  ASSERT_TRUE(outcome.status.ok()) << outcome.status.message();
  ASSERT_THAT(outcome.follow_ups, SizeIs(1));
  const queue::NewTask& next = outcome.follow_ups[0];
  EXPECT_EQ(next.queue, "tasks-pdf");
  EXPECT_EQ(next.unique_key, task.unique_key);
  EXPECT_EQ(next.payload, task.payload);
  EXPECT_EQ(next.priority, queue::Priority::kHigh);
  EXPECT_EQ(next.dead_letter.queue, task.dead_letter.queue);
}

TEST_F(HandingOn, AFileWhoseNameLiesIsToldByItsContent) {
  const PrepareJob job = File("letter.txt", "%PDF-1.7\n");
  const queue::Outcome outcome =
      Prepare(PrepareTask(job, queue::Priority::kNormal), {std::set<std::string>{}, true});
  ASSERT_TRUE(outcome.status.ok()) << outcome.status.message();
  ASSERT_THAT(outcome.follow_ups, SizeIs(1));
  EXPECT_EQ(outcome.follow_ups[0].queue, "tasks-pdf");
}

TEST_F(HandingOn, ATaskOfAQueueThatIsServedNoMoreIsGivenBack) {
  const PrepareJob job = File("a.pdf", "%PDF-1.7");
  const queue::Outcome outcome =
      Prepare(PrepareTask(job, queue::Priority::kNormal, "pdf"), {std::set<std::string>{}, true});
  EXPECT_TRUE(outcome.release);
  EXPECT_THAT(outcome.follow_ups, IsEmpty());
}

TEST_F(HandingOn, WithNobodyElseItFailsWithTheReason) {
  PrepareJob job = File("a.pdf", "%PDF-1.7");
  for (const bool hands_on : {false, true}) {
    // What is for the controller's workers goes to nobody else, even if there is somebody.
    job.beside_controller = hands_on;
    const queue::Outcome outcome =
        Prepare(PrepareTask(job, queue::Priority::kNormal), {std::set<std::string>{}, hands_on});
    EXPECT_EQ(outcome.status.code(), Code::kUnsupported);
    EXPECT_THAT(outcome.status.message(), HasSubstr("a.pdf: PDF documents: nothing here reads"));
  }
}

TEST_F(HandingOn, ALookForWhichTheReaderIsMissingGoesToThoseWhoHaveIt) {
  ReadJob job;
  job.hash = Sha256("x");
  job.reader = "text";
  job.key = "ocr-1";
  job.path = "scan.pdf";
  job.mime = "application/pdf";
  ReadOptions options;
  options.reach = {std::set<std::string>{"pdf"}, true};
  const queue::Outcome outcome = Read(ReadTask(job), options);
  ASSERT_TRUE(outcome.status.ok()) << outcome.status.message();
  ASSERT_THAT(outcome.follow_ups, SizeIs(1));
  EXPECT_EQ(outcome.follow_ups[0].queue, "read-text-pdf");
  EXPECT_EQ(outcome.follow_ups[0].unique_key, ReadTask(job).unique_key);
  options.reach.hands_on = false;
  EXPECT_EQ(Read(ReadTask(job), options).status.code(), Code::kUnsupported);
}

// Whose model can't be loaded, though it seemed to be there.
class WithoutModel final : public Reader {
 public:
  Result<Findings> Read(const ReadJob&, const Fd&, media::Codec&, queue::TaskContext&) override {
    return Error{Code::kUnavailable, "model ocr-pp: not pulled yet"};
  }
  void UnloadIfIdle() override {}
};

TEST_F(HandingOn, NoLookFailsForWantOfAModel) {
  const PrepareJob file = File("sign.jpg", "x");
  ReadJob job;
  job.hash = Sha256("x");
  job.reader = "text";
  job.key = "ocr-1";
  job.root_path = file.root_path;
  job.path = file.path;
  job.size = file.size;
  job.modified_ns = file.modified_ns;
  job.mime = "image/jpeg";
  const Readers readers = {{"text", std::make_shared<WithoutModel>()}};
  std::string problem;
  ReadOptions options;
  options.lacks = [&](const std::string&, const std::string& what) { problem = what; };

  queue::Outcome outcome = Read(ReadTask(job), options, readers);
  EXPECT_TRUE(outcome.status.ok()) << outcome.status.message();
  EXPECT_TRUE(outcome.release) << "nobody else could have it";
  EXPECT_GT(outcome.delay.count(), 0);
  EXPECT_EQ(problem, "model ocr-pp: not pulled yet");

  options.reach.hands_on = true;
  outcome = Read(ReadTask(job), options, readers);
  EXPECT_TRUE(outcome.status.ok());
  EXPECT_FALSE(outcome.release);
  ASSERT_THAT(outcome.follow_ups, SizeIs(1));
  EXPECT_EQ(outcome.follow_ups[0].queue, "read-text");
  EXPECT_TRUE(Read(outcome.follow_ups[0], options, readers).release) << "it stands there already";
}

TEST_F(HandingOn, WhatABuildKeepsBesideTheControllerStaysThereWhileItIsEmbedded) {
  Parcel parcel;
  parcel.job = File("a.jpg", "x");
  parcel.job.model = TargetModel{.name = "m", .key = "m-1", .device = "cuda"};
  EXPECT_EQ(EmbedTask(parcel, queue::Priority::kNormal).queue, "embed-cuda");
  parcel.job.beside_controller = true;
  EXPECT_EQ(PrepareTask(parcel.job, queue::Priority::kNormal).queue, "tasks-controller");
  EXPECT_EQ(EmbedTask(parcel, queue::Priority::kNormal).queue, "embed-controller");
  const auto back = PrepareJob::FromJson(parcel.job.ToJson());
  ASSERT_TRUE(back.ok());
  EXPECT_TRUE(back->beside_controller);
  EXPECT_EQ(back->model->device, "cuda");
}

TEST(AnalysisQueues, AreOfPicturesAndOfTheTextInThem) {
  EXPECT_THAT(AnalysisQueuesFor(true, {"film", "heif", "pdf"}),
              UnorderedElementsAre("image_analysis-text", "image_analysis-text-heif",
                                   "image_analysis-heif"));
  EXPECT_THAT(AnalysisQueuesFor(false, {"heif"}), ElementsAre("image_analysis-heif"));
  EXPECT_EQ(StepOf("image_analysis-text-heif"), "image_analysis");
  EXPECT_TRUE(NeedsCapability("image_analysis-heif"));
  EXPECT_THAT(LackOf("image_analysis-text-heif"), AllOf(HasSubstr("reads text in pictures"),
                                                        HasSubstr("opens HEIC and AVIF pictures")));
}

// --- what waits for nobody -------------------------------------------------------------------

TEST(Unserved, AreTheQueuesWithTasksThatNoWorkerServes) {
  const TemporaryDirectory folder;
  queue::EmbeddedOptions options;
  options.path = folder.path() + "/queue.db";
  const auto queue = queue::OpenEmbeddedQueue(options).value();
  for (const char* name : {"tasks", "tasks-pdf", "tasks-pdf"}) {
    queue::NewTask task;
    task.queue = name;
    task.kind = "prepare";
    ASSERT_TRUE(queue->Enqueue(task).ok());
  }
  ASSERT_TRUE(queue->Heartbeat(Worker({"tasks"}), Milliseconds(60000)).ok());
  const auto find = [&] { return FindUnserved(queue->Stats().value(), queue->Workers().value()); };
  const auto unserved = find();
  ASSERT_THAT(unserved, SizeIs(1));
  EXPECT_EQ(unserved.front().queue, "tasks-pdf");
  EXPECT_EQ(unserved.front().tasks, 2);
  EXPECT_THAT(unserved.front().Sentence(),
              HasSubstr("2 tasks wait in queue tasks-pdf: no worker opens PDF documents"));
  ASSERT_TRUE(queue->Heartbeat(Worker({"tasks", "tasks-pdf"}), Milliseconds(60000)).ok());
  EXPECT_THAT(find(), IsEmpty());
}

}  // namespace
}  // namespace msearch::ingest
