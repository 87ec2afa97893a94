// Where the catalog keeps what sounds are recognised by: under two model keys of their own, beside
// the model for pictures and words, whichever that is. So they travel, change and vanish with their
// segments, and indexes follow the change log as for every other model.
#pragma once

#include <string_view>
#include <vector>

#include "catalog/catalog.h"
#include "embedding/embedder.h"
#include "media/sound_print.h"

namespace msearch::ingest {

// Of each window of sound: one view of media::SoundPrint::kDimensions numbers.
inline constexpr std::string_view kSoundSpace = "sound:1";
// Of the first window of a sound only, for all of it: the items of its fingerprint, each as two
// whole numbers below 65536 (the upper and the lower half), which float32 holds exactly.
inline constexpr std::string_view kFingerprintSpace = "fingerprint:1";

// What an index of kSoundSpace needs to know.
embedding::ModelInfo SoundModel();

std::vector<float> PackFingerprint(const std::vector<uint32_t>& items);
// Numbers that no fingerprint has become 0, which matches nothing.
std::vector<uint32_t> UnpackFingerprint(const std::vector<float>& numbers);

// Hands the print's parts to the content's segments of sound, in order.
void AddSoundPrint(const media::SoundPrint& print, catalog::MediaContent* content);

}  // namespace msearch::ingest
