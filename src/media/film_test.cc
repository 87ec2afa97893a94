// Films and sounds in every container, made by the ffmpeg program and decoded in this process.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

#include "media/codec.h"
#include "media/decoder.h"
#include "media/encode.h"
#include "support/films.h"
#include "support/memory_file.h"
#include "support/pictures.h"
#include "support/prepare_bytes.h"

namespace msearch::media {
namespace {

using test::MadeByFfmpeg;
using test::Scenes;
using testing::HasSubstr;

struct Opened {
  explicit Opened(std::string_view bytes, std::string_view name = "film")
      : fd(test::MemoryFile(bytes)), head(bytes.substr(0, MediaSource::kHeadBytes)) {
    source.fd = fd.get();
    source.size = bytes.size();
    source.name = name;
    source.head = head;
  }
  Fd fd;
  std::string head;
  MediaSource source;
};

PrepareOptions Options() {
  PrepareOptions options;
  options.pixels = {32, 32, PixelsWanted::Fit::kStretch};
  return options;
}

Result<Prepared> Prepare(std::string_view bytes, const PrepareOptions& options = Options()) {
  const Opened opened(bytes);
  return PrepareMedia(opened.source, options);
}

std::vector<Segment> OfKind(const Prepared& prepared, SegmentKind kind) {
  std::vector<Segment> found;
  for (const Segment& segment : prepared.segments) {
    if (segment.kind == kind) found.push_back(segment);
  }
  return found;
}

std::vector<double> Cuts(const Prepared& prepared) {
  std::vector<double> cuts;
  for (const Segment& shot : OfKind(prepared, SegmentKind::kShot)) {
    if (*shot.start_time > 0) cuts.push_back(*shot.start_time);
  }
  return cuts;
}

struct Encoding {
  const char* name;
  const char* arguments;
  const char* extension;
};
void PrintTo(const Encoding& encoding, std::ostream* out) { *out << encoding.name; }

class EveryEncoding : public testing::TestWithParam<Encoding> {};

TEST_P(EveryEncoding, CutsAreFoundWhereTheyAre) {
  const std::string film = MadeByFfmpeg(
      Scenes({3.2, 4.6, 2.4, 5.0, 3.0}) + " " + GetParam().arguments, GetParam().extension);
  const auto prepared = Prepare(film);
  ASSERT_TRUE(prepared.ok()) << prepared.message();
  EXPECT_THAT(Cuts(*prepared),
              testing::Pointwise(testing::DoubleNear(0.21), {3.2, 7.8, 10.2, 15.2}));
  EXPECT_NEAR(prepared->duration, 18.2, 0.3);
  EXPECT_EQ(prepared->pixels.size(), 5U);
}

INSTANTIATE_TEST_SUITE_P(
    Films, EveryEncoding,
    testing::Values(
        Encoding{"KeyFramesAtCuts", "-c:v libx264 -preset ultrafast", "mp4"},
        Encoding{"NoKeyFramesAtCuts", "-c:v libx264 -preset veryfast -sc_threshold 0 -g 125",
                 "mkv"},
        Encoding{"OneKeyFrame", "-c:v libx264 -preset ultrafast -sc_threshold 0 -g 9999", "mp4"},
        Encoding{"Mpeg4", "-c:v mpeg4 -q:v 4 -g 50", "avi"},
        Encoding{"KeyFramesOnly", "-c:v mjpeg -q:v 5", "mov"},
        Encoding{"Vp8", "-c:v libvpx -deadline good -cpu-used 5 -g 128", "webm"},
        Encoding{"Transport", "-c:v mpeg2video -q:v 5", "ts"},
        Encoding{"TenBits", "-c:v libx264 -preset ultrafast -pix_fmt yuv420p10le", "mkv"},
        Encoding{"TenBitsWithoutScenes",
                 "-c:v libx264 -preset veryfast -pix_fmt yuv420p10le -sc_threshold 0 -g 250",
                 "mkv"},
        Encoding{"Hevc", "-c:v libx265 -preset ultrafast -x265-params log-level=none", "mp4"},
        Encoding{"HevcWithoutScenes",
                 "-c:v libx265 -preset ultrafast -g 250 -x265-params log-level=none:scenecut=0",
                 "mp4"},
        Encoding{"Vp8Realtime",
                 "-c:v libvpx -deadline realtime -cpu-used 6 -b:v 400k -g 250 -keyint_min 250",
                 "webm"},
        Encoding{"Mpeg4WithoutScenes", "-c:v mpeg4 -b:v 600k -bf 2 -g 600 -sc_threshold 1000000000",
                 "mkv"},
        Encoding{"Mpeg2WithoutScenes",
                 "-c:v mpeg2video -q:v 5 -bf 2 -g 600 -sc_threshold 1000000000", "ts"},
        Encoding{"Gif", "-r 10 -s 160x90", "gif"},
        Encoding{"OddRate", "-c:v libx264 -preset ultrafast -vsync vfr -enc_time_base 1:90000",
                 "mkv"}),
    [](const auto& made) { return std::string(made.param.name); });

TEST(Shots, NoiseMakesNoCut) {
  const std::string film = MadeByFfmpeg(
      "-f lavfi -i color=c=gray:s=320x180:r=25:d=15,noise=alls=90:allf=t -c:v libx264 "
      "-preset ultrafast -g 50",
      "mp4");
  const auto prepared = Prepare(film);
  ASSERT_TRUE(prepared.ok()) << prepared.message();
  EXPECT_EQ(OfKind(*prepared, SegmentKind::kShot).size(), 1U);
}

TEST(Shots, SteadyMotionMakesNoCut) {
  const std::string film = MadeByFfmpeg(
      "-f lavfi -i mandelbrot=s=320x180:r=25 -t 20 -c:v libx264 -preset ultrafast -g 75", "mp4");
  const auto prepared = Prepare(film);
  ASSERT_TRUE(prepared.ok()) << prepared.message();
  EXPECT_THAT(Cuts(*prepared), testing::IsEmpty());
}

TEST(Shots, PanningMakesNoCutAtKeyFrames) {
  // It costs next to nothing, but a second later the picture is another.
  const std::string film = MadeByFfmpeg(
      "-f lavfi -i smptehdbars=s=1280x360:r=25:d=14,crop=320:180:x=40+50*t:y=60 -c:v libx264 "
      "-preset veryfast -sc_threshold 0 -g 25",
      "mp4");
  const auto prepared = Prepare(film);
  ASSERT_TRUE(prepared.ok()) << prepared.message();
  EXPECT_THAT(Cuts(*prepared), testing::IsEmpty());
}

TEST(Shots, TheLongestEndsAtACutAsWell) {
  const std::string scene = "s=320x180:r=25,format=yuv420p,setsar=1,trim=duration=";
  const auto prepared = Prepare(MadeByFfmpeg(
      "-filter_complex 'testsrc2=" + scene + "3.2[a];smptebars=" + scene +
          "9.36[b];mandelbrot=start_scale=2:" + scene +
          "4[c];[a][b][c]concat=n=3[v]' -map '[v]' -c:v libx264 -preset veryfast -g 600",
      "mp4"));
  ASSERT_TRUE(prepared.ok()) << prepared.message();
  EXPECT_THAT(Cuts(*prepared), testing::Pointwise(testing::DoubleNear(0.21), {3.2, 12.56}));
}

TEST(Shots, OfTwoScenesInTurnsAreFoundBetweenKeyFrames) {
  const std::string scene = "s=320x180:r=25,format=yuv420p,setsar=1,trim=duration=";
  for (const char* encoding :
       {"-c:v libx264 -preset veryfast -sc_threshold 0 -g 250",
        "-c:v libvpx -deadline realtime -cpu-used 6 -b:v 400k -g 250 -keyint_min 250"}) {
    const std::string film =
        MadeByFfmpeg("-filter_complex 'testsrc2=" + scene + "3.2[a];smptehdbars=" + scene +
                         "2.4[b];testsrc2=" + scene + "3.6[c];smptehdbars=" + scene +
                         "4[d];[a][b][c][d]concat=n=4[v]' -map '[v]' " + encoding,
                     "mkv");
    const auto prepared = Prepare(film);
    ASSERT_TRUE(prepared.ok()) << prepared.message();
    EXPECT_THAT(Cuts(*prepared), testing::Pointwise(testing::DoubleNear(0.21), {3.2, 5.6, 9.2}))
        << encoding;
  }
}

TEST(Shots, AreFoundWhereTheSizesOfPacketsTellNothing) {
  // From what moves all over to what is simpler: the new picture costs less than any before it.
  const std::string film = MadeByFfmpeg(
      "-filter_complex 'mandelbrot=s=320x180:r=25,trim=start=2:duration=6,setpts=PTS-STARTPTS,"
      "format=yuv420p,setsar=1[a];testsrc2=s=320x180:r=25,trim=duration=6,format=yuv420p,setsar=1"
      "[b];[a][b]concat=n=2:v=1[v]' -map '[v]' -c:v libx264 -preset ultrafast -sc_threshold 0 "
      "-g 250",
      "mkv");
  const auto prepared = Prepare(film);
  ASSERT_TRUE(prepared.ok()) << prepared.message();
  EXPECT_THAT(Cuts(*prepared), testing::ElementsAre(testing::DoubleNear(6, 0.3)));
}

TEST(Shots, FilmsOfAFewSecondsAreOne) {
  const auto prepared =
      Prepare(MadeByFfmpeg(Scenes({2, 2, 1.5}) + " -c:v libx264 -preset ultrafast", "mp4"));
  ASSERT_TRUE(prepared.ok()) << prepared.message();
  ASSERT_EQ(prepared->segments.size(), 1U);
  EXPECT_EQ(prepared->segments[0].start_time, 0.0);
  EXPECT_NEAR(*prepared->segments[0].end_time, 5.5, 0.1);
}

TEST(Shots, LongOnesAreDividedAndTheirNumberIsBounded) {
  const std::string film = MadeByFfmpeg(
      "-f lavfi -i testsrc=s=160x90:r=5:d=100 -c:v libx264 -preset ultrafast -g 25", "mp4");
  auto prepared = Prepare(film);
  ASSERT_TRUE(prepared.ok()) << prepared.message();
  EXPECT_EQ(prepared->segments.size(), 4U);
  for (const Segment& shot : prepared->segments) {
    EXPECT_LE(*shot.end_time - *shot.start_time, 30.01);
  }
  PrepareOptions few = Options();
  few.shots_max = 2;
  prepared =
      Prepare(MadeByFfmpeg(Scenes({3, 3, 3, 3}) + " -c:v libx264 -preset ultrafast", "mp4"), few);
  ASSERT_TRUE(prepared.ok()) << prepared.message();
  EXPECT_EQ(prepared->segments.size(), 2U);
}

TEST(Films, ShotsShowTheirOwnFrames) {
  const std::string film = MadeByFfmpeg(
      "-filter_complex 'color=c=red:s=320x180:r=25:d=4[a];color=c=blue:s=320x180:r=25:d=4[b];"
      "[a][b]concat' -c:v libx264 -preset ultrafast -sc_threshold 0 -g 300",
      "mp4");
  const auto prepared = Prepare(film);
  ASSERT_TRUE(prepared.ok()) << prepared.message();
  ASSERT_EQ(prepared->pixels.size(), 2U);
  EXPECT_LE(
      test::Distance(test::PixelAt(FromRgb(prepared->pixels[0], 32, 32), 16, 16), {254, 0, 0}), 12);
  EXPECT_LE(
      test::Distance(test::PixelAt(FromRgb(prepared->pixels[1], 32, 32), 16, 16), {0, 0, 254}), 12);
  EXPECT_FALSE(prepared->thumbnail.empty());
  EXPECT_FALSE(prepared->strip.empty());
  const Json& strip = prepared->attributes["strip"];
  EXPECT_EQ(strip["tile"], Json({160, 90}));
  EXPECT_GE(strip["times"].size(), 8U);
  EXPECT_TRUE(std::is_sorted(strip["times"].begin(), strip["times"].end()));
}

// Red beside blue, and a note that it is to be turned.
std::string TurnedFilm(const std::string& encoder) {
  const std::string upright = MadeByFfmpeg(
      "-filter_complex 'color=c=red:s=160x120:r=25:d=2[a];color=c=blue:s=160x120:r=25:d=2[b];"
      "[a][b]hstack' " +
          encoder,
      "mp4");
  const TemporaryDirectory directory;
  EXPECT_TRUE(WriteFileAtomically(directory.path() + "/in.mp4", upright).ok());
  return MadeByFfmpeg("-i " + directory.path() + "/in.mp4 -c copy -metadata:s:v rotate=90", "mp4");
}

void ExpectUpright(const std::string& film) {
  const Opened opened(film);
  const auto prepared = PrepareMedia(opened.source, Options());
  ASSERT_TRUE(prepared.ok()) << prepared.message();
  EXPECT_EQ(prepared->width, 120U);
  EXPECT_EQ(prepared->height, 320U);
  // ffmpeg writes a turn against the clock, and shows its own file so: what was right is on top.
  const auto view = ViewMedia(opened.source, {.time = 1, .side_max = 320});
  ASSERT_TRUE(view.ok()) << view.message();
  const Raster raster = FromRgb(view->rgb, view->width, view->height);
  EXPECT_LE(test::Distance(test::PixelAt(raster, 60, 40), {0, 0, 254}), 12);
  EXPECT_LE(test::Distance(test::PixelAt(raster, 60, 280), {254, 0, 0}), 12);
}

TEST(Films, RotatedOnesStandUpright) {
  ExpectUpright(TurnedFilm("-c:v libx264 -preset ultrafast"));
}

TEST(Films, ViewShowsTheFrameOfItsTime) {
  const Opened opened(MadeByFfmpeg(
      "-filter_complex 'color=c=red:s=64x64:r=25:d=2[a];color=c=lime:s=64x64:r=25:d=2[b];"
      "[a][b]concat' -c:v libx264 -preset ultrafast -sc_threshold 0 -g 300",
      "mkv"));
  for (const auto& [time, color] :
       {std::pair<double, test::Rgb>{1.9, {254, 0, 0}}, {2.1, {0, 254, 0}}, {60, {0, 254, 0}}}) {
    const auto view = ViewMedia(opened.source, {.time = time, .side_max = 64});
    ASSERT_TRUE(view.ok()) << view.message();
    EXPECT_LE(test::Distance(test::PixelAt(FromRgb(view->rgb, 64, 64), 32, 32), color), 12) << time;
  }
}

TEST(Films, TagsAreRead) {
  const auto prepared = Prepare(MadeByFfmpeg(
      "-f lavfi -i testsrc=s=64x64:d=1 -metadata title='A day' -metadata "
      "creation_time=2021-05-06T07:08:09Z -metadata location=+48.5-002.25/ -c:v libx264 "
      "-movflags use_metadata_tags",
      "mp4"));
  ASSERT_TRUE(prepared.ok()) << prepared.message();
  EXPECT_EQ(prepared->title, "A day");
  EXPECT_EQ(FormatRfc3339(prepared->captured_at.value_or(0)), "2021-05-06T07:08:09.000Z");
  ASSERT_TRUE(prepared->gps);
  EXPECT_DOUBLE_EQ(prepared->gps->second, -2.25);
  EXPECT_EQ(prepared->attributes["codec"], "h264");
  EXPECT_EQ(prepared->attributes["frame_rate"], 25.0);
}

TEST(Films, WordsInTagsAreFoundWhateverTheirEncoding) {
  const auto prepared = Prepare(
      MadeByFfmpeg("-f lavfi -i sine=d=3 -metadata title=Sonata -metadata genre=Klezmer -metadata "
                   "comment='About kumquats' -metadata artist='Café Zoë' -id3v2_version 3",
                   "mp3"));
  ASSERT_TRUE(prepared.ok()) << prepared.message();
  EXPECT_THAT(prepared->segments[0].text, HasSubstr("Klezmer"));
  EXPECT_THAT(prepared->segments[0].text, HasSubstr("About kumquats"));
  EXPECT_EQ(prepared->attributes["artist"], "Café Zoë");

  // As programs of old wrote them, in the encoding of their system: 月亮代表我的心, 邓丽君.
  std::string tag = "TAG";
  tag += "\xD4\xC2\xC1\xC1\xB4\xFA\xB1\xED\xCE\xD2\xB5\xC4\xD0\xC4" + std::string(16, '\0');
  tag += "\xB5\xCB\xC0\xF6\xBE\xFD" + std::string(24, '\0');
  tag += std::string(30 + 4 + 30, '\0') + '\x0C';
  const auto old = Prepare(
      MadeByFfmpeg("-f lavfi -i sine=d=3 -id3v2_version 0 -write_xing 0 -map_metadata -1", "mp3") +
      tag);
  ASSERT_TRUE(old.ok()) << old.message();
  EXPECT_EQ(old->title, "月亮代表我的心");
  EXPECT_EQ(old->attributes["artist"], "邓丽君");
}

TEST(Films, SubtitlesInsideAreWordsWithTimes) {
  const TemporaryDirectory directory;
  const std::string english = directory.path() + "/en.srt";
  const std::string chinese = directory.path() + "/zh.srt";
  ASSERT_TRUE(WriteFileAtomically(english,
                                  "1\n00:00:01,000 --> 00:00:02,000\nThe <i>porcupine</i> walks\n\n"
                                  "2\n00:00:08,000 --> 00:00:09,500\nMarzipan, he said\n")
                  .ok());
  ASSERT_TRUE(
      WriteFileAtomically(chinese, "1\n00:00:03,000 --> 00:00:04,000\n豪猪在午夜行走\n").ok());
  const std::string inputs = "-f lavfi -i testsrc=s=64x64:r=5:d=10 -i " + english + " -i " +
                             chinese + " -map 0 -map 1 -map 2 -c:v libx264 -preset ultrafast ";
  struct Row {
    const char* encoder;
    const char* extension;
  };
  for (const Row& row : {Row{"-c:s srt", "mkv"}, Row{"-c:s ass", "mkv"}, Row{"-c:s webvtt", "mkv"},
                         Row{"-c:s mov_text", "mp4"}}) {
    SCOPED_TRACE(row.encoder);
    const auto prepared = Prepare(MadeByFfmpeg(inputs + row.encoder, row.extension));
    ASSERT_TRUE(prepared.ok()) << prepared.message();
    const std::vector<Segment> words = OfKind(*prepared, SegmentKind::kPassage);
    ASSERT_EQ(words.size(), 3U);
    EXPECT_EQ(words[0].text, "The porcupine walks");
    EXPECT_NEAR(*words[0].start_time, 1, 0.1);
    EXPECT_NEAR(*words[0].end_time, 2, 0.1);
    EXPECT_EQ(words[1].text, "Marzipan, he said");
    EXPECT_NEAR(*words[1].start_time, 8, 0.1);
    EXPECT_EQ(words[2].text, "豪猪在午夜行走");
    for (size_t i = 0; i < prepared->segments.size(); ++i) {
      EXPECT_EQ(prepared->segments[i].index, i);
    }
  }
}

TEST(Films, TrimmedWithoutEncodingAnewShowWhatIsLeft) {
  // The only key frame stands before where the film begins, as an edit list says.
  const TemporaryDirectory directory;
  const std::string whole = directory.path() + "/whole.mp4";
  ASSERT_TRUE(WriteFileAtomically(
                  whole, MadeByFfmpeg("-filter_complex 'color=c=red:s=64x64:r=25:d=2[a];"
                                      "color=c=blue:s=64x64:r=25:d=3[b];[a][b]concat' -c:v libx264 "
                                      "-preset ultrafast -sc_threshold 0 -g 300",
                                      "mp4"))
                  .ok());
  const auto prepared =
      Prepare(MadeByFfmpeg("-ss 2.5 -i " + whole + " -c copy -avoid_negative_ts disabled", "mov"));
  ASSERT_TRUE(prepared.ok()) << prepared.message();
  EXPECT_EQ(prepared->type, MediaType::kVideo);
  EXPECT_NEAR(prepared->duration, 2.5, 0.2);
  ASSERT_EQ(prepared->pixels.size(), 1U);
  EXPECT_LE(
      test::Distance(test::PixelAt(FromRgb(prepared->pixels[0], 32, 32), 16, 16), {0, 0, 254}), 12);
}

TEST(Films, WithoutTheirEndGiveWhatIsThere) {
  const std::string film =
      MadeByFfmpeg(Scenes({4, 4, 4, 4}) + " -c:v libx264 -preset ultrafast -g 25", "mkv");
  const auto prepared = Prepare(std::string_view(film).substr(0, film.size() * 6 / 10));
  ASSERT_TRUE(prepared.ok()) << prepared.message();
  EXPECT_GT(prepared->duration, 3);
  EXPECT_LT(prepared->duration, 15);
  EXPECT_GE(prepared->segments.size(), 2U);
  const std::string headless = MadeByFfmpeg(Scenes({2}) + " -c:v libx264", "mp4");
  const auto broken = Prepare(std::string_view(headless).substr(0, headless.size() / 2));
  ASSERT_FALSE(broken.ok());
  EXPECT_EQ(broken.code(), Code::kCorrupt);
  EXPECT_THAT(broken.message(), HasSubstr("has no index"));
}

class EverySound : public testing::TestWithParam<Encoding> {};

TEST_P(EverySound, GivesWindowsAndSamples) {
  const std::string bytes = MadeByFfmpeg(
      std::string("-f lavfi -i 'aevalsrc=0.5*sin(2*PI*440*t)*gt(t\\,3):s=44100:d=24' ") +
          GetParam().arguments,
      GetParam().extension);
  const Opened opened(bytes);
  const auto prepared = PrepareMedia(opened.source, Options());
  ASSERT_TRUE(prepared.ok()) << prepared.message();
  EXPECT_EQ(prepared->type, MediaType::kAudio);
  EXPECT_THAT(prepared->mime, HasSubstr("audio/"));
  EXPECT_NEAR(prepared->duration, 24, 0.2);
  EXPECT_FALSE(prepared->thumbnail.empty());
  const auto windows = OfKind(*prepared, SegmentKind::kSound);
  ASSERT_EQ(windows.size(), 3U);
  EXPECT_EQ(windows[1].start_time, *windows[0].end_time);

  const auto samples = SampleMedia(opened.source, {.start = 2.5, .seconds = 1, .rate = 16000});
  ASSERT_TRUE(samples.ok()) << samples.message();
  ASSERT_EQ(samples->size(), 16000U);
  const auto loud = std::find_if(samples->begin(), samples->end(),
                                 [](float sample) { return std::abs(sample) > 0.1F; });
  EXPECT_NEAR(2.5 + static_cast<double>(loud - samples->begin()) / 16000, 3, 0.06);
  float peak = 0;
  for (size_t i = 12000; i < 16000; ++i) peak = std::max(peak, std::abs((*samples)[i]));
  EXPECT_NEAR(peak, 0.5F, 0.08F);
  const auto behind = SampleMedia(opened.source, {.start = 30, .seconds = 1, .rate = 16000});
  ASSERT_TRUE(behind.ok()) << behind.message();
  EXPECT_TRUE(behind->empty());
}

INSTANTIATE_TEST_SUITE_P(
    Sounds, EverySound,
    testing::Values(Encoding{"Wave", "", "wav"}, Encoding{"Flac", "", "flac"},
                    Encoding{"Mp3", "-b:a 128k", "mp3"},
                    Encoding{"Mp3WithoutTags", "-b:a 128k -id3v2_version 0 -write_xing 0", "mp3"},
                    Encoding{"M4a", "", "m4a"}, Encoding{"Aac", "", "aac"},
                    Encoding{"Opus", "", "opus"}, Encoding{"Vorbis", "", "ogg"},
                    Encoding{"Aiff", "", "aiff"}, Encoding{"Wma", "", "wma"},
                    Encoding{"Matroska", "-c:a libopus", "mka"},
                    Encoding{"TwoChannels", "-ac 2 -c:a pcm_s24le", "wav"}),
    [](const auto& made) { return std::string(made.param.name); });

TEST(Sounds, BehindABrokenBeginningAreHeardIfTheNameSaysSo) {
  const std::string sound = std::string(2000, '\0') +
                            MadeByFfmpeg("-f lavfi -i sine=d=12 -b:a 128k -id3v2_version 0", "mp3");
  const auto prepared = PrepareBytes(sound, "track.mp3");
  ASSERT_TRUE(prepared.ok()) << prepared.message();
  EXPECT_EQ(prepared->mime, "audio/mpeg");
  EXPECT_NEAR(prepared->duration, 12, 0.3);
  EXPECT_FALSE(PrepareBytes(sound, "track.dat").ok());
  EXPECT_FALSE(PrepareBytes(std::string(20000, '\x55'), "noise.mp3").ok());
}

TEST(Films, OfEveryContainerHaveShotsAndSound) {
  const std::string inputs =
      "-f lavfi -i testsrc=s=160x120:r=25:d=8 -f lavfi -i sine=440:r=44100:d=8 -shortest ";
  const std::pair<const char*, const char*> containers[] = {
      {"mp4", "-c:v libx264 -preset ultrafast"},
      {"mov", "-c:v libx264 -preset ultrafast"},
      {"mkv", "-c:v libx264 -preset ultrafast"},
      {"webm", "-c:v libvpx -deadline good -cpu-used 5 -b:v 1M"},
      {"avi", "-c:v mpeg4"},
      {"ts", "-c:v mpeg2video -c:a mp2"},
      {"mpg", "-c:v mpeg2video -c:a mp2"},
      {"flv", "-c:v flv"},
      {"wmv", "-c:v wmv2"},
      {"ogv", "-c:v libtheora"}};
  for (const auto& [extension, arguments] : containers) {
    const auto prepared = Prepare(MadeByFfmpeg(inputs + arguments, extension));
    ASSERT_TRUE(prepared.ok()) << extension << ": " << prepared.message();
    EXPECT_EQ(prepared->type, MediaType::kVideo) << extension;
    EXPECT_EQ(OfKind(*prepared, SegmentKind::kShot).size(), 1U) << extension;
    EXPECT_EQ(OfKind(*prepared, SegmentKind::kSound).size(), 1U) << extension;
    EXPECT_NEAR(prepared->duration, 8, 0.3) << extension;
    EXPECT_FALSE(prepared->strip.empty()) << extension;
  }
}

TEST(Films, DecodeInsideTheSandbox) {
  Codec codec({"role", "codec"}, {});
  const std::string inputs =
      "-f lavfi -i testsrc=s=160x120:r=25:d=7 -f lavfi -i sine=440:r=48000:d=7 -shortest ";
  for (const auto& [extension, arguments] :
       {std::pair<const char*, const char*>{"mp4", "-c:v libx264 -preset ultrafast -c:a aac"},
        {"mkv", "-c:v libx265 -preset ultrafast -x265-params log-level=none -c:a ac3"},
        {"webm", "-c:v libvpx-vp9 -deadline good -cpu-used 5 -c:a libopus"},
        {"mp4", "-c:v libaom-av1 -cpu-used 8 -usage realtime -c:a libmp3lame"}}) {
    const Fd file = test::MemoryFile(MadeByFfmpeg(inputs + arguments, extension));
    const auto prepared = codec.Prepare(file, "film", Options());
    ASSERT_TRUE(prepared.ok()) << arguments << ": " << prepared.message();
    EXPECT_FALSE(prepared->thumbnail.empty()) << arguments;
    EXPECT_FALSE(prepared->strip.empty()) << arguments;
    const auto samples = codec.SamplesOf(file, "film", {.start = 1, .seconds = 2, .rate = 16000});
    ASSERT_TRUE(samples.ok()) << arguments << ": " << samples.message();
    EXPECT_EQ(samples->size(), 32000U) << arguments;
    const auto view = codec.ViewOf(file, "film", {.time = 3, .side_max = 100});
    ASSERT_TRUE(view.ok()) << arguments << ": " << view.message();
    EXPECT_EQ(view->width, 100U);
  }
}

TEST(Films, PicturesThatMoveAreShortFilms) {
  for (const auto& [arguments, extension, mime] :
       {std::tuple("", "gif", "image/gif"), std::tuple("", "apng", "image/png"),
        std::tuple("-c:v libaom-av1 -cpu-used 8 -pix_fmt yuv420p", "avif", "image/avif")}) {
    SCOPED_TRACE(extension);
    const std::string source = "-f lavfi -i testsrc=s=120x90:r=5:d=3 ";
    const auto moving = Prepare(MadeByFfmpeg(source + arguments, extension));
    ASSERT_TRUE(moving.ok()) << moving.message();
    EXPECT_EQ(moving->type, MediaType::kVideo);
    EXPECT_EQ(moving->mime, mime);
    EXPECT_NEAR(moving->duration, 3, 0.3);
    EXPECT_EQ(moving->segments.size(), 1U);
    EXPECT_FALSE(moving->strip.empty());
    const auto still = Prepare(MadeByFfmpeg(source + "-frames:v 1 " + arguments, extension));
    ASSERT_TRUE(still.ok()) << still.message();
    EXPECT_EQ(still->type, MediaType::kPicture);
    EXPECT_EQ(still->mime, mime);
  }
}

struct Cut {
  Clip clip;
  std::string bytes;
};
Result<Cut> CutBy(Codec& codec, const Fd& file, const ClipWanted& wanted) {
  Cut cut;
  cut.clip = TRY(codec.ClipOf(file, "film", wanted, [&](const Clip&, std::string_view piece) {
    EXPECT_LE(piece.size(), kClipPieceBytesMax);
    cut.bytes += piece;
    return true;
  }));
  return cut;
}

TEST(Clips, CopyOrEncodeInsideTheSandbox) {
  Codec codec({"role", "codec"}, {});
  const std::string inputs =
      "-f lavfi -i testsrc=s=160x120:r=25:d=12 -f lavfi -i sine=440:r=48000:d=12 -shortest ";
  for (const auto& [extension, arguments] :
       {std::pair<const char*, const char*>{"mp4", "-c:v libx264 -preset ultrafast -g 25 -c:a aac"},
        {"ts", "-c:v libx264 -preset ultrafast -g 25 -c:a aac"},
        {"mkv", "-c:v libx264 -preset ultrafast -g 25 -c:a flac"},
        {"webm", "-c:v libvpx -deadline good -cpu-used 5 -c:a libvorbis"},
        {"mkv", "-c:v libx265 -preset ultrafast -x265-params log-level=none -c:a aac"},
        {"avi", "-c:v mpeg4 -c:a mp3"}}) {
    const Fd file = test::MemoryFile(MadeByFfmpeg(inputs + arguments, extension));
    const auto cut = CutBy(codec, file, {.start = 4.5, .end = 8});
    ASSERT_TRUE(cut.ok()) << extension << ": " << cut.message();
    const Clip* clip = &cut->clip;
    EXPECT_EQ(clip->mime, "video/mp4");
    EXPECT_LE(clip->start, 4.5 + 0.01) << extension;
    EXPECT_GE(clip->start, 3) << extension;
    EXPECT_NEAR(clip->end, 8, 0.2) << extension;
    // It is a film again, of that length, with its sound.
    const auto prepared = codec.Prepare(test::MemoryFile(cut->bytes), "clip", Options());
    ASSERT_TRUE(prepared.ok()) << extension << ": " << prepared.message();
    EXPECT_NEAR(prepared->duration, 8 - clip->start, 0.3) << extension;
    EXPECT_EQ(prepared->attributes["codec"], "h264") << extension;
    EXPECT_TRUE(prepared->attributes.contains("sound")) << extension;
    EXPECT_EQ(CutBy(codec, file, {.start = 100, .end = 105}).code(), Code::kNotFound);
    EXPECT_EQ(CutBy(codec, file, {.start = 0, .end = 8, .bytes_max = 2000}).code(),
              Code::kTooLarge);
  }
  const Fd picture = test::MemoryFile(test::Encoded(test::Quarters(64, 48), "jpg"));
  EXPECT_EQ(CutBy(codec, picture, {}).code(), Code::kUnsupported);
}

TEST(Clips, StandUprightAsTheirFilmsDo) {
  Codec codec({"role", "codec"}, {});
  for (const char* encoder : {"-c:v libx264 -preset ultrafast", "-c:v mpeg4 -q:v 2"}) {
    SCOPED_TRACE(encoder);
    const Fd film = test::MemoryFile(TurnedFilm(encoder));
    const auto cut = CutBy(codec, film, {.start = 0, .end = 2});
    ASSERT_TRUE(cut.ok()) << cut.message();
    ExpectUpright(cut->bytes);
  }
}

TEST(Films, ListsOfOtherFilesOpenNone) {
  const auto hls = Prepare("#EXTM3U\n#EXTINF:10,\nfile:///etc/passwd\n");
  ASSERT_TRUE(hls.ok());
  EXPECT_EQ(hls->type, MediaType::kDocument);
  const auto list = Prepare("ffconcat version 1.0\nfile /etc/passwd\n");
  ASSERT_TRUE(list.ok());
  EXPECT_EQ(list->type, MediaType::kDocument);
}

}  // namespace
}  // namespace msearch::media
