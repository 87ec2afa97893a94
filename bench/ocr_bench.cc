// Text in pictures: how much of a page a pack reads wrongly and how long it takes, beside tesseract
// on the same pages.
//   ocr_bench PACK PAGE.ppm TEXT.txt [PAGE.ppm TEXT.txt ...]
// Pages are binary PPM; a text is what stands on its page. The error rate is the edit distance of
// the characters but for white space, divided by how many there are. --text prints what was read.
// Both have one thread and are timed by their processor time, which others on the machine don't
// change much.

#include <sys/resource.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/unicode.h"
#include "measure.h"

namespace {

using namespace msearch;

struct Page {
  uint32_t width = 0;
  uint32_t height = 0;
  std::string rgb;
};

Result<Page> ReadPpm(const std::string& path) {
  const std::string bytes = TRY(ReadFile(path, uint64_t{1} << 30));
  unsigned width = 0, height = 0, most = 0;
  int at = 0;
  if (std::sscanf(bytes.c_str(), "P6 %u %u %u%n", &width, &height, &most, &at) != 3 ||
      bytes.size() != static_cast<size_t>(at) + 1 + size_t{width} * height * 3) {
    return Error{Code::kInvalid, path + ": not a binary PPM"};
  }
  return Page{width, height, bytes.substr(static_cast<size_t>(at) + 1)};
}

std::u32string Characters(const std::string& text) {
  std::u32string out = ToCodePoints(NormalizeUnicode(text, NormalForm::kNfkc));
  std::erase_if(out, [](char32_t c) { return IsSpacePoint(c); });
  return out;
}

double ErrorRate(const std::string& read, const std::string& truth) {
  const std::u32string a = Characters(read), b = Characters(truth);
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0]++;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t changed = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({changed, row[j] + 1, row[j - 1] + 1});
    }
  }
  return static_cast<double>(row.back()) / static_cast<double>(std::max<size_t>(b.size(), 1));
}

// Processor time of programs that were run to their end.
double ChildSeconds() {
  rusage usage{};
  getrusage(RUSAGE_CHILDREN, &usage);
  auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

Result<std::string> Tesseract(const std::string& path) {
  const TemporaryDirectory folder;
  const std::string out = folder.path() + "/out";
  const std::string command =
      "OMP_THREAD_LIMIT=1 tesseract '" + path + "' '" + out + "' -l chi_sim+eng >/dev/null 2>&1";
  if (std::system(command.c_str()) != 0) return Error{Code::kUnavailable, "tesseract failed"};
  return ReadFile(out + ".txt");
}

Result<> Measure(const std::string& pack, const std::vector<std::string>& files, bool print) {
  const auto reader = TRY(bench::Packs().LoadTextReader(pack, {"cpu", 1}));
  std::printf("%-28s %9s %9s %11s %11s\n", "page", "msearch", "errors", "tesseract", "errors");
  for (size_t i = 0; i + 1 < files.size(); i += 2) {
    const Page page = TRY(ReadPpm(files[i]));
    const std::string truth = TRY(ReadFile(files[i + 1]));
    std::vector<double> seconds;
    std::string text;
    for (int round = 0; round < 3; ++round) {
      const double before = bench::ThreadSeconds();
      text.clear();
      for (const auto& line : TRY(reader->Read({page.width, page.height, page.rgb}))) {
        text += line.text + "\n";
      }
      seconds.push_back(bench::ThreadSeconds() - before);
    }
    const double before = ChildSeconds();
    const std::string theirs = TRY(Tesseract(files[i]));
    const double their_seconds = ChildSeconds() - before;
    std::printf("%-28s %8.2fs %8.1f%% %10.2fs %10.1f%%\n",
                files[i].substr(files[i].rfind('/') + 1).c_str(), bench::Median(seconds),
                100 * ErrorRate(text, truth), their_seconds, 100 * ErrorRate(theirs, truth));
    if (print) std::printf("%s---\n%s===\n", text.c_str(), theirs.c_str());
  }
  return Ok{};
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<std::string> files;
  bool print = false;
  for (int i = 2; i < argc; ++i) {
    if (std::string(argv[i]) == "--text") {
      print = true;
    } else {
      files.emplace_back(argv[i]);
    }
  }
  if (files.size() < 2) {
    std::fprintf(stderr, "usage: ocr_bench PACK [--text] PAGE.ppm TEXT.txt...\n");
    return 2;
  }
  const Result<> done = Measure(argv[1], files, print);
  if (!done.ok()) std::fprintf(stderr, "%s\n", done.message().c_str());
  return done.ok() ? 0 : 1;
}
