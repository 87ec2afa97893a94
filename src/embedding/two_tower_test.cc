#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>

#include "base/file.h"
#include "embedding/onnx_writer.h"
#include "embedding/test_models.h"

// Packs with small random towers, pulled from a folder and held against a plain computation here.

namespace msearch::embedding {
namespace {

constexpr int kSide = 8, kPixels = kSide * kSide, kDimensions = 4, kSize = 6, kTokens = 10;
constexpr float kMean[3] = {0.4F, 0.5F, 0.6F}, kDeviation[3] = {0.2F, 0.25F, 0.3F};

std::vector<float> RandomFloats(size_t count, int seed) {
  std::mt19937 random(static_cast<unsigned>(seed));
  std::normal_distribution<float> normal;
  std::vector<float> out(count);
  for (float& value : out) value = normal(random);
  return out;
}

// rows of `in` values each times [in, out]
std::vector<float> Multiply(const std::vector<float>& vector, const std::vector<float>& matrix,
                            size_t columns) {
  std::vector<float> out(columns, 0.0F);
  for (size_t i = 0; i < vector.size(); ++i) {
    for (size_t j = 0; j < columns; ++j) out[j] += vector[i] * matrix[i * columns + j];
  }
  return out;
}

std::vector<float> Unit(std::vector<float> vector) {
  float sum = 0;
  for (float value : vector) sum += value * value;
  for (float& value : vector) value /= std::sqrt(sum);
  return vector;
}

class TwoTower : public testing::Test {
 protected:
  const std::vector<float> image_weights_ = RandomFloats(3 * kPixels * kDimensions, 1);
  const std::vector<float> embeddings_ = RandomFloats(kTokens * kSize, 2);
  const std::vector<float> text_weights_ = RandomFloats(kSize * kDimensions, 3);

  void WriteImageTower() {
    OnnxWriter writer;
    writer.AddInput("pixel_values", OnnxType::kFloat, std::vector<int64_t>{-1, 3, kSide, kSide});
    writer.AddOutput("image_embeds", OnnxType::kFloat, std::vector<int64_t>{-1, kDimensions});
    writer.AddFloats("w", std::vector<int64_t>{3 * kPixels, kDimensions}, image_weights_);
    writer.AddNode("Flatten", {"pixel_values"}, "flat", {{"axis", int64_t{1}}});
    writer.AddNode("MatMul", {"flat", "w"}, "image_embeds");
    Write("vision.onnx", writer.Finish());
  }

  // `pooled`: the tower itself averages and projects; else it gives every token's state, and also
  // looks at the mask.
  void WriteTextTower(bool pooled) {
    OnnxWriter writer;
    writer.AddInput("input_ids", OnnxType::kInt64, std::vector<int64_t>{-1, -2});
    writer.AddFloats("e", std::vector<int64_t>{kTokens, kSize}, embeddings_);
    if (pooled) {
      writer.AddNode("Gather", {"e", "input_ids"}, "states");
      writer.AddFloats("w", std::vector<int64_t>{kSize, kDimensions}, text_weights_);
      writer.AddNode("ReduceMean", {"states"}, "mean",
                     {{"axes", std::vector<int64_t>{1}}, {"keepdims", int64_t{0}}});
      writer.AddNode("MatMul", {"mean", "w"}, "text_embeds");
      writer.AddOutput("text_embeds", OnnxType::kFloat, std::vector<int64_t>{-1, kDimensions});
    } else {
      writer.AddInput("attention_mask", OnnxType::kInt64, std::vector<int64_t>{-1, -2});
      writer.AddNode("Gather", {"e", "input_ids"}, "raw");
      writer.AddInt64s("last", std::vector<int64_t>{-1});
      writer.AddNode("Unsqueeze", {"attention_mask", "last"}, "wide");
      writer.AddNode("Cast", {"wide"}, "mask", {{"to", int64_t{1}}});
      writer.AddNode("Mul", {"raw", "mask"}, "last_hidden_state");
      writer.AddOutput("last_hidden_state", OnnxType::kFloat, std::vector<int64_t>{-1, -2, kSize});
      WriteProjection();
    }
    Write("text.onnx", writer.Finish());
  }

