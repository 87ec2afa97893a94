// libwebpdemux, loaded at run time (see dynamic_library.h): the frames of animated WebP pictures.
#pragma once

#include <webp/demux.h>

#include "base/result.h"

namespace msearch::media {

struct WebpLibrary {
#define MSEARCH_WEBP_FUNCTIONS(X)       \
  X(WebPAnimDecoderDelete)              \
  X(WebPAnimDecoderGetInfo)             \
  X(WebPAnimDecoderGetNext)             \
  X(WebPAnimDecoderHasMoreFrames)       \
  X(WebPAnimDecoderNewInternal)         \
  X(WebPAnimDecoderOptionsInitInternal) \
  X(WebPDemuxDelete)                    \
  X(WebPDemuxGetFrame)                  \
  X(WebPDemuxGetI)                      \
  X(WebPDemuxInternal)                  \
  X(WebPDemuxNextFrame)                 \
  X(WebPDemuxReleaseIterator)
#define MSEARCH_WEBP_MEMBER(name) decltype(&::name) name = nullptr;
  MSEARCH_WEBP_FUNCTIONS(MSEARCH_WEBP_MEMBER)
#undef MSEARCH_WEBP_MEMBER
};

// Loads it on first use; the same answer ever after. Thread-safe.
const Result<WebpLibrary>& Webp();

}  // namespace msearch::media
