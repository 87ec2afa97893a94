#include "queue/task_id.h"

#include <array>
#include <cstring>
#include <random>

#include "base/strings.h"

namespace msearch::queue {
namespace {

constexpr std::string_view kAlphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";  // Crockford's base 32
constexpr int kTailBits = 59;
constexpr size_t kDigits = 26;

using Uint128 = unsigned __int128;

std::mt19937_64& Generator() {
  thread_local std::mt19937_64 generator = [] {
    const std::string bytes = RandomBytes(32);
    std::array<uint32_t, 8> words{};
    std::memcpy(words.data(), bytes.data(), bytes.size());
    std::seed_seq seed(words.begin(), words.end());
    return std::mt19937_64(seed);
  }();
  return generator;
}

}  // namespace

TaskId EncodeTaskId(const TaskKey& key) {
  Uint128 number = (static_cast<Uint128>(key.row) << kTailBits) | static_cast<Uint128>(key.tail);
  TaskId id(1 + kDigits, 't');
  for (size_t i = kDigits; i > 0; --i) {
    id[i] = kAlphabet[static_cast<size_t>(number & 31)];
    number >>= 5;
  }
  return id;
}

std::optional<TaskKey> DecodeTaskId(std::string_view id) {
  if (id.size() != 1 + kDigits || id[0] != 't' || id[1] > '7') return std::nullopt;
  Uint128 number = 0;
  for (const char digit : id.substr(1)) {
    const size_t value = kAlphabet.find(digit);
    if (value == std::string_view::npos) return std::nullopt;
    number = (number << 5) | value;
  }
  constexpr Uint128 kTailMask = (Uint128{1} << kTailBits) - 1;
  const Uint128 row = number >> kTailBits;
  if (row > static_cast<Uint128>(INT64_MAX)) return std::nullopt;
  return TaskKey{static_cast<int64_t>(row), static_cast<int64_t>(number & kTailMask)};
}

int64_t RandomTail() { return static_cast<int64_t>(Generator()() >> (64 - kTailBits)); }

double RandomFraction() { return std::uniform_real_distribution<double>(0, 1)(Generator()); }

}  // namespace msearch::queue
