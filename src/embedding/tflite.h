// Quantised TensorFlow Lite image classifiers, converted to ONNX: a pack may hold a model that is
// published in that format only.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace msearch::embedding {

struct TfliteTensor {
  std::string name;
  std::vector<int32_t> shape;  // at most 8 dimensions, none negative
  int8_t type = 0;
  std::string_view data;       // empty for what is computed
  std::vector<float> scales;   // one, or one per index of `axis`; empty: not quantised
  std::vector<int64_t> zeros;  // as many as scales
  int32_t axis = 0;
};

struct TfliteOp {
  int32_t code = 0;
  std::vector<int32_t> inputs;  // indices of tensors; -1: left out
  std::vector<int32_t> outputs;
  // Of the operator's options, as far as the converter knows them; else the defaults.
  bool same_padding = true;
  int32_t stride_w = 1, stride_h = 1;
  int32_t dilation_w = 1, dilation_h = 1;
  int32_t filter_w = 1, filter_h = 1;
  int8_t activation = 0;
  float beta = 1;
};

// Data point into the file's bytes.
struct TfliteModel {
  std::vector<TfliteTensor> tensors;
  std::vector<TfliteOp> ops;  // in an order that can be executed
  std::vector<int32_t> inputs;
  std::vector<int32_t> outputs;
};

// kCorrupt for anything that isn't a whole model; no input makes it crash or allocate more than a
// few times its size.
Result<TfliteModel> ReadTflite(std::string_view bytes);

struct TfliteConversion {
  // Each channel of the input becomes (byte - mean) / scale.
  float mean = 127;
  float scale = 128;
  // True: int8 weights and uint8 activations as published (QDQ); false: everything in float32.
  bool quantised = true;
};

// One picture in, one class distribution out. The ONNX model's input is "image" uint8 [n, height,
// width, 3]; outputs are "features" float32 [n, channels], the pooled layer before the classifier,
// and "probabilities" float32 [n, classes]. From the pooling on it computes in float32, so that
// small probabilities keep their order. kUnsupported names an operator that it doesn't know.
Result<std::string> TfliteToOnnx(const TfliteModel& model, const TfliteConversion& options);

}  // namespace msearch::embedding
