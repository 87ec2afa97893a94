// Exact search against its own bare kernel loop and against FAISS, in one run.
//
//   index_bench [--count 1000000] [--dimensions 512] [--queries 100]
//               [--data gaussian|clustered|both|none] [--json FILE]
//
// Each query is timed with every contender before the next, in random order, so that noise of
// the machine meets all of them alike; medians are printed. Times are those of the one thread that
// all of it runs on, so that other processes don't count; data is in memory. Contenders:
//
//   search     VectorIndex::Search, top 10, re-scored in float32, over the mapped file
//   loop       NumKong's int8 kernel over the same bytes of the same file, nothing else
//   faiss      IndexFlatIP of Debian's library, single queries, float32; also the truth for recall
//
// Gaussian data (normalised) is the hard case for codes: all vectors are about equally far away.
// Clustered data is nearer to real embeddings: directions around random centres, about a thousand
// to a centre, cosine 0.64 within one; queries lie in the clusters too.
//
// The second table is a query of two views as the default model has them (384 dimensions int8,
// 1000 dimensions bf16 with kLog and divide_by_mean) over a tenth of the segments, against the
// bare loops over both views' codes.
#include <faiss/IndexFlat.h>
#include <omp.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <functional>
#include <numeric>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/json.h"
#include "index/mapped_file.h"
#include "index/vector_index.h"
#include "numkong_dots.h"

namespace msearch::index {
namespace {

constexpr size_t kTop = 10;

struct Options {
  size_t count = 1'000'000;
  uint32_t dimensions = 512;
  int queries = 100;
  std::string data = "both";
  std::string json;
};

template <typename T>
T Must(Result<T> result) {
  if (result.ok()) return *std::move(result);
  std::fprintf(stderr, "index_bench: %s\n", result.message().c_str());
  std::exit(1);
}

double ThreadMilliseconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e3 + static_cast<double>(now.tv_nsec) / 1e6;
}

double Milliseconds(const std::function<void()>& work) {
  const double begin = ThreadMilliseconds();
  work();
  return ThreadMilliseconds() - begin;
}

double Median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + values.size() / 2, values.end());
  return values[values.size() / 2];
}

// Contenders timed in turns.
class Race {
 public:
  void Enter(std::string name, std::function<void(size_t query)> run) {
    names_.push_back(std::move(name));
    runs_.push_back(std::move(run));
    times_.emplace_back();
  }
  void Run(size_t queries) {
    for (const auto& run : runs_) run(0);  // pages mapped, caches as warm as they get
    std::vector<size_t> order(runs_.size());
    std::iota(order.begin(), order.end(), 0);
    std::mt19937 random(2);
    for (size_t query = 0; query < queries; ++query) {
      std::shuffle(order.begin(), order.end(), random);
      for (const size_t turn : order) {
        times_[turn].push_back(Milliseconds([&] { runs_[turn](query); }));
      }
    }
  }
  // The first contender's speed as a multiple of each other's.
  Json Report() const {
    Json report;
    const double first = Median(times_[0]);
    std::printf("  %-12s %10s %10s %22s\n", "", "best ms", "median ms",
                (names_[0] + " is faster by").c_str());
    for (size_t i = 0; i < names_.size(); ++i) {
      const double best = *std::min_element(times_[i].begin(), times_[i].end());
      const double median = Median(times_[i]);
      std::printf("  %-12s %10.2f %10.2f %21.2fx\n", names_[i].c_str(), best, median,
                  median / first);
      report[names_[i]] = {{"best_ms", best}, {"median_ms", median}, {"ratio", median / first}};
    }
    std::fflush(stdout);
    return report;
  }

 private:
  std::vector<std::string> names_;
  std::vector<std::function<void(size_t)>> runs_;
  std::vector<std::vector<double>> times_;
};

class Directions {
 public:
  Directions(const Options& options, bool clustered)
      : dimensions_(options.dimensions), clustered_(clustered) {
    for (size_t c = 0; clustered && c <= options.count / 1000; ++c) centres_.push_back(Around({}));
  }
  std::vector<float> Next() {
    return clustered_ ? Around(centres_[random_() % centres_.size()]) : Around({});
  }

