#include "ingest/sound_pieces.h"

#include <algorithm>

namespace msearch::ingest {
namespace {

constexpr double kPieceSeconds = 60;  // asked of the codec child at once
constexpr uint32_t kRate = 16000;

}  // namespace

embedding::SampleSource SoundPieces(const ReadJob& job, const Fd& file, media::Codec& codec,
                                    queue::TaskContext& task) {
  return [&job, &file, &codec, &task, at = 0.0]() mutable -> Result<std::vector<float>> {
    if (task.ShouldStop()) return Error{Code::kCancelled, job.path + ": stopped"};
    if (job.duration && *job.duration > 0) {
      task.SetProgress({std::min(at / *job.duration, 1.0), "listening"});
    }
    std::vector<float> samples = TRY(codec.SamplesOf(file, job.path, {at, kPieceSeconds, kRate}));
    at += static_cast<double>(samples.size()) / kRate;
    return samples;
  };
}

}  // namespace msearch::ingest
