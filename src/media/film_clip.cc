// A stretch of a film as an MP4 that browsers play while it arrives: fragmented, its head first.
// Streams that MP4 and browsers know are copied, from the key frame before; others are decoded and
// encoded anew, at most 1280 pixels wide, H.264 and AAC. Each stream is one pass of its own, and
// the muxer puts them in order.

#include <algorithm>
#include <cmath>
#include <cstring>

#include "media/film.h"
#include "media/film_frame.h"
#include "media/sound_reader.h"

namespace msearch::media {
namespace {

constexpr int kSideMax = 1280;
constexpr int kSoundRate = 48000;

struct FreeOutput {
  void operator()(AVFormatContext* context) const { Ffmpeg()->avformat_free_context(context); }
};

// Everything that the muxer writes, up to a limit. It never goes back.
class Sink {
 public:
  explicit Sink(uint64_t bytes_max) : bytes_max_(bytes_max) {
    const FfmpegLibrary& ffmpeg = *Ffmpeg();
    constexpr int kBufferBytes = 64 << 10;
    io_ = ffmpeg.avio_alloc_context(static_cast<uint8_t*>(ffmpeg.av_malloc(kBufferBytes)),
                                    kBufferBytes, 1, this, nullptr, Write, nullptr);
  }
  ~Sink() {
    if (io_ != nullptr) Ffmpeg()->av_freep(&io_->buffer);
    Ffmpeg()->avio_context_free(&io_);
  }
  Sink(const Sink&) = delete;
  Sink& operator=(const Sink&) = delete;

  AVIOContext* io() const { return io_; }
  bool full() const { return full_; }
  std::string Take() {
    Ffmpeg()->avio_flush(io_);
    return std::move(bytes_);
  }

 private:
  static int Write(void* self, uint8_t* data, int size) {
    Sink& sink = *static_cast<Sink*>(self);
    if (sink.bytes_.size() + static_cast<size_t>(size) > sink.bytes_max_) {
      sink.full_ = true;
      return AVERROR(ENOSPC);
    }
    sink.bytes_.append(reinterpret_cast<const char*>(data), static_cast<size_t>(size));
    return size;
  }

  uint64_t bytes_max_;
  std::string bytes_;
  AVIOContext* io_ = nullptr;
  bool full_ = false;
};

bool CanCopy(const AVStream& stream) {
  switch (stream.codecpar->codec_id) {
    case AV_CODEC_ID_H264:
      // Players know 8 bits and halved colours only.
      return stream.codecpar->format == AV_PIX_FMT_YUV420P ||
             stream.codecpar->format == AV_PIX_FMT_YUVJ420P;
    case AV_CODEC_ID_AAC:
      // Without a description of its own it is packed as MP4 doesn't want it.
      return stream.codecpar->extradata_size > 0;
    case AV_CODEC_ID_HEVC:
    case AV_CODEC_ID_AV1:
    case AV_CODEC_ID_VP9:
    case AV_CODEC_ID_MP3:
    case AV_CODEC_ID_OPUS:
      return true;
    default:
      return false;
  }
}

class Cutter {
 public:
  Cutter(const MediaSource& source, const char* demuxer, const ClipWanted& wanted)
      : source_(source), demuxer_(demuxer), wanted_(wanted), sink_(wanted.bytes_max) {}

  Result<Clip> Cut() {
    const FfmpegLibrary& ffmpeg = *Ffmpeg();
    const auto pictures = TRY(AvFile::Open(source_, demuxer_));
    const auto sound = TRY(AvFile::Open(source_, demuxer_));
    AVFormatContext* made = nullptr;
    if (ffmpeg.avformat_alloc_output_context2(&made, nullptr, "mp4", nullptr) < 0) {
      return Error{Code::kUnsupported, "FFmpeg: writes no MP4"};
    }
    output_.reset(made);
    output_->pb = sink_.io();
    output_->flags |= AVFMT_FLAG_CUSTOM_IO;
    output_->max_interleave_delta = 0;  // wait for both streams, however far apart they are
    start_ = wanted_.start;
    if (pictures->video() != nullptr) TRY(AddVideo(*pictures));
    if (sound->audio() != nullptr) TRY(AddAudio(*sound));
    AVDictionary* options = nullptr;
    // The head waits for the first packets: some codecs are described by nothing before.
    ffmpeg.av_dict_set(&options, "movflags", "frag_keyframe+delay_moov+default_base_moof", 0);
    const int begun = ffmpeg.avformat_write_header(output_.get(), &options);
    ffmpeg.av_dict_free(&options);
    if (begun < 0) return FfmpegError("clip", begun);
    if (video_ != nullptr) TRY(video_encoder_ ? EncodeVideo(*pictures) : CopyVideo(*pictures));
    if (audio_ != nullptr) TRY(audio_encoder_ ? EncodeAudio(*sound) : CopyAudio(*sound));
    const int ended = ffmpeg.av_write_trailer(output_.get());
    if (sink_.full()) {
      return Error{Code::kTooLarge, "clip: more than " + std::to_string(wanted_.bytes_max >> 20) +
                                        " MiB; ask for a shorter one"};
    }
    if (ended < 0) return FfmpegError("clip", ended);
    if (packets_ == 0) return Error{Code::kNotFound, "clip: nothing there at that time"};
    Clip clip;
    clip.bytes = sink_.Take();
    clip.mime = video_ != nullptr ? "video/mp4" : "audio/mp4";
    clip.start = start_;
    clip.end = std::max(start_, end_);
    return clip;
  }

