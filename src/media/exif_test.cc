#include "media/exif.h"

#include <gtest/gtest.h>

#include <random>

#include "support/pictures.h"

namespace msearch::media {
namespace {

std::string TimeOf(const test::ExifTags& tags) {
  const auto time = ReadExif(test::MakeExif(tags)).captured_at;
  return time ? FormatRfc3339(*time) : "none";
}

TEST(Exif, BothByteOrdersAreRead) {
  for (bool big_endian : {false, true}) {
    const std::string bytes = test::MakeExif({.orientation = 6,
                                              .make = "NIKON CORPORATION",
                                              .model = "NIKON D90",
                                              .date_time_original = "2026:01:31 12:00:00",
                                              .gps = std::pair{52.5, -13.25}},
                                             big_endian);
    const ExifFacts facts = ReadExif(std::string("Exif\0\0", 6) + bytes);
    EXPECT_EQ(facts.orientation, 6);
    EXPECT_EQ(facts.camera, "NIKON D90");
    ASSERT_TRUE(facts.gps);
    EXPECT_NEAR(facts.gps->first, 52.5, 1e-6);
    EXPECT_NEAR(facts.gps->second, -13.25, 1e-6);
    EXPECT_EQ(FormatRfc3339(*facts.captured_at), "2026-01-31T12:00:00.000Z");
  }
}

TEST(Exif, MakerIsNotRepeated) {
  auto camera = [](const char* make, const char* model) {
    return ReadExif(test::MakeExif({.make = make, .model = model})).camera;
  };
  EXPECT_EQ(camera("Canon", "Canon EOS R5"), "Canon EOS R5");
  EXPECT_EQ(camera("Apple", "iPhone 15"), "Apple iPhone 15");
  EXPECT_EQ(camera("", "X100"), "X100");
  EXPECT_EQ(camera("Leica", ""), "Leica");
}

TEST(Exif, OffsetMakesTheTimeUniversal) {
  EXPECT_EQ(TimeOf({.date_time_original = "2026:01:31 12:00:00", .offset_time_original = "-05:30"}),
            "2026-01-31T17:30:00.000Z");
  EXPECT_EQ(TimeOf({.date_time_original = "2026:01:31 12:00:00", .offset_time_original = "junk"}),
            "2026-01-31T12:00:00.000Z");
}

TEST(Exif, UnsetClocksGiveNoTime) {
  EXPECT_EQ(TimeOf({.date_time_original = "0000:00:00 00:00:00"}), "none");
  EXPECT_EQ(TimeOf({.date_time_original = "    :  :     :  :  "}), "none");
  EXPECT_EQ(TimeOf({.date_time_original = "2026:13:01 00:00:00"}), "none");
}

TEST(Exif, BrokenBytesNeverHarm) {
  const std::string whole = test::MakeExif({.orientation = 3,
                                            .make = "A long enough maker",
                                            .model = "Model",
                                            .date_time_original = "2026:01:31 12:00:00",
                                            .gps = std::pair{1.0, 2.0}});
  for (size_t size = 0; size < whole.size(); ++size) ReadExif(whole.substr(0, size));
  std::mt19937 random(7);
  for (int i = 0; i < 20000; ++i) {
    std::string bytes = whole;
    for (int k = 0; k < 3; ++k) bytes[random() % bytes.size()] = static_cast<char>(random());
    const ExifFacts facts = ReadExif(bytes);
    EXPECT_GE(facts.orientation, 1);
    EXPECT_LE(facts.orientation, 8);
  }
}

}  // namespace
}  // namespace msearch::media
