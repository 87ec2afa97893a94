// A library of everything: a good file of each format that is read, with words or pixels by which
// it is to be found, and files that bite. All is the same for the same options.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace msearch::test {

struct CorpusFile {
  std::string path;  // relative
  std::string bytes;
  std::string words;     // a search that must find it, it being good
  bool picture = false;  // a good picture: to be found by its own content
  bool bad = false;      // must fail, with a reason; else, without words, it may end either way
};

struct CorpusOptions {
  int flips = 100;  // files with a few bits changed, of all formats in turn
  uint64_t seed = 20260131;
  std::vector<CorpusFile> more;  // good files besides, to be truncated and flipped like the others
};
std::vector<CorpusFile> MakeCorpus(const CorpusOptions& options);

}  // namespace msearch::test