  // The text weights, transposed: a linear layer's weights are [out, in].
  void WriteProjection() {
    std::vector<float> transposed(text_weights_.size());
    for (size_t i = 0; i < kSize; ++i) {
      for (size_t j = 0; j < kDimensions; ++j) {
        transposed[j * kSize + i] = text_weights_[i * kDimensions + j];
      }
    }
    const std::string header =
        R"({"linear.weight":{"dtype":"F32","shape":[4,6],"data_offsets":[0,96]}})";
    const uint64_t size = header.size();
    std::string file(reinterpret_cast<const char*>(&size), sizeof(size));
    file += header;
    file.append(reinterpret_cast<const char*>(transposed.data()), transposed.size() * 4);
    Write("projection.safetensors", file);
  }

  void WriteTokenizer() {
    const Json vocabulary = {
        {"a", 0},     {"b", 1}, {"a</w>", 2},           {"b</w>", 3},        {"ab</w>", 4},
        {"c</w>", 5}, {"c", 6}, {"<|startoftext|>", 7}, {"<|endoftext|>", 8}};
    Write("tokenizer.json", DumpJson({{"model",
                                       {{"type", "BPE"},
                                        {"end_of_word_suffix", "</w>"},
                                        {"vocab", vocabulary},
                                        {"merges", {"a b</w>"}}}}}));
  }

  void Write(const std::string& name, const std::string& bytes) {
    ASSERT_TRUE(WriteFileAtomically(folder_.path() + "/" + name, bytes).ok());
  }

  std::unique_ptr<Embedder> Load(const Json& text) {
    WriteImageTower();
    WriteTokenizer();
    Json files = Json::array(
        {{{"name", "vision.onnx"}}, {{"name", "text.onnx"}}, {{"name", "tokenizer.json"}}});
    if (text.contains("projection")) files.push_back({{"name", "projection.safetensors"}});
    const Json image = {{"file", "vision.onnx"},    {"input", "pixel_values"},
                        {"output", "image_embeds"}, {"side", kSide},
                        {"fit", "center-crop"},     {"mean", kMean},
                        {"std", kDeviation}};
    Write("small.json",
          DumpJson(
              {{"name", "small"},
               {"kind", "two-tower"},
               {"files", files},
               {"parameters", {{"dimensions", kDimensions}, {"image", image}, {"text", text}}}}));
    const ModelPacks packs({folder_.path(), folder_.path() + "/models", TestRuntime()});
    const auto pulled = packs.Pull("small", folder_.path(), [](const PullProgress&) {});
    EXPECT_TRUE(pulled.ok()) << pulled.message();
    auto loaded = packs.Load("small", {"cpu", 1});
    EXPECT_TRUE(loaded.ok()) << loaded.message();
    return loaded.ok() ? std::move(*loaded) : nullptr;
  }

  std::vector<float> ExpectedText(const std::vector<int>& ids) const {
    std::vector<float> mean(kSize, 0.0F);
    for (int id : ids) {
      for (int i = 0; i < kSize; ++i) {
        mean[i] += embeddings_[id * kSize + i] / static_cast<float>(ids.size());
      }
    }
    return Unit(Multiply(mean, text_weights_, kDimensions));
  }

  static void ExpectNear(const std::vector<float>& values, const std::vector<float>& expected) {
    ASSERT_EQ(values.size(), expected.size());
    for (size_t i = 0; i < values.size(); ++i) EXPECT_NEAR(values[i], expected[i], 1e-5F);
  }

