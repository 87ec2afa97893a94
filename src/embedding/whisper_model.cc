#include "embedding/whisper_model.h"

#include "embedding/log_mel.h"
#include "embedding/thread_clock.h"

// The decoder is a merged export: one graph for the first token, which also computes the keys and
// values of what was heard, and one for the following, which takes them back as inputs
// (use_cache_branch). The second takes one token at a time: it was exported without a mask.

namespace msearch::embedding {

Result<std::unique_ptr<WhisperModel>> WhisperModel::Open(const std::string& encoder_path,
                                                         const std::string& decoder_path,
                                                         const WhisperShape& shape,
                                                         const SessionOptions& options) {
  auto model = std::unique_ptr<WhisperModel>(new WhisperModel);
  model->shape_ = shape;
  model->encoder_ = TRY(Session::Open(encoder_path, options));
  model->decoder_ = TRY(Session::Open(decoder_path, options));
  for (size_t layer = 0; layer < shape.layers; ++layer) {
    for (const char* kind : {"key", "value"}) {
      const std::string number = std::to_string(layer);
      model->said_inputs_.push_back("past_key_values." + number + ".decoder." + kind);
      model->keys_inputs_.push_back("past_key_values." + number + ".encoder." + kind);
      model->said_outputs_.push_back("present." + number + ".decoder." + kind);
      model->keys_outputs_.push_back("present." + number + ".encoder." + kind);
    }
  }
  return model;
}

Result<WhisperModel::Place> WhisperModel::Begin(std::span<const float> mel, int64_t token) {
  if (mel.size() != shape_.bands * LogMel::kFrames) {
    return Error{Code::kInvalid, "whisper: a spectrogram of another size"};
  }
  const TensorView input{"input_features",
                         TensorView::Type::kFloat,
                         {1, static_cast<int64_t>(shape_.bands), LogMel::kFrames},
                         mel.data()};
  Place place;
  const double before = ThreadSeconds();
  place.heard = TRY(encoder_->RunHeld({&input, 1}, {"last_hidden_state"}))[0];
  work_.encoder += ThreadSeconds() - before;
  return Run(place, token);
}

Result<WhisperModel::Place> WhisperModel::Say(const Place& place, int64_t token) {
  return Run(place, token);
}

Result<WhisperModel::Place> WhisperModel::Run(const Place& place, int64_t token) {
  const bool first = place.said.empty();
  const uint8_t use_cache = first ? 0 : 1;
  const std::vector<int64_t> none = {1, static_cast<int64_t>(shape_.heads), 0,
                                     static_cast<int64_t>(shape_.head_size)};
  std::vector<TensorView> inputs = {{"input_ids", TensorView::Type::kInt64, {1, 1}, &token},
                                    place.heard.As("encoder_hidden_states"),
                                    {"use_cache_branch", TensorView::Type::kBool, {1}, &use_cache}};
  for (size_t i = 0; i < said_inputs_.size(); ++i) {
    if (first) {
      inputs.push_back({said_inputs_[i], TensorView::Type::kFloat, none, nullptr});
      inputs.push_back({keys_inputs_[i], TensorView::Type::kFloat, none, nullptr});
    } else {
      inputs.push_back(place.said[i].As(said_inputs_[i]));
      inputs.push_back(place.keys[i].As(keys_inputs_[i]));
    }
  }
  std::vector<std::string> names = {"logits"};
  names.insert(names.end(), said_outputs_.begin(), said_outputs_.end());
  if (first) names.insert(names.end(), keys_outputs_.begin(), keys_outputs_.end());
  const double before = ThreadSeconds();
  std::vector<HeldTensor> outputs = TRY(decoder_->RunHeld(inputs, names));
  work_.decoder += ThreadSeconds() - before;
  ++work_.steps;

  Place next;
  next.heard = place.heard;
  next.scores = outputs[0];
  const auto keys_at = outputs.begin() + 1 + static_cast<ptrdiff_t>(said_outputs_.size());
  next.said.assign(outputs.begin() + 1, keys_at);
  next.keys = first ? std::vector<HeldTensor>(keys_at, outputs.end()) : place.keys;
  return next;
}

}  // namespace msearch::embedding
