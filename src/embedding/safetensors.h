// Weights in the safetensors format, as published beside models.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"

namespace msearch::embedding {

struct Matrix {
  size_t rows = 0;
  size_t columns = 0;
  std::vector<float> values;  // by rows
};

// The only two-dimensional float32 tensor of a file. kCorrupt for a broken file, kUnsupported when
// there isn't exactly one.
Result<Matrix> ReadOnlyMatrix(const std::string& path);

}  // namespace msearch::embedding
