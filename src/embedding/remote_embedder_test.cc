#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <thread>

#include "embedding/embedding_wire.h"
#include "embedding/model_packs.h"
#include "support/child_main.h"

namespace msearch::embedding {
namespace {

ModelInfo MirrorInfo() {
  ModelInfo info;
  info.name = "mirror";
  info.key = "mirror-1";
  info.views = {{"bytes", 3}, {"text", 1}};
  info.answers_words = true;
  return info;
}

// An embedder that gives back what it gets, and dies or hangs when asked to.
class Mirror : public Embedder {
 public:
  const ModelInfo& info() const override { return info_; }
  const DeviceInfo& device() const override { return device_; }

  Result<std::vector<Embedding>> EmbedPictures(std::span<const ImageInput> pictures) override {
    std::vector<Embedding> out;
    for (const ImageInput& picture : pictures) {
      Embedding embedding;
      embedding.views = {{picture.rgb.begin(), picture.rgb.end()}, {}};
      embedding.labels = {{"cat", 0.75F, {"feline", "animal"}}};
      out.push_back(std::move(embedding));
    }
    return out;
  }
  Result<std::vector<Embedding>> EmbedPassages(std::span<const std::string> passages) override {
    std::vector<Embedding> out;
    for (const std::string& passage : passages) {
      out.push_back({{{}, {static_cast<float>(passage.size())}}, {}});
    }
    return out;
  }
  Result<std::vector<Probe>> ProbeWords(const std::string& words) override {
    if (words == "die") raise(SIGKILL);
    if (words == "hang") pause();
    if (words == "refuse") return Error{Code::kExhausted, "no memory"};
    Probe probe{std::to_string(getpid()),
                {{0, {1, 2, 3}, true, 0.5F, true}, {1, {4}, false, 2, false}},
                {-1, {2, 3}, 0.6F, 0.1F}};
    return std::vector<Probe>{probe, probe};
  }
  Result<std::vector<Probe>> ProbePicture(const ImageInput& picture) override {
    return ProbeLike({{picture.rgb.begin(), picture.rgb.end()}});
  }
  Result<std::vector<Probe>> ProbeLike(const std::vector<std::vector<float>>& views) override {
    return std::vector<Probe>{{"similar", {{0, views[0]}}, {}}};
  }

