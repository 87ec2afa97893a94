// Fragments end at key frames and every two seconds, so that a player has something to show soon
// and the muxer holds little. The head of such a file says no duration, since it is written first;
// that is what a player's time line is drawn from, so what is expected is written into it.
#include "media/clip_muxer.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace msearch::media {
namespace {

constexpr int kBufferBytes = 64 << 10;
constexpr const char* kFragmentMicroseconds = "2000000";

uint32_t NumberAt(const std::string& bytes, size_t at) {
  uint32_t value = 0;
  for (size_t i = at; i < at + 4; ++i) value = value << 8 | static_cast<uint8_t>(bytes[i]);
  return value;
}

void SetDuration(std::string& bytes, size_t at, double seconds, uint32_t ticks_per_second) {
  const auto ticks =
      static_cast<uint32_t>(std::llround(std::clamp(seconds * ticks_per_second, 0.0, 4e9)));
  for (size_t i = 0; i < 4; ++i) bytes[at + i] = static_cast<char>(ticks >> (24 - 8 * i));
}

// Writes the duration into the headers of the movie, its tracks and their media, of the boxes
// between `begin` and `end` of an MP4. Of version 0, as the muxer writes what is shorter than
// centuries.
void TellDuration(std::string& bytes, size_t begin, size_t end, double seconds, uint32_t* movie) {
  constexpr size_t kHeader = 8;
  while (begin + kHeader <= end) {
    const size_t size = NumberAt(bytes, begin);
    const std::string_view name = std::string_view(bytes).substr(begin + 4, 4);
    if (size < kHeader || size > end - begin) return;
    const size_t body = begin + kHeader;
    if (name == "moov" || name == "trak" || name == "mdia") {
      TellDuration(bytes, body, begin + size, seconds, movie);
    } else if ((name == "mvhd" || name == "mdhd") && size >= kHeader + 20 && bytes[body] == 0) {
      const uint32_t ticks_per_second = NumberAt(bytes, body + 12);
      if (name == "mvhd") *movie = ticks_per_second;
      SetDuration(bytes, body + 16, seconds, ticks_per_second);
    } else if (name == "tkhd" && size >= kHeader + 24 && bytes[body] == 0) {
      SetDuration(bytes, body + 20, seconds, *movie);
    }
    begin += size;
  }
}

}  // namespace

ClipMuxer::~ClipMuxer() {
  output_.reset();
  if (io_ == nullptr) return;
  Ffmpeg()->av_freep(&io_->buffer);
  Ffmpeg()->avio_context_free(&io_);
}

Result<> ClipMuxer::Open() {
  const FfmpegLibrary& ffmpeg = *Ffmpeg();
  io_ = ffmpeg.avio_alloc_context(static_cast<uint8_t*>(ffmpeg.av_malloc(kBufferBytes)),
                                  kBufferBytes, 1, this, nullptr, Take, nullptr);
  AVFormatContext* made = nullptr;
  if (ffmpeg.avformat_alloc_output_context2(&made, nullptr, "mp4", nullptr) < 0) {
    return Error{Code::kUnsupported, "FFmpeg: writes no MP4"};
  }
  output_.reset(made);
  output_->pb = io_;
  output_->flags |= AVFMT_FLAG_CUSTOM_IO;
  return Ok{};
}

Result<AVStream*> ClipMuxer::AddCopied(const AVStream& from) {
  AVStream* to = Ffmpeg()->avformat_new_stream(output_.get(), nullptr);
  if (to == nullptr || Ffmpeg()->avcodec_parameters_copy(to->codecpar, from.codecpar) < 0) {
    return Error{Code::kTooLarge, "clip: no memory"};
  }
  to->codecpar->codec_tag = 0;  // the container's own name for the codec
  // How it is to be turned stands beside the parameters.
  size_t size = 0;
  const uint8_t* turn = Ffmpeg()->av_stream_get_side_data(&from, AV_PKT_DATA_DISPLAYMATRIX, &size);
  uint8_t* copy = turn == nullptr
                      ? nullptr
                      : Ffmpeg()->av_stream_new_side_data(to, AV_PKT_DATA_DISPLAYMATRIX, size);
  if (copy != nullptr) std::memcpy(copy, turn, size);
  to->time_base = from.time_base;
  to->sample_aspect_ratio = from.sample_aspect_ratio;
  return to;
}