 private:
  Result<AVStream*> AddCopied(const AVStream& from) {
    AVStream* to = Ffmpeg()->avformat_new_stream(output_.get(), nullptr);
    if (to == nullptr || Ffmpeg()->avcodec_parameters_copy(to->codecpar, from.codecpar) < 0) {
      return Error{Code::kTooLarge, "clip: no memory"};
    }
    to->codecpar->codec_tag = 0;  // the container's own name for the codec
    if (from.codecpar->codec_id == AV_CODEC_ID_HEVC)
      to->codecpar->codec_tag = MKTAG('h', 'v', 'c', '1');
    to->time_base = from.time_base;
    to->sample_aspect_ratio = from.sample_aspect_ratio;
    return to;
  }

  Result<AVStream*> AddEncoded(const AVCodecContext& encoder) {
    AVStream* to = Ffmpeg()->avformat_new_stream(output_.get(), nullptr);
    if (to == nullptr || Ffmpeg()->avcodec_parameters_from_context(to->codecpar, &encoder) < 0) {
      return Error{Code::kTooLarge, "clip: no memory"};
    }
    to->time_base = encoder.time_base;
    return to;
  }

  Result<av::Codec> NewEncoder(const char* name) {
    const AVCodec* codec = Ffmpeg()->avcodec_find_encoder_by_name(name);
    if (codec == nullptr) return Error{Code::kUnsupported, std::string(name) + ": not there"};
    av::Codec encoder(Ffmpeg()->avcodec_alloc_context3(codec));
    encoder->thread_count = 1;
    encoder->flags |= AV_CODEC_FLAG_GLOBAL_HEADER;
    return encoder;
  }

  Result<> AddVideo(AvFile& file) {
    const AVStream& from = *file.video();
    if (CanCopy(from)) {
      TRY(FindKey(file));
      video_ = TRY(AddCopied(from));
      return Ok{};
    }
    auto [width, height] = FilmSize(from);
    const double scale = std::min(
        1.0, static_cast<double>(kSideMax) / std::max<uint32_t>(1, std::max(width, height)));
    auto even = [&](uint32_t side) {
      return std::max(2, static_cast<int>(std::lround(side * scale / 2)) * 2);
    };
    video_encoder_ = TRY(NewEncoder("libx264"));
    video_encoder_->width = even(width);
    video_encoder_->height = even(height);
    video_encoder_->pix_fmt = AV_PIX_FMT_YUV420P;
    video_encoder_->time_base = {1, 90000};
    video_encoder_->gop_size = 50;
    Ffmpeg()->av_opt_set(video_encoder_->priv_data, "preset", "veryfast", 0);
    Ffmpeg()->av_opt_set(video_encoder_->priv_data, "crf", "25", 0);
    const int opened =
        Ffmpeg()->avcodec_open2(video_encoder_.get(), video_encoder_->codec, nullptr);
    if (opened < 0) return FfmpegError("libx264", opened);
    video_ = TRY(AddEncoded(*video_encoder_));
    return Ok{};
  }

  // Where a copy has to begin.
  Result<> FindKey(AvFile& file) {
    const av::Packet packet = av::MakePacket();
    for (const double back : {0.0, 3.0, 1e9}) {
      if (!file.Seek(std::max(0.0, wanted_.start - back), *file.video())) continue;
      while (file.Read(*file.video(), packet.get())) {
        if ((packet->flags & AV_PKT_FLAG_KEY) == 0 || packet->pts == AV_NOPTS_VALUE) continue;
        const double time = file.Seconds(packet->pts, *file.video());
        if (time > wanted_.start + 0.01 && back < 1e9 && wanted_.start > 0) break;
        start_ = std::max(0.0, time);
        return Ok{};
      }
    }
    return Error{Code::kNotFound, "clip: no frame there"};
  }

