#include "embedding/embedding_wire.h"

#include <cstring>

namespace msearch::embedding {
namespace {

Error Broken() { return {Code::kCorrupt, "embedding child: broken answer"}; }

const Json& Member(const Json& object, const char* key) {
  static const Json nothing;
  const auto it = object.find(key);
  return it == object.end() ? nothing : *it;
}

Json ToJson(const Label& label) {
  return {{"text", label.text}, {"probability", label.probability}, {"generals", label.generals}};
}

Label LabelFromJson(const Json& json) {
  Label label{GetString(json, "text").value_or(""),
              static_cast<float>(GetDouble(json, "probability").value_or(0)),
              {}};
  const Json& generals = Member(json, "generals");
  if (!generals.is_array()) return label;
  for (const Json& general : generals) {
    if (general.is_string()) label.generals.push_back(general.get<std::string>());
  }
  return label;
}

Json ToJson(const Calibration& figures) {
  return {{"bias", figures.bias},
          {"slopes", figures.slopes},
          {"strong", figures.strong},
          {"weak", figures.weak}};
}

Calibration CalibrationFromJson(const Json& json) {
  Calibration figures;
  figures.bias = static_cast<float>(GetDouble(json, "bias").value_or(0));
  figures.strong = static_cast<float>(GetDouble(json, "strong").value_or(1));
  figures.weak = static_cast<float>(GetDouble(json, "weak").value_or(1));
  const Json& slopes = Member(json, "slopes");
  if (!slopes.is_array()) return figures;
  for (const Json& slope : slopes) {
    figures.slopes.push_back(slope.is_number() ? slope.get<float>() : 0.0F);
  }
  return figures;
}

}  // namespace

std::string ToPart(const std::vector<float>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float)};
}

Result<std::vector<float>> FromPart(const std::string& part) {
  if (part.size() % sizeof(float) != 0) return Broken();
  std::vector<float> values(part.size() / sizeof(float));
  if (!values.empty()) std::memcpy(values.data(), part.data(), part.size());
  return values;
}

// One part an embedding, its views one after the other: a frame's number of parts is bounded.
Frame ToFrame(const std::vector<Embedding>& embeddings) {
  Frame frame;
  Json list = Json::array();
  for (const Embedding& embedding : embeddings) {
    Json sizes = Json::array(), labels = Json::array();
    std::string part;
    for (const std::vector<float>& view : embedding.views) {
      sizes.push_back(view.size());
      part += ToPart(view);
    }
    for (const Label& label : embedding.labels) labels.push_back(ToJson(label));
    list.push_back({{"sizes", sizes}, {"labels", labels}});
    frame.parts.push_back(std::move(part));
  }
  frame.head = {{"embeddings", list}};
  return frame;
}

Result<std::vector<Embedding>> EmbeddingsFromFrame(const Frame& frame) {
  const Json& list = Member(frame.head, "embeddings");
  if (!list.is_array() || list.size() != frame.parts.size()) return Broken();
  std::vector<Embedding> embeddings;
  for (size_t i = 0; i < list.size(); ++i) {
    const std::vector<float> values = TRY(FromPart(frame.parts[i]));
    const Json& sizes = Member(list[i], "sizes");
    const Json& labels = Member(list[i], "labels");
    if (!sizes.is_array() || !labels.is_array()) return Broken();
    Embedding embedding;
    size_t begin = 0;
    for (const Json& size : sizes) {
      if (!size.is_number_unsigned() || size.get<size_t>() > values.size() - begin) return Broken();
      const auto from = values.begin() + static_cast<ptrdiff_t>(begin);
      embedding.views.emplace_back(from, from + size.get<ptrdiff_t>());
      begin += size.get<size_t>();
    }
    if (begin != values.size()) return Broken();
    for (const Json& label : labels) embedding.labels.push_back(LabelFromJson(label));
    embeddings.push_back(std::move(embedding));
  }
  return embeddings;
}

// One part a view.
Frame ToFrame(const std::vector<Probe>& probes) {
  Frame frame;
  Json list = Json::array();
  for (const Probe& probe : probes) {
    Json views = Json::array();
    for (const ProbeView& view : probe.views) {
      views.push_back({{"view", view.view},
                       {"log", view.log},
                       {"weight", view.weight},
                       {"divide_by_mean", view.divide_by_mean}});
      frame.parts.push_back(ToPart(view.vector));
    }
    list.push_back(
        {{"name", probe.name}, {"views", views}, {"calibration", ToJson(probe.calibration)}});
  }
  frame.head = {{"probes", list}};
  return frame;
}

Result<std::vector<Probe>> ProbesFromFrame(const Frame& frame) {
  const Json& list = Member(frame.head, "probes");
  if (!list.is_array()) return Broken();
  std::vector<Probe> probes;
  size_t part = 0;
  for (const Json& json : list) {
    Probe probe{
        GetString(json, "name").value_or(""), {}, CalibrationFromJson(Member(json, "calibration"))};
    const Json& views = Member(json, "views");
    if (!views.is_array()) return Broken();
    for (const Json& view : views) {
      if (part >= frame.parts.size()) return Broken();
      probe.views.push_back({static_cast<uint32_t>(GetInt(view, "view").value_or(0)),
                             TRY(FromPart(frame.parts[part++])),
                             GetBool(view, "log").value_or(false),
                             static_cast<float>(GetDouble(view, "weight").value_or(1)),
                             GetBool(view, "divide_by_mean").value_or(false)});
    }
    probes.push_back(std::move(probe));
  }
  return probes;
}

}  // namespace msearch::embedding
