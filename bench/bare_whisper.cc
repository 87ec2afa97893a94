#include "bare_whisper.h"

#include <dlfcn.h>

#include <algorithm>
#include <array>

#define ORT_API_MANUAL_INIT
#include <onnxruntime_cxx_api.h>

#include "embedding/log_mel.h"
#include "embedding/token_scores.h"
#include "measure.h"

namespace msearch::bench {
namespace {

constexpr uint32_t kApiVersion = 18;
constexpr size_t kTokensMax = 224;

const Ort::Env& Environment() {
  static const Ort::Env environment = [] {
    void* library = dlopen(RuntimePath().c_str(), RTLD_NOW | RTLD_LOCAL);
    using GetBase = const OrtApiBase* (*)();
    const auto get_base = reinterpret_cast<GetBase>(dlsym(library, "OrtGetApiBase"));
    Ort::InitApi(get_base()->GetApi(kApiVersion));
    return Ort::Env(ORT_LOGGING_LEVEL_ERROR, "bare");
  }();
  return environment;
}

Ort::Session Load(const std::string& path, bool unpack) {
  Ort::SessionOptions settings;
  settings.SetIntraOpNumThreads(1);
  settings.SetInterOpNumThreads(1);
  settings.SetGraphOptimizationLevel(ORT_ENABLE_ALL);
  if (unpack) settings.AddConfigEntry("session.disable_quant_qdq", "1");
  return Ort::Session(Environment(), path.c_str(), settings);
}

}  // namespace

struct BareWhisper::Impl {
  embedding::WhisperShape shape;
  Ort::MemoryInfo memory = Ort::MemoryInfo::CreateCpu(OrtDeviceAllocator, OrtMemTypeCPU);
  Ort::Session encoder{nullptr}, decoder{nullptr};
  std::vector<std::string> said_in, said_out, keys_in, keys_out;

  template <typename T>
  Ort::Value Tensor(T* values, size_t count, const std::vector<int64_t>& dimensions) const {
    return Ort::Value::CreateTensor<T>(memory, values, count, dimensions.data(), dimensions.size());
  }

  static int64_t Likeliest(const Ort::Value& scores) {
    const auto count = scores.GetTensorTypeAndShapeInfo().GetShape();
    const auto width = static_cast<size_t>(count[2]);
    const float* last = scores.GetTensorData<float>() + static_cast<size_t>(count[1] - 1) * width;
    return std::find(last, last + width, embedding::MostOf({last, width})) - last;
  }

