// The reader that tells what sound and video sound like: a dog, rain, applause.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "embedding/sound_tagger.h"
#include "ingest/idle_model.h"
#include "ingest/read.h"

namespace msearch::ingest {

inline constexpr std::string_view kSoundsReader = "sounds";

struct SoundsReaderOptions {
  IdleModel<embedding::SoundTagger>::Load load;
  Milliseconds unload_after{300'000};
};
std::shared_ptr<Reader> MakeSoundsReader(SoundsReaderOptions options);

// Joins neighbouring windows in which the likeliest sound goes on. What is of no use to search,
// speech (it has a reader of its own) and silence, is left out.
std::vector<media::Segment> SoundSegments(const std::vector<embedding::HeardWindow>& windows);

}  // namespace msearch::ingest
