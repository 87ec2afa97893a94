// What a sound is recognised by: a fingerprint that finds the same recording again, and for each
// window a few numbers that sounds alike have in common. Both without a model.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace msearch::media {

struct SoundPrint {
  // Chromaprint's items, one for each kItemSeconds from the sound's beginning on; 0 where nothing
  // can be heard. Empty for a sound of less than about three seconds.
  std::vector<uint32_t> fingerprint;
  // For each window of sound in order; of unit length, or empty where nothing can be heard.
  std::vector<std::vector<float>> windows;

  static constexpr double kItemSeconds = 1365.0 / 11025;
  static constexpr uint32_t kDimensions = 59;

  // u32 number of items, the items, u32 number of windows, for each its kDimensions float32, all
  // zero for an empty one. Little-endian.
  std::string Encode() const;
  // kCorrupt for bytes that no print has.
  static Result<SoundPrint> Decode(std::string_view bytes);
};

// Takes a sound piece by piece: one channel, kRate samples a second.
class SoundPrinter {
 public:
  static constexpr uint32_t kRate = 16000;

  SoundPrinter();
  ~SoundPrinter();
  SoundPrinter(const SoundPrinter&) = delete;
  SoundPrinter& operator=(const SoundPrinter&) = delete;

  void Add(std::span<const float> samples);
  // All of it in numbers as they are, for measuring what is usual; empty: nothing to hear.
  std::vector<float> Numbers() const;
  // For windows with these beginnings and ends, seconds from the first sample on.
  SoundPrint Finish(std::span<const std::pair<double, double>> windows);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

// Loads Chromaprint; without it sounds have no fingerprint.
void PreloadSoundLibraries();

}  // namespace msearch::media
