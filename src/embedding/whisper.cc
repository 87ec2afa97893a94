#include <algorithm>
#include <array>
#include <limits>
#include <map>
#include <memory>

#include "embedding/log_mel.h"
#include "embedding/pack_kind.h"
#include "embedding/speech_windows.h"
#include "embedding/thread_clock.h"
#include "embedding/transcriber.h"
#include "embedding/voice_activity.h"
#include "embedding/whisper_model.h"
#include "embedding/whisper_search.h"
#include "embedding/whisper_tokens.h"

// A recording goes through voice activity detection into windows of speech; each is heard by the
// encoder and written down by the decoder; where that loses the thread, the rest of the window is
// heard once more by itself, or the window in parts. The language is detected for each window;
// where the model isn't sure of it, the one that the recording has had most of so far is taken.

namespace msearch::embedding {
namespace {

constexpr float kSureOfLanguage = 0.7F;
constexpr int kPartsMax = 4;                    // times that something of a window is heard
constexpr size_t kWordMin = LogMel::kRate / 2;  // samples
constexpr size_t kHalvedMin = size_t{8} * LogMel::kRate;  // samples; less isn't divided

struct Language {
  std::string name;
  int64_t token = 0;
  double heard = 0;  // seconds, weighted by probability
};

class Whisper : public Transcriber {
 public:
  static Result<std::unique_ptr<Transcriber>> Load(const PackContext& context,
                                                   const SessionOptions& options) {
    const Json& parameters = context.manifest.parameters;
    auto number = [&](const char* key) {
      return static_cast<size_t>(std::clamp<int64_t>(GetInt(parameters, key).value_or(0), 0, 4096));
    };
    const WhisperShape shape{number("bands"), number("layers"), number("heads"),
                             number("head_size")};
    if (shape.bands == 0 || shape.layers == 0 || shape.heads == 0 || shape.head_size == 0) {
      return Error{Code::kInvalid, "model " + context.manifest.name +
                                       ": bands, layers, heads and head_size must be given"};
    }
    auto whisper = std::unique_ptr<Whisper>(new Whisper(context.key, shape.bands));
    const std::string folder = context.folder + "/";
    whisper->tokens_ =
        TRY(WhisperTokens::Open(folder + "tokenizer.json", folder + "generation.json"));
    SessionOptions unpacked = options;
    unpacked.unpack_weights = true;  // of the decoder: the whole vocabulary's, for each token
    whisper->model_ =
        TRY(WhisperModel::Open(folder + "encoder.onnx", folder + "decoder.onnx", shape, unpacked));
    whisper->activity_ = TRY(VoiceActivity::Open(folder + "voice_activity.onnx", options));
    return std::unique_ptr<Transcriber>(std::move(whisper));
  }

  const std::string& key() const override { return key_; }
  const DeviceInfo& device() const override { return model_->device(); }

  Result<std::vector<SpokenText>> Transcribe(const SampleSource& source,
                                             const TranscriptionOptions& options) override {
    std::vector<Language> languages = TRY(Languages(options));
    std::vector<SpokenText> out;
    TranscriptionTrace unread;
    unread.keep_windows = false;
    TranscriptionTrace& trace = options.trace != nullptr ? *options.trace : unread;
    const WhisperModel::Work before = model_->work();
    activity_->Reset();
    SpeechWindows windows(
        [&](std::span<const float> frame) { return activity_->Probability(frame); },
        [&](const SpeechWindow& window) { return Hear(window, languages, trace, &out); });
    while (true) {
      const std::vector<float> samples = TRY(source());
      if (samples.empty()) break;
      TRY(windows.Add(samples));
    }
    TRY(windows.Finish());
    const WhisperModel::Work& after = model_->work();
    trace.steps += after.steps - before.steps;
    trace.encoder += after.encoder - before.encoder;
    trace.decoder += after.decoder - before.decoder;
    trace.voice_activity += activity_->TakeSeconds();
    return out;
  }

 private:
  Whisper(std::string key, size_t bands) : key_(std::move(key)), mel_(bands) {}

  Result<std::vector<Language>> Languages(const TranscriptionOptions& options) const {
    std::vector<Language> out;
    for (const std::string& name : options.languages) {
      const auto known = tokens_.languages().find(name);
      if (known == tokens_.languages().end()) {
        return Error{Code::kInvalid, "language " + name + ": the model doesn't know it"};
      }
      out.push_back({name, known->second});
    }
    if (out.empty()) {
      for (const auto& [name, token] : tokens_.languages()) out.push_back({name, token});
    }
    return out;
  }

