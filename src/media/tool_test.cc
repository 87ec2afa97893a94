#include "media/tool.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "support/memory_file.h"

namespace msearch::media {
namespace {

Result<ToolOutput> Shell(const std::string& script, uint64_t output_bytes_max = 1000,
                         unsigned cpu_seconds_max = 10) {
  const Fd file = test::MemoryFile("what stands in the file");
  MediaSource source;
  source.fd = file.get();
  return RunTool(source, {"sh", {"-c", script}, output_bytes_max, cpu_seconds_max});
}

TEST(Tool, GetsTheFileAsItsInputAndItsWordsComeBack) {
  const auto output = Shell("cat; echo oops >&2; exit 3");
  ASSERT_TRUE(output.ok()) << output.message();
  EXPECT_EQ(output->out, "what stands in the file");
  EXPECT_EQ(output->errors, "oops");
  EXPECT_EQ(output->status, 3);
  EXPECT_TRUE(output->complete);
}

TEST(Tool, InheritsNoDescriptorButThese) {
  const auto output = Shell("ls /proc/self/fd | wc -l");
  ASSERT_TRUE(output.ok()) << output.message();
  EXPECT_EQ(output->out, "4\n");  // in, out, errors, and the folder that ls reads
}

TEST(Tool, IsStoppedWhenItSaysMoreThanTheLimit) {
  const auto output = Shell("yes", 5000);
  ASSERT_TRUE(output.ok()) << output.message();
  EXPECT_EQ(output->out.size(), 5000U);
  EXPECT_FALSE(output->complete);
}

TEST(Tool, ThatFloodsItsErrorsDoesNotHang) {
  const auto output =
      Shell("i=0; while [ $i -lt 9999 ]; do echo complaint $i >&2; i=$((i+1)); done");
  ASSERT_TRUE(output.ok()) << output.message();
  EXPECT_THAT(output->errors, testing::StartsWith("complaint 0; complaint 1;"));
}

TEST(Tool, ThatCrashesIsACrash) {
  const auto output = Shell("kill -SEGV $$");
  EXPECT_EQ(output.code(), Code::kCrashed);
  EXPECT_THAT(output.message(),
              testing::HasSubstr("sh: killed by Segmentation fault, peak memory "));
}

TEST(Tool, ThatNeverEndsIsKilledAfterItsTime) {
  const auto output = Shell("while :; do :; done", 1000, 1);
  EXPECT_EQ(output.code(), Code::kTooLarge);
  EXPECT_EQ(output.message(), "sh: took more than 1 s of processor time");
}

TEST(Tool, ThatIsNotInstalledIsUnsupported) {
  const Fd file = test::MemoryFile("");
  MediaSource source;
  source.fd = file.get();
  const auto output = RunTool(source, {"no-such-program", {}, 10, 1});
  EXPECT_EQ(output.code(), Code::kUnsupported);
  EXPECT_EQ(output.message(), "no-such-program: isn't installed");
}

}  // namespace
}  // namespace msearch::media
