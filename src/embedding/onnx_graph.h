// Makes ONNX models do less than they were exported to do, before they are opened: results that
// nobody asks for are taken out together with what only they need, and a decoder's last layer,
// whose weights are kept in 8 bits, is taken over from the runtime.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace msearch::embedding {

// A matrix in 8 bits: a value is scale * (code - zero).
struct PackedMatrix {
  std::vector<uint8_t> codes;  // row by row
  size_t rows = 0;
  size_t columns = 0;
  float scale = 0;
  int32_t zero = 0;
};

// Not thread-safe.
class OnnxGraph {
 public:
  // kCorrupt for what isn't a model.
  static Result<OnnxGraph> Parse(std::string model);
  OnnxGraph(OnnxGraph&&) noexcept;
  OnnxGraph& operator=(OnnxGraph&&) noexcept;
  ~OnnxGraph();

  // Takes out all outputs but those named (also from the branches of an If that gives them), and
  // the nodes that work for none of the others. An output named here that isn't there is ignored.
  void KeepOutputs(const std::vector<std::string>& names);

  // Where `output` comes from an If whose branches all multiply a state with the rows of the same
  // matrix in 8 bits: has the output be the state instead and gives the matrix. Nothing, and
  // nothing is changed, where it doesn't.
  std::optional<PackedMatrix> TakeLastLayer(const std::string& output);

  std::string Finish() const;

  struct Graph;

 private:
  OnnxGraph();

  std::unique_ptr<std::string> model_;  // what the views below point into
  std::vector<std::string_view> rest_;  // fields of the model beside the graph
  std::unique_ptr<Graph> graph_;
};

}  // namespace msearch::embedding
