// The sound of a file as models hear it: a minute at a time, from a codec child.
#pragma once

#include "base/file.h"
#include "embedding/transcriber.h"
#include "ingest/pipeline.h"
#include "media/codec.h"
#include "queue/worker.h"

namespace msearch::ingest {

// Samples at 16 kHz, nothing at the end. Tells the task how far it is, and is kCancelled when that
// is to stop. What it is given has to outlive it.
embedding::SampleSource SoundPieces(const ReadJob& job, const Fd& file, media::Codec& codec,
                                    queue::TaskContext& task);

}  // namespace msearch::ingest
