#include "net/byte_range.h"

#include <gtest/gtest.h>

namespace msearch::net {
namespace {

Selection Select(std::map<std::string, std::string> headers, uint64_t size = 100) {
  Request request;
  request.headers = std::move(headers);
  return SelectBytes(request, "\"v1\"", size);
}

void ExpectPart(const Selection& selection, uint64_t offset, uint64_t size) {
  EXPECT_EQ(selection.status, 206);
  EXPECT_EQ(selection.offset, offset);
  EXPECT_EQ(selection.size, size);
}

TEST(ByteRange, OneRangeSelectsItsBytes) {
  ExpectPart(Select({{"range", "bytes=0-9"}}), 0, 10);
  ExpectPart(Select({{"range", "bytes=90-"}}), 90, 10);
  ExpectPart(Select({{"range", "bytes=-30"}}), 70, 30);
  ExpectPart(Select({{"range", "bytes=-1000"}}), 0, 100);
  ExpectPart(Select({{"range", "bytes=99-18446744073709551615"}}), 99, 1);
}

TEST(ByteRange, BeyondTheEndIsNotSatisfiable) {
  EXPECT_EQ(Select({{"range", "bytes=100-"}}).status, 416);
  EXPECT_EQ(Select({{"range", "bytes=-0"}}).status, 416);
  EXPECT_EQ(Select({{"range", "bytes=0-"}}, 0).status, 416);
  EXPECT_EQ(Select({{"range", "bytes=-5"}}, 0).status, 416);
}

TEST(ByteRange, WhatIsNoSingleByteRangeIsIgnored) {
  for (const char* range : {"bytes=0-1,3-4", "lines=1-2", "bytes=5-1", "bytes=-", "bytes=a-b",
                            "bytes=1", "bytes=99999999999999999999-", "bytes=0--1", ""}) {
    Selection selection = Select({{"range", range}});
    EXPECT_EQ(selection.status, 200) << range;
    EXPECT_EQ(selection.size, 100u) << range;
  }
}

TEST(ByteRange, IfRangeAsksForTheSameStrongTag) {
  EXPECT_EQ(Select({{"range", "bytes=0-9"}, {"if-range", "\"v1\""}}).status, 206);
  EXPECT_EQ(Select({{"range", "bytes=0-9"}, {"if-range", "\"v0\""}}).status, 200);
  EXPECT_EQ(Select({{"range", "bytes=0-9"}, {"if-range", "W/\"v1\""}}).status, 200);
}

TEST(ByteRange, KnownTagIsUnchanged) {
  EXPECT_EQ(Select({{"if-none-match", "\"a\", W/\"v1\""}}).status, 304);
  EXPECT_EQ(Select({{"if-none-match", "*"}}).status, 304);
  EXPECT_EQ(Select({{"if-none-match", "\"v2\""}}).status, 200);
  EXPECT_EQ(Select({{"if-none-match", "\"v1\""}, {"range", "bytes=0-1"}}).status, 304);
}

TEST(ByteRange, WithoutATagNothingIsUnchanged) {
  Request request;
  request.headers = {{"if-none-match", "*"}};
  EXPECT_EQ(SelectBytes(request, "", 10).status, 200);
}

}  // namespace
}  // namespace msearch::net
