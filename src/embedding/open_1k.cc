#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>

#include "base/file.h"
#include "base/strings.h"
#include "embedding/archive.h"
#include "embedding/chinese.h"
#include "embedding/label_set.h"
#include "embedding/pack_kind.h"
#include "embedding/tflite.h"
#include "embedding/vectors.h"
#include "embedding/wordnet.h"

// A classifier of 1,000 things joined to a sentence model, so that words find pictures without any
// model trained on both (ConSE: Norouzi et al., "Zero-Shot Learning by Convex Combination of
// Semantic Embeddings", 2014). Views of a picture with class probabilities p:
//   semantic  the sum over the labels of sqrt(p) * sentence embedding of the label, of length 1
//   labels    p^0.7
//   visual    the classifier's last hidden layer, of length 1
// A query q, embedded by the same sentence model, is compared with `semantic` by cosine, and with
// `labels` by log sum_l softmax_l(20 * cos(q, label l)) * p_l^0.7 / (its mean over the library).
// Chinese words of a query go through a dictionary first.
// Documents have only `passage`, their sentence embedding. The exponents, the temperature and the
// labels' sentences are the ones that measured best on the stamps (bench/README.md).

namespace msearch::embedding {
namespace {

constexpr char kClassifier[] = "classifier.onnx";
constexpr char kLabels[] = "labels.cbor";
constexpr char kSentences[] = "sentences.onnx";
constexpr char kTokenizer[] = "tokenizer.json";
constexpr char kChinese[] = "chinese.txt";

enum View : uint32_t { kSemantic, kLabelsView, kVisual, kPassage, kViews };

constexpr float kSemanticPower = 0.5F;
constexpr float kLabelsPower = 0.7F;
constexpr float kSimilarityScale = 20.0F;
constexpr size_t kQueryTokensMax = 64;
constexpr size_t kPassageTokensMax = 384;
constexpr size_t kLabelsShownMax = 5;
constexpr float kLabelShownMin = 0.08F;

uint32_t Side(const Manifest& manifest) {
  return static_cast<uint32_t>(GetInt(manifest.parameters, "image_side").value_or(224));
}

Result<ModelInfo> Open1kInfo(const PackContext& context) {
  const Json& parameters = context.manifest.parameters;
  ModelInfo info;
  info.name = context.manifest.name;
  info.key = context.key;
  const auto sentence = static_cast<uint32_t>(GetInt(parameters, "sentence_size").value_or(384));
  const auto classes = static_cast<uint32_t>(GetInt(parameters, "classes").value_or(1000));
  const auto features = static_cast<uint32_t>(GetInt(parameters, "features").value_or(1280));
  info.views = {{"semantic", sentence},
                {"labels", classes, true},
                {"visual", features},
                {"passage", sentence}};
  info.image = {Side(context.manifest), Side(context.manifest), ImageInputSpec::Fit::kPad};
  info.embeds_passages = true;
  info.answers_words = true;
  return info;
}

class Open1k : public Embedder {
 public:
  static Result<std::unique_ptr<Embedder>> Load(const PackContext& context,
                                                const SessionOptions& options) {
    auto model = std::unique_ptr<Open1k>(new Open1k);
    model->info_ = TRY(Open1kInfo(context));
    model->labels_ = TRY(LoadLabels(context.folder + "/" + kLabels));
    model->classifier_ = TRY(Session::Open(context.folder + "/" + kClassifier, options));
    model->sentences_ = TRY(SentenceEncoder::Open(context.folder + "/" + kSentences,
                                                  context.folder + "/" + kTokenizer, options));
    const auto& views = model->info_.views;
    if (model->labels_.entries.size() != views[kLabelsView].dimensions ||
        model->labels_.dimensions != views[kSemantic].dimensions) {
      return Error{Code::kCorrupt, context.folder + ": its labels don't fit its manifest"};
    }
    model->chinese_path_ = context.folder + "/" + kChinese;
    model->pictures_ = CalibrationOf(context.manifest, "pictures", 2);
    model->passages_ = CalibrationOf(context.manifest, "passages", 1);
    model->similar_ = CalibrationOf(context.manifest, "similar", 1);
    return std::unique_ptr<Embedder>(std::move(model));
  }

  const ModelInfo& info() const override { return info_; }
  const DeviceInfo& device() const override { return classifier_->device(); }

