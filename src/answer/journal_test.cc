#include "answer/journal.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "base/file.h"
#include "support/manual_clock.h"

namespace msearch::answer {
namespace {

using testing::IsEmpty;
using testing::SizeIs;

class JournalTest : public testing::Test {
 protected:
  JournalTest() { Reopen(); }
  void Reopen() {
    journal_.reset();
    auto opened = Journal::Open(directory_.path() + "/journal.db", &clock_);
    ASSERT_TRUE(opened.ok()) << opened.message();
    journal_ = std::move(*opened);
  }
  static Entry Make(const std::string& id, const std::string& key = "") {
    Entry entry;
    entry.id = id;
    entry.key = key;
    entry.digest = "d";
    entry.kind = "complete_answer";
    entry.request = {{"question", "why?"}};
    entry.tasks = {"part-" + id, id};
    return entry;
  }
  void Add(const Entry& entry) { ASSERT_TRUE(journal_->Add(entry).ok()); }

  TemporaryDirectory directory_;
  test::ManualClock clock_;
  std::unique_ptr<Journal> journal_;
};

TEST_F(JournalTest, EntryIsFoundByIdKeyAndLastTaskAfterARestart) {
  Add(Make("t1", "key"));
  Reopen();
  for (const auto& found :
       {journal_->Find("t1"), journal_->FindByKey("key"), journal_->FindByTask("t1")}) {
    ASSERT_TRUE(found.ok() && found->has_value());
    EXPECT_EQ((*found)->id, "t1");
    EXPECT_EQ((*found)->request["question"], "why?");
    EXPECT_EQ((*found)->state, EntryState::kOpen);
    EXPECT_THAT((*found)->tasks, SizeIs(2));
  }
  EXPECT_FALSE(journal_->FindByTask("part-t1")->has_value());
  EXPECT_FALSE(journal_->Find("t2")->has_value());
}

TEST_F(JournalTest, KeyIsTakenOnceAndNoKeyNever) {
  Add(Make("t1", "key"));
  EXPECT_EQ(journal_->Add(Make("t2", "key")).code(), Code::kConflict);
  Add(Make("t3"));
  Add(Make("t4"));
  EXPECT_EQ(journal_->CountOpen().value_or(0), 3);
}

TEST_F(JournalTest, EntryEndsOnce) {
  Add(Make("t1"));
  EXPECT_TRUE(journal_->End("t1", EntryState::kFinished, {{"answer", 1}}, {}).value_or(false));
  EXPECT_FALSE(journal_->End("t1", EntryState::kFinished, {{"answer", 2}}, {}).value_or(true));
  EXPECT_FALSE(journal_->End("t1", EntryState::kFailed, {}, Error{}).value_or(true));
  EXPECT_EQ((*journal_->Find("t1"))->result["answer"], 1);
  EXPECT_THAT(*journal_->OpenEntries("", 10), IsEmpty());
}

TEST_F(JournalTest, WhatFailedMayYetFinishButNotWhatWasCancelled) {
  Add(Make("t1"));
  EXPECT_TRUE(journal_->End("t1", EntryState::kFailed, {}, Error{Code::kCorrupt, "a: b"}).ok());
  EXPECT_EQ((*journal_->Find("t1"))->error->code, Code::kCorrupt);
  EXPECT_EQ((*journal_->Find("t1"))->error->message, "a: b");
  EXPECT_TRUE(journal_->End("t1", EntryState::kFinished, Json::object(), {}).value_or(false));
  EXPECT_FALSE((*journal_->Find("t1"))->error.has_value());
  Add(Make("t2"));
  EXPECT_TRUE(journal_->End("t2", EntryState::kCancelled, {}, {}).value_or(false));
  EXPECT_FALSE(journal_->End("t2", EntryState::kFinished, Json::object(), {}).value_or(true));
}

TEST_F(JournalTest, ResultsAreForgottenBeforeTheirEntries) {
  Add(Make("t1"));
  Add(Make("t2"));
  EXPECT_TRUE(journal_->End("t1", EntryState::kFinished, {{"answer", 1}}, {}).ok());
  clock_.Advance(Milliseconds(1000));
  ASSERT_TRUE(journal_->Forget(Milliseconds(1000), Milliseconds(5000)).ok());
  EXPECT_TRUE((*journal_->Find("t1"))->forgotten);
  EXPECT_TRUE((*journal_->Find("t1"))->result.is_null());
  EXPECT_FALSE((*journal_->Find("t2"))->forgotten);
  clock_.Advance(Milliseconds(4000));
  ASSERT_TRUE(journal_->Forget(Milliseconds(1000), Milliseconds(5000)).ok());
  EXPECT_FALSE(journal_->Find("t1")->has_value());
  EXPECT_TRUE(journal_->Find("t2")->has_value());
}

TEST_F(JournalTest, SettledEntriesStandInTheFileItself) {
  const std::string path = directory_.path() + "/journal.db";
  for (int i = 0; i < 200; ++i) Add(Make("t" + std::to_string(100 + i)));
  const auto before = std::filesystem::file_size(path);
  ASSERT_TRUE(journal_->Settle().ok());
  EXPECT_GT(std::filesystem::file_size(path), before);
  EXPECT_EQ(journal_->CountOpen().value_or(0), 200);
}

TEST_F(JournalTest, OpenEntriesComeInPages) {
  for (const char* id : {"t3", "t1", "t2"}) Add(Make(id));
  const auto first = *journal_->OpenEntries("", 2);
  ASSERT_THAT(first, SizeIs(2));
  EXPECT_EQ(first[1].id, "t2");
  EXPECT_EQ((*journal_->OpenEntries("t2", 2)).at(0).id, "t3");
  ASSERT_TRUE(journal_->SetTasks("t3", {"x1", "x2"}).ok());
  EXPECT_EQ((*journal_->FindByTask("x2"))->id, "t3");
}

}  // namespace
}  // namespace msearch::answer
