#include <algorithm>
#include <memory>
#include <optional>

#include "base/file.h"
#include "embedding/class_map.h"
#include "embedding/onnx_runtime.h"
#include "embedding/pack_kind.h"
#include "embedding/sound_tagger.h"
#include "embedding/yamnet_mel.h"

// A network of YAMNet's kind gives a probability for each class and patch of 0.96 s. Exports
// differ: some begin with the samples, some with the patches of the front end, and some of either
// take only one patch at a time. What is asked of a model stands in the shape of its input. Windows
// are five patches, so that a window's patches are those that the authors' own code would look at
// in the whole recording, and the mean over them isn't blind to what lasts a second.

namespace msearch::embedding {
namespace {

constexpr size_t kWindowPatches = 5;
constexpr size_t kWindowSamples = kWindowPatches * YamnetMel::kPatchHop;  // 2.4 s
constexpr size_t kWindowLooksAt =
    YamnetMel::kPatchSamples + (kWindowPatches - 1) * YamnetMel::kPatchHop;
constexpr uint64_t kClassMapBytesMax = 1 << 20;
constexpr char kModelFile[] = "model.onnx";
constexpr char kClassesFile[] = "classes.csv";

double Seconds(size_t samples) { return static_cast<double>(samples) / YamnetMel::kRate; }

std::string Show(const std::vector<int64_t>& shape) {
  std::string out;
  for (int64_t size : shape) {
    out += (out.empty() ? "[" : ", ") + (size < 0 ? "n" : std::to_string(size));
  }
  return out.empty() ? "[]" : out + "]";
}

// How a model wants to be given a window.
struct Input {
  bool patches = false;        // of the front end; else samples
  bool one_at_a_time = false;  // one patch, or as many samples
  // -1 for the patches, of [n, 96, 64], [n, 1, 96, 64] or [n, 96, 64, 1], or for the samples, of
  // [n] or [1, n].
  std::vector<int64_t> shape;
};

// Nothing for what no such model takes.
std::optional<Input> InputOf(std::vector<int64_t> shape) {
  constexpr auto kRows = static_cast<int64_t>(YamnetMel::kPatchFrames);
  constexpr auto kBands = static_cast<int64_t>(YamnetMel::kBands);
  auto fits = [&](size_t at, int64_t size) { return shape[at] == size || shape[at] < 0; };
  Input input;
  int64_t* count = nullptr;
  if (shape.size() == 1 || shape.size() == 2) {
    if (shape.size() == 2 && !fits(0, 1)) return std::nullopt;
    if (shape.size() == 2) shape[0] = 1;
    count = &shape.back();
    if (*count >= 0 && *count != static_cast<int64_t>(YamnetMel::kPatchSamples)) {
      return std::nullopt;
    }
  } else if (shape.size() == 3 || shape.size() == 4) {
    input.patches = true;
    const bool channel_first = shape.size() == 4 && fits(1, 1) && fits(2, kRows);
    const std::vector<int64_t> wanted = shape.size() == 3 ? std::vector<int64_t>{-1, kRows, kBands}
                                        : channel_first
                                            ? std::vector<int64_t>{-1, 1, kRows, kBands}
                                            : std::vector<int64_t>{-1, kRows, kBands, 1};
    for (size_t i = 1; i < shape.size(); ++i) {
      if (!fits(i, wanted[i])) return std::nullopt;
      shape[i] = wanted[i];
    }
    count = &shape.front();
    if (*count >= 0 && *count != 1) return std::nullopt;
  } else {
    return std::nullopt;
  }
  input.one_at_a_time = *count >= 0;
  *count = -1;
  input.shape = std::move(shape);
  return input;
}

class Yamnet final : public SoundTagger {
 public:
  static Result<std::unique_ptr<SoundTagger>> Load(const PackContext& context,
                                                   const SessionOptions& options) {
    auto tagger = std::unique_ptr<Yamnet>(new Yamnet(context.key));
    const std::string model_path = context.folder + "/" + kModelFile;
    const std::string classes_path = context.folder + "/" + kClassesFile;
    auto classes = ParseClassMap(TRY(ReadFile(classes_path, kClassMapBytesMax)));
    if (!classes.ok()) return Error{classes.code(), classes_path + ": " + classes.message()};
    tagger->classes_ = std::move(*classes);
    tagger->session_ = TRY(Session::Open(model_path, options));
    const Session& session = *tagger->session_;
    if (session.inputs().size() != 1) {
      return Error{Code::kUnsupported, model_path + ": has " +
                                           std::to_string(session.inputs().size()) +
                                           " inputs; a model of sounds has one"};
    }
    const std::vector<int64_t> shape = session.ShapeOf(session.inputs()[0]);
    const auto input = InputOf(shape);
    if (!input) {
      return Error{Code::kUnsupported, model_path + ": its input is " + Show(shape) +
                                           ", neither samples ([n], [1, n], or 15600 of them) nor "
                                           "patches of 96 times 64"};
    }
    tagger->input_ = *input;
    // Some give embeddings and the spectrogram besides.
    const auto count = static_cast<int64_t>(tagger->classes_.size());
    for (const std::string& output : session.outputs()) {
      const std::vector<int64_t> scores = session.ShapeOf(output);
      if (tagger->output_.empty() && !scores.empty() && scores.back() == count) {
        tagger->output_ = output;
      }
    }
    if (tagger->output_.empty()) {
      return Error{Code::kUnsupported, model_path + ": no output of " + std::to_string(count) +
                                           " scores, as many as " + kClassesFile + " has names"};
    }
    // What else doesn't fit shows now, not at somebody's recording.
    const std::vector<float> silence(YamnetMel::kPatchSamples);
    const auto tried = tagger->Scores(silence);
    if (!tried.ok()) return Error{tried.code(), model_path + ": " + tried.message()};
    return std::unique_ptr<SoundTagger>(std::move(tagger));
  }

