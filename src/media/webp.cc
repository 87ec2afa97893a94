// libwebp decodes the frames of an animation and lays them over one another. They are encoded to a
// film in memory, which then is read like any other: so shots, frames, strip and clips of an
// animation are those of films, whatever they come to mean. A look at one moment needs no film: it
// is decoded up to there.

#include "media/webp.h"

#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>

#include "media/clip_muxer.h"
#include "media/dynamic_library.h"
#include "media/film.h"
#include "media/picture.h"
#include "media/picture_encoder.h"
#include "media/webp_library.h"

namespace msearch::media {
namespace {

using Deadline = std::optional<std::chrono::steady_clock::time_point>;

constexpr char kDemuxer[] = "mov";
constexpr uint32_t kFilmSideMax = 1280;
constexpr int kClipFramesPerKey = 50;
constexpr uint64_t kFilmBytesMax = uint64_t{512} << 20;
constexpr double kDecodingShare = 0.4;  // of the time for the file
// How long before the end its last picture is shown again, so that the film has its length.
constexpr double kLastSeconds = 0.02;

Result<WebpLibrary> Load() {
  const DynamicLibrary library = TRY(DynamicLibrary::Open("libwebpdemux.so.2"));
  WebpLibrary webp;
#define MSEARCH_WEBP_FIND(name)                                               \
  if (!library.Find(#name, webp.name)) {                                      \
    return Error{Code::kUnsupported, "libwebpdemux: has no function " #name}; \
  }
  MSEARCH_WEBP_FUNCTIONS(MSEARCH_WEBP_FIND)
#undef MSEARCH_WEBP_FIND
  return webp;
}

uint32_t LittleEndian(std::string_view bytes, size_t at) {
  uint32_t value = 0;
  for (size_t i = 4; i-- > 0;) value = value << 8 | static_cast<uint8_t>(bytes[at + i]);
  return value;
}

// Said by the file's first chunk.
bool SaysAnimated(std::string_view head) {
  constexpr size_t kFlags = 20;
  constexpr char kAnimation = 2;
  return head.size() > kFlags && head.substr(12, 4) == "VP8X" && (head[kFlags] & kAnimation) != 0;
}

Raster OnWhite(const uint8_t* rgba, uint32_t width, uint32_t height) {
  Raster raster(width, height);
  for (size_t i = 0; i < raster.rgbx.size(); i += 4) {
    const unsigned alpha = rgba[i + 3];
    for (size_t channel = i; channel < i + 3; ++channel) {
      raster.rgbx[channel] =
          static_cast<uint8_t>((rgba[channel] * alpha + 255 * (255 - alpha) + 127) / 255);
    }
  }
  return raster;
}

class Animation {
 public:
  struct Moment {
    Raster picture;
    double start = 0;
    double end = 0;
  };

  // Null: it is none that is read as a film.
  static Result<std::unique_ptr<Animation>> Open(const MediaSource& source) {
    std::unique_ptr<Animation> none;
    if (!SaysAnimated(source.head) || source.size > kWebpBytesMax || !Webp().ok()) return none;
    const WebpLibrary& webp = *Webp();
    std::unique_ptr<Animation> made(new Animation);
    made->file_ = TRY(ReadSource(source, kWebpBytesMax));
    DropBrokenEnd(&made->file_);
    const WebPData data{reinterpret_cast<const uint8_t*>(made->file_.data()), made->file_.size()};
    // By the header, before a canvas is made.
    const std::unique_ptr<WebPDemuxer, void (*)(WebPDemuxer*)> demuxer(
        webp.WebPDemuxInternal(&data, 0, nullptr, WEBP_DEMUX_ABI_VERSION), webp.WebPDemuxDelete);
    if (!demuxer) return Error{Code::kCorrupt, "WebP: damaged"};
    made->width_ = webp.WebPDemuxGetI(demuxer.get(), WEBP_FF_CANVAS_WIDTH);
    made->height_ = webp.WebPDemuxGetI(demuxer.get(), WEBP_FF_CANVAS_HEIGHT);
    made->frames_ = webp.WebPDemuxGetI(demuxer.get(), WEBP_FF_FRAME_COUNT);
    if (made->frames_ < 2 || made->pixels() > kWebpCanvasPixelsMax) return none;
    WebPIterator frame;
    if (webp.WebPDemuxGetFrame(demuxer.get(), 1, &frame) != 0) {
      do {
        made->seconds_ += std::max(0, frame.duration) / 1000.0;
      } while (webp.WebPDemuxNextFrame(&frame) != 0);
      webp.WebPDemuxReleaseIterator(&frame);
    }
    WebPAnimDecoderOptions options;
    if (webp.WebPAnimDecoderOptionsInitInternal(&options, WEBP_DEMUX_ABI_VERSION) == 0) return none;
    options.color_mode = MODE_RGBA;
    options.use_threads = 0;
    made->decoder_.reset(webp.WebPAnimDecoderNewInternal(&data, &options, WEBP_DEMUX_ABI_VERSION));
    if (!made->decoder_) return Error{Code::kCorrupt, "WebP: damaged"};
    return made;
  }

  uint32_t width() const { return width_; }
  uint32_t height() const { return height_; }
  uint64_t pixels() const { return uint64_t{width_} * height_; }
  uint32_t frames() const { return frames_; }
  double seconds() const { return seconds_; }  // as the file says

  // False at the end, or at a frame that can't be decoded.
  bool Next(Moment* moment) {
    const WebpLibrary& webp = *Webp();
    uint8_t* rgba = nullptr;
    int milliseconds = 0;  // when the frame ends
    if (webp.WebPAnimDecoderHasMoreFrames(decoder_.get()) == 0 ||
        webp.WebPAnimDecoderGetNext(decoder_.get(), &rgba, &milliseconds) == 0) {
      return false;
    }
    moment->start = end_;
    end_ = std::max(end_, milliseconds / 1000.0);
    moment->end = end_;
    moment->picture = OnWhite(rgba, width_, height_);
    return true;
  }

 private:
  struct Free {
    void operator()(WebPAnimDecoder* decoder) const { Webp()->WebPAnimDecoderDelete(decoder); }
  };
  Animation() = default;

  std::string file_;
  std::unique_ptr<WebPAnimDecoder, Free> decoder_;  // reads file_
  uint32_t width_ = 0;
  uint32_t height_ = 0;
  uint32_t frames_ = 0;
  double seconds_ = 0;
  double end_ = 0;
};

struct ShortFilm {
  std::string mp4;
  double seconds = 0;
  uint32_t frames = 0;
};

// Of the size that the animation has, or that of a film.
Result<std::unique_ptr<PictureEncoder>> EncoderFor(const Animation& animation, ClipMuxer& muxer,
                                                   int frames_per_key) {
  const double scale = std::min(
      1.0, static_cast<double>(kFilmSideMax) / std::max(animation.width(), animation.height()));
  return PictureEncoder::Open(muxer, std::max(1U, static_cast<uint32_t>(animation.width() * scale)),
                              std::max(1U, static_cast<uint32_t>(animation.height() * scale)),
                              frames_per_key);
}

Result<ShortFilm> FilmOf(Animation& animation, const Deadline& deadline) {
  ShortFilm film;
  const TakeClip take = [&](const Clip&, std::string_view piece) {
    film.mp4 += piece;
    return true;
  };
  ClipMuxer muxer(kFilmBytesMax, take);
  TRY(muxer.Open());
  // Every frame a key frame, so that any is found at once.
  const auto encoder = TRY(EncoderFor(animation, muxer, 1));
  TRY(muxer.Begin({"video/mp4", 0, 0}, 0));
  const uint64_t frames_max = std::max<uint64_t>(2, kWebpPixelsMax / animation.pixels());
  Animation::Moment moment;
  while (film.frames < frames_max && film.seconds < kWebpSecondsMax &&
         !(deadline && std::chrono::steady_clock::now() > *deadline) && animation.Next(&moment)) {
    ++film.frames;
    film.seconds = moment.end;
    moment.picture = Reduced(moment.picture, kFilmSideMax);
    TRY(encoder->Add(moment.picture, moment.start, 0));
  }
  if (film.frames == 0) return Error{Code::kCorrupt, "WebP: no frame can be decoded"};
  if (film.seconds - kLastSeconds > moment.start) {
    TRY(encoder->Add(moment.picture, film.seconds - kLastSeconds, 0));
  }
  TRY(encoder->Finish());
  TRY(muxer.End());
  return film;
}

MediaSource SourceOf(const ShortFilm& film, std::string_view name) {
  MediaSource source;
  source.memory = film.mp4;
  source.size = film.mp4.size();
  source.name = name;
  source.head = source.memory.substr(0, MediaSource::kHeadBytes);
  return source;
}

}  // namespace

const Result<WebpLibrary>& Webp() {
  static const Result<WebpLibrary> library = Load();
  return library;
}

void DropBrokenEnd(std::string* file) {
  constexpr size_t kHeader = 12;
  constexpr size_t kChunkHeader = 8;
  if (file->size() < kHeader || file->substr(0, 4) != "RIFF" || file->substr(8, 4) != "WEBP")
    return;
  size_t whole = kHeader;
  while (whole + kChunkHeader <= file->size()) {
    const uint64_t size = LittleEndian(*file, whole + 4);
    const uint64_t end = whole + kChunkHeader + size + size % 2;
    if (end > file->size()) break;
    whole = static_cast<size_t>(end);
  }
  const uint64_t said = uint64_t{LittleEndian(*file, 4)} + kChunkHeader;
  if (said <= file->size()) return;
  file->resize(whole);
  for (size_t i = 0; i < 4; ++i) {
    (*file)[4 + i] = static_cast<char>((whole - kChunkHeader) >> (8 * i));
  }
}

Result<Prepared> PrepareWebp(const MediaSource& source, const PrepareOptions& options) {
  const auto animation = TRY(Animation::Open(source));
  if (!animation) return PreparePicture(DecodeWithVips, source, options);
  Deadline deadline;
  if (options.seconds_max > 0) {
    deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(static_cast<int64_t>(
                                                      options.seconds_max * kDecodingShare * 1000));
  }
  const ShortFilm film = TRY(FilmOf(*animation, deadline));
  Prepared out = TRY(PrepareFilm(SourceOf(film, source.name), kDemuxer, options));
  out.mime = "image/webp";
  out.width = animation->width();
  out.height = animation->height();
  out.duration = film.seconds;
  out.attributes["codec"] = "webp";
  if (film.frames < animation->frames()) out.attributes["frames_read"] = film.frames;
  if (out.segments.back().end_time) out.segments.back().end_time = film.seconds;
  return out;
}

Result<View> ViewWebp(const MediaSource& source, const ViewWanted& wanted) {
  const auto animation = TRY(Animation::Open(source));
  if (!animation || !wanted.time) return ViewPicture(DecodeWithVips, source, wanted);
  const uint64_t frames_max = std::max<uint64_t>(2, kWebpPixelsMax / animation->pixels());
  Animation::Moment moment;
  for (uint64_t i = 0; i < frames_max && animation->Next(&moment); ++i) {
    if (moment.end > *wanted.time) break;
  }
  if (moment.picture.width == 0) return Error{Code::kNotFound, "film: no frame there"};
  const Raster reduced = Reduced(moment.picture, wanted.side_max);
  return View{reduced.width, reduced.height, ToRgb(reduced)};
}

Result<Clip> CutWebp(const MediaSource& source, const ClipWanted& wanted, const TakeClip& take) {
  const auto animation = TRY(Animation::Open(source));
  if (!animation) return Error{Code::kUnsupported, "image/webp: doesn't move"};
  ClipMuxer muxer(wanted.bytes_max, take);
  TRY(muxer.Open());
  const auto encoder = TRY(EncoderFor(*animation, muxer, kClipFramesPerKey));
  TRY(muxer.Begin({"video/mp4", wanted.start, wanted.start},
                  std::max(0.0, std::min(wanted.end, animation->seconds()) - wanted.start)));
  const uint64_t frames_max = std::max<uint64_t>(2, kWebpPixelsMax / animation->pixels());
  Animation::Moment moment;
  Raster last;
  double until = 0;  // to be seen so long
  for (uint64_t i = 0; i < frames_max && animation->Next(&moment); ++i) {
    if (moment.start >= wanted.end) break;
    if (moment.end <= wanted.start) continue;
    last = Reduced(moment.picture, kFilmSideMax);
    until = std::min(moment.end, wanted.end) - wanted.start;
    TRY(encoder->Add(last, std::max(0.0, moment.start - wanted.start), wanted.start));
  }
  if (until > kLastSeconds) TRY(encoder->Add(last, until - kLastSeconds, wanted.start));
  TRY(encoder->Finish());
  return muxer.End();
}

}  // namespace msearch::media
