// A stretch of a film as an MP4 that browsers play while it arrives: fragmented, its head first.
// Streams that MP4 and every browser know are copied (HEVC isn't one), from the key frame before;
// others are decoded and encoded anew, at most 1280 pixels wide, H.264 and AAC. Sound and pictures
// are read by a pass each over the file; the sound leads and the pictures follow it, so that the
// muxer, which puts them in order, never holds more than a moment of either.

#include <algorithm>
#include <cmath>
#include <cstring>

#include "media/clip_muxer.h"
#include "media/film.h"
#include "media/film_frame.h"
#include "media/picture_encoder.h"
#include "media/sound_reader.h"

namespace msearch::media {
namespace {

constexpr int kSideMax = 1280;
constexpr int kFramesPerKey = 50;
constexpr int kSoundRate = 48000;
constexpr double kEndOfTime = 1e12;

bool CanCopy(const AVStream& stream) {
  switch (stream.codecpar->codec_id) {
    case AV_CODEC_ID_H264:
      // Players know 8 bits and halved colours only.
      return stream.codecpar->format == AV_PIX_FMT_YUV420P ||
             stream.codecpar->format == AV_PIX_FMT_YUVJ420P;
    case AV_CODEC_ID_AAC:
      // Without a description of its own it is packed as MP4 doesn't want it.
      return stream.codecpar->extradata_size > 0;
    case AV_CODEC_ID_AV1:
    case AV_CODEC_ID_VP9:
    case AV_CODEC_ID_MP3:
    case AV_CODEC_ID_OPUS:
      return true;
    default:
      return false;
  }
}

// As the encoder takes it: not to be turned, with square pixels, and nothing to see through.
bool StandsUpright(const AVStream& stream) {
  const AVPixFmtDescriptor* format =
      Ffmpeg()->av_pix_fmt_desc_get(static_cast<AVPixelFormat>(stream.codecpar->format));
  if (format == nullptr || (format->flags & AV_PIX_FMT_FLAG_ALPHA) != 0) return false;
  const auto square = [](AVRational ratio) { return ratio.num == 0 || ratio.num == ratio.den; };
  return FilmOrientation(stream) == 1 && square(stream.sample_aspect_ratio) &&
         square(stream.codecpar->sample_aspect_ratio);
}

class Cutter {
 public:
  Cutter(const MediaSource& source, const char* demuxer, const ClipWanted& wanted,
         const TakeClip& take)
      : source_(source), demuxer_(demuxer), wanted_(wanted), muxer_(wanted.bytes_max, take) {}

  Result<Clip> Cut() {
    pictures_ = TRY(AvFile::Open(source_, demuxer_));
    sound_ = TRY(AvFile::Open(source_, demuxer_));
    TRY(muxer_.Open());
    start_ = wanted_.start;
    has_video_ = pictures_->video() != nullptr;
    if (has_video_) TRY(AddVideo());
    if (sound_->audio() != nullptr) TRY(AddAudio());
    TRY(muxer_.Begin({has_video_ ? "video/mp4" : "audio/mp4", start_, start_},
                     std::min(wanted_.end, std::max(start_, Duration())) - start_));
    if (audio_ != nullptr) TRY(audio_encoder_ ? EncodeAudio() : CopyAudio());
    TRY(AdvanceVideo(kEndOfTime));
    return muxer_.End();
  }

 private:
  double Duration() const {
    return pictures_->duration() > 0 ? pictures_->duration() : wanted_.end;
  }

  Result<av::Codec> NewEncoder(const char* name) {
    const AVCodec* codec = Ffmpeg()->avcodec_find_encoder_by_name(name);
    if (codec == nullptr) return Error{Code::kUnsupported, std::string(name) + ": not there"};
    av::Codec encoder(Ffmpeg()->avcodec_alloc_context3(codec));
    encoder->thread_count = 1;
    encoder->flags |= AV_CODEC_FLAG_GLOBAL_HEADER;
    return encoder;
  }

  Result<> AddVideo() {
    const AVStream& from = *pictures_->video();
    if (CanCopy(from)) {
      TRY(FindKey());
      video_ = TRY(muxer_.AddCopied(from));
      return GoToStart();
    }
    auto [width, height] = FilmSize(from);
    upright_ = StandsUpright(from);
    const double scale = std::min(
        1.0, static_cast<double>(kSideMax) / std::max<uint32_t>(1, std::max(width, height)));
    auto scaled = [&](uint32_t side) { return static_cast<uint32_t>(std::lround(side * scale)); };
    video_encoder_ = TRY(PictureEncoder::Open(muxer_, scaled(width), scaled(height), kFramesPerKey,
                                              upright_ ? &from : nullptr));
    video_decoder_ = TRY(pictures_->Decoder(from, wanted_.picture_pixels_max));
    if (start_ > 0) pictures_->Seek(start_, from);
    return Ok{};
  }

