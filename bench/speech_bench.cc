// Speech to words: what a pack needs for a recording, beside the bare encoder and decoder of the
// same model (bare_whisper.h), and where its time goes.
//   speech_bench PACK [--text] [--alone] [TRUTH.txt] WAV...    16-bit mono PCM at 16 kHz
// A text file is what is said in the WAVs behind it: then the share of words that were written down
// wrongly is printed too. --text also prints what was said and when, --alone leaves the bare loop
// out.
//
// The bare loop runs in three ways, and each ratio is its time by msearch's:
//   same words   over the windows that msearch heard, saying the tokens that msearch kept: the same
//                work for the model, so that the ratio is what everything else costs. Weights
//                unpacked, which is the quickest way for it
//   own words    over consecutive windows of 30 seconds, the likeliest token each time until the
//                model ends, at most 224; weights unpacked
//   by default   the same with the models opened as the runtime does by default
// Attempts of msearch's that were thrown away, finding the language, voice activity and rules are
// thus msearch's own cost. All run on one thread and are timed by its processor time, which others
// on the machine don't change much.

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "bare_whisper.h"
#include "base/file.h"
#include "base/strings.h"
#include "base/unicode.h"
#include "embedding/log_mel.h"
#include "embedding/manifest.h"
#include "embedding/whisper_model.h"
#include "embedding/whisper_tokens.h"
#include "measure.h"