  TemporaryDirectory folder_;
  const Json pooled_ = {{"file", "text.onnx"},
                        {"tokenizer", "tokenizer.json"},
                        {"output", "text_embeds"},
                        {"tokens_max", 6}};
};

TEST_F(TwoTower, PreparesAndEmbedsPicturesAsComputedByHand) {
  WriteTextTower(true);
  const auto model = Load(pooled_);
  ASSERT_NE(model, nullptr);
  std::string pictures;
  std::mt19937 random(4);
  for (int i = 0; i < 2 * kPixels * 3; ++i) pictures += static_cast<char>(random());
  const std::string_view all = pictures;
  const std::vector<ImageInput> inputs = {{all.substr(0, kPixels * 3)}, {all.substr(kPixels * 3)}};
  const auto embedded = model->EmbedPictures(inputs);
  ASSERT_TRUE(embedded.ok()) << embedded.message();
  for (size_t picture = 0; picture < 2; ++picture) {
    std::vector<float> planes(3 * kPixels);
    for (int channel = 0; channel < 3; ++channel) {
      for (int i = 0; i < kPixels; ++i) {
        const auto byte = static_cast<uint8_t>(inputs[picture].rgb[i * 3 + channel]);
        planes[channel * kPixels + i] =
            (static_cast<float>(byte) / 255.0F - kMean[channel]) / kDeviation[channel];
      }
    }
    ExpectNear((*embedded)[picture].views[0], Unit(Multiply(planes, image_weights_, kDimensions)));
  }
}

TEST_F(TwoTower, EmbedsWordsThroughItsTokenizer) {
  WriteTextTower(true);
  const auto model = Load(pooled_);
  ASSERT_NE(model, nullptr);
  const auto probes = model->ProbeWords("ab C");
  ASSERT_TRUE(probes.ok()) << probes.message();
  ASSERT_EQ(probes->size(), 1U);
  EXPECT_EQ((*probes)[0].name, "pictures");
  ExpectNear((*probes)[0].views[0].vector, ExpectedText({7, 4, 5, 8}));
  ExpectNear((*model->ProbeWords("a a a a a a a"))[0].views[0].vector,
             ExpectedText({7, 2, 2, 2, 2, 8}));
}

TEST_F(TwoTower, PadsWhereTheTowerWantsIt) {
  WriteTextTower(true);
  Json text = pooled_;
  text["pad_to"] = 6;
  const auto model = Load(text);
  ASSERT_NE(model, nullptr);
  ExpectNear((*model->ProbeWords("ab"))[0].views[0].vector, ExpectedText({7, 4, 8, 8, 8, 8}));
}

TEST_F(TwoTower, AveragesAndProjectsTokensItself) {
  WriteTextTower(false);
  Json text = pooled_;
  text["output"] = "last_hidden_state";
  text["pooling"] = "mean";
  text["projection"] = "projection.safetensors";
  text["pad_to"] = 6;  // what is padded doesn't count
  const auto model = Load(text);
  ASSERT_NE(model, nullptr);
  ExpectNear((*model->ProbeWords("ab"))[0].views[0].vector, ExpectedText({7, 4, 8}));
}

TEST_F(TwoTower, RefusesWhatItCantDo) {
  WriteTextTower(true);
  const auto model = Load(pooled_);
  ASSERT_NE(model, nullptr);
  const std::string passage = "text";
  EXPECT_EQ(model->EmbedPassages({&passage, 1}).code(), Code::kUnsupported);
  const ImageInput small{"abc"};
  EXPECT_EQ(model->ProbePicture(small).code(), Code::kInvalid);
  EXPECT_EQ(model->ProbeLike({{1, 2}}).code(), Code::kInvalid);
  EXPECT_TRUE(model->ProbeLike({{1, 0, 0, 0}}).ok());
}

TEST_F(TwoTower, SaysThatATowerDoesntFitItsManifest) {
  WriteTextTower(false);  // without the projection its output is too large
  Json text = pooled_;
  text["output"] = "last_hidden_state";
  text["pooling"] = "mean";
  const auto model = Load(text);
  ASSERT_NE(model, nullptr);
  EXPECT_EQ(model->ProbeWords("ab").code(), Code::kInternal);
}

}  // namespace
}  // namespace msearch::embedding