  Result<std::vector<Embedding>> EmbedPictures(std::span<const ImageInput> pictures) override {
    if (pictures.empty()) return std::vector<Embedding>{};
    const std::string pixels = TRY(JoinPixels(pictures));
    const TensorView input = {
        "image",
        TensorView::Type::kUint8,
        {static_cast<int64_t>(pictures.size()), info_.image.height, info_.image.width, 3},
        pixels.data()};
    const auto outputs = TRY(classifier_->Run({&input, 1}, {"probabilities", "features"}));
    const size_t classes = info_.views[kLabelsView].dimensions;
    const size_t features = info_.views[kVisual].dimensions;
    if (outputs[0].values.size() != pictures.size() * classes ||
        outputs[1].values.size() != pictures.size() * features) {
      return Error{Code::kInternal, "open-1k: the classifier's outputs have other sizes"};
    }
    std::vector<Embedding> out(pictures.size());
    for (size_t i = 0; i < out.size(); ++i) {
      Describe(&out[i], {outputs[0].values.data() + i * classes, classes},
               {outputs[1].values.data() + i * features, features});
    }
    // Class by class, so that each one's mean is fetched from memory once for all pictures.
    for (size_t c = 0; c < classes; ++c) {
      for (size_t i = 0; i < out.size(); ++i) {
        const float p = std::max(outputs[0].values[i * classes + c], 0.0F);
        AddScaled(out[i].views[kSemantic], labels_.mean(c), std::pow(p, kSemanticPower));
      }
    }
    for (Embedding& one : out) Normalise(one.views[kSemantic]);
    return out;
  }

  Result<std::vector<Embedding>> EmbedPassages(std::span<const std::string> passages) override {
    std::vector<Embedding> out;
    for (const std::string& passage : passages) {
      Embedding embedding;
      embedding.views.resize(kViews);
      embedding.views[kPassage] = TRY(sentences_->Encode(passage, kPassageTokensMax));
      out.push_back(std::move(embedding));
    }
    return out;
  }

  Result<std::vector<Probe>> ProbeWords(const std::string& words) override {
    const std::vector<float> query =
        TRY(sentences_->Encode(TRY(InEnglish(words)), kQueryTokensMax));
    Probe pictures{"pictures", {}, pictures_};
    pictures.views.push_back({kSemantic, query});
    pictures.views.push_back({kLabelsView, LabelWeights(query), true, 1.0F, true});
    Probe passages{"passages", {{kPassage, query}}, passages_};
    return std::vector<Probe>{std::move(pictures), std::move(passages)};
  }

  Result<std::vector<Probe>> ProbePicture(const ImageInput& picture) override {
    const std::vector<Embedding> embedded = TRY(EmbedPictures({&picture, 1}));
    return ProbeLike(embedded[0].views);
  }

  Result<std::vector<Probe>> ProbeLike(const std::vector<std::vector<float>>& views) override {
    if (views.size() != kViews) {
      return Error{Code::kInvalid, "open-1k: an embedding of another model"};
    }
    for (const View view : {kVisual, kPassage}) {
      if (views[view].empty()) continue;
      return std::vector<Probe>{{"similar", {{view, views[view]}}, similar_}};
    }
    return Error{Code::kInvalid, "open-1k: an embedding without a vector to compare"};
  }

 private:
  Open1k() = default;

  // The sentence model reads English only.
  Result<std::string> InEnglish(const std::string& words) {
    if (!HasChinese(words)) return words;
    if (!chinese_) chinese_ = TRY(ChineseDictionary::Load(chinese_path_));
    return chinese_->ToEnglish(words);
  }

  Result<std::string> JoinPixels(std::span<const ImageInput> pictures) const {
    const size_t bytes = size_t{info_.image.width} * info_.image.height * 3;
    std::string pixels;
    pixels.reserve(bytes * pictures.size());
    for (const ImageInput& picture : pictures) {
      if (picture.rgb.size() != bytes) {
        return Error{Code::kInvalid, "picture: " + std::to_string(picture.rgb.size()) +
                                         " bytes of pixels, expected " + std::to_string(bytes)};
      }
      pixels += picture.rgb;
    }
    return pixels;
  }

