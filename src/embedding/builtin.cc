#include <algorithm>
#include <array>
#include <cmath>

#include "embedding/pack_kind.h"
#include "embedding/vectors.h"

// Descriptors computed from pixels alone, the same on every machine.
//   colour  for the whole picture and each of its quarters, how much of it has which colour: 12
//           hues, each pale and full, and 5 greys, every pixel shared between the nearest bins;
//           square roots, so that the inner product compares distributions (Bhattacharyya)
//   edges   8 x 8 cells of 8 directions, each pixel's gradient shared between the two nearest, and
//           every cell balanced by its surroundings, as in histograms of oriented gradients
// They find copies, crops by little, and pictures alike in colour and outline; they know no things.

namespace msearch::embedding {
namespace {

constexpr uint32_t kSide = 128;
constexpr uint32_t kHues = 12, kGreys = 5;
constexpr uint32_t kColours = 2 * kHues + kGreys;
constexpr uint32_t kRegions = 5;  // whole and quarters
constexpr uint32_t kCells = 8, kCellSide = kSide / kCells, kDirections = 8;
constexpr float kPi = 3.14159265F;

// The whole counts as much as its four quarters.
constexpr float kWholeWeight = 4.0F;

struct Colour {
  float hue = 0;  // 0 to 1
  float saturation = 0;
  float value = 0;
};

Colour ToHsv(float r, float g, float b) {
  const float high = std::max({r, g, b}), low = std::min({r, g, b}), range = high - low;
  Colour out{0, high <= 0 ? 0 : range / high, high};
  if (range <= 0) return out;
  float sixth = 0;
  if (high == r) {
    sixth = (g - b) / range;
  } else if (high == g) {
    sixth = 2 + (b - r) / range;
  } else {
    sixth = 4 + (r - g) / range;
  }
  out.hue = sixth / 6 - std::floor(sixth / 6);
  return out;
}

// Adds `amount` to the two bins nearest to `place` (in bins, from the first one's middle).
void Share(float* bins, uint32_t count, float place, float amount, bool round) {
  const float below = std::floor(place);
  const float part = place - below;
  auto bin = [&](float index) {
    const auto whole = static_cast<int32_t>(index), size = static_cast<int32_t>(count);
    return round ? (whole % size + size) % size : std::clamp(whole, 0, size - 1);
  };
  bins[bin(below)] += amount * (1 - part);
  bins[bin(below + 1)] += amount * part;
}

void AddColour(float* bins, const Colour& colour) {
  // Dark or pale pixels have no hue to speak of.
  const float chroma = colour.saturation * colour.value;
  const float coloured = std::clamp((chroma - 0.08F) / 0.15F, 0.0F, 1.0F);
  const float full = std::clamp((chroma - 0.3F) / 0.3F, 0.0F, 1.0F);
  const float hue = colour.hue * kHues - 0.5F;
  Share(bins, kHues, hue, coloured * (1 - full), true);
  Share(bins + kHues, kHues, hue, coloured * full, true);
  Share(bins + 2 * kHues, kGreys, colour.value * (kGreys - 1), 1 - coloured, false);
}

std::vector<float> ColourView(std::string_view rgb) {
  std::vector<float> bins(kRegions * kColours, 0.0F);
  for (uint32_t y = 0; y < kSide; ++y) {
    for (uint32_t x = 0; x < kSide; ++x) {
      const auto* pixel = reinterpret_cast<const uint8_t*>(rgb.data()) + (y * kSide + x) * 3;
      const uint32_t quarter = 1 + 2 * (2 * y / kSide) + 2 * x / kSide;
      AddColour(bins.data() + quarter * kColours,
                ToHsv(pixel[0] / 255.0F, pixel[1] / 255.0F, pixel[2] / 255.0F));
    }
  }
  for (uint32_t region = 1; region < kRegions; ++region) {
    for (uint32_t i = 0; i < kColours; ++i) bins[i] += bins[region * kColours + i];
  }
  for (uint32_t i = 0; i < kColours; ++i) bins[i] *= kWholeWeight / 4;
  for (float& bin : bins) bin = std::sqrt(bin);
  Normalise(bins);
  return bins;
}

std::vector<float> Greys(std::string_view rgb) {
  std::vector<float> grey(kSide * kSide);
  for (size_t i = 0; i < grey.size(); ++i) {
    const auto* pixel = reinterpret_cast<const uint8_t*>(rgb.data()) + i * 3;
    grey[i] = (0.299F * pixel[0] + 0.587F * pixel[1] + 0.114F * pixel[2]) / 255.0F;
  }
  return grey;
}

std::vector<float> Gradients(const std::vector<float>& grey) {
  std::vector<float> cells(kCells * kCells * kDirections, 0.0F);
  for (uint32_t y = 1; y + 1 < kSide; ++y) {
    for (uint32_t x = 1; x + 1 < kSide; ++x) {
      const uint32_t at = y * kSide + x;
      const float dx = grey[at + 1] - grey[at - 1], dy = grey[at + kSide] - grey[at - kSide];
      const float strength = std::sqrt(dx * dx + dy * dy);
      if (strength <= 0) continue;
      // A line has no front: opposite directions are one.
      const float turn = std::atan2(dy, dx) / kPi;
      const float direction = (turn - std::floor(turn)) * kDirections;
      const uint32_t cell = (y / kCellSide) * kCells + x / kCellSide;
      Share(cells.data() + cell * kDirections, kDirections, direction, strength, true);
    }
  }
  return cells;
}

std::vector<float> EdgesView(std::string_view rgb) {
  // Keeps noise in flat cells small, and gives a picture without edges a vector all the same.
  constexpr float kFloor = 1.0F;
  const std::vector<float> cells = Gradients(Greys(rgb));
  auto energy = [&](int32_t cy, int32_t cx) {
    float sum = 0;
    if (cy < 0 || cx < 0 || cy >= static_cast<int32_t>(kCells) ||
        cx >= static_cast<int32_t>(kCells)) {
      return sum;
    }
    const float* cell =
        cells.data() +
        (static_cast<uint32_t>(cy) * kCells + static_cast<uint32_t>(cx)) * kDirections;
    for (uint32_t i = 0; i < kDirections; ++i) sum += cell[i] * cell[i];
    return sum;
  };
  std::vector<float> out(cells.size());
  for (uint32_t cell = 0; cell < kCells * kCells; ++cell) {
    float around = 0;
    for (int32_t dy = -1; dy <= 1; ++dy) {
      for (int32_t dx = -1; dx <= 1; ++dx) {
        around += energy(static_cast<int32_t>(cell / kCells) + dy,
                         static_cast<int32_t>(cell % kCells) + dx);
      }
    }
    const float scale = 1.0F / (std::sqrt(around) + kFloor);
    for (uint32_t i = cell * kDirections; i < (cell + 1) * kDirections; ++i) {
      out[i] = std::sqrt(cells[i] * scale + 1e-4F);
    }
  }
  Normalise(out);
  return out;
}

Result<ModelInfo> BuiltinInfo(const PackContext& context) {
  ModelInfo info;
  info.name = context.manifest.name;
  info.key = context.key;
  info.views = {{"colour", kRegions * kColours}, {"edges", kCells * kCells * kDirections}};
  info.image = {kSide, kSide, ImageInputSpec::Fit::kStretch};
  return info;
}

class Builtin : public Embedder {
 public:
  Builtin(ModelInfo info, DeviceInfo device, Calibration similar)
      : info_(std::move(info)), device_(std::move(device)), similar_(std::move(similar)) {}

