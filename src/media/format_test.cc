#include "media/format.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "media/codec.h"
#include "support/memory_file.h"
#include "support/pictures.h"

namespace msearch::media {
namespace {

TEST(Format, OfAFilesNameIsWhatItsContentSays) {
  for (const char* ending : {"jpg", "png", "webp", "gif", "tif", "bmp", "heic", "avif", "jxl"}) {
    const std::string name = std::string("holiday.") + ending;
    const Fd file = test::MemoryFile(test::Encoded(test::Quarters(64, 48), ending));
    EXPECT_EQ(FormatOf(file, "whatever"), FormatOfName(name)) << name;
  }
  const Fd pdf = test::MemoryFile("%PDF-1.7\n");
  EXPECT_EQ(FormatOf(pdf, "scan"), "pdf");
  EXPECT_EQ(FormatOfName("/a/b.d/Scan.PDF"), "pdf");
  const Fd text = test::MemoryFile("plain words");
  EXPECT_EQ(FormatOf(text, "notes.txt"), "");
  EXPECT_EQ(FormatOfName("notes.txt"), "");
  EXPECT_EQ(FormatOfName("song.flac"), "film");
  EXPECT_EQ(FormatOfName("shot.nef"), "raw");
  EXPECT_EQ(FormatOfName("no extension"), "");
}

TEST(Format, EveryExtensionThatIsReadHasOneThatIsKnownOrNeedsNone) {
  for (const std::string& extension : SupportedExtensions()) {
    const std::string_view format = FormatOfName("file" + extension);
    EXPECT_TRUE(format.empty() || FindFormat(format) != nullptr) << extension;
    const auto type = TypeOfExtension("file" + extension);
    EXPECT_EQ(format == "film", type == MediaType::kVideo || type == MediaType::kAudio)
        << extension;
  }
}

TEST(Format, OfAMediaTypeAreThoseOfItsFiles) {
  EXPECT_EQ(FormatOfMime("image/jpeg"), "");
  EXPECT_EQ(FormatOfMime("image/png"), "picture");
  EXPECT_EQ(FormatOfMime("audio/ogg"), "film");
  EXPECT_EQ(FormatOfMime("text/markdown"), "");
  EXPECT_EQ(FormatOfMime("text/html"), "office");
  EXPECT_EQ(FormatOfMime("application/epub+zip"), "office");
}

TEST(Format, AChildFindsThoseWhoseSoftwareIsInstalled) {
  const auto installed = InstalledFormats({"role", "codec"});
  ASSERT_TRUE(installed.ok()) << installed.message();
  // What the tests of decoding need is here.
  std::vector<std::string> all;
  for (const Format& format : Formats()) all.emplace_back(format.name);
  EXPECT_EQ(*installed, all);
}

}  // namespace
}  // namespace msearch::media
