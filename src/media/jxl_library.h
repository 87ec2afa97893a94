// libjxl, loaded at run time (see dynamic_library.h): JPEG XL.
#pragma once

#include <jxl/decode.h>
#include <jxl/encode.h>

#include "base/result.h"

namespace msearch::media {

struct JxlLibrary {
#define MSEARCH_JXL_FUNCTIONS(X)        \
  X(JxlColorEncodingSetToSRGB)          \
  X(JxlDecoderCloseInput)               \
  X(JxlDecoderCreate)                   \
  X(JxlDecoderDestroy)                  \
  X(JxlDecoderGetBasicInfo)             \
  X(JxlDecoderGetBoxType)               \
  X(JxlDecoderGetColorAsICCProfile)     \
  X(JxlDecoderGetICCProfileSize)        \
  X(JxlDecoderProcessInput)             \
  X(JxlDecoderReleaseBoxBuffer)         \
  X(JxlDecoderSetBoxBuffer)             \
  X(JxlDecoderSetDecompressBoxes)       \
  X(JxlDecoderSetImageOutBuffer)        \
  X(JxlDecoderSetInput)                 \
  X(JxlDecoderSetPreferredColorProfile) \
  X(JxlDecoderSubscribeEvents)          \
  X(JxlEncoderAddBox)                   \
  X(JxlEncoderAddImageFrame)            \
  X(JxlEncoderCloseBoxes)               \
  X(JxlEncoderCloseInput)               \
  X(JxlEncoderCreate)                   \
  X(JxlEncoderDestroy)                  \
  X(JxlEncoderFrameSettingsCreate)      \
  X(JxlEncoderInitBasicInfo)            \
  X(JxlEncoderProcessOutput)            \
  X(JxlEncoderSetBasicInfo)             \
  X(JxlEncoderSetColorEncoding)         \
  X(JxlEncoderUseBoxes)
#define MSEARCH_JXL_MEMBER(name) decltype(&::name) name = nullptr;
  MSEARCH_JXL_FUNCTIONS(MSEARCH_JXL_MEMBER)
#undef MSEARCH_JXL_MEMBER
};

// Loads it on first use; the same answer ever after. Thread-safe.
const Result<JxlLibrary>& Jxl();

}  // namespace msearch::media
