#include "embedding/label_set.h"

#include <cstring>

#include "base/file.h"
#include "embedding/vectors.h"

namespace msearch::embedding {
namespace {

constexpr int kFormat = 1;
constexpr uint64_t kFileBytesMax = 256 << 20;

Json ToBinary(const std::vector<float>& values) {
  const auto* bytes = reinterpret_cast<const uint8_t*>(values.data());
  return Json::binary({bytes, bytes + values.size() * sizeof(float)});
}

std::vector<float> FromBinary(const Json& json, const char* key) {
  const auto it = json.find(key);
  if (it == json.end() || !it->is_binary()) return {};
  const std::vector<uint8_t>& bytes = it->get_binary();
  std::vector<float> values(bytes.size() / sizeof(float));
  if (!values.empty()) std::memcpy(values.data(), bytes.data(), values.size() * sizeof(float));
  return values;
}

std::string GeneralSentence(const LabelSet::Entry& entry) {
  std::string text = "A " + entry.text;
  if (!entry.generals.empty()) text += ", a kind of " + entry.generals[0];
  if (entry.generals.size() > 1) text += ", " + entry.generals[1];
  return text + ".";
}

}  // namespace

Result<LabelSet> EmbedLabels(std::vector<LabelSet::Entry> entries, const SentenceEncoder& encoder,
                             const std::function<void(size_t)>& progress, std::stop_token stop) {
  LabelSet labels;
  labels.entries = std::move(entries);
  for (size_t i = 0; i < labels.entries.size(); ++i) {
    if (stop.stop_requested()) return Error{Code::kCancelled, "labels: cancelled"};
    const LabelSet::Entry& entry = labels.entries[i];
    std::vector<float> mean = TRY(encoder.Encode("A " + entry.text + "."));
    const std::vector<float> general = TRY(encoder.Encode(GeneralSentence(entry)));
    AddScaled(mean, general, 1.0F);
    Normalise(mean);
    labels.dimensions = general.size();
    labels.general_sentences.insert(labels.general_sentences.end(), general.begin(), general.end());
    labels.mean_sentences.insert(labels.mean_sentences.end(), mean.begin(), mean.end());
    if (progress) progress(i + 1);
  }
  return labels;
}

Result<> SaveLabels(const LabelSet& labels, const std::string& path) {
  Json entries = Json::array();
  for (const LabelSet::Entry& entry : labels.entries) {
    entries.push_back({{"text", entry.text}, {"generals", entry.generals}});
  }
  const Json json = {{"format", kFormat},
                     {"labels", entries},
                     {"dimensions", labels.dimensions},
                     {"general_sentences", ToBinary(labels.general_sentences)},
                     {"mean_sentences", ToBinary(labels.mean_sentences)}};
  return WriteFileAtomically(path, ToCbor(json));
}

Result<LabelSet> LoadLabels(const std::string& path) {
  const std::string bytes = TRY(ReadFile(path, kFileBytesMax));
  const Result<Json> json = FromCbor(bytes);
  if (!json.ok() || GetInt(*json, "format") != kFormat) {
    return Error{Code::kCorrupt, path + ": not a file of labels"};
  }
  LabelSet labels;
  const auto entries = json->find("labels");
  if (entries != json->end() && entries->is_array()) {
    for (const Json& entry : *entries) {
      labels.entries.push_back({GetString(entry, "text").value_or(""), {}});
      const auto generals = entry.find("generals");
      if (generals == entry.end() || !generals->is_array()) continue;
      for (const Json& general : *generals) {
        if (general.is_string()) labels.entries.back().generals.push_back(general);
      }
    }
  }
  labels.dimensions = static_cast<size_t>(GetInt(*json, "dimensions").value_or(0));
  labels.general_sentences = FromBinary(*json, "general_sentences");
  labels.mean_sentences = FromBinary(*json, "mean_sentences");
  const size_t values = labels.entries.size() * labels.dimensions;
  if (values == 0 || labels.general_sentences.size() != values ||
      labels.mean_sentences.size() != values) {
    return Error{Code::kCorrupt, path + ": not a file of labels"};
  }
  return labels;
}

}  // namespace msearch::embedding
