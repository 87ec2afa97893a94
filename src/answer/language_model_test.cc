#include "answer/language_model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "support/model_server.h"

namespace msearch::answer {
namespace {

using test::ModelServer;
using testing::HasSubstr;

class LanguageModelTest : public testing::Test {
 protected:
  void Serve(ModelServer::Answer answer) {
    server_ = std::make_unique<ModelServer>(std::move(answer));
  }
  ModelOptions Options() const {
    ModelOptions options;
    options.endpoint = server_->url();
    options.backoff_first = Milliseconds(1);
    options.backoff_max = Milliseconds(50);
    return options;
  }
  Result<Generated> Ask(LanguageModel& model, std::stop_token stop = {}) {
    return model.Chat(
        {{"user", "why?", ""}}, [this](const std::string& text) { seen_.push_back(text); },
        std::move(stop));
  }

  std::unique_ptr<ModelServer> server_;
  std::vector<std::string> seen_;
};

TEST_F(LanguageModelTest, TextComesPieceByPiece) {
  Serve([](const Json&, int) {
    return ModelServer::Reply{.pieces = {"Because ", "it ", "rains."}};
  });
  LanguageModel model(Options());
  const auto answer = Ask(model);
  ASSERT_TRUE(answer.ok()) << answer.message();
  EXPECT_EQ(answer->text, "Because it rains.");
  EXPECT_EQ(answer->model, "small");
  ASSERT_FALSE(seen_.empty());
  EXPECT_EQ(seen_.back(), "Because it rains.");
}

TEST_F(LanguageModelTest, EndpointThatDoesNotStreamIsReadToo) {
  Serve([](const Json&, int) {
    return ModelServer::Reply{.pieces = {"At once."}, .streamed = false};
  });
  LanguageModel model(Options());
  EXPECT_EQ(Ask(model)->text, "At once.");
}

TEST_F(LanguageModelTest, KeyModelAndPictureAreSent) {
  Serve([](const Json&, int) { return ModelServer::Reply{.pieces = {"ok"}}; });
  ModelOptions options = Options();
  options.endpoint += "/v1/";
  options.model = "writer";
  options.vision_model = "seer";
  options.key = "secret";
  LanguageModel model(options);
  ASSERT_TRUE(Ask(model).ok());
  EXPECT_EQ(server_->last_authorization(), "Bearer secret");
  EXPECT_EQ(server_->last_request()["model"], "writer");
  EXPECT_EQ(server_->last_request()["messages"][0]["content"], "why?");
  ASSERT_TRUE(model.Chat({{"user", "what?", "JPEG"}}, {}, {}).ok());
  EXPECT_EQ(server_->last_request()["model"], "seer");
  EXPECT_EQ(server_->last_request()["messages"][0]["content"][1]["image_url"]["url"],
            "data:image/jpeg;base64,SlBFRw==");
}

TEST_F(LanguageModelTest, OverloadAndServerErrorsAreTriedAgain) {
  Serve([](const Json&, int before) -> ModelServer::Reply {
    if (before == 0) return {.status = 429, .retry_after = "0"};
    if (before == 1) return {.status = 500};
    return {.pieces = {"third time"}};
  });
  LanguageModel model(Options());
  EXPECT_EQ(Ask(model)->text, "third time");
  EXPECT_EQ(server_->calls(), 3);
}

TEST_F(LanguageModelTest, LongerPauseThanAllowedIsNotWaitedFor) {
  Serve([](const Json&, int) { return ModelServer::Reply{.status = 429, .retry_after = "3600"}; });
  LanguageModel model(Options());
  EXPECT_EQ(Ask(model).code(), Code::kUnavailable);
  EXPECT_EQ(server_->calls(), 1);
}

TEST_F(LanguageModelTest, RefusalIsNotTriedAgainAndItsReasonIsTold) {
  int status = 401;
  Serve([&](const Json&, int) { return ModelServer::Reply{.status = status}; });
  LanguageModel model(Options());
  const auto denied = Ask(model);
  EXPECT_EQ(denied.code(), Code::kPermission);
  EXPECT_THAT(denied.message(), HasSubstr("out of order"));
  status = 400;
  EXPECT_EQ(Ask(model).code(), Code::kInvalid);
  EXPECT_EQ(server_->calls(), 2);
}

TEST_F(LanguageModelTest, AnswerThatIsCutOffIsAskedForAnew) {
  Serve([](const Json&, int before) {
    return ModelServer::Reply{.pieces = {"Half an ", before == 0 ? "ans" : "answer is whole."},
                              .done = before > 0};
  });
  LanguageModel model(Options());
  EXPECT_EQ(Ask(model)->text, "Half an answer is whole.");
  EXPECT_EQ(server_->calls(), 2);
}

TEST_F(LanguageModelTest, WhatIsNotTheProtocolIsCorrupt) {
  std::string raw = "<html>busy</html>";
  Serve([&](const Json&, int) { return ModelServer::Reply{.raw = raw}; });
  LanguageModel model(Options());
  EXPECT_EQ(Ask(model).code(), Code::kCorrupt);
  raw = "data: {\"choices\": [nonsense\n\n";
  EXPECT_EQ(Ask(model).code(), Code::kCorrupt);
}

TEST_F(LanguageModelTest, SilenceAndSlownessEnd) {
  Serve([](const Json&, int) {
    return ModelServer::Reply{.pieces = {"a", "b"}, .between = Milliseconds(60000)};
  });
  ModelOptions options = Options();
  options.silence_max = Milliseconds(100);
  options.attempts_max = 1;
  LanguageModel model(options);
  EXPECT_EQ(Ask(model).code(), Code::kTimeout);
  options.silence_max = Milliseconds(60000);
  options.timeout = Milliseconds(100);
  LanguageModel slow(options);
  EXPECT_EQ(Ask(slow).code(), Code::kTimeout);
}

TEST_F(LanguageModelTest, CancellingEndsTheTransfer) {
  Serve([](const Json&, int) {
    return ModelServer::Reply{.pieces = {"never"}, .delay = Milliseconds(60000)};
  });
  LanguageModel model(Options());
  std::stop_source stop;
  std::jthread canceller([&] {
    while (server_->calls() == 0) std::this_thread::yield();
    stop.request_stop();
  });
  EXPECT_EQ(Ask(model, stop.get_token()).code(), Code::kCancelled);
}

TEST_F(LanguageModelTest, AfterFailuresInARowItRestsAndComesBack) {
  bool broken = true;
  Serve([&](const Json&, int) -> ModelServer::Reply {
    if (broken) return {.status = 503};
    return {.pieces = {"well again"}};
  });
  ModelOptions options = Options();
  options.attempts_max = 1;
  options.failures_max = 2;
  options.rest = Milliseconds(60000);
  LanguageModel model(options);
  EXPECT_FALSE(Ask(model).ok());
  EXPECT_FALSE(Ask(model).ok());
  const auto resting = Ask(model);
  EXPECT_EQ(resting.code(), Code::kUnavailable);
  EXPECT_THAT(resting.message(), HasSubstr("not asked for a while"));
  EXPECT_EQ(server_->calls(), 2);
  options.rest = Milliseconds(0);
  LanguageModel restless(options);
  EXPECT_FALSE(Ask(restless).ok());
  EXPECT_FALSE(Ask(restless).ok());
  broken = false;
  EXPECT_TRUE(Ask(restless).ok());
  EXPECT_TRUE(Ask(restless).ok());
}

TEST_F(LanguageModelTest, ProcessesTogetherAskNoMoreAtOnceThanAllowed) {
  Serve([](const Json&, int) {
    return ModelServer::Reply{.pieces = {"ok"}, .delay = Milliseconds(20)};
  });
  const TemporaryDirectory slots;
  ModelOptions options = Options();
  options.slot_directory = slots.path();
  options.concurrency = 2;
  std::vector<std::jthread> threads;
  std::atomic<int> answered = 0;
  for (int i = 0; i < 6; ++i) {
    threads.emplace_back([&] {
      LanguageModel model(options);  // as another process would have
      answered += model.Chat({{"user", "?", ""}}, {}, {}).ok() ? 1 : 0;
    });
  }
  threads.clear();
  EXPECT_EQ(answered, 6);
  EXPECT_LE(server_->most_at_once(), 2);
}

TEST_F(LanguageModelTest, NothingConfiguredAnswersNothing) {
  LanguageModel model(ModelOptions{});
  EXPECT_FALSE(model.configured());
  EXPECT_EQ(Ask(model).code(), Code::kUnavailable);
  ModelOptions nobody;
  nobody.endpoint = "http://127.0.0.1:9";
  nobody.backoff_first = Milliseconds(1);
  LanguageModel away(nobody);
  EXPECT_EQ(Ask(away).code(), Code::kUnavailable);
}

}  // namespace
}  // namespace msearch::answer
