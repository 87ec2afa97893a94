#include "media/picture_encoder.h"

#include <algorithm>
#include <cmath>

namespace msearch::media {
namespace {

constexpr int kTicksPerSecond = 90000;

int Even(uint32_t side) { return std::max(2, static_cast<int>((side + 1) / 2) * 2); }

}  // namespace

Result<std::unique_ptr<PictureEncoder>> PictureEncoder::Open(ClipMuxer& muxer, uint32_t width,
                                                             uint32_t height, int frames_per_key,
                                                             const AVStream* like) {
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
  if (like != nullptr) {
    encoder.color_primaries = like->codecpar->color_primaries;
    encoder.color_trc = like->codecpar->color_trc;
    encoder.colorspace = like->codecpar->color_space;
    if (encoder.colorspace == AVCOL_SPC_RGB) encoder.colorspace = AVCOL_SPC_UNSPECIFIED;
  }
  ffmpeg.av_opt_set(encoder.priv_data, "preset", "superfast", 0);
  ffmpeg.av_opt_set(encoder.priv_data, "crf", "25", 0);
  const int opened = ffmpeg.avcodec_open2(&encoder, codec, nullptr);
  if (opened < 0) return FfmpegError("libx264", opened);
  made->stream_ = TRY(muxer.AddEncoded(encoder));
  return made;
}

bool PictureEncoder::FitScaler(const Planes& planes) {
  if (scaler_ && planes.width == scaled_width_ && planes.height == scaled_height_ &&
      planes.format == scaled_format_) {
    return true;
  }
  scaled_width_ = planes.width;
  scaled_height_ = planes.height;
  scaled_format_ = planes.format;
  scaler_.reset(Ffmpeg()->sws_getContext(planes.width, planes.height, planes.format, width(),
                                         height(), AV_PIX_FMT_YUV420P, SWS_BILINEAR, nullptr,
                                         nullptr, nullptr));
  return scaler_ != nullptr;
}

Result<> PictureEncoder::Add(const Raster& picture, double seconds, double origin) {
  const uint8_t* const data[4] = {picture.rgbx.data()};
  const int strides[4] = {static_cast<int>(picture.width * 4)};
  return AddPlanes({data, strides, static_cast<int>(picture.width),
                    static_cast<int>(picture.height), AV_PIX_FMT_RGB0},
                   seconds, origin);
}

Result<> PictureEncoder::Add(const AVFrame& frame, double seconds, double origin) {
  return AddPlanes({frame.data, frame.linesize, frame.width, frame.height,
                    static_cast<AVPixelFormat>(frame.format)},
                   seconds, origin);
}

Result<> PictureEncoder::AddPlanes(const Planes& planes, double seconds, double origin) {
  origin_ = origin;
  const auto stamp = static_cast<int64_t>(std::llround(seconds * kTicksPerSecond));
  if (stamp <= last_stamp_) return Ok{};
  av::Frame frame = av::MakeFrame();
  frame->width = width();
  frame->height = height();
  frame->format = AV_PIX_FMT_YUV420P;
  frame->pts = stamp;
  if (!FitScaler(planes)) return Ok{};  // of a kind that can't be converted
  if (Ffmpeg()->av_frame_get_buffer(frame.get(), 64) < 0) {
    return Error{Code::kTooLarge, "clip: no memory"};
  }
  Ffmpeg()->sws_scale(scaler_.get(), planes.data, planes.strides, 0, planes.height, frame->data,
                      frame->linesize);
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