  const std::string& key() const override { return key_; }
  const DeviceInfo& device() const override { return session_->device(); }

  Result<std::vector<HeardWindow>> Tag(const SampleSource& source, float probability_min) override {
    std::vector<HeardWindow> windows;
    std::vector<float> held;  // from the window's first sample on
    bool ended = false;
    for (size_t begin = 0;; begin += kWindowSamples) {
      // One sample more tells that another window follows.
      while (!ended && held.size() <= kWindowLooksAt) {
        const std::vector<float> piece = TRY(source());
        ended = piece.empty();
        held.insert(held.end(), piece.begin(), piece.end());
      }
      if (held.empty()) return windows;
      const bool last = held.size() <= kWindowLooksAt;
      HeardWindow window;
      window.start = Seconds(begin);
      window.end = Seconds(begin + (last ? held.size() : kWindowSamples));
      const std::span<const float> seen(held.data(), std::min(held.size(), kWindowLooksAt));
      window.tags = TagsOf(TRY(Scores(seen)), probability_min);
      if (!window.tags.empty()) windows.push_back(std::move(window));
      if (last) return windows;
      held.erase(held.begin(), held.begin() + static_cast<ptrdiff_t>(kWindowSamples));
    }
  }

 private:
  explicit Yamnet(std::string key) : key_(std::move(key)) {}

  std::vector<SoundTag> TagsOf(const std::vector<float>& scores, float probability_min) const {
    std::vector<SoundTag> tags;
    for (size_t i = 0; i < scores.size(); ++i) {
      if (scores[i] >= probability_min) tags.push_back({classes_[i], scores[i]});
    }
    std::stable_sort(tags.begin(), tags.end(), [](const SoundTag& a, const SoundTag& b) {
      return a.probability > b.probability;
    });
    return tags;
  }

  // The mean over the patches of at most a window, for each class.
  Result<std::vector<float>> Scores(std::span<const float> samples) {
    const size_t patches = YamnetMel::PatchesOf(samples.size());
    std::vector<float> values;
    if (input_.patches) {
      values = mel_.Compute(samples);
    } else {
      values.assign(samples.begin(), samples.end());
      values.resize(YamnetMel::SamplesOf(patches));
    }
    sums_.assign(classes_.size(), 0.0F);
    rows_ = 0;
    if (!input_.one_at_a_time) {
      TRY(Add(values, input_.patches ? patches : values.size()));
    } else {
      const size_t step = input_.patches ? YamnetMel::kPatchValues : YamnetMel::kPatchHop;
      const size_t size = input_.patches ? YamnetMel::kPatchValues : YamnetMel::kPatchSamples;
      for (size_t patch = 0; patch < patches; ++patch) {
        TRY(Add(std::span(values).subspan(patch * step, size), input_.patches ? 1 : size));
      }
    }
    for (float& sum : sums_) sum /= static_cast<float>(rows_);
    return sums_;
  }

  // Runs the model and adds its rows to the sums.
  Result<> Add(std::span<const float> values, size_t count) {
    TensorView input{session_->inputs()[0], TensorView::Type::kFloat, input_.shape, values.data()};
    std::replace(input.shape.begin(), input.shape.end(), int64_t{-1}, static_cast<int64_t>(count));
    const auto outputs = TRY(session_->RunHeld({&input, 1}, {output_}));
    const std::span<const float> scores = outputs[0].values();
    if (scores.empty() || scores.size() % classes_.size() != 0) {
      return Error{Code::kCorrupt, "sounds: scores of another number than there are names"};
    }
    for (size_t i = 0; i < scores.size(); ++i) {
      // Also what is no number.
      if (!(scores[i] >= 0.0F && scores[i] <= 1.0F)) {
        return Error{Code::kCorrupt, "sounds: scores that aren't probabilities"};
      }
      sums_[i % classes_.size()] += scores[i];
    }
    rows_ += scores.size() / classes_.size();
    return Ok{};
  }

  const std::string key_;
  std::vector<std::string> classes_;
  std::unique_ptr<Session> session_;
  Input input_;
  std::string output_;
  YamnetMel mel_;
  std::vector<float> sums_;
  size_t rows_ = 0;
};

}  // namespace

const PackKind& YamnetKind() {
  static const PackKind kind = {.name = "yamnet",
                                .version = 1,
                                .purpose = PackPurpose::kSounds,
                                .load_sound_tagger = Yamnet::Load};
  return kind;
}

}  // namespace msearch::embedding
