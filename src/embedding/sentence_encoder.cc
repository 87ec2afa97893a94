#include "embedding/sentence_encoder.h"

#include <algorithm>

#include "embedding/vectors.h"

namespace msearch::embedding {

Result<std::unique_ptr<SentenceEncoder>> SentenceEncoder::Open(const std::string& model_path,
                                                               const std::string& tokenizer_path,
                                                               const SessionOptions& options) {
  auto encoder = std::unique_ptr<SentenceEncoder>(new SentenceEncoder);
  encoder->tokenizer_ = TRY(LoadTokenizer(tokenizer_path));
  encoder->session_ = TRY(Session::Open(model_path, options));
  return encoder;
}

Result<std::vector<float>> SentenceEncoder::Encode(const std::string& text,
                                                   size_t tokens_max) const {
  const std::vector<int64_t> ids = tokenizer_->Encode(text, tokens_max);
  const std::vector<int64_t> ones(ids.size(), 1), zeros(ids.size(), 0);
  const std::vector<int64_t> shape = {1, static_cast<int64_t>(ids.size())};
  std::vector<TensorView> inputs = {
      {"input_ids", TensorView::Type::kInt64, shape, ids.data()},
      {"attention_mask", TensorView::Type::kInt64, shape, ones.data()}};
  const std::vector<std::string>& names = session_->inputs();
  if (std::find(names.begin(), names.end(), "token_type_ids") != names.end()) {
    inputs.push_back({"token_type_ids", TensorView::Type::kInt64, shape, zeros.data()});
  }
  const auto outputs = TRY(session_->Run(inputs, {"last_hidden_state"}));
  const std::vector<float>& states = outputs[0].values;
  const size_t dimensions = states.size() / ids.size();
  std::vector<float> mean(dimensions, 0.0F);
  for (size_t token = 0; token < ids.size(); ++token) {
    AddScaled(mean, {states.data() + token * dimensions, dimensions}, 1.0F);
  }
  Normalise(mean);
  return mean;
}

}  // namespace msearch::embedding