  // `next` takes the likeliest token and gives the one to be said, or -1 at the end.
  template <typename Next>
  size_t Run(std::span<const float> mel, std::vector<int64_t> beginning, Next next) {
    Ort::IoBinding hearing(encoder);
    hearing.BindInput("input_features", Tensor(const_cast<float*>(mel.data()), mel.size(),
                                               {1, static_cast<int64_t>(shape.bands),
                                                static_cast<int64_t>(embedding::LogMel::kFrames)}));
    hearing.BindOutput("last_hidden_state", memory);
    encoder.Run(Ort::RunOptions{nullptr}, hearing);
    const std::vector<Ort::Value> heard = hearing.GetOutputValues();

    const auto heads = static_cast<int64_t>(shape.heads);
    const auto size = static_cast<int64_t>(shape.head_size);
    float none = 0;
    bool cached = false;
    Ort::IoBinding first(decoder);
    first.BindInput("input_ids", Tensor(beginning.data(), beginning.size(),
                                        {1, static_cast<int64_t>(beginning.size())}));
    first.BindInput("encoder_hidden_states", heard[0]);
    first.BindInput("use_cache_branch", Tensor(&cached, 1, {1}));
    first.BindOutput("logits", memory);
    for (size_t i = 0; i < said_in.size(); ++i) {
      first.BindInput(said_in[i].c_str(), Tensor(&none, 0, {1, heads, 0, size}));
      first.BindInput(keys_in[i].c_str(), Tensor(&none, 0, {1, heads, 0, size}));
      first.BindOutput(said_out[i].c_str(), memory);
    }
    for (const std::string& name : keys_out) first.BindOutput(name.c_str(), memory);
    decoder.Run(Ort::RunOptions{nullptr}, first);
    std::vector<Ort::Value> made = first.GetOutputValues();
    size_t steps = 1;

    // From here on only the token and the keys and values of what was said change. What was heard
    // has become keys and values, so that of itself the least that fits is given.
    int64_t token = next(Likeliest(made[0]));
    bool going_on = true;
    std::vector<float> unheard(static_cast<size_t>(heads * size));
    Ort::IoBinding step(decoder);
    step.BindInput("input_ids", Tensor(&token, 1, {1, 1}));
    step.BindInput("encoder_hidden_states",
                   Tensor(unheard.data(), unheard.size(), {1, 1, heads * size}));
    step.BindInput("use_cache_branch", Tensor(&going_on, 1, {1}));
    for (size_t i = 0; i < keys_in.size(); ++i) {
      step.BindInput(keys_in[i].c_str(), made[1 + said_in.size() + i]);
    }
    for (; token >= 0; token = next(Likeliest(made[0]))) {
      for (size_t i = 0; i < said_in.size(); ++i) {
        step.BindInput(said_in[i].c_str(), made[1 + i]);
      }
      step.ClearBoundOutputs();
      step.BindOutput("logits", memory);
      for (const std::string& name : said_out) step.BindOutput(name.c_str(), memory);
      decoder.Run(Ort::RunOptions{nullptr}, step);
      made = step.GetOutputValues();
      ++steps;
    }
    return steps;
  }
};

BareWhisper::BareWhisper(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
BareWhisper::~BareWhisper() = default;

Result<std::unique_ptr<BareWhisper>> BareWhisper::Open(const std::string& folder,
                                                       const embedding::WhisperShape& shape,
                                                       bool unpack) {
  try {
    Environment();
    auto impl = std::make_unique<Impl>();
    impl->shape = shape;
    impl->encoder = Load(folder + "/encoder.onnx", unpack);
    impl->decoder = Load(folder + "/decoder.onnx", unpack);
    for (size_t layer = 0; layer < shape.layers; ++layer) {
      for (const std::string kind : {".key", ".value"}) {
        const std::string number = std::to_string(layer);
        impl->said_in.push_back("past_key_values." + number + ".decoder" + kind);
        impl->said_out.push_back("present." + number + ".decoder" + kind);
        impl->keys_in.push_back("past_key_values." + number + ".encoder" + kind);
        impl->keys_out.push_back("present." + number + ".encoder" + kind);
      }
    }
    return std::unique_ptr<BareWhisper>(new BareWhisper(std::move(impl)));
  } catch (const Ort::Exception& fault) {
    return Error{Code::kInternal, fault.what()};
  }
}

Result<size_t> BareWhisper::Say(std::span<const float> mel, const std::vector<int64_t>& beginning,
                                int64_t end) {
  size_t said = 0;
  try {
    return impl_->Run(mel, beginning, [&](int64_t likeliest) {
      return likeliest == end || said++ == kTokensMax ? -1 : likeliest;
    });
  } catch (const Ort::Exception& fault) {
    return Error{Code::kInternal, fault.what()};
  }
}

Result<size_t> BareWhisper::Repeat(std::span<const float> mel,
                                   const std::vector<int64_t>& beginning,
                                   const std::vector<int64_t>& said) {
  size_t at = 0;
  try {
    return impl_->Run(mel, beginning,
                      [&](int64_t) { return at < said.size() ? said[at++] : int64_t{-1}; });
  } catch (const Ort::Exception& fault) {
    return Error{Code::kInternal, fault.what()};
  }
}

}  // namespace msearch::bench
