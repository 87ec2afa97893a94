#include "embedding/ctc.h"

#include <algorithm>

namespace msearch::embedding {

std::vector<ReadCharacter> DecodeCtc(std::span<const float> probabilities,
                                     const std::vector<std::string>& characters) {
  const size_t classes = characters.size() + 1;
  const size_t columns = probabilities.size() / classes;
  const auto space = static_cast<size_t>(std::find(characters.begin(), characters.end(), " ") -
                                         characters.begin() + 1);
  std::vector<ReadCharacter> out;
  size_t before = 0, first = 0;
  float space_before = 0;  // since the last character
  for (size_t column = 0; column < columns; ++column) {
    const auto row = probabilities.subspan(column * classes, classes);
    const auto best = std::max_element(row.begin(), row.end());
    const auto character = static_cast<size_t>(best - row.begin());
    if (space < classes) space_before = std::max(space_before, row[space]);
    if (character > 0) {
      if (character != before) {
        out.push_back({characters[character - 1], 0, 0, space_before});
        first = column;
      }
      space_before = 0;
      out.back().probability = std::max(out.back().probability, *best);
      out.back().position =
          static_cast<float>(first + column + 1) / 2 / static_cast<float>(columns);
    }
    before = character;
  }
  return out;
}

}  // namespace msearch::embedding
