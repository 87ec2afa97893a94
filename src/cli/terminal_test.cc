#include "cli/terminal.h"

#include <gtest/gtest.h>

namespace msearch::cli {
namespace {

TEST(Terminal, EscapeSequencesAreMadeHarmless) {
  EXPECT_EQ(Printable("a\x1b[31mb\nc\x7f"), "a?[31mb?c?");
  EXPECT_EQ(Printable("\xff ok"), "\xEF\xBF\xBD ok");
  EXPECT_EQ(Printable("红色 é"), "红色 é");
}

TEST(Terminal, WideCharactersTakeTwoColumns) {
  EXPECT_EQ(DisplayWidth("abc"), 3u);
  EXPECT_EQ(DisplayWidth("红色"), 4u);
  EXPECT_EQ(DisplayWidth("e\xCC\x81"), 1u);  // e with a combining accent
  EXPECT_EQ(DisplayWidth("한글"), 4u);
  EXPECT_EQ(DisplayWidth("🐸"), 2u);
}

TEST(Terminal, LongTextIsCutByColumns) {
  EXPECT_EQ(FitWidth("abcdef", 6), "abcdef");
  EXPECT_EQ(FitWidth("abcdefg", 6), "abc...");
  EXPECT_EQ(FitWidth("红色汽车", 6), "红...");
  EXPECT_EQ(FitWidth("abcdef", 2), "..");
}

TEST(Terminal, QuantitiesAreReadable) {
  EXPECT_EQ(FormatBytes(0), "0 B");
  EXPECT_EQ(FormatBytes(999), "999 B");
  EXPECT_EQ(FormatBytes(1023), "1.0 KiB");
  EXPECT_EQ(FormatBytes(uint64_t{103} << 20), "103 MiB");
  EXPECT_EQ(FormatBytes((uint64_t{14} << 30) / 10), "1.4 GiB");
  EXPECT_EQ(FormatDuration(59.4), "59 s");
  EXPECT_EQ(FormatDuration(200), "3 min 20 s");
  EXPECT_EQ(FormatDuration(7260), "2 h 1 min");
  EXPECT_EQ(FormatSpan(12, 18.9), "0:12-0:18");
  EXPECT_EQ(FormatMoment(3723), "1:02:03");
}

TEST(Table, ColumnsAlignByWidth) {
  testing::internal::CaptureStdout();
  {
    Terminal terminal;
    Table table({"NAME", ">COUNT", "PATH"});
    table.Add({{"红色"}, {"7"}, {"/a"}});
    table.Add({{"longer"}, {"1234567"}, {""}});
    table.Print(terminal);
  }
  EXPECT_EQ(testing::internal::GetCapturedStdout(),
            "NAME      COUNT  PATH\n"
            "红色          7  /a\n"
            "longer  1234567\n");
}

}  // namespace
}  // namespace msearch::cli
