#include "embedding/tflite.h"

#include <flatbuffers/flatbuffers.h>
#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "base/file.h"
#include "embedding/onnx_runtime.h"
#include "embedding/test_models.h"

// A small classifier is written with the FlatBuffers library, converted, run by ONNX Runtime, and
// compared with a plain computation of the same network in this file.

namespace msearch::embedding {
namespace {

using flatbuffers::FlatBufferBuilder;
using flatbuffers::Offset;
using Void = Offset<void>;

constexpr int kSide = 7, kChannels = 4, kClasses = 5;

flatbuffers::voffset_t Field(int number) {
  return static_cast<flatbuffers::voffset_t>(4 + 2 * number);
}

struct Tensor {
  std::vector<int32_t> shape;
  int8_t type = 9;  // INT8
  std::string data;
  std::vector<float> scales;
  int64_t zero = 0;
  int32_t axis = 0;
};

struct Op {
  int32_t code;
  std::vector<int32_t> inputs, outputs;
  std::function<void(FlatBufferBuilder&)> options;
};

class TfliteWriter {
 public:
  int32_t Add(Tensor tensor) {
    tensors_.push_back(std::move(tensor));
    return static_cast<int32_t>(tensors_.size() - 1);
  }
  void Add(Op op) { ops_.push_back(std::move(op)); }

  std::string Finish(int32_t input, int32_t output) {
    std::vector<Void> buffers = {Table([](auto&) {})}, tensors, ops, codes;
    for (const Tensor& tensor : tensors_) tensors.push_back(WriteTensor(tensor, buffers));
    for (const Op& op : ops_) {
      codes.push_back(Table([&](auto& b) { b.AddElement(Field(3), op.code, 0); }));
      ops.push_back(WriteOp(op, static_cast<uint32_t>(codes.size() - 1)));
    }
    const auto inputs = builder_.CreateVector(std::vector<int32_t>{input});
    const auto outputs = builder_.CreateVector(std::vector<int32_t>{output});
    const auto tensor_list = builder_.CreateVector(tensors);
    const auto op_list = builder_.CreateVector(ops);
    const Void graph = Table([&](auto& b) {
      b.AddOffset(Field(0), tensor_list);
      b.AddOffset(Field(1), inputs);
      b.AddOffset(Field(2), outputs);
      b.AddOffset(Field(3), op_list);
    });
    const auto graphs = builder_.CreateVector(std::vector<Void>{graph});
    const auto code_list = builder_.CreateVector(codes);
    const auto buffer_list = builder_.CreateVector(buffers);
    const Void model = Table([&](auto& b) {
      b.AddElement(Field(0), uint32_t{3}, uint32_t{0});
      b.AddOffset(Field(1), code_list);
      b.AddOffset(Field(2), graphs);
      b.AddOffset(Field(4), buffer_list);
    });
    builder_.Finish(model, "TFL3");
    return {reinterpret_cast<const char*>(builder_.GetBufferPointer()), builder_.GetSize()};
  }

 private:
  template <typename Fill>
  Void Table(Fill&& fill) {
    const auto start = builder_.StartTable();
    fill(builder_);
    return Void(builder_.EndTable(start));
  }

  Void WriteTensor(const Tensor& tensor, std::vector<Void>& buffers) {
    uint32_t buffer = 0;
    if (!tensor.data.empty()) {
      const auto bytes = builder_.CreateVector(reinterpret_cast<const uint8_t*>(tensor.data.data()),
                                               tensor.data.size());
      buffers.push_back(Table([&](auto& b) { b.AddOffset(Field(0), bytes); }));
      buffer = static_cast<uint32_t>(buffers.size() - 1);
    }
    const auto scales = builder_.CreateVector(tensor.scales);
    const auto zeros =
        builder_.CreateVector(std::vector<int64_t>(tensor.scales.size(), tensor.zero));
    const Void quantisation = Table([&](auto& b) {
      b.AddOffset(Field(2), scales);
      b.AddOffset(Field(3), zeros);
      b.AddElement(Field(6), tensor.axis, 0);
    });
    const auto shape = builder_.CreateVector(tensor.shape);
    return Table([&](auto& b) {
      b.AddOffset(Field(0), shape);
      b.AddElement(Field(1), tensor.type, int8_t{0});
      b.AddElement(Field(2), buffer, uint32_t{0});
      b.AddOffset(Field(4), quantisation);
    });
  }

