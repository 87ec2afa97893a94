// Files that bite: every one ends in a value or an error, and no process but a child ever dies.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "media/codec.h"
#include "media/encode.h"
#include "support/memory_file.h"
#include "support/pictures.h"

namespace msearch::media {
namespace {

constexpr const char* kFormats[] = {"jpg", "png",  "webp", "gif", "tif",
                                    "bmp", "heic", "avif", "jxl"};

Codec MakeCodec() {
  CodecLimits limits;
  limits.timeout_ms = 20000;
  return Codec({"role", "codec"}, limits);
}

// Errors that tell the user what is wrong with the file.
bool IsVerdict(Code code) {
  return code == Code::kCorrupt || code == Code::kUnsupported || code == Code::kTooLarge;
}

class Hostile : public testing::TestWithParam<const char*> {};

TEST_P(Hostile, TruncatedFilesAreCorruptOrKeptForTheirGreaterPart) {
  Codec codec = MakeCodec();
  const std::string whole = test::Encoded(test::Photograph(300, 200, 1), GetParam());
  for (int tenth = 0; tenth <= 9; ++tenth) {
    const std::string part = whole.substr(0, whole.size() * static_cast<size_t>(tenth) / 10);
    const Result<Prepared> prepared = codec.Prepare(test::MemoryFile(part), "a", {});
    ASSERT_FALSE(prepared.ok() && tenth < 9) << tenth;
    EXPECT_TRUE(prepared.ok() || IsVerdict(prepared.code())) << prepared.message();
  }
}

TEST_P(Hostile, FlippedBitsHarmNobody) {
  Codec codec = MakeCodec();
  const std::string whole = test::Encoded(test::Photograph(120, 90, 2), GetParam());
  std::mt19937 random(20260131);
  int decoded = 0;
  for (int i = 0; i < 300; ++i) {
    std::string bytes = whole;
    const int flips = 1 + static_cast<int>(random() % 4);
    for (int k = 0; k < flips; ++k) {
      // Half of them in the first bytes, where the figures are that decoders trust.
      const size_t range = random() % 2 == 0 ? std::min<size_t>(bytes.size(), 200) : bytes.size();
      bytes[random() % range] ^= static_cast<char>(1 << random() % 8);
    }
    const Result<Prepared> prepared = codec.Prepare(test::MemoryFile(bytes), "a", {});
    decoded += prepared.ok() ? 1 : 0;
    EXPECT_TRUE(prepared.ok() || !prepared.message().empty());
  }
  EXPECT_GT(decoded, 0);
  const Result<Prepared> good = codec.Prepare(test::MemoryFile(whole), "a", {});
  EXPECT_TRUE(good.ok()) << good.message();
}

INSTANTIATE_TEST_SUITE_P(EveryFormat, Hostile, testing::ValuesIn(kFormats),
                         [](const auto& test) { return std::string(test.param); });

struct Bomb {
  const char* name;
  std::string bytes;
};

// Small files whose headers claim 100,000 x 100,000 pixels, or the most that the format can say.
std::vector<Bomb> Bombs() {
  std::vector<Bomb> bombs;
  bombs.push_back({"png", test::MakePngHeader(100000, 100000)});

  std::string jpeg = test::Encoded(test::Flat(16, 16, {1, 2, 3}), "jpg");
  const size_t frame = jpeg.find("\xFF\xC0");
  jpeg.replace(frame + 5, 4, "\xFF\xDC\xFF\xDC");  // 65,500 x 65,500
  bombs.push_back({"jpeg", jpeg});

  std::string bmp = test::MakeBmp(test::Flat(4, 4, {1, 2, 3}), 24);
  bmp.replace(18, 8, std::string("\xA0\x86\x01\0\xA0\x86\x01\0", 8));
  bombs.push_back({"bmp", bmp});

  std::string gif = test::Encoded(test::Flat(4, 4, {1, 2, 3}), "gif");
  gif.replace(gif.find('\x2C', 13) + 5, 4, "\x60\xEA\x60\xEA");  // 60,000 x 60,000
  bombs.push_back({"gif", gif});

  // TIFF with one strip; both sides as 32-bit numbers.
  std::string tiff("II*\0\x08\0\0\0\x05\0", 10);
  for (uint32_t tag : {256U, 257U, 258U, 262U, 273U}) {
    const uint32_t value = tag <= 257 ? 100000 : tag == 258 ? 8 : tag == 262 ? 1 : 8;
    tiff += static_cast<char>(tag & 255);
    tiff += static_cast<char>(tag >> 8);
    tiff += std::string("\x04\0\x01\0\0\0", 6);
    for (int i = 0; i < 4; ++i) tiff += static_cast<char>(value >> (8 * i));
  }
  bombs.push_back({"tiff", tiff + std::string(64, '\0')});
  return bombs;
}

TEST(Bombs, OfPixelsAreRefusedByTheirHeader) {
  Codec codec = MakeCodec();
  for (const Bomb& bomb : Bombs()) {
    const Result<Prepared> prepared = codec.Prepare(test::MemoryFile(bomb.bytes), "bomb", {});
    ASSERT_FALSE(prepared.ok()) << bomb.name;
    EXPECT_EQ(prepared.code(), Code::kTooLarge) << bomb.name << prepared.message();
    EXPECT_THAT(prepared.message(), testing::HasSubstr("limit 250000000")) << bomb.name;
  }
}

TEST(Bombs, MessageNamesSizeAndLimit) {
  Codec codec = MakeCodec();
  const Result<Prepared> prepared =
      codec.Prepare(test::MemoryFile(test::MakePngHeader(100000, 100000)), "b.png", {});
  ASSERT_FALSE(prepared.ok());
  EXPECT_EQ(prepared.message(), "b.png: picture: 100000 x 100000 pixels, limit 250000000");
}

TEST(Bombs, ZlibBombWithinThePixelLimitIsDecodedInBoundedMemory) {
  CodecLimits limits;
  limits.memory_bytes_max = 1 << 30;
  Codec codec({"role", "codec"}, limits);
  const std::string bomb = test::MakePngBomb(5000, 5000);
  EXPECT_LT(bomb.size(), 5000U * 5000 / 100);
  const Result<Prepared> prepared = codec.Prepare(test::MemoryFile(bomb), "b.png", {});
  // Without its check-sum it counts as damaged, but only after all of it was unpacked.
  EXPECT_TRUE(prepared.ok() || prepared.code() == Code::kCorrupt) << prepared.message();
}

TEST(HostileFiles, EmptyAndUnknownFilesAreExplained) {
  Codec codec = MakeCodec();
  const Result<Prepared> empty = codec.Prepare(test::MemoryFile(""), "a.jpg", {});
  ASSERT_FALSE(empty.ok());
  EXPECT_EQ(empty.code(), Code::kCorrupt);
  EXPECT_EQ(empty.message(), "a.jpg: file: empty");

  const Result<Prepared> zeros =
      codec.Prepare(test::MemoryFile(std::string(5000, '\0')), "a.jpg", {});
  EXPECT_EQ(zeros.code(), Code::kCorrupt);
  const Result<Prepared> junk =
      codec.Prepare(test::MemoryFile(std::string(5000, '\1')), "a.txt", {});
  EXPECT_EQ(junk.code(), Code::kUnsupported);
  const Result<Prepared> packed = codec.Prepare(test::MemoryFile("\x1F\x8B..."), "a.jpg", {});
  EXPECT_EQ(packed.code(), Code::kUnsupported);
  EXPECT_EQ(packed.message(), "a.jpg: application/gzip: nothing here reads it");
}

TEST(HostileFiles, JpegWithoutItsLastPercentIsKept) {
  Codec codec = MakeCodec();
  const std::string whole = test::Encoded(test::Photograph(640, 480, 3), "jpg");
  const Fd kept = test::MemoryFile(whole.substr(0, whole.size() * 97 / 100));
  EXPECT_TRUE(codec.Prepare(kept, "a.jpg", {}).ok());
  const Fd lost = test::MemoryFile(whole.substr(0, whole.size() / 2));
  const Result<Prepared> half = codec.Prepare(lost, "a.jpg", {});
  ASSERT_FALSE(half.ok());
  EXPECT_THAT(half.message(), testing::HasSubstr("JPEG: ends early, after "));
}

TEST(HostileFiles, ProgressiveJpegIsKeptOnlyWithItsLastScanBegun) {
  Codec codec = MakeCodec();
  JpegOptions options;
  options.progressive = true;
  const std::string whole = *EncodeJpeg(test::Photograph(640, 480, 4), options);
  EXPECT_TRUE(codec.Prepare(test::MemoryFile(whole.substr(0, whole.size() - 200)), "a", {}).ok());
  EXPECT_EQ(codec.Prepare(test::MemoryFile(whole.substr(0, whole.size() / 4)), "a", {}).code(),
            Code::kCorrupt);
}

}  // namespace
}  // namespace msearch::media
