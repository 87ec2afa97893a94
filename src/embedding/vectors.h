// Arithmetic on embeddings.
#pragma once

#include <span>
#include <vector>

namespace msearch::embedding {

float Dot(std::span<const float> a, std::span<const float> b);
// To length 1; a vector of zeros stays.
void Normalise(std::span<float> vector);
// to += factor * from
void AddScaled(std::span<float> to, std::span<const float> from, float factor);

}  // namespace msearch::embedding
