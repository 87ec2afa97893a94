// Looking through the scores of a vocabulary, which is what a token costs beside the network.
#pragma once

#include <span>

namespace msearch::embedding {

// The highest score; minus infinity for none. No score may be NaN.
float MostOf(std::span<const float> scores);

// The logarithm of the sum of exp(score), to three digits; minus infinity for none.
float LogSumOf(std::span<const float> scores);

}  // namespace msearch::embedding
