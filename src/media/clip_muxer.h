// A clip in the making: a fragmented MP4 that is handed on while packets come in.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "media/codec.h"
#include "media/ffmpeg_library.h"

namespace msearch::media {

class ClipMuxer {
 public:
  ClipMuxer(uint64_t bytes_max, const TakeClip& take) : bytes_max_(bytes_max), take_(take) {}
  ~ClipMuxer();
  ClipMuxer(const ClipMuxer&) = delete;
  ClipMuxer& operator=(const ClipMuxer&) = delete;

  // In this order: Open, streams, Begin, packets, End. After an error it is of no further use.
  Result<> Open();
  Result<AVStream*> AddCopied(const AVStream& from);
  Result<AVStream*> AddEncoded(const AVCodecContext& encoder);
  // `seconds`: how long it will be, about, for players to show before all of it is there.
  Result<> Begin(const Clip& clip, double seconds);
  // Times are the clip's own, in `time_base`; `time` is the packet's in the film. kTooLarge beyond
  // `bytes_max`, kCancelled when the rest isn't wanted.
  Result<> Write(AVPacket* packet, AVRational time_base, AVStream& to, double time);
  // kNotFound when nothing was written.
  Result<Clip> End();

 private:
  struct FreeOutput {
    void operator()(AVFormatContext* context) const { Ffmpeg()->avformat_free_context(context); }
  };
  static int Take(void* self, uint8_t* data, int size);
  bool Pass(std::string_view bytes);
  Error Stopped() const;

  const uint64_t bytes_max_;
  const TakeClip& take_;
  std::unique_ptr<AVFormatContext, FreeOutput> output_;
  AVIOContext* io_ = nullptr;
  Clip clip_;
  double seconds_ = 0;
  std::string head_;  // held back until there is a packet
  bool flowing_ = false;
  uint64_t bytes_ = 0;
  bool full_ = false;
  bool unwanted_ = false;
};

}  // namespace msearch::media
