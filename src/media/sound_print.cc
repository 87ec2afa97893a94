// The fingerprint is Chromaprint's: which notes of the scale sound and how that changes, in 32 bits
// every eighth of a second. It survives lossy encoding and noise.
//
// For "sounds alike" the spectrum of each 32 milliseconds is reduced to 26 bands as wide as the ear
// hears them, and these, by a cosine transform of their logarithms, to 20 coefficients: how the
// sound is coloured, whatever it says or plays. A window is described by the mean of each but the
// first (which is loudness), how far each varies, and how fast. Numbers are counted from what is
// usual, in units of what is usual (the table below), so that no coefficient drowns the others.

#include "media/sound_print.h"

#include <chromaprint.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <complex>
#include <cstring>
#include <numbers>

#include "media/dynamic_library.h"

namespace msearch::media {
namespace {

constexpr size_t kFrame = 512;  // 32 ms
constexpr size_t kHop = 320;    // 20 ms
constexpr size_t kBands = 26;
constexpr size_t kCoefficients = 20;
constexpr double kFramesPerSecond = static_cast<double>(SoundPrinter::kRate) / kHop;
// Mean square below which a frame is silence: 60 dB below full scale.
constexpr float kSilence = 1e-6F;
// So much of a window has to be heard.
constexpr double kHeardSecondsMin = 0.25;
// An item of the fingerprint looks this far ahead.
constexpr double kItemSpanSeconds = 2.6;

static_assert(SoundPrint::kDimensions == 3 * kCoefficients - 1);

// What is usual: means and deviations of the numbers over 20-second pieces of many sounds (see
// bench/README.md).
#include "media/sound_usual.inc"

struct ChromaprintLibrary {
#define MSEARCH_CHROMAPRINT_FUNCTIONS(X) \
  X(chromaprint_dealloc)                 \
  X(chromaprint_feed)                    \
  X(chromaprint_finish)                  \
  X(chromaprint_free)                    \
  X(chromaprint_get_raw_fingerprint)     \
  X(chromaprint_new)                     \
  X(chromaprint_start)
#define MSEARCH_CHROMAPRINT_MEMBER(name) decltype(&::name) name = nullptr;
  MSEARCH_CHROMAPRINT_FUNCTIONS(MSEARCH_CHROMAPRINT_MEMBER)
#undef MSEARCH_CHROMAPRINT_MEMBER
};

Result<ChromaprintLibrary> LoadChromaprint() {
  const DynamicLibrary library = TRY(DynamicLibrary::Open("libchromaprint.so.1"));
  ChromaprintLibrary chromaprint;
#define MSEARCH_CHROMAPRINT_FIND(name)                                          \
  if (!library.Find(#name, chromaprint.name)) {                                 \
    return Error{Code::kUnsupported, "libchromaprint: has no function " #name}; \
  }
  MSEARCH_CHROMAPRINT_FUNCTIONS(MSEARCH_CHROMAPRINT_FIND)
#undef MSEARCH_CHROMAPRINT_FIND
  return chromaprint;
}

const Result<ChromaprintLibrary>& Chromaprint() {
  static const Result<ChromaprintLibrary> library = LoadChromaprint();
  return library;
}

// In place, of a power of two.
void Transform(std::array<std::complex<float>, kFrame>& values) {
  for (size_t i = 1, j = 0; i < kFrame; ++i) {
    size_t bit = kFrame >> 1;
    for (; (j & bit) != 0; bit >>= 1) j ^= bit;
    j ^= bit;
    if (i < j) std::swap(values[i], values[j]);
  }
  static const auto kTurns = [] {
    std::array<std::complex<float>, kFrame / 2> turns;
    for (size_t i = 0; i < turns.size(); ++i) {
      const double angle = -2 * std::numbers::pi * static_cast<double>(i) / kFrame;
      turns[i] = {static_cast<float>(std::cos(angle)), static_cast<float>(std::sin(angle))};
    }
    return turns;
  }();
  for (size_t length = 2; length <= kFrame; length <<= 1) {
    const size_t step = kFrame / length;
    for (size_t begin = 0; begin < kFrame; begin += length) {
      for (size_t k = 0; k < length / 2; ++k) {
        const std::complex<float> odd = values[begin + k + length / 2];
        const std::complex<float> turn = kTurns[k * step];
        // Without std::complex's care for infinities, which samples don't have.
        const std::complex<float> turned(odd.real() * turn.real() - odd.imag() * turn.imag(),
                                         odd.real() * turn.imag() + odd.imag() * turn.real());
        const std::complex<float> even = values[begin + k];
        values[begin + k] = even + turned;
        values[begin + k + length / 2] = even - turned;
      }
    }
  }
}

double Mel(double hertz) { return 2595 * std::log10(1 + hertz / 700); }
double Hertz(double mel) { return 700 * (std::pow(10.0, mel / 2595) - 1); }

// Edges of the bands, in bins of the spectrum: band b rises from edge b to b + 1, falls to b + 2.
std::array<double, kBands + 2> Edges() {
  std::array<double, kBands + 2> edges;
  const double low = Mel(60);
  const double high = Mel(7600);
  for (size_t i = 0; i < edges.size(); ++i) {
    const double hertz = Hertz(low + (high - low) * static_cast<double>(i) / (kBands + 1));
    edges[i] = hertz * kFrame / SoundPrinter::kRate;
  }
  return edges;
}

struct FrameNumbers {
  bool heard = false;
  std::array<float, kCoefficients> coefficients{};
};

FrameNumbers NumbersOf(std::span<const float, kFrame> samples) {
  static const auto kWindow = [] {
    std::array<float, kFrame> window;
    for (size_t i = 0; i < kFrame; ++i) {
      window[i] = static_cast<float>(
          0.5 - 0.5 * std::cos(2 * std::numbers::pi * static_cast<double>(i) / (kFrame - 1)));
    }
    return window;
  }();
  static const std::array<double, kBands + 2> kEdges = Edges();
  FrameNumbers out;
  float energy = 0;
  std::array<std::complex<float>, kFrame> values;
  for (size_t i = 0; i < kFrame; ++i) {
    energy += samples[i] * samples[i];
    values[i] = samples[i] * kWindow[i];
  }
  if (energy / kFrame < kSilence) return out;
  out.heard = true;
  Transform(values);
  std::array<float, kBands> bands{};
  for (size_t band = 0; band < kBands; ++band) {
    const double from = kEdges[band];
    const double middle = kEdges[band + 1];
    const double to = kEdges[band + 2];
    double sum = 0;
    for (auto bin = static_cast<size_t>(std::ceil(from)); bin <= static_cast<size_t>(to); ++bin) {
      const auto at = static_cast<double>(bin);
      const double weight =
          at <= middle ? (at - from) / (middle - from) : (to - at) / (to - middle);
      sum += std::max(0.0, weight) * std::norm(values[bin]);
    }
    bands[band] = static_cast<float>(std::log(sum + 1e-6));
  }
  for (size_t k = 0; k < kCoefficients; ++k) {
    double sum = 0;
    for (size_t band = 0; band < kBands; ++band) {
      sum += bands[band] * std::cos(std::numbers::pi * static_cast<double>(k) *
                                    (static_cast<double>(band) + 0.5) / kBands);
    }
    out.coefficients[k] = static_cast<float>(sum / kBands);
  }
  return out;
}

// What is kept of the frames of a second: enough to describe any row of seconds, and little enough
// for sounds of many hours.
struct Second {
  uint32_t heard = 0;
  uint32_t pairs = 0;  // heard ones behind heard ones
  std::array<float, kCoefficients> sum{};
  std::array<float, kCoefficients> squares{};
  std::array<float, kCoefficients> changes{};

  void Add(const FrameNumbers& frame, const FrameNumbers& before) {
    if (!frame.heard) return;
    ++heard;
    pairs += before.heard ? 1 : 0;
    for (size_t k = 0; k < kCoefficients; ++k) {
      const float value = frame.coefficients[k];
      sum[k] += value;
      squares[k] += value * value;
      if (before.heard) changes[k] += std::abs(value - before.coefficients[k]);
    }
  }
};

// Mean of all but the first, deviation and mean change of all. Empty: nothing was heard.
std::vector<float> RawNumbers(std::span<const Second> seconds) {
  double heard = 0;
  double pairs = 0;
  std::array<double, kCoefficients> sum{};
  std::array<double, kCoefficients> squares{};
  std::array<double, kCoefficients> changes{};
  for (const Second& second : seconds) {
    heard += second.heard;
    pairs += second.pairs;
    for (size_t k = 0; k < kCoefficients; ++k) {
      sum[k] += second.sum[k];
      squares[k] += second.squares[k];
      changes[k] += second.changes[k];
    }
  }
  if (heard < kHeardSecondsMin * kFramesPerSecond || pairs == 0) return {};
  std::vector<float> out;
  for (size_t k = 1; k < kCoefficients; ++k) out.push_back(static_cast<float>(sum[k] / heard));
  for (size_t k = 0; k < kCoefficients; ++k) {
    const double mean = sum[k] / heard;
    out.push_back(static_cast<float>(std::sqrt(std::max(0.0, squares[k] / heard - mean * mean))));
  }
  for (size_t k = 0; k < kCoefficients; ++k) {
    out.push_back(static_cast<float>(changes[k] / pairs));
  }
  return out;
}

std::vector<float> Describe(std::vector<float> numbers) {
  double length = 0;
  for (size_t i = 0; i < numbers.size(); ++i) {
    numbers[i] = std::clamp((numbers[i] - kUsualMean[i]) / kUsualDeviation[i], -4.0F, 4.0F);
    length += numbers[i] * numbers[i];
  }
  const auto scale = static_cast<float>(length > 0 ? 1 / std::sqrt(length) : 0);
  for (float& number : numbers) number *= scale;
  return numbers;
}

}  // namespace

struct SoundPrinter::Impl {
  Impl() {
    if (!Chromaprint().ok()) return;
    chromaprint = Chromaprint()->chromaprint_new(CHROMAPRINT_ALGORITHM_DEFAULT);
    if (chromaprint != nullptr && Chromaprint()->chromaprint_start(chromaprint, kRate, 1) != 1) {
      Drop();
    }
  }
  ~Impl() { Drop(); }

  void Drop() {
    if (chromaprint != nullptr) Chromaprint()->chromaprint_free(chromaprint);
    chromaprint = nullptr;
  }

  void Add(std::span<const float> samples) {
    if (chromaprint != nullptr) {
      words.resize(samples.size());
      for (size_t i = 0; i < samples.size(); ++i) {
        words[i] = static_cast<int16_t>(std::lround(std::clamp(samples[i], -1.0F, 1.0F) * 32767));
      }
      Chromaprint()->chromaprint_feed(chromaprint, words.data(), static_cast<int>(words.size()));
    }
    pending.insert(pending.end(), samples.begin(), samples.end());
    size_t at = 0;
    for (; at + kFrame <= pending.size(); at += kHop) {
      const FrameNumbers frame =
          NumbersOf(std::span<const float, kFrame>(pending.data() + at, kFrame));
      const auto second = static_cast<size_t>(static_cast<double>(heard.size()) / kFramesPerSecond);
      if (second >= seconds.size()) seconds.emplace_back();
      seconds.back().Add(frame, before);
      heard.push_back(frame.heard);
      before = frame;
    }
    pending.erase(pending.begin(), pending.begin() + static_cast<ptrdiff_t>(at));
  }

  std::vector<float> Numbers(double start, double end) const {
    const auto first = static_cast<size_t>(std::max(0.0, std::floor(start)));
    const auto last = static_cast<size_t>(std::max(0.0, std::ceil(end)));
    if (first >= seconds.size()) return {};
    return RawNumbers(std::span(seconds).subspan(first, std::min(last, seconds.size()) - first));
  }

  bool IsHeard(double start, double end) const {
    const auto first = static_cast<size_t>(start * kFramesPerSecond);
    const auto last = std::min(heard.size(), static_cast<size_t>(end * kFramesPerSecond));
    if (first >= last) return false;
    const auto count = std::count(heard.begin() + static_cast<ptrdiff_t>(first),
                                  heard.begin() + static_cast<ptrdiff_t>(last), true);
    return static_cast<size_t>(count) * 2 >= last - first;
  }

  std::vector<uint32_t> Fingerprint() {
    if (chromaprint == nullptr) return {};
    Chromaprint()->chromaprint_finish(chromaprint);
    uint32_t* items = nullptr;
    int count = 0;
    std::vector<uint32_t> out;
    if (Chromaprint()->chromaprint_get_raw_fingerprint(chromaprint, &items, &count) == 1) {
      out.assign(items, items + count);
      Chromaprint()->chromaprint_dealloc(items);
    }
    for (size_t i = 0; i < out.size(); ++i) {
      const double start = static_cast<double>(i) * SoundPrint::kItemSeconds;
      if (!IsHeard(start, start + kItemSpanSeconds)) out[i] = 0;
    }
    return out;
  }

  ChromaprintContext* chromaprint = nullptr;
  std::vector<int16_t> words;
  std::vector<float> pending;
  FrameNumbers before;
  std::vector<bool> heard;  // by frame
  std::vector<Second> seconds;
};

SoundPrinter::SoundPrinter() : impl_(std::make_unique<Impl>()) {}
SoundPrinter::~SoundPrinter() = default;

void SoundPrinter::Add(std::span<const float> samples) { impl_->Add(samples); }

std::vector<float> SoundPrinter::Numbers() const { return impl_->Numbers(0, 1e9); }

SoundPrint SoundPrinter::Finish(std::span<const std::pair<double, double>> windows) {
  SoundPrint out;
  out.fingerprint = impl_->Fingerprint();
  for (const auto& [start, end] : windows) {
    out.windows.push_back(Describe(impl_->Numbers(start, end)));
  }
  return out;
}

std::string SoundPrint::Encode() const {
  std::string out;
  auto put = [&](uint32_t value) { out.append(reinterpret_cast<const char*>(&value), 4); };
  put(static_cast<uint32_t>(fingerprint.size()));
  out.append(reinterpret_cast<const char*>(fingerprint.data()), fingerprint.size() * 4);
  put(static_cast<uint32_t>(windows.size()));
  for (std::vector<float> window : windows) {
    window.resize(kDimensions);
    out.append(reinterpret_cast<const char*>(window.data()), kDimensions * 4);
  }
  return out;
}

Result<SoundPrint> SoundPrint::Decode(std::string_view bytes) {
  const Error broken{Code::kCorrupt, "sound: a broken print"};
  SoundPrint out;
  uint32_t count = 0;
  auto take = [&] {
    if (bytes.size() < 4) return false;
    std::memcpy(&count, bytes.data(), 4);
    bytes.remove_prefix(4);
    return true;
  };
  if (!take() || bytes.size() / 4 < count) return broken;
  out.fingerprint.resize(count);
  if (count > 0) std::memcpy(out.fingerprint.data(), bytes.data(), size_t{count} * 4);
  bytes.remove_prefix(size_t{count} * 4);
  if (!take() || bytes.size() != size_t{count} * kDimensions * 4) return broken;
  for (uint32_t i = 0; i < count; ++i) {
    std::vector<float> window(kDimensions);
    std::memcpy(window.data(), bytes.data(), kDimensions * 4);
    bytes.remove_prefix(kDimensions * 4);
    float length = 0;
    for (const float value : window) length += value * value;
    if (!(length < 2)) return broken;  // no number, too
    if (length < 0.5F) window.clear();
    out.windows.push_back(std::move(window));
  }
  return out;
}

void PreloadSoundLibraries() { (void)Chromaprint(); }

}  // namespace msearch::media
