#include "embedding/whisper_tokens.h"

#include <array>
#include <unordered_map>

#include "base/file.h"
#include "base/json.h"
#include "base/strings.h"
#include "base/unicode.h"
#include "embedding/byte_characters.h"

namespace msearch::embedding {
namespace {

constexpr uint64_t kBytesMax = 64 << 20;
constexpr int64_t kTokensMax = 1 << 20;

std::vector<int64_t> Numbers(const Json& object, const char* key) {
  std::vector<int64_t> out;
  const auto list = object.find(key);
  if (list == object.end() || !list->is_array()) return out;
  for (const Json& number : *list) {
    if (number.is_number_integer()) out.push_back(number.get<int64_t>());
  }
  return out;
}

// The bytes of a piece as the vocabulary writes it.
std::string Bytes(const std::string& piece, const std::unordered_map<char32_t, char>& bytes) {
  std::string out;
  for (char32_t c : ToCodePoints(piece)) {
    const auto byte = bytes.find(c);
    if (byte != bytes.end()) out += byte->second;
  }
  return out;
}

}  // namespace

Result<WhisperTokens> WhisperTokens::Open(const std::string& tokenizer_path,
                                          const std::string& generation_path) {
  const std::string tokenizer = TRY(ReadFile(tokenizer_path, kBytesMax));
  const std::string generation = TRY(ReadFile(generation_path, kBytesMax));
  return Parse(tokenizer, generation);
}

Result<WhisperTokens> WhisperTokens::Parse(const std::string& tokenizer,
                                           const std::string& generation) {
  const Json words = TRY(ParseJson(tokenizer));
  const Json rules = TRY(ParseJson(generation));
  WhisperTokens tokens;
  std::unordered_map<char32_t, char> bytes;
  const std::array<std::string, 256> characters = ByteCharacters();
  for (size_t byte = 0; byte < 256; ++byte) {
    bytes[ToCodePoints(characters[byte])[0]] = static_cast<char>(byte);
  }

  const Json model = words.is_object() ? words.value("model", Json::object()) : Json::object();
  const auto vocabulary = model.find("vocab");
  if (vocabulary == model.end() || !vocabulary->is_object() || !rules.is_object()) {
    return Error{Code::kCorrupt, "tokenizer: no vocabulary of Whisper's"};
  }
  for (const auto& [piece, id] : vocabulary->items()) {
    if (!id.is_number_unsigned() || id.get<int64_t>() >= kTokensMax) continue;
    const auto at = id.get<size_t>();
    if (at >= tokens.pieces_.size()) tokens.pieces_.resize(at + 1);
    tokens.pieces_[at] = Bytes(piece, bytes);
  }

  const std::map<std::string, int64_t*> commands = {
      {"<|endoftext|>", &tokens.end_},           {"<|startoftranscript|>", &tokens.start_},
      {"<|transcribe|>", &tokens.transcribe_},   {"<|nospeech|>", &tokens.nothing_said_},
      {"<|nocaptions|>", &tokens.nothing_said_}, {"<|notimestamps|>", &tokens.no_moments_},
      {"<|0.00|>", &tokens.first_moment_}};
  const auto added = words.find("added_tokens");
  if (added != words.end() && added->is_array()) {
    for (const Json& token : *added) {
      const auto command = commands.find(GetString(token, "content").value_or(""));
      if (command != commands.end()) *command->second = GetInt(token, "id").value_or(-1);
    }
  }
  for (const auto& [name, token] : commands) {
    if (*token < 0) return Error{Code::kCorrupt, "tokenizer: no token " + name};
  }
  const auto languages = rules.find("lang_to_id");
  if (languages != rules.end() && languages->is_object()) {
    for (const auto& [name, id] : languages->items()) {  // "<|en|>"
      if (name.size() < 5 || !id.is_number_integer()) continue;
      tokens.languages_[name.substr(2, name.size() - 4)] = id.get<int64_t>();
    }
  }
  tokens.suppressed_ = Numbers(rules, "suppress_tokens");
  tokens.suppressed_first_ = Numbers(rules, "begin_suppress_tokens");
  tokens.suppressed_.push_back(tokens.no_moments_);
  const std::array lists = {&tokens.suppressed_, &tokens.suppressed_first_};
  for (std::vector<int64_t>* list : lists) {
    std::erase_if(*list, [&](int64_t id) { return id < 0 || id >= tokens.count(); });
  }
  std::erase_if(tokens.languages_, [&](const auto& entry) {
    return entry.second < 0 || entry.second >= tokens.count();
  });
  if (tokens.end_ > tokens.first_moment_ || tokens.first_moment_ >= kTokensMax) {
    return Error{Code::kCorrupt, "tokenizer: its tokens aren't in Whisper's order"};
  }
  return tokens;
}

std::string WhisperTokens::Text(std::span<const int64_t> tokens) const {
  std::string bytes;
  for (int64_t token : tokens) {
    if (token >= 0 && token < end_ && static_cast<size_t>(token) < pieces_.size()) {
      bytes += pieces_[static_cast<size_t>(token)];
    }
  }
  return std::string(Trim(SanitizeUtf8(bytes)));
}

}  // namespace msearch::embedding
