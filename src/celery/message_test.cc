#include "celery/message.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/strings.h"

namespace msearch::celery {
namespace {

using testing::HasSubstr;

// As Celery 5 writes it.
Json Message() {
  return {
      {"body", Base64Encode(R"([["aGVsbG8="], {"size": 3}, {"callbacks": null, "errbacks": null,)"
                            R"( "chain": null, "chord": null}])")},
      {"content-encoding", "utf-8"},
      {"content-type", "application/json"},
      {"headers",
       {{"lang", "py"},
        {"task", "worker.generate_embeddings_task"},
        {"id", "2c2d"},
        {"eta", nullptr},
        {"expires", nullptr}}},
      {"properties", {{"body_encoding", "base64"}, {"correlation_id", "2c2d"}}}};
}
Json WithHeader(const char* name, const Json& value) {
  Json message = Message();
  message["headers"][name] = value;
  return message;
}
Json WithBody(const std::string& body) {
  Json message = Message();
  message["body"] = Base64Encode(body);
  return message;
}
Code Refusal(const Json& message, Call* call) {
  const Result<> read = ReadMessage(DumpJson(message), call);
  EXPECT_FALSE(read.ok());
  return read.code();
}

TEST(CeleryMessage, TellsWhatIsCalledAndWithWhat) {
  Call call;
  ASSERT_TRUE(ReadMessage(DumpJson(Message()), &call).ok());
  EXPECT_EQ(call.id, "2c2d");
  EXPECT_EQ(call.task, "worker.generate_embeddings_task");
  EXPECT_EQ(call.args, Json({"aGVsbG8="}));
  EXPECT_EQ(call.kwargs, Json({{"size", 3}}));
  EXPECT_FALSE(call.expires);
}

TEST(CeleryMessage, ABodyMayComeAsItIs) {
  Json message = Message();
  message["body"] = R"([[1], {}])";
  message["properties"] = Json::object();
  Call call;
  ASSERT_TRUE(ReadMessage(DumpJson(message), &call).ok());
  EXPECT_EQ(call.args, Json({1}));
}

TEST(CeleryMessage, ItsEndOfUseIsReadInPythonsWay) {
  Call call;
  ASSERT_TRUE(
      ReadMessage(DumpJson(WithHeader("expires", "2026-01-31T12:00:00.250000+00:00")), &call).ok());
  EXPECT_EQ(call.expires, ParseRfc3339("2026-01-31T12:00:00.250Z").value());
  ASSERT_TRUE(ReadMessage(DumpJson(WithHeader("expires", "2026-01-31T12:00:00")), &call).ok());
  EXPECT_EQ(call.expires, ParseRfc3339("2026-01-31T12:00:00Z").value());
  EXPECT_EQ(Refusal(WithHeader("expires", "soon"), &call), Code::kInvalid);
  EXPECT_EQ(Refusal(WithHeader("expires", 60), &call), Code::kInvalid);
}

TEST(CeleryMessage, WhatIsNoMessageIsRefused) {
  for (const char* text :
       {"", "no", "[]", "{}", "{\"headers\": 3}", "{\"headers\": {\"id\": \"a\"}}",
        "{\"headers\": {\"id\": \"a\", \"task\": 1}}"}) {
    Call call;
    EXPECT_EQ(ReadMessage(text, &call).code(), Code::kInvalid) << text;
  }
  for (const char* body : {"", "{}", "[]", "[1, {}]", "[[], []]", "[[], {}"}) {
    Call call;
    EXPECT_EQ(Refusal(WithBody(body), &call), Code::kInvalid) << body;
    EXPECT_EQ(call.id, "2c2d") << "so that whoever waits can be told";
  }
}

TEST(CeleryMessage, WhatAsksForMoreThanAResultIsRefused) {
  Call call;
  Json pickled = Message();
  pickled["content-type"] = "application/x-python-serialize";
  EXPECT_EQ(Refusal(pickled, &call), Code::kUnsupported);
  EXPECT_EQ(Refusal(WithHeader("compression", "gzip"), &call), Code::kUnsupported);
  EXPECT_EQ(Refusal(WithHeader("eta", "2026-01-31T12:00:00"), &call), Code::kUnsupported);
  EXPECT_EQ(Refusal(WithBody(R"([[], {}, {"chain": [{"task": "next"}]}])"), &call),
            Code::kUnsupported);
}

TEST(CeleryMessage, ErrorsBecomeExceptions) {
  const auto exception = [](Code code) {
    const Json meta = *ParseJson(ResultText("2c2d", Error{code, "picture: too odd"}, 0));
    EXPECT_EQ(meta["task_id"], "2c2d");
    EXPECT_EQ(meta["result"]["exc_message"], Json({"picture: too odd"}));
    return meta["status"].get<std::string>() + " " +
           meta["result"]["exc_module"].get<std::string>() + "." +
           meta["result"]["exc_type"].get<std::string>();
  };
  EXPECT_EQ(exception(Code::kInvalid), "FAILURE builtins.ValueError");
  EXPECT_EQ(exception(Code::kCorrupt), "FAILURE builtins.ValueError");
  EXPECT_EQ(exception(Code::kTimeout), "FAILURE builtins.TimeoutError");
  EXPECT_EQ(exception(Code::kUnavailable), "FAILURE builtins.RuntimeError");
  EXPECT_EQ(exception(Code::kNotFound), "FAILURE celery.exceptions.NotRegistered");
  EXPECT_EQ(exception(Code::kCancelled), "REVOKED celery.exceptions.TaskRevokedError");
  const Json meta = *ParseJson(ResultText("2c2d", Json{1, 2}, 0));
  EXPECT_EQ(meta["status"], "SUCCESS");
  EXPECT_EQ(meta["result"], Json({1, 2}));
}

}  // namespace
}  // namespace msearch::celery
