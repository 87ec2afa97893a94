#include "ingest/sounds_reader.h"

#include <algorithm>
#include <array>

#include "base/strings.h"
#include "ingest/sound_pieces.h"

namespace msearch::ingest {
namespace {

constexpr float kProbabilityMin = 0.3F;
// Of a segment: short enough to find the moment by.
constexpr double kSecondsMax = 60;
constexpr double kGapMax = 0.01;  // between windows that lie side by side
constexpr std::array<std::string_view, 2> kUseless = {"Speech", "Silence"};

class SoundsReader final : public Reader {
 public:
  explicit SoundsReader(SoundsReaderOptions options)
      : model_(std::move(options.load), options.unload_after) {}

  Result<Findings> Read(const ReadJob& job, const Fd& file, media::Codec& codec,
                        queue::TaskContext& task) override {
    Findings findings;
    const Result<> done = model_.With([&](embedding::SoundTagger& model) -> Result<> {
      if (model.key() != job.key) {
        return Error{Code::kStale, "sounds: the model changed since the task was made"};
      }
      findings.segments =
          SoundSegments(TRY(model.Tag(SoundPieces(job, file, codec, task), kProbabilityMin)));
      return Ok{};
    });
    // A film without a sound track sounds like nothing.
    if (!done.ok() && done.code() == Code::kUnsupported) return Findings{};
    if (!done.ok()) return done.error();
    return findings;
  }

  void UnloadIfIdle() override { model_.UnloadIfIdle(); }

 private:
  IdleModel<embedding::SoundTagger> model_;
};

// A segment under way: its tags with the sum of their probabilities.
struct Stretch {
  double start = 0;
  double end = 0;
  std::vector<embedding::SoundTag> tags;

  bool Has(const std::string& name) const {
    return std::any_of(tags.begin(), tags.end(),
                       [&](const embedding::SoundTag& tag) { return tag.name == name; });
  }
  void Add(const embedding::SoundTag& tag) {
    for (embedding::SoundTag& known : tags) {
      if (known.name != tag.name) continue;
      known.probability += tag.probability;
      return;
    }
    tags.push_back(tag);
  }
};

media::Segment SegmentOf(Stretch stretch, size_t index) {
  std::stable_sort(stretch.tags.begin(), stretch.tags.end(),
                   [](const embedding::SoundTag& a, const embedding::SoundTag& b) {
                     return a.probability > b.probability;
                   });
  std::vector<std::string> names;
  for (const embedding::SoundTag& tag : stretch.tags) names.push_back(tag.name);
  media::Segment segment;
  segment.index = static_cast<uint32_t>(index);
  segment.kind = media::SegmentKind::kHeard;
  segment.text = Join(names, "; ");  // names have commas of their own
  segment.start_time = stretch.start;
  segment.end_time = stretch.end;
  return segment;
}

}  // namespace

std::vector<media::Segment> SoundSegments(const std::vector<embedding::HeardWindow>& windows) {
  std::vector<Stretch> stretches;
  for (const embedding::HeardWindow& window : windows) {
    std::vector<embedding::SoundTag> tags = window.tags;
    std::erase_if(tags, [](const embedding::SoundTag& tag) {
      return std::find(kUseless.begin(), kUseless.end(), tag.name) != kUseless.end();
    });
    if (tags.empty()) continue;
    const bool joins = !stretches.empty() && stretches.back().Has(tags.front().name) &&
                       window.start - stretches.back().end <= kGapMax &&
                       window.end - stretches.back().start <= kSecondsMax;
    if (!joins) stretches.push_back({window.start, window.end, {}});
    stretches.back().end = window.end;
    for (const embedding::SoundTag& tag : tags) stretches.back().Add(tag);
  }
  std::vector<media::Segment> segments;
  for (Stretch& stretch : stretches) {
    segments.push_back(SegmentOf(std::move(stretch), segments.size()));
  }
  return segments;
}

std::shared_ptr<Reader> MakeSoundsReader(SoundsReaderOptions options) {
  return std::make_shared<SoundsReader>(std::move(options));
}

}  // namespace msearch::ingest
