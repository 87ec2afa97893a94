// Text to token numbers, as a model was trained with them. Read from the tokenizer.json that models
// are published with (the format of Hugging Face's tokenizers), of which the parts are supported
// that the packs need; anything else is refused rather than guessed.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace msearch::embedding {

// Thread-safe.
class Tokenizer {
 public:
  virtual ~Tokenizer() = default;
  // With the tokens that begin and end a text; a longer text loses its end. REQUIRES: ids_max > 2.
  virtual std::vector<int64_t> Encode(std::string_view text, size_t ids_max) const = 0;
  // What fills up a row that is shorter than others.
  virtual int64_t padding() const = 0;
};

// Chooses by the model's type in `json`: WordPiece (BERT), BPE (CLIP).
// kCorrupt when parts are missing, kUnsupported for another type or unknown settings.
Result<std::unique_ptr<Tokenizer>> MakeTokenizer(const Json& json);
Result<std::unique_ptr<Tokenizer>> LoadTokenizer(const std::string& path);

Result<std::unique_ptr<Tokenizer>> MakeWordPieceTokenizer(const Json& json);
Result<std::unique_ptr<Tokenizer>> MakeClipTokenizer(const Json& json);

}  // namespace msearch::embedding
