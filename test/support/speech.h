// Speech for tests, said by a voice of Debian's: no recording is committed.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "base/file.h"

namespace msearch::test {

// flite's English voices need no more than "slt"; espeak-ng's are named as "espeak:cmn".
inline bool CanSpeak(const std::string& voice) {
  const std::string program = voice.starts_with("espeak:") ? "espeak-ng" : "flite";
  return std::system(("command -v " + program + " >/dev/null").c_str()) == 0;
}

// Writes a WAV file, 16-bit mono. REQUIRES: no quotes in `text`
inline void SpeakInto(const std::string& path, const std::string& voice, const std::string& text) {
  const std::string command =
      voice.starts_with("espeak:")
          ? "espeak-ng -s 130 -v " + voice.substr(7) + " -w '" + path + "' '" + text + "'"
          : "flite -voice " + voice + " -t '" + text + "' -o '" + path + "'";
  ASSERT_EQ(std::system((command + " >/dev/null 2>&1").c_str()), 0) << command;
}

// The samples at 16 kHz.
inline std::vector<float> Spoken(const std::string& voice, const std::string& text) {
  const TemporaryDirectory folder;
  const std::string path = folder.path() + "/speech.wav";
  SpeakInto(path, voice, text);
  const std::string bytes = ReadFile(path).value_or("");
  const size_t data = bytes.find("data");
  if (data == std::string::npos || bytes.size() < 44) return {};
  uint32_t rate = 0;
  std::memcpy(&rate, bytes.data() + 24, 4);
  std::vector<float> samples((bytes.size() - data - 8) / 2);
  for (size_t i = 0; i < samples.size(); ++i) {
    int16_t value = 0;
    std::memcpy(&value, bytes.data() + data + 8 + 2 * i, 2);
    samples[i] = static_cast<float>(value) / 32768.0F;
  }
  if (rate == 16000 || samples.empty()) return samples;
  std::vector<float> out(samples.size() * 16000 / rate);
  for (size_t i = 0; i < out.size(); ++i) {
    const double at = static_cast<double>(i) * rate / 16000;
    const auto left = static_cast<size_t>(at);
    const float right = samples[std::min(left + 1, samples.size() - 1)];
    out[i] = samples[left] +
             static_cast<float>(at - static_cast<double>(left)) * (right - samples[left]);
  }
  return out;
}

// Skips the test, saying why, where the voice isn't installed.
#define SKIP_UNLESS_SPEAKING(voice)                                                          \
  do {                                                                                       \
    if (!msearch::test::CanSpeak(voice)) {                                                   \
      GTEST_SKIP() << "no program for the voice " << (voice)                                 \
                   << " is installed (scripts/packages-test.txt names flite and espeak-ng)"; \
    }                                                                                        \
  } while (false)

}  // namespace msearch::test
