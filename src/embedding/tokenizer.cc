#include "embedding/tokenizer.h"

#include "base/file.h"

namespace msearch::embedding {

constexpr uint64_t kTokenizerBytesMax = 128 << 20;

Result<std::unique_ptr<Tokenizer>> MakeTokenizer(const Json& json) {
  const auto model = json.find("model");
  if (model == json.end() || !model->is_object()) {
    return Error{Code::kCorrupt, "tokenizer: no model"};
  }
  const std::string type = GetString(*model, "type").value_or("");
  if (type == "WordPiece") return MakeWordPieceTokenizer(json);
  if (type == "BPE") return MakeClipTokenizer(json);
  return Error{Code::kUnsupported, "tokenizer: model type '" + type + "'"};
}

Result<std::unique_ptr<Tokenizer>> LoadTokenizer(const std::string& path) {
  const std::string text = TRY(ReadFile(path, kTokenizerBytesMax));
  const Result<Json> json = ParseJson(text);
  if (!json.ok()) return Error{Code::kCorrupt, path + ": " + json.message()};
  Result<std::unique_ptr<Tokenizer>> tokenizer = MakeTokenizer(*json);
  if (!tokenizer.ok()) return Error{tokenizer.code(), path + ": " + tokenizer.message()};
  return tokenizer;
}

}  // namespace msearch::embedding
