#include "ingest/dead_letter.h"

#include <gtest/gtest.h>

namespace msearch::ingest {
namespace {

Parcel SomeParcel() {
  Parcel parcel;
  parcel.job.file = 7;
  parcel.job.version = 2;
  parcel.job.root = "r";
  parcel.job.root_path = "/r";
  parcel.job.path = "a.jpg";
  parcel.job.model = TargetModel{};
  parcel.job.model->name = "m";
  parcel.job.model->key = "m-1";
  parcel.document = "blob";
  return parcel;
}

Json Letter(const Json& payload) {
  return {{"payload", payload},
          {"attempts", 2},
          {"error", {{"code", "crashed"}, {"message", "a.jpg: model gone"}}}};
}

TEST(DeadLetter, SaysInWhichStepItWasWritten) {
  Parcel parcel = SomeParcel();
  const auto prepare = ReadDeadLetter(Letter(parcel.job.ToJson()));
  ASSERT_TRUE(prepare.ok()) << prepare.message();
  EXPECT_EQ(prepare->parcel.job.file, 7);
  EXPECT_EQ(prepare->error.code, Code::kCrashed);
  EXPECT_EQ(prepare->error.message, "a.jpg: model gone");
  EXPECT_EQ(prepare->attempts, 2);

  const auto embed = ReadDeadLetter(Letter(parcel.ToJson()));
  ASSERT_TRUE(embed.ok()) << embed.message();
  EXPECT_EQ(embed->error.message, "embedding: a.jpg: model gone");

  parcel.vectors = "blob";
  EXPECT_EQ(ReadDeadLetter(Letter(parcel.ToJson()))->error.message, "storing: a.jpg: model gone");
  parcel.vectors.clear();
  parcel.job.model.reset();
  EXPECT_EQ(ReadDeadLetter(Letter(parcel.ToJson()))->error.message, "storing: a.jpg: model gone");
}

TEST(DeadLetter, OfNothingIsInvalid) {
  EXPECT_EQ(ReadDeadLetter(Json::object()).code(), Code::kInvalid);
  EXPECT_EQ(ReadDeadLetter(Letter(Json::object())).code(), Code::kInvalid);
}

}  // namespace
}  // namespace msearch::ingest
