#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>

#include "embedding/onnx_writer.h"
#include "embedding/tflite.h"

// TensorFlow Lite keeps pictures as [n, height, width, channels], ONNX as [n, channels, height,
// width]: the picture is transposed once at the input, and every weight here. "SAME" padding
// depends on the input's size, which is fixed, so it becomes explicit.
//
// Quantised conversion: each activation passes through QuantizeLinear and DequantizeLinear (which
// the runtime fuses into integer kernels). Published activations are int8; here they are uint8
// with the zero point moved by 128, the same numbers, because unsigned times signed is the product
// that x86 has an instruction for.

namespace msearch::embedding {
namespace {

enum Op : int32_t {
  kAdd = 0,
  kAveragePool = 1,
  kConv = 3,
  kDepthwiseConv = 4,
  kDequantize = 6,
  kFullyConnected = 9,
  kReshape = 22,
  kSoftmax = 25,
  kQuantize = 114,
};

constexpr int8_t kInt32 = 2, kInt8 = 9;
constexpr size_t kWeightsBytesMax = size_t{1} << 30;

Error Unsupported(const std::string& what) {
  return {Code::kUnsupported, "TFLite model: " + what + " can't be converted"};
}

int64_t Elements(const std::vector<int32_t>& shape) {
  int64_t count = 1;
  for (int32_t size : shape) count *= size;
  return count;
}

// Order of elements [outer, h, w, inner] as [first, second, h, w]: for a convolution's weights
// [out, h, w, in] that's [out, in, h, w]; for depthwise ones [1, h, w, channels] it's [channels,
// 1, h, w].
template <typename T>
std::vector<T> ToChannelsFirst(std::string_view bytes, const std::vector<int32_t>& shape) {
  const int64_t outer = shape[0], area = int64_t{shape[1]} * shape[2], inner = shape[3];
  std::vector<T> in(static_cast<size_t>(outer * area * inner));
  std::memcpy(in.data(), bytes.data(), in.size() * sizeof(T));
  std::vector<T> out(in.size());
  for (int64_t o = 0; o < outer; ++o) {
    for (int64_t a = 0; a < area; ++a) {
      for (int64_t i = 0; i < inner; ++i) {
        out[static_cast<size_t>((o * inner + i) * area + a)] =
            in[static_cast<size_t>((o * area + a) * inner + i)];
      }
    }
  }
  return out;
}

class Converter {
 public:
  Converter(const TfliteModel& model, const TfliteConversion& options)
      : model_(model), options_(options) {}

  Result<std::string> Run() {
    TRY(ConvertInput());
    for (const TfliteOp& op : model_.ops) TRY(Convert(op));
    if (features_channels_ == 0) return Unsupported("a graph without a pooled layer");
    const TfliteTensor& last = model_.tensors[static_cast<size_t>(model_.outputs[0])];
    if (last.shape.size() != 2 || !names_.contains(model_.outputs[0])) {
      return Unsupported("an output that isn't a class distribution");
    }
    writer_.AddNode("Identity", {names_[model_.outputs[0]]}, "probabilities");
    writer_.AddOutput("features", OnnxType::kFloat, std::vector<int64_t>{-1, features_channels_});
    writer_.AddOutput("probabilities", OnnxType::kFloat, std::vector<int64_t>{-1, last.shape[1]});
    return writer_.Finish();
  }

 private:
  const TfliteTensor& Tensor(int32_t index) const {
    return model_.tensors[static_cast<size_t>(index)];
  }

  Result<> ConvertInput() {
    if (model_.inputs.size() != 1 || model_.outputs.size() != 1) {
      return Unsupported("a graph with several inputs or outputs");
    }
    const std::vector<int32_t>& shape = Tensor(model_.inputs[0]).shape;
    if (shape.size() != 4 || shape[0] != 1 || shape[3] != 3) {
      return Unsupported("an input that isn't one RGB picture");
    }
    writer_.AddInput("image", OnnxType::kUint8, std::vector<int64_t>{-1, shape[1], shape[2], 3});
    writer_.AddFloats("mean", {}, std::vector<float>{options_.mean});
    writer_.AddFloats("scale", {}, std::vector<float>{options_.scale});
    writer_.AddNode("Transpose", {"image"}, "image_planes",
                    {{"perm", std::vector<int64_t>{0, 3, 1, 2}}});
    writer_.AddNode("Cast", {"image_planes"}, "image_float",
                    {{"to", static_cast<int64_t>(OnnxType::kFloat)}});
    writer_.AddNode("Sub", {"image_float", "mean"}, "image_centred");
    writer_.AddNode("Div", {"image_centred", "scale"}, "image_scaled");
    names_[model_.inputs[0]] = "image_scaled";
    return Ok{};
  }

