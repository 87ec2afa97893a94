#include "embedding/onnx_runtime.h"

#include <gtest/gtest.h>

#include "base/file.h"
#include "embedding/onnx_writer.h"
#include "embedding/test_models.h"

namespace msearch::embedding {
namespace {

// y = x * w + b, for any number of rows.
std::string LinearModel() {
  OnnxWriter writer;
  writer.AddInput("x", OnnxType::kFloat, std::vector<int64_t>{-1, 3});
  writer.AddOutput("y", OnnxType::kFloat, std::vector<int64_t>{-1, 2});
  writer.AddFloats("w", std::vector<int64_t>{3, 2}, std::vector<float>{1, 2, 3, 4, 5, 6});
  writer.AddFloats("b", std::vector<int64_t>{2}, std::vector<float>{10, 20});
  writer.AddNode("MatMul", {"x", "w"}, "product");
  writer.AddNode("Add", {"product", "b"}, "y");
  return writer.Finish();
}

class OnnxRuntime : public testing::Test {
 protected:
  std::string Write(const std::string& bytes) {
    const std::string path = folder_.path() + "/model.onnx";
    EXPECT_TRUE(WriteFileAtomically(path, bytes).ok());
    return path;
  }
  SessionOptions Options(const std::string& device) { return {TestRuntime(), device, 1}; }

  TemporaryDirectory folder_;
};

TEST_F(OnnxRuntime, RunsWhatTheWriterWrote) {
  const auto session = Session::Open(Write(LinearModel()), Options("cpu"));
  ASSERT_TRUE(session.ok()) << session.message();
  EXPECT_EQ((*session)->inputs(), std::vector<std::string>{"x"});
  EXPECT_EQ((*session)->outputs(), std::vector<std::string>{"y"});
  EXPECT_EQ((*session)->ShapeOf("x"), (std::vector<int64_t>{-1, 3}));
  EXPECT_EQ((*session)->ShapeOf("y"), (std::vector<int64_t>{-1, 2}));
  EXPECT_TRUE((*session)->ShapeOf("z").empty());
  const std::vector<float> rows = {1, 0, 0, 1, 1, 1};
  const TensorView input{"x", TensorView::Type::kFloat, {2, 3}, rows.data()};
  const auto outputs = (*session)->Run({&input, 1}, {"y"});
  ASSERT_TRUE(outputs.ok()) << outputs.message();
  EXPECT_EQ((*outputs)[0].shape, (std::vector<int64_t>{2, 2}));
  EXPECT_EQ((*outputs)[0].values, (std::vector<float>{11, 22, 19, 32}));
}

TEST_F(OnnxRuntime, RefusesInputsThatDontFit) {
  const auto session = Session::Open(Write(LinearModel()), Options("cpu"));
  ASSERT_TRUE(session.ok()) << session.message();
  const std::vector<float> rows = {1, 0, 0, 1};
  const TensorView input{"x", TensorView::Type::kFloat, {1, 4}, rows.data()};
  EXPECT_EQ((*session)->Run({&input, 1}, {"y"}).code(), Code::kInternal);
  const TensorView named{"z", TensorView::Type::kFloat, {1, 3}, rows.data()};
  EXPECT_EQ((*session)->Run({&named, 1}, {"y"}).code(), Code::kInternal);
}

TEST_F(OnnxRuntime, CallsADamagedModelCorrupt) {
  const std::string whole = LinearModel();
  EXPECT_EQ(Session::Open(Write(whole.substr(0, whole.size() / 2)), Options("cpu")).code(),
            Code::kCorrupt);
  EXPECT_EQ(Session::Open(folder_.path() + "/absent.onnx", Options("cpu")).code(), Code::kNotFound);
}

TEST_F(OnnxRuntime, SaysWhyAutoUsesTheCpu) {
  const auto session = Session::Open(Write(LinearModel()), Options("auto"));
  ASSERT_TRUE(session.ok()) << session.message();
  const DeviceInfo& device = (*session)->device();
  EXPECT_EQ(device.requested, "auto");
  if (device.used == "cuda") GTEST_SKIP() << "this machine's runtime has CUDA";
  EXPECT_EQ(device.used, "cpu");
  EXPECT_NE(device.reason.find("fell back to the CPU"), std::string::npos) << device.reason;
}

TEST_F(OnnxRuntime, RefusesCudaWhereItCantBeHad) {
  const auto session = Session::Open(Write(LinearModel()), Options("cuda"));
  if (session.ok()) GTEST_SKIP() << "this machine's runtime has CUDA";
  EXPECT_EQ(session.code(), Code::kUnsupported);
  EXPECT_NE(session.message().find("CUDA"), std::string::npos) << session.message();
}

TEST_F(OnnxRuntime, RefusesADeviceThatItDoesntKnow) {
  EXPECT_EQ(Session::Open(Write(LinearModel()), Options("gpu")).code(), Code::kInvalid);
}

TEST(FindRuntime, NamesThePathWhereThereIsNone) {
  const auto found = FindRuntime("/nowhere/libonnxruntime.so.1");
  ASSERT_FALSE(found.ok());
  EXPECT_EQ(found.code(), Code::kUnavailable);
  EXPECT_TRUE(found.message().starts_with("/nowhere/")) << found.message();
  EXPECT_EQ(FindRuntime(TestRuntime()).value(), TestRuntime());
}

}  // namespace
}  // namespace msearch::embedding
