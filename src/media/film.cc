// A film is opened once for its pictures, in three steps: the shots (shots.h), then one frame of
// each shot and those of the strip, in order of time; and a second time for its sound, which is
// decoded from beginning to end. Each has its share of the time; what doesn't fit is described by
// what its header says.

#include "media/film.h"

#include <algorithm>
#include <cmath>

#include "base/strings.h"
#include "media/encode.h"
#include "media/film_strip.h"
#include "media/film_texts.h"
#include "media/picture.h"
#include "media/shots.h"
#include "media/sound_print.h"
#include "media/sound_reader.h"
#include "media/waveform.h"

namespace msearch::media {
namespace {

using Deadline = std::optional<std::chrono::steady_clock::time_point>;

constexpr double kWindowSecondsMin = 3;  // what is left at the end and shorter joins the last one
constexpr size_t kWindowsMax = 20000;
// Of the time for a film. Its sound gets what its pictures leave; at the end there has to be time
// for answering.
constexpr double kPicturesShare = 0.5;
constexpr double kDecodingShare = 0.8;

Deadline After(uint32_t seconds, double share) {
  if (seconds == 0) return std::nullopt;
  return std::chrono::steady_clock::now() +
         std::chrono::milliseconds(static_cast<int64_t>(seconds * share * 1000));
}

// "+48.8577+002.295+035/", ISO 6709 in degrees.
std::optional<std::pair<double, double>> Position(const std::string& text) {
  char* end = nullptr;
  const double latitude = std::strtod(text.c_str(), &end);
  if (end == text.c_str() || (*end != '+' && *end != '-')) return std::nullopt;
  const char* second = end;
  const double longitude = std::strtod(second, &end);
  if (end == second || std::abs(latitude) > 90 || std::abs(longitude) > 180) return std::nullopt;
  return std::pair(latitude, longitude);
}

std::string FirstTag(const AvFile& file, std::initializer_list<const char*> names) {
  for (const char* name : names) {
    if (std::string value = file.Tag(name); !value.empty()) return value;
  }
  return "";
}

void TakeTags(const AvFile& file, Prepared* out) {
  out->title = file.Tag("title");
  const auto made =
      ParseRfc3339(FirstTag(file, {"com.apple.quicktime.creationdate", "creation_time", "date"}));
  // Cameras without a clock write the beginning of their calendar.
  constexpr UnixMs kBelievable = UnixMs{365} * 24 * 3600 * 1000;
  if (made.ok() && *made > kBelievable) out->captured_at = *made;
  out->gps = Position(FirstTag(file, {"com.apple.quicktime.location.ISO6709", "location"}));
  const std::string maker = FirstTag(file, {"com.apple.quicktime.make", "make"});
  const std::string model = FirstTag(file, {"com.apple.quicktime.model", "model"});
  out->camera = model.starts_with(maker) ? model : std::string(Trim(maker + " " + model));
  for (const char* name : {"artist", "album", "genre"}) {
    if (std::string value = file.Tag(name); !value.empty()) out->attributes[name] = value;
  }
}

// What the file says of itself is found by words.
std::string SearchableTags(const AvFile& file, const Prepared& media) {
  std::string text = media.title;
  for (const char* name :
       {"artist", "album", "album_artist", "composer", "genre", "show", "description", "synopsis",
        "comment", "lyrics", "lyrics-eng", "lyrics-XXX", "unsyncedlyrics"}) {
    const std::string value = file.Tag(name);
    if (value.empty() || text.find(value) != text.npos) continue;
    if (!text.empty()) text += " \u2013 ";
    text += value;
  }
  return text;
}

std::string MimeOf(std::string_view demuxer, const MediaSource& source, bool film) {
  struct Row {
    std::string_view demuxer, film, sound;
  };
  static constexpr Row kRows[] = {
      {"mov", "video/mp4", "audio/mp4"},
      {"matroska", "video/x-matroska", "audio/x-matroska"},
      {"avi", "video/x-msvideo", "audio/x-msvideo"},
      {"mpegts", "video/mp2t", "audio/mp2t"},
      {"mpeg", "video/mpeg", "audio/mpeg"},
      {"mpegvideo", "video/mpeg", "video/mpeg"},
      {"flv", "video/x-flv", "audio/x-flv"},
      {"asf", "video/x-ms-wmv", "audio/x-ms-wma"},
      {"mxf", "application/mxf", "application/mxf"},
      {"gif", "image/gif", "image/gif"},
      {"apng", "image/png", "image/png"},
      {"ogg", "video/ogg", "audio/ogg"},
      {"wav", "audio/wav", "audio/wav"},
      {"w64", "audio/x-w64", "audio/x-w64"},
      {"flac", "audio/flac", "audio/flac"},
      {"mp3", "audio/mpeg", "audio/mpeg"},
      {"aac", "audio/aac", "audio/aac"},
      {"ac3", "audio/ac3", "audio/ac3"},
      {"aiff", "audio/aiff", "audio/aiff"},
      {"amr", "audio/amr", "audio/amr"},
      {"au", "audio/basic", "audio/basic"},
      {"caf", "audio/x-caf", "audio/x-caf"},
      {"ape", "audio/x-ape", "audio/x-ape"},
      {"wv", "audio/x-wavpack", "audio/x-wavpack"},
      {"tta", "audio/x-tta", "audio/x-tta"},
  };
  if (demuxer == "matroska" && source.head.substr(0, 64).find("webm") != source.head.npos) {
    return film ? "video/webm" : "audio/webm";
  }
  if (demuxer == "mov" && source.head.size() > 12 && source.head.substr(8, 4) == "qt  " && film) {
    return "video/quicktime";
  }
  if (demuxer == "mov" && source.head.substr(4, 8) == "ftypavis") return "image/avif";
  for (const Row& row : kRows) {
    if (row.demuxer == demuxer) return std::string(film ? row.film : row.sound);
  }
  return film ? "video/x-unknown" : "audio/x-unknown";
}

void AddFrame(const Raster& raster, const FrameWanted& wanted, const PrepareOptions& options,
              std::vector<std::string>* pixels, FilmStrip* strip) {
  if (wanted.shot >= 0 && options.pixels.width > 0) {
    (*pixels)[static_cast<size_t>(wanted.shot)] = PixelsFor(raster, options.pixels);
  }
  if (wanted.tile) strip->Add(raster, wanted.time);
}

// Whose frame stands for the whole film: not the first, which is often black, and not a blank one.
size_t ShotForThumbnail(const Film& film) {
  size_t best = 0;
  double best_score = -1;
  for (size_t i = 0; i < film.shots.size(); ++i) {
    const Shot& shot = film.shots[i];
    const double at = film.duration > 0 ? (shot.start + shot.end) / 2 / film.duration : 0;
    const double score = std::min(shot.contrast, 25.0) / 25 + 0.5 * (1 - std::abs(at - 0.25)) +
                         0.2 * (shot.end - shot.start) / std::max(1.0, film.duration);
    if (score > best_score) {
      best = i;
      best_score = score;
    }
  }
  return best;
}

// One frame of every shot, and the strip.
Result<> TakeFrames(AvFile& file, const Film& film, const PrepareOptions& options, Prepared* out) {
  FrameReader reader = TRY(FrameReader::Make(file, options.picture_pixels_max));
  const AVStream& stream = *file.video();
  const uint32_t side = std::max(options.pixels.width, options.pixels.height);
  const auto thumbnail_of = static_cast<int>(ShotForThumbnail(film));
  std::vector<std::string> pixels(film.shots.size());
  FilmStrip strip;
  for (const FrameWanted& wanted : FramesWanted(film)) {
    if (file.past_deadline()) break;
    const bool shown = wanted.shot == thumbnail_of && options.thumbnail_side_max > 0;
    const uint32_t longer = std::max(FilmStrip::kTileSide, shown ? options.thumbnail_side_max : 0);
    Raster raster;
    Result<> found = reader.At(wanted.time, !wanted.key, [&](const AVFrame& frame, double) {
      // Twice the model's size, since its pixels are cut from it by a second resampling.
      auto made = FrameRaster(frame, stream, wanted.shot >= 0 ? 2 * side : 0, longer);
      if (made.ok()) raster = std::move(*made);
    });
    // A damaged moment costs that moment.
    if (!found.ok() || raster.width == 0) continue;
    AddFrame(raster, wanted, options, &pixels, &strip);
    if (shown) out->thumbnail = TRY(EncodeJpeg(Reduced(raster, options.thumbnail_side_max)));
  }
  for (size_t i = 0; i < film.shots.size(); ++i) {
    Segment segment;
    segment.index = static_cast<uint32_t>(out->segments.size());
    segment.kind = SegmentKind::kShot;
    segment.start_time = film.shots[i].start;
    segment.end_time = film.shots[i].end;
    if (!pixels[i].empty()) {
      segment.pixels = static_cast<int32_t>(out->pixels.size());
      out->pixels.push_back(std::move(pixels[i]));
    }
    out->segments.push_back(std::move(segment));
  }
  if (!strip.empty() && options.thumbnail_side_max > 0) {
    out->strip = TRY(EncodeJpeg(strip.Picture(), {.quality = 75}));
    out->attributes["strip"] = strip.Layout();
  }
  return Ok{};
}

Result<> TakePictures(AvFile& file, const PrepareOptions& options, const Deadline& deadline,
                      Prepared* out) {
  ShotLimits limits;
  limits.pixels_max = options.picture_pixels_max;
  limits.shots_max = std::max<size_t>(1, options.shots_max);
  limits.deadline = deadline;
  if (options.shots_max == 0) limits.whole_seconds_max = INFINITY;
  const Film film = TRY(FindShots(file, limits));
  if (film.shots.empty()) return Error{Code::kCorrupt, "film: no frame of it can be decoded"};
  out->duration = film.duration;
  std::tie(out->width, out->height) = FilmSize(*file.video());
  out->attributes["codec"] = AvFile::CodecName(*file.video());
  const AVRational rate = file.video()->avg_frame_rate;
  if (rate.num > 0 && rate.den > 0) {
    out->attributes["frame_rate"] = std::round(av_q2d(rate) * 1000) / 1000;
  }
  return TakeFrames(file, film, options, out);
}

// Windows of equal length; the last one may be longer or shorter.
void AddWindows(double begin, double end, Prepared* out) {
  const double step = std::max(kSoundWindowSeconds, (end - begin) / kWindowsMax);
  for (double start = begin; start < end;) {
    double stop = start + step;
    if (end - stop < kWindowSecondsMin) stop = end;
    Segment segment;
    segment.index = static_cast<uint32_t>(out->segments.size());
    segment.kind = SegmentKind::kSound;
    segment.start_time = start;
    segment.end_time = stop;
    out->segments.push_back(std::move(segment));
    start = stop;
  }
}

Result<> TakeSound(AvFile& file, Prepared* out) {
  Waveform waveform(SoundPrinter::kRate);
  SoundPrinter printer;
  double begin = 0;
  TRY(ReadSound(
      file, 0, SoundPrinter::kRate,
      [&](std::span<const float> samples) {
        waveform.Add(samples);
        printer.Add(samples);
        return true;
      },
      &begin));
  double end = begin + waveform.seconds();
  if (file.past_deadline()) end = std::max(end, file.duration());
  const size_t first = out->segments.size();
  AddWindows(begin, end, out);
  std::vector<std::pair<double, double>> windows;
  for (size_t i = first; i < out->segments.size(); ++i) {
    windows.emplace_back(*out->segments[i].start_time - begin, *out->segments[i].end_time - begin);
  }
  out->sound = printer.Finish(windows).Encode();
  out->attributes["sound"] = AvFile::CodecName(*file.audio());
  if (out->type == MediaType::kAudio) {
    out->duration = end;
    out->thumbnail = TRY(EncodeJpeg(waveform.Picture()));
  }
  return Ok{};
}

// A picture of its own that a sound brings along; nothing when there's none that can be read.
std::string Cover(const AvFile& file, const PrepareOptions& options) {
  AVStream* stream = file.cover();
  if (stream == nullptr || stream->attached_pic.size <= 0 || options.thumbnail_side_max == 0) {
    return "";
  }
  auto codec = file.Decoder(*stream, options.picture_pixels_max);
  if (!codec.ok()) return "";
  std::string jpeg;
  auto use = [&](AVFrame* frame) {
    const auto raster = FrameRaster(*frame, *stream, 0, options.thumbnail_side_max);
    if (!raster.ok()) return false;
    auto encoded = EncodeJpeg(Reduced(*raster, options.thumbnail_side_max));
    if (encoded.ok()) jpeg = std::move(*encoded);
    return false;
  };
  const av::Frame frame = av::MakeFrame();
  if (DecodePacket(codec->get(), &stream->attached_pic, frame.get(), use)) {
    DecodePacket(codec->get(), nullptr, frame.get(), use);
  }
  return jpeg;
}

}  // namespace

Result<Prepared> PrepareFilm(const MediaSource& source, const char* demuxer,
                             const PrepareOptions& options) {
  const Deadline deadline = After(options.seconds_max, kDecodingShare);
  const auto file = TRY(AvFile::Open(source, demuxer, deadline));
  Prepared out;
  out.type = file->video() != nullptr ? MediaType::kVideo : MediaType::kAudio;
  out.mime = MimeOf(demuxer, source, out.type == MediaType::kVideo);
  TakeTags(*file, &out);
  Result<> seen = Ok{};
  if (file->video() != nullptr) {
    seen = TakePictures(*file, options, After(options.seconds_max, kPicturesShare), &out);
  } else {
    out.thumbnail = Cover(*file, options);
  }
  if (!seen.ok() && file->audio() == nullptr) return seen.error();
  std::vector<Segment> texts;
  if (file->audio() != nullptr || !file->texts().empty()) {
    // A file of its own: the first one stands somewhere in the middle, and may have given up.
    const auto again = TRY(AvFile::Open(source, demuxer, deadline));
    FilmTexts subtitles(*again, options);
    if (file->audio() != nullptr) {
      const std::string cover = out.thumbnail;
      Result<> heard = again->audio() == nullptr ? Error{Code::kCorrupt, "sound: not found again"}
                                                 : TakeSound(*again, &out);
      // One of the two is enough.
      if (!heard.ok() && out.segments.empty()) return seen.ok() ? heard.error() : seen.error();
      if (!cover.empty()) out.thumbnail = cover;
    }
    texts = subtitles.Finish();
  }
  if (out.segments.empty()) return Error{Code::kCorrupt, "file: neither a frame nor sound in it"};
  if (out.duration <= 0) out.duration = file->duration();
  out.segments[0].text = SearchableTags(*file, out);
  for (Segment& text : texts) {
    text.index = static_cast<uint32_t>(out.segments.size());
    out.segments.push_back(std::move(text));
  }
  return out;
}

bool HasMotion(const MediaSource& source, const char* demuxer) {
  const auto file = AvFile::Open(source, demuxer);
  if (!file.ok() || (*file)->video() == nullptr) return false;
  const av::Packet packet = av::MakePacket();
  const AVStream& stream = *(*file)->video();
  return (*file)->Read(stream, packet.get()) && (*file)->Read(stream, packet.get());
}

Result<View> ViewFilm(const MediaSource& source, const char* demuxer, const ViewWanted& wanted) {
  if (wanted.page) return Error{Code::kNotFound, "film: has no pages"};
  const auto file = TRY(AvFile::Open(source, demuxer));
  if (file->video() == nullptr) return Error{Code::kUnsupported, "sound: has nothing to see"};
  FrameReader reader = TRY(FrameReader::Make(*file, wanted.picture_pixels_max));
  Result<Raster> raster = Error{Code::kNotFound, "film: no frame there"};
  TRY(reader.At(wanted.time.value_or(0), true, [&](const AVFrame& frame, double) {
    raster = FrameRaster(frame, *file->video(), 0, wanted.side_max);
  }));
  if (!raster.ok()) return raster.error();
  const Raster reduced = Reduced(*raster, wanted.side_max);
  return View{reduced.width, reduced.height, ToRgb(reduced)};
}

Result<std::vector<float>> SampleFilm(const MediaSource& source, const char* demuxer,
                                      const SamplesWanted& wanted) {
  const auto file = TRY(AvFile::Open(source, demuxer));
  if (file->audio() == nullptr) return Error{Code::kUnsupported, "film: has no sound"};
  const auto most = static_cast<size_t>(std::llround(wanted.seconds * wanted.rate));
  std::vector<float> out;
  out.reserve(std::min<size_t>(most, size_t{60} * wanted.rate));
  // Sound that begins later than the film: silence until then, so that times stay what they are.
  double begun = wanted.start;
  bool first = true;
  TRY(ReadSound(
      *file, wanted.start, wanted.rate,
      [&](std::span<const float> samples) {
        if (first && begun > wanted.start) {
          const double silence = std::min(begun - wanted.start, wanted.seconds) * wanted.rate;
          out.resize(std::min(most, static_cast<size_t>(silence)));
        }
        first = false;
        const size_t room = most - out.size();
        out.insert(out.end(), samples.begin(),
                   samples.begin() + static_cast<ptrdiff_t>(std::min(room, samples.size())));
        return out.size() < most;
      },
      &begun));
  return out;
}

void PreloadFilmLibraries() { (void)Ffmpeg(); }

}  // namespace msearch::media
