#include "media/picture_encoder.h"

#include <algorithm>
#include <cmath>

namespace msearch::media {
namespace {

constexpr int kTicksPerSecond = 90000;

int Even(uint32_t side) { return std::max(2, static_cast<int>((side + 1) / 2) * 2); }

}  // namespace

Result<std::unique_ptr<PictureEncoder>> PictureEncoder::Open(ClipMuxer& muxer, uint32_t width,
                                                             uint32_t height, int frames_per_key) {
  const FfmpegLibrary& ffmpeg = *Ffmpeg();
  const AVCodec* codec = ffmpeg.avcodec_find_encoder_by_name("libx264");
  if (codec == nullptr) return Error{Code::kUnsupported, "libx264: not there"};
  std::unique_ptr<PictureEncoder> made(new PictureEncoder(muxer));
  made->encoder_.reset(ffmpeg.avcodec_alloc_context3(codec));
  AVCodecContext& encoder = *made->encoder_;
  encoder.thread_count = 1;
  encoder.flags |= AV_CODEC_FLAG_GLOBAL_HEADER;
  encoder.width = Even(width);
  encoder.height = Even(height);
  encoder.pix_fmt = AV_PIX_FMT_YUV420P;
  encoder.time_base = {1, kTicksPerSecond};
  encoder.gop_size = frames_per_key;
  ffmpeg.av_opt_set(encoder.priv_data, "preset", "veryfast", 0);
  ffmpeg.av_opt_set(encoder.priv_data, "crf", "25", 0);
  const int opened = ffmpeg.avcodec_open2(&encoder, codec, nullptr);
  if (opened < 0) return FfmpegError("libx264", opened);
  made->stream_ = TRY(muxer.AddEncoded(encoder));
  return made;
}

bool PictureEncoder::FitScaler(const Raster& picture) {
  if (scaler_ && picture.width == scaled_width_ && picture.height == scaled_height_) return true;
  scaled_width_ = picture.width;
  scaled_height_ = picture.height;
  scaler_.reset(Ffmpeg()->sws_getContext(
      static_cast<int>(picture.width), static_cast<int>(picture.height), AV_PIX_FMT_RGB0, width(),
      height(), AV_PIX_FMT_YUV420P, SWS_BILINEAR, nullptr, nullptr, nullptr));
  return scaler_ != nullptr;
}

Result<> PictureEncoder::Add(const Raster& picture, double seconds, double origin) {
  origin_ = origin;
  const auto stamp = static_cast<int64_t>(std::llround(seconds * kTicksPerSecond));
  if (stamp <= last_stamp_) return Ok{};
  av::Frame frame = av::MakeFrame();
  frame->width = width();
  frame->height = height();
  frame->format = AV_PIX_FMT_YUV420P;
  frame->pts = stamp;
  if (!FitScaler(picture) || Ffmpeg()->av_frame_get_buffer(frame.get(), 64) < 0) {
    return Error{Code::kTooLarge, "clip: no memory"};
  }
  const uint8_t* planes[4] = {picture.rgbx.data()};
  const int strides[4] = {static_cast<int>(picture.width * 4)};
  Ffmpeg()->sws_scale(scaler_.get(), planes, strides, 0, static_cast<int>(picture.height),
                      frame->data, frame->linesize);
  last_stamp_ = stamp;
  return Encode(frame.get());
}

Result<> PictureEncoder::Finish() { return Encode(nullptr); }

Result<> PictureEncoder::Encode(const AVFrame* frame) {
  if (Ffmpeg()->avcodec_send_frame(encoder_.get(), frame) < 0) return Ok{};
  const av::Packet packet = av::MakePacket();
  while (Ffmpeg()->avcodec_receive_packet(encoder_.get(), packet.get()) == 0) {
    const double time = origin_ + static_cast<double>(packet->pts) / kTicksPerSecond;
    TRY(muxer_->Write(packet.get(), encoder_->time_base, *stream_, time));
  }
  return Ok{};
}

}  // namespace msearch::media
