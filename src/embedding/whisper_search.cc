#include "embedding/whisper_search.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <map>
#include <optional>
#include <random>
#include <set>

#include "embedding/token_scores.h"

// OpenAI's rules: a transcript begins with a moment, moments come in pairs around texts and never
// go back, and a moment is said when moments together are likelier than any one piece of text. The
// best token is taken each time.
//
// A model that has lost the thread says one thing again and again. That ends the attempt. What it
// said up to the last moment before is kept where that is enough to go by, and the sound from there
// on is heard afresh, as the beginning of a window: mostly the thread is found again. Otherwise,
// and when the outcome is unlikely, the window is tried again with tokens drawn at random, not too
// boldly: what is then still lost is better heard in parts.

namespace msearch::embedding {
namespace {

constexpr float kNever = -std::numeric_limits<float>::infinity();
constexpr int64_t kFirstMomentMax = 50;  // 1 s
constexpr size_t kTokensMax = 440;       // the decoder has 448 places
// Nobody speaks so fast, in any language.
constexpr double kTokensPerSecondMax = 15;
constexpr float kTemperatures[] = {0.0F, 0.4F};
constexpr double kUnlikely = -1.0;      // mean logarithm of the tokens' probabilities
constexpr double kUnbelievable = -1.4;  // words that nobody would find useful
constexpr float kNothingSaid = 0.6F;
constexpr double kHeardMin = 4;    // seconds before a loop that are worth keeping
constexpr uint32_t kSeed = 19198;  // the same window gives the same words

struct Attempt {
  std::vector<int64_t> tokens;
  std::vector<float> logs;  // of each token's probability
  bool loop = false;        // cut off behind tokens
  size_t sound = 0;         // tokens before all that the loop is made of

  double MeanLog() const {
    double sum = 0;
    for (float log : logs) sum += log;
    return logs.empty() ? 0 : sum / static_cast<double>(logs.size());
  }
  void Shorten(size_t count) {
    tokens.resize(count);
    logs.resize(count);
  }
};

class Search {
 public:
  Search(WhisperModel& model, const WhisperTokens& tokens, double seconds)
      : model_(model), tokens_(tokens), seconds_(seconds) {}

  Result<Attempt> Run(WhisperModel::Place place, float temperature) {
    Attempt attempt;
    std::vector<int64_t> texts;
    std::vector<size_t> places;  // in attempt.tokens, of each of texts
    const auto tokens_max =
        std::min(kTokensMax, static_cast<size_t>(20 + seconds_ * kTokensPerSecondMax));
    std::mt19937 random(kSeed);
    while (attempt.tokens.size() < tokens_max) {
      const std::span<const float> scores = place.scores.values();
      if (scores.size() < static_cast<size_t>(tokens_.count())) {
        return Error{Code::kInternal, "whisper: the model has another vocabulary"};
      }
      scores_.assign(scores.begin(), scores.begin() + tokens_.count());
      ApplyRules(attempt.tokens);
      const size_t best = temperature == 0 ? Best() : Draw(temperature, random);
      const auto token = static_cast<int64_t>(best);
      attempt.logs.push_back(scores_[best] - LogSumOf(scores_));
      if (token == tokens_.end()) break;
      attempt.tokens.push_back(token);
      if (token < tokens_.end()) {
        texts.push_back(token);
        places.push_back(attempt.tokens.size() - 1);
        if (const auto loop = LoopAtEnd(texts)) {
          attempt.loop = true;
          attempt.sound = places[loop->first];
          attempt.Shorten(places[loop->again]);
          break;
        }
      }
      place = TRY(model_.Say(place, token));
    }
    return attempt;
  }

 private:
  void Suppress(int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) scores_[static_cast<size_t>(i)] = kNever;
  }

  void ApplyRules(const std::vector<int64_t>& said) {
    const int64_t first_moment = tokens_.first_moment();
    const int64_t count = tokens_.count();
    for (int64_t token : tokens_.suppressed()) scores_[static_cast<size_t>(token)] = kNever;
    if (said.empty()) {
      for (int64_t token : tokens_.suppressed_first()) scores_[static_cast<size_t>(token)] = kNever;
      Suppress(0, first_moment);
      Suppress(first_moment + kFirstMomentMax + 1, count);
      return;
    }
    const bool after_moment = tokens_.IsMoment(said.back());
    const bool after_two = said.size() < 2 || tokens_.IsMoment(said[said.size() - 2]);
    if (after_moment && after_two) {
      Suppress(first_moment, count);
    } else if (after_moment) {
      Suppress(0, tokens_.end());
    }
    const auto last = std::find_if(said.rbegin(), said.rend(),
                                   [&](int64_t token) { return tokens_.IsMoment(token); });
    if (last != said.rend()) {
      // The same moment only as the beginning of the next text.
      const int64_t least = after_moment && !after_two ? *last : *last + 1;
      const int64_t most = first_moment + static_cast<int64_t>(std::ceil(seconds_ / 0.02)) + 10;
      Suppress(first_moment, std::min(least, count));
      Suppress(std::min(std::max(most, least) + 1, count), count);
    }
    const std::span<const float> all = scores_;
    const auto texts = static_cast<size_t>(first_moment);
    if (LogSumOf(all.subspan(texts)) > MostOf(all.first(texts))) Suppress(0, first_moment);
  }

  size_t Best() const {
    return static_cast<size_t>(std::find(scores_.begin(), scores_.end(), MostOf(scores_)) -
                               scores_.begin());
  }

  size_t Draw(float temperature, std::mt19937& random) const {
    const float most = MostOf(scores_);
    std::vector<float> weights(scores_.size());
    for (size_t i = 0; i < scores_.size(); ++i) {
      weights[i] = std::exp((scores_[i] - most) / temperature);
    }
    return std::discrete_distribution<size_t>(weights.begin(), weights.end())(random);
  }

