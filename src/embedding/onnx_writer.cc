#include "embedding/onnx_writer.h"

#include "embedding/protobuf_wire.h"

// Field numbers are from onnx.proto (github.com/onnx/onnx).

namespace msearch::embedding {
namespace {

constexpr int64_t kIrVersion = 8;
constexpr int64_t kOpset = 17;

// ValueInfoProto
std::string ValueInfo(const std::string& name, OnnxType type, std::span<const int64_t> shape) {
  std::string dimensions;
  for (int64_t size : shape) {
    std::string dimension;
    if (size < 0) {
      PutBytes(dimension, 2, "n" + std::to_string(-size));
    } else {
      PutInt(dimension, 1, size);
    }
    PutBytes(dimensions, 1, dimension);
  }
  std::string tensor;
  PutInt(tensor, 1, static_cast<int64_t>(type));
  PutBytes(tensor, 2, dimensions);
  std::string any;
  PutBytes(any, 1, tensor);
  std::string out;
  PutBytes(out, 1, name);
  PutBytes(out, 2, any);
  return out;
}

// AttributeProto
std::string Attribute(const OnnxAttribute& attribute) {
  enum : int64_t { kFloat = 1, kInt = 2, kString = 3, kInts = 7 };
  std::string out;
  PutBytes(out, 1, attribute.name);
  int64_t type = 0;
  if (const auto* number = std::get_if<int64_t>(&attribute.value)) {
    PutInt(out, 3, *number);
    type = kInt;
  } else if (const auto* real = std::get_if<float>(&attribute.value)) {
    PutFloat(out, 2, *real);
    type = kFloat;
  } else if (const auto* text = std::get_if<std::string>(&attribute.value)) {
    PutBytes(out, 4, *text);
    type = kString;
  } else {
    for (int64_t one : std::get<std::vector<int64_t>>(attribute.value)) PutInt(out, 8, one);
    type = kInts;
  }
  PutInt(out, 20, type);
  return out;
}

template <typename T>
std::string_view AsBytes(std::span<const T> values) {
  return {reinterpret_cast<const char*>(values.data()), values.size_bytes()};
}

}  // namespace

void OnnxWriter::AddInput(const std::string& name, OnnxType type, std::span<const int64_t> shape) {
  PutBytes(inputs_, 11, ValueInfo(name, type, shape));
}

void OnnxWriter::AddOutput(const std::string& name, OnnxType type, std::span<const int64_t> shape) {
  PutBytes(outputs_, 12, ValueInfo(name, type, shape));
}

void OnnxWriter::AddTensor(const std::string& name, OnnxType type, std::span<const int64_t> shape,
                           std::string_view bytes) {
  std::string tensor;
  for (int64_t size : shape) PutInt(tensor, 1, size);
  PutInt(tensor, 2, static_cast<int64_t>(type));
  PutBytes(tensor, 8, name);
  PutBytes(tensor, 9, bytes);
  PutBytes(tensors_, 5, tensor);
}

void OnnxWriter::AddFloats(const std::string& name, std::span<const int64_t> shape,
                           std::span<const float> values) {
  AddTensor(name, OnnxType::kFloat, shape, AsBytes(values));
}

void OnnxWriter::AddInt64s(const std::string& name, std::span<const int64_t> values) {
  const auto count = static_cast<int64_t>(values.size());
  AddTensor(name, OnnxType::kInt64, {&count, 1}, AsBytes(values));
}

void OnnxWriter::AddNode(const std::string& op, const std::vector<std::string>& inputs,
                         const std::string& output, const std::vector<OnnxAttribute>& attributes) {
  std::string node;
  for (const std::string& input : inputs) PutBytes(node, 1, input);
  PutBytes(node, 2, output);
  PutBytes(node, 3, output);
  PutBytes(node, 4, op);
  for (const OnnxAttribute& attribute : attributes) PutBytes(node, 5, Attribute(attribute));
  PutBytes(nodes_, 1, node);
}

std::string OnnxWriter::Finish() const {
  std::string graph = nodes_;
  PutBytes(graph, 2, "graph");
  graph += tensors_ + inputs_ + outputs_;
  std::string opset;
  PutBytes(opset, 1, "");
  PutInt(opset, 2, kOpset);
  std::string model;
  PutInt(model, 1, kIrVersion);
  PutBytes(model, 2, "msearch");
  PutBytes(model, 7, graph);
  PutBytes(model, 8, opset);
  return model;
}

}  // namespace msearch::embedding
