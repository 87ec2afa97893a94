#include "embedding/onnx_graph.h"

#include <algorithm>
#include <cstring>
#include <set>

#include "embedding/protobuf_wire.h"

// Only nodes and outputs are taken apart; everything else, weights above all, is carried over as it
// stands. Field numbers are from onnx.proto (github.com/onnx/onnx).

namespace msearch::embedding {
namespace {

constexpr int kGraph = 7;                                                              // ModelProto
constexpr int kNode = 1, kInitializer = 5, kOutput = 12, kValueInfo = 13;              // GraphProto
constexpr int kNodeInput = 1, kNodeOutput = 2, kNodeOperator = 4, kNodeAttribute = 5;  // NodeProto
constexpr int kAttributeGraph = 6;   // AttributeProto
constexpr int kName = 1, kType = 2;  // ValueInfoProto
constexpr int kDepthMax = 8;         // of branches within branches
constexpr int64_t kUint8 = 2, kInt8 = 3;

struct Node;

}  // namespace

struct OnnxGraph::Graph {
  std::vector<Node> nodes;
  struct Output {
    std::string name;
    std::string whole;  // the field
  };
  std::vector<Output> outputs;
  std::vector<std::string_view> rest;

  const Node* MakerOf(std::string_view value) const;
};

namespace {

struct Branch {
  std::vector<std::string_view> rest;  // of the attribute
  OnnxGraph::Graph graph;
};

struct Node {
  std::string_view op;
  std::vector<std::string> inputs;
  std::vector<std::string> outputs;
  std::vector<std::string_view> rest;  // with the attributes that aren't branches
  std::vector<Branch> branches;
};

std::optional<OnnxGraph::Graph> ParseGraph(std::string_view message, int depth);

std::optional<Node> ParseNode(std::string_view message, int depth) {
  Node node;
  ProtobufReader fields(message);
  while (const auto field = fields.Next()) {
    if (field->number == kNodeInput) {
      node.inputs.emplace_back(field->bytes);
    } else if (field->number == kNodeOutput) {
      node.outputs.emplace_back(field->bytes);
    } else if (field->number == kNodeAttribute) {
      Branch branch;
      bool is_branch = false;
      ProtobufReader parts(field->bytes);
      while (const auto part = parts.Next()) {
        if (part->number != kAttributeGraph) {
          branch.rest.push_back(part->whole);
          continue;
        }
        auto graph = ParseGraph(part->bytes, depth + 1);
        if (!graph || is_branch) return std::nullopt;
        branch.graph = std::move(*graph);
        is_branch = true;
      }
      if (parts.broken()) return std::nullopt;
      if (is_branch) {
        node.branches.push_back(std::move(branch));
      } else {
        node.rest.push_back(field->whole);
      }
    } else {
      if (field->number == kNodeOperator) node.op = field->bytes;
      node.rest.push_back(field->whole);
    }
  }
  if (fields.broken()) return std::nullopt;
  return node;
}

std::optional<OnnxGraph::Graph> ParseGraph(std::string_view message, int depth) {
  if (depth > kDepthMax) return std::nullopt;
  OnnxGraph::Graph graph;
  ProtobufReader fields(message);
  while (const auto field = fields.Next()) {
    if (field->number == kNode) {
      auto node = ParseNode(field->bytes, depth);
      if (!node) return std::nullopt;
      graph.nodes.push_back(std::move(*node));
    } else if (field->number == kOutput) {
      OnnxGraph::Graph::Output output{"", std::string(field->whole)};
      ProtobufReader parts(field->bytes);
      while (const auto part = parts.Next()) {
        if (part->number == kName) output.name = part->bytes;
      }
      if (parts.broken()) return std::nullopt;
      graph.outputs.push_back(std::move(output));
    } else if (field->number != kValueInfo) {  // hints, which may no longer hold
      graph.rest.push_back(field->whole);
    }
  }
  if (fields.broken()) return std::nullopt;
  return graph;
}

std::string Written(const OnnxGraph::Graph& graph);

std::string Written(const Node& node) {
  std::string out;
  for (const std::string& input : node.inputs) PutBytes(out, kNodeInput, input);
  for (const std::string& output : node.outputs) PutBytes(out, kNodeOutput, output);
  for (std::string_view field : node.rest) out += field;
  for (const Branch& branch : node.branches) {
    std::string attribute;
    for (std::string_view field : branch.rest) attribute += field;
    PutBytes(attribute, kAttributeGraph, Written(branch.graph));
    PutBytes(out, kNodeAttribute, attribute);
  }
  return out;
}

std::string Written(const OnnxGraph::Graph& graph) {
  std::string out;
  for (const Node& node : graph.nodes) PutBytes(out, kNode, Written(node));
  for (const OnnxGraph::Graph::Output& output : graph.outputs) out += output.whole;
  for (std::string_view field : graph.rest) out += field;
  return out;
}

// Drops what works for nothing, and adds to `needed` what is used here of the graphs around this
// one. A graph has names of its own: a branch may call its result as the graph around it does.
void Prune(OnnxGraph::Graph& graph, std::set<std::string>& needed) {
  std::set<std::string> used;
  for (const OnnxGraph::Graph::Output& output : graph.outputs) used.insert(output.name);
  // Each node comes after those that it needs.
  std::vector<Node> kept;
  for (auto node = graph.nodes.rbegin(); node != graph.nodes.rend(); ++node) {
    const bool useful = std::any_of(node->outputs.begin(), node->outputs.end(),
                                    [&](const auto& name) { return used.contains(name); });
    if (!useful) continue;
    used.insert(node->inputs.begin(), node->inputs.end());
    for (Branch& branch : node->branches) Prune(branch.graph, used);
    kept.push_back(std::move(*node));
  }
  graph.nodes.assign(std::make_move_iterator(kept.rbegin()), std::make_move_iterator(kept.rend()));
  for (const Node& node : graph.nodes) {
    for (const std::string& made : node.outputs) used.erase(made);
  }
  needed.merge(used);
}

void Prune(OnnxGraph::Graph& graph) {
  std::set<std::string> needed;
  Prune(graph, needed);
}

// An output that is of float32, of any shape.
OnnxGraph::Graph::Output FloatOutput(const std::string& name) {
  std::string tensor, type, value, whole;
  PutInt(tensor, 1, 1);
  PutBytes(type, 1, tensor);
  PutBytes(value, kName, name);
  PutBytes(value, kType, type);
  PutBytes(whole, kOutput, value);
  return {name, whole};
}

struct Tensor {
  std::vector<uint64_t> shape;
  int64_t type = 0;
  std::string_view bytes;
  float number = 0;      // the first of its values, where they aren't given as bytes
  uint64_t integer = 0;  // the same
};

std::optional<Tensor> FindTensor(const OnnxGraph::Graph& graph, std::string_view name) {
  enum { kShape = 1, kDataType = 2, kFloats = 4, kInts = 5, kTensorName = 8, kBytes = 9 };
  for (std::string_view whole : graph.rest) {
    const auto field = ProtobufReader(whole).Next();
    if (!field || field->number != kInitializer) continue;
    Tensor tensor;
    std::string_view its_name;
    ProtobufReader parts(field->bytes);
    while (const auto part = parts.Next()) {
      if (part->number == kShape) tensor.shape.push_back(part->value);
      if (part->number == kDataType) tensor.type = static_cast<int64_t>(part->value);
      if (part->number == kFloats && part->bytes.size() >= sizeof(float)) {
        std::memcpy(&tensor.number, part->bytes.data(), sizeof(float));
      }
      if (part->number == kInts) {
        tensor.integer = ProtobufReader(part->bytes).Varint().value_or(part->value);
      }
      if (part->number == kTensorName) its_name = part->bytes;
      if (part->number == kBytes) tensor.bytes = part->bytes;
    }
    if (its_name == name && !parts.broken()) return tensor;
  }
  return std::nullopt;
}

struct LastLayer {
  std::string state, codes, scale, zero;  // names
  bool operator==(const LastLayer& other) const {
    return codes == other.codes && scale == other.scale && zero == other.zero;
  }
};

// A product with the transpose of a matrix that is unpacked for it.
std::optional<LastLayer> FindLastLayer(const OnnxGraph::Graph& graph, std::string_view output) {
  const Node* product = graph.MakerOf(output);
  if (product == nullptr || product->op != "MatMul" || product->inputs.size() != 2) {
    return std::nullopt;
  }
  LastLayer layer{product->inputs[0], product->inputs[1], "", ""};
  bool transposed = false;
  while (const Node* maker = graph.MakerOf(layer.codes)) {
    if (maker->op == "Transpose" && maker->inputs.size() == 1 && !transposed) {
      transposed = true;
    } else if (maker->op == "DequantizeLinear" && maker->inputs.size() == 3 &&
               layer.scale.empty()) {
      layer.scale = maker->inputs[1];
      layer.zero = maker->inputs[2];
    } else {
      return std::nullopt;
    }
    layer.codes = maker->inputs[0];
  }
  const bool made_here = graph.MakerOf(layer.state) != nullptr;
  if (!transposed || layer.scale.empty() || !made_here) return std::nullopt;
  return layer;
}

std::optional<PackedMatrix> ReadMatrix(const OnnxGraph::Graph& graph, const LastLayer& layer) {
  const auto codes = FindTensor(graph, layer.codes);
  const auto scale = FindTensor(graph, layer.scale);
  const auto zero = FindTensor(graph, layer.zero);
  if (!codes || !scale || !zero || codes->shape.size() != 2 || codes->type != zero->type ||
      (codes->type != kUint8 && codes->type != kInt8)) {
    return std::nullopt;
  }
  const uint64_t rows = codes->shape[0], columns = codes->shape[1];
  if (columns == 0 || rows > codes->bytes.size() / columns ||
      rows * columns != codes->bytes.size()) {
    return std::nullopt;
  }
  PackedMatrix out{{codes->bytes.begin(), codes->bytes.end()}, rows, columns, scale->number, 0};
  if (scale->bytes.size() == sizeof(float)) {
    std::memcpy(&out.scale, scale->bytes.data(), sizeof(float));
  }
  const auto zero_code =
      static_cast<uint8_t>(zero->bytes.size() == 1 ? zero->bytes[0] : zero->integer);
  out.zero = zero_code;
  if (codes->type == kInt8) {  // shifted, so that there is one kind only
    for (uint8_t& code : out.codes) code ^= 0x80;
    out.zero = zero_code ^ 0x80;
  }
  return out;
}

void AddNames(const OnnxGraph::Graph& graph, std::multiset<std::string>& names) {
  for (const Node& node : graph.nodes) {
    names.insert(node.inputs.begin(), node.inputs.end());
    for (const Branch& branch : node.branches) AddNames(branch.graph, names);
  }
}

}  // namespace

const Node* OnnxGraph::Graph::MakerOf(std::string_view value) const {
  for (const Node& node : nodes) {
    if (std::find(node.outputs.begin(), node.outputs.end(), value) != node.outputs.end()) {
      return &node;
    }
  }
  return nullptr;
}

OnnxGraph::OnnxGraph() = default;
OnnxGraph::OnnxGraph(OnnxGraph&&) noexcept = default;
OnnxGraph& OnnxGraph::operator=(OnnxGraph&&) noexcept = default;
OnnxGraph::~OnnxGraph() = default;

Result<OnnxGraph> OnnxGraph::Parse(std::string model) {
  OnnxGraph out;
  out.model_ = std::make_unique<std::string>(std::move(model));
  ProtobufReader fields(*out.model_);
  while (const auto field = fields.Next()) {
    if (field->number != kGraph) {
      out.rest_.push_back(field->whole);
      continue;
    }
    auto graph = ParseGraph(field->bytes, 0);
    if (!graph || out.graph_) return Error{Code::kCorrupt, "ONNX model: its graph is broken"};
    out.graph_ = std::make_unique<Graph>(std::move(*graph));
  }
  if (fields.broken() || !out.graph_) return Error{Code::kCorrupt, "ONNX model: no graph"};
  return out;
}

void OnnxGraph::KeepOutputs(const std::vector<std::string>& names) {
  std::multiset<std::string> used;
  AddNames(*graph_, used);
  std::erase_if(graph_->outputs, [&](const Graph::Output& output) {
    if (std::find(names.begin(), names.end(), output.name) != names.end()) return false;
    for (Node& node : graph_->nodes) {
      const auto at = std::find(node.outputs.begin(), node.outputs.end(), output.name);
      if (at == node.outputs.end() || node.op != "If" || used.contains(output.name)) continue;
      const auto position = at - node.outputs.begin();
      for (Branch& branch : node.branches) {
        if (position < static_cast<ptrdiff_t>(branch.graph.outputs.size())) {
          branch.graph.outputs.erase(branch.graph.outputs.begin() + position);
        }
      }
      node.outputs.erase(at);
      break;
    }
    return true;
  });
  Prune(*graph_);
}

std::optional<PackedMatrix> OnnxGraph::TakeLastLayer(const std::string& output) {
  for (Node& node : graph_->nodes) {
    const auto at = std::find(node.outputs.begin(), node.outputs.end(), output);
    if (at == node.outputs.end()) continue;
    if (node.op != "If" || node.branches.empty()) return std::nullopt;
    const auto position = static_cast<size_t>(at - node.outputs.begin());
    std::vector<LastLayer> layers;
    for (const Branch& branch : node.branches) {
      if (position >= branch.graph.outputs.size()) return std::nullopt;
      auto layer = FindLastLayer(branch.graph, branch.graph.outputs[position].name);
      if (!layer || (!layers.empty() && !(*layer == layers[0]))) return std::nullopt;
      layers.push_back(std::move(*layer));
    }
    auto matrix = ReadMatrix(*graph_, layers[0]);
    if (!matrix) return std::nullopt;
    for (size_t i = 0; i < layers.size(); ++i) {
      node.branches[i].graph.outputs[position] = FloatOutput(layers[i].state);
    }
    for (Graph::Output& declared : graph_->outputs) {
      if (declared.name == output) declared = FloatOutput(output);
    }
    Prune(*graph_);
    return matrix;
  }
  return std::nullopt;
}

std::string OnnxGraph::Finish() const {
  std::string out;
  for (std::string_view field : rest_) out += field;
  PutBytes(out, kGraph, Written(*graph_));
  return out;
}

}  // namespace msearch::embedding
