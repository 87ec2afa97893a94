#include "media/ffmpeg_library.h"

#include <cerrno>

#include "base/strings.h"
#include "media/dynamic_library.h"

namespace msearch::media {
namespace {

std::string FileName(const char* name, int major) {
  return std::string(name) + ".so." + std::to_string(major);
}

Result<FfmpegLibrary> Load() {
  FfmpegLibrary ffmpeg;
#define MSEARCH_FFMPEG_FIND(name)                                       \
  if (!library.Find(#name, ffmpeg.name)) {                              \
    return Error{Code::kUnsupported, "FFmpeg: has no function " #name}; \
  }
  {
    // libavcodec and libavutil come along.
    const DynamicLibrary library =
        TRY(DynamicLibrary::Open(FileName("libavformat", LIBAVFORMAT_VERSION_MAJOR)));
    MSEARCH_FFMPEG_FUNCTIONS(MSEARCH_FFMPEG_FIND)
  }
  {
    const DynamicLibrary library =
        TRY(DynamicLibrary::Open(FileName("libswscale", LIBSWSCALE_VERSION_MAJOR)));
    MSEARCH_SWSCALE_FUNCTIONS(MSEARCH_FFMPEG_FIND)
  }
  {
    const DynamicLibrary library =
        TRY(DynamicLibrary::Open(FileName("libswresample", LIBSWRESAMPLE_VERSION_MAJOR)));
    MSEARCH_SWRESAMPLE_FUNCTIONS(MSEARCH_FFMPEG_FIND)
  }
#undef MSEARCH_FFMPEG_FIND
  ffmpeg.av_log_set_level(AV_LOG_QUIET);
  return ffmpeg;
}

Code CodeFor(int code) {
  switch (code) {
    case AVERROR(ENOMEM):
      return Code::kTooLarge;
    case AVERROR_EXIT:
      return Code::kTimeout;
    case AVERROR_DECODER_NOT_FOUND:
    case AVERROR_DEMUXER_NOT_FOUND:
    case AVERROR_PATCHWELCOME:
    case AVERROR(ENOSYS):
      return Code::kUnsupported;
    default:
      return Code::kCorrupt;
  }
}

}  // namespace

const Result<FfmpegLibrary>& Ffmpeg() {
  static const Result<FfmpegLibrary> library = Load();
  return library;
}

Error FfmpegError(const std::string& object, int code) {
  char text[AV_ERROR_MAX_STRING_SIZE] = {};
  Ffmpeg()->av_strerror(code, text, sizeof text);
  return {CodeFor(code), object + ": " + SanitizeUtf8(text)};
}

}  // namespace msearch::media
