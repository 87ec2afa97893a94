// What a text model does for msearch: the lines of text that a picture shows, and where.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "embedding/embedder.h"

namespace msearch::embedding {

// Upright, as fractions of the picture's width and height.
struct TextBox {
  float x = 0;
  float y = 0;
  float width = 0;
  float height = 0;
};

struct SeenWord {
  std::string text;
  TextBox box;
};

struct SeenLine {
  std::string text;
  float confidence = 0;  // 0 to 1
  TextBox box;
  std::vector<SeenWord> words;  // Chinese and Japanese: a run without spaces is one word
};

// 8-bit RGB, rows without padding. Points to the caller's pixels.
struct PictureView {
  uint32_t width = 0;
  uint32_t height = 0;
  std::string_view rgb;
};

// Thread-safety: one call at a time.
class TextReader {
 public:
  virtual ~TextReader() = default;
  // Changes whenever the same picture may give other text.
  virtual const std::string& key() const = 0;
  virtual const DeviceInfo& device() const = 0;
  // In reading order: columns from left to right, lines from top to bottom. A picture without text
  // gives nothing, and costs little. kInvalid for pixels that don't fit the size.
  virtual Result<std::vector<SeenLine>> Read(const PictureView& picture) = 0;
};

}  // namespace msearch::embedding