Result<AVStream*> ClipMuxer::AddEncoded(const AVCodecContext& encoder) {
  AVStream* to = Ffmpeg()->avformat_new_stream(output_.get(), nullptr);
  if (to == nullptr || Ffmpeg()->avcodec_parameters_from_context(to->codecpar, &encoder) < 0) {
    return Error{Code::kTooLarge, "clip: no memory"};
  }
  to->time_base = encoder.time_base;
  return to;
}

Result<> ClipMuxer::Begin(const Clip& clip, double seconds) {
  clip_ = clip;
  seconds_ = seconds;
  AVDictionary* options = nullptr;
  // The head waits for the first packets: some codecs are described by nothing before.
  Ffmpeg()->av_dict_set(&options, "movflags", "frag_keyframe+delay_moov+default_base_moof", 0);
  Ffmpeg()->av_dict_set(&options, "frag_duration", kFragmentMicroseconds, 0);
  const int begun = Ffmpeg()->avformat_write_header(output_.get(), &options);
  Ffmpeg()->av_dict_free(&options);
  if (begun < 0) return FfmpegError("clip", begun);
  return Ok{};
}

Result<> ClipMuxer::Write(AVPacket* packet, AVRational time_base, AVStream& to, double time) {
  Ffmpeg()->av_packet_rescale_ts(packet, time_base, to.time_base);
  packet->stream_index = to.index;
  packet->pos = -1;
  clip_.end = std::max(clip_.end, time);
  flowing_ = true;
  const int written = Ffmpeg()->av_interleaved_write_frame(output_.get(), packet);
  // Whatever the muxer dislikes about a packet costs that packet.
  if (written < 0 && (full_ || unwanted_)) return Stopped();
  return Ok{};
}

Result<Clip> ClipMuxer::End() {
  if (!flowing_) return Error{Code::kNotFound, "clip: nothing there at that time"};
  const int ended = Ffmpeg()->av_write_trailer(output_.get());
  Ffmpeg()->avio_flush(io_);
  if (full_ || unwanted_) return Stopped();
  if (ended < 0) return FfmpegError("clip", ended);
  return clip_;
}

Error ClipMuxer::Stopped() const {
  if (unwanted_) return {Code::kCancelled, "clip: no longer wanted"};
  return {Code::kTooLarge,
          "clip: more than " + std::to_string(bytes_max_ >> 20) + " MiB; ask for a shorter one"};
}

int ClipMuxer::Take(void* self, uint8_t* data, int size) {
  ClipMuxer& muxer = *static_cast<ClipMuxer*>(self);
  const std::string_view bytes(reinterpret_cast<const char*>(data), static_cast<size_t>(size));
  return muxer.Pass(bytes) ? size : AVERROR(ENOSPC);
}

bool ClipMuxer::Pass(std::string_view bytes) {
  if (full_ || unwanted_) return false;
  bytes_ += bytes.size();
  full_ = bytes_ > bytes_max_;
  if (full_) return false;
  // A clip of nothing is an error, not a head without a film.
  std::string whole;
  if (!flowing_) {
    head_ += bytes;
    return true;
  }
  if (!head_.empty()) {
    whole = std::move(head_) + std::string(bytes);
    head_.clear();
    bytes = whole;
  }
  if (bytes_ == bytes.size()) {
    if (whole.empty()) whole = bytes;
    uint32_t movie = 0;
    if (seconds_ > 0) TellDuration(whole, 0, whole.size(), seconds_, &movie);
    bytes = whole;
  }
  while (!bytes.empty() && !unwanted_) {
    const std::string_view piece = bytes.substr(0, kClipPieceBytesMax);
    bytes.remove_prefix(piece.size());
    unwanted_ = !take_(clip_, piece);
  }
  return !unwanted_;
}

}  // namespace msearch::media
