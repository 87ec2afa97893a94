// The parent's side, against real children: this program in its role "codec" (main_test.cc).
#include "media/codec.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <thread>

#include "media/wire.h"
#include "support/memory_file.h"
#include "support/pictures.h"

namespace msearch::media {
namespace {

using testing::HasSubstr;

Codec MakeCodec(CodecLimits limits = {}) { return Codec({"role", "codec"}, limits); }

// The process that has this one as its parent, as /proc tells.
pid_t OnlyChild() {
  const std::string path = "/proc/self/task/" + std::to_string(getpid()) + "/children";
  std::ifstream file(path);
  pid_t pid = -1;
  file >> pid;
  return pid;
}

std::string SmallJpeg() { return test::Encoded(test::Quarters(64, 48), "jpg"); }

TEST(Codec, AnswersWithEverythingThatWasAskedFor) {
  Codec codec = MakeCodec();
  PrepareOptions options;
  options.pixels = {24, 16, PixelsWanted::Fit::kCenterCrop};
  const Fd file = test::MemoryFile(SmallJpeg());
  const Result<Prepared> prepared = codec.Prepare(file, "a.jpg", options);
  ASSERT_TRUE(prepared.ok()) << prepared.message();
  EXPECT_EQ(prepared->mime, "image/jpeg");
  EXPECT_EQ(prepared->width, 64U);
  EXPECT_EQ(prepared->pixels.at(0).size(), 24U * 16 * 3);
  EXPECT_TRUE(prepared->perceptual_hash);
  EXPECT_FALSE(prepared->thumbnail.empty());
}

TEST(Codec, DecodesEveryFormatInsideTheSandbox) {
  Codec codec = MakeCodec();
  for (const char* format : {"jpg", "png", "webp", "gif", "tif", "bmp", "heic", "avif", "jxl"}) {
    const Fd file = test::MemoryFile(test::Encoded(test::Quarters(400, 300), format));
    const Result<Prepared> prepared = codec.Prepare(file, "a", {});
    EXPECT_TRUE(prepared.ok()) << format << ": " << prepared.message();
  }
  const Fd text = test::MemoryFile("\xC4\xE3\xBA\xC3\xA3\xAC\xCA\xC0\xBD\xE7\xA1\xA3");
  const Result<Prepared> prepared = codec.Prepare(text, "a.txt", {});
  ASSERT_TRUE(prepared.ok()) << prepared.message();
  EXPECT_EQ(prepared->segments[0].text, "你好，世界。");
}

TEST(Codec, ShowsAPictureUprightAndNoLargerThanAsked) {
  Codec codec = MakeCodec();
  const std::string exif = test::MakeExif({.orientation = 6});
  const Fd file = test::MemoryFile(test::Encoded(test::Quarters(400, 300), "jpg", exif));
  ViewWanted wanted;
  wanted.side_max = 200;
  const Result<View> view = codec.ViewOf(file, "a.jpg", wanted);
  ASSERT_TRUE(view.ok()) << view.message();
  EXPECT_EQ(view->width, 150U);
  EXPECT_EQ(view->height, 200U);
  ASSERT_EQ(view->rgb.size(), 150U * 200 * 3);
  // Turned to the right: what was lower left is upper left now.
  const auto* first = reinterpret_cast<const uint8_t*>(view->rgb.data());
  EXPECT_LT(test::Distance({first[0], first[1], first[2]}, test::kBottomLeft), 40);
  wanted.side_max = 4000;
  EXPECT_EQ(codec.ViewOf(file, "a.jpg", wanted)->height, 400U);
  wanted.page = 2;
  EXPECT_EQ(codec.ViewOf(file, "a.jpg", wanted).code(), Code::kNotFound);
}

TEST(Codec, SaysWhatHasNothingToSeeOrHear) {
  Codec codec = MakeCodec();
  const Fd picture = test::MemoryFile(SmallJpeg());
  EXPECT_EQ(codec.SamplesOf(picture, "a.jpg", {}).code(), Code::kUnsupported);
  const Fd text = test::MemoryFile("words");
  EXPECT_EQ(codec.ViewOf(text, "a.txt", {}).code(), Code::kUnsupported);
  SamplesWanted unbounded;
  unbounded.seconds = 1e9;
  EXPECT_EQ(codec.SamplesOf(picture, "a.jpg", unbounded).code(), Code::kInvalid);
}

TEST(Codec, BelievesNoViewOrSamplesThatDontFit) {
  EXPECT_EQ(ViewFromFrame(ToFrame(View{10, 10, std::string(299, 'x')}), {}).code(), Code::kCrashed);
  EXPECT_EQ(ViewFromFrame(ToFrame(View{3000, 1, std::string(9000, 'x')}), {}).code(),
            Code::kCrashed);
  EXPECT_TRUE(ViewFromFrame(ToFrame(View{10, 10, std::string(300, 'x')}), {}).ok());
  SamplesWanted wanted;
  wanted.seconds = 1;
  wanted.rate = 8000;
  EXPECT_TRUE(SamplesFromFrame(ToFrame(std::vector<float>(8000)), wanted).ok());
  EXPECT_EQ(SamplesFromFrame(ToFrame(std::vector<float>(9000)), wanted).code(), Code::kCrashed);
}

TEST(Codec, BelievesNoPieceOfAClipThatDoesntFit) {
  const ClipWanted wanted{.start = 3, .end = 8};
  const auto code = [&](const Clip& clip, const std::string& piece) {
    const Result<Clip> got = ClipFromFrame(ToFrame(clip, piece), wanted);
    return got.ok() ? Code::kInternal : got.code();
  };
  EXPECT_TRUE(ClipFromFrame(ToFrame({"video/mp4", 2, 8}, "piece"), wanted).ok());
  EXPECT_TRUE(ClipFromFrame(ToFrame({"audio/mp4", 3, 3}, ""), wanted).ok());
  EXPECT_EQ(code({"text/html", 2, 8}, "piece"), Code::kCrashed);
  EXPECT_EQ(code({"video/mp4", 9, 9}, "piece"), Code::kCrashed);
  EXPECT_EQ(code({"video/mp4", -1, 8}, "piece"), Code::kCrashed);
  EXPECT_EQ(code({"video/mp4", 4, 3}, "piece"), Code::kCrashed);
  EXPECT_EQ(code({"video/mp4", 2, 8}, std::string(kClipPieceBytesMax + 1, 'x')), Code::kCrashed);
}

TEST(Codec, TakesNoLargerAnswerThanAgreed) {
  CodecLimits limits;
  limits.answer_bytes_max = 4000;
  Codec codec = MakeCodec(limits);
  PrepareOptions options;
  options.thumbnail_side_max = 0;
  options.pixels = {64, 64, PixelsWanted::Fit::kStretch};
  const Fd file = test::MemoryFile(SmallJpeg());
  const Result<Prepared> large = codec.Prepare(file, "a.jpg", options);
  ASSERT_FALSE(large.ok());
  EXPECT_THAT(large.message(), HasSubstr("frame too large"));
  options.pixels = {8, 8, PixelsWanted::Fit::kStretch};
  EXPECT_TRUE(codec.Prepare(file, "a.jpg", options).ok());
}

TEST(Codec, KeepsKindTimesAndBoxesOfASegmentOnTheWay) {
  Segment segment;
  segment.kind = SegmentKind::kText;
  segment.text = "STOP";
  segment.start_time = 1.5;
  segment.boxes.push_back({"STOP", 0.25F, 0.5F, 0.125F, 0.0625F});
  segment.boxes.push_back({"out", 7, -1, 0, 0});
  const Segment back = SegmentFromJson(ToJson(segment));
  EXPECT_EQ(back.kind, SegmentKind::kText);
  EXPECT_EQ(back.start_time, 1.5);
  ASSERT_EQ(back.boxes.size(), 2U);
  EXPECT_EQ(back.boxes[0].text, "STOP");
  EXPECT_EQ(back.boxes[0].width, 0.125F);
  EXPECT_EQ(back.boxes[1].x, 0);
}

TEST(Codec, DecodesWhileItsOwnerDoesSomethingElse) {
  CodecLimits limits;
  limits.timeout_ms = 20000;
  Codec codec = MakeCodec(limits);
  Fd first = test::MemoryFile(SmallJpeg());
  codec.Begin(first, "first.jpg", {});
  first.Reset();  // the child has its own
  const Fd second = test::MemoryFile("words");
  EXPECT_EQ(codec.End()->width, 64U);
  codec.Begin(second, "second.txt", {});
  EXPECT_EQ(codec.End()->segments.at(0).text, "words");
}

TEST(Codec, TakesAnAnswerThatWasThereInTimeHoweverLateItLooks) {
  CodecLimits limits;
  limits.timeout_ms = 2000;
  Codec codec = MakeCodec(limits);
  const Fd file = test::MemoryFile(SmallJpeg());
  ASSERT_TRUE(codec.Prepare(file, "a.jpg", {}).ok());  // the child has started
  codec.Begin(file, "a.jpg", {});
  const auto looks = std::chrono::steady_clock::now() + std::chrono::milliseconds(2100);
  std::this_thread::sleep_until(looks);
  EXPECT_TRUE(codec.End().ok());
}

TEST(Codec, LeavesTheCallersDescriptorOpen) {
  Codec codec = MakeCodec();
  const Fd file = test::MemoryFile(SmallJpeg());
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(codec.Prepare(file, "a.jpg", {}).ok());
}

TEST(Codec, ReplacesAChildAfterItsShareOfFiles) {
  CodecLimits limits;
  limits.files_per_child = 2;
  Codec codec = MakeCodec(limits);
  const Fd file = test::MemoryFile(SmallJpeg());
  std::vector<pid_t> pids;
  for (int i = 0; i < 4; ++i) {
    ASSERT_TRUE(codec.Prepare(file, "a.jpg", {}).ok());
    pids.push_back(OnlyChild());
  }
  EXPECT_EQ(pids[0], pids[1]);
  EXPECT_NE(pids[1], pids[2]);
  EXPECT_EQ(pids[2], pids[3]);
  EXPECT_GT(codec.peak_memory_bytes(), 0U);
}

TEST(Codec, ReplacesAChildThatHoldsMoreMemoryThanIsItsShare) {
  CodecLimits limits;
  limits.idle_memory_bytes_max = 1;
  Codec codec = MakeCodec(limits);
  const Fd file = test::MemoryFile(SmallJpeg());
  ASSERT_TRUE(codec.Prepare(file, "a.jpg", {}).ok());
  const pid_t first = OnlyChild();
  ASSERT_TRUE(codec.Prepare(file, "a.jpg", {}).ok());
  EXPECT_NE(OnlyChild(), first);
}

TEST(Codec, ChildKilledWhileIdleIsReplacedSilently) {
  Codec codec = MakeCodec();
  const Fd file = test::MemoryFile(SmallJpeg());
  ASSERT_TRUE(codec.Prepare(file, "a.jpg", {}).ok());
  const pid_t child = OnlyChild();
  ASSERT_EQ(kill(child, SIGKILL), 0);
  siginfo_t info{};
  ASSERT_EQ(waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOWAIT), 0);
  EXPECT_TRUE(codec.Prepare(file, "a.jpg", {}).ok());
}

TEST(Codec, ChildKilledWhileDecodingIsACrashAndTheNextFileWorks) {
  Codec codec = MakeCodec();
  const Fd small = test::MemoryFile(SmallJpeg());
  ASSERT_TRUE(codec.Prepare(small, "a.jpg", {}).ok());
  const pid_t child = OnlyChild();
  // Stopped, the child can't finish before it is killed.
  ASSERT_EQ(kill(child, SIGSTOP), 0);
  const std::string state_path = "/proc/self/task/" + std::to_string(getpid()) + "/stat";
  std::thread killer([child, state_path] {
    // This process's main thread sleeps once it has sent the request and waits for the answer.
    std::string id, name, state;
    while (state != "S") {
      std::this_thread::yield();
      std::ifstream(state_path) >> id >> name >> state;
    }
    kill(child, SIGKILL);
  });
  const Result<Prepared> prepared = codec.Prepare(small, "holiday/b.jpg", {});
  killer.join();
  ASSERT_FALSE(prepared.ok());
  EXPECT_EQ(prepared.code(), Code::kCrashed);
  EXPECT_THAT(prepared.message(), HasSubstr("holiday/b.jpg: codec child: killed by Killed"));
  EXPECT_THAT(prepared.message(), HasSubstr("decoding image/jpeg, peak memory "));
  EXPECT_TRUE(codec.Prepare(small, "a.jpg", {}).ok());
}

TEST(Codec, ChildThatDoesNotAnswerInTimeIsKilledAndTheNextFileWorks) {
  CodecLimits limits;
  limits.timeout_ms = 300;
  Codec codec = MakeCodec(limits);
  // Decoding these many pixels takes longer than that on any machine.
  const Fd large = test::MemoryFile(test::MakePngBomb(15000, 15000));
  const Result<Prepared> prepared = codec.Prepare(large, "large.png", {});
  ASSERT_FALSE(prepared.ok());
  EXPECT_EQ(prepared.code(), Code::kTimeout);
  EXPECT_THAT(prepared.message(), HasSubstr("large.png: codec child: no answer within 300 ms"));
  EXPECT_EQ(OnlyChild(), -1);
}

TEST(Codec, MemoryLimitEndsAsAnErrorNotAsAnOutage) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "no limit on address space under sanitizers";
#endif
  CodecLimits limits;
  limits.memory_bytes_max = 700 << 20;
  Codec codec = MakeCodec(limits);
  std::string bmp = test::MakeBmp(test::Flat(8, 8, {1, 2, 3}), 8);
  // A run-length bitmap of 40,000 x 25,000 pixels needs a gigabyte.
  bmp[30] = 1;
  for (int i = 0; i < 4; ++i) {
    bmp[18 + i] = static_cast<char>(40000U >> (8 * i));
    bmp[22 + i] = static_cast<char>(25000U >> (8 * i));
  }
  PrepareOptions options;
  options.picture_pixels_max = uint64_t{2} << 30;
  const Result<Prepared> prepared = codec.Prepare(test::MemoryFile(bmp), "a.bmp", options);
  ASSERT_FALSE(prepared.ok());
  EXPECT_EQ(prepared.code(), Code::kTooLarge) << prepared.message();
  EXPECT_TRUE(codec.Prepare(test::MemoryFile(SmallJpeg()), "a.jpg", {}).ok());
}

