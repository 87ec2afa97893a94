#include "ingest/ocr_reader.h"

#include <algorithm>

#include "base/text.h"

namespace msearch::ingest {
namespace {

constexpr uint32_t kSideMax = 2048;  // of a view
constexpr size_t kPagesMax = 2000;   // of a document
constexpr size_t kFramesMax = 2000;  // of a video
constexpr size_t kWordsMax = 150;    // of a segment

// A Chinese character counts as a word.
size_t CountWords(const std::string& text) {
  size_t count = 0;
  for (const WordSpan& word : SplitWords(text)) {
    count += word.cjk
                 ? SplitCharacters(std::string_view(text).substr(word.begin, word.end - word.begin))
                       .size()
                 : 1;
  }
  return count;
}

// Where to look: nothing for a picture, a page of a document or picture, or a moment of a shot.
struct Look {
  std::optional<uint32_t> page;
  std::optional<ReadJob::Shot> shot;
};

std::vector<Look> LooksAt(const ReadJob& job) {
  std::vector<Look> looks;
  if (job.type == "document") {
    const auto pages = job.attributes.find("pages_without_text");
    if (pages == job.attributes.end() || !pages->is_array()) return looks;
    for (const Json& page : *pages) {
      if (!page.is_number_unsigned() || looks.size() >= kPagesMax) continue;
      looks.push_back({page.get<uint32_t>(), std::nullopt});
    }
  } else if (job.type == "video") {
    // Evenly spread where there are too many.
    const size_t step = (job.shots.size() + kFramesMax - 1) / kFramesMax;
    for (size_t i = 0; i < job.shots.size(); i += std::max<size_t>(step, 1)) {
      looks.push_back({std::nullopt, job.shots[i]});
    }
  } else {
    const int64_t pages = GetInt(job.attributes, "pages").value_or(1);
    const int64_t read = std::min(pages, GetInt(job.attributes, "pages_read").value_or(pages));
    if (read < 2) looks.emplace_back();
    for (int64_t page = 1; read > 1 && page <= std::min<int64_t>(read, kPagesMax); ++page) {
      looks.push_back({static_cast<uint32_t>(page), std::nullopt});
    }
  }
  return looks;
}

class OcrReader final : public Reader {
 public:
  explicit OcrReader(OcrReaderOptions options)
      : model_(std::move(options.load), options.unload_after) {}

  Result<Findings> Read(const ReadJob& job, const Fd& file, media::Codec& codec,
                        queue::TaskContext& task) override {
    Findings findings;
    const std::vector<Look> looks = LooksAt(job);
    for (size_t i = 0; i < looks.size(); ++i) {
      if (task.ShouldStop()) return Error{Code::kCancelled, job.path + ": stopped"};
      task.SetProgress({static_cast<double>(i) / static_cast<double>(looks.size()), "reading"});
      std::vector<media::Segment> found;
      const Result<> done = ReadView(job, looks[i], file, codec, &found);
      // One frame or page that can't be shown isn't the whole content.
      if (!done.ok() && looks.size() > 1 && done.code() == Code::kNotFound) continue;
      if (!done.ok() && done.code() == Code::kUnsupported) continue;
      if (!done.ok()) return done.error();
      Add(looks[i], std::move(found), &findings.segments);
    }
    return findings;
  }

  void UnloadIfIdle() override { model_.UnloadIfIdle(); }

 private:
  Result<> ReadView(const ReadJob& job, const Look& look, const Fd& file, media::Codec& codec,
                    std::vector<media::Segment>* found) {
    media::ViewWanted wanted;
    wanted.side_max = kSideMax;
    wanted.page = look.page;
    if (look.shot) wanted.time = (look.shot->start + look.shot->end) / 2;
    const media::View view = TRY(codec.ViewOf(file, job.path, wanted));
    return model_.With([&](embedding::TextReader& model) -> Result<> {
      if (model.key() != job.key) {
        return Error{Code::kStale, "text: the model changed since the task was made"};
      }
      *found = TextSegments(TRY(model.Read({view.width, view.height, view.rgb})));
      return Ok{};
    });
  }

  // What stands still over several shots is one segment.
  static void Add(const Look& look, std::vector<media::Segment> found,
                  std::vector<media::Segment>* segments) {
    if (look.shot && found.size() == 1 && !segments->empty() &&
        segments->back().text == found[0].text) {
      segments->back().end_time = look.shot->end;
      return;
    }
    for (media::Segment& segment : found) {
      segment.index = static_cast<uint32_t>(segments->size());
      segment.page = look.page;
      if (look.shot) {
        segment.start_time = look.shot->start;
        segment.end_time = look.shot->end;
      }
      segments->push_back(std::move(segment));
    }
  }

  IdleModel<embedding::TextReader> model_;
};

}  // namespace

bool MayShowText(const std::string& type, const Json& attributes) {
  return type != "document" ||
         (attributes.is_object() && attributes.contains("pages_without_text"));
}

std::vector<media::Segment> TextSegments(const std::vector<embedding::SeenLine>& lines) {
  std::vector<media::Segment> segments;
  size_t words = 0;
  for (const embedding::SeenLine& line : lines) {
    const size_t count = CountWords(line.text);
    if (segments.empty() || words + count > kWordsMax) {
      segments.emplace_back().kind = media::SegmentKind::kText;
      words = 0;
    }
    words += count;
    media::Segment& segment = segments.back();
    if (!segment.text.empty()) segment.text += '\n';
    segment.text += line.text;
    for (const embedding::SeenWord& word : line.words) {
      segment.boxes.push_back({word.text, word.box.x, word.box.y, word.box.width, word.box.height});
    }
  }
  return segments;
}

std::shared_ptr<Reader> MakeOcrReader(OcrReaderOptions options) {
  return std::make_shared<OcrReader>(std::move(options));
}

}  // namespace msearch::ingest
