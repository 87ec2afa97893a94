// The calling thread's processor time, in seconds: what a part of a transcription cost, whatever
// else runs on the machine.
#pragma once

#include <time.h>

namespace msearch::embedding {

inline double ThreadSeconds() {
  timespec time{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e9;
}

}  // namespace msearch::embedding
