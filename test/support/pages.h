// Pictures with text for tests, drawn by ffmpeg with fonts of Debian's: none is committed.
#pragma once

#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <string>

#include "base/file.h"

namespace msearch::test {

struct DrawnPage {
  uint32_t width = 0;
  uint32_t height = 0;
  std::string rgb;
};

// A family that fontconfig finds: "DejaVu Sans", "Noto Sans CJK SC".
inline bool CanDraw(const std::string& font) {
  return std::system(("command -v ffmpeg >/dev/null && fc-list '" + font +
                      "' family 2>/dev/null | grep -q .")
                         .c_str()) == 0;
}

struct PageStyle {
  std::string font = "DejaVu Sans";
  int size = 32;  // pixels
  uint32_t width = 1200;
  uint32_t height = 800;
  int x = 60;
  int y = 60;
  std::string background = "color=white";  // a source of ffmpeg's
  std::string colour = "black";
  std::string filters;  // after drawing: "rotate=0.1:fillcolor=white"
};

// Writes a picture file; its format is that of the name.
inline void DrawInto(const std::string& path, const std::string& text, const PageStyle& style) {
  const TemporaryDirectory folder;
  ASSERT_TRUE(WriteFileAtomically(folder.path() + "/text", text).ok());
  const std::string size = std::to_string(style.width) + "x" + std::to_string(style.height);
  const std::string command =
      "ffmpeg -nostdin -v error -y -f lavfi -i '" + style.background +
      (style.background.find('=') == std::string::npos ? "=" : ":") + "s=" + size +
      "' -frames:v 1 -vf \"format=rgb24,drawtext=font='" + style.font +
      "':textfile=" + folder.path() + "/text:fontsize=" + std::to_string(style.size) +
      ":x=" + std::to_string(style.x) + ":y=" + std::to_string(style.y) +
      ":fontcolor=" + style.colour + (style.filters.empty() ? "" : "," + style.filters) +
      "\" -pix_fmt rgb24 '" + path + "'";
  ASSERT_EQ(std::system(command.c_str()), 0) << command;
}

inline DrawnPage Drawn(const std::string& text, const PageStyle& style) {
  const TemporaryDirectory folder;
  const std::string path = folder.path() + "/page.ppm";
  DrawInto(path, text, style);
  const std::string bytes = ReadFile(path).value_or("");
  DrawnPage page;
  int at = 0;
  if (std::sscanf(bytes.c_str(), "P6 %u %u 255%n", &page.width, &page.height, &at) == 2) {
    page.rgb = bytes.substr(static_cast<size_t>(at) + 1);
  }
  EXPECT_EQ(page.rgb.size(), size_t{page.width} * page.height * 3);
  return page;
}

// Skips the test, saying why, where the font or ffmpeg isn't installed.
#define SKIP_UNLESS_DRAWING(font)                                                       \
  do {                                                                                  \
    if (!msearch::test::CanDraw(font)) {                                                \
      GTEST_SKIP() << "no ffmpeg, or no font " << (font)                                \
                   << ", is installed (scripts/packages-test.txt names what has them)"; \
    }                                                                                   \
  } while (false)

}  // namespace msearch::test
