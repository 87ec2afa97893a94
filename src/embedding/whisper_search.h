// Finds what Whisper hears in a window, with the rules by which its transcripts are made.
#pragma once

#include <cstdint>
#include <optional>
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
  double heard = 0;   // seconds of the window that the texts are of; the rest is to be heard again
  bool lost = false;  // the thread, in all attempts: a shorter window may do better
};

// `seconds`: how much of the window is sound. Gives no texts when the model is sure that nobody
// speaks, or when all it finds is too unlikely to be believed.
Result<WindowWords> FindWords(WhisperModel& model, const WhisperTokens& tokens,
                              const WhisperBeginning& beginning, double seconds);

// Tokens that only say again what stands before them.
struct Loop {
  size_t first = 0;  // where it was said first
  size_t again = 0;  // from here on
};
// Whether tokens end in a loop. What people repeat, a sentence said twice, isn't one.
std::optional<Loop> LoopAtEnd(std::span<const int64_t> tokens);

// exp(scores) in proportion, of the tokens named; the sum of all tokens' is 1. To three digits.
std::vector<float> Probabilities(std::span<const float> scores, const std::vector<int64_t>& of);

}  // namespace msearch::embedding