  // Where a copy has to begin.
  Result<> FindKey() {
    AvFile& file = *pictures_;
    const av::Packet packet = av::MakePacket();
    for (const double back : {0.0, 3.0, 1e9}) {
      if (!file.Seek(std::max(0.0, wanted_.start - back), *file.video())) continue;
      while (file.Read(*file.video(), packet.get())) {
        if ((packet->flags & AV_PKT_FLAG_KEY) == 0 || packet->pts == AV_NOPTS_VALUE) continue;
        const double time = file.Seconds(packet->pts, *file.video());
        if (time > wanted_.start + 0.01 && back < 1e9 && wanted_.start > 0) break;
        start_ = std::max(0.0, time);
        return Reaches(wanted_.start);
      }
    }
    return Error{Code::kNotFound, "clip: no frame there"};
  }

  // Behind the end of the film there is a key frame before, too.
  Result<> Reaches(double seconds) {
    const AVStream& stream = *pictures_->video();
    double time = start_;
    while (time < seconds && pictures_->Read(stream, packet_.get())) {
      if (packet_->pts == AV_NOPTS_VALUE) continue;
      time = std::max(time, pictures_->Seconds(packet_->pts + packet_->duration, stream));
    }
    if (time < seconds) return Error{Code::kNotFound, "clip: nothing there at that time"};
    return Ok{};
  }

  Result<> GoToStart() {
    const AVStream& stream = *pictures_->video();
    if (!pictures_->Seek(start_, stream)) pictures_->Seek(0, stream);
    return Ok{};
  }

