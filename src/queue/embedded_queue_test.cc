#include "queue/embedded_queue.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>

#include "base/file.h"
#include "support/queue_conformance.h"

namespace msearch::queue {
namespace {

class EmbeddedUnderTest final : public QueueUnderTest {
 public:
  std::unique_ptr<TaskQueue> Open() override {
    EmbeddedOptions options;
    options.path = directory_.path() + "/queue.db";
    options.clock = &clock_;
    // A wake that gets lost would else be made good by a look in time.
    options.look_every = std::chrono::hours(1);
    auto queue = OpenEmbeddedQueue(options);
    EXPECT_TRUE(queue.ok()) << queue.message();
    return *std::move(queue);
  }

 private:
  TemporaryDirectory directory_;
};

INSTANTIATE_TEST_SUITE_P(Embedded, QueueConformance,
                         testing::Values(QueueKind{
                             "embedded", [] { return std::make_unique<EmbeddedUnderTest>(); }}),
                         [](const auto& kind) { return kind.param.name; });

TEST(EmbeddedQueue, FileThatIsNoDatabaseIsNamedAsCorrupt) {
  const TemporaryDirectory directory;
  const std::string path = directory.path() + "/queue.db";
  ASSERT_TRUE(WriteFileAtomically(path, std::string(10000, 'x')).ok());
  const auto queue = OpenEmbeddedQueue({.path = path});
  ASSERT_FALSE(queue.ok());
  EXPECT_EQ(queue.code(), Code::kCorrupt);
  EXPECT_THAT(queue.message(), testing::HasSubstr(path));
  EXPECT_EQ(*ReadFile(path), std::string(10000, 'x'));
}

TEST(EmbeddedQueue, DamagedFileIsSaidToBeCorrupt) {
  const TemporaryDirectory directory;
  const std::string path = directory.path() + "/queue.db";
  {
    const auto queue = OpenEmbeddedQueue({.path = path});
    const std::vector<NewTask> tasks(2000, MakeTask());
    ASSERT_TRUE((*queue)->Enqueue(tasks).ok());
  }
  // All but the first pages, which hold the schema.
  std::string bytes = *ReadFile(path);
  ASSERT_GT(bytes.size(), size_t{200000});
  std::fill(bytes.begin() + 60000, bytes.end(), '\x5a');
  ASSERT_TRUE(WriteFileAtomically(path, bytes).ok());
  const auto queue = OpenEmbeddedQueue({.path = path});
  ASSERT_TRUE(queue.ok());
  const auto listed = (*queue)->List({});
  ASSERT_FALSE(listed.ok());
  EXPECT_EQ(listed.code(), Code::kCorrupt);
  EXPECT_THAT(listed.message(), testing::HasSubstr(path));
  EXPECT_EQ((*queue)->Enqueue(MakeTask()).code(), Code::kCorrupt);
}

TEST(EmbeddedQueue, WhatAnotherLibraryLeftIsRemoved) {
  const TemporaryDirectory directory;
  const auto open = [&](const std::string& library) {
    return OpenEmbeddedQueue({.path = directory.path() + "/queue.db", .library = library}).value();
  };
  // Of a worker, which belongs to whoever owns the queue.
  const auto worker = open("");
  const auto queue = open("first");
  const std::string state = queue->StateId().value();
  ASSERT_TRUE(queue->RaiseEpoch(7).ok());
  NewTask bulky = MakeTask();
  bulky.payload = {{"text", std::string(5000, 'x')}};
  const auto ids = queue->Enqueue(std::array{MakeTask(), bulky}).value();
  NewTask last = MakeTask();
  last.after = ids;
  ASSERT_TRUE(queue->Enqueue(last).ok());
  ASSERT_TRUE(queue->Pause("elsewhere").ok());
  LeaseRequest request;
  request.worker = "worker";
  request.queues = {MakeTask().queue};
  const auto leases = worker->TakeLeases(request).value();
  ASSERT_EQ(leases.size(), 1U);
  EXPECT_EQ(leases[0].token.epoch, 7U);

  // Opened again by the same, and by one that owns nothing, it's what it was.
  EXPECT_EQ(open("first")->StateId().value(), state);
  EXPECT_EQ(open("")->Count({}).value(), 3);

  const auto next = open("second");
  EXPECT_NE(next->StateId().value(), state);
  EXPECT_EQ(next->Count({}).value(), 0);
  const std::vector<QueueStats> all = next->Stats().value();
  for (const QueueStats& stats : all) {
    EXPECT_FALSE(stats.paused) << stats.name;
    EXPECT_EQ(stats.queued + stats.started + stats.finished_total, 0) << stats.name;
  }
  EXPECT_EQ(worker->Complete(std::array{Completion{leases[0], {}, {}}}).value()[0].code(),
            Code::kStale);
  // Its own counts from the beginning, through the connection of before, too.
  ASSERT_TRUE(next->RaiseEpoch(2).ok());
  ASSERT_TRUE(worker->Enqueue(bulky).ok());
  const auto fresh = worker->TakeLeases(request).value();
  ASSERT_EQ(fresh.size(), 1U);
  EXPECT_EQ(fresh[0].token.epoch, 2U);
  EXPECT_EQ(fresh[0].task.payload, bulky.payload);
  EXPECT_EQ(worker->Complete(std::array{Completion{leases[0], {}, {}}}).value()[0].code(),
            Code::kStale);
  EXPECT_TRUE(worker->Complete(std::array{Completion{fresh[0], {}, {}}}).value()[0].ok());
}

TEST(EmbeddedQueue, LongQueuesAreCountedExactly) {
  const TemporaryDirectory directory;
  const auto queue = OpenEmbeddedQueue({.path = directory.path() + "/queue.db"});
  const auto add = [&](const std::string& name, size_t count) {
    std::vector<NewTask> tasks(count, MakeTask());
    for (NewTask& task : tasks) task.queue = name;
    ASSERT_TRUE((*queue)->Enqueue(tasks).ok());
  };
  add("short", 10);
  add("long", 20500);
  add("longer", 21000);
  LeaseRequest request;
  request.queues = {"longer"};
  request.count_max = 300;
  const auto leases = (*queue)->TakeLeases(request);
  ASSERT_TRUE((*queue)->Fail({(*leases)[0], {Code::kCorrupt, "it: broke"}}).ok());
  const Completion completion{(*leases)[1], {}, {}};
  ASSERT_TRUE((*queue)->Complete(std::span(&completion, 1)).ok());
  const auto stats = (*queue)->Stats();
  ASSERT_EQ(stats->size(), 3U);
  EXPECT_EQ((*stats)[0].queued, 20500);
  EXPECT_EQ((*stats)[1].queued, 20700);
  EXPECT_EQ((*stats)[1].started, 298);
  EXPECT_EQ((*stats)[1].finished, 1);
  EXPECT_EQ((*stats)[2].queued, 10);
}

TEST(EmbeddedQueue, MissingDirectoryIsAnError) {
  const auto queue = OpenEmbeddedQueue({.path = "/nonexistent/queue.db"});
  ASSERT_FALSE(queue.ok());
  EXPECT_THAT(queue.message(), testing::HasSubstr("/nonexistent/queue.db"));
}

}  // namespace
}  // namespace msearch::queue
