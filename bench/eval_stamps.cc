// How well a pack finds pictures by words: recall of descriptions over labelled pictures.
//   eval_stamps TSV STAMPS MANIFESTS MODELS RUNTIME PACK [LANGUAGE]
// TSV: a line per picture, its path below STAMPS, a tab, its description. With a LANGUAGE (zh_CN)
// descriptions are those of the stamps' own text files, of the pictures that have one in it. Every
// picture is indexed by its pixels alone; a description's rank is 1 + the number of pictures scored
// above its own.

#include <fcntl.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/strings.h"
#include "embedding/model_packs.h"
#include "index/vector_index.h"
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

// Tux Paint keeps descriptions beside a picture, in lines "LANGUAGE.utf8=text".
void Translate(std::vector<Item>& items, const std::string& stamps, const std::string& language) {
  std::vector<Item> out;
  for (Item& item : items) {
    const std::string path = stamps + "/" + item.path.substr(0, item.path.rfind('.')) + ".txt";
    const Result<std::string> text = ReadFile(path, 1 << 20);
    if (!text.ok()) continue;
    for (std::string_view line : Split(*text, '\n')) {
      const std::string key = language + ".utf8=";
      if (line.starts_with(key)) {
        item.description = Trim(line.substr(key.size()));
        out.push_back(item);
        break;
      }
    }
  }
  items = std::move(out);
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

// Every picture's vectors, its place in `items` as its id.
Result<std::unique_ptr<index::VectorIndex>> MakeIndex(const std::vector<Item>& items,
                                                      const embedding::ModelInfo& info,
                                                      const std::string& path) {
  index::IndexOptions options;
  options.model_key = info.key;
  for (const embedding::ViewInfo& view : info.views) {
    using Codes = index::View::Codes;
    options.views.push_back({view.name, view.dimensions, view.fine ? Codes::kBf16 : Codes::kInt8});
  }
  auto vectors = TRY(index::VectorIndex::Open(path, options));
  for (size_t i = 0; i < items.size(); ++i) {
    const auto& views = items[i].embedding.views;
    const std::vector<std::span<const float>> spans(views.begin(), views.end());
    TRY(vectors->Add(static_cast<index::SegmentId>(i), spans));
  }
  return vectors;
}

std::vector<index::ViewQuery> ToQuery(const embedding::Probe& probe) {
  using Transform = index::ViewQuery::Transform;
  std::vector<index::ViewQuery> query;
  for (const embedding::ProbeView& view : probe.views) {
    query.push_back({view.view, view.vector, view.log ? Transform::kLog : Transform::kIdentity,
                     view.weight, view.divide_by_mean});
  }
  return query;
}

Result<> Run(char** argv) {
  std::vector<Item> items = TRY(ReadItems(argv[1]));
  if (argv[7] != nullptr) Translate(items, argv[2], argv[7]);
  const embedding::ModelPacks packs({argv[3], argv[4], argv[5]});
  const std::unique_ptr<Embedder> model = TRY(packs.Load(argv[6], {}));
  TRY(EmbedAll(items, argv[2], *model));
  const TemporaryDirectory scratch;
  const auto vectors = TRY(MakeIndex(items, model->info(), scratch.path() + "/index"));
  int at_1 = 0, at_5 = 0, at_10 = 0;
  for (size_t i = 0; i < items.size(); ++i) {
    const std::vector<embedding::Probe> probes = TRY(model->ProbeWords(items[i].description));
    const auto matches = TRY(vectors->Search(ToQuery(probes.at(0)), items.size()));
    const auto own = std::find_if(matches.begin(), matches.end(), [&](const index::Match& match) {
      return match.segment == static_cast<index::SegmentId>(i);
    });
    const auto above = std::count_if(matches.begin(), matches.end(), [&](const auto& match) {
      return own == matches.end() || match.score > own->score;
    });
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
  if (argc != 7 && argc != 8) {
    std::fprintf(stderr,
                 "usage: eval_stamps TSV STAMPS MANIFESTS MODELS RUNTIME PACK [LANGUAGE]\n");
    return 2;
  }
  const msearch::Result<> done = Run(argv);
  if (!done.ok()) std::fprintf(stderr, "%s\n", done.message().c_str());
  return done.ok() ? 0 : 1;
}
