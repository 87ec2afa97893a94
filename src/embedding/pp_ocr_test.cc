// The real models, where they were pulled, on pages drawn by the test.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "embedding/test_models.h"
#include "support/pages.h"

namespace msearch::embedding {
namespace {

using test::Drawn;
using test::PageStyle;
using testing::ElementsAre;
using testing::IsEmpty;

constexpr char kPack[] = "ocr-pp";

class PpOcr : public testing::Test {
 protected:
  void SetUp() override {
    SKIP_UNLESS_PULLED(kPack);
    auto loaded = ModelPacks({TestManifests(), TestModels(), TestRuntime()})
                      .LoadTextReader(kPack, {"cpu", 1});
    ASSERT_TRUE(loaded.ok()) << loaded.message();
    reader_ = std::move(*loaded);
  }

  std::vector<SeenLine> Read(const test::DrawnPage& page) {
    const auto lines = reader_->Read({page.width, page.height, page.rgb});
    EXPECT_TRUE(lines.ok()) << lines.message();
    return lines.ok() ? *lines : std::vector<SeenLine>();
  }

  static std::vector<std::string> Texts(const std::vector<SeenLine>& lines) {
    std::vector<std::string> out;
    for (const SeenLine& line : lines) out.push_back(line.text);
    return out;
  }

  std::unique_ptr<TextReader> reader_;
};

TEST_F(PpOcr, ReadsEnglish) {
  SKIP_UNLESS_DRAWING("DejaVu Sans");
  EXPECT_THAT(Texts(Read(Drawn("Harbour Museum\nOpen daily", {}))),
              ElementsAre("Harbour Museum", "Open daily"));
}

TEST_F(PpOcr, ReadsChinese) {
  SKIP_UNLESS_DRAWING("Noto Sans CJK SC");
  PageStyle style;
  style.font = "Noto Sans CJK SC";
  EXPECT_THAT(Texts(Read(Drawn("图书馆在二楼\n请保持安静", style))),
              ElementsAre("图书馆在二楼", "请保持安静"));
}

TEST_F(PpOcr, TellsWhereWordsStand) {
  SKIP_UNLESS_DRAWING("DejaVu Sans");
  PageStyle style;
  style.x = 600;
  style.y = 400;
  style.size = 48;
  const auto lines = Read(Drawn("Lighthouse keeper", style));
  ASSERT_EQ(lines.size(), 1U);
  EXPECT_NEAR(lines[0].box.x, 600.0 / 1200, 0.02);
  EXPECT_NEAR(lines[0].box.y, 400.0 / 800, 0.03);
  ASSERT_EQ(lines[0].words.size(), 2U);
  const SeenWord &first = lines[0].words[0], &second = lines[0].words[1];
  EXPECT_EQ(first.text, "Lighthouse");
  EXPECT_EQ(second.text, "keeper");
  EXPECT_LE(first.box.x + first.box.width, second.box.x + 0.01);
  EXPECT_GT(first.box.width, second.box.width);
  EXPECT_GT(lines[0].confidence, 0.8F);
}

TEST_F(PpOcr, ReadsTextThatIsTurned) {
  SKIP_UNLESS_DRAWING("DejaVu Sans");
  PageStyle style;
  style.y = 300;
  for (const char* turn :
       {"rotate=0.2:fillcolor=white", "transpose=1", "transpose=2", "hflip,vflip"}) {
    style.filters = turn;
    EXPECT_THAT(Texts(Read(Drawn("Mind the gap between platforms", style))),
                ElementsAre("Mind the gap between platforms"))
        << turn;
  }
}

TEST_F(PpOcr, FindsNoTextWhereNoneIs) {
  if (!test::CanDraw("DejaVu Sans")) GTEST_SKIP() << "no ffmpeg";
  PageStyle style;
  for (const char* background : {"color=white", "mandelbrot", "gradients=seed=1", "cellauto"}) {
    style.background = background;
    EXPECT_THAT(Texts(Read(Drawn(" ", style))), IsEmpty()) << background;
  }
}

TEST_F(PpOcr, RefusesPixelsOfAnotherSize) {
  const auto lines = reader_->Read({10, 10, "short"});
  ASSERT_FALSE(lines.ok());
  EXPECT_EQ(lines.code(), Code::kInvalid);
}

TEST_F(PpOcr, TakesATinyPicture) {
  EXPECT_THAT(Read({1, 1, std::string(3, '\0')}), IsEmpty());
  EXPECT_THAT(Read({3000, 2, std::string(18000, '\x7f')}), IsEmpty());
}

}  // namespace
}  // namespace msearch::embedding
