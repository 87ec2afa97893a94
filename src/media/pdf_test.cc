#include "media/pdf.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "media/encode.h"
#include "support/memory_file.h"
#include "support/pdf.h"
#include "support/pictures.h"
#include "support/prepare_bytes.h"

namespace msearch::media {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// Through a real child: the programs run in its cage.
Result<Prepared> Prepare(const std::string& bytes, const PrepareOptions& options = {}) {
  Codec codec({"role", "codec"}, {});
  return codec.Prepare(test::MemoryFile(bytes), "a.pdf", options);
}

test::PdfPage Scan(const Raster& picture) {
  return {"", *EncodeJpeg(picture), picture.width, picture.height};
}

TEST(Pdf, GivesItsTextPageByPage) {
  const auto prepared =
      Prepare(test::MakePdf({{"The lighthouse keeper"}, {"城里的图书馆"}}, {.title = "A 图 tale"}));
  ASSERT_TRUE(prepared.ok()) << prepared.message();
  EXPECT_EQ(prepared->type, MediaType::kDocument);
  EXPECT_EQ(prepared->mime, "application/pdf");
  EXPECT_EQ(prepared->title, "A 图 tale");
  ASSERT_EQ(prepared->segments.size(), 2U);
  EXPECT_EQ(prepared->segments[0].text, "The lighthouse keeper");
  EXPECT_EQ(prepared->segments[0].page, 1U);
  EXPECT_EQ(prepared->segments[1].text, "城里的图书馆");
  EXPECT_EQ(prepared->segments[1].page, 2U);
  EXPECT_EQ(prepared->segments[1].kind, SegmentKind::kPassage);
  EXPECT_EQ(prepared->attributes, (Json{{"pages", 2}}));
}

TEST(Pdf, HasItsFirstPageAsThumbnail) {
  const auto prepared = Prepare(test::MakePdf({Scan(test::Quarters(400, 400)), {"text"}}));
  ASSERT_TRUE(prepared.ok()) << prepared.message();
  PrepareOptions options;
  options.pixels = {64, 64, PixelsWanted::Fit::kStretch};
  const auto thumbnail = PrepareBytes(prepared->thumbnail, "t.jpg", options);
  ASSERT_TRUE(thumbnail.ok()) << thumbnail.message();
  EXPECT_EQ(thumbnail->width, 320U);
  EXPECT_EQ(thumbnail->height, 320U);
  const Raster raster = FromRgb(thumbnail->pixels.at(0), 64, 64);
  EXPECT_LE(test::Distance(test::PixelAt(raster, 16, 16), test::kTopLeft), 12);
  EXPECT_LE(test::Distance(test::PixelAt(raster, 48, 48), test::kBottomRight), 12);
}

TEST(Pdf, PagesWithoutTextArePicturesAndSaySo) {
  PrepareOptions options;
  options.pixels = {32, 32, PixelsWanted::Fit::kStretch};
  const auto prepared =
      Prepare(test::MakePdf({{"words"}, Scan(test::Flat(100, 100, {10, 200, 30}))}), options);
  ASSERT_TRUE(prepared.ok()) << prepared.message();
  ASSERT_EQ(prepared->segments.size(), 2U);
  EXPECT_EQ(prepared->segments[0].pixels, -1);
  EXPECT_EQ(prepared->segments[1].kind, SegmentKind::kPicture);
  EXPECT_EQ(prepared->segments[1].page, 2U);
  ASSERT_EQ(prepared->segments[1].pixels, 0);
  EXPECT_LE(
      test::Distance(test::PixelAt(FromRgb(prepared->pixels[0], 32, 32), 9, 9), {10, 200, 30}), 12);
  EXPECT_EQ(prepared->attributes, (Json{{"pages", 2}, {"pages_without_text", {2}}}));
}

TEST(Pdf, ShowsAnyPageInTheSizeAskedFor) {
  Codec codec({"role", "codec"}, {});
  const Fd file =
      test::MemoryFile(test::MakePdf({{"words"}, Scan(test::Flat(100, 100, {10, 200, 30}))}));
  const auto view = codec.ViewOf(file, "a.pdf", {.page = 2, .side_max = 900});
  ASSERT_TRUE(view.ok()) << view.message();
  EXPECT_EQ(view->width, 900U);
  EXPECT_LE(test::Distance(test::PixelAt(FromRgb(view->rgb, 900, 900), 450, 450), {10, 200, 30}),
            12);
  EXPECT_EQ(codec.ViewOf(file, "a.pdf", {.page = 3}).code(), Code::kNotFound);
}

TEST(Pdf, WithPasswordIsUnsupportedAndSaysWhy) {
  const auto prepared = Prepare(test::MakePdf({{"secret"}}, {.needs_password = true}));
  EXPECT_EQ(prepared.code(), Code::kUnsupported);
  EXPECT_EQ(prepared.message(), "a.pdf: PDF: encrypted; it needs a password");
}

TEST(Pdf, BrokenOnesAreCorruptOrKeptForWhatIsLeft) {
  const std::string whole = test::MakePdf({{"first words"}, {"second words"}, {"third words"}});
  Codec codec({"role", "codec"}, {});
  for (size_t tenth = 0; tenth < 10; ++tenth) {
    const Fd file = test::MemoryFile(whole.substr(0, whole.size() * tenth / 10));
    const auto prepared = codec.Prepare(file, "a.pdf", {});
    EXPECT_TRUE(prepared.ok() || prepared.code() == Code::kCorrupt) << prepared.message();
  }
  EXPECT_EQ(codec.Prepare(test::MemoryFile("%PDF-1.7 and nothing"), "a.pdf", {}).code(),
            Code::kCorrupt);
  EXPECT_TRUE(codec.Prepare(test::MemoryFile(whole), "a.pdf", {}).ok());
}

TEST(Pdf, OfMorePointsThanAScreenHasPixelsIsDrawnSmall) {
  const auto prepared = Prepare(test::MakePdf({{"words"}}, {.side = 1e7}));
  ASSERT_TRUE(prepared.ok()) << prepared.message();
  EXPECT_EQ(prepared->segments[0].text, "words");
}

TEST(Pdf, MoreTextThanTheLimitIsRefused) {
  PrepareOptions options;
  options.text_bytes_max = 1000;
  const std::vector<test::PdfPage> pages(100, {"a line of words"});
  const auto prepared = Prepare(test::MakePdf(pages), options);
  EXPECT_EQ(prepared.code(), Code::kTooLarge);
  EXPECT_THAT(prepared.message(), HasSubstr("more text than the limit of 1000 bytes"));
}

TEST(Pdf, AndOtherFilesTakeTurnsInOneCodec) {
  Codec codec({"role", "codec"}, {});
  for (int i = 0; i < 2; ++i) {
    EXPECT_TRUE(codec.Prepare(test::MemoryFile(test::MakePdf({{"words"}})), "a.pdf", {}).ok());
    EXPECT_TRUE(codec.Prepare(test::MemoryFile("words"), "a.txt", {}).ok());
  }
}

TEST(Pixmap, IsReadAndBrokenOnesAreCorrupt) {
  const auto raster = ReadPixmap(std::string("P6\n2 1\n255\n\1\2\3\4\5\6", 17));
  ASSERT_TRUE(raster.ok());
  EXPECT_EQ(test::PixelAt(*raster, 1, 0), (test::Rgb{4, 5, 6}));
  for (const char* broken : {"", "P6", "P6 2", "P6\n2 1\n255\n123", "P6 0 0 255 ", "P5 1 1 255 abc",
                             "P6 99999 99999 255 abc", "P6 1 1 65535 abcdef"}) {
    EXPECT_FALSE(ReadPixmap(broken).ok()) << broken;
  }
}

}  // namespace
}  // namespace msearch::media