 private:
  std::vector<float> Around(const std::vector<float>& centre) {
    std::vector<float> out(dimensions_);
    double squares = 0;
    for (size_t i = 0; i < out.size(); ++i) {
      const float noise = normal_(random_) / std::sqrt(static_cast<float>(dimensions_));
      out[i] = centre.empty() ? noise : centre[i] + 0.75F * noise;
      squares += double{out[i]} * out[i];
    }
    for (float& x : out) x /= static_cast<float>(std::sqrt(squares));
    return out;
  }

  const uint32_t dimensions_;
  const bool clustered_;
  std::mt19937 random_{11};
  std::normal_distribution<float> normal_;
  std::vector<std::vector<float>> centres_;
};

// The sum keeps the compiler from leaving the loop out.
volatile double sink;

void LoopOverCodes(const MappedFile& file, const View& view, uint32_t number) {
  static const numkong_dots dots = numkong_find_dots();
  const uint64_t bytes = CodeBytes(view);
  const Array<uint16_t> query = MakeArray<uint16_t>(bytes / 2);
  std::fill_n(query.get(), bytes / 2, uint16_t{0x0101});
  const std::byte* code = file.views[number].codes;
  double sum = 0;
  for (uint32_t row = 0; row < file.views[number].count; ++row, code += bytes) {
    if (view.codes == View::Codes::kInt8) {
      int32_t product = 0;
      dots.i8(reinterpret_cast<const int8_t*>(query.get()), reinterpret_cast<const int8_t*>(code),
              bytes, &product);
      sum += product;
    } else {
      float product = 0;
      dots.bf16(query.get(), reinterpret_cast<const uint16_t*>(code), bytes / 2, &product);
      sum += product;
    }
  }
  sink = sum;
}

Json BenchOneView(const Options& options, bool clustered) {
  const char* kind = clustered ? "clustered" : "gaussian";
  std::printf("\n%zu x %u, %s, top %zu, one thread\n", options.count, options.dimensions, kind,
              kTop);
  const TemporaryDirectory directory;
  const std::string path = directory.path() + "/index";
  const IndexOptions index_options{.model_key = "bench",
                                   .views = {{"view", options.dimensions, View::Codes::kInt8}}};
  Directions directions(options, clustered);
  faiss::IndexFlatIP flat(options.dimensions);
  flat.codes.reserve(options.count * options.dimensions * sizeof(float));
  Json report = {{"count", options.count}, {"dimensions", options.dimensions}, {"data", kind}};
  auto index = Must(VectorIndex::Open(path, index_options));
  double add_ms = 0;
  for (size_t i = 0; i < options.count; ++i) {
    const std::vector<float> vector = directions.Next();
    flat.add(1, vector.data());
    const std::span<const float> views[] = {vector};
    add_ms += Milliseconds([&] { Must(index->Add(static_cast<SegmentId>(i), views)); });
  }
  report["save_ms"] = Milliseconds([&] { Must(index->Save()); });
  index.reset();
  report["open_ms"] = Milliseconds([&] { index = Must(VectorIndex::Open(path, index_options)); });
  report["adds_per_s"] = static_cast<double>(options.count) / add_ms * 1000;
  const auto file = Must(MappedFile::Open(path, index_options));

  std::vector<std::vector<float>> queries;
  for (int q = 0; q < options.queries; ++q) queries.push_back(directions.Next());
  std::vector<std::set<SegmentId>> found(queries.size());
  std::vector<std::set<SegmentId>> truth(queries.size());
  Race race;
  race.Enter("search", [&](size_t q) {
    const std::vector<ViewQuery> query = {{.vector = queries[q]}};
    for (const Match& match : Must(index->Search(query, kTop))) found[q].insert(match.segment);
  });
  race.Enter("loop", [&](size_t) { LoopOverCodes(*file, index_options.views[0], 0); });
  race.Enter("faiss", [&](size_t q) {
    float scores[kTop];
    int64_t ids[kTop];
    flat.search(1, queries[q].data(), kTop, scores, ids);
    truth[q].insert(ids, ids + kTop);
  });
  race.Run(queries.size());
  report["contenders"] = race.Report();

  size_t hits = 0;
  for (size_t q = 0; q < queries.size(); ++q) {
    for (const SegmentId segment : truth[q]) hits += found[q].count(segment);
  }
  const double recall = static_cast<double>(hits) / static_cast<double>(queries.size() * kTop);
  report["recall_at_10"] = recall;
  std::printf("  recall@10 %.4f; %.0f adds/s, save %.0f ms, open %.0f ms\n", recall,
              report["adds_per_s"].get<double>(), report["save_ms"].get<double>(),
              report["open_ms"].get<double>());
  return report;
}

