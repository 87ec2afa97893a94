// Answers without a language model: the sentences of the library that answer the question, quoted.
// Deterministic.
#pragma once

#include "answer/answer.h"

namespace msearch::answer {

struct ExtractOptions {
  size_t passages_max = 8;   // that sentences are taken from
  size_t sentences_max = 3;  // in an answer
  // Evidence below this is none: "not in your library". Measured on the question set of
  // bench/ask_bench.
  double evidence_min = 0.54;
};

// The passages worth reading, best first: alike ones are passed over for what adds something
// (maximal marginal relevance).
std::vector<Passage> ChoosePassages(const Question& question, const Evidence& evidence,
                                    size_t count);

Answer Extract(const Question& question, const Evidence& evidence,
               const ExtractOptions& options = {});

// The part of the question's words, weighed by rarity, that the passage with its names has: 0 to
// 1.
double Coverage(const Question& question, const Evidence& evidence, const Passage& passage);

}  // namespace msearch::answer