  Result<> Convert(const TfliteOp& op) {
    if (op.inputs.empty() || op.outputs.size() != 1 || !names_.contains(op.inputs[0])) {
      return Unsupported("operator " + std::to_string(op.code) + " with odd inputs");
    }
    switch (op.code) {
      case kQuantize:
      case kDequantize:
        names_[op.outputs[0]] = names_[op.inputs[0]];
        if (op.inputs[0] == model_.inputs[0]) Requantise(op.outputs[0]);
        return Ok{};
      case kConv:
      case kDepthwiseConv:
        return ConvertConvolution(op);
      case kAdd:
        return ConvertAdd(op);
      case kAveragePool:
        return ConvertPool(op);
      case kReshape:
        return ConvertReshape(op);
      case kFullyConnected:
        return ConvertFullyConnected(op);
      case kSoftmax:
        return ConvertSoftmax(op);
      default:
        return Unsupported("operator " + std::to_string(op.code));
    }
  }

  // Names a new intermediate value.
  std::string Fresh(const std::string& kind) { return kind + "_" + std::to_string(next_++); }

  // Adds the fused activation, unless quantising to the output's range does the same.
  Result<> Activate(const TfliteOp& op) {
    if (op.activation == 0) return Ok{};
    if (op.activation != 1 && op.activation != 3) return Unsupported("a fused activation");
    const float high = op.activation == 3 ? 6.0F : 0.0F;  // 0: no upper bound
    const TfliteTensor& output = Tensor(op.outputs[0]);
    if (Quantises() && output.type == kInt8 && output.scales.size() == 1) {
      const float scale = output.scales[0];
      const float low = scale * static_cast<float>(-128 - output.zeros[0]);
      const float top = scale * static_cast<float>(127 - output.zeros[0]);
      if (low > -0.5F * scale && (high == 0 || top < high + 0.5F * scale)) return Ok{};
    }
    std::string& name = names_[op.outputs[0]];
    const std::string active = Fresh("active");
    if (high == 0) {
      writer_.AddNode("Relu", {name}, active);
    } else {
      const std::string low_name = Fresh("low"), high_name = Fresh("high");
      writer_.AddFloats(low_name, {}, std::vector<float>{0});
      writer_.AddFloats(high_name, {}, std::vector<float>{high});
      writer_.AddNode("Clip", {name, low_name, high_name}, active);
    }
    name = active;
    return Ok{};
  }

  bool Quantises() const { return options_.quantised && features_channels_ == 0; }

  // Rounds the value of `tensor` as the published model does.
  void Requantise(int32_t index) {
    const TfliteTensor& tensor = Tensor(index);
    if (!Quantises() || tensor.type != kInt8 || tensor.scales.size() != 1) return;
    const std::string scale = Fresh("scale"), zero = Fresh("zero");
    const std::string quantised = Fresh("quantised"), value = Fresh("value");
    const char zero_byte = static_cast<char>(std::clamp<int64_t>(tensor.zeros[0] + 128, 0, 255));
    writer_.AddFloats(scale, {}, tensor.scales);
    writer_.AddTensor(zero, OnnxType::kUint8, {}, {&zero_byte, 1});
    writer_.AddNode("QuantizeLinear", {names_[index], scale, zero}, quantised);
    writer_.AddNode("DequantizeLinear", {quantised, scale, zero}, value);
    names_[index] = value;
  }

