// Documents: text cut into passages.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "media/codec.h"
#include "media/source.h"

namespace msearch::media {

// Errors: kTooLarge, kUnsupported (not text), kCorrupt (nothing in it).
Result<Prepared> PrepareText(const MediaSource& source, const PrepareOptions& options);
Result<Prepared> PrepareMarkdown(const MediaSource& source, const PrepareOptions& options);

// Cuts at paragraphs where that gives passages of a fair size, else between sentences, else between
// words; no passage has more than `words_max` words, none is empty, and together they are the text,
// but for white space at the cuts.
std::vector<std::string> CutPassages(std::string_view utf8, uint32_t words_max);

struct PlainMarkdown {
  std::string title;  // the first heading, or the title of the front matter
  std::string text;   // what a reader sees: no marks, link targets, comments, or front matter
};
PlainMarkdown StripMarkdown(std::string_view utf8);

}  // namespace msearch::media
