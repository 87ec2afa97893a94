// For tests: decodes in this process, without a child.
#pragma once

#include <string>

#include "media/decoder.h"
#include "media/raster.h"
#include "support/memory_file.h"

namespace msearch::media {

inline Result<Prepared> PrepareBytes(const std::string& bytes, const std::string& name,
                                     const PrepareOptions& options = {}) {
  const Fd fd = test::MemoryFile(bytes);
  MediaSource source;
  source.fd = fd.get();
  source.size = bytes.size();
  source.name = name;
  source.head = std::string_view(bytes).substr(0, MediaSource::kHeadBytes);
  return PrepareMedia(source, options);
}

// The picture that `pixels` of this size hold.
inline Raster FromRgb(const std::string& rgb, uint32_t width, uint32_t height) {
  Raster raster(width, height);
  for (size_t i = 0; i < rgb.size() / 3 && i < raster.rgbx.size() / 4; ++i) {
    for (size_t channel = 0; channel < 3; ++channel) {
      raster.rgbx[i * 4 + channel] = static_cast<uint8_t>(rgb[i * 3 + channel]);
    }
  }
  return raster;
}

}  // namespace msearch::media
