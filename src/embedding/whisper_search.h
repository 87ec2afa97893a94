// Finds what Whisper hears in a window, with the rules by which its transcripts are made.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "embedding/whisper_model.h"
#include "embedding/whisper_tokens.h"

namespace msearch::embedding {

struct WindowText {
  double start = 0;  // seconds of the window
  double end = 0;
  std::string text;
  float confidence = 0;
};

// What a transcript begins with, once the language is known.
struct WhisperBeginning {
  WhisperModel::Place place;
  float nothing_said = 0;  // how likely it is that nobody speaks
};

struct WindowWords {
  std::vector<WindowText> texts;
  std::vector<int64_t> said;  // tokens of the attempt that was kept, also where it gave no texts
  size_t attempts = 0;
};

// `seconds`: how much of the window is sound. Gives no texts when the model is sure that nobody
// speaks, or when all it finds is too unlikely to be believed.
Result<WindowWords> FindWords(WhisperModel& model, const WhisperTokens& tokens,
                              const WhisperBeginning& beginning, double seconds);

// How many tokens at the end only repeat what stands before them; 0 when that is too little to be
// called a loop.
size_t RepeatedAtEnd(const std::vector<int64_t>& tokens);

// exp(scores) in proportion, of the tokens named; the sum of all tokens' is 1. To three digits.
std::vector<float> Probabilities(std::span<const float> scores, const std::vector<int64_t>& of);

}  // namespace msearch::embedding
