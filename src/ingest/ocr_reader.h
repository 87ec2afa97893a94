// The reader that finds text in pictures, in scanned pages, and in frames of videos.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "embedding/text_reader.h"
#include "ingest/idle_model.h"
#include "ingest/read.h"

namespace msearch::ingest {

inline constexpr std::string_view kTextReader = "text";

struct OcrReaderOptions {
  IdleModel<embedding::TextReader>::Load load;
  Milliseconds unload_after{300'000};
};
std::shared_ptr<Reader> MakeOcrReader(OcrReaderOptions options);

// Whether there may be text to find: a document only if it has pages without text of their own.
bool MayShowText(const std::string& type, const Json& attributes);

// The lines of one view as segments, each short enough for a model to take whole. Boxes are of
// words.
std::vector<media::Segment> TextSegments(const std::vector<embedding::SeenLine>& lines);

}  // namespace msearch::ingest
