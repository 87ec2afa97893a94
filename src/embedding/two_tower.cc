#include <algorithm>
#include <array>
#include <optional>

#include "base/strings.h"
#include "base/unicode.h"
#include "embedding/pack_kind.h"
#include "embedding/safetensors.h"
#include "embedding/tokenizer.h"
#include "embedding/vectors.h"

// CLIP and its relatives: a tower for pictures and a tower for text, trained so that a picture and
// its description land near each other in one space. Parameters of a manifest of this kind:
//   dimensions
//   image  {file, input, output, side, fit, mean[3], std[3]}: pixels are (byte / 255 - mean) / std
//          in planes [n, 3, side, side]
//   text   {file, tokenizer, output, tokens_max, pad_to, lower_case, pooling, projection}
//          pooling "none": `output` is [n, dimensions]; "mean": it is [n, tokens, size], of which
//          the mean over the tokens counts, times the matrix in the safetensors file `projection`
// Vectors are scaled to length 1.

namespace msearch::embedding {
namespace {

struct ImageTower {
  std::string file, input, output;
  ImageInputSpec spec;
  std::array<float, 3> mean{}, deviation{};
};

struct TextTower {
  std::string file, tokenizer, output, projection;
  size_t tokens_max = 77;
  size_t pad_to = 0;
  bool lower_case = false;
  bool mean_pooling = false;
};

struct Parameters {
  uint32_t dimensions = 0;
  ImageTower image;
  TextTower text;
};

Json Section(const Json& parameters, const char* key) {
  const auto it = parameters.find(key);
  return it != parameters.end() && it->is_object() ? *it : Json::object();
}

bool ReadThree(const Json& object, const char* key, std::array<float, 3>& out) {
  const auto it = object.find(key);
  if (it == object.end() || !it->is_array() || it->size() != 3) return false;
  for (size_t i = 0; i < 3; ++i) {
    if (!(*it)[i].is_number()) return false;
    out[i] = (*it)[i].get<float>();
  }
  return true;
}

Result<Parameters> ReadParameters(const Manifest& manifest) {
  const Error invalid{Code::kInvalid, "manifest of " + manifest.name + ": "};
  const Json image = Section(manifest.parameters, "image");
  const Json text = Section(manifest.parameters, "text");
  Parameters out;
  const int64_t dimensions = GetInt(manifest.parameters, "dimensions").value_or(0);
  if (dimensions < 1 || dimensions > 65536)
    return Error{Code::kInvalid, invalid.message + "odd dimensions"};
  out.dimensions = static_cast<uint32_t>(dimensions);
  out.image = {GetString(image, "file").value_or(""),
               GetString(image, "input").value_or(""),
               GetString(image, "output").value_or(""),
               {},
               {},
               {}};
  const int64_t side = GetInt(image, "side").value_or(0);
  out.image.spec = TRY(ImageInputSpec::FromJson(
      {{"width", side}, {"height", side}, {"fit", GetString(image, "fit").value_or("")}}));
  if (side < 1 || !ReadThree(image, "mean", out.image.mean) ||
      !ReadThree(image, "std", out.image.deviation)) {
    return Error{Code::kInvalid, invalid.message + "image needs side, mean and std"};
  }
  out.text.file = GetString(text, "file").value_or("");
  out.text.tokenizer = GetString(text, "tokenizer").value_or("");
  out.text.output = GetString(text, "output").value_or("");
  out.text.projection = GetString(text, "projection").value_or("");
  out.text.tokens_max =
      static_cast<size_t>(std::clamp<int64_t>(GetInt(text, "tokens_max").value_or(77), 3, 4096));
  out.text.pad_to =
      std::min(static_cast<size_t>(std::max<int64_t>(GetInt(text, "pad_to").value_or(0), 0)),
               out.text.tokens_max);
  out.text.lower_case = GetBool(text, "lower_case").value_or(false);
  out.text.mean_pooling = GetString(text, "pooling") == "mean";
  return out;
}

Result<ModelInfo> TwoTowerInfo(const PackContext& context) {
  const Parameters parameters = TRY(ReadParameters(context.manifest));
  ModelInfo info;
  info.name = context.manifest.name;
  info.key = context.key;
  info.views = {{"joint", parameters.dimensions}};
  info.image = parameters.image.spec;
  info.answers_words = true;
  return info;
}

class TwoTower : public Embedder {
 public:
  static Result<std::unique_ptr<Embedder>> Load(const PackContext& context,
                                                const SessionOptions& options) {
    auto model = std::unique_ptr<TwoTower>(new TwoTower);
    model->parameters_ = TRY(ReadParameters(context.manifest));
    model->info_ = TRY(TwoTowerInfo(context));
    const TextTower& text = model->parameters_.text;
    model->image_ =
        TRY(Session::Open(context.folder + "/" + model->parameters_.image.file, options));
    model->text_ = TRY(Session::Open(context.folder + "/" + text.file, options));
    model->tokenizer_ = TRY(LoadTokenizer(context.folder + "/" + text.tokenizer));
    if (!text.projection.empty()) {
      model->projection_ = TRY(ReadOnlyMatrix(context.folder + "/" + text.projection));
    }
    model->pictures_ = CalibrationOf(context.manifest, "pictures", 1);
    model->similar_ = CalibrationOf(context.manifest, "similar", 1);
    return std::unique_ptr<Embedder>(std::move(model));
  }