Json BenchTwoViews(const Options& options) {
  const size_t count = options.count / 10;
  std::printf("\n%zu segments, two views (384 int8, 1000 bf16), fused, top %zu, one thread\n",
              count, kTop);
  const TemporaryDirectory directory;
  const std::string path = directory.path() + "/index";
  const IndexOptions index_options{
      .model_key = "bench",
      .views = {{"semantic", 384, View::Codes::kInt8}, {"labels", 1000, View::Codes::kBf16}}};
  Directions directions({.count = count, .dimensions = 384}, true);
  std::mt19937 random(5);
  std::normal_distribution<float> normal;
  const auto labels = [&] {
    std::vector<float> out(1000);
    for (float& x : out) x = std::min(1.0F, std::exp(2 * normal(random) - 6));
    return out;
  };
  const auto index = Must(VectorIndex::Open(path, index_options));
  for (size_t i = 0; i < count; ++i) {
    const std::vector<float> semantic = directions.Next();
    const std::vector<float> label = labels();
    const std::span<const float> views[] = {semantic, label};
    Must(index->Add(static_cast<SegmentId>(i), views));
  }
  Must(index->Save());
  const auto file = Must(MappedFile::Open(path, index_options));
  std::vector<std::vector<ViewQuery>> queries;
  for (int q = 0; q < options.queries; ++q) {
    queries.push_back({{.vector = directions.Next()},
                       {.view = 1,
                        .vector = labels(),
                        .transform = ViewQuery::Transform::kLog,
                        .divide_by_mean = true}});
  }
  Race race;
  race.Enter("search", [&](size_t q) { Must(index->Search(queries[q], kTop)); });
  race.Enter("loops", [&](size_t) {
    for (uint32_t v = 0; v < 2; ++v) LoopOverCodes(*file, index_options.views[v], v);
  });
  race.Run(queries.size());
  return {{"count", count}, {"views", "384 int8, 1000 bf16"}, {"contenders", race.Report()}};
}

Options Parse(int argc, char** argv) {
  Options options;
  for (int i = 1; i + 1 < argc; i += 2) {
    const std::string name = argv[i];
    const char* value = argv[i + 1];
    if (name == "--count") options.count = std::strtoull(value, nullptr, 10);
    if (name == "--dimensions") options.dimensions = static_cast<uint32_t>(std::atoi(value));
    if (name == "--queries") options.queries = std::atoi(value);
    if (name == "--data") options.data = value;
    if (name == "--json") options.json = value;
  }
  return options;
}

int Main(int argc, char** argv) {
  const Options options = Parse(argc, argv);
  if (options.count < 100 || options.dimensions == 0 || options.queries < 1) {
    std::fprintf(stderr, "index_bench: at least 100 vectors, 1 dimension and 1 query are needed\n");
    return 2;
  }
  omp_set_num_threads(1);
  Json report = Json::array();
  const auto wanted = [&](const char* data) {
    return options.data == "both" || options.data == data;
  };
  if (wanted("gaussian")) report.push_back(BenchOneView(options, false));
  if (wanted("clustered")) report.push_back(BenchOneView(options, true));
  report.push_back(BenchTwoViews(options));
  if (!options.json.empty()) Must(WriteFileAtomically(options.json, DumpJson(report, 2)));
  return 0;
}

}  // namespace
}  // namespace msearch::index

int main(int argc, char** argv) { return msearch::index::Main(argc, argv); }
