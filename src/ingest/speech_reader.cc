#include "ingest/speech_reader.h"

#include <algorithm>
#include <map>

#include "base/strings.h"
#include "base/unicode.h"
#include "ingest/sound_pieces.h"

namespace msearch::ingest {
namespace {

// Of a passage: long enough to say something, short enough to find the moment by.
constexpr double kSecondsEnough = 8;
constexpr double kSecondsMax = 30;
constexpr double kPauseMax = 3;
constexpr size_t kBytesMax = 600;

bool EndsSentence(const std::string& text) {
  const std::u32string points = ToCodePoints(text);
  return !points.empty() &&
         std::u32string_view(U".!?。！？…").find(points.back()) != std::u32string_view::npos;
}

// Chinese and its kin stand without spaces.
std::string_view Between(const std::string& left, const std::string& right) {
  const std::u32string a = ToCodePoints(left), b = ToCodePoints(right);
  auto spaceless = [](char32_t c) {
    return IsHanPoint(c) || (c >= 0x3000 && c <= 0x30FF) || (c >= 0xFF00 && c <= 0xFF60);
  };
  const bool joined = !a.empty() && !b.empty() && spaceless(a.back()) && spaceless(b.front());
  return joined ? "" : " ";
}

std::string MainLanguage(const std::vector<embedding::SpokenText>& texts) {
  std::map<std::string, double> seconds;
  for (const embedding::SpokenText& text : texts) {
    seconds[text.language] += text.end - text.start + 0.01;
  }
  return std::max_element(seconds.begin(), seconds.end(),
                          [](const auto& a, const auto& b) { return a.second < b.second; })
      ->first;
}

class SpeechReader final : public Reader {
 public:
  explicit SpeechReader(SpeechReaderOptions options)
      : languages_(std::move(options.languages)),
        model_(std::move(options.load), options.unload_after) {}

  Result<Findings> Read(const ReadJob& job, const Fd& file, media::Codec& codec,
                        queue::TaskContext& task) override {
    Findings findings;
    const Result<> done = model_.With([&](embedding::Transcriber& model) -> Result<> {
      if (SpeechReaderKey(model.key(), languages_) != job.key) {
        return Error{Code::kStale, "speech: the model changed since the task was made"};
      }
      findings = TRY(Listen(model, job, file, codec, task));
      return Ok{};
    });
    // A film without a sound track has nothing to say.
    if (!done.ok() && done.code() == Code::kUnsupported) return Findings{};
    if (!done.ok()) return done.error();
    return findings;
  }

  void UnloadIfIdle() override { model_.UnloadIfIdle(); }

 private:
  Result<Findings> Listen(embedding::Transcriber& model, const ReadJob& job, const Fd& file,
                          media::Codec& codec, queue::TaskContext& task) const {
    const auto texts = TRY(model.Transcribe(SoundPieces(job, file, codec, task), {languages_}));
    Findings findings;
    findings.segments = SpeechPassages(texts);
    if (!texts.empty()) findings.attributes = {{"language", MainLanguage(texts)}};
    return findings;
  }

  const std::vector<std::string> languages_;
  IdleModel<embedding::Transcriber> model_;
};

}  // namespace

std::string SpeechReaderKey(const std::string& model_key,
                            const std::vector<std::string>& languages) {
  return model_key + (languages.empty() ? "" : ":" + Join(languages, ","));
}

std::vector<media::Segment> SpeechPassages(const std::vector<embedding::SpokenText>& texts) {
  std::vector<media::Segment> passages;
  std::string language;
  for (const embedding::SpokenText& text : texts) {
    bool joins = !passages.empty() && language == text.language;
    if (joins) {
      const media::Segment& last = passages.back();
      const bool full =
          EndsSentence(last.text) && *last.end_time - *last.start_time >= kSecondsEnough;
      joins = !full && text.end - *last.start_time <= kSecondsMax &&
              text.start - *last.end_time <= kPauseMax &&
              last.text.size() + text.text.size() <= kBytesMax;
    }
    if (joins) {
      media::Segment& last = passages.back();
      last.text += Between(last.text, text.text);
      last.text += text.text;
      last.end_time = std::max(*last.end_time, text.end);
      continue;
    }
    media::Segment segment;
    segment.index = static_cast<uint32_t>(passages.size());
    segment.kind = media::SegmentKind::kSpeech;
    segment.text = text.text;
    segment.start_time = text.start;
    segment.end_time = text.end;
    passages.push_back(std::move(segment));
    language = text.language;
  }
  return passages;
}

std::shared_ptr<Reader> MakeSpeechReader(SpeechReaderOptions options) {
  return std::make_shared<SpeechReader>(std::move(options));
}

}  // namespace msearch::ingest