  // All but the sum of `semantic`, which is left at zero.
  void Describe(Embedding* out, std::span<const float> probabilities,
                std::span<const float> features) const {
    out->views.resize(kViews);
    out->views[kSemantic].assign(labels_.dimensions, 0.0F);
    std::vector<float>& labels = out->views[kLabelsView];
    labels.resize(probabilities.size());
    for (size_t i = 0; i < probabilities.size(); ++i) {
      labels[i] = std::pow(std::max(probabilities[i], 0.0F), kLabelsPower);
    }
    out->views[kVisual].assign(features.begin(), features.end());
    Normalise(out->views[kVisual]);
    out->labels = BestLabels(probabilities);
  }

  std::vector<Label> BestLabels(std::span<const float> probabilities) const {
    std::vector<size_t> order(probabilities.size());
    std::iota(order.begin(), order.end(), size_t{0});
    const size_t count = std::min(kLabelsShownMax, order.size());
    std::partial_sort(order.begin(), order.begin() + static_cast<ptrdiff_t>(count), order.end(),
                      [&](size_t a, size_t b) { return probabilities[a] > probabilities[b]; });
    std::vector<Label> best;
    for (size_t i = 0; i < count && probabilities[order[i]] >= kLabelShownMin; ++i) {
      const LabelSet::Entry& entry = labels_.entries[order[i]];
      best.push_back({entry.text, probabilities[order[i]], entry.generals});
    }
    return best;
  }

  std::vector<float> LabelWeights(std::span<const float> query) const {
    std::vector<float> weights(labels_.entries.size());
    float total = 0;
    for (size_t i = 0; i < weights.size(); ++i) {
      weights[i] = std::exp(kSimilarityScale * (Dot(query, labels_.general(i)) - 1.0F));
      total += weights[i];
    }
    for (float& weight : weights) weight /= total;
    return weights;
  }

  ModelInfo info_;
  LabelSet labels_;
  std::unique_ptr<Session> classifier_;
  std::unique_ptr<SentenceEncoder> sentences_;
  std::string chinese_path_;
  std::optional<ChineseDictionary> chinese_;  // loaded by the first Chinese query
  Calibration pictures_, passages_, similar_;
};

Result<std::vector<LabelSet::Entry>> NameLabels(const PackContext& context) {
  const std::string text = TRY(ReadZipMember(context.folder + "/classifier.tflite",
                                             "labels_without_background.txt", 1 << 20));
  std::vector<std::string> names;
  for (std::string_view line : Split(text, '\n')) {
    if (!Trim(line).empty()) names.emplace_back(Trim(line));
  }
  const std::string index = TRY(ReadFile(context.folder + "/index.noun"));
  const std::string data = TRY(ReadFile(context.folder + "/data.noun"));
  const WordNet wordnet = TRY(WordNet::Open(index, data));
  const auto generals = wordnet.GeneralWords(names);
  std::vector<LabelSet::Entry> entries;
  for (size_t i = 0; i < names.size(); ++i) entries.push_back({names[i], generals[i]});
  return entries;
}

Result<> ConvertOpen1k(const PackContext& context, const SessionOptions& options,
                       const std::function<void(uint64_t, uint64_t)>& progress,
                       std::stop_token stop) {
  const std::string cedict = TRY(ReadFile(context.folder + "/cedict.json"));
  TRY(WriteFileAtomically(context.folder + "/" + kChinese, TRY(CompactChineseDictionary(cedict))));
  const std::string bytes = TRY(ReadFile(context.folder + "/classifier.tflite"));
  const TfliteModel model = TRY(ReadTflite(bytes));
  const std::string onnx = TRY(TfliteToOnnx(model, TfliteConversion{}));
  TRY(WriteFileAtomically(context.folder + "/" + kClassifier, onnx));
  std::vector<LabelSet::Entry> entries = TRY(NameLabels(context));
  const size_t total = entries.size();
  const auto encoder = TRY(SentenceEncoder::Open(context.folder + "/" + kSentences,
                                                 context.folder + "/" + kTokenizer, options));
  const LabelSet labels = TRY(EmbedLabels(
      std::move(entries), *encoder, [&](size_t done) { progress(done, total); }, stop));
  return SaveLabels(labels, context.folder + "/" + kLabels);
}

}  // namespace

const PackKind& Open1kKind() {
  static const PackKind kind = {.name = "open-1k",
                                .version = 1,
                                .derived = {kClassifier, kLabels, kChinese},
                                .convert = ConvertOpen1k,
                                .info = Open1kInfo,
                                .load = Open1k::Load};
  return kind;
}

}  // namespace msearch::embedding
