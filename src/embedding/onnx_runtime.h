// ONNX Runtime, loaded at run time: one binary works with any of its builds from 1.18 on, with or
// without CUDA, and starts where there is none. The one include of its API is in onnx_runtime.cc.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "embedding/embedder.h"

namespace msearch::embedding {

// Whether there is a runtime to load, without loading it: `path` if it isn't empty, else
// lib/libonnxruntime.so.1 beside the program, else the system's. kUnavailable otherwise.
Result<std::string> FindRuntime(const std::string& path);

// An input of a model. Points to the caller's values.
struct TensorView {
  enum class Type { kFloat, kInt64, kUint8 };
  std::string name;
  Type type = Type::kFloat;
  std::vector<int64_t> shape;
  const void* data = nullptr;  // of as many values as the shape says
};

struct FloatTensor {
  std::vector<int64_t> shape;
  std::vector<float> values;
};

struct SessionOptions {
  std::string runtime;          // as for FindRuntime; the process's first one stays for all
  std::string device = "auto";  // auto, cpu, cuda
  int threads = 1;
};

// A loaded model. Thread-safe.
class Session {
 public:
  // kUnavailable without a runtime, kUnsupported for a runtime that is too old and for `cuda`
  // where it can't be had, kCorrupt for a file that isn't a model.
  static Result<std::unique_ptr<Session>> Open(const std::string& model_path,
                                               const SessionOptions& options);
  ~Session();

  const DeviceInfo& device() const;
  const std::vector<std::string>& inputs() const;
  const std::vector<std::string>& outputs() const;

  // `outputs`, in their order; each must be of float32. kExhausted for lack of memory, kInternal
  // for what else the runtime refuses.
  Result<std::vector<FloatTensor>> Run(std::span<const TensorView> inputs,
                                       const std::vector<std::string>& outputs) const;

 private:
  struct Impl;
  explicit Session(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace msearch::embedding
