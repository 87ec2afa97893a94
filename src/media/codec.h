// Media are opened only in codec children: disposable processes without network, with limits on
// memory, time, files and system calls, that get an open file and give back pixels and text. This
// header is the parent's side, and all that the rest of the program knows of decoding.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/result.h"

namespace msearch::media {

enum class MediaType { kPicture, kVideo, kAudio, kDocument };
std::string_view TypeName(MediaType type);  // "image", "video", "audio", "document" (API, catalog)
std::optional<MediaType> TypeFromName(std::string_view name);

// By extension only, for deciding what to look at; what a file really is, its bytes say.
std::optional<MediaType> TypeOfExtension(std::string_view path);
// ".jpg", ...: every extension that this build reads.
std::vector<std::string> SupportedExtensions();

// Pixels wanted for a model: as embedding::ImageInputSpec, which this folder doesn't know. kPad
// centres the picture.
struct PixelsWanted {
  uint32_t width = 0;  // 0: none
  uint32_t height = 0;
  enum class Fit { kStretch, kCenterCrop, kPad } fit = Fit::kCenterCrop;
};

struct PrepareOptions {
  PixelsWanted pixels;
  uint32_t thumbnail_side_max = 320;          // longer side; 0: no thumbnail
  uint64_t picture_pixels_max = 250'000'000;  // by the header, before decoding
  uint64_t text_bytes_max = 16 << 20;
  uint32_t passage_words_max = 200;  // CJK: one character counts as a word
  uint32_t shots_max = 500;          // of a film; 0: it is described as a whole
  // That a film or sound may take, instead of CodecLimits::timeout_ms. A little before, decoding
  // ends by itself and what was seen until then is given. 0: as every other file.
  uint32_t seconds_max = 0;
};

// What a segment is, and which of its fields mean something.
enum class SegmentKind {
  kPicture,  // all of a picture
  kShot,     // of a video, with times
  kSound,    // a window of sound, with times
  kPassage,  // of a document, with a page where it has pages
  kSpeech,   // words that were spoken, with times
  kText,     // words seen in a picture, page or frame, with boxes
  kHeard,    // what kinds of sounds are heard, with times
};
std::string_view KindName(SegmentKind kind);  // "picture", "shot", "sound", ... (API, catalog)
std::optional<SegmentKind> KindFromName(std::string_view name);

// Where a piece of text stands, as fractions of the upright picture's width and height.
struct TextBox {
  std::string text;
  float x = 0;
  float y = 0;
  float width = 0;
  float height = 0;
};

struct Segment {
  uint32_t index = 0;
  SegmentKind kind = SegmentKind::kPicture;
  std::string text;                  // passages, speech, text in pictures, kinds of sounds
  std::optional<double> start_time;  // seconds
  std::optional<double> end_time;
  std::optional<uint32_t> page;  // from 1
  int32_t pixels = -1;           // which of Prepared::pixels belongs to it; -1: none
  std::vector<TextBox> boxes;    // of kText: its lines or words, in reading order
};
// Without pixels; for blobs and frames.
Json ToJson(const Segment& segment);
// Takes anything: what doesn't fit is left out.
Segment SegmentFromJson(const Json& json);

// What one decode gives: everything that later steps need, so that no file is opened twice.
struct Prepared {
  MediaType type = MediaType::kPicture;
  std::string mime;    // "image/jpeg", by content
  uint32_t width = 0;  // upright, after orientation
  uint32_t height = 0;
  std::optional<UnixMs> captured_at;             // EXIF; without a zone: as if UTC
  std::string camera;                            // "Canon EOS R5"
  std::optional<std::pair<double, double>> gps;  // latitude, longitude, degrees
  std::optional<uint64_t> perceptual_hash;  // 64-bit DCT hash; near pictures differ in few bits
  std::vector<Segment> segments;            // at least one
  std::vector<std::string> pixels;          // raw RGB as PixelsWanted
  std::string thumbnail;                    // JPEG (PNG-less); empty for documents
  std::string title;                        // of a document: its first heading
  double duration = 0;                      // seconds; 0: has none
  // The rest that is shown: of films and sounds "codec", "frame_rate", "sound", "artist", "album";
  // "strip": {tile: [width, height], columns, times: [seconds]}, how `strip` is laid out; "pages",
  // "pages_without_text", ...
  Json attributes = Json::object();
  std::string strip;  // JPEG: frames of a film, in rows; empty: none
  std::string sound;  // SoundPrint::Encode of its sound, for the segments of kSound; empty: none