  Void WriteOp(const Op& op, uint32_t code) {
    const auto inputs = builder_.CreateVector(op.inputs);
    const auto outputs = builder_.CreateVector(op.outputs);
    const Void options = Table([&](auto& b) {
      if (op.options) op.options(b);
    });
    return Table([&](auto& b) {
      b.AddElement(Field(0), code, uint32_t{0});
      b.AddOffset(Field(1), inputs);
      b.AddOffset(Field(2), outputs);
      b.AddOffset(Field(4), options);
    });
  }

  FlatBufferBuilder builder_;
  std::vector<Tensor> tensors_;
  std::vector<Op> ops_;
};

std::mt19937& Random() {
  static std::mt19937 random(7);
  return random;
}

std::string RandomBytes(size_t count) {
  std::uniform_int_distribution<int> byte(-127, 127);
  std::string out;
  for (size_t i = 0; i < count; ++i) out += static_cast<char>(byte(Random()));
  return out;
}

std::string Int32s(const std::vector<int32_t>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * 4};
}

// conv 3x3 stride 2 "same" relu6 -> depthwise 3x3 "same" relu6 -> conv 1x1 -> + depthwise's
// -> mean over the picture -> dense -> softmax
struct Network {
  std::string stem = RandomBytes(kChannels * 3 * 3 * 3);
  std::string depthwise = RandomBytes(3 * 3 * kChannels);
  std::string point = RandomBytes(kChannels * kChannels);
  std::string dense = RandomBytes(kClasses * kChannels);
  std::vector<float> stem_scales = {0.01F, 0.012F, 0.008F, 0.011F};
  std::vector<float> depthwise_scales = {0.006F, 0.005F, 0.004F, 0.007F};
  std::vector<float> point_scales = {0.004F, 0.005F, 0.003F, 0.004F};
  float dense_scale = 0.02F;
  std::vector<int32_t> stem_bias = {100, -50, 200, 0}, depthwise_bias = {10, 20, -30, 40};
  std::vector<int32_t> point_bias = {5, -5, 0, 7}, dense_bias = {3, 1, -4, 1, -5};
  std::vector<float> bias_scales = std::vector<float>(kChannels, 0.001F);

  static constexpr float kActive = 6.0F / 255, kSum = 0.1F;
  static constexpr int kHalf = (kSide + 1) / 2;

  static auto Conv(int8_t activation, int32_t stride) {
    return [=](FlatBufferBuilder& b) {
      b.AddElement(Field(1), stride, 1);
      b.AddElement(Field(2), stride, 1);
      b.AddElement(Field(3), activation, int8_t{0});
    };
  }

  std::string Write() const {
    TfliteWriter out;
    const std::vector<int32_t> half = {1, kHalf, kHalf, kChannels}, one = {kChannels};
    const int32_t image = out.Add({{1, kSide, kSide, 3}, 3, "", {1.0F / 64}, 127});
    const int32_t input = out.Add({{1, kSide, kSide, 3}, 9, "", {1.0F / 64}, -1});
    const int32_t w1 = out.Add({{kChannels, 3, 3, 3}, 9, stem, stem_scales});
    const int32_t b1 = out.Add({one, 2, Int32s(stem_bias), bias_scales});
    const int32_t t1 = out.Add({half, 9, "", {kActive}, -128});
    const int32_t w2 = out.Add({{1, 3, 3, kChannels}, 9, depthwise, depthwise_scales, 0, 3});
    const int32_t b2 = out.Add({one, 2, Int32s(depthwise_bias), bias_scales});
    const int32_t t2 = out.Add({half, 9, "", {kActive}, -128});
    const int32_t w3 = out.Add({{kChannels, 1, 1, kChannels}, 9, point, point_scales});
    const int32_t b3 = out.Add({one, 2, Int32s(point_bias), bias_scales});
    const int32_t t3 = out.Add({half, 9, "", {kSum}, 0});
    const int32_t t4 = out.Add({half, 9, "", {kSum}, 0});
    const int32_t t5 = out.Add({{1, 1, 1, kChannels}, 9, "", {kSum}, 0});
    const int32_t shape = out.Add({{2}, 2, Int32s({1, kChannels}), {}});
    const int32_t t6 = out.Add({{1, kChannels}, 9, "", {kSum}, 0});
    const int32_t w7 = out.Add({{kClasses, kChannels}, 9, dense, {dense_scale}});
    const int32_t b7 = out.Add({{kClasses}, 2, Int32s(dense_bias), {0.001F}});
    const int32_t t7 = out.Add({{1, kClasses}, 9, "", {0.1F}, 0});
    const int32_t t8 = out.Add({{1, kClasses}, 9, "", {1.0F / 256}, -128});
    out.Add({114, {image}, {input}, nullptr});
    out.Add({3, {input, w1, b1}, {t1}, Conv(3, 2)});
    out.Add({4, {t1, w2, b2}, {t2}, [](FlatBufferBuilder& b) {
               b.AddElement(Field(1), 1, 0);
               b.AddElement(Field(2), 1, 0);
               b.AddElement(Field(4), int8_t{3}, int8_t{0});
             }});
    out.Add({3, {t2, w3, b3}, {t3}, Conv(0, 1)});
    out.Add({0, {t3, t2}, {t4}, nullptr});
    out.Add({1, {t4}, {t5}, [](FlatBufferBuilder& b) {
               b.AddElement(Field(0), int8_t{1}, int8_t{0});
               b.AddElement(Field(3), int32_t{kHalf}, 0);
               b.AddElement(Field(4), int32_t{kHalf}, 0);
             }});
    out.Add({22, {t5, shape}, {t6}, nullptr});
    out.Add({9, {t6, w7, b7}, {t7}, nullptr});
    out.Add({25, {t7}, {t8}, [](FlatBufferBuilder& b) { b.AddElement(Field(0), 1.0F, 0.0F); }});
    return out.Finish(image, t8);
  }

