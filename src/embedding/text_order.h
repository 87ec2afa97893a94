// In which order the lines of a page are read.
#pragma once

#include <cstddef>
#include <vector>

#include "embedding/text_reader.h"

namespace msearch::embedding {

// The lines' places in reading order: columns from left to right, each from top to bottom, where
// white space parts them; words beside each other from left to right. Coordinates in any unit that
// is the same in both directions.
std::vector<size_t> ReadingOrder(const std::vector<TextBox>& lines);

}  // namespace msearch::embedding
