#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <random>

#include "base/file.h"
#include "embedding/onnx_writer.h"
#include "embedding/test_models.h"
#include "embedding/yamnet_mel.h"

// Packs with small random networks, pulled from a folder and held against a plain computation here:
// a linear layer with a sigmoid over the patches, or over the samples themselves.

namespace msearch::embedding {
namespace {

using testing::HasSubstr;

constexpr char kClasses[] =
    "index,mid,display_name\n0,/m/a,Speech\n1,/m/b,\"Dog, barking\"\n2,/m/c,Rain\n";
constexpr size_t kClassCount = 3;

std::vector<float> RandomFloats(size_t count, float deviation, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0, deviation);
  std::vector<float> out(count);
  for (float& value : out) value = normal(random);
  return out;
}

float Sigmoid(double value) { return static_cast<float>(1 / (1 + std::exp(-value))); }

class Yamnet : public testing::Test {
 protected:
  Yamnet() {
    std::filesystem::create_directories(folder_.path() + "/manifests");
    std::filesystem::create_directories(folder_.path() + "/source");
    Write("source/classes.csv", kClasses);
  }

  void Write(const std::string& name, const std::string& bytes) {
    ASSERT_TRUE(WriteFileAtomically(folder_.path() + "/" + name, bytes).ok());
  }

  // A model over patches of this shape; without the sigmoid its scores are no probabilities.
  void WritePatchModel(const std::vector<int64_t>& shape, bool sigmoid = true) {
    OnnxWriter writer;
    const int64_t rows = shape[0];
    writer.AddInput("patches", OnnxType::kFloat, shape);
    writer.AddOutput("embeddings", OnnxType::kFloat, std::vector<int64_t>{rows, 6144});
    writer.AddOutput("scores", OnnxType::kFloat, std::vector<int64_t>{rows, kClassCount});
    writer.AddFloats("w", std::vector<int64_t>{6144, kClassCount}, patch_weights_);
    writer.AddNode("Flatten", {"patches"}, "embeddings", {{"axis", int64_t{1}}});
    writer.AddNode("MatMul", {"embeddings", "w"}, sigmoid ? "sums" : "scores");
    if (sigmoid) writer.AddNode("Sigmoid", {"sums"}, "scores");
    Write("source/model.onnx", writer.Finish());
  }

  // A model over samples, which looks at each 15,600 of them every 7,680.
  void WriteSampleModel(const std::vector<int64_t>& shape) {
    OnnxWriter writer;
    writer.AddInput("waveform", OnnxType::kFloat, shape);
    writer.AddOutput("scores", OnnxType::kFloat, std::vector<int64_t>{1, -2, kClassCount});
    writer.AddFloats("w", std::vector<int64_t>{kClassCount, 1, 15600}, sample_weights_);
    writer.AddInt64s("wide", std::vector<int64_t>{1, 1, -1});
    writer.AddNode("Reshape", {"waveform", "wide"}, "samples");
    writer.AddNode(
        "Conv", {"samples", "w"}, "sums",
        {{"kernel_shape", std::vector<int64_t>{15600}}, {"strides", std::vector<int64_t>{7680}}});
    writer.AddNode("Transpose", {"sums"}, "rows", {{"perm", std::vector<int64_t>{0, 2, 1}}});
    writer.AddNode("Sigmoid", {"rows"}, "scores");
    Write("source/model.onnx", writer.Finish());
  }

  Result<std::unique_ptr<SoundTagger>> Load() {
    const Json files = Json::array({{{"name", "model.onnx"}}, {{"name", "classes.csv"}}});
    Write("manifests/pack.json",
          DumpJson({{"name", "pack"}, {"kind", "yamnet"}, {"files", files}}));
    std::filesystem::remove_all(folder_.path() + "/models");
    const ModelPacks packs(
        {folder_.path() + "/manifests", folder_.path() + "/models", TestRuntime()});
    TRY(packs.Pull("pack", folder_.path() + "/source", {}));
    return packs.LoadSoundTagger("pack", {"cpu", 1});
  }
  std::string Fault() {
    const auto loaded = Load();
    EXPECT_FALSE(loaded.ok());
    return loaded.ok() ? "" : loaded.message();
  }

  std::vector<HeardWindow> Tag(const std::vector<float>& samples, float probability_min,
                               size_t piece_size = 50000) {
    auto loaded = Load();
    EXPECT_TRUE(loaded.ok()) << loaded.message();
    if (!loaded.ok()) return {};
    size_t at = 0;
    const auto windows = (*loaded)->Tag(
        [&]() -> Result<std::vector<float>> {
          const size_t end = std::min(samples.size(), at + piece_size);
          std::vector<float> piece(samples.begin() + static_cast<ptrdiff_t>(at),
                                   samples.begin() + static_cast<ptrdiff_t>(end));
          at = end;
          return piece;
        },
        probability_min);
    EXPECT_TRUE(windows.ok()) << windows.message();
    return windows.ok() ? *windows : std::vector<HeardWindow>();
  }

  // Scores of each patch of the whole recording, by class.
  std::vector<std::vector<float>> PatchScores(const std::vector<float>& samples, bool by_patches) {
    const size_t patches = YamnetMel::PatchesOf(samples.size());
    const std::vector<float> mel = YamnetMel().Compute(samples);
    std::vector<float> padded = samples;
    padded.resize(YamnetMel::SamplesOf(patches));
    std::vector<std::vector<float>> scores(patches, std::vector<float>(kClassCount));
    for (size_t patch = 0; patch < patches; ++patch) {
      for (size_t one = 0; one < kClassCount; ++one) {
        double sum = 0;
        if (by_patches) {
          for (size_t i = 0; i < 6144; ++i) {
            sum += double{mel[patch * 6144 + i]} * patch_weights_[i * kClassCount + one];
          }
        } else {
          for (size_t i = 0; i < 15600; ++i) {
            sum += double{padded[patch * 7680 + i]} * sample_weights_[one * 15600 + i];
          }
        }
        scores[patch][one] = Sigmoid(sum);
      }
    }
    return scores;
  }

