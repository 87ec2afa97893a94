#include "ingest/sound_spaces.h"

namespace msearch::ingest {

embedding::ModelInfo SoundModel() {
  embedding::ModelInfo model;
  model.name = "sound";
  model.key = kSoundSpace;
  model.views = {{"sound", media::SoundPrint::kDimensions}};
  model.embeds_pictures = false;
  return model;
}

std::vector<float> PackFingerprint(const std::vector<uint32_t>& items) {
  std::vector<float> numbers;
  numbers.reserve(items.size() * 2);
  for (const uint32_t item : items) {
    numbers.push_back(static_cast<float>(item >> 16));
    numbers.push_back(static_cast<float>(item & 0xFFFF));
  }
  return numbers;
}

std::vector<uint32_t> UnpackFingerprint(const std::vector<float>& numbers) {
  auto half = [](float number) {
    return number >= 0 && number <= 65535 ? static_cast<uint32_t>(number) : 0U;
  };
  std::vector<uint32_t> items;
  items.reserve(numbers.size() / 2);
  for (size_t i = 0; i + 1 < numbers.size(); i += 2) {
    items.push_back(half(numbers[i]) << 16 | half(numbers[i + 1]));
  }
  return items;
}

void AddSoundPrint(const media::SoundPrint& print, catalog::MediaContent* content) {
  size_t window = 0;
  for (catalog::Segment& segment : content->segments) {
    if (segment.kind != "sound") continue;
    if (window == 0 && !print.fingerprint.empty()) {
      segment.spaces[std::string(kFingerprintSpace)] = {PackFingerprint(print.fingerprint)};
    }
    if (window < print.windows.size() && !print.windows[window].empty()) {
      segment.spaces[std::string(kSoundSpace)] = {print.windows[window]};
    }
    ++window;
  }
}

}  // namespace msearch::ingest
