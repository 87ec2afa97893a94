// ONNX Runtime, loaded at run time: one binary works with any of its builds from 1.18 on, with or
// without CUDA, and starts where there is none. The one include of its API is in onnx_runtime.cc.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "embedding/embedder.h"

namespace msearch::embedding {

// Whether there is a runtime to load, without loading it: `path` if it isn't empty, else
// lib/libonnxruntime.so.1 beside the program, else the system's. kUnavailable otherwise.
Result<std::string> FindRuntime(const std::string& path);

// An input of a model. Points to the caller's values.
struct TensorView {
  enum class Type { kFloat, kInt64, kUint8, kBool };  // kBool: one byte a value
  std::string name;
  Type type = Type::kFloat;
  std::vector<int64_t> shape;
  const void* data = nullptr;  // of as many values as the shape says
};

struct FloatTensor {
  std::vector<int64_t> shape;
  std::vector<float> values;
};

// An output that stays where the runtime put it, so that a later run takes it as an input without
// a copy (a decoder's keys and values). Copies share it.
class HeldTensor {
 public:
  HeldTensor() = default;
  HeldTensor(std::vector<int64_t> shape, std::span<const float> values,
             std::shared_ptr<const void> owner)
      : shape_(std::move(shape)), values_(values), owner_(std::move(owner)) {}

  const std::vector<int64_t>& shape() const { return shape_; }
  std::span<const float> values() const { return values_; }
  // Valid as long as this one or a copy of it lives.
  TensorView As(std::string input) const {
    return {std::move(input), TensorView::Type::kFloat, shape_, values_.data()};
  }
  // The values from `begin` on, as many as `shape` says; shares this one's memory.
  // REQUIRES: it has so many
  HeldTensor Part(size_t begin, std::vector<int64_t> shape) const {
    size_t count = 1;
    for (int64_t size : shape) count *= static_cast<size_t>(size);
    return {std::move(shape), values_.subspan(begin, count), owner_};
  }

 private:
  std::vector<int64_t> shape_;
  std::span<const float> values_;
  std::shared_ptr<const void> owner_;
};

struct SessionOptions {
  std::string runtime;          // as for FindRuntime; the process's first one stays for all
  std::string device = "auto";  // auto, cpu, cuda
  int threads = 1;
  // Turns weights that are stored in 8 bits but used as floats into floats once, when the model is
  // opened, instead of in each run: the same results sooner, for more memory.
  bool unpack_weights = false;
};

// What a session with these options would run on. Errors as Session::Open.
Result<DeviceInfo> DeviceFor(const SessionOptions& options);

// A loaded model. Thread-safe.
class Session {
 public:
  // kUnavailable without a runtime, kUnsupported for a runtime that is too old and for `cuda`
  // where it can't be had, kCorrupt for a file that isn't a model.
  static Result<std::unique_ptr<Session>> Open(const std::string& model_path,
                                               const SessionOptions& options);
  // The same for a model in memory, which need not stay. `name` is for messages.
  static Result<std::unique_ptr<Session>> FromBytes(std::string_view model, const std::string& name,
                                                    const SessionOptions& options);
  ~Session();

  const DeviceInfo& device() const;
  const std::vector<std::string>& inputs() const;
  const std::vector<std::string>& outputs() const;
  // Of an input or output, as the model declares it: -1 for what is free. Empty for names that it
  // hasn't, and where it doesn't say.
  std::vector<int64_t> ShapeOf(const std::string& name) const;

  // `outputs`, in their order; each must be of float32. kExhausted for lack of memory, kInternal
  // for what else the runtime refuses.
  Result<std::vector<FloatTensor>> Run(std::span<const TensorView> inputs,
                                       const std::vector<std::string>& outputs) const;
  Result<std::vector<HeldTensor>> RunHeld(std::span<const TensorView> inputs,
                                          const std::vector<std::string>& outputs) const;

 private:
  struct Impl;
  struct Source;
  static Result<std::unique_ptr<Session>> Load(const Source& source, const SessionOptions& options);
  explicit Session(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace msearch::embedding