  Json Head() const;  // without pixels, thumbnail, strip and sound
  static Result<Prepared> FromHead(const Json& head);
};

// A look at a part of a medium, for reading what stands in it.
struct ViewWanted {
  std::optional<uint32_t> page;  // from 1; of documents and pictures with pages
  std::optional<double> time;    // seconds; of videos
  uint32_t side_max = 2048;      // of the longer side; never enlarged
  uint64_t picture_pixels_max = 250'000'000;
};
struct View {
  uint32_t width = 0;
  uint32_t height = 0;
  std::string rgb;  // 8-bit sRGB, upright, rows without padding
};

// Encodes; the pixels are trusted by then. kInvalid for an empty view.
Result<std::string> JpegOf(const View& view);

// A stretch of sound, all channels mixed.
struct SamplesWanted {
  double start = 0;     // seconds
  double seconds = 30;  // at most kSamplesSecondsMax
  uint32_t rate = 16000;
};
inline constexpr double kSamplesSecondsMax = 600;

// A stretch of a film or sound, to be played by itself.
struct ClipWanted {
  double start = 0;  // seconds
  double end = 10;   // at most kClipSecondsMax later
  uint64_t bytes_max = uint64_t{1} << 30;
  uint64_t picture_pixels_max = 250'000'000;
};
inline constexpr double kClipSecondsMax = 900;
// A fragmented MP4, given piece by piece while it is made.
struct Clip {
  std::string mime;  // "video/mp4", "audio/mp4"
  // Where it begins and ends in the film; a copied one begins at the key frame before. The end is
  // known when the last piece has been given.
  double start = 0;
  double end = 0;
};
inline constexpr size_t kClipPieceBytesMax = 256 << 10;
// Takes the next piece. An empty one only asks whether the rest is wanted. False: it isn't.
using TakeClip = std::function<bool(const Clip& so_far, std::string_view piece)>;

struct CodecLimits {
  uint64_t memory_bytes_max = uint64_t{3} << 30;
  int timeout_ms = 60000;      // for one file
  int files_per_child = 1000;  // a child is replaced after so many, against leaks
  // The same when it still holds more than this after a file.
  uint64_t idle_memory_bytes_max = uint64_t{256} << 20;
  uint64_t answer_bytes_max = uint64_t{1} << 30;  // that this process takes from it at a time
  int nice = 0;
};

// A codec child and its supervisor in this process; a second child with a wider cage for the
// formats that packaged programs read. One file at a time; not thread-safe.
class Codec {
 public:
  // The child runs this same program with `child_arguments`, which must end in ServeCodec().
  Codec(std::vector<std::string> child_arguments, CodecLimits limits);
  ~Codec();
  Codec(const Codec&) = delete;
  Codec& operator=(const Codec&) = delete;

  // Opens no path: `file` is an open descriptor of a regular file; `name` helps to tell formats
  // apart and stands in messages. Errors: kInvalid (not a regular file), kCorrupt (broken or
  // truncated beyond use), kUnsupported (nothing here reads it), kTooLarge (a limit, named),
  // kCrashed (the child died: kind and peak memory in the message), kTimeout.
  Result<Prepared> Prepare(const Fd& file, const std::string& name, const PrepareOptions& options) {
    Begin(file, name, options);
    return End();
  }
  // The two halves of Prepare, for those who have something to do meanwhile. What was begun has to
  // be ended before anything else is asked; `file` may be closed in between.
  void Begin(const Fd& file, const std::string& name, const PrepareOptions& options);
  Result<Prepared> End();

  // kNotFound for a page or time that isn't there; else errors as Prepare.
  Result<View> ViewOf(const Fd& file, const std::string& name, const ViewWanted& wanted);
  // -1 to 1. Fewer than asked for at the end of the sound, none behind it; kUnsupported for a
  // medium without sound; else errors as Prepare.
  Result<std::vector<float>> SamplesOf(const Fd& file, const std::string& name,
                                       const SamplesWanted& wanted);

  // Calls `take` for each piece, from this thread; at least several times a second it is asked
  // whether it still wants the rest. The time limit is that of one piece. kNotFound when there's
  // nothing at that time, kTooLarge beyond bytes_max, kUnsupported for a medium that can't be cut,
  // kCancelled when `take` answered false; else errors as Prepare. After an error what was taken
  // is the beginning of a clip.
  Result<Clip> ClipOf(const Fd& file, const std::string& name, const ClipWanted& wanted,
                      const TakeClip& take);

  // Peak memory of the last child that ended, with what it had started, bytes.
  uint64_t peak_memory_bytes() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// The child's side: drops privileges (seccomp, limits), then answers until the parent goes away.
// Returns the exit status.
int ServeCodec();

}  // namespace msearch::media