 private:
  const ModelInfo info_ = MirrorInfo();
  const DeviceInfo device_{"auto", "cpu", "it is a mirror"};
};

std::unique_ptr<Embedder> Remote(const char* role = "mirror", int idle_seconds = 300,
                                 int timeout_ms = 60000) {
  return MakeRemoteEmbedder({{"role", role}, MirrorInfo(), idle_seconds, timeout_ms});
}

pid_t ChildOf(Embedder& model) {
  const auto probes = model.ProbeWords("who are you");
  EXPECT_TRUE(probes.ok()) << probes.message();
  return probes.ok() ? std::stoi((*probes)[0].name) : -1;
}

// Waits until the process is gone, as its parent sees it.
bool Ended(pid_t pid) {
  for (int i = 0; i < 5000; ++i) {
    if (kill(pid, 0) != 0) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return false;
}

TEST(RemoteEmbedder, GivesWhatTheChildsEmbedderGives) {
  const auto model = Remote();
  EXPECT_EQ(model->info().ToJson(), MirrorInfo().ToJson());
  const std::vector<ImageInput> pictures = {{"abc"}, {"xyz"}};
  const auto embedded = model->EmbedPictures(pictures);
  ASSERT_TRUE(embedded.ok()) << embedded.message();
  ASSERT_EQ(embedded->size(), 2U);
  EXPECT_EQ((*embedded)[1].views, (std::vector<std::vector<float>>{{'x', 'y', 'z'}, {}}));
  EXPECT_EQ((*embedded)[0].labels[0].text, "cat");
  EXPECT_EQ((*embedded)[0].labels[0].probability, 0.75F);
  EXPECT_EQ((*embedded)[0].labels[0].generals, (std::vector<std::string>{"feline", "animal"}));
  const std::vector<std::string> passages = {"four", "sixsix"};
  EXPECT_EQ((*model->EmbedPassages(passages))[1].views[1], std::vector<float>{6});
  const ImageInput picture{"abc"};
  EXPECT_EQ((*model->ProbePicture(picture))[0].views[0].vector, (std::vector<float>{97, 98, 99}));
  EXPECT_EQ((*model->ProbeLike({{5, 6}}))[0].views[0].vector, (std::vector<float>{5, 6}));
}

TEST(RemoteEmbedder, CarriesEverythingOfAProbe) {
  const auto probes = Remote()->ProbeWords("words");
  ASSERT_TRUE(probes.ok()) << probes.message();
  ASSERT_EQ(probes->size(), 2U);
  const Probe& probe = (*probes)[1];
  EXPECT_EQ(probe.views[0].vector, (std::vector<float>{1, 2, 3}));
  EXPECT_TRUE(probe.views[0].log);
  EXPECT_TRUE(probe.views[0].divide_by_mean);
  EXPECT_EQ(probe.views[0].weight, 0.5F);
  EXPECT_EQ(probe.views[1].view, 1U);
  EXPECT_EQ(probe.calibration.slopes, (std::vector<float>{2, 3}));
  EXPECT_EQ(probe.calibration.bias, -1);
  EXPECT_EQ(probe.calibration.strong, 0.6F);
  EXPECT_EQ(probe.calibration.weak, 0.1F);
}

TEST(RemoteEmbedder, KnowsTheDeviceOnceTheChildAnswered) {
  const auto model = Remote();
  EXPECT_EQ(model->device().used, "");
  ChildOf(*model);
  EXPECT_EQ(model->device().used, "cpu");
  EXPECT_EQ(model->device().reason, "it is a mirror");
}

TEST(RemoteEmbedder, ReportsACrashAndStartsANewChild) {
  const auto model = Remote();
  const pid_t first = ChildOf(*model);
  EXPECT_EQ(model->ProbeWords("die").code(), Code::kCrashed);
  EXPECT_NE(ChildOf(*model), first);
}

TEST(RemoteEmbedder, EndsAChildThatHangs) {
  // The time counts for the start of a child as well.
  const auto model = Remote("mirror", 300, 3000);
  const pid_t first = ChildOf(*model);
  EXPECT_EQ(model->ProbeWords("hang").code(), Code::kTimeout);
  EXPECT_TRUE(Ended(first));
  EXPECT_NE(ChildOf(*model), first);
}

TEST(RemoteEmbedder, DoesntBlameARequestForAChildThatDiedBefore) {
  const auto model = Remote();
  const pid_t first = ChildOf(*model);
  kill(first, SIGKILL);
  // A signal takes its time; the request comes after the death.
  siginfo_t info{};
  ASSERT_EQ(waitid(P_PID, static_cast<id_t>(first), &info, WEXITED | WNOWAIT), 0);
  EXPECT_NE(ChildOf(*model), first);
}

TEST(RemoteEmbedder, PassesErrorsOnAndKeepsTheChild) {
  const auto model = Remote();
  const pid_t first = ChildOf(*model);
  const auto refused = model->ProbeWords("refuse");
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.code(), Code::kExhausted);
  EXPECT_EQ(refused.message(), "no memory");
  EXPECT_EQ(ChildOf(*model), first);
}

TEST(RemoteEmbedder, EndsTheChildWhenItIsIdle) {
  const auto model = Remote("mirror", 0);
  EXPECT_TRUE(Ended(ChildOf(*model)));
  EXPECT_GT(ChildOf(*model), 0);
}

TEST(RemoteEmbedder, OutlivesTheThreadThatUsedItFirst) {
  const auto model = Remote();
  pid_t first = -1;
  std::thread([&] { first = ChildOf(*model); }).join();
  EXPECT_EQ(ChildOf(*model), first);
}

TEST(RemoteEmbedder, TellsWhyTheModelCouldntBeLoaded) {
  const auto model = Remote("broken");
  for (int i = 0; i < 2; ++i) {
    const auto probes = model->ProbeWords("words");
    ASSERT_FALSE(probes.ok());
    EXPECT_EQ(probes.code(), Code::kCorrupt);
    EXPECT_EQ(probes.message(), "model: damaged");
  }
}

TEST(RemoteEmbedder, RefusesAChildOfAnotherModel) {
  ModelInfo other = MirrorInfo();
  other.key = "mirror-2";
  const auto model = MakeRemoteEmbedder({{"role", "mirror"}, other});
  EXPECT_EQ(model->ProbeWords("words").code(), Code::kStale);
}

TEST(EmbeddingWire, RefusesBrokenFrames) {
  Frame frame = ToFrame(std::vector<Embedding>{{{{1, 2}, {3}}, {}}});
  EXPECT_TRUE(EmbeddingsFromFrame(frame).ok());
  frame.head["embeddings"][0]["sizes"] = {2, 5};
  EXPECT_EQ(EmbeddingsFromFrame(frame).code(), Code::kCorrupt);
  frame.head["embeddings"][0]["sizes"] = {2};
  EXPECT_EQ(EmbeddingsFromFrame(frame).code(), Code::kCorrupt);
  frame.parts.clear();
  EXPECT_EQ(EmbeddingsFromFrame(frame).code(), Code::kCorrupt);
  EXPECT_EQ(ProbesFromFrame({}).code(), Code::kCorrupt);
  EXPECT_EQ(FromPart("abc").code(), Code::kCorrupt);
}

int RunMirror() { return ServeEmbedder(std::unique_ptr<Embedder>(std::make_unique<Mirror>())); }
int RunBroken() { return ServeEmbedder(Error{Code::kCorrupt, "model: damaged"}); }

}  // namespace
}  // namespace msearch::embedding

int main(int argc, char** argv) {
  return msearch::test::Main(
      argc, argv,
      {{"mirror", msearch::embedding::RunMirror}, {"broken", msearch::embedding::RunBroken}});
}
