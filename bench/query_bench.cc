// A query by words over HTTP, on a library of many segments, against bare text embedding and bare
// scan of the index; on a server with nothing else to do, and while it indexes.
//
//   query_bench PICTURES [SEGMENTS, 100000] [ROUNDS, 5]
//
// PICTURES: a folder of files to index meanwhile. MSEARCH_MODEL_DIRECTORY: where open-1k was pulled
// to. The library is synthetic (synthetic_library.h). Bare: ProbeWords in this process, one thread,
// then VectorIndex::Search of each probe over a second opening of the server's own index file, as
// many results as the server asks for. The two take turns query by query. The server does more:
// full text, fusing, paths, labels and reasons of the hits, JSON and HTTP, with a new connection
// for each query.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "index/vector_index.h"
#include "measure.h"
#include "roles.h"
#include "synthetic_library.h"
#include "system/server.h"

namespace msearch::bench {
namespace {

namespace fs = std::filesystem;

constexpr char kPack[] = "open-1k";
constexpr size_t kHits = 20;
constexpr size_t kDepth = 100;  // what the server takes from the index for so many hits

const std::vector<std::string> kQueries{"a red sports car",
                                        "frog on a leaf",
                                        "sailing boat at sea",
                                        "two dogs playing",
                                        "old church with tower",
                                        "a cup of coffee",
                                        "mountain in winter",
                                        "guitar",
                                        "children on a beach",
                                        "orange cat sleeping",
                                        "bicycle",
                                        "bird in flight",
                                        "steam train",
                                        "bowl of strawberries",
                                        "wooden table",
                                        "snake",
                                        "city street at night",
                                        "elephant",
                                        "old telephone",
                                        "flowers in a pot"};

index::IndexOptions OptionsFor(const embedding::ModelInfo& info) {
  index::IndexOptions options;
  options.model_key = info.key;
  for (const embedding::ViewInfo& view : info.views) {
    using Codes = index::View::Codes;
    options.views.push_back({view.name, view.dimensions, view.fine ? Codes::kBf16 : Codes::kInt8});
  }
  return options;
}

// The server's index file, once it has written it, under a second name.
Result<std::unique_ptr<index::VectorIndex>> OpenSecond(const test::Server& server,
                                                       const std::string& path,
                                                       const embedding::ModelInfo& info,
                                                       size_t segments) {
  std::unique_ptr<index::VectorIndex> opened;
  const auto whole = [&] {
    for (const auto& entry : fs::directory_iterator(server.data() + "/index")) {
      if (entry.path().extension() != ".index") continue;
      std::error_code ignored;
      fs::remove(path, ignored);
      fs::create_hard_link(entry.path(), path, ignored);
      auto attempt = index::VectorIndex::Open(path, OptionsFor(info));
      if (!attempt.ok() || (*attempt)->size() != segments) continue;
      opened = std::move(*attempt);
      return true;
    }
    return false;
  };
  if (!test::Eventually(whole, 300)) return Error{Code::kTimeout, "the index wasn't written"};
  return opened;
}

// Milliseconds; all vectors but those of the processor's time have one element a query.
struct Times {
  std::vector<double> embed;
  std::vector<double> scan;
  std::vector<double> bare;
  std::vector<double> http;
  double bare_processor = 0;                     // a query
  std::map<std::string, double> http_processor;  // a query, by role
};

class Asker {
 public:
  Asker(embedding::Embedder& model, const index::VectorIndex& index, const test::Server& server)
      : model_(model), index_(index), server_(server) {}

  Result<> Bare(const std::string& words, Times* times) const {
    const Stopwatch watch;
    const auto probes = TRY(model_.ProbeWords(words));
    const double embedded = watch.seconds();
    for (const embedding::Probe& probe : probes) {
      std::vector<index::ViewQuery> query;
      for (const embedding::ProbeView& view : probe.views) {
        using Transform = index::ViewQuery::Transform;
        query.push_back({view.view, view.vector, view.log ? Transform::kLog : Transform::kIdentity,
                         view.weight, view.divide_by_mean});
      }
      if (TRY(index_.Search(query, kDepth)).empty()) {
        return Error{Code::kInternal, words + ": the bare search finds nothing"};
      }
    }
    const double all = watch.seconds();
    times->embed.push_back(embedded * 1000);
    times->scan.push_back((all - embedded) * 1000);
    times->bare.push_back(all * 1000);
    return Ok{};
  }

  Result<> Http(const std::string& words, Times* times) const {
    const Stopwatch watch;
    const auto answer = server_.Post("/api/search", {{"query", words}, {"limit", kHits}});
    times->http.push_back(watch.seconds() * 1000);
    if (answer.status == 200 && answer.json.value("hits", Json::array()).size() >= kHits)
      return Ok{};
    return Error{Code::kInternal, words + ": " + answer.body.substr(0, 500)};
  }

