// Whether memory stays flat over many files.
//
//   memory_bench [FILES, 10000]
//
// One codec child, never replaced, and this process as its parent prepare every format that is
// read, good and damaged files in turn, as they stand in the corpus of the tests. What both hold
// (resident size) is printed from time to time. The ratio is that at the last file to that at a
// tenth of them; the exit status is 1 when it is above 1.1.

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string>

#include "media/codec.h"
#include "support/corpus.h"
#include "support/memory_file.h"

namespace {

using namespace msearch;

double ResidentMiB(const std::string& process) {
  double pages = 0;
  std::ifstream("/proc/" + process + "/statm") >> pages >> pages;
  return pages * static_cast<double>(sysconf(_SC_PAGESIZE)) / (1 << 20);
}

double OfChildrenMiB() {
  double sum = 0;
  std::ifstream children("/proc/self/task/" + std::to_string(getpid()) + "/children");
  for (std::string pid; children >> pid;) sum += ResidentMiB(pid);
  return sum;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc >= 2 && std::strcmp(argv[1], "codec") == 0) return media::ServeCodec();
  const int files = argc > 1 ? std::max(10, std::atoi(argv[1])) : 10000;
  media::CodecLimits limits;
  limits.files_per_child = 1 << 30;
  limits.idle_memory_bytes_max = UINT64_MAX;
  media::Codec codec({"codec"}, limits);
  media::PrepareOptions options;
  options.pixels = {224, 224, media::PixelsWanted::Fit::kCenterCrop};

  // Made once: what grows is to be what is measured.
  const std::vector<test::CorpusFile> corpus = test::MakeCorpus({.flips = 200});
  double early = 0;
  int failed = 0;
  for (int i = 1; i <= files; ++i) {
    const test::CorpusFile& file = corpus[static_cast<size_t>(i) % corpus.size()];
    failed += codec.Prepare(test::MemoryFile(file.bytes), file.path, options).ok() ? 0 : 1;
    if (i % (files / 10) != 0) continue;
    const double parent = ResidentMiB("self");
    const double children = OfChildrenMiB();
    if (i == files / 10) early = parent + children;
    std::printf("after %6d files (%d failed): parent %6.1f MiB, children %6.1f MiB\n", i, failed,
                parent, children);
    std::fflush(stdout);
  }
  const double ratio = (ResidentMiB("self") + OfChildrenMiB()) / early;
  std::printf("ratio of the last to a tenth of the files: %.3f\n", ratio);
  return ratio <= 1.1 ? 0 : 1;
}