  const ModelInfo& info() const override { return info_; }
  const DeviceInfo& device() const override { return image_->device(); }

  Result<std::vector<Embedding>> EmbedPictures(std::span<const ImageInput> pictures) override {
    if (pictures.empty()) return std::vector<Embedding>{};
    const std::vector<float> planes = TRY(ToPlanes(pictures));
    const TensorView input = {
        parameters_.image.input,
        TensorView::Type::kFloat,
        {static_cast<int64_t>(pictures.size()), 3, info_.image.height, info_.image.width},
        planes.data()};
    auto outputs = TRY(image_->Run({&input, 1}, {parameters_.image.output}));
    std::vector<float>& values = outputs[0].values;
    const size_t dimensions = parameters_.dimensions;
    if (values.size() != pictures.size() * dimensions) return WrongSize("image tower");
    std::vector<Embedding> out;
    for (size_t i = 0; i < pictures.size(); ++i) {
      const auto begin = values.begin() + static_cast<ptrdiff_t>(i * dimensions);
      std::vector<float> view(begin, begin + static_cast<ptrdiff_t>(dimensions));
      Normalise(view);
      out.push_back({{std::move(view)}, {}});
    }
    return out;
  }

  Result<std::vector<Embedding>> EmbedPassages(std::span<const std::string>) override {
    return Error{Code::kUnsupported, "model " + info_.name + ": embeds no documents"};
  }

  Result<std::vector<Probe>> ProbeWords(const std::string& words) override {
    return std::vector<Probe>{{"pictures", {{0, TRY(EmbedText(words))}}, pictures_}};
  }

  Result<std::vector<Probe>> ProbePicture(const ImageInput& picture) override {
    const std::vector<Embedding> embedded = TRY(EmbedPictures({&picture, 1}));
    return ProbeLike(embedded[0].views);
  }

  Result<std::vector<Probe>> ProbeLike(const std::vector<std::vector<float>>& views) override {
    if (views.size() != 1 || views[0].size() != parameters_.dimensions) {
      return Error{Code::kInvalid, "model " + info_.name + ": an embedding of another model"};
    }
    return std::vector<Probe>{{"similar", {{0, views[0]}}, similar_}};
  }

 private:
  TwoTower() = default;

  Error WrongSize(const std::string& tower) const {
    return {Code::kInternal,
            "model " + info_.name + ": its " + tower + " has an output of another size"};
  }

