// What sounds sound like, through the real program and a small model of the test's own: it compares
// low and high bands of the spectrum, so that it tells a hum from a whistle.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "embedding/onnx_writer.h"
#include "support/films.h"
#include "system/server.h"

namespace msearch::test {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kFrames = 96;
constexpr int64_t kBands = 64;
constexpr char kClasses[] =
    "index,mid,display_name\n0,/m/a,Silence\n1,/m/b,Hum\n2,/m/c,\"Whistle, shrill\"\n";
constexpr int64_t kClassCount = 3;

// Scores of a patch of logarithms: how much louder the bands around 200 Hz are than those around
// 3 kHz, and the other way round.
std::string HumOrWhistle() {
  constexpr float kScale = 6;
  std::vector<float> weights(static_cast<size_t>(kFrames * kBands * kClassCount));
  for (int64_t frame = 0; frame < kFrames; ++frame) {
    for (int64_t band = 0; band < kBands; ++band) {
      const bool low = band < 8;
      const bool high = band >= 38 && band < 46;
      if (!low && !high) continue;
      const float weight = (low ? kScale : -kScale) / (8 * kFrames);
      const auto at = static_cast<size_t>((frame * kBands + band) * kClassCount);
      weights[at + 1] = weight;
      weights[at + 2] = -weight;
    }
  }
  embedding::OnnxWriter writer;
  writer.AddInput("patches", embedding::OnnxType::kFloat,
                  std::vector<int64_t>{-1, kFrames, kBands});
  writer.AddOutput("scores", embedding::OnnxType::kFloat, std::vector<int64_t>{-1, kClassCount});
  writer.AddFloats("w", std::vector<int64_t>{kFrames * kBands, kClassCount}, weights);
  writer.AddFloats("b", std::vector<int64_t>{kClassCount}, std::vector<float>{-9, -3, -3});
  writer.AddNode("Flatten", {"patches"}, "flat", {{"axis", int64_t{1}}});
  writer.AddNode("MatMul", {"flat", "w"}, "sums");
  writer.AddNode("Add", {"sums", "b"}, "biased");
  writer.AddNode("Sigmoid", {"biased"}, "scores");
  return writer.Finish();
}

TEST(Sounds, AreFoundByWhatTheySoundLikeWithTheirTimes) {
  const Json manifest = {{"name", "yamnet"},
                         {"kind", "yamnet"},
                         {"title", "Hum or whistle"},
                         {"licence", "Apache-2.0"},
                         {"files", {{{"name", "model.onnx"}}, {{"name", "classes.csv"}}}}};
  const Installed installed({{"yamnet", manifest}});
  const TemporaryDirectory folder;
  const std::string source = folder.path() + "/source";
  fs::create_directories(source);
  ASSERT_TRUE(WriteFileAtomically(source + "/model.onnx", HumOrWhistle()).ok());
  ASSERT_TRUE(WriteFileAtomically(source + "/classes.csv", kClasses).ok());
  setenv("MSEARCH_MODEL_DIRECTORY", (folder.path() + "/models").c_str(), 1);
  setenv("MSEARCH_READING_SPEECH", "off", 1);
  setenv("MSEARCH_READING_TEXT", "off", 1);
  setenv("MSEARCH_READING_SOUNDS", "on", 1);
  const CommandResult pulled = RunMsearch({"model", "pull", "yamnet", "--source", source});
  ASSERT_EQ(pulled.status, 0) << pulled.out << pulled.err;

  Server server;
  fs::create_directories(server.files());
  const auto write = [&](const std::string& name, const std::string& arguments) {
    const std::string bytes = MadeByFfmpeg(arguments, name.substr(name.rfind('.') + 1));
    ASSERT_TRUE(WriteFileAtomically(server.files() + "/" + name, bytes).ok());
  };
  write("a.wav",
        "-f lavfi -i sine=200:d=9.6 -f lavfi -i sine=3000:d=9.6 -filter_complex "
        "[0][1]concat=n=2:v=0:a=1");
  write("b.mp4",
        "-f lavfi -i testsrc=s=160x90:r=10:d=8 -f lavfi -i sine=3000:d=8 -c:v libx264 "
        "-preset ultrafast -c:a aac");
  write("c.wav", "-f lavfi -i anullsrc=r=16000:cl=mono -t 10");
  ASSERT_TRUE(server.Start()) << server.log();
  server.AddRoot();
  ASSERT_TRUE(server.AwaitIdle());
  EXPECT_THAT(server.Find("whistle"), testing::UnorderedElementsAre("a.wav", "b.mp4"))
      << server.Get("/api/models").body << server.log();
  EXPECT_THAT(server.Find("hum"), testing::ElementsAre("a.wav"));
  const Json answer = server.Post("/api/search", {{"query", "whistle"}, {"limit", 10}}).json;
  for (const Json& hit : answer.value("hits", Json::array())) {
    if (GetString(hit, "path") != "a.wav" || GetString(hit, "kind") != "heard") continue;
    EXPECT_NEAR(GetDouble(hit, "start_time").value_or(0), 9.6, 2.5) << DumpJson(hit);
    EXPECT_NEAR(GetDouble(hit, "end_time").value_or(0), 19.2, 2.5) << DumpJson(hit);
  }
}

}  // namespace
}  // namespace msearch::test
