// The reader that writes down what is said in sound and video.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "embedding/transcriber.h"
#include "ingest/idle_model.h"
#include "ingest/read.h"

namespace msearch::ingest {

inline constexpr std::string_view kSpeechReader = "speech";

struct SpeechReaderOptions {
  IdleModel<embedding::Transcriber>::Load load;
  Milliseconds unload_after{300'000};
  std::vector<std::string> languages;  // that may occur; empty: any
};
// As catalog::ReaderSpec::key, from the model's key.
std::string SpeechReaderKey(const std::string& model_key,
                            const std::vector<std::string>& languages);
std::shared_ptr<Reader> MakeSpeechReader(SpeechReaderOptions options);

// Joins what was said one after the other into passages of a fair length, that end with a sentence
// where there is one.
std::vector<media::Segment> SpeechPassages(const std::vector<embedding::SpokenText>& texts);

}  // namespace msearch::ingest
