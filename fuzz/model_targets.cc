// Files of model packs and of the index.

#include "base/file.h"
#include "embedding/archive.h"
#include "embedding/class_map.h"
#include "embedding/safetensors.h"
#include "embedding/tflite.h"
#include "embedding/tokenizer.h"
#include "index/file_format.h"
#include "support/archives.h"
#include "targets.h"

namespace msearch::fuzz {
namespace {

// For readers that want a path.
class Scratch {
 public:
  std::string With(std::string_view bytes) const {
    const std::string path = directory_.path() + "/input";
    (void)WriteFileAtomically(path, bytes);
    return path;
  }
  std::string Other() const { return directory_.path() + "/other"; }

 private:
  TemporaryDirectory directory_;
};
const Scratch& Disk() {
  static const Scratch scratch;
  return scratch;
}

void Tflite(std::string_view bytes) {
  const auto model = embedding::ReadTflite(bytes);
  if (model.ok()) (void)embedding::TfliteToOnnx(*model, {});
}

void Safetensors(std::string_view bytes) { (void)embedding::ReadOnlyMatrix(Disk().With(bytes)); }

void TokenizerFile(std::string_view bytes) {
  const auto json = ParseJson(std::string(bytes));
  if (!json.ok()) return;
  const auto tokenizer = embedding::MakeTokenizer(*json);
  if (tokenizer.ok()) (void)(*tokenizer)->Encode(bytes.substr(0, 200), 16);
}

// The texts that a tokenizer cuts come from anywhere.
void Tokens(std::string_view bytes) {
  static const auto kTokenizer =
      embedding::MakeTokenizer(
          *ParseJson(
              R"({"normalizer":{"type":"BertNormalizer","lowercase":true},"model":{"type":"WordPiece",)"
              R"("vocab":{"[PAD]":0,"[UNK]":1,"[CLS]":2,"[SEP]":3,"a":4,"##b":5,"frog":6}}})"))
          .value();
  if (kTokenizer->Encode(bytes, 16).size() > 16) __builtin_trap();
}

void ClassMap(std::string_view bytes) {
  const auto names = embedding::ParseClassMap(bytes);
  if (names.ok() && names->empty()) __builtin_trap();
}

void Package(std::string_view bytes) {
  const std::string path = Disk().With(bytes);
  (void)embedding::ExtractFromPackage(path, {{"lib/a", Disk().Other()}}, 1 << 20);
  (void)embedding::ReadZipMember(path, "a", 1 << 20);
}

void IndexHead(std::string_view bytes) {
  const auto size = index::HeadBytes(bytes);
  if (!size.ok() || *size > bytes.size()) return;
  const auto head = index::DecodeHead(bytes.substr(0, *size));
  if (head.ok()) (void)index::FileLayout(*head);
}

std::vector<std::string> Tflites() {
  return {std::string("\x18\0\0\0TFL3", 8) + std::string(64, '\0')};
}
std::vector<std::string> SafetensorsFiles() {
  const std::string head = R"({"t":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]}})";
  return {std::string(1, static_cast<char>(head.size())) + std::string(7, '\0') + head +
          std::string(16, '\1')};
}
std::vector<std::string> Tokenizers() {
  return {R"({"normalizer":{"type":"BertNormalizer"},"model":{"type":"WordPiece","vocab":)"
          R"({"[PAD]":0,"[UNK]":1,"[CLS]":2,"[SEP]":3,"a":4}}})",
          R"({"model":{"type":"BPE","vocab":{"a":0,"b</w>":1,"ab</w>":2},"merges":["a b</w>"]}})"};
}
std::vector<std::string> Words() { return {"A frogs, naïve 图书馆."}; }
std::vector<std::string> ClassMaps() {
  return {"index,mid,display_name\n0,/m/a,Speech\n1,/m/b,\"Dog, \"\"barking\"\"\"\r\n"};
}
std::vector<std::string> Packages() { return {test::MakeZip({{"a", "words", true}})}; }
std::vector<std::string> IndexHeads() {
  index::FileHead head;
  return {index::EncodeHead(head)};
}

}  // namespace

std::vector<Target> ModelTargets() {
  return {{"tflite", Tflite, Tflites},
          {"safetensors", Safetensors, SafetensorsFiles},
          {"tokenizer_file", TokenizerFile, Tokenizers},
          {"tokens", Tokens, Words},
          {"class_map", ClassMap, ClassMaps},
          {"package", Package, Packages},
          {"index_head", IndexHead, IndexHeads}};
}

}  // namespace msearch::fuzz
