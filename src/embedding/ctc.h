// Connectionist temporal classification: what a network that names a character, or none, for each
// column of a line has read.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

namespace msearch::embedding {

struct ReadCharacter {
  std::string text;
  float position = 0;  // of its middle, 0 to 1 of the columns
  float probability = 0;
  float space_before = 0;  // how likely it is that a space stands between it and the one before
};

// `probabilities`: for each column one value for "none" and one for each of `characters`. The
// likeliest of each column; the same one in neighbouring columns is one character. A space is a
// character, if it is one of `characters`.
// REQUIRES: probabilities.size() is a multiple of characters.size() + 1
std::vector<ReadCharacter> DecodeCtc(std::span<const float> probabilities,
                                     const std::vector<std::string>& characters);

}  // namespace msearch::embedding