  Result<> AddAudio(AvFile& file) {
    const AVStream& from = *file.audio();
    if (CanCopy(from)) {
      audio_ = TRY(AddCopied(from));
      return Ok{};
    }
    audio_encoder_ = TRY(NewEncoder("aac"));
    audio_encoder_->sample_rate = kSoundRate;
    audio_encoder_->sample_fmt = AV_SAMPLE_FMT_FLTP;
    audio_encoder_->bit_rate = 96000;
    audio_encoder_->time_base = {1, kSoundRate};
    Ffmpeg()->av_channel_layout_default(&audio_encoder_->ch_layout, 1);
    const int opened =
        Ffmpeg()->avcodec_open2(audio_encoder_.get(), audio_encoder_->codec, nullptr);
    if (opened < 0) return FfmpegError("aac", opened);
    audio_ = TRY(AddEncoded(*audio_encoder_));
    return Ok{};
  }

  Result<> Write(AVPacket* packet, const AVStream& from, AVStream& to) {
    Ffmpeg()->av_packet_rescale_ts(packet, from.time_base, to.time_base);
    packet->stream_index = to.index;
    packet->pos = -1;
    ++packets_;
    const int written = Ffmpeg()->av_interleaved_write_frame(output_.get(), packet);
    // Whatever the muxer dislikes about a packet costs that packet; a full sink ends all.
    if (written < 0 && sink_.full()) return Error{Code::kTooLarge, "clip: too large"};
    return Ok{};
  }

  Result<> CopyVideo(AvFile& file) {
    const AVStream& stream = *file.video();
    const int64_t origin = file.Timestamp(start_, stream);
    const av::Packet packet = av::MakePacket();
    if (!file.Seek(start_, stream)) file.Seek(0, stream);
    bool begun = false;
    while (file.Read(stream, packet.get())) {
      const int64_t stamp = packet->dts != AV_NOPTS_VALUE ? packet->dts : packet->pts;
      if (stamp == AV_NOPTS_VALUE) continue;
      if (!begun) {
        const bool early =
            packet->pts != AV_NOPTS_VALUE && file.Seconds(packet->pts, stream) < start_ - 0.01;
        if ((packet->flags & AV_PKT_FLAG_KEY) == 0 || early) continue;
        begun = true;
      }
      const double time = file.Seconds(stamp, stream);
      if (time >= wanted_.end) break;
      end_ = std::max(end_, time);
      if (packet->pts != AV_NOPTS_VALUE) packet->pts -= origin;
      if (packet->dts != AV_NOPTS_VALUE) packet->dts -= origin;
      TRY(Write(packet.get(), stream, *video_));
    }
    return Ok{};
  }

  Result<> CopyAudio(AvFile& file) {
    const AVStream& stream = *file.audio();
    const int64_t origin = file.Timestamp(start_, stream);
    const av::Packet packet = av::MakePacket();
    if (start_ > 0) file.Seek(start_, stream);
    while (file.Read(stream, packet.get())) {
      const int64_t stamp = packet->pts != AV_NOPTS_VALUE ? packet->pts : packet->dts;
      if (stamp == AV_NOPTS_VALUE) continue;
      const double time = file.Seconds(stamp, stream);
      if (time < start_ - 0.02) continue;
      if (time >= wanted_.end) break;
      end_ = std::max(end_, time);
      packet->pts = std::max<int64_t>(0, stamp - origin);
      packet->dts = packet->pts;
      TRY(Write(packet.get(), stream, *audio_));
    }
    return Ok{};
  }

  // Everything that the encoder has; null: no more comes.
  Result<> Encode(AVCodecContext* encoder, const AVFrame* frame, AVStream& to) {
    if (Ffmpeg()->avcodec_send_frame(encoder, frame) < 0) return Ok{};
    const av::Packet packet = av::MakePacket();
    AVStream from{};
    from.time_base = encoder->time_base;
    while (Ffmpeg()->avcodec_receive_packet(encoder, packet.get()) == 0) {
      TRY(Write(packet.get(), from, to));
    }
    return Ok{};
  }

  Result<> EncodeVideo(AvFile& file) {
    const AVStream& stream = *file.video();
    av::Codec decoder = TRY(file.Decoder(stream, wanted_.picture_pixels_max));
    if (start_ > 0) file.Seek(start_, stream);
    const av::Packet packet = av::MakePacket();
    const av::Frame decoded = av::MakeFrame();
    Result<> done = Ok{};
    int64_t last = -1;
    auto use = [&](AVFrame* frame) {
      if (frame->best_effort_timestamp == AV_NOPTS_VALUE) return true;
      const double time = file.Seconds(frame->best_effort_timestamp, stream);
      if (time < start_ - 0.001) return true;
      if (time >= wanted_.end) return false;
      const auto stamp = static_cast<int64_t>(std::llround((time - start_) * 90000));
      if (stamp <= last) return true;
      last = stamp;
      end_ = std::max(end_, time);
      const auto picture = Planes(*frame, stream);
      if (!picture) return true;
      picture->pts = stamp;
      done = Encode(video_encoder_.get(), picture.get(), *video_);
      return done.ok();
    };
    bool more = true;
    while (more && file.Read(stream, packet.get())) {
      more = DecodePacket(decoder.get(), packet.get(), decoded.get(), use);
    }
    if (more) DecodePacket(decoder.get(), nullptr, decoded.get(), use);
    TRY(std::move(done));
    return Encode(video_encoder_.get(), nullptr, *video_);
  }

