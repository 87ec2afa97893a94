// Films and sounds, seen from outside: moments, the same recording again, sounds alike, clips.

#include "support/films.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "base/strings.h"
#include "system/server.h"

namespace msearch::test {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

void Write(const std::string& path, const std::string& bytes) {
  std::filesystem::create_directories(std::filesystem::path(path).parent_path());
  std::ofstream(path, std::ios::binary) << bytes;
}

// Notes that follow each other as if by chance, others by another seed.
std::string Music(int seed, int seconds, const std::string& more = "",
                  const char* extension = "flac") {
  auto pitch = [&](const char* length, int salt) {
    return "pow(2\\,floor(24*abs(mod(sin((floor(t/" + std::string(length) + ")+" +
           std::to_string(seed * 1000 + salt) + ")*12.9898)*43758.5453\\,1)))/12)";
  };
  return MadeByFfmpeg("-f lavfi -i \"aevalsrc='0.3*sin(2*PI*t*220*" + pitch("0.7", 0) +
                          ")+0.2*sin(2*PI*t*330*" + pitch("0.45", 500) +
                          ")*exp(-3*mod(t\\,0.45))':s=16000:d=" + std::to_string(seconds) + "\" " +
                          more,
                      extension);
}

struct Found {
  std::string path;
  bool strong = false;
  double start = -1;
  double end = -1;
  std::string reason;
  Json hit;
};

std::vector<Found> FoundBy(const Server& server, const Json& query) {
  const auto answer = server.Post("/api/search", query);
  EXPECT_EQ(answer.status, 200) << answer.body;
  std::vector<Found> found;
  for (const Json& hit : answer.json.value("hits", Json::array())) {
    found.push_back(
        {GetString(hit, "path").value_or(""), GetString(hit, "strength") == "strong",
         GetDouble(hit, "start_time").value_or(-1), GetDouble(hit, "end_time").value_or(-1),
         hit["reasons"].empty() ? "" : GetString(hit["reasons"][0], "kind").value_or(""), hit});
  }
  return found;
}

std::vector<Found> BySound(const Server& server, const std::string& bytes) {
  return FoundBy(server, {{"audio", {{"base64", Base64Encode(bytes)}}}});
}

class Films : public testing::Test {
 protected:
  void Run() {
    ASSERT_TRUE(server_.Start()) << server_.log();
    server_.AddRoot();
    ASSERT_TRUE(server_.AwaitIdle());
  }
  int64_t MediaId(const std::string& path) const {
    for (const Json& media :
         server_.Get("/api/media?limit=1000").json.value("media", Json::array())) {
      if (GetString(media, "path") == path) return GetInt(media, "media_id").value_or(0);
    }
    return 0;
  }
  Server server_;
};

TEST_F(Films, AMomentIsFoundByAPictureOfIt) {
  Write(server_.files() + "/film.mp4",
        MadeByFfmpeg(Scenes({4, 5, 4}) + " -c:v libx264 -preset ultrafast", "mp4"));
  Write(server_.files() + "/other.webm",
        MadeByFfmpeg("-f lavfi -i color=c=purple:s=160x120:d=8 -c:v libvpx", "webm"));
  Run();
  const std::string picture =
      MadeByFfmpeg("-f lavfi -i color=c=darkgreen:s=320x180:d=1 -frames:v 1", "png");
  const auto found =
      FoundBy(server_, {{"image", {{"base64", Base64Encode(picture)}}}, {"limit", 1}});
  ASSERT_FALSE(found.empty());
  EXPECT_EQ(found[0].path, "film.mp4");
  const auto best =
      std::max_element(found.begin(), found.end(), [](const Found& a, const Found& b) {
        return GetDouble(a.hit, "score") < GetDouble(b.hit, "score");
      });
  EXPECT_NEAR(best->start, 9, 0.3);
  EXPECT_NEAR(best->end, 13, 0.3);
  EXPECT_EQ(GetString(best->hit, "kind"), "shot");
  EXPECT_TRUE(best->hit.contains("frame"));
  for (size_t i = 1; i < found.size(); ++i) EXPECT_GT(found[i].start, found[i - 1].start);

  const std::string id = std::to_string(MediaId("film.mp4"));
  const auto media = server_.Get("/api/media/" + id);
  EXPECT_NEAR(GetDouble(media.json, "duration").value_or(0), 13, 0.2);
  EXPECT_EQ(media.json["segments"].size(), 3U);
  const auto strip = server_.Get("/api/media/" + id + "/filmstrip");
  EXPECT_EQ(strip.status, 200);
  EXPECT_TRUE(strip.body.starts_with("\xFF\xD8"));
}

TEST_F(Films, ClipsPlayTheirStretch) {
  Write(server_.files() + "/film.mp4",
        MadeByFfmpeg("-f lavfi -i testsrc=s=160x120:d=20 -f lavfi -i sine=440:d=20 -c:v libx264 "
                     "-preset ultrafast -g 25 -c:a aac",
                     "mp4"));
  Write(server_.files() + "/old.avi",
        MadeByFfmpeg("-f lavfi -i testsrc=s=160x120:d=20 -f lavfi -i sine=440:d=20 -c:v mpeg4 "
                     "-c:a mp2",
                     "avi"));
  Write(server_.files() + "/sound.flac", Music(1, 20));
  Run();
  for (const char* name : {"film.mp4", "old.avi", "sound.flac"}) {
    const std::string route = "/api/media/" + std::to_string(MediaId(name)) + "/clip";
    const auto behind = server_.Get(route + "?start=99999999999");
    EXPECT_EQ(behind.status, 400) << name << behind.body;
    EXPECT_THAT(behind.body, HasSubstr("start is behind the end")) << name;
    const auto clip = server_.Get(route + "?start=6.5&end=10.5");
    ASSERT_EQ(clip.status, 200) << name << clip.body;
    const TemporaryDirectory directory;
    Write(directory.path() + "/clip.mp4", clip.body);
    const std::string told = directory.path() + "/told";
    const std::string command =
        "ffprobe -v error -show_entries format=duration:stream=codec_name "
        "-of csv " +
        directory.path() + "/clip.mp4 > " + told;
    ASSERT_EQ(std::system(command.c_str()), 0) << name;
    const std::string text = *ReadFile(told);
    const bool sound_only = std::string_view(name) == "sound.flac";
    if (!sound_only) {
      EXPECT_THAT(text, HasSubstr("h264")) << name;
    }
    EXPECT_THAT(text, HasSubstr("aac")) << name;
    const double seconds = std::strtod(text.c_str() + text.find("format,") + 7, nullptr);
    EXPECT_NEAR(seconds, 4, 1.1) << name << ": " << text;
    EXPECT_EQ(server_.Get(route + "?start=5&end=4").status, 400);
    EXPECT_EQ(server_.Get(route + "?start=0&end=4000").status, 400);
    EXPECT_EQ(server_.Get(route + "?start=500&end=510").status, 400) << name;
  }
}

TEST_F(Films, ARecordingIsFoundAgainWithItsTime) {
  for (int seed : {1, 2, 3}) {
    Write(server_.files() + "/music-" + std::to_string(seed) + ".flac", Music(seed, 60));
  }
  Write(server_.files() + "/silence.wav",
        MadeByFfmpeg("-f lavfi -i anullsrc=r=16000:cl=mono -t 30", "wav"));
  Run();
  // Ten seconds of it, with noise, encoded anew.
  const TemporaryDirectory directory;
  Write(directory.path() + "/whole.flac", Music(2, 60));
  const std::string excerpt = MadeByFfmpeg(
      "-ss 21.3 -t 10 -i " + directory.path() +
          "/whole.flac -f lavfi -i "
          "anoisesrc=c=pink:d=10:a=0.05:seed=4:r=16000 -filter_complex amix=inputs=2:normalize=0 "
          "-c:a libmp3lame -b:a 64k",
      "mp3");
  const auto found = BySound(server_, excerpt);
  ASSERT_FALSE(found.empty());
  EXPECT_EQ(found[0].path, "music-2.flac");
  EXPECT_TRUE(found[0].strong);
  EXPECT_EQ(found[0].reason, "same_recording");
  EXPECT_NEAR(found[0].start, 21.3, 0.5);
  EXPECT_NEAR(found[0].end, 31.3, 1);
  for (const Found& other : found) {
    EXPECT_EQ(other.reason == "same_recording", other.path == "music-2.flac") << other.path;
    EXPECT_NE(other.path, "silence.wav");
  }
  // Silence is like nothing, silence least of all.
  EXPECT_THAT(BySound(server_, MadeByFfmpeg("-f lavfi -i anullsrc=r=16000:cl=mono -t 15", "wav")),
              IsEmpty());
  // And what is in the library finds its like there.
  const auto like = FoundBy(server_, {{"audio", {{"media_id", MediaId("music-1.flac")}}}});
  for (const Found& other : like) EXPECT_NE(other.path, "music-1.flac");
}

TEST_F(Films, TheCommandLineSearchesBySound) {
  Write(server_.files() + "/music.flac", Music(5, 30));
  Write(server_.files() + "/film.mkv",
        MadeByFfmpeg("-f lavfi -i testsrc=s=160x120:d=20 -f lavfi -i \"aevalsrc='0.4*sin(2*PI*t*"
                     "(300+200*mod(floor(t*2)*7\\,9)))':s=16000:d=20\" -c:v libx264 -preset "
                     "ultrafast -c:a libmp3lame",
                     "mkv"));
  Run();
  const CommandResult result = RunMsearch(
      {"search", "--audio", server_.files() + "/film.mkv", "--server", server_.url(), "--json"});
  ASSERT_EQ(result.status, 0) << result.err;
  const auto answer = ParseJson(result.out);
  ASSERT_TRUE(answer.ok());
  ASSERT_FALSE((*answer)["hits"].empty());
  EXPECT_EQ((*answer)["hits"][0]["path"], "film.mkv");
  EXPECT_EQ((*answer)["hits"][0]["kind"], "sound");
}

}  // namespace
}  // namespace msearch::test
