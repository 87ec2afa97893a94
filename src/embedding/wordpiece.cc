#include <string>
#include <unordered_map>

#include "base/unicode.h"
#include "embedding/tokenizer.h"

// BERT's tokenizer. Text is cleaned, Chinese characters become words of their own, accents and case
// go; words are split at spaces and around punctuation; each word is then cut greedily into the
// longest pieces of the vocabulary, where pieces that continue a word begin with "##".

namespace msearch::embedding {
namespace {

constexpr size_t kWordPointsMax = 100;

// The ranges of BERT's own tokenizer, which are not Unicode's.
bool IsBertHan(char32_t c) {
  return (c >= 0x4E00 && c <= 0x9FFF) || (c >= 0x3400 && c <= 0x4DBF) ||
         (c >= 0x20000 && c <= 0x2A6DF) || (c >= 0x2A700 && c <= 0x2B81F) ||
         (c >= 0x2B820 && c <= 0x2CEAF) || (c >= 0xF900 && c <= 0xFAFF) ||
         (c >= 0x2F800 && c <= 0x2FA1F);
}

bool IsBertPunctuation(char32_t c) {
  return (c >= 33 && c <= 47) || (c >= 58 && c <= 64) || (c >= 91 && c <= 96) ||
         (c >= 123 && c <= 126) || IsPunctuationPoint(c);
}

std::string Clean(std::string_view text) {
  std::string out;
  for (char32_t c : ToCodePoints(text)) {
    if (c == '\t' || c == '\n' || c == '\r' || IsSpacePoint(c)) {
      out += ' ';
    } else if (c == 0xFFFD || IsControlPoint(c)) {
      continue;
    } else if (IsBertHan(c)) {
      out += ' ';
      AppendUtf8(out, c);
      out += ' ';
    } else {
      AppendUtf8(out, c);
    }
  }
  return out;
}

std::string WithoutMarks(std::string_view text) {
  std::string out;
  for (char32_t c : ToCodePoints(NormalizeUnicode(text, NormalForm::kNfd))) {
    if (!IsMarkPoint(c)) AppendUtf8(out, c);
  }
  return out;
}

class WordPieceTokenizer : public Tokenizer {
 public:
  WordPieceTokenizer(std::unordered_map<std::string, int64_t> vocabulary, bool lower_case)
      : vocabulary_(std::move(vocabulary)),
        lower_case_(lower_case),
        begin_(vocabulary_.at("[CLS]")),
        end_(vocabulary_.at("[SEP]")),
        unknown_(vocabulary_.at("[UNK]")),
        padding_(vocabulary_.at("[PAD]")) {}

  std::vector<int64_t> Encode(std::string_view text, size_t ids_max) const override {
    std::string cleaned = Clean(text);
    if (lower_case_) cleaned = LowerCase(WithoutMarks(cleaned));
    std::vector<int64_t> ids = {begin_};
    std::u32string word;
    auto end_word = [&] {
      if (!word.empty()) AddWord(word, ids);
      word.clear();
    };
    for (char32_t c : ToCodePoints(cleaned)) {
      if (ids.size() + 1 >= ids_max) break;
      if (IsSpacePoint(c)) {
        end_word();
      } else if (IsBertPunctuation(c)) {
        end_word();
        AddWord({c}, ids);
      } else {
        word.push_back(c);
      }
    }
    end_word();
    if (ids.size() + 1 > ids_max) ids.resize(ids_max - 1);
    ids.push_back(end_);
    return ids;
  }

  int64_t padding() const override { return padding_; }

 private:
  void AddWord(const std::u32string& word, std::vector<int64_t>& ids) const {
    if (word.size() > kWordPointsMax) {
      ids.push_back(unknown_);
      return;
    }
    const size_t before = ids.size();
    size_t begin = 0;
    while (begin < word.size()) {
      size_t end = word.size();
      int64_t found = -1;
      for (; end > begin && found < 0; --end) {
        const std::string piece =
            (begin > 0 ? "##" : "") +
            FromCodePoints(std::u32string_view(word).substr(begin, end - begin));
        const auto it = vocabulary_.find(piece);
        if (it != vocabulary_.end()) {
          found = it->second;
          break;
        }
      }
      if (found < 0) {
        ids.resize(before);
        ids.push_back(unknown_);
        return;
      }
      ids.push_back(found);
      begin = end;
    }
  }

  const std::unordered_map<std::string, int64_t> vocabulary_;
  const bool lower_case_;
  const int64_t begin_, end_, unknown_, padding_;
};

}  // namespace

Result<std::unique_ptr<Tokenizer>> MakeWordPieceTokenizer(const Json& json) {
  const Json model = json.value("model", Json::object());
  const Json normalizer = json.value("normalizer", Json::object());
  if (GetString(normalizer, "type") != "BertNormalizer") {
    return Error{Code::kUnsupported, "tokenizer: WordPiece without BertNormalizer"};
  }
  std::unordered_map<std::string, int64_t> vocabulary;
  const auto entries = model.find("vocab");
  if (entries != model.end() && entries->is_object()) {
    for (const auto& [piece, id] : entries->items()) {
      if (id.is_number_integer()) vocabulary[piece] = id.get<int64_t>();
    }
  }
  for (const char* special : {"[CLS]", "[SEP]", "[UNK]", "[PAD]"}) {
    if (!vocabulary.contains(special)) {
      return Error{Code::kCorrupt, std::string("tokenizer: no ") + special + " in its vocabulary"};
    }
  }
  return std::unique_ptr<Tokenizer>(std::make_unique<WordPieceTokenizer>(
      std::move(vocabulary), GetBool(normalizer, "lowercase").value_or(true)));
}

}  // namespace msearch::embedding
