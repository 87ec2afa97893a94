// Clips that are read while they are made.
#include "media/clips.h"

#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <filesystem>
#include <future>

#include "support/films.h"
#include "support/memory_file.h"

namespace msearch::media {
namespace {

using test::MadeByFfmpeg;
using Answer = Result<std::shared_ptr<ClipReader>>;

// One that has to be encoded, and takes a while.
std::string OldFilm(int seconds) {
  return MadeByFfmpeg("-f lavfi -i testsrc2=s=640x360:r=25:d=" + std::to_string(seconds) +
                          " -f lavfi -i sine=440:d=" + std::to_string(seconds) +
                          " -c:v mpeg4 -q:v 5 -c:a mp2",
                      "avi");
}
std::string NewFilm(int seconds) {
  return MadeByFfmpeg("-f lavfi -i testsrc2=s=320x180:r=25:d=" + std::to_string(seconds) +
                          " -c:v libx264 -preset ultrafast -g 25",
                      "mp4");
}

// Answers arrive on other threads.
class Answers {
 public:
  Clips::Done Next() {
    return [state = state_](Answer answer) {
      std::lock_guard lock(state->mutex);
      state->answers.push_back(std::move(answer));
      state->changed.notify_all();
    };
  }
  Answer Wait() {
    std::unique_lock lock(state_->mutex);
    const bool there = state_->changed.wait_for(lock, std::chrono::seconds(60),
                                                [&] { return !state_->answers.empty(); });
    if (!there) return Error{Code::kTimeout, "test: no answer"};
    Answer answer = std::move(state_->answers.front());
    state_->answers.erase(state_->answers.begin());
    return answer;
  }

 private:
  struct State {
    std::mutex mutex;
    std::condition_variable changed;
    std::vector<Answer> answers;
  };
  std::shared_ptr<State> state_ = std::make_shared<State>();
};

// To its end, however long that takes to come.
Result<std::string> ReadAll(ClipReader& reader) {
  std::string bytes;
  std::string piece(64 << 10, '\0');
  while (true) {
    auto more = std::make_shared<std::promise<void>>();
    auto told = more->get_future();
    const auto read =
        reader.Read(bytes.size(), piece.data(), piece.size(), [more] { more->set_value(); });
    if (!read.ok()) return read.error();
    if (*read && **read == 0) return bytes;
    if (*read) {
      bytes.append(piece, 0, **read);
    } else if (told.wait_for(std::chrono::seconds(60)) != std::future_status::ready) {
      return Error{Code::kTimeout, "test: no more"};
    }
  }
}

class ClipsTest : public testing::Test {
 protected:
  ClipsOptions Options() const {
    ClipsOptions options;
    options.child_arguments = {"role", "codec"};
    options.directory = directory_.path();
    return options;
  }
  bool DirectoryIsEmpty() const { return std::filesystem::is_empty(directory_.path()); }

