#include "embedding/onnx_graph.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/file.h"
#include "embedding/onnx_runtime.h"
#include "embedding/protobuf_wire.h"
#include "embedding/test_models.h"

namespace msearch::embedding {
namespace {

using testing::ElementsAre;

std::string Value(const std::string& name, int64_t type, const std::vector<int64_t>& shape) {
  std::string dimensions, tensor, any, out;
  for (int64_t size : shape) {
    std::string dimension;
    PutInt(dimension, 1, size);
    PutBytes(dimensions, 1, dimension);
  }
  PutInt(tensor, 1, type);
  PutBytes(tensor, 2, dimensions);
  PutBytes(any, 1, tensor);
  PutBytes(out, 1, name);
  PutBytes(out, 2, any);
  return out;
}

std::string Node(const std::string& op, const std::vector<std::string>& inputs,
                 const std::vector<std::string>& outputs) {
  std::string out;
  for (const auto& input : inputs) PutBytes(out, 1, input);
  for (const auto& output : outputs) PutBytes(out, 2, output);
  PutBytes(out, 4, op);
  return out;
}

std::string Tensor(const std::string& name, int64_t type, const std::vector<int64_t>& shape,
                   const std::string& bytes) {
  std::string out;
  for (int64_t size : shape) PutInt(out, 1, size);
  PutInt(out, 2, type);
  PutBytes(out, 8, name);
  PutBytes(out, 9, bytes);
  return out;
}

std::string Branch(const std::string& attribute, const std::string& state_op) {
  std::string graph, out;
  PutBytes(graph, 1, Node(state_op, {"x"}, {"state"}));
  PutBytes(graph, 1, Node("Abs", {"state"}, {"spare"}));
  PutBytes(graph, 1, Node("Transpose", {"codes"}, {"turned"}));
  PutBytes(graph, 1, Node("DequantizeLinear", {"turned", "scale", "zero"}, {"weights"}));
  PutBytes(graph, 1, Node("MatMul", {"state", "weights"}, {"scores"}));
  PutBytes(graph, 2, attribute);
  PutBytes(graph, 12, Value("scores", 1, {1, 3}));
  PutBytes(graph, 12, Value("spare", 1, {1, 2}));
  PutBytes(out, 1, attribute);
  PutBytes(out, 6, graph);
  PutInt(out, 20, 5);
  return out;
}

// If `which`: the scores of x itself, else those of -x; `spare` is what nobody needs.
std::string Model() {
  const float scale = 0.5F;
  std::string choice = Node("If", {"which"}, {"scores", "spare"});
  PutBytes(choice, 5, Branch("then_branch", "Identity"));
  PutBytes(choice, 5, Branch("else_branch", "Neg"));
  std::string graph, opset, model;
  PutBytes(graph, 1, choice);
  PutBytes(graph, 2, "graph");
  PutBytes(graph, 5, Tensor("codes", 2, {3, 2}, std::string("\x05\x07\x09\x05\x01\x06", 6)));
  PutBytes(graph, 5, Tensor("scale", 1, {}, std::string(reinterpret_cast<const char*>(&scale), 4)));
  PutBytes(graph, 5, Tensor("zero", 2, {}, "\x05"));
  PutBytes(graph, 11, Value("which", 9, {1}));
  PutBytes(graph, 11, Value("x", 1, {1, 2}));
  PutBytes(graph, 12, Value("scores", 1, {1, 3}));
  PutBytes(graph, 12, Value("spare", 1, {1, 2}));
  PutBytes(opset, 1, "");
  PutInt(opset, 2, 17);
  PutInt(model, 1, 8);
  PutBytes(model, 7, graph);
  PutBytes(model, 8, opset);
  return model;
}

class OnnxGraphTest : public testing::Test {
 protected:
  // What the model gives for x = {3, 10}.
  std::vector<float> Run(const std::string& model, bool which, const std::string& output) {
    const auto session = Session::FromBytes(model, "test", {TestRuntime(), "cpu", 1, true});
    EXPECT_TRUE(session.ok()) << session.message();
    if (!session.ok()) return {};
    outputs_ = (*session)->outputs();
    const std::vector<float> x = {3, 10};
    const uint8_t flag = which ? 1 : 0;
    const std::vector<TensorView> inputs = {{"which", TensorView::Type::kBool, {1}, &flag},
                                            {"x", TensorView::Type::kFloat, {1, 2}, x.data()}};
    const auto out = (*session)->Run(inputs, {output});
    EXPECT_TRUE(out.ok()) << out.message();
    return out.ok() ? (*out)[0].values : std::vector<float>();
  }

