#include "media/document.h"

#include <algorithm>

#include "base/legacy_text.h"
#include "base/strings.h"
#include "media/markup.h"

namespace msearch::media {
namespace {

constexpr size_t kTitleBytesMax = 200;

// What passages are put together from, with the separator that goes before it.
struct Piece {
  std::string_view text;
  uint32_t words = 0;
  std::string_view separator;
};

void AddLongSentence(std::string_view sentence, uint32_t words_max, std::string_view separator,
                     std::vector<Piece>& pieces) {
  while (!sentence.empty()) {
    const std::string_view part = sentence.substr(0, PrefixOfWords(sentence, words_max));
    pieces.push_back({Trim(part), CountWords(part), separator});
    separator = " ";
    sentence.remove_prefix(part.size());
  }
}

// A paragraph that fits is one piece; of another its sentences are.
void AddParagraph(std::string_view paragraph, uint32_t words_max, std::vector<Piece>& pieces) {
  const uint32_t words = CountWords(paragraph);
  if (words <= words_max) {
    pieces.push_back({paragraph, words, "\n\n"});
    return;
  }
  std::string_view separator = "\n\n";
  for (std::string_view sentence : SplitSentences(paragraph)) {
    const std::string_view trimmed = Trim(sentence);
    if (trimmed.empty()) continue;
    AddLongSentence(trimmed, words_max, separator, pieces);
    separator = sentence.size() > trimmed.size() ? " " : "";
  }
}

std::vector<Piece> CutPieces(std::string_view utf8, uint32_t words_max) {
  std::vector<Piece> pieces;
  size_t begin = 0;
  size_t end = 0;
  auto flush = [&] {
    const std::string_view paragraph = Trim(utf8.substr(begin, end - begin));
    if (!paragraph.empty()) AddParagraph(paragraph, words_max, pieces);
    begin = end;
  };
  for (std::string_view line : Split(utf8, '\n')) {
    end = std::min<size_t>(static_cast<size_t>(line.data() - utf8.data()) + line.size() + 1,
                           utf8.size());
    if (Trim(line).empty()) flush();
  }
  flush();
  return pieces;
}

Result<std::string> ReadText(const MediaSource& source, const PrepareOptions& options) {
  return TRY(DecodeText(TRY(ReadSource(source, options.text_bytes_max)))).utf8;
}

// Cues follow one another every few seconds; what is said within this time belongs together.
constexpr double kSceneSecondsMax = 30;
constexpr double kSceneGapSecondsMax = 5;

}  // namespace

std::vector<Segment> SubtitleScenes(const std::vector<Cue>& cues, uint32_t words_max) {
  std::vector<Segment> scenes;
  uint32_t words = 0;
  for (const Cue& cue : cues) {
    const uint32_t more = CountWords(cue.text);
    const bool joins = !scenes.empty() && words + more <= words_max &&
                       cue.start >= *scenes.back().start_time &&
                       cue.end - *scenes.back().start_time <= kSceneSecondsMax &&
                       cue.start - *scenes.back().end_time <= kSceneGapSecondsMax;
    if (joins) {
      Segment& scene = scenes.back();
      scene.text += "\n" + cue.text;
      scene.end_time = std::max(*scene.end_time, cue.end);
      words += more;
      continue;
    }
    Segment scene;
    scene.kind = SegmentKind::kPassage;
    scene.index = static_cast<uint32_t>(scenes.size());
    scene.text = cue.text;
    scene.start_time = cue.start;
    scene.end_time = cue.end;
    scenes.push_back(std::move(scene));
    words = more;
  }
  return scenes;
}

std::string FirstLine(std::string_view utf8) {
  for (std::string_view line : Split(utf8, '\n')) {
    if (!Trim(line).empty()) return std::string(TruncateUtf8(Trim(line), kTitleBytesMax));
  }
  return "";
}

Result<Prepared> Document(const std::vector<TextPage>& pages, std::string title,
                          uint32_t passage_words_max) {
  Prepared out;
  out.type = MediaType::kDocument;
  for (const TextPage& page : pages) {
    for (std::string& passage : CutPassages(page.text, passage_words_max)) {
      Segment segment;
      segment.kind = SegmentKind::kPassage;
      segment.index = static_cast<uint32_t>(out.segments.size());
      segment.text = std::move(passage);
      segment.page = page.number;
      out.segments.push_back(std::move(segment));
    }
  }
  if (out.segments.empty()) return Error{Code::kCorrupt, "file: no text in it"};
  if (Trim(title).empty()) title = FirstLine(out.segments[0].text);
  out.title = TruncateUtf8(Trim(title), kTitleBytesMax);
  return out;
}

std::vector<std::string> CutPassages(std::string_view utf8, uint32_t words_max) {
  words_max = std::max<uint32_t>(words_max, 1);
  std::vector<std::string> passages;
  std::string passage;
  uint32_t words = 0;
  for (const Piece& piece : CutPieces(utf8, words_max)) {
    if (!passage.empty() && words + piece.words > words_max) {
      passages.push_back(std::move(passage));
      passage.clear();
      words = 0;
    }
    if (!passage.empty()) passage += piece.separator;
    passage += piece.text;
    words += piece.words;
  }
  if (!passage.empty()) passages.push_back(std::move(passage));
  return passages;
}

Result<Prepared> PrepareText(const MediaSource& source, const PrepareOptions& options) {
  return Document({{std::nullopt, TRY(ReadText(source, options))}}, "", options.passage_words_max);
}

Result<Prepared> PrepareMarkdown(const MediaSource& source, const PrepareOptions& options) {
  PlainMarkdown plain = StripMarkdown(TRY(ReadText(source, options)));
  return Document({{std::nullopt, std::move(plain.text)}}, std::move(plain.title),
                  options.passage_words_max);
}

Result<Prepared> PrepareHtml(const MediaSource& source, const PrepareOptions& options) {
  const std::string bytes = TRY(ReadSource(source, options.text_bytes_max));
  const std::string utf8 = TRY(DecodeText(bytes, DeclaredEncoding(bytes))).utf8;
  HtmlText html = TRY(ReadHtml(utf8, options.text_bytes_max));
  return Document({{std::nullopt, std::move(html.text)}}, std::move(html.title),
                  options.passage_words_max);
}

Result<Prepared> PrepareSubtitles(const MediaSource& source, const PrepareOptions& options) {
  const std::string text = TRY(ReadText(source, options));
  Prepared out = TRY(Document({{std::nullopt, text}}, "", options.passage_words_max));
  const std::vector<Cue> cues = ReadCues(text);
  if (cues.empty()) return out;  // text of another kind
  out.segments = SubtitleScenes(cues, options.passage_words_max);
  out.title.clear();
  return out;
}

}  // namespace msearch::media
