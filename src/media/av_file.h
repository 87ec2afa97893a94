// An open film or sound file: demuxer, streams, decoders. Reads from the descriptor only; a file
// that refers to other files gets nothing from them.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "media/ffmpeg_library.h"
#include "media/source.h"

namespace msearch::media {

class AvFile {
 public:
  // What `source` refers to has to stay. `demuxer`: FFmpeg's name for the container; nothing else
  // is tried. After `deadline` reading ends as if the file did. Errors: kCorrupt, kUnsupported,
  // kTooLarge.
  static Result<std::unique_ptr<AvFile>> Open(
      const MediaSource& source, const char* demuxer,
      std::optional<std::chrono::steady_clock::time_point> deadline = std::nullopt);
  ~AvFile();
  AvFile(const AvFile&) = delete;
  AvFile& operator=(const AvFile&) = delete;

  AVFormatContext* context() const { return context_; }
  // The streams to use; null: none. A cover picture is no film.
  AVStream* video() const { return video_; }
  AVStream* audio() const { return audio_; }
  AVStream* cover() const { return cover_; }
  // Subtitles that are text, at most kTextsMax.
  static constexpr size_t kTextsMax = 16;
  const std::vector<AVStream*>& texts() const { return texts_; }

  // Seconds from the file's beginning, and back.
  double Seconds(int64_t timestamp, const AVStream& stream) const;
  int64_t Timestamp(double seconds, const AVStream& stream) const;
  // As the container says; 0: it doesn't.
  double duration() const;

  // The next packet of this stream; false at the end, at a fault from which there's no going on,
  // and after the deadline.
  bool Read(const AVStream& stream, AVPacket* packet);
  // From now on the packets of texts() are handed to `take` as they are passed by.
  void ListenToTexts(std::function<void(const AVPacket&)> take);
  // Reads on to the end for nothing but that.
  void ReadTextsToTheEnd();
  // To the last key frame at or before `seconds`. False where the file can't.
  bool Seek(double seconds, const AVStream& stream);
  bool past_deadline() const;

  // A decoder on one thread. kUnsupported when there's none that may be used for the stream.
  Result<av::Codec> Decoder(const AVStream& stream, uint64_t pixels_max) const;

  std::string Tag(const char* name) const;  // of the file, else of its streams; "" for none
  static std::string CodecName(const AVStream& stream);

 private:
  AvFile() = default;
  void FindTagEncoding();
  static int ReadBytes(void* self, uint8_t* out, int size);
  static int64_t SeekBytes(void* self, int64_t offset, int whence);

  MediaSource source_;
  int64_t size_ = 0;
  int64_t at_ = 0;
  std::optional<std::chrono::steady_clock::time_point> deadline_;
  AVIOContext* io_ = nullptr;
  AVFormatContext* context_ = nullptr;
  AVStream* video_ = nullptr;
  AVStream* audio_ = nullptr;
  AVStream* cover_ = nullptr;
  std::vector<AVStream*> texts_;
  std::function<void(const AVPacket&)> take_text_;
  std::string tag_encoding_;  // empty: UTF-8, as it should be
};

// Sends a packet (null: no more come) and hands on each frame that comes out until `use` answers
// false. What a decoder says of damaged packets is not an error: what can be decoded counts.
// Returns false if `use` did.
template <typename Use>
bool DecodePacket(AVCodecContext* codec, const AVPacket* packet, AVFrame* frame, Use&& use) {
  const FfmpegLibrary& ffmpeg = *Ffmpeg();
  bool again = true;
  while (again) {
    again = ffmpeg.avcodec_send_packet(codec, packet) == AVERROR(EAGAIN);
    int frames = 0;
    while (ffmpeg.avcodec_receive_frame(codec, frame) == 0) {
      ++frames;
      const bool go_on = use(frame);
      ffmpeg.av_frame_unref(frame);
      if (!go_on) return false;
    }
    if (frames == 0) break;  // full and yet nothing to give: don't turn in circles
  }
  return true;
}

}  // namespace msearch::media
