#include <algorithm>
#include <cstring>
#include <limits>

#include "embedding/flat_reader.h"
#include "embedding/tflite.h"

// Field numbers and enumerations are those of TensorFlow Lite's schema.fbs. What is checked here
// is all that the converter relies on: indices in range, the size of a tensor's data, one scale or
// one for each channel.

namespace msearch::embedding {
namespace {

constexpr size_t kTablesMax = 20000;
constexpr size_t kDimensionsMax = 8;
constexpr int64_t kElementsMax = int64_t{1} << 31;

Error Broken(const std::string& fault) { return {Code::kCorrupt, "TFLite model: " + fault}; }

size_t ElementBytes(int8_t type) {
  switch (type) {
    case 0:  // FLOAT32
    case 2:  // INT32
      return 4;
    case 3:  // UINT8
    case 9:  // INT8
      return 1;
    default:
      return 0;
  }
}

template <typename T>
std::vector<T> Values(std::string_view bytes) {
  std::vector<T> out(bytes.size() / sizeof(T));
  if (!out.empty()) std::memcpy(out.data(), bytes.data(), out.size() * sizeof(T));
  return out;
}

// `scales_left`: how many more scales a file of this size can hold, if no two tensors share them.
Result<> ReadQuantisation(const FlatTable& table, TfliteTensor& tensor, size_t& scales_left) {
  const std::string_view scales = table.Bytes(2, sizeof(float));
  const std::string_view zeros = table.Bytes(3, sizeof(int64_t));
  const size_t count = std::max(scales.size() / sizeof(float), zeros.size() / sizeof(int64_t));
  if (count > scales_left) return Broken("too many scales");
  scales_left -= count;
  tensor.scales = Values<float>(scales);
  tensor.zeros = Values<int64_t>(zeros);
  tensor.axis = table.Scalar<int32_t>(6, 0);
  tensor.zeros.resize(tensor.scales.size(), tensor.zeros.size() == 1 ? tensor.zeros[0] : 0);
  for (float scale : tensor.scales) {
    if (!(scale >= 0) || scale > std::numeric_limits<float>::max()) return Broken("odd scale");
  }
  if (tensor.scales.size() <= 1) return Ok{};
  if (tensor.axis < 0 || static_cast<size_t>(tensor.axis) >= tensor.shape.size() ||
      tensor.scales.size() != static_cast<size_t>(tensor.shape[tensor.axis])) {
    return Broken("scales don't fit the shape");
  }
  return Ok{};
}

Result<TfliteTensor> ReadTensor(const FlatTable& table, const std::vector<FlatTable>& buffers,
                                size_t& scales_left) {
  TfliteTensor tensor;
  tensor.name = std::string(table.Bytes(3).substr(0, 200));
  tensor.shape = table.Ints(0, kDimensionsMax);
  tensor.type = table.Scalar<int8_t>(1, 0);
  int64_t elements = 1;
  for (int32_t size : tensor.shape) {
    if (size < 0 || (size > 0 && elements > kElementsMax / size)) return Broken("odd shape");
    elements *= size;
  }
  const auto buffer = table.Scalar<uint32_t>(2, 0);
  if (buffer >= buffers.size()) return Broken("buffer out of range");
  tensor.data = buffers[buffer].Bytes(0);
  const size_t element_bytes = ElementBytes(tensor.type);
  if (!tensor.data.empty() &&
      (element_bytes == 0 ||
       tensor.data.size() != static_cast<uint64_t>(elements) * element_bytes)) {
    return Broken("tensor " + tensor.name + " has data of another size");
  }
  TRY(ReadQuantisation(table.Table(4), tensor, scales_left));
  return tensor;
}

void ReadOptions(const FlatTable& options, TfliteOp& op) {
  switch (op.code) {
    case 3:  // CONV_2D
      op.activation = options.Scalar<int8_t>(3, 0);
      op.dilation_w = options.Scalar<int32_t>(4, 1);
      op.dilation_h = options.Scalar<int32_t>(5, 1);
      break;
    case 4:  // DEPTHWISE_CONV_2D
      op.activation = options.Scalar<int8_t>(4, 0);
      op.dilation_w = options.Scalar<int32_t>(5, 1);
      op.dilation_h = options.Scalar<int32_t>(6, 1);
      break;
    case 1:  // AVERAGE_POOL_2D
      op.filter_w = options.Scalar<int32_t>(3, 1);
      op.filter_h = options.Scalar<int32_t>(4, 1);
      op.activation = options.Scalar<int8_t>(5, 0);
      break;
    case 0:  // ADD
    case 9:  // FULLY_CONNECTED
      op.activation = options.Scalar<int8_t>(0, 0);
      return;
    case 25:  // SOFTMAX
      op.beta = options.Scalar<float>(0, 0);
      return;
    default:
      return;
  }
  op.same_padding = options.Scalar<int8_t>(0, 0) == 0;
  op.stride_w = options.Scalar<int32_t>(1, 1);
  op.stride_h = options.Scalar<int32_t>(2, 1);
}

bool InRange(const std::vector<int32_t>& indices, size_t count, bool may_be_absent) {
  return std::all_of(indices.begin(), indices.end(), [&](int32_t index) {
    return (index >= 0 && static_cast<size_t>(index) < count) || (may_be_absent && index == -1);
  });
}

Result<TfliteOp> ReadOp(const FlatTable& table, const std::vector<int32_t>& codes, size_t tensors) {
  TfliteOp op;
  const auto code = table.Scalar<uint32_t>(0, 0);
  if (code >= codes.size()) return Broken("operator out of range");
  op.code = codes[code];
  op.inputs = table.Ints(1, 16);
  op.outputs = table.Ints(2, 16);
  if (!InRange(op.inputs, tensors, true) || !InRange(op.outputs, tensors, false)) {
    return Broken("tensor out of range");
  }
  ReadOptions(table.Table(4), op);
  constexpr int32_t kStepMax = 4096;
  for (int32_t step :
       {op.stride_w, op.stride_h, op.dilation_w, op.dilation_h, op.filter_w, op.filter_h}) {
    if (step < 1 || step > kStepMax) return Broken("odd stride, dilation or filter");
  }
  return op;
}

}  // namespace

Result<TfliteModel> ReadTflite(std::string_view bytes) {
  FlatBuffer buffer{bytes};
  if (bytes.size() < 8 || bytes.substr(4, 4) != "TFL3") return Broken("no TFL3 mark");
  const FlatTable root = FlatTable::Root(buffer);
  std::vector<int32_t> codes;
  for (const FlatTable& code : root.Tables(1, kTablesMax)) {
    codes.push_back(std::max<int32_t>(code.Scalar<int8_t>(0, 0), code.Scalar<int32_t>(3, 0)));
  }
  const std::vector<FlatTable> buffers = root.Tables(4, kTablesMax);
  const std::vector<FlatTable> graphs = root.Tables(2, kTablesMax);
  if (graphs.size() != 1) return Broken("not exactly one graph");

  TfliteModel model;
  size_t scales_left = bytes.size() / sizeof(float);
  for (const FlatTable& table : graphs[0].Tables(0, kTablesMax)) {
    model.tensors.push_back(TRY(ReadTensor(table, buffers, scales_left)));
  }
  for (const FlatTable& table : graphs[0].Tables(3, kTablesMax)) {
    model.ops.push_back(TRY(ReadOp(table, codes, model.tensors.size())));
  }
  model.inputs = graphs[0].Ints(1, 64);
  model.outputs = graphs[0].Ints(2, 64);
  if (!InRange(model.inputs, model.tensors.size(), false) ||
      !InRange(model.outputs, model.tensors.size(), false)) {
    return Broken("tensor out of range");
  }
  if (buffer.broken) return Broken("an offset leads out of the file");
  return model;
}

}  // namespace msearch::embedding
