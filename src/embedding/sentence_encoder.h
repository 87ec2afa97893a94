// A BERT-like sentence model: a text becomes the mean of its tokens' last hidden states, of
// length 1.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "embedding/onnx_runtime.h"
#include "embedding/tokenizer.h"

namespace msearch::embedding {

// Thread-safe.
class SentenceEncoder {
 public:
  static Result<std::unique_ptr<SentenceEncoder>> Open(const std::string& model_path,
                                                       const std::string& tokenizer_path,
                                                       const SessionOptions& options);
  // One text at a time: a dynamically quantised model scales its activations over the whole
  // batch, so a text's vector would depend on its neighbours.
  Result<std::vector<float>> Encode(const std::string& text, size_t tokens_max = 256) const;
  const DeviceInfo& device() const { return session_->device(); }

 private:
  SentenceEncoder() = default;
  std::unique_ptr<Session> session_;
  std::unique_ptr<Tokenizer> tokenizer_;
};

}  // namespace msearch::embedding