  TemporaryDirectory directory_;
  Answers answers_;
};

TEST_F(ClipsTest, WhatIsCopiedIsThereAsAWhole) {
  Clips clips(Options());
  clips.Get(test::MemoryFile(NewFilm(10)), "film", {.start = 2, .end = 6}, "a", true,
            answers_.Next());
  const Answer reader = answers_.Wait();
  ASSERT_TRUE(reader.ok()) << reader.message();
  EXPECT_TRUE((*reader)->complete());
  EXPECT_NEAR((*reader)->clip().end, 6, 0.1);
  const auto bytes = ReadAll(**reader);
  ASSERT_TRUE(bytes.ok());
  EXPECT_EQ(bytes->substr(4, 4), "ftyp");
  EXPECT_TRUE(DirectoryIsEmpty());  // the file has no name
}

TEST_F(ClipsTest, WhatTakesLongIsReadWhileItIsMade) {
  ClipsOptions options = Options();
  options.patience = Milliseconds(0);
  Clips clips(options);
  const std::string film = OldFilm(40);
  clips.Get(test::MemoryFile(film), "film", {.start = 0, .end = 40}, "a", false, answers_.Next());
  const Answer early = answers_.Wait();
  ASSERT_TRUE(early.ok()) << early.message();
  EXPECT_FALSE((*early)->complete());
  EXPECT_EQ((*early)->clip().mime, "video/mp4");
  // Who wants a part of the same waits for all of it, and it isn't made twice.
  clips.Get(test::MemoryFile(film), "film", {.start = 0, .end = 40}, "a", true, answers_.Next());
  const auto bytes = ReadAll(**early);
  ASSERT_TRUE(bytes.ok()) << bytes.message();
  const Answer whole = answers_.Wait();
  ASSERT_TRUE(whole.ok());
  EXPECT_TRUE((*whole)->complete());
  EXPECT_EQ((*whole)->fd(), (*early)->fd());
  EXPECT_EQ(ReadAll(**whole).value(), *bytes);
  EXPECT_NEAR((*whole)->clip().end, 40, 0.2);
}

TEST_F(ClipsTest, WhatNobodyWantsAnyMoreIsGivenUp) {
  ClipsOptions options = Options();
  options.patience = Milliseconds(0);
  options.at_once = 1;
  Clips clips(options);
  const std::string film = OldFilm(60);
  clips.Get(test::MemoryFile(film), "film", {.start = 0, .end = 60}, "a", false, answers_.Next());
  {
    const Answer reader = answers_.Wait();
    ASSERT_TRUE(reader.ok()) << reader.message();
    EXPECT_FALSE((*reader)->complete());
  }
  // The only worker is free for the next long before the first would have been made; who comes for
  // the first again gets a new one.
  clips.Get(test::MemoryFile(film), "film", {.start = 0, .end = 1}, "b", true, answers_.Next());
  const Answer next = answers_.Wait();
  ASSERT_TRUE(next.ok()) << next.message();
  EXPECT_NEAR((*next)->clip().end, 1, 0.1);
  clips.Get(test::MemoryFile(film), "film", {.start = 0, .end = 60}, "a", false, answers_.Next());
  const Answer again = answers_.Wait();
  ASSERT_TRUE(again.ok()) << again.message();
  EXPECT_FALSE((*again)->complete());
}

TEST_F(ClipsTest, TooManyAreSentAway) {
  ClipsOptions options = Options();
  options.at_once = 1;
  options.waiting_max = 2;
  Clips clips(options);
  const std::string film = OldFilm(20);
  constexpr int kAsked = 8;
  for (int i = 0; i < kAsked; ++i) {
    clips.Get(test::MemoryFile(film), "film", {.start = 0, .end = 15}, std::to_string(i), true,
              answers_.Next());
  }
  int made = 0;
  int refused = 0;
  for (int i = 0; i < kAsked; ++i) {
    const Answer answer = answers_.Wait();
    made += answer.ok() ? 1 : 0;
    refused += !answer.ok() && answer.code() == Code::kExhausted ? 1 : 0;
  }
  EXPECT_EQ(made + refused, kAsked);
  EXPECT_GE(made, 2);
  EXPECT_GE(refused, kAsked - 4);
}

TEST_F(ClipsTest, WhatIsTooLargeEndsWithAnErrorInItsMiddle) {
  ClipsOptions options = Options();
  options.patience = Milliseconds(0);
  Clips clips(options);
  clips.Get(test::MemoryFile(OldFilm(20)), "film", {.start = 0, .end = 20, .bytes_max = 300 << 10},
            "a", false, answers_.Next());
  const Answer reader = answers_.Wait();
  ASSERT_TRUE(reader.ok()) << reader.message();
  EXPECT_EQ(ReadAll(**reader).code(), Code::kTooLarge);
  EXPECT_FALSE((*reader)->complete());
}

TEST_F(ClipsTest, ErrorsComeBeforeTheFirstByte) {
  Clips clips(Options());
  const std::string film = NewFilm(5);
  clips.Get(test::MemoryFile(film), "film", {.start = 50, .end = 60}, "a", false, answers_.Next());
  EXPECT_EQ(answers_.Wait().code(), Code::kNotFound);
  clips.Get(test::MemoryFile("words"), "a.txt", {}, "b", false, answers_.Next());
  EXPECT_EQ(answers_.Wait().code(), Code::kUnsupported);
}

TEST_F(ClipsTest, OnlyTheLastAreKept) {
  ClipsOptions options = Options();
  options.kept_max = 1;
  options.at_once = 1;  // when it has made a clip, it has dealt with those before
  Clips clips(options);
  const std::string film = NewFilm(10);
  const auto get = [&](const std::string& key, double start) {
    clips.Get(test::MemoryFile(film), "film", {.start = start, .end = start + 2}, key, true,
              answers_.Next());
    Answer answer = answers_.Wait();
    EXPECT_TRUE(answer.ok()) << answer.message();
    return std::move(answer.value());
  };
  const auto first = get("a", 1);
  EXPECT_EQ(get("a", 1)->fd(), first->fd());
  (void)get("b", 4);
  (void)get("c", 5);
  EXPECT_NE(get("a", 1)->fd(), first->fd());  // made anew
  EXPECT_TRUE(ReadAll(*first).ok());          // who has it keeps it
}

TEST_F(ClipsTest, TheEndDoesNotWaitForWhatIsBeingMade) {
  ClipsOptions options = Options();
  options.at_once = 1;
  {
    Clips clips(options);
    const std::string film = OldFilm(60);
    for (const char* key : {"a", "b"}) {
      clips.Get(test::MemoryFile(film), "film", {.start = 0, .end = 60}, key, true,
                answers_.Next());
    }
  }
  for (int i = 0; i < 2; ++i) EXPECT_EQ(answers_.Wait().code(), Code::kCancelled);
}

}  // namespace
}  // namespace msearch::media
