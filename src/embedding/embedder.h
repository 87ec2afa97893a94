// What a model does for msearch: it turns pictures and passages into embeddings, and what a user
// asks for into probes of the index. Everything that is special about a model (its views, how they
// are fused, what its scores mean) is behind this interface; ingest and search treat all alike.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace msearch::embedding {

// How a decoder has to prepare a picture for a model: 8-bit RGB, sRGB, alpha composed on white,
// upright (EXIF orientation applied), rows without padding. Part of the preparation's identity.
struct ImageInputSpec {
  uint32_t width = 0;  // 0: the model wants no pixels
  uint32_t height = 0;
  enum class Fit {
    kStretch,     // both sides to size, ratio ignored
    kCenterCrop,  // shorter side to size, middle cut out
    kPad,         // longer side to size, rest white
  } fit = Fit::kCenterCrop;

  Json ToJson() const;
  static Result<ImageInputSpec> FromJson(const Json& json);
  bool operator==(const ImageInputSpec&) const = default;
};

// width * height * 3 bytes as the spec says.
struct ImageInput {
  std::string_view rgb;
};

struct Label {
  std::string text;  // "tabby cat"
  float probability = 0;
  std::vector<std::string> generals;  // "cat", "feline", "animal": more general words
};

// One segment's vectors, in the order of ModelInfo::views; empty where the model has none.
struct Embedding {
  std::vector<std::vector<float>> views;
  std::vector<Label> labels;  // best first; empty unless the model classifies
};

struct ViewInfo {
  std::string name;
  uint32_t dimensions = 0;
  // Its small elements count (probabilities): an index should scan it with finer codes.
  bool fine = false;
};

struct DeviceInfo {
  std::string requested;  // auto, cpu, cuda
  std::string used;       // cpu, cuda
  std::string reason;     // "no CUDA provider in this build of ONNX Runtime: fell back to the CPU"
};

struct ModelInfo {
  std::string name;  // of the pack: "open-1k"
  // Changes whenever vectors of the old and the new can't be compared: name, digest of the
  // manifest's files and parameters, preparation. Keys every stored embedding.
  std::string key;
  std::vector<ViewInfo> views;
  ImageInputSpec image;
  bool embeds_pictures = true;
  bool embeds_passages = false;      // EmbedPassages
  bool answers_words = false;        // ProbeWords
  uint32_t passage_words_max = 200;  // longer passages lose their end

  Json ToJson() const;
  static Result<ModelInfo> FromJson(const Json& json);
};

// One view's part in a probe; fields as index::ViewQuery.
struct ProbeView {
  uint32_t view = 0;
  std::vector<float> vector;
  bool log = false;
  float weight = 1.0F;
  bool divide_by_mean = false;
};

// How far to trust a match of a probe: p = sigmoid(bias + sum over views of slope * t(inner
// product)), t the probe view's transform. p >= strong is a strong hit, p >= weak a weak one, less
// is none. The figures come from the pack's manifest; docs say on what they were measured.
struct Calibration {
  float bias = 0;
  std::vector<float> slopes;  // in the order of Probe::views
  float strong = 0.5F;
  float weak = 0.2F;
};

// A search of the index that together with others answers a query: pictures by words, passages by
// words, pictures by picture. A segment without one of its views is no candidate.
struct Probe {
  std::string name;  // "pictures", "passages", "similar": the reason shown with a hit
  std::vector<ProbeView> views;
  Calibration calibration;
};

// The calibrated p of the definition above, from the inner products in the order of probe.views.
float Confidence(const Probe& probe, std::span<const float> by_view);

// Thread-safety: one call at a time. Errors: kInvalid for an input of the wrong size,
// kUnsupported for what the model doesn't do, kExhausted for lack of memory, kInternal for the
// runtime's own faults.
class Embedder {
 public:
  virtual ~Embedder() = default;
  virtual const ModelInfo& info() const = 0;
  virtual const DeviceInfo& device() const = 0;
  // One embedding per input, in order; all or none.
  virtual Result<std::vector<Embedding>> EmbedPictures(std::span<const ImageInput> pictures) = 0;
  virtual Result<std::vector<Embedding>> EmbedPassages(std::span<const std::string> passages) = 0;
  // What to look for when a user types these words (any language) or shows this picture.
  virtual Result<std::vector<Probe>> ProbeWords(const std::string& words) = 0;
  virtual Result<std::vector<Probe>> ProbePicture(const ImageInput& picture) = 0;
  // As ProbePicture, for a segment whose embedding is stored ("more like this").
  virtual Result<std::vector<Probe>> ProbeLike(const std::vector<std::vector<float>>& views) = 0;
};

}  // namespace msearch::embedding
