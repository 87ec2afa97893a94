// FFmpeg's libraries, loaded at run time (see dynamic_library.h). Everything that they are used for
// goes through this table, so that no process but a codec child maps them.
#pragma once

extern "C" {
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/channel_layout.h>
#include <libavutil/dict.h>
#include <libavutil/display.h>
#include <libavutil/opt.h>
#include <libavutil/pixdesc.h>
#include <libswresample/swresample.h>
#include <libswscale/swscale.h>
}

#include <memory>
#include <string>

#include "base/result.h"

namespace msearch::media {

struct FfmpegLibrary {
#define MSEARCH_FFMPEG_FUNCTIONS(X)  \
  X(av_buffer_unref)                 \
  X(av_channel_layout_copy)          \
  X(av_channel_layout_default)       \
  X(av_channel_layout_uninit)        \
  X(av_dict_free)                    \
  X(av_dict_get)                     \
  X(av_dict_set)                     \
  X(av_find_best_stream)             \
  X(av_find_input_format)            \
  X(av_frame_alloc)                  \
  X(av_frame_free)                   \
  X(av_frame_get_buffer)             \
  X(av_frame_make_writable)          \
  X(av_frame_move_ref)               \
  X(av_frame_unref)                  \
  X(av_free)                         \
  X(av_freep)                        \
  X(av_interleaved_write_frame)      \
  X(av_log_set_level)                \
  X(av_malloc)                       \
  X(av_opt_set)                      \
  X(av_packet_alloc)                 \
  X(av_packet_free)                  \
  X(av_packet_rescale_ts)            \
  X(av_packet_unref)                 \
  X(av_pix_fmt_desc_get)             \
  X(av_read_frame)                   \
  X(av_rescale_q)                    \
  X(av_seek_frame)                   \
  X(av_stream_get_side_data)         \
  X(av_stream_new_side_data)         \
  X(av_strerror)                     \
  X(av_write_trailer)                \
  X(avcodec_alloc_context3)          \
  X(avcodec_find_decoder)            \
  X(avcodec_find_encoder_by_name)    \
  X(avcodec_flush_buffers)           \
  X(avcodec_free_context)            \
  X(avcodec_get_name)                \
  X(avcodec_open2)                   \
  X(avcodec_parameters_copy)         \
  X(avcodec_parameters_from_context) \
  X(avcodec_parameters_to_context)   \
  X(avcodec_receive_frame)           \
  X(avcodec_receive_packet)          \
  X(avcodec_send_frame)              \
  X(avcodec_send_packet)             \
  X(avformat_alloc_context)          \
  X(avformat_alloc_output_context2)  \
  X(avformat_close_input)            \
  X(avformat_find_stream_info)       \
  X(avformat_free_context)           \
  X(avformat_new_stream)             \
  X(avformat_open_input)             \
  X(avformat_write_header)           \
  X(avio_alloc_context)              \
  X(avio_context_free)               \
  X(avio_flush)
#define MSEARCH_SWSCALE_FUNCTIONS(X) \
  X(sws_freeContext)                 \
  X(sws_getCoefficients)             \
  X(sws_getContext)                  \
  X(sws_scale)                       \
  X(sws_setColorspaceDetails)
#define MSEARCH_SWRESAMPLE_FUNCTIONS(X) \
  X(swr_alloc_set_opts2)                \
  X(swr_convert)                        \
  X(swr_free)                           \
  X(swr_init)
#define MSEARCH_FFMPEG_MEMBER(name) decltype(&::name) name = nullptr;
  MSEARCH_FFMPEG_FUNCTIONS(MSEARCH_FFMPEG_MEMBER)
  MSEARCH_SWSCALE_FUNCTIONS(MSEARCH_FFMPEG_MEMBER)
  MSEARCH_SWRESAMPLE_FUNCTIONS(MSEARCH_FFMPEG_MEMBER)
#undef MSEARCH_FFMPEG_MEMBER
};

// Loads it on first use; the same answer ever after. Thread-safe.
const Result<FfmpegLibrary>& Ffmpeg();

// An error code of the library as ours: "object: fault".
Error FfmpegError(const std::string& object, int code);

namespace av {

struct FreePacket {
  void operator()(AVPacket* packet) const { Ffmpeg()->av_packet_free(&packet); }
};
using Packet = std::unique_ptr<AVPacket, FreePacket>;
inline Packet MakePacket() { return Packet(Ffmpeg()->av_packet_alloc()); }

struct FreeFrame {
  void operator()(AVFrame* frame) const { Ffmpeg()->av_frame_free(&frame); }
};
using Frame = std::unique_ptr<AVFrame, FreeFrame>;
inline Frame MakeFrame() { return Frame(Ffmpeg()->av_frame_alloc()); }

struct FreeCodec {
  void operator()(AVCodecContext* codec) const { Ffmpeg()->avcodec_free_context(&codec); }
};
using Codec = std::unique_ptr<AVCodecContext, FreeCodec>;

struct FreeScaler {
  void operator()(SwsContext* scaler) const { Ffmpeg()->sws_freeContext(scaler); }
};
using Scaler = std::unique_ptr<SwsContext, FreeScaler>;

struct FreeResampler {
  void operator()(SwrContext* resampler) const { Ffmpeg()->swr_free(&resampler); }
};
using Resampler = std::unique_ptr<SwrContext, FreeResampler>;

}  // namespace av

}  // namespace msearch::media