  // The picture's features and probabilities in float, in TensorFlow's order of elements.
  std::pair<std::vector<float>, std::vector<float>> Compute(const std::string& rgb) const {
    std::vector<float> in;
    for (char byte : rgb)
      in.push_back((static_cast<float>(static_cast<uint8_t>(byte)) - 127) / 128);
    // 7 pixels in steps of 2 with a filter of 3: 9 are needed, one more on each side.
    std::vector<float> a(kHalf * kHalf * kChannels), b = a, c = a;
    for (int y = 0; y < kHalf; ++y) {
      for (int x = 0; x < kHalf; ++x) {
        for (int o = 0; o < kChannels; ++o) {
          float sum = bias_scales[o] * static_cast<float>(stem_bias[o]);
          for (int ky = 0; ky < 3; ++ky) {
            for (int kx = 0; kx < 3; ++kx) {
              const int sy = 2 * y + ky - 1, sx = 2 * x + kx - 1;
              if (sy < 0 || sx < 0 || sy >= kSide || sx >= kSide) continue;
              for (int i = 0; i < 3; ++i) {
                sum += in[(sy * kSide + sx) * 3 + i] * stem_scales[o] *
                       static_cast<float>(stem[((o * 3 + ky) * 3 + kx) * 3 + i]);
              }
            }
          }
          a[(y * kHalf + x) * kChannels + o] = std::clamp(sum, 0.0F, 6.0F);
        }
      }
    }
    for (int y = 0; y < kHalf; ++y) {
      for (int x = 0; x < kHalf; ++x) {
        for (int o = 0; o < kChannels; ++o) {
          float sum = bias_scales[o] * static_cast<float>(depthwise_bias[o]);
          for (int ky = 0; ky < 3; ++ky) {
            for (int kx = 0; kx < 3; ++kx) {
              const int sy = y + ky - 1, sx = x + kx - 1;
              if (sy < 0 || sx < 0 || sy >= kHalf || sx >= kHalf) continue;
              sum += a[(sy * kHalf + sx) * kChannels + o] * depthwise_scales[o] *
                     static_cast<float>(depthwise[(ky * 3 + kx) * kChannels + o]);
            }
          }
          b[(y * kHalf + x) * kChannels + o] = std::clamp(sum, 0.0F, 6.0F);
        }
      }
    }
    std::vector<float> features(kChannels, 0.0F), out(kClasses);
    for (int p = 0; p < kHalf * kHalf; ++p) {
      for (int o = 0; o < kChannels; ++o) {
        float sum = bias_scales[o] * static_cast<float>(point_bias[o]);
        for (int i = 0; i < kChannels; ++i) {
          sum +=
              b[p * kChannels + i] * point_scales[o] * static_cast<float>(point[o * kChannels + i]);
        }
        features[o] += (sum + b[p * kChannels + o]) / (kHalf * kHalf);
      }
    }
    float total = 0;
    for (int o = 0; o < kClasses; ++o) {
      float sum = 0.001F * static_cast<float>(dense_bias[o]);
      for (int i = 0; i < kChannels; ++i) {
        sum += features[i] * dense_scale * static_cast<float>(dense[o * kChannels + i]);
      }
      total += out[o] = std::exp(sum);
    }
    for (float& value : out) value /= total;
    return {features, out};
  }
};

std::vector<FloatTensor> RunConverted(const std::string& tflite, bool quantised,
                                      const std::string& pictures) {
  const TemporaryDirectory folder;
  const auto model = ReadTflite(tflite);
  EXPECT_TRUE(model.ok()) << model.message();
  const auto onnx = TfliteToOnnx(*model, {127, 128, quantised});
  EXPECT_TRUE(onnx.ok()) << onnx.message();
  EXPECT_TRUE(WriteFileAtomically(folder.path() + "/m.onnx", *onnx).ok());
  const auto session = Session::Open(folder.path() + "/m.onnx", {TestRuntime(), "cpu", 1});
  EXPECT_TRUE(session.ok()) << session.message();
  const auto count = static_cast<int64_t>(pictures.size() / (kSide * kSide * 3));
  const TensorView input{
      "image", TensorView::Type::kUint8, {count, kSide, kSide, 3}, pictures.data()};
  auto outputs = (*session)->Run({&input, 1}, {"features", "probabilities"});
  EXPECT_TRUE(outputs.ok()) << outputs.message();
  return *outputs;
}

void ExpectNear(const std::vector<float>& values, size_t row, const std::vector<float>& expected,
                float tolerance) {
  for (size_t i = 0; i < expected.size(); ++i) {
    EXPECT_NEAR(values[row * expected.size() + i], expected[i], tolerance) << "element " << i;
  }
}

TEST(TfliteToOnnx, ComputesTheSameInFloatForEveryPictureOfABatch) {
  const Network network;
  const std::string one = RandomBytes(kSide * kSide * 3), two = RandomBytes(kSide * kSide * 3);
  const auto outputs = RunConverted(network.Write(), false, one + two);
  for (size_t row = 0; row < 2; ++row) {
    const auto [features, probabilities] = network.Compute(row == 0 ? one : two);
    ExpectNear(outputs[0].values, row, features, 1e-4F);
    ExpectNear(outputs[1].values, row, probabilities, 1e-5F);
  }
}

TEST(TfliteToOnnx, StaysWithinTheQuantisationWithIntegerWeights) {
  const Network network;
  const std::string picture = RandomBytes(kSide * kSide * 3);
  const auto outputs = RunConverted(network.Write(), true, picture);
  const auto [features, probabilities] = network.Compute(picture);
  ExpectNear(outputs[0].values, 0, features, Network::kSum);
  ExpectNear(outputs[1].values, 0, probabilities, 0.05F);
}

TEST(TfliteToOnnx, NamesAnOperatorThatItDoesntKnow) {
  TfliteWriter out;
  const int32_t in = out.Add({{1, kSide, kSide, 3}, 3, "", {0.01F}, 0});
  const int32_t to = out.Add({{1, kSide, kSide, 3}, 9, "", {0.01F}, 0});
  out.Add({32, {in}, {to}, nullptr});
  const auto model = ReadTflite(out.Finish(in, to));
  ASSERT_TRUE(model.ok()) << model.message();
  const auto onnx = TfliteToOnnx(*model, {});
  ASSERT_FALSE(onnx.ok());
  EXPECT_EQ(onnx.code(), Code::kUnsupported);
  EXPECT_NE(onnx.message().find("operator 32"), std::string::npos) << onnx.message();
}

TEST(ReadTflite, RefusesWhatIsCutOff) {
  const std::string whole = Network().Write();
  EXPECT_EQ(ReadTflite("").code(), Code::kCorrupt);
  EXPECT_EQ(ReadTflite("not a model at all").code(), Code::kCorrupt);
  EXPECT_EQ(ReadTflite(whole.substr(0, whole.size() / 2)).code(), Code::kCorrupt);
}

// Sanitizer builds make this test sharp; here it shows that no damage is more than an error.
TEST(ReadTflite, SurvivesAnyDamage) {
  const std::string whole = Network().Write();
  std::mt19937 random(11);
  size_t refused = 0;
  for (int round = 0; round < 20000; ++round) {
    std::string damaged = whole;
    const size_t changes = 1 + random() % 4;
    for (size_t i = 0; i < changes; ++i) {
      damaged[random() % damaged.size()] = static_cast<char>(round % 3 == 0 ? 0xFF : random());
    }
    if (round % 10 == 0) damaged.resize(random() % damaged.size());
    const auto model = ReadTflite(damaged);
    if (!model.ok() || !TfliteToOnnx(*model, {}).ok()) ++refused;
  }
  EXPECT_GT(refused, 1000U);
}

}  // namespace
}  // namespace msearch::embedding