 private:
  embedding::Embedder& model_;
  const index::VectorIndex& index_;
  const test::Server& server_;
};

Result<Times> MeasureIdle(const Asker& asker, const test::Server& server, int rounds) {
  Times warming;
  for (const std::string& words : kQueries) {
    TRY(asker.Bare(words, &warming));
    TRY(asker.Http(words, &warming));
  }
  Times times;
  const auto before = RolesUnder(server.pid(), false);
  for (int round = 0; round < rounds; ++round) {
    for (const std::string& words : kQueries) {
      const double begin = ThreadSeconds();
      TRY(asker.Bare(words, &times));
      times.bare_processor += (ThreadSeconds() - begin) * 1000;
      TRY(asker.Http(words, &times));
    }
  }
  const auto queries = static_cast<double>(times.http.size());
  times.bare_processor /= queries;
  for (const auto& [role, use] : RolesUnder(server.pid(), false)) {
    const auto found = before.find(role);
    const double used = found == before.end() ? 0 : found->second.processor_seconds;
    times.http_processor[role] = (use.processor_seconds - used) * 1000 / queries;
  }
  return times;
}

// Only queries that ended before the indexing did.
Result<Times> MeasureBusy(const Asker& asker, const test::Server& server,
                          const std::string& pictures, int queries_max) {
  const auto added = server.Post("/api/roots", {{"path", pictures}, {"name", "pictures"}});
  if (added.status != 201) return Error{Code::kInternal, "adding the folder: " + added.body};
  const auto files = [&](const char* key) {
    return GetInt(server.Get("/api/index/status").json, key).value_or(0);
  };
  const int64_t indexed_before = files("indexed");
  if (!test::Eventually([&] { return files("indexed") > indexed_before; }, 300)) {
    return Error{Code::kTimeout, "nothing is being indexed"};
  }
  Times times;
  for (int i = 0; i < queries_max; ++i) {
    TRY(asker.Http(kQueries[static_cast<size_t>(i) % kQueries.size()], &times));
    if (files("pending") > 0) continue;
    times.http.pop_back();
    break;
  }
  if (times.http.empty()) return Error{Code::kInvalid, pictures + ": too few files to measure"};
  return times;
}

double Percentile(std::vector<double> values, double share) {
  std::sort(values.begin(), values.end());
  return values[static_cast<size_t>(share * static_cast<double>(values.size() - 1))];
}

void Print(const Times& idle, const Times& busy) {
  const double bare = Median(idle.bare);
  std::printf("                               median ms   95 %%    ratio\n");
  const auto row = [&](const char* what, const std::vector<double>& values, bool ratio) {
    std::printf("%-30s %9.2f %8.2f", what, Median(values), Percentile(values, 0.95));
    if (ratio) std::printf(" %7.2f", Median(values) / bare);
    std::printf("   (%zu queries)\n", values.size());
  };
  row("bare text embedding", idle.embed, false);
  row("bare scan", idle.scan, false);
  row("bare, both", idle.bare, false);
  row("over HTTP, idle", idle.http, true);
  row("over HTTP, while indexing", busy.http, true);
  std::printf("\nprocessor time of a query, idle    ms\n%-28s %8.2f\n", "bare",
              idle.bare_processor);
  double all = 0;
  for (const auto& [role, milliseconds] : idle.http_processor) {
    all += milliseconds;
    if (milliseconds > 0) std::printf("%-28s %8.2f\n", role.c_str(), milliseconds);
  }
  std::printf("%-28s %8.2f\n", "msearch, all roles", all);
}

Result<> Run(const std::string& pictures, int segments, int rounds) {
  const auto model = TRY(Packs().Load(kPack, {"cpu", 1}));
  auto labels = TRY(embedding::LoadLabels(ModelsFolder() + "/" + kPack + "/labels.cbor"));
  test::Server server({}, kPack);
  const Stopwatch watch;
  SyntheticLibrary library(model->info(), std::move(labels));
  TRY(library.Write(server.data(), server.files(), segments));
  std::printf("%d segments, written in %.0f s\n", segments, watch.seconds());
  std::fflush(stdout);
  if (!server.Start()) return Error{Code::kInternal, "msearch didn't start: " + server.log()};
  const TemporaryDirectory scratch;
  const auto index = TRY(OpenSecond(server, scratch.path() + "/second.index", model->info(),
                                    static_cast<size_t>(segments)));
  const Asker asker(*model, *index, server);
  const Times idle = TRY(MeasureIdle(asker, server, rounds));
  const Times busy =
      TRY(MeasureBusy(asker, server, pictures, rounds * static_cast<int>(kQueries.size())));
  Print(idle, busy);
  return Ok{};
}

}  // namespace
}  // namespace msearch::bench

int main(int argc, char** argv) {
  const int segments = argc > 2 ? std::atoi(argv[2]) : 100000;
  const int rounds = argc > 3 ? std::atoi(argv[3]) : 5;
  if (argc < 2 || argc > 4 || segments < 1 || rounds < 1) {
    std::fprintf(stderr, "usage: query_bench PICTURES [SEGMENTS] [ROUNDS]\n");
    return 2;
  }
  const std::string pictures = std::filesystem::absolute(argv[1]).lexically_normal().string();
  const auto done = msearch::bench::Run(pictures, segments, rounds);
  if (done.ok()) return 0;
  std::fprintf(stderr, "query_bench: %s\n", done.message().c_str());
  return 1;
}
