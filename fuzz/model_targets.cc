// Files of model packs and of the index.

#include "base/file.h"
#include "embedding/archive.h"
#include "embedding/chinese.h"
#include "embedding/class_map.h"
#include "embedding/embedding_wire.h"
#include "embedding/label_set.h"
#include "embedding/manifest.h"
#include "embedding/onnx_graph.h"
#include "embedding/protobuf_wire.h"
#include "embedding/safetensors.h"
#include "embedding/tflite.h"
#include "embedding/tokenizer.h"
#include "embedding/wordnet.h"
#include "index/file_format.h"
#include "index/mapped_file.h"
#include "index/vector_index.h"
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

void OnnxModel(std::string_view bytes) {
  auto graph = embedding::OnnxGraph::Parse(std::string(bytes));
  if (!graph.ok()) return;
  graph->KeepOutputs({"scores"});
  const auto matrix = graph->TakeLastLayer("scores");
  if (matrix && matrix->codes.size() != matrix->rows * matrix->columns) __builtin_trap();
  if (!embedding::OnnxGraph::Parse(graph->Finish()).ok()) __builtin_trap();
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

// Opened as the index does, whatever stands in it; and all of it looked at.
void IndexFile(std::string_view bytes) {
  const index::IndexOptions options{.model_key = "test/1",
                                    .views = {{"a", 4, index::View::Codes::kInt8}}};
  const auto file = index::MappedFile::Open(Disk().With(bytes), options);
  if (!file.ok()) return;
  (void)(*file)->CheckAll();
  (void)(*file)->Find(1);
}

void ManifestFile(std::string_view bytes) {
  const auto manifest = embedding::ParseManifest("pack", std::string(bytes));
  if (manifest.ok()) (void)manifest->download_bytes();
}

void Dictionary(std::string_view bytes) {
  const auto dictionary = embedding::ChineseDictionary::Parse(std::string(bytes));
  if (dictionary.ok()) {
    (void)dictionary->ToEnglish("图书馆里有一只青蛙");
    (void)dictionary->Words("图书馆里有一只青蛙");
    (void)dictionary->Glosses("青蛙");
    (void)dictionary->Synonyms({"青蛙"}, 3);
  }
  (void)embedding::CompactChineseDictionary(bytes);
}

void Labels(std::string_view bytes) {
  const auto labels = embedding::LoadLabels(Disk().With(bytes));
  for (size_t i = 0; labels.ok() && i < labels->entries.size(); ++i) {
    if (labels->general(i).size() != labels->mean(i).size()) __builtin_trap();
  }
}

// Index and data, parted by a byte that neither has.
void WordNetFiles(std::string_view bytes) {
  const size_t end = std::min(bytes.find('\x01'), bytes.size());
  const auto net =
      embedding::WordNet::Open(bytes.substr(0, end), bytes.substr(std::min(end + 1, bytes.size())));
  if (net.ok()) (void)net->GeneralWords({"frog", "dog"});
}

// What an embedding child may answer.
void EmbeddingAnswer(std::string_view bytes) {
  const auto head = FromCbor(bytes);
  if (!head.ok()) return;
  Frame frame;
  frame.head = *head;
  frame.parts = {std::string(bytes.substr(0, 48)), std::string(bytes.substr(0, 7))};
  (void)embedding::EmbeddingsFromFrame(frame);
  (void)embedding::ProbesFromFrame(frame);
}

std::vector<std::string> Tflites() {
  return {std::string("\x18\0\0\0TFL3", 8) + std::string(64, '\0')};
}
// Two branches of an If that end in the same layer.
std::vector<std::string> OnnxModels() {
  using embedding::PutBytes, embedding::PutInt;
  const auto node = [](const char* op, const std::vector<std::string>& inputs, const char* output) {
    std::string out;
    for (const std::string& input : inputs) PutBytes(out, 1, input);
    PutBytes(out, 2, output);
    PutBytes(out, 4, op);
    return out;
  };
  std::string branch, attribute, output, codes, scale, zero, graph, model;
  PutBytes(output, 1, "scores");
  PutBytes(branch, 1, node("Neg", {"x"}, "state"));
  PutBytes(branch, 1, node("Transpose", {"codes"}, "turned"));
  PutBytes(branch, 1, node("DequantizeLinear", {"turned", "scale", "zero"}, "weights"));
  PutBytes(branch, 1, node("MatMul", {"state", "weights"}, "scores"));
  PutBytes(branch, 12, output);
  PutBytes(attribute, 1, "branch");
  PutBytes(attribute, 6, branch);
  std::string choice = node("If", {"which"}, "scores");
  for (int i = 0; i < 2; ++i) PutBytes(choice, 5, attribute);
  for (int i = 0; i < 2; ++i) PutInt(codes, 1, 2);
  PutInt(codes, 2, 2);
  PutBytes(codes, 8, "codes");
  PutBytes(codes, 9, "abcd");
  PutInt(scale, 2, 1);
  PutBytes(scale, 4, std::string("\0\0\x80\x3f", 4));
  PutBytes(scale, 8, "scale");
  PutInt(zero, 2, 2);
  PutBytes(zero, 5, "\x05");
  PutBytes(zero, 8, "zero");
  PutBytes(graph, 1, choice);
  for (const std::string& tensor : {codes, scale, zero}) PutBytes(graph, 5, tensor);
  PutBytes(graph, 12, output);
  PutInt(model, 1, 8);
  PutBytes(model, 7, graph);
  if (!embedding::OnnxGraph::Parse(model)->TakeLastLayer("scores")) __builtin_trap();
  return {model};
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
std::vector<std::string> IndexFiles() {
  const TemporaryDirectory folder;
  const index::IndexOptions options{.model_key = "test/1",
                                    .views = {{"a", 4, index::View::Codes::kInt8}}};
  const auto made = index::VectorIndex::Open(folder.path() + "/index", options);
  if (made.ok()) {
    const std::vector<float> vector{0.5F, 0.5F, 0.5F, 0.5F};
    const std::span<const float> spans[] = {vector};
    for (index::SegmentId id : {1, 2, 5}) (void)(*made)->Add(id, spans);
    (void)(*made)->Save();
  }
  return {ReadFile(folder.path() + "/index").value_or("")};
}
std::vector<std::string> Manifests() {
  return {R"({"title":"t","licence":"MIT","quality":"q","kind":"builtin","files":[{"name":"a",)"
          R"("bytes":3,"sources":[{"npm":"p@1.0.0","path":"lib/a"}]}],"parameters":{},)"
          R"("calibration":{"words":{"weak":0.1,"strong":0.3}}})"};
}
std::vector<std::string> Dictionaries() {
  return {"图书馆\tlibrary\n青蛙\tfrog; toad\n",
          R"([{"traditional":"青蛙","simplified":"青蛙","english":["frog"]}])"};
}
std::vector<std::string> LabelFiles() {
  const TemporaryDirectory folder;
  embedding::LabelSet labels;
  labels.entries = {{"frog", {"amphibian"}}};
  labels.dimensions = 2;
  labels.general_sentences = {1, 0};
  labels.mean_sentences = {0, 1};
  (void)embedding::SaveLabels(labels, folder.path() + "/labels");
  return {ReadFile(folder.path() + "/labels").value_or("")};
}
std::vector<std::string> WordNets() {
  return {
      "frog n 1 1 @ 1 0 00000000  \n\x01"
      "00000000 05 n 01 frog 0 001 @ 00000040 n 0000 | a\n"
      "00000040 05 n 01 amphibian 0 000 | b\n"};
}
std::vector<std::string> EmbeddingAnswers() {
  embedding::Embedding embedding;
  embedding.views = {{1, 2, 3}};
  return {ToCbor(embedding::ToFrame(std::vector{embedding}).head),
          ToCbor(embedding::ToFrame(std::vector<embedding::Probe>{{}}).head)};
}
std::vector<std::string> IndexHeads() {
  index::FileHead head;
  return {index::EncodeHead(head)};
}

}  // namespace

std::vector<Target> ModelTargets() {
  return {{"tflite", Tflite, Tflites},
          {"onnx_model", OnnxModel, OnnxModels},
          {"safetensors", Safetensors, SafetensorsFiles},
          {"tokenizer_file", TokenizerFile, Tokenizers},
          {"tokens", Tokens, Words},
          {"class_map", ClassMap, ClassMaps},
          {"package", Package, Packages},
          {"index_head", IndexHead, IndexHeads},
          {"index_file", IndexFile, IndexFiles},
          {"manifest", ManifestFile, Manifests},
          {"dictionary", Dictionary, Dictionaries},
          {"labels", Labels, LabelFiles},
          {"wordnet", WordNetFiles, WordNets},
          {"embedding_answer", EmbeddingAnswer, EmbeddingAnswers}};
}

}  // namespace msearch::fuzz
