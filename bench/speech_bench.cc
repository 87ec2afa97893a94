// Speech to words: what a pack needs for a recording, beside the bare encoder and decoder of the
// same model.
//   speech_bench PACK WAV...       16-bit mono PCM at 16 kHz; --text also prints what was said
// The bare loop runs over consecutive windows of 30 seconds: spectrogram, encoder, then the
// likeliest token again and again until the model ends, without voice activity, rules or second
// attempts. Its models are opened as they are by default; a second bare loop, whose ratio is named
// "unpacked", has its weights unpacked when they are opened, as the pack's are. All run on one
// thread and are timed by its processor time, which others on the machine don't change much; in
// brackets the time that passed.

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "base/file.h"
#include "embedding/log_mel.h"
#include "embedding/manifest.h"
#include "embedding/whisper_model.h"
#include "embedding/whisper_tokens.h"
#include "measure.h"

namespace {

using namespace msearch;
using embedding::LogMel;
using embedding::WhisperModel;
using embedding::WhisperTokens;

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

struct Bare {
  WhisperTokens tokens;
  std::unique_ptr<WhisperModel> model;
  std::unique_ptr<LogMel> mel;

  static Result<Bare> Open(const std::string& pack, const embedding::WhisperShape& shape,
                           bool unpack_weights) {
    const std::string folder = bench::ModelsFolder() + "/" + pack + "/";
    Bare bare;
    bare.mel = std::make_unique<LogMel>(shape.bands);
    bare.tokens = TRY(WhisperTokens::Open(folder + "tokenizer.json", folder + "generation.json"));
    bare.model = TRY(WhisperModel::Open(folder + "encoder.onnx", folder + "decoder.onnx", shape,
                                        {"", "cpu", 1, unpack_weights}));
    return bare;
  }

  Result<size_t> Run(const std::vector<float>& samples, const std::string& language) {
    size_t said = 0;
    for (size_t begin = 0; begin < samples.size(); begin += LogMel::kSamples) {
      const size_t count = std::min(LogMel::kSamples, samples.size() - begin);
      WhisperModel::Place place =
          TRY(model->Begin(mel->Compute({samples.data() + begin, count}), tokens.start()));
      for (int64_t token : {tokens.languages().at(language), tokens.transcribe()}) {
        place = TRY(model->Say(place, token));
      }
      for (int i = 0; i < 224; ++i) {
        const auto scores = place.scores.values();
        const auto best = std::max_element(scores.begin(), scores.end()) - scores.begin();
        if (best == tokens.end()) break;
        ++said;
        place = TRY(model->Say(place, best));
      }
    }
    return said;
  }
};

Result<> Measure(const std::string& pack, const std::vector<std::string>& paths, bool print) {
  const auto transcriber = TRY(bench::Packs().LoadTranscriber(pack, {"cpu", 1}));
  const embedding::WhisperShape shape = TRY(ShapeOf(pack));
  Bare bare = TRY(Bare::Open(pack, shape, false));
  Bare unpacked = TRY(Bare::Open(pack, shape, true));
  std::printf("%-24s %8s %9s %9s %7s %9s %9s\n", "recording", "seconds", "msearch", "bare", "ratio",
              "unpacked", "real time");
  for (const std::string& path : paths) {
    const std::vector<float> samples = TRY(ReadWav(path));
    std::vector<double> ours, theirs, unpacked_theirs, passed;
    std::vector<embedding::SpokenText> texts;
    std::string language = "en";
    for (int round = 0; round < 3; ++round) {
      const bench::Stopwatch watch;
      const double before = bench::ThreadSeconds();
      size_t at = 0;
      texts = TRY(transcriber->Transcribe(
          [&]() -> Result<std::vector<float>> {
            const size_t count = std::min<size_t>(samples.size() - at, 160000);
            at += count;
            return std::vector<float>(samples.begin() + static_cast<ptrdiff_t>(at - count),
                                      samples.begin() + static_cast<ptrdiff_t>(at));
          },
          {}));
      ours.push_back(bench::ThreadSeconds() - before);
      passed.push_back(watch.seconds());
      if (!texts.empty()) language = texts[0].language;
      const double bare_before = bench::ThreadSeconds();
      TRY(bare.Run(samples, language));
      theirs.push_back(bench::ThreadSeconds() - bare_before);
      const double unpacked_before = bench::ThreadSeconds();
      TRY(unpacked.Run(samples, language));
      unpacked_theirs.push_back(bench::ThreadSeconds() - unpacked_before);
    }
    const double length = static_cast<double>(samples.size()) / LogMel::kRate;
    std::printf("%-24s %8.1f %8.2fs %8.2fs %7.2f %9.2f %8.1fx  (%.2fs)\n",
                path.substr(path.rfind('/') + 1).c_str(), length, bench::Median(ours),
                bench::Median(theirs), bench::Median(theirs) / bench::Median(ours),
                bench::Median(unpacked_theirs) / bench::Median(ours), length / bench::Median(ours),
                bench::Median(passed));
    if (!print) continue;
    for (const auto& text : texts) {
      std::printf("  %7.2f %7.2f  %s %.2f  %s\n", text.start, text.end, text.language.c_str(),
                  static_cast<double>(text.confidence), text.text.c_str());
    }
  }
  return Ok{};
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<std::string> paths;
  bool print = false;
  for (int i = 2; i < argc; ++i) {
    if (std::string(argv[i]) == "--text") {
      print = true;
    } else {
      paths.emplace_back(argv[i]);
    }
  }
  if (paths.empty()) {
    std::fprintf(stderr, "usage: speech_bench PACK [--text] WAV...\n");
    return 2;
  }
  const Result<> done = Measure(argv[1], paths, print);
  if (!done.ok()) std::fprintf(stderr, "%s\n", done.message().c_str());
  return done.ok() ? 0 : 1;
}
