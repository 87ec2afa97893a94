// The sound of a file: one channel, at the rate that the listener wants.
#pragma once

#include <cstdint>
#include <functional>
#include <span>

#include "media/av_file.h"

namespace msearch::media {

// Decodes file.audio(), which must be there, from `start` seconds on and hands on samples (-1 to 1,
// all channels mixed) piece by piece until `take` answers false or the sound ends. `start_told`,
// when given, gets the time of the first sample, which is later than asked for where the sound
// begins later. Damaged stretches are skipped. Errors: kUnsupported, kCorrupt (nothing could be
// decoded at all from the very beginning).
Result<> ReadSound(AvFile& file, double start, uint32_t rate,
                   const std::function<bool(std::span<const float>)>& take,
                   double* start_told = nullptr);

}  // namespace msearch::media
