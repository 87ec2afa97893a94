#include "embedding/whisper_model.h"

#include <algorithm>

#include "base/file.h"
#include "embedding/log_mel.h"
#include "embedding/onnx_graph.h"
#include "embedding/thread_clock.h"

// The decoder is a merged export: one graph for a transcript's beginning, which also computes the
// keys and values of what was heard, and one for what follows, which takes them back as inputs
// (use_cache_branch). The second takes one token at a time: it was exported without a mask.
//
// Both networks are exported with the weights of attention as outputs: of the encoder's every layer
// 1500 x 1500 for each head, which are copied about and kept for nothing. And more than half of a
// small decoder's time goes into its last layer, which the runtime computes with floats. So the
// models are made smaller before they are opened, and the last layer is computed here; an export in
// which that can't be done is opened as it is.

namespace msearch::embedding {
namespace {

constexpr uint64_t kModelBytesMax = uint64_t{1} << 31;  // more can't be one protobuf message
constexpr char kHeardOutput[] = "last_hidden_state";
constexpr char kScoresOutput[] = "logits";

}  // namespace

void WhisperModel::OpenSmaller(const std::string& encoder_path, const std::string& decoder_path,
                               const SessionOptions& options) {
  auto open = [&](const std::string& path, const std::vector<std::string>& outputs,
                  std::optional<PackedMatrix>* matrix) -> Result<std::unique_ptr<Session>> {
    OnnxGraph graph = TRY(OnnxGraph::Parse(TRY(ReadFile(path, kModelBytesMax))));
    graph.KeepOutputs(outputs);
    if (matrix != nullptr) *matrix = graph.TakeLastLayer(kScoresOutput);
    return Session::FromBytes(graph.Finish(), path, options);
  };
  auto encoder = open(encoder_path, {kHeardOutput}, nullptr);
  if (encoder.ok()) encoder_ = std::move(*encoder);

  std::vector<std::string> outputs = {kScoresOutput};
  outputs.insert(outputs.end(), said_outputs_.begin(), said_outputs_.end());
  outputs.insert(outputs.end(), keys_outputs_.begin(), keys_outputs_.end());
  std::optional<PackedMatrix> matrix;
  auto decoder = open(decoder_path, outputs, &matrix);
  const size_t width = shape_.heads * shape_.head_size;
  if (!decoder.ok() || (matrix && matrix->columns != width)) return;
  decoder_ = std::move(*decoder);
  if (matrix) last_layer_.emplace(std::move(*matrix));
}

Result<std::unique_ptr<WhisperModel>> WhisperModel::Open(const std::string& encoder_path,
                                                         const std::string& decoder_path,
                                                         const WhisperShape& shape,
                                                         const SessionOptions& options) {
  auto model = std::unique_ptr<WhisperModel>(new WhisperModel);
  model->shape_ = shape;
  for (size_t layer = 0; layer < shape.layers; ++layer) {
    for (const char* kind : {"key", "value"}) {
      const std::string number = std::to_string(layer);
      model->said_inputs_.push_back("past_key_values." + number + ".decoder." + kind);
      model->keys_inputs_.push_back("past_key_values." + number + ".encoder." + kind);
      model->said_outputs_.push_back("present." + number + ".decoder." + kind);
      model->keys_outputs_.push_back("present." + number + ".encoder." + kind);
    }
  }
  const size_t width = shape.heads * shape.head_size;
  const auto silence = std::make_shared<std::vector<float>>(width, 0.0F);
  model->unheard_ = HeldTensor({1, 1, static_cast<int64_t>(width)}, *silence, silence);
  if (width <= OutputLayer::kWidthMax) model->OpenSmaller(encoder_path, decoder_path, options);
  if (!model->encoder_) model->encoder_ = TRY(Session::Open(encoder_path, options));
  if (!model->decoder_) model->decoder_ = TRY(Session::Open(decoder_path, options));
  return model;
}

Result<HeldTensor> WhisperModel::Hear(std::span<const float> mel) {
  if (mel.size() != shape_.bands * LogMel::kFrames) {
    return Error{Code::kInvalid, "whisper: a spectrogram of another size"};
  }
  const TensorView input{"input_features",
                         TensorView::Type::kFloat,
                         {1, static_cast<int64_t>(shape_.bands), LogMel::kFrames},
                         mel.data()};
  const double before = ThreadSeconds();
  std::vector<HeldTensor> outputs = TRY(encoder_->RunHeld({&input, 1}, {kHeardOutput}));
  work_.encoder += ThreadSeconds() - before;
  return std::move(outputs[0]);
}

Result<WhisperModel::Beginning> WhisperModel::Begin(const HeldTensor& heard,
                                                    std::span<const int64_t> tokens) {
  const double before = ThreadSeconds();
  std::vector<HeldTensor> outputs = TRY(Run(heard, tokens, nullptr));
  Beginning out;
  out.place.scores = ScoresOf(outputs[0], tokens.size() - 1);
  out.first_scores = ScoresOf(outputs[0], 0);
  const auto keys_at = outputs.begin() + 1 + static_cast<ptrdiff_t>(said_outputs_.size());
  out.place.said.assign(outputs.begin() + 1, keys_at);
  out.place.keys.assign(keys_at, outputs.end());
  work_.decoder += ThreadSeconds() - before;
  return out;
}

Result<WhisperModel::Place> WhisperModel::Say(const Place& place, int64_t token) {
  const double before = ThreadSeconds();
  // What was heard has become keys and values; the runtime would prepare it in each step again.
  std::vector<HeldTensor> outputs = TRY(Run(unheard_, {&token, 1}, &place));
  Place next;
  next.scores = ScoresOf(outputs[0], 0);
  next.said.assign(outputs.begin() + 1, outputs.end());
  next.keys = place.keys;
  work_.decoder += ThreadSeconds() - before;
  return next;
}

WhisperModel::Place WhisperModel::Back(const Place& place, size_t count) const {
  Place out;
  out.keys = place.keys;
  for (const HeldTensor& said : place.said) {  // 1, heads, tokens, head size
    const size_t row = count * shape_.head_size;
    const size_t rows = said.values().size() / std::max<size_t>(shape_.heads, 1);
    auto values = std::make_shared<std::vector<float>>();
    for (size_t head = 0; head < shape_.heads; ++head) {
      const auto first = said.values().subspan(head * rows, std::min(row, rows));
      values->insert(values->end(), first.begin(), first.end());
    }
    std::vector<int64_t> shape = said.shape();
    shape[2] = static_cast<int64_t>(count);
    out.said.emplace_back(std::move(shape), *values, values);
  }
  return out;
}

// The decoder's output, the keys and values of what was said, and at the beginning (`after` is
// null) those of what was heard.
Result<std::vector<HeldTensor>> WhisperModel::Run(const HeldTensor& heard,
                                                  std::span<const int64_t> tokens,
                                                  const Place* after) {
  const uint8_t use_cache = after == nullptr ? 0 : 1;
  const std::vector<int64_t> none = {1, static_cast<int64_t>(shape_.heads), 0,
                                     static_cast<int64_t>(shape_.head_size)};
  std::vector<TensorView> inputs = {{"input_ids",
                                     TensorView::Type::kInt64,
                                     {1, static_cast<int64_t>(tokens.size())},
                                     tokens.data()},
                                    heard.As("encoder_hidden_states"),
                                    {"use_cache_branch", TensorView::Type::kBool, {1}, &use_cache}};
  for (size_t i = 0; i < said_inputs_.size(); ++i) {
    if (after == nullptr) {
      inputs.push_back({said_inputs_[i], TensorView::Type::kFloat, none, nullptr});
      inputs.push_back({keys_inputs_[i], TensorView::Type::kFloat, none, nullptr});
    } else {
      inputs.push_back(after->said[i].As(said_inputs_[i]));
      inputs.push_back(after->keys[i].As(keys_inputs_[i]));
    }
  }
  std::vector<std::string> names = {kScoresOutput};
  names.insert(names.end(), said_outputs_.begin(), said_outputs_.end());
  if (after == nullptr) names.insert(names.end(), keys_outputs_.begin(), keys_outputs_.end());
  std::vector<HeldTensor> outputs = TRY(decoder_->RunHeld(inputs, names));
  ++work_.steps;
  const std::vector<int64_t>& shape = outputs[0].shape();
  if (shape.size() != 3 || shape[1] != static_cast<int64_t>(tokens.size()) ||
      (last_layer_ && shape[2] != static_cast<int64_t>(last_layer_->width()))) {
    return Error{Code::kInternal, "whisper: the decoder's output has another shape"};
  }
  for (size_t i = 1; i < outputs.size(); ++i) {
    if (outputs[i].shape().size() != 4) {
      return Error{Code::kInternal, "whisper: the decoder's keys have another shape"};
    }
  }
  return outputs;
}

// Of the token at `row` of what the decoder was given.
HeldTensor WhisperModel::ScoresOf(const HeldTensor& output, size_t row) const {
  const auto width = static_cast<size_t>(output.shape()[2]);
  const HeldTensor state = output.Part(row * width, {1, 1, static_cast<int64_t>(width)});
  if (!last_layer_) return state;
  const auto scores = std::make_shared<std::vector<float>>(last_layer_->tokens());
  last_layer_->Score(state.values(), 0, *scores);
  return HeldTensor({1, 1, static_cast<int64_t>(scores->size())}, *scores, scores);
}

}  // namespace msearch::embedding