  Result<> AddAudio() {
    const AVStream& from = *sound_->audio();
    if (CanCopy(from)) {
      audio_ = TRY(muxer_.AddCopied(from));
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
    audio_ = TRY(muxer_.AddEncoded(*audio_encoder_));
    return Ok{};
  }

  // Pictures until `until`, seconds in the film, or their end.
  Result<> AdvanceVideo(double until) {
    while (has_video_ && !video_over_ && video_at_ < until) {
      if (pictures_->Read(*pictures_->video(), packet_.get())) {
        TRY(video_encoder_ ? EncodePicture(packet_.get()) : CopyPicture());
      } else {
        if (video_encoder_) TRY(EncodePicture(nullptr));
        video_over_ = true;
      }
      if (video_over_ && video_encoder_) TRY(video_encoder_->Finish());
    }
    return Ok{};
  }

  Result<> CopyPicture() {
    const AVStream& stream = *pictures_->video();
    AVPacket& packet = *packet_;
    const int64_t stamp = packet.dts != AV_NOPTS_VALUE ? packet.dts : packet.pts;
    if (stamp == AV_NOPTS_VALUE) return Ok{};
    if (!video_begun_) {
      const bool early =
          packet.pts != AV_NOPTS_VALUE && pictures_->Seconds(packet.pts, stream) < start_ - 0.01;
      if ((packet.flags & AV_PKT_FLAG_KEY) == 0 || early) return Ok{};
      video_begun_ = true;
    }
    const double time = pictures_->Seconds(stamp, stream);
    video_at_ = std::max(video_at_, time);
    video_over_ = time >= wanted_.end;
    if (video_over_) return Ok{};
    const int64_t origin = pictures_->Timestamp(start_, stream);
    if (packet.pts != AV_NOPTS_VALUE) packet.pts -= origin;
    if (packet.dts != AV_NOPTS_VALUE) packet.dts -= origin;
    return muxer_.Write(&packet, stream.time_base, *video_, time);
  }

  // What comes of this packet; null: of all before.
  Result<> EncodePicture(const AVPacket* packet) {
    Result<> done = Ok{};
    const bool more =
        DecodePacket(video_decoder_.get(), packet, decoded_.get(), [&](const AVFrame* frame) {
          done = EncodeFrame(*frame);
          return done.ok() && !video_over_;
        });
    if (!more) video_over_ = true;
    return done;
  }

  Result<> EncodeFrame(const AVFrame& frame) {
    const AVStream& stream = *pictures_->video();
    if (frame.best_effort_timestamp == AV_NOPTS_VALUE) return Ok{};
    const double time = pictures_->Seconds(frame.best_effort_timestamp, stream);
    if (time < start_ - 0.001) return Ok{};
    video_at_ = std::max(video_at_, time);
    video_over_ = time >= wanted_.end;
    if (video_over_) return Ok{};
    if (upright_) return video_encoder_->Add(frame, time - start_, start_);
    const auto longer =
        static_cast<uint32_t>(std::max(video_encoder_->width(), video_encoder_->height()));
    const Result<Raster> picture = FrameRaster(frame, stream, 0, longer);
    if (!picture.ok()) return Ok{};
    return video_encoder_->Add(*picture, time - start_, start_);
  }

  // Everything that the encoder has; null: no more comes.
  Result<> EncodeSound(const AVFrame* frame) {
    AVCodecContext* const encoder = audio_encoder_.get();
    if (Ffmpeg()->avcodec_send_frame(encoder, frame) < 0) return Ok{};
    const av::Packet packet = av::MakePacket();
    while (Ffmpeg()->avcodec_receive_packet(encoder, packet.get()) == 0) {
      const double time = start_ + static_cast<double>(packet->pts) * encoder->time_base.num /
                                       encoder->time_base.den;
      TRY(muxer_.Write(packet.get(), encoder->time_base, *audio_, time));
    }
    return Ok{};
  }

  Result<> CopyAudio() {
    const AVStream& stream = *sound_->audio();
    const int64_t origin = sound_->Timestamp(start_, stream);
    const av::Packet packet = av::MakePacket();
    if (start_ > 0) sound_->Seek(start_, stream);
    while (sound_->Read(stream, packet.get())) {
      const int64_t stamp = packet->pts != AV_NOPTS_VALUE ? packet->pts : packet->dts;
      if (stamp == AV_NOPTS_VALUE) continue;
      const double time = sound_->Seconds(stamp, stream);
      if (time < start_ - 0.02) continue;
      if (time >= wanted_.end) break;
      TRY(AdvanceVideo(time));
      packet->pts = std::max<int64_t>(0, stamp - origin);
      packet->dts = packet->pts;
      TRY(muxer_.Write(packet.get(), stream.time_base, *audio_, time));
    }
    return Ok{};
  }

  Result<> EncodeAudio() {
    double begun = start_;
    Result<> done = Ok{};
    bool first = true;
    TRY(ReadSound(
        *sound_, start_, kSoundRate,
        [&](std::span<const float> samples) {
          // A broken file says of its sound that it begins in a million years.
          const double silence = std::max(0.0, std::min(begun, wanted_.end) - start_);
          if (first) sound_at_ = static_cast<int64_t>(silence * kSoundRate);
          first = false;
          done = TakeSound(samples);
          const auto most = static_cast<int64_t>((wanted_.end - start_) * kSoundRate);
          return done.ok() && sound_at_ + static_cast<int64_t>(pending_.size()) < most;
        },
        &begun));
    TRY(std::move(done));
    if (!pending_.empty()) TRY(EncodePending(pending_.size()));
    return EncodeSound(nullptr);
  }

  Result<> TakeSound(std::span<const float> samples) {
    const auto most = static_cast<int64_t>((wanted_.end - start_) * kSoundRate);
    const int64_t room = most - sound_at_ - static_cast<int64_t>(pending_.size());
    const auto count =
        static_cast<size_t>(std::clamp<int64_t>(room, 0, static_cast<int64_t>(samples.size())));
    pending_.insert(pending_.end(), samples.begin(),
                    samples.begin() + static_cast<ptrdiff_t>(count));
    const auto size = static_cast<size_t>(audio_encoder_->frame_size);
    while (pending_.size() >= size) TRY(EncodePending(size));
    return Ok{};
  }

  Result<> EncodePending(size_t count) {
    const av::Frame frame = av::MakeFrame();
    frame->nb_samples = static_cast<int>(count);
    frame->format = AV_SAMPLE_FMT_FLTP;
    frame->sample_rate = kSoundRate;
    Ffmpeg()->av_channel_layout_default(&frame->ch_layout, 1);
    if (Ffmpeg()->av_frame_get_buffer(frame.get(), 0) < 0) {
      return Error{Code::kTooLarge, "clip: no memory"};
    }
    std::memcpy(frame->data[0], pending_.data(), count * sizeof(float));
    pending_.erase(pending_.begin(), pending_.begin() + static_cast<ptrdiff_t>(count));
    frame->pts = sound_at_;
    TRY(AdvanceVideo(start_ + static_cast<double>(sound_at_) / kSoundRate));
    sound_at_ += static_cast<int64_t>(count);
    return EncodeSound(frame.get());
  }

  const MediaSource& source_;
  const char* demuxer_;
  const ClipWanted& wanted_;
  ClipMuxer muxer_;
  std::unique_ptr<AvFile> pictures_;
  std::unique_ptr<AvFile> sound_;
  AVStream* video_ = nullptr;  // of the clip; null: it has none, or one of video_encoder_'s
  AVStream* audio_ = nullptr;
  std::unique_ptr<PictureEncoder> video_encoder_;  // null: copied
  av::Codec audio_encoder_;
  double start_ = 0;  // of the clip, in the film

  av::Packet packet_ = av::MakePacket();
  av::Codec video_decoder_;
  av::Frame decoded_ = av::MakeFrame();
  double video_at_ = -1;  // seconds in the film up to which pictures were read
  bool has_video_ = false;
  bool upright_ = false;
  bool video_begun_ = false;
  bool video_over_ = false;

  std::vector<float> pending_;  // samples that fill no frame yet
  int64_t sound_at_ = 0;        // of the first of them, in samples from the clip's beginning
};

}  // namespace

Result<Clip> CutFilm(const MediaSource& source, const char* demuxer, const ClipWanted& wanted,
                     const TakeClip& take) {
  return Cutter(source, demuxer, wanted, take).Cut();
}

}  // namespace msearch::media
