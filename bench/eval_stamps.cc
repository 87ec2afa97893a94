// How well a pack finds pictures by words: recall of descriptions over labelled pictures.
//   eval_stamps TSV STAMPS MANIFESTS MODELS RUNTIME PACK
// TSV: a line per picture, its path below STAMPS, a tab, its description. Every picture is indexed
// by its pixels alone; a description's rank is 1 + the number of pictures scored above its own.

#include <fcntl.h>

#include <cmath>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/strings.h"
#include "embedding/model_packs.h"
#include "media/codec.h"

namespace {

using namespace msearch;
using embedding::Embedder;
using embedding::Embedding;

struct Item {
  std::string path;
  std::string description;
  Embedding embedding;
};

Result<std::vector<Item>> ReadItems(const std::string& tsv) {
  const std::string text = TRY(ReadFile(tsv));
  std::vector<Item> items;
  for (std::string_view line : Split(text, '\n')) {
    const size_t tab = line.find('\t');
    if (line.starts_with('#') || tab == std::string_view::npos) continue;
    items.push_back({std::string(line.substr(0, tab)), std::string(line.substr(tab + 1)), {}});
  }
  return items;
}

Result<> EmbedAll(std::vector<Item>& items, const std::string& stamps, Embedder& model) {
  media::Codec codec({"--codec-child"}, {});
  media::PrepareOptions options;
  options.thumbnail_side_max = 0;
  const embedding::ImageInputSpec& image = model.info().image;
  options.pixels = {image.width, image.height,
                    static_cast<media::PixelsWanted::Fit>(static_cast<int>(image.fit))};
  for (Item& item : items) {
    const Fd file = TRY(OpenFile(stamps + "/" + item.path, O_RDONLY));
    const media::Prepared prepared = TRY(codec.Prepare(file, item.path, options));
    const embedding::ImageInput input{prepared.pixels.at(0)};
    item.embedding = std::move(TRY(model.EmbedPictures({&input, 1}))[0]);
  }
  return Ok{};
}

double InnerProduct(const std::vector<float>& a, const std::vector<float>& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += double{a[i]} * double{b[i]};
  return sum;
}

// As index::ViewQuery says: weight * z(transform(inner product)), a single view unstandardised.
std::vector<double> Score(const std::vector<Item>& items, const embedding::Probe& probe) {
  std::vector<double> scores(items.size(), 0.0);
  for (const embedding::ProbeView& view : probe.views) {
    std::vector<float> vector = view.vector;
    if (view.divide_by_mean) {
      std::vector<double> mean(vector.size(), 0.0);
      for (const Item& item : items) {
        for (size_t i = 0; i < mean.size(); ++i)
          mean[i] += double{item.embedding.views[view.view][i]};
      }
      for (size_t i = 0; i < mean.size(); ++i) {
        mean[i] /= static_cast<double>(items.size());
        vector[i] = mean[i] > 0 ? static_cast<float>(double{vector[i]} / mean[i]) : 0.0F;
      }
    }
    std::vector<double> values;
    double sum = 0, squares = 0;
    for (const Item& item : items) {
      double value = InnerProduct(vector, item.embedding.views[view.view]);
      if (view.log) value = std::log(std::max(value, 1e-12));
      values.push_back(value);
      sum += value;
    }
    const double mean = sum / static_cast<double>(items.size());
    for (double value : values) squares += (value - mean) * (value - mean);
    const double deviation = std::sqrt(squares / static_cast<double>(items.size())) + 1e-12;
    for (size_t i = 0; i < items.size(); ++i) {
      scores[i] += double{view.weight} *
                   (probe.views.size() == 1 ? values[i] : (values[i] - mean) / deviation);
    }
  }
  return scores;
}

Result<> Run(char** argv) {
  std::vector<Item> items = TRY(ReadItems(argv[1]));
  const embedding::ModelPacks packs({argv[3], argv[4], argv[5]});
  const std::unique_ptr<Embedder> model = TRY(packs.Load(argv[6], {}));
  TRY(EmbedAll(items, argv[2], *model));
  int at_1 = 0, at_5 = 0, at_10 = 0;
  for (size_t i = 0; i < items.size(); ++i) {
    const std::vector<embedding::Probe> probes = TRY(model->ProbeWords(items[i].description));
    const std::vector<double> scores = Score(items, probes[0]);
    int above = 0;
    for (double score : scores) above += score > scores[i] ? 1 : 0;
    at_1 += above < 1 ? 1 : 0;
    at_5 += above < 5 ? 1 : 0;
    at_10 += above < 10 ? 1 : 0;
  }
  const auto count = static_cast<double>(items.size());
  std::printf("%s: %zu pictures, recall@1 %.3f, @5 %.3f, @10 %.3f\n", argv[6], items.size(),
              at_1 / count, at_5 / count, at_10 / count);
  return Ok{};
}

}  // namespace

int main(int argc, char** argv) {
  if (argc == 2 && std::strcmp(argv[1], "--codec-child") == 0) return msearch::media::ServeCodec();
  if (argc != 7) {
    std::fprintf(stderr, "usage: eval_stamps TSV STAMPS MANIFESTS MODELS RUNTIME PACK\n");
    return 2;
  }
  const msearch::Result<> done = Run(argv);
  if (!done.ok()) std::fprintf(stderr, "%s\n", done.message().c_str());
  return done.ok() ? 0 : 1;
}
