// Pixels of a picture as a network's input: planes in blue, green, red order, values scaled.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "embedding/text_map.h"
#include "embedding/text_reader.h"

namespace msearch::embedding {

// (byte / 255 - mean) / deviation, by plane.
struct PlaneScale {
  std::array<float, 3> mean;
  std::array<float, 3> deviation;
};

// All of the picture, each point the mean of the pixels that it stands for.
std::vector<float> ResizeToPlanes(const PictureView& picture, uint32_t width, uint32_t height,
                                  const PlaneScale& scale);

// What lies in the quad, straightened, `width` times `height`; points beyond it up to
// `padded_width` are 0. Beyond the picture its edge goes on.
std::vector<float> CropToPlanes(const PictureView& picture, const TextQuad& quad, uint32_t width,
                                uint32_t padded_width, uint32_t height, const PlaneScale& scale);

}  // namespace msearch::embedding
