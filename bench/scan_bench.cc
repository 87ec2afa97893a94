// Rescan of an unchanged library against `find ROOT -printf '%s %T@ %p\n'` over the same tree.
//
// Makes FILES empty files (default 100,000), 100 a directory, below TMPDIR, lets the monitor know
// them, and then measures scans and finds in turn, ROUNDS times each (default 9). Prints medians
// and their ratio; exits 1 when a scan reports a change or reads the ratio above 3.
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "base/file.h"
#include "watch/monitor.h"

namespace msearch {
namespace {

using std::chrono::steady_clock;

constexpr double kRatioMax = 3.0;

class CountingReporter final : public watch::Reporter {
 public:
  Result<> Report(const watch::RootSpec&, const std::vector<watch::Change>& changes) override {
    count_ += changes.size();
    return Ok{};
  }
  Result<> ScanEnded(const watch::RootSpec&, const watch::RootStatus&, bool) override {
    return Ok{};
  }
  uint64_t count() const { return count_; }

 private:
  std::atomic<uint64_t> count_ = 0;
};

bool MakeFiles(const std::string& root, int files) {
  for (int i = 0; i < files; ++i) {
    const std::string directory =
        root + "/album " + std::to_string(i / 10'000) + "/day " + std::to_string(i / 100 % 100);
    if (i % 100 == 0) std::filesystem::create_directories(directory);
    const std::string path = directory + "/IMG_" + std::to_string(i) + ".jpg";
    if (!OpenFile(path, O_WRONLY | O_CREAT | O_EXCL).ok()) return false;
  }
  return true;
}

bool Find(const std::string& root) {
  const pid_t child = fork();
  if (child == 0) {
    const int null = open("/dev/null", O_WRONLY);
    dup2(null, STDOUT_FILENO);
    execlp("find", "find", root.c_str(), "-printf", "%s %T@ %p\\n", nullptr);
    _exit(127);
  }
  int status = -1;
  return child > 0 && waitpid(child, &status, 0) == child && status == 0;
}

double Milliseconds(const std::function<bool()>& body) {
  const auto begin = steady_clock::now();
  if (!body()) {
    std::fprintf(stderr, "scan_bench: a measured step failed\n");
    exit(1);
  }
  return std::chrono::duration<double, std::milli>(steady_clock::now() - begin).count();
}

double Median(std::vector<double> values) {
  std::ranges::sort(values);
  return values[values.size() / 2];
}

int Main(int argc, char** argv) {
  const int files = argc > 1 ? std::atoi(argv[1]) : 100'000;
  const int rounds = argc > 2 ? std::atoi(argv[2]) : 9;
  if (files < 1 || files > 1'000'000 || rounds < 1) {
    std::fprintf(stderr, "usage: scan_bench [FILES up to 1000000] [ROUNDS]\n");
    return 2;
  }
  const TemporaryDirectory directory;
  const std::string root = directory.path() + "/root";
  if (!MakeFiles(root, files)) {
    std::fprintf(stderr, "scan_bench: can't make the files below %s\n", root.c_str());
    return 1;
  }
  CountingReporter reporter;
  watch::MonitorOptions options;
  options.database = directory.path() + "/watch.db";
  Result<std::unique_ptr<watch::Monitor>> monitor = watch::Monitor::Open(options, &reporter);
  watch::RootSpec spec{.name = "root", .path = root, .scan_interval_s = 86'400};
  const auto scan = [&] { return (*monitor)->Scan("root", false, {}).ok(); };
  const double first = Milliseconds(
      [&] { return monitor.ok() && (*monitor)->Watch(spec).ok() && scan() && scan(); });
  // What was made last may need one more scan to have settled.
  while (reporter.count() < static_cast<uint64_t>(files)) {
    if (!scan()) return 1;
  }
  const uint64_t known = reporter.count();
  std::vector<double> scans;
  std::vector<double> finds;
  for (int i = 0; i < rounds; ++i) {
    scans.push_back(Milliseconds(scan));
    finds.push_back(Milliseconds([&] { return Find(root); }));
  }
  const double ratio = Median(scans) / Median(finds);
  std::printf("files %d, rounds %d, first scan with settling and one rescan %.0f ms\n", files,
              rounds, first);
  std::printf("rescan median %.1f ms, find -printf median %.1f ms, ratio %.2f (at most %.1f)\n",
              Median(scans), Median(finds), ratio, kRatioMax);
  if (reporter.count() != known) std::printf("a rescan reported changes of an unchanged tree\n");
  return ratio <= kRatioMax && reporter.count() == known ? 0 : 1;
}

}  // namespace
}  // namespace msearch

int main(int argc, char** argv) { return msearch::Main(argc, argv); }