  // Every window with every class's mean.
  void ExpectScores(const std::vector<HeardWindow>& windows, const std::vector<float>& samples,
                    bool by_patches) {
    const auto scores = PatchScores(samples, by_patches);
    ASSERT_EQ(windows.size(), (scores.size() + 4) / 5);
    const std::vector<std::string> names = {"Speech", "Dog, barking", "Rain"};
    for (size_t window = 0; window < windows.size(); ++window) {
      const size_t end = std::min(scores.size(), window * 5 + 5);
      ASSERT_EQ(windows[window].tags.size(), kClassCount);
      for (size_t one = 0; one < kClassCount; ++one) {
        float mean = 0;
        for (size_t patch = window * 5; patch < end; ++patch) mean += scores[patch][one];
        mean /= static_cast<float>(end - window * 5);
        for (const SoundTag& tag : windows[window].tags) {
          if (tag.name != names[one]) continue;
          EXPECT_NEAR(tag.probability, mean, 1e-3) << "window " << window << ", " << tag.name;
        }
      }
    }
  }

  TemporaryDirectory folder_;
  const std::vector<float> patch_weights_ = RandomFloats(6144 * kClassCount, 0.003F, 1);
  const std::vector<float> sample_weights_ = RandomFloats(15600 * kClassCount, 0.1F, 2);
  const std::vector<float> recording_ = RandomFloats(16000 * 13 / 2, 0.1F, 3);  // 6.5 s
};

TEST_F(Yamnet, ScoresPatchesOfTheFrontEnd) {
  WritePatchModel({-1, 96, 64});
  const auto windows = Tag(recording_, 0);
  ExpectScores(windows, recording_, true);
  ASSERT_EQ(windows.size(), 3U);
  EXPECT_DOUBLE_EQ(windows[1].start, 2.4);
  EXPECT_DOUBLE_EQ(windows[1].end, 4.8);
  EXPECT_DOUBLE_EQ(windows[2].end, 6.5);
}

TEST_F(Yamnet, ScoresSamplesWhereTheModelTakesThem) {
  WriteSampleModel({-1});
  ExpectScores(Tag(recording_, 0), recording_, false);
  WriteSampleModel({1, -1});
  ExpectScores(Tag(recording_, 0), recording_, false);
}

TEST_F(Yamnet, GivesModelsThatTakeOnePatchOneAtATime) {
  for (const std::vector<int64_t>& shape :
       {std::vector<int64_t>{1, 96, 64}, {1, 1, 96, 64}, {1, 96, 64, 1}}) {
    WritePatchModel(shape);
    ExpectScores(Tag(recording_, 0), recording_, true);
  }
  WriteSampleModel({15600});
  ExpectScores(Tag(recording_, 0), recording_, false);
}

TEST_F(Yamnet, HearsTheSameInPiecesOfAnySize) {
  WritePatchModel({-1, 96, 64});
  for (size_t size : {999U, 46320U, 1000000U}) {
    ExpectScores(Tag(recording_, 0, size), recording_, true);
  }
}

TEST_F(Yamnet, TakesRecordingsOfAnyLength) {
  WriteSampleModel({-1});
  EXPECT_TRUE(Tag({}, 0).empty());
  // About the places where another patch and another window begin.
  for (size_t count : {1U, 15600U, 15601U, 46320U, 46321U, 38400U + 46320U}) {
    const std::vector<float> samples = RandomFloats(count, 0.1F, 4);
    const auto windows = Tag(samples, 0);
    ExpectScores(windows, samples, false);
    EXPECT_DOUBLE_EQ(windows.back().end, static_cast<double>(count) / 16000);
  }
}

TEST_F(Yamnet, KeepsTagsThatAreLikelyEnoughLikeliestFirst) {
  WritePatchModel({-1, 96, 64});
  const auto all = Tag(recording_, 0);
  ASSERT_EQ(all.size(), 3U);
  for (const HeardWindow& window : all) {
    EXPECT_GE(window.tags[0].probability, window.tags[1].probability);
    EXPECT_GE(window.tags[1].probability, window.tags[2].probability);
  }
  const float second = all[0].tags[1].probability;
  const auto some = Tag(recording_, second);
  ASSERT_FALSE(some.empty());
  EXPECT_EQ(some[0].tags.size(), 2U);
  EXPECT_TRUE(Tag(recording_, 1.01F).empty());
}

TEST_F(Yamnet, SaysWhatDoesntFit) {
  WritePatchModel({-1, 80, 64});
  EXPECT_THAT(Fault(), HasSubstr("model.onnx: its input is [n, 80, 64], neither samples"));
  WriteSampleModel({16000});
  EXPECT_THAT(Fault(), HasSubstr("its input is [16000]"));
  WritePatchModel({-1, 96, 64}, false);
  EXPECT_THAT(Fault(), HasSubstr("scores that aren't probabilities"));
  WritePatchModel({-1, 96, 64});
  Write("source/classes.csv", "index,mid,display_name\n0,/m/a,Speech\n");
  EXPECT_THAT(Fault(), HasSubstr("no output of 1 scores"));
  Write("source/classes.csv", "Speech\nDog\n");
  EXPECT_THAT(Fault(), HasSubstr("classes.csv: class map: line 1"));
  Write("source/classes.csv", kClasses);
  Write("source/model.onnx", "no model");
  EXPECT_THAT(Fault(), HasSubstr("model.onnx"));
}

}  // namespace
}  // namespace msearch::embedding