  // Upright, scaled, as the encoder wants it. Null: can't be had.
  av::Frame Planes(const AVFrame& frame, const AVStream& stream) {
    const auto longer =
        static_cast<uint32_t>(std::max(video_encoder_->width, video_encoder_->height));
    auto raster = FrameRaster(frame, stream, 0, longer);
    if (!raster.ok()) return nullptr;
    const av::Scaler scaler(
        Ffmpeg()->sws_getContext(static_cast<int>(raster->width), static_cast<int>(raster->height),
                                 AV_PIX_FMT_RGB0, video_encoder_->width, video_encoder_->height,
                                 AV_PIX_FMT_YUV420P, SWS_BILINEAR, nullptr, nullptr, nullptr));
    av::Frame out = av::MakeFrame();
    out->width = video_encoder_->width;
    out->height = video_encoder_->height;
    out->format = AV_PIX_FMT_YUV420P;
    if (!scaler || Ffmpeg()->av_frame_get_buffer(out.get(), 64) < 0) return nullptr;
    const uint8_t* planes[4] = {raster->rgbx.data()};
    const int strides[4] = {static_cast<int>(raster->width * 4)};
    if (Ffmpeg()->sws_scale(scaler.get(), planes, strides, 0, static_cast<int>(raster->height),
                            out->data, out->linesize) <= 0) {
      return nullptr;
    }
    return out;
  }

  Result<> EncodeAudio(AvFile& file) {
    std::vector<float> pending;
    int64_t at = 0;
    double begun = start_;
    Result<> done = Ok{};
    const auto most = static_cast<int64_t>((wanted_.end - start_) * kSoundRate);
    auto flush = [&](bool all) {
      const auto size = static_cast<size_t>(audio_encoder_->frame_size);
      while (done.ok() && (pending.size() >= size || (all && !pending.empty()))) {
        const size_t count = std::min(size, pending.size());
        const av::Frame frame = av::MakeFrame();
        frame->nb_samples = static_cast<int>(count);
        frame->format = AV_SAMPLE_FMT_FLTP;
        frame->sample_rate = kSoundRate;
        Ffmpeg()->av_channel_layout_default(&frame->ch_layout, 1);
        if (Ffmpeg()->av_frame_get_buffer(frame.get(), 0) < 0) return;
        std::memcpy(frame->data[0], pending.data(), count * sizeof(float));
        pending.erase(pending.begin(), pending.begin() + static_cast<ptrdiff_t>(count));
        frame->pts = at;
        at += static_cast<int64_t>(count);
        done = Encode(audio_encoder_.get(), frame.get(), *audio_);
      }
    };
    bool first = true;
    TRY(ReadSound(
        file, start_, kSoundRate,
        [&](std::span<const float> samples) {
          if (first) at = static_cast<int64_t>(std::max(0.0, begun - start_) * kSoundRate);
          first = false;
          const int64_t room = most - at - static_cast<int64_t>(pending.size());
          const auto count = static_cast<size_t>(
              std::clamp<int64_t>(room, 0, static_cast<int64_t>(samples.size())));
          pending.insert(pending.end(), samples.begin(),
                         samples.begin() + static_cast<ptrdiff_t>(count));
          flush(false);
          return done.ok() && count == samples.size();
        },
        &begun));
    flush(true);
    end_ = std::max(end_, start_ + static_cast<double>(at) / kSoundRate);
    TRY(std::move(done));
    return Encode(audio_encoder_.get(), nullptr, *audio_);
  }

  const MediaSource& source_;
  const char* demuxer_;
  const ClipWanted& wanted_;
  Sink sink_;
  std::unique_ptr<AVFormatContext, FreeOutput> output_;
  av::Codec video_encoder_;
  av::Codec audio_encoder_;
  AVStream* video_ = nullptr;
  AVStream* audio_ = nullptr;
  double start_ = 0;  // of the clip, in the film
  double end_ = 0;
  size_t packets_ = 0;
};

}  // namespace

Result<Clip> CutFilm(const MediaSource& source, const char* demuxer, const ClipWanted& wanted) {
  return Cutter(source, demuxer, wanted).Cut();
}

}  // namespace msearch::media
