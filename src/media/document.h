// Documents: text cut into passages.
#pragma once

#include <cstdint>
#include <optional>
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

// Loads what the functions below need from disk, since a sandbox won't let them later.
void PreloadDocumentLibraries();

// By extension or by content: see decoder.cc. Errors as above.
Result<Prepared> PrepareHtml(const MediaSource& source, const PrepareOptions& options);
// SubRip and WebVTT: passages with the times at which they are shown.
Result<Prepared> PrepareSubtitles(const MediaSource& source, const PrepareOptions& options);
// Office Open XML, OpenDocument and EPUB, told apart by what is in the archive; sets the mime type.
// Pages are slides and sheets, in a text document the pages of its last layout, if it tells them.
// kUnsupported for other archives, and for encrypted documents.
Result<Prepared> PrepareArchive(const MediaSource& source, const PrepareOptions& options);

// A part of a document: a page, slide, sheet; or all of it, without a number.
struct TextPage {
  std::optional<uint32_t> number;  // from 1
  std::string text;
};
// Passages of each page, in order. A title that is empty becomes the first line. kCorrupt without
// any text.
Result<Prepared> Document(const std::vector<TextPage>& pages, std::string title,
                          uint32_t passage_words_max);

// The first line that isn't empty, cut to the length of a title.
std::string FirstLine(std::string_view utf8);

// Cuts at paragraphs where that gives passages of a fair size, else between sentences, else between
// words; no passage has more than `words_max` words, none is empty, and together they are the text,
// but for white space at the cuts.
std::vector<std::string> CutPassages(std::string_view utf8, uint32_t words_max);

struct PlainMarkdown {
  std::string title;  // the first heading, or the title of the front matter
  std::string text;   // what a reader sees: no marks, link targets, comments, or front matter
};
PlainMarkdown StripMarkdown(std::string_view utf8);

struct PlainRtf {
  std::string title;  // as its properties say
  std::string text;   // UTF-8
};
// Takes anything.
PlainRtf ReadRtf(std::string_view bytes);
Result<Prepared> PrepareRtf(const MediaSource& source, const PrepareOptions& options);

struct Cue {
  double start = 0;  // seconds
  double end = 0;
  std::string text;
};
// The cues of SubRip or WebVTT that can be read, in the order of the file, without markup.
std::vector<Cue> ReadCues(std::string_view utf8);
// What is shown of a line of them, without markup.
std::string PlainCue(std::string_view line);
// Passages of what is shown within half a minute, with times.
std::vector<Segment> SubtitleScenes(const std::vector<Cue>& cues, uint32_t words_max);

}  // namespace msearch::media
