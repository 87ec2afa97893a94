#include <array>
#include <limits>
#include <string>
#include <unordered_map>

#include "base/unicode.h"
#include "embedding/byte_characters.h"
#include "embedding/tokenizer.h"

// CLIP's byte-pair tokenizer. Text is normalised (NFC), spaces are collapsed, case goes; it is cut
// into contractions, runs of letters, single digits and runs of other signs; each piece's UTF-8
// bytes become one printable character each, the last marked by "</w>", and the pair of
// neighbours that was learned first is merged until no learned pair is left.

namespace msearch::embedding {
namespace {

constexpr char kBegin[] = "<|startoftext|>";
constexpr char kEnd[] = "<|endoftext|>";
// Real words are far shorter; bounds the quadratic merging.
constexpr size_t kPieceBytesMax = 512;

size_t ContractionAt(std::u32string_view text) {
  for (std::u32string_view end : {U"'s", U"'t", U"'re", U"'ve", U"'m", U"'ll", U"'d"}) {
    if (text.starts_with(end)) return end.size();
  }
  return 0;
}

// The length of the piece at the beginning of `text`, which begins with no space.
size_t PieceLength(std::u32string_view text) {
  const size_t contraction = ContractionAt(text);
  if (contraction > 0) return contraction;
  if (IsNumberPoint(text[0])) return 1;
  const bool letters = IsLetterPoint(text[0]);
  size_t length = 1;
  for (; length < text.size(); ++length) {
    const char32_t c = text[length];
    if (IsLetterPoint(c) != letters || IsSpacePoint(c) || IsNumberPoint(c)) break;
  }
  return length;
}

class ClipTokenizer : public Tokenizer {
 public:
  ClipTokenizer(std::unordered_map<std::string, int64_t> vocabulary,
                std::unordered_map<std::string, size_t> ranks)
      : vocabulary_(std::move(vocabulary)),
        ranks_(std::move(ranks)),
        bytes_(ByteCharacters()),
        begin_(vocabulary_.at(kBegin)),
        end_(vocabulary_.at(kEnd)) {}

  std::vector<int64_t> Encode(std::string_view text, size_t ids_max) const override {
    const std::u32string points = ToCodePoints(LowerCase(NormalizeUnicode(text, NormalForm::kNfc)));
    std::vector<int64_t> ids = {begin_};
    size_t at = 0;
    while (at < points.size() && ids.size() + 1 < ids_max) {
      if (IsSpacePoint(points[at])) {
        ++at;
        continue;
      }
      const size_t length = PieceLength(std::u32string_view(points).substr(at));
      AddPiece(FromCodePoints(std::u32string_view(points).substr(at, length)), ids);
      at += length;
    }
    if (ids.size() + 1 > ids_max) ids.resize(ids_max - 1);
    ids.push_back(end_);
    return ids;
  }

  int64_t padding() const override { return end_; }

 private:
  void AddPiece(const std::string& piece, std::vector<int64_t>& ids) const {
    std::vector<std::string> symbols;
    for (char byte : piece.substr(0, kPieceBytesMax)) {
      symbols.push_back(bytes_[static_cast<unsigned char>(byte)]);
    }
    symbols.back() += "</w>";
    while (MergeOnce(symbols)) {
    }
    for (const std::string& symbol : symbols) {
      const auto known = vocabulary_.find(symbol);
      ids.push_back(known == vocabulary_.end() ? end_ : known->second);
    }
  }

  // Merges the pair that was learned first, wherever it stands.
  bool MergeOnce(std::vector<std::string>& symbols) const {
    size_t best = std::numeric_limits<size_t>::max();
    std::pair<std::string, std::string> pair;
    for (size_t i = 0; i + 1 < symbols.size(); ++i) {
      const auto rank = ranks_.find(symbols[i] + ' ' + symbols[i + 1]);
      if (rank == ranks_.end() || rank->second >= best) continue;
      best = rank->second;
      pair = {symbols[i], symbols[i + 1]};
    }
    if (best == std::numeric_limits<size_t>::max()) return false;
    std::vector<std::string> merged;
    for (size_t i = 0; i < symbols.size(); ++i) {
      if (i + 1 < symbols.size() && symbols[i] == pair.first && symbols[i + 1] == pair.second) {
        merged.push_back(symbols[i] + symbols[i + 1]);
        ++i;
      } else {
        merged.push_back(symbols[i]);
      }
    }
    symbols = std::move(merged);
    return true;
  }

  const std::unordered_map<std::string, int64_t> vocabulary_;
  const std::unordered_map<std::string, size_t> ranks_;  // by "left right"
  const std::array<std::string, 256> bytes_;
  const int64_t begin_, end_;
};

}  // namespace

Result<std::unique_ptr<Tokenizer>> MakeClipTokenizer(const Json& json) {
  const Json model = json.value("model", Json::object());
  if (GetString(model, "end_of_word_suffix") != "</w>") {
    return Error{Code::kUnsupported, "tokenizer: BPE of another kind than CLIP's"};
  }
  std::unordered_map<std::string, int64_t> vocabulary;
  std::unordered_map<std::string, size_t> ranks;
  const auto entries = model.find("vocab");
  if (entries != model.end() && entries->is_object()) {
    for (const auto& [piece, id] : entries->items()) {
      if (id.is_number_integer()) vocabulary[piece] = id.get<int64_t>();
    }
  }
  const auto merges = model.find("merges");
  if (merges != model.end() && merges->is_array()) {
    for (const Json& merge : *merges) {  // "a b", or ["a", "b"] in newer files
      if (merge.is_string()) {
        ranks.emplace(merge.get<std::string>(), ranks.size());
      } else if (merge.is_array() && merge.size() == 2 && merge[0].is_string() &&
                 merge[1].is_string()) {
        ranks.emplace(merge[0].get<std::string>() + ' ' + merge[1].get<std::string>(),
                      ranks.size());
      }
    }
  }
  if (!vocabulary.contains(kBegin) || !vocabulary.contains(kEnd) || ranks.empty()) {
    return Error{Code::kCorrupt, "tokenizer: CLIP's vocabulary or merges are missing"};
  }
  return std::unique_ptr<Tokenizer>(
      std::make_unique<ClipTokenizer>(std::move(vocabulary), std::move(ranks)));
}

}  // namespace msearch::embedding