TEST(Codec, ProgramThatCannotServeIsACrash) {
  Codec codec({"role", "no-such-role"}, {});
  const Result<Prepared> prepared = codec.Prepare(test::MemoryFile(SmallJpeg()), "a.jpg", {});
  ASSERT_FALSE(prepared.ok());
  EXPECT_EQ(prepared.code(), Code::kCrashed);
}

TEST(Codec, DirectoriesAndPipesAreRefused) {
  Codec codec = MakeCodec();
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  const Fd in(ends[0]);
  const Fd out(ends[1]);
  EXPECT_EQ(codec.Prepare(in, "pipe", {}).code(), Code::kInvalid);
  const Fd directory = *OpenFile("/", O_RDONLY | O_DIRECTORY);
  EXPECT_EQ(codec.Prepare(directory, "directory", {}).code(), Code::kInvalid);
}

TEST(Wire, PreparedSurvivesTheJourney) {
  Prepared prepared;
  prepared.type = MediaType::kDocument;
  prepared.mime = "text/plain";
  prepared.captured_at = -5;
  prepared.camera = "C";
  prepared.gps = {-1.5, 2.5};
  prepared.perceptual_hash = 0xFEDCBA9876543210;
  prepared.title = "Title";
  prepared.segments = {{.index = 0, .text = "one", .start_time = 1.5, .end_time = 2, .page = 3},
                       {.index = 1, .text = "two", .pixels = 0}};
  const Result<Prepared> again = Prepared::FromHead(prepared.Head());
  ASSERT_TRUE(again.ok()) << again.message();
  EXPECT_EQ(again->Head(), prepared.Head());
  EXPECT_EQ(again->perceptual_hash, prepared.perceptual_hash);
  EXPECT_EQ(again->segments[0].page, 3U);
}

TEST(Wire, AnswersThatDoNotFitAreNotBelieved) {
  Prepared prepared;
  prepared.segments = {{.index = 0, .pixels = 0}};
  prepared.pixels = {"too short"};
  PrepareOptions options;
  options.pixels = {2, 2, PixelsWanted::Fit::kStretch};
  EXPECT_EQ(PreparedFromFrame(ToFrame(prepared), options).code(), Code::kCrashed);
  prepared.pixels.clear();
  EXPECT_EQ(PreparedFromFrame(ToFrame(prepared), options).code(), Code::kCrashed);
  prepared.segments.clear();
  EXPECT_EQ(PreparedFromFrame(ToFrame(prepared), options).code(), Code::kCrashed);
  Frame frame;
  frame.head = "nonsense";
  EXPECT_EQ(PreparedFromFrame(std::move(frame), options).code(), Code::kCrashed);
}

}  // namespace
}  // namespace msearch::media
