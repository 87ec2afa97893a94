#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/digest.h"
#include "base/file.h"
#include "base/json.h"
#include "base/strings.h"

namespace msearch {
namespace {

using testing::HasSubstr;

TEST(Result, TryPassesTheErrorOn) {
  auto inner = [](bool fail) -> Result<int> {
    if (fail) return Error{Code::kNotFound, "thing: missing"};
    return 4;
  };
  auto outer = [&](bool fail) -> Result<std::string> {
    return std::to_string(TRY(inner(fail)) + TRY(inner(false)));
  };
  EXPECT_EQ(*outer(false), "8");
  EXPECT_EQ(outer(true).code(), Code::kNotFound);
}

TEST(Result, CodesHaveNamesThatLeadBack) {
  for (int i = 0; i <= static_cast<int>(Code::kInternal); ++i) {
    const Code code = static_cast<Code>(i);
    EXPECT_EQ(CodeFromName(CodeName(code)), code);
  }
  EXPECT_FALSE(IsTransient(Code::kCorrupt));
  EXPECT_TRUE(IsTransient(Code::kUnavailable));
}

TEST(Json, DeepNestingIsRefusedBeforeItCanHurt) {
  EXPECT_EQ(ParseJson(std::string(1000000, '[')).code(), Code::kInvalid);
  EXPECT_TRUE(ParseJson(R"({"a": "[[[[[[", "b": [[1]]})").ok());
  EXPECT_EQ(ParseJson("{\"a\": ").code(), Code::kInvalid);
  EXPECT_EQ(ParseJson("1 2").code(), Code::kInvalid);
}

TEST(Json, ComplaintsNameThePlaceAndNoLibrary) {
  const std::string message = ParseJson("{\"a\":\n x}").message();
  EXPECT_THAT(message, testing::StartsWith("JSON: line 2, column 2: "));
  EXPECT_THAT(message, testing::Not(HasSubstr("exception")));
}

TEST(Json, DumpingNeverThrows) {
  EXPECT_THAT(DumpJson({{"name", "\xff\xfe"}}), HasSubstr("\xEF\xBF\xBD"));
}

TEST(Clock, TimesSurviveTheirText) {
  for (const UnixMs time : {UnixMs{0}, UnixMs{1767225600123}, UnixMs{-1}}) {
    EXPECT_EQ(*ParseRfc3339(FormatRfc3339(time)), time);
  }
  EXPECT_EQ(*ParseRfc3339("2026-01-01T01:00:00+01:00"), *ParseRfc3339("2026-01-01"));
  for (const char* text : {"yesterday", "2026-13-01", "2026-02-30", "2026-01-01T25:00:00Z", ""}) {
    EXPECT_EQ(ParseRfc3339(text).code(), Code::kInvalid) << text;
  }
}

TEST(Digest, IsSha256) {
  EXPECT_EQ(Sha256("abc").hex(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(*Digest::FromHex(Sha256("abc").hex()), Sha256("abc"));
  EXPECT_FALSE(Digest::FromHex("12").ok());
  TemporaryDirectory directory;
  const std::string path = directory.path() + "/file";
  ASSERT_TRUE(WriteFileAtomically(path, std::string(1000000, 'x')).ok());
  const auto file = OpenFile(path, O_RDONLY);
  EXPECT_EQ(*Sha256File(file->get()), Sha256(std::string(1000000, 'x')));
}

TEST(Strings, Base64AndHexLeadBack) {
  for (size_t size = 0; size < 70; ++size) {
    const std::string bytes = RandomBytes(size);
    EXPECT_EQ(Base64Decode(Base64Encode(bytes)), bytes);
    EXPECT_EQ(HexDecode(HexEncode(bytes)), bytes);
  }
  EXPECT_EQ(Base64Encode("Man"), "TWFu");
  for (const char* text : {"A", "AA=A", "!!!!", "AAAA===="}) {
    EXPECT_FALSE(Base64Decode(text)) << text;
  }
}

TEST(Strings, GlobsMatchNamesAnywhereAndPathsExactly) {
  EXPECT_TRUE(GlobMatch("*.tmp", "a/b/c.tmp"));
  EXPECT_TRUE(GlobMatch("cache/**", "cache/x/y.jpg"));
  EXPECT_TRUE(GlobMatch("**/thumbs/*", "a/b/thumbs/1.jpg"));
  EXPECT_FALSE(GlobMatch("cache/*", "cache/x/y.jpg"));
  EXPECT_FALSE(GlobMatch("*.tmp", "c.tmp.jpg"));
}

TEST(Strings, Utf8IsCheckedCutAndFolded) {
  EXPECT_TRUE(IsUtf8("青蛙"));
  EXPECT_FALSE(IsUtf8("\xe9t\xe9"));
  EXPECT_EQ(TruncateUtf8("青蛙", 4), "青");
  EXPECT_EQ(FoldCase("ＦＲＯＧ Straße"), "frog strasse");
  EXPECT_TRUE(IsUtf8(SanitizeUtf8("\xe9t\xe9")));
}

TEST(Strings, AMisspelledWordFindsItsNeighbour) {
  EXPECT_EQ(NearestWord("scan_intervall", {"recursive", "scan_interval"}), "scan_interval");
  EXPECT_FALSE(NearestWord("zebra", {"recursive", "scan_interval"}));
}

TEST(File, AnAtomicWriteThatFailsLeavesTheOldContent) {
  TemporaryDirectory directory;
  const std::string path = directory.path() + "/file";
  ASSERT_TRUE(WriteFileAtomically(path, "old").ok());
  EXPECT_FALSE(WriteFileAtomically(path + "/below", "new").ok());
  EXPECT_EQ(*ReadFile(path), "old");
  EXPECT_EQ(ReadFile(path, 2).code(), Code::kTooLarge);
  EXPECT_EQ(ReadFile(path + "-none").code(), Code::kNotFound);
}

TEST(File, ALockIsHeldByOne) {
  TemporaryDirectory directory;
  const std::string path = directory.path() + "/lock";
  auto first = LockFile(path);
  ASSERT_TRUE(first.ok());
  EXPECT_EQ(LockFile(path).code(), Code::kConflict);
  first->Reset();
  EXPECT_TRUE(LockFile(path).ok());
}

TEST(File, AFifoDoesNotBlockOpening) {
  TemporaryDirectory directory;
  const std::string path = directory.path() + "/fifo";
  ASSERT_EQ(mkfifo(path.c_str(), 0600), 0);
  EXPECT_TRUE(OpenFile(path, O_RDONLY).ok());
}

}  // namespace
}  // namespace msearch
