#include "embedding/embedder.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <cmath>

namespace msearch::embedding {
namespace {

constexpr std::array<std::string_view, 3> kFitNames = {"stretch", "center-crop", "pad"};
constexpr int64_t kSideMax = 4096;
constexpr int64_t kDimensionsMax = 65536;

Error Invalid(const std::string& what) { return {Code::kInvalid, what}; }

}  // namespace

Json ImageInputSpec::ToJson() const {
  return {{"width", width}, {"height", height}, {"fit", kFitNames[static_cast<size_t>(fit)]}};
}

Result<ImageInputSpec> ImageInputSpec::FromJson(const Json& json) {
  const int64_t width = GetInt(json, "width").value_or(-1);
  const int64_t height = GetInt(json, "height").value_or(-1);
  const std::string fit = GetString(json, "fit").value_or("");
  const auto name = std::find(kFitNames.begin(), kFitNames.end(), fit);
  if (width < 0 || height < 0 || width > kSideMax || height > kSideMax) {
    return Invalid("image input: width and height must be 0 to " + std::to_string(kSideMax));
  }
  if (name == kFitNames.end()) return Invalid("image input: unknown fit '" + fit + "'");
  return ImageInputSpec{static_cast<uint32_t>(width), static_cast<uint32_t>(height),
                        static_cast<Fit>(name - kFitNames.begin())};
}

Json ModelInfo::ToJson() const {
  Json list = Json::array();
  for (const ViewInfo& view : views) {
    list.push_back({{"name", view.name}, {"dimensions", view.dimensions}, {"fine", view.fine}});
  }
  return {{"name", name},
          {"key", key},
          {"views", list},
          {"image", image.ToJson()},
          {"embeds_pictures", embeds_pictures},
          {"embeds_passages", embeds_passages},
          {"answers_words", answers_words},
          {"passage_words_max", passage_words_max}};
}

Result<ModelInfo> ModelInfo::FromJson(const Json& json) {
  ModelInfo info;
  info.name = GetString(json, "name").value_or("");
  info.key = GetString(json, "key").value_or("");
  if (info.name.empty() || info.key.empty()) return Invalid("model: no name or key");
  const auto views = json.find("views");
  if (views == json.end() || !views->is_array())
    return Invalid("model " + info.name + ": no views");
  for (const Json& view : *views) {
    const int64_t dimensions = GetInt(view, "dimensions").value_or(0);
    if (dimensions < 1 || dimensions > kDimensionsMax) {
      return Invalid("model " + info.name + ": a view of odd dimensions");
    }
    info.views.push_back({GetString(view, "name").value_or(""), static_cast<uint32_t>(dimensions),
                          GetBool(view, "fine").value_or(false)});
  }
  const auto image = json.find("image");
  if (image != json.end()) info.image = TRY(ImageInputSpec::FromJson(*image));
  info.embeds_pictures = GetBool(json, "embeds_pictures").value_or(info.embeds_pictures);
  info.embeds_passages = GetBool(json, "embeds_passages").value_or(info.embeds_passages);
  info.answers_words = GetBool(json, "answers_words").value_or(info.answers_words);
  info.passage_words_max =
      static_cast<uint32_t>(GetInt(json, "passage_words_max").value_or(info.passage_words_max));
  return info;
}

float Confidence(const Probe& probe, std::span<const float> by_view) {
  assert(by_view.size() == probe.views.size());
  // The logarithm of nothing would make one view outvote all others for good.
  constexpr float kLogMin = 1e-6F;
  const Calibration& figures = probe.calibration;
  float sum = figures.bias;
  for (size_t i = 0; i < std::min(by_view.size(), figures.slopes.size()); ++i) {
    const float value = probe.views[i].log ? std::log(std::max(by_view[i], kLogMin)) : by_view[i];
    sum += figures.slopes[i] * value;
  }
  return 1.0F / (1.0F + std::exp(-sum));
}

}  // namespace msearch::embedding
