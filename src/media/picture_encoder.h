// Frames to H.264 as browsers play it.
#pragma once

#include "media/clip_muxer.h"
#include "media/raster.h"

namespace msearch::media {

class PictureEncoder {
 public:
  // A stream of `muxer`, of this size, rounded to even sides; at most every so many frames a key
  // frame. `like`: the stream whose frames are given as they are, for what they say of their
  // colours; null: pictures are. The muxer has to outlive it.
  static Result<std::unique_ptr<PictureEncoder>> Open(ClipMuxer& muxer, uint32_t width,
                                                      uint32_t height, int frames_per_key,
                                                      const AVStream* like = nullptr);

  int width() const { return encoder_->width; }
  int height() const { return encoder_->height; }
  // `seconds` from the clip's beginning, which is at `origin` in the film. One that isn't later
  // than the one before is left out.
  Result<> Add(const Raster& picture, double seconds, double origin);
  Result<> Add(const AVFrame& frame, double seconds, double origin);
  // No more come.
  Result<> Finish();

 private:
  explicit PictureEncoder(ClipMuxer& muxer) : muxer_(&muxer) {}
  struct Planes {
    const uint8_t* const* data = nullptr;
    const int* strides = nullptr;
    int width = 0;
    int height = 0;
    AVPixelFormat format = AV_PIX_FMT_NONE;
  };
  bool FitScaler(const Planes& planes);
  Result<> AddPlanes(const Planes& planes, double seconds, double origin);
  Result<> Encode(const AVFrame* frame);

  ClipMuxer* muxer_;
  AVStream* stream_ = nullptr;
  av::Codec encoder_;
  av::Scaler scaler_;
  int scaled_width_ = 0;
  int scaled_height_ = 0;
  AVPixelFormat scaled_format_ = AV_PIX_FMT_NONE;
  int64_t last_stamp_ = -1;
  double origin_ = 0;
};

}  // namespace msearch::media