  const ModelInfo& info() const override { return info_; }
  const DeviceInfo& device() const override { return device_; }

  Result<std::vector<Embedding>> EmbedPictures(std::span<const ImageInput> pictures) override {
    std::vector<Embedding> out;
    for (const ImageInput& picture : pictures) {
      if (picture.rgb.size() != size_t{kSide} * kSide * 3) {
        return Error{Code::kInvalid, "picture: " + std::to_string(picture.rgb.size()) +
                                         " bytes of pixels, expected " +
                                         std::to_string(kSide * kSide * 3)};
      }
      out.push_back({{ColourView(picture.rgb), EdgesView(picture.rgb)}, {}});
    }
    return out;
  }

  Result<std::vector<Embedding>> EmbedPassages(std::span<const std::string>) override {
    return Error{Code::kUnsupported, "model " + info_.name + ": embeds no text"};
  }

  Result<std::vector<Probe>> ProbeWords(const std::string&) override {
    return Error{Code::kUnsupported, "model " + info_.name + ": doesn't understand words"};
  }

  Result<std::vector<Probe>> ProbePicture(const ImageInput& picture) override {
    const std::vector<Embedding> embedded = TRY(EmbedPictures({&picture, 1}));
    return ProbeLike(embedded[0].views);
  }

  Result<std::vector<Probe>> ProbeLike(const std::vector<std::vector<float>>& views) override {
    if (views.size() != info_.views.size() || views[0].empty() || views[1].empty()) {
      return Error{Code::kInvalid, "model " + info_.name + ": an embedding of another model"};
    }
    return std::vector<Probe>{{"similar", {{0, views[0]}, {1, views[1]}}, similar_}};
  }

 private:
  const ModelInfo info_;
  const DeviceInfo device_;
  const Calibration similar_;
};

Result<std::unique_ptr<Embedder>> LoadBuiltin(const PackContext& context,
                                              const SessionOptions& options) {
  DeviceInfo device{options.device, "cpu", "this model runs on the CPU only"};
  if (options.device == "cuda") {
    return Error{Code::kUnsupported, "device cuda: " + device.reason};
  }
  return std::unique_ptr<Embedder>(std::make_unique<Builtin>(
      TRY(BuiltinInfo(context)), std::move(device), CalibrationOf(context.manifest, "similar", 2)));
}

}  // namespace

const PackKind& BuiltinKind() {
  static const PackKind kind = {.name = "builtin",
                                .version = 1,
                                .derived = {},
                                .convert = nullptr,
                                .info = BuiltinInfo,
                                .load = LoadBuiltin,
                                .needs_runtime = false};
  return kind;
}

}  // namespace msearch::embedding
