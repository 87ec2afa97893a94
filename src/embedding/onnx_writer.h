// Writes ONNX models: what the converter of other formats needs, and tests for models of their own.
// No more of ONNX's protobuf schema than that. Not thread-safe.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace msearch::embedding {

// Values are those of onnx.proto's TensorProto.DataType.
enum class OnnxType { kFloat = 1, kUint8 = 2, kInt8 = 3, kInt32 = 6, kInt64 = 7 };

struct OnnxAttribute {
  std::string name;
  std::variant<int64_t, float, std::string, std::vector<int64_t>> value;
};

class OnnxWriter {
 public:
  // A negative dimension is free; equal numbers are the same free dimension.
  void AddInput(const std::string& name, OnnxType type, std::span<const int64_t> shape);
  void AddOutput(const std::string& name, OnnxType type, std::span<const int64_t> shape);
  // `bytes`: little-endian values in row order.
  void AddTensor(const std::string& name, OnnxType type, std::span<const int64_t> shape,
                 std::string_view bytes);
  void AddFloats(const std::string& name, std::span<const int64_t> shape,
                 std::span<const float> values);
  void AddInt64s(const std::string& name, std::span<const int64_t> values);
  // An operator of the default domain, with one output.
  void AddNode(const std::string& op, const std::vector<std::string>& inputs,
               const std::string& output, const std::vector<OnnxAttribute>& attributes = {});

  // The model's file, in opset 17.
  std::string Finish() const;

 private:
  std::string nodes_;
  std::string tensors_;
  std::string inputs_;
  std::string outputs_;
};

}  // namespace msearch::embedding