  // Adds to `out` what was said in a window.
  Result<> Hear(const SpeechWindow& window, std::vector<Language>& languages,
                TranscriptionTrace& trace, std::vector<SpokenText>* out) {
    std::span<const float> rest = window.samples;
    size_t length = rest.size();
    for (int part = 0; part < kPartsMax && rest.size() >= kWordMin; ++part) {
      const double begin = static_cast<double>(window.samples.size() - rest.size()) / LogMel::kRate;
      const Language* language = nullptr;
      const WindowWords words = TRY(HearPart(rest.first(length), languages, trace, &language));
      if (words.lost && length >= kHalvedMin && part + 1 < kPartsMax) {
        length = QuietPlace(rest.first(length));
        continue;
      }
      for (const WindowText& text : words.texts) {
        const double start = window.BeginsAt(begin + text.start);
        out->push_back({start, std::max(start, window.EndsAt(begin + text.end)), text.text,
                        language->name, text.confidence});
      }
      const auto heard = static_cast<size_t>(words.heard * LogMel::kRate);
      rest = rest.subspan(std::min(heard, length));
      length = rest.size();
    }
    return Ok{};
  }

  // About the middle, where it is quietest.
  static size_t QuietPlace(std::span<const float> samples) {
    constexpr size_t kStep = LogMel::kRate / 20;
    size_t best = samples.size() / 2;
    float least = std::numeric_limits<float>::max();
    for (size_t begin = samples.size() * 2 / 5; begin + kStep <= samples.size() * 3 / 5;
         begin += kStep / 2) {
      float energy = 0;
      for (float sample : samples.subspan(begin, kStep)) energy += sample * sample;
      if (energy >= least) continue;
      least = energy;
      best = begin + kStep / 2;
    }
    return best;
  }

  Result<WindowWords> HearPart(std::span<const float> samples, std::vector<Language>& languages,
                               TranscriptionTrace& trace, const Language** language) {
    const double seconds = static_cast<double>(samples.size()) / LogMel::kRate;
    const double before = ThreadSeconds();
    const std::vector<float> mel = mel_.Compute(samples);
    trace.spectrogram += ThreadSeconds() - before;
    const HeldTensor heard = TRY(model_->Hear(mel));
    // Mostly the language is the one that was heard before, and a beginning of three tokens costs
    // hardly more than one of a single token.
    const Language& expected = Expected(languages);
    auto [place, first_scores] = TRY(
        model_->Begin(heard, std::array{tokens_.start(), expected.token, tokens_.transcribe()}));
    if (first_scores.values().size() < static_cast<size_t>(tokens_.count())) {
      return Error{Code::kInternal, "whisper: the model has another vocabulary"};
    }
    const float nothing_said = Probabilities(first_scores.values(), {tokens_.nothing_said()})[0];
    *language = &ChooseLanguage(first_scores.values(), seconds, languages);
    if (*language != &expected) {
      place = TRY(model_->Say(model_->Back(place, 1), (*language)->token));
      place = TRY(model_->Say(place, tokens_.transcribe()));
    }
    WindowWords words = TRY(FindWords(*model_, tokens_, {std::move(place), nothing_said}, seconds));
    trace.attempts += words.attempts;
    if (trace.keep_windows) {
      trace.windows.push_back({{samples.begin(), samples.end()}, words.said, (*language)->token});
    }
    return words;
  }

  // The one that was heard most; at first English, which the model knows best.
  static const Language& Expected(const std::vector<Language>& languages) {
    const auto most =
        std::max_element(languages.begin(), languages.end(),
                         [](const auto& a, const auto& b) { return a.heard < b.heard; });
    if (most->heard > 0) return *most;
    const auto english = std::find_if(languages.begin(), languages.end(),
                                      [](const auto& one) { return one.name == "en"; });
    return english != languages.end() ? *english : languages[0];
  }

  static const Language& ChooseLanguage(std::span<const float> scores, double seconds,
                                        std::vector<Language>& languages) {
    std::vector<int64_t> ids;
    for (const Language& language : languages) ids.push_back(language.token);
    std::vector<float> probabilities = Probabilities(scores, ids);
    float sum = 0;
    for (float probability : probabilities) sum += probability;
    size_t likeliest = 0;
    for (size_t i = 0; i < languages.size(); ++i) {
      const float share = sum > 0 ? probabilities[i] / sum : 0;
      languages[i].heard += seconds * share;
      if (probabilities[i] > probabilities[likeliest]) likeliest = i;
    }
    if (sum > 0 && probabilities[likeliest] / sum >= kSureOfLanguage) return languages[likeliest];
    return *std::max_element(languages.begin(), languages.end(),
                             [](const auto& a, const auto& b) { return a.heard < b.heard; });
  }

  const std::string key_;
  LogMel mel_;
  WhisperTokens tokens_;
  std::unique_ptr<WhisperModel> model_;
  std::unique_ptr<VoiceActivity> activity_;
};

}  // namespace

const PackKind& WhisperKind() {
  static const PackKind kind = {.name = "whisper",
                                .version = 1,
                                .purpose = PackPurpose::kSpeech,
                                .load_transcriber = Whisper::Load};
  return kind;
}

}  // namespace msearch::embedding