  WhisperModel& model_;
  const WhisperTokens& tokens_;
  const double seconds_;
  std::vector<float> scores_;
};

std::vector<WindowText> TextsOf(const Attempt& attempt, const WhisperTokens& tokens,
                                double seconds) {
  std::vector<WindowText> out;
  double start = 0, log_sum = 0;
  std::vector<int64_t> said;
  auto end_text = [&](double end) {
    std::string text = tokens.Text(said);
    if (!text.empty()) {
      out.push_back({std::min(start, seconds), std::min(end, seconds), std::move(text),
                     static_cast<float>(std::exp(log_sum / static_cast<double>(said.size())))});
    }
    said.clear();
    log_sum = 0;
  };
  for (size_t i = 0; i < attempt.tokens.size(); ++i) {
    const int64_t token = attempt.tokens[i];
    if (tokens.IsMoment(token)) {
      end_text(tokens.SecondsOf(token));
      start = tokens.SecondsOf(token);
    } else {
      said.push_back(token);
      log_sum += attempt.logs[i];
    }
  }
  end_text(seconds);
  return out;
}

// Shortens an attempt that ended in a loop to what it said before, up to the moment at which the
// last of that ends. Not where that is too little, or unlikely itself.
bool KeepSound(Attempt& attempt, const WhisperTokens& tokens) {
  size_t end = attempt.sound;
  while (end > 0 && !(tokens.IsMoment(attempt.tokens[end - 1]) && end > 1 &&
                      !tokens.IsMoment(attempt.tokens[end - 2]))) {
    --end;
  }
  if (end == 0 || tokens.SecondsOf(attempt.tokens[end - 1]) < kHeardMin) return false;
  Attempt sound = attempt;
  sound.Shorten(end);
  if (sound.MeanLog() < kUnlikely) return false;
  attempt = std::move(sound);
  return true;
}

}  // namespace

std::optional<Loop> LoopAtEnd(std::span<const int64_t> tokens) {
  constexpr size_t kPeriodMax = 32, kTimes = 4, kLengthMin = 12;
  const size_t size = tokens.size();
  for (size_t period = 1; period <= kPeriodMax && period < size; ++period) {
    size_t same = 0;
    while (same + period < size && tokens[size - 1 - same] == tokens[size - 1 - same - period]) {
      ++same;
    }
    if (same < std::max((kTimes - 1) * period, kLengthMin - period)) continue;
    return Loop{size - same - period, size - same};
  }

  // With small changes from time to time: hardly any four tokens in a row are new.
  constexpr size_t kRow = 4, kLately = 48, kNewMin = 22;
  if (size < kLately + kRow) return std::nullopt;
  const size_t rows = size - kRow + 1;
  const auto row = [&](size_t begin) {
    std::array<int64_t, kRow> out;
    std::copy_n(tokens.begin() + static_cast<ptrdiff_t>(begin), kRow, out.begin());
    return out;
  };
  std::set<std::array<int64_t, kRow>> lately;
  for (size_t begin = rows - kLately; begin < rows; ++begin) lately.insert(row(begin));
  if (lately.size() >= kNewMin) return std::nullopt;
  std::map<std::array<int64_t, kRow>, size_t> first;
  std::vector<size_t> seen(rows, size);  // where the row that begins here stood before
  for (size_t begin = 0; begin < rows; ++begin) {
    const auto [at, is_new] = first.try_emplace(row(begin), begin);
    if (!is_new) seen[begin] = at->second;
  }
  // The longest end of which most was said before.
  std::optional<Loop> loop;
  size_t repeated = 0;
  for (size_t begin = rows; begin-- > 0;) {
    if (seen[begin] == size) continue;
    ++repeated;
    if (repeated * 4 >= (rows - begin) * 3) loop = Loop{seen[begin], begin};
  }
  return loop;
}

std::vector<float> Probabilities(std::span<const float> scores, const std::vector<int64_t>& of) {
  const float log_sum = LogSumOf(scores);
  std::vector<float> out;
  for (int64_t token : of) {
    out.push_back(std::exp(scores[static_cast<size_t>(token)] - log_sum));
  }
  return out;
}

Result<WindowWords> FindWords(WhisperModel& model, const WhisperTokens& tokens,
                              const WhisperBeginning& beginning, double seconds) {
  Search search(model, tokens, seconds);
  WindowWords out;
  out.heard = seconds;
  std::optional<Attempt> best;
  for (float temperature : kTemperatures) {
    Attempt attempt = TRY(search.Run(beginning.place, temperature));
    ++out.attempts;
    const double mean_log = attempt.MeanLog();
    if (beginning.nothing_said > kNothingSaid && mean_log < kUnlikely) {
      out.said = std::move(attempt.tokens);
      return out;
    }
    if (attempt.loop && KeepSound(attempt, tokens)) {
      out.heard = tokens.SecondsOf(attempt.tokens.back());
      best = std::move(attempt);
      break;
    }
    const bool good = !attempt.loop && mean_log >= kUnlikely;
    if (good || !best || (best->loop && !attempt.loop) ||
        (best->loop == attempt.loop && mean_log > best->MeanLog())) {
      best = std::move(attempt);
    }
    if (good) break;
  }
  const bool believable = best->MeanLog() >= kUnbelievable;
  out.lost = !believable || (best->loop && out.heard == seconds);
  if (believable) out.texts = TextsOf(*best, tokens, seconds);
  out.said = std::move(best->tokens);
  return out;
}

}  // namespace msearch::embedding
