// Whisper's vocabulary: which number is which piece of text, language, moment or command.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"

namespace msearch::embedding {

class WhisperTokens {
 public:
  // From the tokenizer.json and generation_config.json that the model is published with. kCorrupt
  // when something that is needed is missing.
  static Result<WhisperTokens> Open(const std::string& tokenizer_path,
                                    const std::string& generation_path);
  static Result<WhisperTokens> Parse(const std::string& tokenizer, const std::string& generation);

  int64_t count() const { return first_moment_ + kMoments; }
  int64_t end() const { return end_; }      // also the first that isn't text
  int64_t start() const { return start_; }  // of a transcript
  int64_t transcribe() const { return transcribe_; }
  int64_t nothing_said() const { return nothing_said_; }
  int64_t no_moments() const { return no_moments_; }
  // Moments of the window: 0, 0.02, ... 30 seconds.
  int64_t first_moment() const { return first_moment_; }
  bool IsMoment(int64_t token) const { return token >= first_moment_; }
  double SecondsOf(int64_t token) const {
    return static_cast<double>(token - first_moment_) * 0.02;
  }
  const std::map<std::string, int64_t>& languages() const { return languages_; }  // by "en"
  // Never to be said: signs that stand for no speech, and commands. At the very beginning, these
  // too.
  const std::vector<int64_t>& suppressed() const { return suppressed_; }
  const std::vector<int64_t>& suppressed_first() const { return suppressed_first_; }

  // The text of tokens, without what isn't text; valid UTF-8, no spaces around it.
  std::string Text(std::span<const int64_t> tokens) const;

 private:
  static constexpr int64_t kMoments = 1501;

  std::vector<std::string> pieces_;  // bytes of each text token
  int64_t end_ = -1, start_ = -1, transcribe_ = -1, nothing_said_ = -1, no_moments_ = -1;
  int64_t first_moment_ = -1;
  std::map<std::string, int64_t> languages_;
  std::vector<int64_t> suppressed_, suppressed_first_;
};

}  // namespace msearch::embedding
