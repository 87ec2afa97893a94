// What is left of a step of a file's way that failed for good.
#pragma once

#include "base/json.h"
#include "base/result.h"
#include "ingest/pipeline.h"

namespace msearch::ingest {

struct DeadLetter {
  Parcel parcel;  // with the job at least
  // Its message names the step: decoding by the file and what it was decoded as, others by a word
  // in front of it.
  Error error;
  int attempts = 1;
};

// From the payload that NewTask::dead_letter describes. kInvalid for anything else.
Result<DeadLetter> ReadDeadLetter(const Json& payload);

}  // namespace msearch::ingest