  std::vector<std::string> outputs_;
};

TEST_F(OnnxGraphTest, LeavesAModelAsItWas) {
  const auto graph = OnnxGraph::Parse(Model());
  ASSERT_TRUE(graph.ok()) << graph.message();
  EXPECT_THAT(Run(graph->Finish(), true, "scores"), ElementsAre(10, 6, -1));
  EXPECT_THAT(Run(graph->Finish(), false, "spare"), ElementsAre(3, 10));
  EXPECT_THAT(outputs_, ElementsAre("scores", "spare"));
}

TEST_F(OnnxGraphTest, TakesOutWhatNobodyAsksFor) {
  auto graph = OnnxGraph::Parse(Model());
  ASSERT_TRUE(graph.ok()) << graph.message();
  graph->KeepOutputs({"scores", "another"});
  const std::string smaller = graph->Finish();
  EXPECT_THAT(Run(smaller, true, "scores"), ElementsAre(10, 6, -1));
  EXPECT_THAT(outputs_, ElementsAre("scores"));
  EXPECT_EQ(smaller.find("Abs"), std::string::npos);
}

TEST_F(OnnxGraphTest, TakesTheLastLayerOver) {
  auto graph = OnnxGraph::Parse(Model());
  ASSERT_TRUE(graph.ok()) << graph.message();
  EXPECT_FALSE(graph->TakeLastLayer("spare").has_value());
  EXPECT_FALSE(graph->TakeLastLayer("nothing").has_value());
  const auto matrix = graph->TakeLastLayer("scores");
  ASSERT_TRUE(matrix.has_value());
  EXPECT_EQ(matrix->rows, 3U);
  EXPECT_EQ(matrix->columns, 2U);
  EXPECT_EQ(matrix->scale, 0.5F);
  EXPECT_EQ(matrix->zero, 5);
  EXPECT_THAT(matrix->codes, ElementsAre(5, 7, 9, 5, 1, 6));
  const std::string rest = graph->Finish();
  EXPECT_EQ(rest.find("MatMul"), std::string::npos);
  EXPECT_THAT(Run(rest, true, "scores"), ElementsAre(3, 10));
  EXPECT_THAT(Run(rest, false, "scores"), ElementsAre(-3, -10));
}

TEST_F(OnnxGraphTest, RefusesWhatIsNoModel) {
  EXPECT_EQ(OnnxGraph::Parse("").code(), Code::kCorrupt);
  EXPECT_EQ(OnnxGraph::Parse("a model, says its author").code(), Code::kCorrupt);
  const std::string model = Model();
  for (size_t length = 0; length < model.size(); ++length) {
    auto graph = OnnxGraph::Parse(model.substr(0, length));
    if (graph.ok()) (void)graph->TakeLastLayer("scores");  // what is cut off was behind the graph
  }
}

TEST_F(OnnxGraphTest, KnowsWhispersDecoder) {
  SKIP_UNLESS_PULLED("whisper-tiny");
  auto graph = OnnxGraph::Parse(ReadFile(TestModels() + "/whisper-tiny/decoder.onnx").value_or(""));
  ASSERT_TRUE(graph.ok()) << graph.message();
  const auto matrix = graph->TakeLastLayer("logits");
  ASSERT_TRUE(matrix.has_value());
  EXPECT_EQ(matrix->rows, 51865U);
  EXPECT_EQ(matrix->columns, 384U);
}

}  // namespace
}  // namespace msearch::embedding