  Result<> ConvertConvolution(const TfliteOp& op) {
    const bool depthwise = op.code == kDepthwiseConv;
    if (op.inputs.size() != 3) return Unsupported("a convolution without a bias");
    const TfliteTensor& input = Tensor(op.inputs[0]);
    const TfliteTensor& output = Tensor(op.outputs[0]);
    const TfliteTensor& weights = Tensor(op.inputs[1]);
    if (input.shape.size() != 4 || output.shape.size() != 4 || weights.shape.size() != 4 ||
        (depthwise && (weights.shape[0] != 1 || weights.shape[3] != input.shape[3]))) {
      return Unsupported("a convolution of this shape");
    }
    const int32_t channels = depthwise ? weights.shape[3] : weights.shape[0];
    const std::vector<int64_t> shape = {channels, depthwise ? 1 : weights.shape[3],
                                        weights.shape[1], weights.shape[2]};
    const std::string weights_name = TRY(AddWeights(weights, shape, depthwise ? 3 : 0));
    const std::string bias_name = TRY(AddBias(op.inputs[2], channels));
    const std::string out = Fresh("conv");
    writer_.AddNode("Conv", {names_[op.inputs[0]], weights_name, bias_name}, out,
                    {{"kernel_shape", std::vector<int64_t>{shape[2], shape[3]}},
                     {"strides", std::vector<int64_t>{op.stride_h, op.stride_w}},
                     {"dilations", std::vector<int64_t>{op.dilation_h, op.dilation_w}},
                     {"pads", Pads(op, input.shape, static_cast<int32_t>(shape[2]),
                                   static_cast<int32_t>(shape[3]))},
                     {"group", int64_t{depthwise ? channels : 1}}});
    names_[op.outputs[0]] = out;
    TRY(Activate(op));
    Requantise(op.outputs[0]);
    return Ok{};
  }

  static std::vector<int64_t> Pads(const TfliteOp& op, const std::vector<int32_t>& input,
                                   int32_t kernel_h, int32_t kernel_w) {
    if (!op.same_padding) return {0, 0, 0, 0};
    auto total = [](int64_t size, int64_t kernel, int64_t stride, int64_t dilation) {
      const int64_t steps = (size + stride - 1) / stride;
      return std::max<int64_t>((steps - 1) * stride + (kernel - 1) * dilation + 1 - size, 0);
    };
    const int64_t h = total(input[1], kernel_h, op.stride_h, op.dilation_h);
    const int64_t w = total(input[2], kernel_w, op.stride_w, op.dilation_w);
    return {h / 2, w / 2, h - h / 2, w - w / 2};
  }