namespace {

using namespace msearch;
using embedding::LogMel;
using embedding::TranscriptionTrace;
using embedding::WhisperTokens;

struct Options {
  bool text = false;
  bool alone = false;
};

struct Recording {
  std::string name;
  std::vector<float> samples;
  std::string truth;  // empty: not known
};

Result<std::vector<float>> ReadWav(const std::string& path) {
  const std::string bytes = TRY(ReadFile(path, uint64_t{1} << 30));
  const size_t data = bytes.find("data");
  if (!bytes.starts_with("RIFF") || data == std::string::npos) {
    return Error{Code::kInvalid, path + ": not a WAV file"};
  }
  std::vector<float> samples((bytes.size() - data - 8) / 2);
  for (size_t i = 0; i < samples.size(); ++i) {
    int16_t value;
    std::memcpy(&value, bytes.data() + data + 8 + i * 2, 2);
    samples[i] = static_cast<float>(value) / 32768.0F;
  }
  return samples;
}

Result<embedding::WhisperShape> ShapeOf(const std::string& pack) {
  const std::string path = bench::Manifests() + "/" + pack + ".json";
  const embedding::Manifest manifest =
      TRY(embedding::ParseManifest(pack, TRY(ReadFile(path, 1 << 20))));
  auto number = [&](const char* key) {
    return static_cast<size_t>(GetInt(manifest.parameters, key).value_or(0));
  };
  return embedding::WhisperShape{number("bands"), number("layers"), number("heads"),
                                 number("head_size")};
}

// A word is a run of letters and digits; a Chinese character is one of its own.
std::vector<std::string> WordsOf(const std::string& text) {
  std::vector<std::string> out;
  std::string word;
  auto end_word = [&] {
    if (!word.empty()) out.push_back(std::exchange(word, {}));
  };
  for (char32_t point : ToCodePoints(LowerCase(text))) {
    if (IsHanPoint(point)) end_word();
    if (IsLetterPoint(point) || IsNumberPoint(point)) {
      AppendUtf8(word, point);
      if (IsHanPoint(point)) end_word();
    } else if (point != U'\'') {
      end_word();
    }
  }
  end_word();
  return out;
}

// Words to be changed, left out and put in, by those of the truth.
double WordErrors(const std::string& truth, const std::string& said) {
  const std::vector<std::string> right = WordsOf(truth), heard = WordsOf(said);
  std::vector<size_t> row(heard.size() + 1);
  for (size_t j = 0; j <= heard.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= right.size(); ++i) {
    size_t diagonal = std::exchange(row[0], i);
    for (size_t j = 1; j <= heard.size(); ++j) {
      const size_t changed = diagonal + (right[i - 1] == heard[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({changed, row[j] + 1, row[j - 1] + 1});
    }
  }
  return right.empty() ? 0 : static_cast<double>(row.back()) / static_cast<double>(right.size());
}

class Comparison {
 public:
  static Result<Comparison> Open(const std::string& pack, bool alone) {
    const std::string folder = bench::ModelsFolder() + "/" + pack;
    const embedding::WhisperShape shape = TRY(ShapeOf(pack));
    Comparison out;
    out.transcriber_ = TRY(bench::Packs().LoadTranscriber(pack, {"cpu", 1}));
    out.tokens_ = TRY(WhisperTokens::Open(folder + "/tokenizer.json", folder + "/generation.json"));
    out.mel_ = std::make_unique<LogMel>(shape.bands);
    if (alone) return out;
    out.unpacked_ = TRY(bench::BareWhisper::Open(folder, shape, true));
    out.by_default_ = TRY(bench::BareWhisper::Open(folder, shape, false));
    return out;
  }

  Result<> Measure(const Recording& recording, const Options& options) {
    const std::vector<float>& samples = recording.samples;
    std::vector<double> ours, same, own, by_default;
    std::vector<embedding::SpokenText> texts;
    TranscriptionTrace trace;
    size_t same_steps = 0, own_steps = 0;
    for (int round = 0; round < kRounds; ++round) {
      trace = {};
      const double before = bench::ThreadSeconds();
      texts = TRY(Transcribe(samples, &trace));
      const double transcribed = bench::ThreadSeconds();
      ours.push_back(transcribed - before);
      if (options.alone) break;
      same_steps = TRY(Repeat(trace));
      const double repeated = bench::ThreadSeconds();
      const int64_t language =
          trace.windows.empty() ? tokens_.languages().at("en") : trace.windows[0].language;
      own_steps = TRY(Say(*unpacked_, samples, language));
      const double said = bench::ThreadSeconds();
      TRY(Say(*by_default_, samples, language));
      same.push_back(repeated - transcribed);
      own.push_back(said - repeated);
      by_default.push_back(bench::ThreadSeconds() - said);
    }
    std::string text;
    for (const auto& one : texts) text += one.text + "\n";
    const double seconds = static_cast<double>(samples.size()) / LogMel::kRate;
    const double median = bench::Median(ours);
    std::printf("%-16s %7.1f %8.2fs %8.1fx", recording.name.c_str(), seconds, median,
                seconds / median);
    for (const auto* theirs : {&same, &own, &by_default}) {
      std::printf(" %10.2f", theirs->empty() ? 0 : bench::Median(*theirs) / median);
    }
    if (recording.truth.empty()) {
      std::printf(" %6s", "-");
    } else {
      std::printf(" %5.1f%%", 100 * WordErrors(recording.truth, text));
    }
    // Of the last round.
    const double parts = trace.voice_activity + trace.spectrogram + trace.encoder + trace.decoder;
    std::printf(" |%4zu%5zu %6zu%6zu%6zu %7.2f %6.1f%% %5.1f%% %6.1f%% %6.1f%% %6.1f%%\n",
                trace.windows.size(), trace.attempts, trace.steps, same_steps, own_steps,
                1000 * trace.decoder / static_cast<double>(std::max<size_t>(trace.steps, 1)),
                100 * trace.voice_activity / ours.back(), 100 * trace.spectrogram / ours.back(),
                100 * trace.encoder / ours.back(), 100 * trace.decoder / ours.back(),
                100 * (1 - parts / ours.back()));
    if (!options.text) return Ok{};
    for (const auto& one : texts) {
      std::printf("  %7.2f %7.2f  %s %.2f  %s\n", one.start, one.end, one.language.c_str(),
                  static_cast<double>(one.confidence), one.text.c_str());
    }
    return Ok{};
  }

  static void PrintHead() {
    std::printf("%-16s %7s %9s %9s %10s %10s %10s %6s |%4s%5s %6s%6s%6s %7s %7s %6s %7s %7s %7s\n",
                "recording", "seconds", "msearch", "real time", "same words", "own words",
                "by default", "wrong", "win", "tries", "steps", "same", "own", "ms/step", "voice",
                "mel", "encoder", "decoder", "rest");
  }

 private:
  static constexpr int kRounds = 3;

  Result<std::vector<embedding::SpokenText>> Transcribe(const std::vector<float>& samples,
                                                        TranscriptionTrace* trace) {
    size_t at = 0;
    return transcriber_->Transcribe(
        [&]() -> Result<std::vector<float>> {
          const size_t count = std::min<size_t>(samples.size() - at, 160000);
          at += count;
          return std::vector<float>(samples.begin() + static_cast<ptrdiff_t>(at - count),
                                    samples.begin() + static_cast<ptrdiff_t>(at));
        },
        {{}, trace});
  }

  // These give the steps of the decoder.
  Result<size_t> Repeat(const TranscriptionTrace& trace) {
    size_t steps = 0;
    for (const TranscriptionTrace::Window& window : trace.windows) {
      steps += TRY(unpacked_->Repeat(mel_->Compute(window.samples), Beginning(window.language),
                                     window.said));
    }
    return steps;
  }

  Result<size_t> Say(bench::BareWhisper& bare, const std::vector<float>& samples,
                     int64_t language) {
    size_t steps = 0;
    for (size_t begin = 0; begin < samples.size(); begin += LogMel::kSamples) {
      const size_t count = std::min(LogMel::kSamples, samples.size() - begin);
      steps += TRY(bare.Say(mel_->Compute({samples.data() + begin, count}), Beginning(language),
                            tokens_.end()));
    }
    return steps;
  }

  std::vector<int64_t> Beginning(int64_t language) const {
    return {tokens_.start(), language, tokens_.transcribe()};
  }

  WhisperTokens tokens_;
  std::unique_ptr<embedding::Transcriber> transcriber_;
  std::unique_ptr<LogMel> mel_;
  std::unique_ptr<bench::BareWhisper> unpacked_, by_default_;
};

Result<> MeasureAll(const std::string& pack, const std::vector<std::string>& paths,
                    const Options& options) {
  Comparison comparison = TRY(Comparison::Open(pack, options.alone));
  std::string truth;
  Comparison::PrintHead();
  for (const std::string& path : paths) {
    if (path.ends_with(".txt")) {
      truth = TRY(ReadFile(path, 1 << 20));
    } else {
      TRY(comparison.Measure({path.substr(path.rfind('/') + 1), TRY(ReadWav(path)), truth},
                             options));
    }
  }
  return Ok{};
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<std::string> paths;
  Options options;
  for (int i = 2; i < argc; ++i) {
    const std::string argument = argv[i];
    if (argument == "--text") {
      options.text = true;
    } else if (argument == "--alone") {
      options.alone = true;
    } else {
      paths.push_back(argument);
    }
  }
  if (paths.empty()) {
    std::fprintf(stderr, "usage: speech_bench PACK [--text] [--alone] [TRUTH.txt] WAV...\n");
    return 2;
  }
  const Result<> done = MeasureAll(argv[1], paths, options);
  if (!done.ok()) std::fprintf(stderr, "%s\n", done.message().c_str());
  return done.ok() ? 0 : 1;
}