  Result<std::vector<float>> ToPlanes(std::span<const ImageInput> pictures) const {
    const size_t area = size_t{info_.image.width} * info_.image.height;
    // One table a channel: 256 divisions instead of one per pixel.
    std::array<std::array<float, 256>, 3> tables;
    for (size_t channel = 0; channel < 3; ++channel) {
      for (size_t byte = 0; byte < 256; ++byte) {
        tables[channel][byte] =
            (static_cast<float>(byte) / 255.0F - parameters_.image.mean[channel]) /
            parameters_.image.deviation[channel];
      }
    }
    std::vector<float> planes(pictures.size() * 3 * area);
    float* out = planes.data();
    for (const ImageInput& picture : pictures) {
      if (picture.rgb.size() != area * 3) {
        return Error{Code::kInvalid, "picture: " + std::to_string(picture.rgb.size()) +
                                         " bytes of pixels, expected " + std::to_string(area * 3)};
      }
      const auto* rgb = reinterpret_cast<const uint8_t*>(picture.rgb.data());
      for (size_t channel = 0; channel < 3; ++channel) {
        for (size_t i = 0; i < area; ++i) *out++ = tables[channel][rgb[i * 3 + channel]];
      }
    }
    return planes;
  }

  Result<std::vector<float>> EmbedText(const std::string& words) const {
    const TextTower& tower = parameters_.text;
    std::vector<int64_t> ids =
        tokenizer_->Encode(tower.lower_case ? LowerCase(words) : words, tower.tokens_max);
    std::vector<int64_t> mask(ids.size(), 1);
    const size_t tokens = ids.size();
    if (ids.size() < tower.pad_to) ids.resize(tower.pad_to, tokenizer_->padding());
    mask.resize(ids.size(), 0);
    const std::vector<int64_t> shape = {1, static_cast<int64_t>(ids.size())};
    std::vector<TensorView> inputs;
    for (const std::string& name : text_->inputs()) {
      if (name == "input_ids") {
        inputs.push_back({name, TensorView::Type::kInt64, shape, ids.data()});
      } else if (name == "attention_mask") {
        inputs.push_back({name, TensorView::Type::kInt64, shape, mask.data()});
      }
    }
    const auto outputs = TRY(text_->Run(inputs, {tower.output}));
    std::vector<float> vector = outputs[0].values;
    if (tower.mean_pooling) {
      if (vector.size() % ids.size() != 0) return WrongSize("text tower");
      vector = MeanOfTokens(vector, vector.size() / ids.size(), tokens);
    }
    if (projection_) vector = TRY(Project(vector));
    if (vector.size() != parameters_.dimensions) return WrongSize("text tower");
    Normalise(vector);
    return vector;
  }

  static std::vector<float> MeanOfTokens(const std::vector<float>& states, size_t size,
                                         size_t tokens) {
    std::vector<float> mean(size, 0.0F);
    for (size_t token = 0; token < tokens; ++token) {
      AddScaled(mean, {states.data() + token * size, size}, 1.0F / static_cast<float>(tokens));
    }
    return mean;
  }

  Result<std::vector<float>> Project(const std::vector<float>& vector) const {
    if (vector.size() != projection_->columns) return WrongSize("text tower");
    std::vector<float> out(projection_->rows);
    for (size_t row = 0; row < out.size(); ++row) {
      out[row] = Dot(
          vector, {projection_->values.data() + row * projection_->columns, projection_->columns});
    }
    return out;
  }

  Parameters parameters_;
  ModelInfo info_;
  std::unique_ptr<Session> image_, text_;
  std::unique_ptr<Tokenizer> tokenizer_;
  std::optional<Matrix> projection_;
  Calibration pictures_, similar_;
};

}  // namespace

const PackKind& TwoTowerKind() {
  static const PackKind kind = {.name = "two-tower",
                                .version = 1,
                                .derived = {},
                                .convert = nullptr,
                                .info = TwoTowerInfo,
                                .load = TwoTower::Load};
  return kind;
}

}  // namespace msearch::embedding