  // As float32, or as int8 with a DequantizeLinear per output channel.
  Result<std::string> AddWeights(const TfliteTensor& tensor, const std::vector<int64_t>& shape,
                                 int32_t axis) {
    if (tensor.type != kInt8 || tensor.scales.empty() || tensor.data.empty() ||
        (tensor.scales.size() > 1 && tensor.axis != axis) ||
        std::any_of(tensor.zeros.begin(), tensor.zeros.end(), [](int64_t z) { return z != 0; })) {
      return Unsupported("weights that aren't symmetric int8");
    }
    const std::vector<int8_t> bytes =
        shape.size() == 4 ? ToChannelsFirst<int8_t>(tensor.data, tensor.shape)
                          : std::vector<int8_t>(tensor.data.begin(), tensor.data.end());
    weights_bytes_ += bytes.size();
    if (weights_bytes_ > kWeightsBytesMax) {
      return Error{Code::kTooLarge, "TFLite model: more than 1 GiB of weights"};
    }
    const auto channels = static_cast<size_t>(shape[0]);
    std::vector<float> scales = tensor.scales;
    scales.resize(channels, scales[0]);
    const std::string name = Fresh("weights");
    if (Quantises()) {
      const std::string stored = Fresh("int8"), scale = Fresh("scale"), zero = Fresh("zero");
      const std::vector<int64_t> per_channel = {shape[0]};
      writer_.AddTensor(stored, OnnxType::kInt8, shape,
                        {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
      writer_.AddFloats(scale, per_channel, scales);
      writer_.AddTensor(zero, OnnxType::kInt8, per_channel, std::string(channels, '\0'));
      writer_.AddNode("DequantizeLinear", {stored, scale, zero}, name, {{"axis", int64_t{0}}});
      return name;
    }
    std::vector<float> values(bytes.size());
    const size_t per_channel = channels == 0 ? 1 : bytes.size() / channels;
    for (size_t i = 0; i < bytes.size(); ++i) values[i] = scales[i / per_channel] * bytes[i];
    writer_.AddFloats(name, shape, values);
    return name;
  }

  Result<std::string> AddBias(int32_t index, int32_t channels) {
    if (index < 0) return Unsupported("an operator without a bias");
    const TfliteTensor& tensor = Tensor(index);
    if (tensor.type != kInt32 || tensor.data.empty() || tensor.scales.empty() ||
        Elements(tensor.shape) != channels) {
      return Unsupported("a bias that isn't int32");
    }
    const auto count = static_cast<size_t>(channels);
    std::vector<float> scales = tensor.scales;
    if (scales.size() != 1 && scales.size() != count) return Unsupported("a bias of odd scales");
    scales.resize(count, scales[0]);
    const std::vector<int64_t> shape = {channels};
    const std::string name = Fresh("bias");
    if (Quantises()) {
      const std::string stored = Fresh("int32"), scale = Fresh("scale"), zero = Fresh("zero");
      writer_.AddTensor(stored, OnnxType::kInt32, shape, tensor.data);
      writer_.AddFloats(scale, shape, scales);
      writer_.AddTensor(zero, OnnxType::kInt32, shape, std::string(count * 4, '\0'));
      writer_.AddNode("DequantizeLinear", {stored, scale, zero}, name, {{"axis", int64_t{0}}});
      return name;
    }
    std::vector<int32_t> stored(count);
    std::memcpy(stored.data(), tensor.data.data(), count * sizeof(int32_t));
    std::vector<float> values(count);
    for (size_t i = 0; i < count; ++i) values[i] = scales[i] * static_cast<float>(stored[i]);
    writer_.AddFloats(name, shape, values);
    return name;
  }

  Result<> ConvertAdd(const TfliteOp& op) {
    if (op.inputs.size() != 2 || !names_.contains(op.inputs[1])) {
      return Unsupported("an addition of a constant");
    }
    const std::string out = Fresh("sum");
    writer_.AddNode("Add", {names_[op.inputs[0]], names_[op.inputs[1]]}, out);
    names_[op.outputs[0]] = out;
    TRY(Activate(op));
    Requantise(op.outputs[0]);
    return Ok{};
  }

  Result<> ConvertPool(const TfliteOp& op) {
    const std::vector<int32_t>& shape = Tensor(op.inputs[0]).shape;
    if (shape.size() != 4 || op.filter_h != shape[1] || op.filter_w != shape[2] ||
        features_channels_ != 0) {
      return Unsupported("a pooling that isn't the whole picture's");
    }
    writer_.AddNode("GlobalAveragePool", {names_[op.inputs[0]]}, "pooled");
    writer_.AddNode("Flatten", {"pooled"}, "features", {{"axis", int64_t{1}}});
    names_[op.outputs[0]] = "features";
    features_channels_ = shape[3];
    return Ok{};
  }

  Result<> ConvertReshape(const TfliteOp& op) {
    const std::vector<int32_t>& shape = Tensor(op.outputs[0]).shape;
    if (names_[op.inputs[0]] != "features" || shape.size() != 2 || shape[0] != 1 ||
        shape[1] != features_channels_) {
      return Unsupported("a reshape");
    }
    names_[op.outputs[0]] = "features";
    return Ok{};
  }

  Result<> ConvertFullyConnected(const TfliteOp& op) {
    const TfliteTensor& weights = Tensor(op.inputs.size() == 3 ? op.inputs[1] : op.inputs[0]);
    if (op.inputs.size() != 3 || names_[op.inputs[0]] != "features" || weights.shape.size() != 2 ||
        weights.shape[1] != features_channels_) {
      return Unsupported("a fully connected layer of this shape");
    }
    const std::vector<int64_t> shape = {weights.shape[0], weights.shape[1]};
    const std::string weights_name = TRY(AddWeights(weights, shape, 0));
    const std::string bias_name = TRY(AddBias(op.inputs[2], weights.shape[0]));
    const std::string out = Fresh("dense");
    writer_.AddNode("Gemm", {"features", weights_name, bias_name}, out, {{"transB", int64_t{1}}});
    names_[op.outputs[0]] = out;
    return Activate(op);
  }

  Result<> ConvertSoftmax(const TfliteOp& op) {
    if (op.beta != 1.0F) return Unsupported("a softmax with a temperature");
    const std::string out = Fresh("softmax");
    writer_.AddNode("Softmax", {names_[op.inputs[0]]}, out, {{"axis", int64_t{-1}}});
    names_[op.outputs[0]] = out;
    return Ok{};
  }

  const TfliteModel& model_;
  const TfliteConversion options_;
  OnnxWriter writer_;
  std::map<int32_t, std::string> names_;  // of the ONNX value that stands for a tensor
  int64_t features_channels_ = 0;         // set once the pooled layer was met
  size_t weights_bytes_ = 0;              // operators may share a tensor, here each has its own
  int next_ = 0;
};

}  // namespace

Result<std::string> TfliteToOnnx(const TfliteModel& model, const TfliteConversion& options) {
  return Converter(model, options).Run();
}

}  // namespace msearch::embedding
