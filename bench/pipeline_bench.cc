// Indexing end to end: the real program on a folder of JPEGs, against what the cores could do.
//
//   pipeline_bench FOLDER [SAMPLE, 100]      MSEARCH_MODEL_DIRECTORY: where open-1k was pulled to
//
// Best possible: 1 / (decode + inference), the seconds a picture takes all cores together in two
// bare loops over a sample of the folder, a thread for each core. decode: libjpeg-turbo to the
// model's pixels, in this process. inference: the pack's embedder, eight pictures at once, a
// session of one thread for each core. Both are measured before and after msearch, and the mean
// counts, so that a machine that gets slower meanwhile does no harm. The folder is read once
// before, so that no contender waits for the disk. msearch: `run both` as installed, on an empty
// data folder, from the moment the folder is added over HTTP until everything is committed and can
// be found. It does more than the bare loops: hash, thumbnail, perceptual hash, EXIF, sandbox,
// queue, catalog and index.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "bare_jpeg.h"
#include "base/file.h"
#include "measure.h"
#include "roles.h"
#include "system/server.h"

namespace msearch::bench {
namespace {

constexpr size_t kBatch = 8;
constexpr uint32_t kThumbnailSide = 320;
constexpr char kPack[] = "open-1k";

struct Cost {
  double seconds = 0;  // of all cores together
  double processor_seconds = 0;
};

struct Bare {
  Cost decode;
  Cost inference;
};

struct Indexing {
  double seconds = 0;
  std::map<std::string, RoleUse> roles;
  Json queues;
};

Result<std::vector<std::string>> Pictures(const std::string& folder) {
  std::vector<std::string> files;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
    if (entry.path().extension() == ".jpg") files.push_back(entry.path().string());
  }
  if (files.empty()) return Error{Code::kNotFound, folder + ": no .jpg in it"};
  std::sort(files.begin(), files.end());
  return files;
}

std::vector<std::string> Sample(const std::vector<std::string>& files, size_t count) {
  std::vector<std::string> sample;
  for (size_t i = 0; i < std::min(count, files.size()); ++i) {
    sample.push_back(files[i * files.size() / std::min(count, files.size())]);
  }
  return sample;
}

using Models = std::vector<std::unique_ptr<embedding::Embedder>>;  // one for each core

// `work(core, index)` for every index below `count`, on all cores at once.
template <typename Work>
Result<Cost> Measure(size_t cores, size_t count, Work&& work) {
  std::vector<Result<>> ends(cores, Ok{});
  std::vector<double> processor(cores);
  const Stopwatch watch;
  {
    std::vector<std::jthread> threads;
    for (size_t core = 0; core < cores; ++core) {
      threads.emplace_back([&, core] {
        const double begin = ThreadSeconds();
        for (size_t i = core; i < count && ends[core].ok(); i += cores) ends[core] = work(core, i);
        processor[core] = ThreadSeconds() - begin;
      });
    }
  }
  const double seconds = watch.seconds();
  double used = 0;
  for (size_t core = 0; core < cores; ++core) {
    TRY(ends[core]);
    used += processor[core];
  }
  return Cost{seconds, used};
}

Cost PerPicture(const Cost& cost, size_t pictures) {
  const auto count = static_cast<double>(pictures);
  return {cost.seconds / count, cost.processor_seconds / count};
}

Result<Bare> MeasureBare(const std::vector<std::string>& files, const Models& models) {
  const embedding::ImageInputSpec& spec = models[0]->info().image;
  const media::PixelsWanted wanted{spec.width, spec.height, media::PixelsWanted::Fit::kPad};
  std::vector<std::unique_ptr<BareJpeg>> decoders;
  for (size_t i = 0; i < models.size(); ++i) {
    decoders.push_back(std::make_unique<BareJpeg>(wanted, kThumbnailSide));
  }
  std::vector<std::string> pixels(files.size());
  Bare bare;
  bare.decode = TRY(Measure(models.size(), files.size(), [&](size_t core, size_t i) -> Result<> {
    pixels[i] = TRY(decoders[core]->Pixels(files[i]));
    return Ok{};
  }));
  const size_t batches = (pixels.size() + kBatch - 1) / kBatch;
  bare.inference = TRY(Measure(models.size(), batches, [&](size_t core, size_t number) -> Result<> {
    std::vector<embedding::ImageInput> batch;
    for (size_t i = number * kBatch; i < std::min((number + 1) * kBatch, pixels.size()); ++i) {
      batch.push_back({pixels[i]});
    }
    TRY(models[core]->EmbedPictures(batch));
    return Ok{};
  }));
  return Bare{PerPicture(bare.decode, files.size()), PerPicture(bare.inference, files.size())};
}

Result<Indexing> Index(const std::string& folder, size_t files) {
  test::Server server({}, kPack);
  if (!server.Start()) return Error{Code::kInternal, "msearch didn't start: " + server.log()};
  if (!server.AwaitIdle()) return Error{Code::kTimeout, "msearch: not idle after its start"};
  Indexing indexing;
  const auto before = RolesUnder(server.pid(), false);
  const Stopwatch watch;
  const auto added = server.Post("/api/roots", {{"path", folder}, {"name", "pictures"}});
  if (added.status != 201) return Error{Code::kInternal, "adding the folder: " + added.body};
  test::Server::Answer status;
  do {
    status = server.Get("/api/index/status?wait=60");
    if (status.status != 200) return Error{Code::kInternal, "status: " + status.body};
  } while (!GetBool(status.json, "idle").value_or(false));
  indexing.seconds = watch.seconds();
  if (GetInt(status.json, "indexed") != static_cast<int64_t>(files)) {
    return Error{Code::kInternal, "not everything was indexed: " + status.body};
  }
  indexing.roles = RolesUnder(server.pid(), false);
  for (const auto& [role, use] : before) {
    indexing.roles[role].processor_seconds -= use.processor_seconds;
  }
  indexing.queues = server.Get("/api/queue/stats").json.value("queues", Json::array());
  return indexing;
}

Cost Mean(const Cost& a, const Cost& b) {
  return {(a.seconds + b.seconds) / 2, (a.processor_seconds + b.processor_seconds) / 2};
}

void PrintShares(const Indexing& indexing, double pictures, double cores) {
  std::printf(
      "\nwhere it goes           processes   processor ms a picture   share of all cores\n");
  const double available = indexing.seconds * cores;
  double used = 0;
  for (const auto& [role, use] : indexing.roles) {
    used += use.processor_seconds;
    std::printf("%-32s %2d %24.2f %19.1f %%\n", role.c_str(), use.processes,
                use.processor_seconds * 1000 / pictures, use.processor_seconds / available * 100);
  }
  std::printf("%-35s %24.2f %19.1f %%\n", "idle, or others on this machine",
              (available - used) * 1000 / pictures, (1 - used / available) * 100);
  std::printf("\nqueue      finished   mean ms of the last tasks, waiting not counted\n");
  for (const Json& queue : indexing.queues) {
    std::printf("%-10s %8lld %9.2f\n", GetString(queue, "name").value_or("").c_str(),
                static_cast<long long>(GetInt(queue, "finished_total").value_or(0)),
                GetDouble(queue, "mean_ms").value_or(0));
  }
}

void Print(const Bare& bare, const Indexing& indexing, size_t files) {
  const auto pictures = static_cast<double>(files);
  const double cores = std::max(1U, std::thread::hardware_concurrency());
  const double best = 1 / (bare.decode.seconds + bare.inference.seconds);
  const double rate = pictures / indexing.seconds;
  double processor = 0;
  for (const auto& [role, use] : indexing.roles) processor += use.processor_seconds;
  const double bare_processor = bare.decode.processor_seconds + bare.inference.processor_seconds;
  std::printf("%zu pictures, %.0f cores\n", files, cores);
  std::printf("                      all cores elapsed    processor\n");
  std::printf("bare decode and resize      %7.2f ms   %7.2f ms a picture\n",
              bare.decode.seconds * 1000, bare.decode.processor_seconds * 1000);
  std::printf("bare inference              %7.2f ms   %7.2f ms a picture\n",
              bare.inference.seconds * 1000, bare.inference.processor_seconds * 1000);
  std::printf("msearch, everything         %7.2f ms   %7.2f ms a picture\n",
              indexing.seconds * 1000 / pictures, processor * 1000 / pictures);
  std::printf("best possible               %7.2f pictures/s\n", best);
  std::printf("msearch                     %7.2f pictures/s\n", rate);
  std::printf("ratio                       %7.3f\n", rate / best);
  std::printf("ratio of processor time     %7.3f (bare / msearch; what others use hardly counts)\n",
              bare_processor * pictures / processor);
  PrintShares(indexing, pictures, cores);
}

Result<> Run(const std::string& folder, size_t sample_size) {
  const std::vector<std::string> files = TRY(Pictures(folder));
  const std::vector<std::string> sample = Sample(files, sample_size);
  Models models;
  for (unsigned core = 0; core < std::max(1U, std::thread::hardware_concurrency()); ++core) {
    models.push_back(TRY(Packs().Load(kPack, {"cpu", 1})));
  }
  for (const std::string& file : files) TRY(ReadFile(file));
  TRY(MeasureBare(Sample(files, kBatch * models.size()), models));  // first calls are slower
  const Bare before = TRY(MeasureBare(sample, models));
  const Indexing indexing = TRY(Index(folder, files.size()));
  const Bare after = TRY(MeasureBare(sample, models));
  Print({Mean(before.decode, after.decode), Mean(before.inference, after.inference)}, indexing,
        files.size());
  return Ok{};
}

}  // namespace
}  // namespace msearch::bench

int main(int argc, char** argv) {
  const int sample = argc > 2 ? std::atoi(argv[2]) : 100;
  if (argc < 2 || argc > 3 || sample < 1) {
    std::fprintf(stderr, "usage: pipeline_bench FOLDER [SAMPLE]\n");
    return 2;
  }
  const std::string folder = std::filesystem::absolute(argv[1]).lexically_normal().string();
  const auto done = msearch::bench::Run(folder, static_cast<size_t>(sample));
  if (done.ok()) return 0;
  std::fprintf(stderr, "pipeline_bench: %s\n", done.message().c_str());
  return 1;
}
