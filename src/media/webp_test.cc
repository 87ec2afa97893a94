// Animated WebP pictures, which are films.
#include "media/webp.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "media/codec.h"
#include "support/films.h"
#include "support/memory_file.h"
#include "support/pictures.h"

namespace msearch::media {
namespace {

using test::MadeByFfmpeg;
using test::Scenes;

std::string Moving(const std::string& pictures) {
  return MadeByFfmpeg(pictures + " -c:v libwebp_anim -loop 0 -q:v 60", "webp");
}

PrepareOptions Options() {
  PrepareOptions options;
  options.pixels = {32, 32, PixelsWanted::Fit::kStretch};
  return options;
}

class Animations : public testing::Test {
 protected:
  Result<Prepared> Prepare(const std::string& bytes) {
    return codec_.Prepare(test::MemoryFile(bytes), "a.webp", Options());
  }
  Codec codec_{{"role", "codec"}, {}};
};

TEST_F(Animations, AreShortFilms) {
  const auto film = Prepare(Moving("-f lavfi -i testsrc=s=121x91:r=5:d=3"));
  ASSERT_TRUE(film.ok()) << film.message();
  EXPECT_EQ(film->type, MediaType::kVideo);
  EXPECT_EQ(film->mime, "image/webp");
  EXPECT_EQ(film->width, 121U);
  EXPECT_EQ(film->height, 91U);
  EXPECT_NEAR(film->duration, 3, 0.01);
  ASSERT_EQ(film->segments.size(), 1U);
  EXPECT_EQ(film->segments[0].kind, SegmentKind::kShot);
  EXPECT_NEAR(film->segments[0].end_time.value_or(0), 3, 0.01);
  EXPECT_EQ(film->pixels.size(), 1U);
  EXPECT_FALSE(film->thumbnail.empty());
  EXPECT_FALSE(film->strip.empty());
  EXPECT_EQ(film->attributes["codec"], "webp");
  EXPECT_FALSE(film->attributes.contains("frames_read"));
}

TEST_F(Animations, LongerOnesHaveShots) {
  const auto film = Prepare(Moving(Scenes({4, 3, 4}, 160, 90, 5)));
  ASSERT_TRUE(film.ok()) << film.message();
  ASSERT_EQ(film->segments.size(), 3U);
  EXPECT_NEAR(film->segments[1].start_time.value_or(0), 4, 0.3);
  EXPECT_NEAR(film->segments[2].start_time.value_or(0), 7, 0.3);
  EXPECT_NEAR(film->segments[2].end_time.value_or(0), 11, 0.01);
}

TEST_F(Animations, AreLookedAtByTime) {
  const std::string film = Moving(
      "-f lavfi -i color=c=red:s=64x48:r=4:d=2 -f lavfi -i color=c=blue:s=64x48:r=4:d=2 "
      "-filter_complex concat=n=2:v=1");
  for (const auto& [time, red] : {std::pair{0.5, true}, {3.5, false}, {100.0, false}}) {
    const auto view = codec_.ViewOf(test::MemoryFile(film), "a.webp", {.time = time});
    ASSERT_TRUE(view.ok()) << view.message();
    EXPECT_EQ(view->width, 64U);
    EXPECT_EQ(static_cast<uint8_t>(view->rgb[0]) > 128, red) << time;
    EXPECT_EQ(static_cast<uint8_t>(view->rgb[2]) > 128, !red) << time;
  }
}

TEST_F(Animations, AreCutToClips) {
  const Fd film = test::MemoryFile(
      Moving("-f lavfi -i color=c=red:s=64x48:r=5:d=4 -f lavfi -i testsrc2=s=64x48:r=5:d=4 "
             "-filter_complex concat=n=2:v=1"));
  std::string clip;
  const auto take = [&](const Clip&, std::string_view piece) {
    clip += piece;
    return true;
  };
  const auto cut = codec_.ClipOf(film, "a.webp", {.start = 2.5, .end = 6.5}, take);
  ASSERT_TRUE(cut.ok()) << cut.message();
  EXPECT_EQ(cut->mime, "video/mp4");
  EXPECT_EQ(cut->start, 2.5);
  const auto prepared = Prepare(clip);
  ASSERT_TRUE(prepared.ok()) << prepared.message();
  EXPECT_EQ(prepared->attributes["codec"], "h264");
  EXPECT_NEAR(prepared->duration, 4, 0.3);
  for (const auto& [time, red] : {std::pair{0.0, true}, {2.5, false}}) {
    const auto view = codec_.ViewOf(test::MemoryFile(clip), "a.mp4", {.time = time});
    ASSERT_TRUE(view.ok()) << view.message();
    const size_t middle = (size_t{24} * 64 + 8) * 3;
    EXPECT_EQ(static_cast<uint8_t>(view->rgb[middle]) > 200 &&
                  static_cast<uint8_t>(view->rgb[middle + 1]) < 60 &&
                  static_cast<uint8_t>(view->rgb[middle + 2]) < 60,
              red)
        << time;
  }
  EXPECT_EQ(codec_.ClipOf(film, "a.webp", {.start = 20, .end = 24}, take).code(), Code::kNotFound);
}

TEST_F(Animations, OfOnePictureArePictures) {
  const std::string still = test::Encoded(test::Photograph(120, 90, 1), "webp");
  const auto picture = Prepare(still);
  ASSERT_TRUE(picture.ok()) << picture.message();
  EXPECT_EQ(picture->type, MediaType::kPicture);
  const auto cut = codec_.ClipOf(test::MemoryFile(still), "a.webp", {},
                                 [](const Clip&, std::string_view) { return true; });
  EXPECT_EQ(cut.code(), Code::kUnsupported);
  const auto one = Prepare(Moving("-f lavfi -i testsrc=s=120x90:r=5:d=1 -frames:v 1"));
  ASSERT_TRUE(one.ok()) << one.message();
  EXPECT_EQ(one->type, MediaType::kPicture);
}

TEST_F(Animations, WithoutTheirEndAreKeptForWhatIsThere) {
  const std::string whole = Moving("-f lavfi -i testsrc2=s=120x90:r=5:d=6");
  double before = 0;
  for (size_t tenth = 1; tenth < 10; ++tenth) {
    const auto part = Prepare(whole.substr(0, whole.size() * tenth / 10));
    if (!part.ok()) {
      EXPECT_EQ(part.code(), Code::kCorrupt) << part.message();
      EXPECT_LT(tenth, 3U);
      continue;
    }
    EXPECT_GE(part->duration, before);
    before = part->duration;
  }
  EXPECT_GT(before, 4);
  EXPECT_LT(before, 6);
}

TEST_F(Animations, FlippedBitsHarmNobody) {
  const std::string whole = Moving("-f lavfi -i testsrc2=s=80x60:r=5:d=2");
  std::mt19937 random(20260131);
  int read = 0;
  for (int i = 0; i < 150; ++i) {
    std::string bytes = whole;
    for (int flips = 1 + static_cast<int>(random() % 4); flips > 0; --flips) {
      const size_t range = random() % 2 == 0 ? std::min<size_t>(bytes.size(), 200) : bytes.size();
      bytes[random() % range] ^= static_cast<char>(1 << random() % 8);
    }
    const auto film = Prepare(bytes);
    read += film.ok() ? 1 : 0;
    EXPECT_TRUE(film.ok() || film.code() == Code::kCorrupt || film.code() == Code::kTooLarge ||
                film.code() == Code::kUnsupported)
        << film.message();
  }
  EXPECT_GT(read, 0);
}

TEST_F(Animations, OfHugeCanvasesAreNotFilms) {
  std::string bytes = Moving("-f lavfi -i testsrc2=s=80x60:r=5:d=1");
  ASSERT_EQ(bytes.substr(12, 4), "VP8X");
  bytes.replace(24, 6, "\xFF\x3F\0\xFF\x3F\0", 6);  // 16,384 x 16,384: beyond the pixel limit, too
  const auto film = Prepare(bytes);
  ASSERT_FALSE(film.ok());
  EXPECT_TRUE(film.code() == Code::kTooLarge || film.code() == Code::kCorrupt) << film.message();
}

TEST(DropBrokenEnd, LeavesWholeChunksOnly) {
  const std::string whole("RIFF\x18\0\0\0WEBPabcd\x03\0\0\0xyz\0efgh\0\0\0\0", 32);
  std::string file = whole;
  DropBrokenEnd(&file);
  EXPECT_EQ(file, whole);
  file = whole.substr(0, 30);
  DropBrokenEnd(&file);
  EXPECT_EQ(file, std::string("RIFF\x10\0\0\0WEBPabcd\x03\0\0\0xyz\0", 24));
  file = whole.substr(0, 14);
  DropBrokenEnd(&file);
  EXPECT_EQ(file, std::string("RIFF\x04\0\0\0WEBP", 12));
  file = "RIFF";
  DropBrokenEnd(&file);
  EXPECT_EQ(file, "RIFF");
}

}  // namespace
}  // namespace msearch::media
