#include "synthetic_library.h"

#include <cmath>
#include <filesystem>
#include <vector>

#include "ingest/pipeline.h"

namespace msearch::bench {
namespace {

constexpr size_t kBatch = 500;

using Generator = std::mt19937_64;

std::vector<float> Direction(size_t dimensions, Generator& random) {
  std::normal_distribution<float> normal;
  std::vector<float> vector(dimensions);
  float squares = 0;
  for (float& value : vector) {
    value = normal(random);
    squares += value * value;
  }
  for (float& value : vector) value /= std::sqrt(squares);
  return vector;
}

// Like a classifier's probabilities to the power of 0.7: few are large, all are positive.
std::vector<float> Likelihoods(size_t dimensions, Generator& random) {
  std::normal_distribution<float> normal;
  std::vector<float> vector(dimensions);
  float sum = 0;
  for (float& value : vector) {
    value = std::exp(3 * normal(random));
    sum += value;
  }
  for (float& value : vector) value = std::pow(value / sum, 0.7F);
  return vector;
}

catalog::FileFact Fact(int number) {
  const bool passage = number % 10 == 0;
  const std::string name = (passage ? "notes_" : "IMG_") + std::to_string(number);
  return {
      .path = "album " + std::to_string(number / 1000) + "/" + name + (passage ? ".txt" : ".jpg"),
      .size = passage ? 2000U : 3000000U,
      .modified_ns = (1700000000LL + number * 60LL) * 1000000000LL,
      .inode = static_cast<uint64_t>(number) + 1};
}

}  // namespace

Result<> SyntheticLibrary::Write(const std::string& data, const std::string& root, int segments) {
  std::filesystem::create_directories(data);
  const auto catalog = TRY(catalog::Catalog::OpenSqlite(data + "/catalog.db"));
  catalog::Root row = TRY(catalog->AddRoot({.name = "library", .path = root}));
  std::vector<catalog::FileFact> facts;
  for (int i = 0; i < segments; ++i) facts.push_back(Fact(i));
  TRY(catalog->FilesPresent("library", facts));
  const uint64_t epoch = TRY(catalog->RaiseEpoch());
  catalog::FileId after = 0;
  uint64_t counter = 0;
  while (true) {
    const auto files = TRY(catalog->PendingFiles(after, kBatch));
    if (files.empty()) break;
    after = files.back().id;
    std::vector<catalog::Commit> commits;
    for (const catalog::File& file : files) {
      commits.push_back({.file = file.id,
                         .version = file.version,
                         .token = {epoch, ++counter},
                         .model_key = info_.key,
                         .content = Content(file.fact)});
    }
    for (const auto& effect : TRY(catalog->Apply(commits))) TRY(Result<>(effect.status));
  }
  row.paused = true;
  return catalog->UpdateRoot(row);
}

catalog::MediaContent SyntheticLibrary::Content(const catalog::FileFact& fact) {
  const bool passage = fact.path.ends_with(".txt");
  catalog::MediaContent content;
  content.hash = Sha256(fact.path);
  content.preparation = ingest::kPreparation;
  content.type = passage ? "document" : "image";
  content.mime = passage ? "text/plain" : "image/jpeg";
  content.size = fact.size;
  content.segments.push_back(passage ? Passage() : Picture());
  return content;
}

// Views of open-1k: semantic, labels, visual, passage.
catalog::Segment SyntheticLibrary::Picture() {
  catalog::Segment segment;
  for (const embedding::ViewInfo& view : info_.views) {
    segment.views.push_back(view.name == "passage" ? std::vector<float>()
                            : view.fine            ? Likelihoods(view.dimensions, random_)
                                                   : Direction(view.dimensions, random_));
  }
  const size_t count = 1 + random_() % 3;
  for (size_t i = 0; i < count; ++i) {
    const auto& label = labels_.entries[random_() % labels_.entries.size()];
    segment.labels.push_back(label.text);
    segment.labels.insert(segment.labels.end(), label.generals.begin(), label.generals.end());
  }
  return segment;
}

catalog::Segment SyntheticLibrary::Passage() {
  catalog::Segment segment;
  for (const embedding::ViewInfo& view : info_.views) {
    segment.views.push_back(view.name == "passage" ? Direction(view.dimensions, random_)
                                                   : std::vector<float>());
  }
  for (int i = 0; i < 100; ++i) {
    segment.text += labels_.entries[random_() % labels_.entries.size()].text + " ";
  }
  return segment;
}

}  // namespace msearch::bench
