#include "embedding/onnx_runtime.h"

#include <dlfcn.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <numeric>

#define ORT_API_MANUAL_INIT
#include <onnxruntime_cxx_api.h>

#include "base/file.h"
#include "base/log.h"

namespace msearch::embedding {
namespace {

// The newest part of the API that is used here; every later runtime offers it.
constexpr uint32_t kApiVersion = 18;
constexpr char kSystemName[] = "libonnxruntime.so.1";
constexpr char kCudaName[] = "libonnxruntime_providers_cuda.so";

std::string Explain(const Ort::Exception& fault) {
  std::string text = fault.what();
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text.substr(0, 400);
}

// What goes wrong also comes back as an error, so its own words are for whoever debugs.
void ORT_API_CALL OnLog(void*, OrtLoggingLevel, const char*, const char*, const char*,
                        const char* text) {
  LOG_DEBUG("ONNX Runtime: {}", text);
}

// The library and its environment, loaded once for the process and never unloaded: the runtime
// keeps threads and static state of its own.
class Runtime {
 public:
  static Result<Runtime*> Get(const std::string& path) {
    static std::mutex mutex;
    static std::unique_ptr<Runtime> loaded;
    const std::lock_guard lock(mutex);
    if (!loaded) loaded = TRY(Load(path));
    return loaded.get();
  }

  const Ort::Env& env() const { return *env_; }
  // Whether the libraries of a CUDA build lie beside the runtime's. Asking the runtime instead
  // would have it complain on the terminal.
  bool has_cuda() const { return access((folder_ + "/" + kCudaName).c_str(), R_OK) == 0; }

 private:
  static Result<std::unique_ptr<Runtime>> Load(const std::string& path) {
    const std::string found = TRY(FindRuntime(path));
    void* library = dlopen(found.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) {
      return Error{Code::kUnavailable, "ONNX Runtime: " + std::string(dlerror())};
    }
    using GetBase = const OrtApiBase* (*)();
    const auto get_base = reinterpret_cast<GetBase>(dlsym(library, "OrtGetApiBase"));
    const OrtApi* api = get_base == nullptr ? nullptr : get_base()->GetApi(kApiVersion);
    if (api == nullptr) {
      return Error{Code::kUnsupported,
                   found + ": older than ONNX Runtime 1." + std::to_string(kApiVersion)};
    }
    Ort::InitApi(api);
    auto runtime = std::unique_ptr<Runtime>(new Runtime);
    Dl_info where{};
    if (dladdr(reinterpret_cast<void*>(get_base), &where) != 0) {
      const std::string file = where.dli_fname;
      runtime->folder_ = file.substr(0, file.rfind('/'));
    }
    try {
      runtime->env_ =
          std::make_unique<Ort::Env>(ORT_LOGGING_LEVEL_WARNING, "msearch", OnLog, nullptr);
    } catch (const Ort::Exception& fault) {
      return Error{Code::kInternal, "ONNX Runtime: " + Explain(fault)};
    }
    return runtime;
  }

  std::unique_ptr<Ort::Env> env_;
  std::string folder_;
};

ONNXTensorElementDataType ElementType(TensorView::Type type) {
  switch (type) {
    case TensorView::Type::kFloat:
      return ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT;
    case TensorView::Type::kInt64:
      return ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64;
    case TensorView::Type::kUint8:
      return ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8;
    case TensorView::Type::kBool:
      return ONNX_TENSOR_ELEMENT_DATA_TYPE_BOOL;
  }
  return ONNX_TENSOR_ELEMENT_DATA_TYPE_UNDEFINED;
}

size_t ElementBytes(TensorView::Type type) {
  switch (type) {
    case TensorView::Type::kFloat:
      return 4;
    case TensorView::Type::kInt64:
      return 8;
    case TensorView::Type::kUint8:
    case TensorView::Type::kBool:
      return 1;
  }
  return 0;
}

// Chooses the device and puts its provider into `options`.
Result<DeviceInfo> ChooseDevice(const std::string& requested, const Runtime& runtime,
                                Ort::SessionOptions& options) {
  if (requested != "auto" && requested != "cpu" && requested != "cuda") {
    return Error{Code::kInvalid, "device " + requested + ": not one of auto, cpu, cuda"};
  }
  DeviceInfo device{requested, "cpu", "asked for"};
  if (requested == "cpu") return device;
  const std::vector<std::string> providers = Ort::GetAvailableProviders();
  std::string fault;
  const bool knows_cuda =
      std::find(providers.begin(), providers.end(), "CUDAExecutionProvider") != providers.end();
  if (!knows_cuda || !runtime.has_cuda()) {
    fault = "this build of ONNX Runtime has no CUDA provider";
  } else {
    try {
      options.AppendExecutionProvider_CUDA(OrtCUDAProviderOptions{});
      device.used = "cuda";
      device.reason = requested == "cuda" ? "asked for" : "a CUDA device is there";
      return device;
    } catch (const Ort::Exception& exception) {
      fault = "CUDA can't be used: " + Explain(exception);
    }
  }
  if (requested == "cuda") return Error{Code::kUnsupported, "device cuda: " + fault};
  device.reason = fault + ": fell back to the CPU";
  return device;
}

Code CodeOf(const Ort::Exception& fault) {
  const std::string_view text = fault.what();
  const bool memory = text.find("bad_alloc") != std::string_view::npos ||
                      text.find("Failed to allocate") != std::string_view::npos;
  return memory ? Code::kExhausted : Code::kInternal;
}

}  // namespace

Result<std::string> FindRuntime(const std::string& path) {
  if (!path.empty()) {
    if (access(path.c_str(), R_OK) == 0) return path;
    return Error{Code::kUnavailable, path + ": no ONNX Runtime there"};
  }
  const std::string beside = ProgramDirectory() + "/lib/" + kSystemName;
  if (access(beside.c_str(), R_OK) == 0) return beside;
  // Only the loader itself knows where it would look.
  void* library = dlopen(kSystemName, RTLD_LAZY | RTLD_LOCAL);
  if (library == nullptr) {
    return Error{Code::kUnavailable,
                 "ONNX Runtime: neither " + beside + " nor a system library " + kSystemName};
  }
  dlclose(library);
  return std::string(kSystemName);
}

Result<DeviceInfo> DeviceFor(const SessionOptions& options) {
  const Runtime* runtime = TRY(Runtime::Get(options.runtime));
  Ort::SessionOptions settings;
  return ChooseDevice(options.device, *runtime, settings);
}

struct Session::Impl {
  Ort::Session session{nullptr};
  DeviceInfo device;
  std::vector<std::string> inputs;
  std::vector<std::string> outputs;
  std::map<std::string, std::vector<int64_t>> shapes;

  void AddShape(const std::string& name, const Ort::TypeInfo& info) {
    if (info.GetONNXType() != ONNX_TYPE_TENSOR) return;
    shapes[name] = info.GetTensorTypeAndShapeInfo().GetShape();
  }
};

Session::Session(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Session::~Session() = default;
const DeviceInfo& Session::device() const { return impl_->device; }
const std::vector<std::string>& Session::inputs() const { return impl_->inputs; }
const std::vector<std::string>& Session::outputs() const { return impl_->outputs; }

std::vector<int64_t> Session::ShapeOf(const std::string& name) const {
  const auto known = impl_->shapes.find(name);
  return known == impl_->shapes.end() ? std::vector<int64_t>() : known->second;
}

// Of a model: a file, or bytes, then with a name that is for messages alone.
struct Session::Source {
  std::string path;
  std::string_view bytes;
};

Result<std::unique_ptr<Session>> Session::Open(const std::string& model_path,
                                               const SessionOptions& options) {
  if (access(model_path.c_str(), R_OK) != 0) return ErrnoError(model_path, errno);
  return Load({model_path, {}}, options);
}

Result<std::unique_ptr<Session>> Session::FromBytes(std::string_view model, const std::string& name,
                                                    const SessionOptions& options) {
  if (model.empty()) return Error{Code::kCorrupt, name + ": an empty model"};
  return Load({name, model}, options);
}

Result<std::unique_ptr<Session>> Session::Load(const Source& source,
                                               const SessionOptions& options) {
  Runtime* runtime = TRY(Runtime::Get(options.runtime));
  auto impl = std::make_unique<Impl>();
  try {
    Ort::SessionOptions settings;
    settings.SetIntraOpNumThreads(std::max(1, options.threads));
    settings.SetInterOpNumThreads(1);
    settings.SetGraphOptimizationLevel(ORT_ENABLE_ALL);
    settings.AddConfigEntry("session.intra_op.allow_spinning", "0");
    settings.AddConfigEntry("session.inter_op.allow_spinning", "0");
    // Without it the runtime keeps such weights packed, in the hope of kernels that take them so.
    if (options.unpack_weights) settings.AddConfigEntry("session.disable_quant_qdq", "1");
    settings.DisableMemPattern();  // shapes differ from call to call
    impl->device = TRY(ChooseDevice(options.device, *runtime, settings));
    impl->session =
        source.bytes.empty()
            ? Ort::Session(runtime->env(), source.path.c_str(), settings)
            : Ort::Session(runtime->env(), source.bytes.data(), source.bytes.size(), settings);
    Ort::AllocatorWithDefaultOptions allocator;
    for (size_t i = 0; i < impl->session.GetInputCount(); ++i) {
      impl->inputs.emplace_back(impl->session.GetInputNameAllocated(i, allocator).get());
      impl->AddShape(impl->inputs.back(), impl->session.GetInputTypeInfo(i));
    }
    for (size_t i = 0; i < impl->session.GetOutputCount(); ++i) {
      impl->outputs.emplace_back(impl->session.GetOutputNameAllocated(i, allocator).get());
      impl->AddShape(impl->outputs.back(), impl->session.GetOutputTypeInfo(i));
    }
  } catch (const Ort::Exception& fault) {
    const Code code = CodeOf(fault) == Code::kExhausted ? Code::kExhausted : Code::kCorrupt;
    return Error{code, source.path + ": " + Explain(fault)};
  } catch (const std::bad_alloc&) {
    return Error{Code::kExhausted, source.path + ": not enough memory to load it"};
  }
  return std::unique_ptr<Session>(new Session(std::move(impl)));
}

Result<std::vector<FloatTensor>> Session::Run(std::span<const TensorView> inputs,
                                              const std::vector<std::string>& outputs) const {
  const std::vector<HeldTensor> held = TRY(RunHeld(inputs, outputs));
  std::vector<FloatTensor> out;
  for (const HeldTensor& tensor : held) {
    out.push_back({tensor.shape(), {tensor.values().begin(), tensor.values().end()}});
  }
  return out;
}

Result<std::vector<HeldTensor>> Session::RunHeld(std::span<const TensorView> inputs,
                                                 const std::vector<std::string>& outputs) const {
  static float nothing = 0;  // a tensor without values needs an address all the same
  try {
    const auto memory = Ort::MemoryInfo::CreateCpu(OrtDeviceAllocator, OrtMemTypeCPU);
    std::vector<Ort::Value> values;
    std::vector<const char*> input_names, output_names;
    for (const TensorView& input : inputs) {
      const int64_t count =
          std::accumulate(input.shape.begin(), input.shape.end(), int64_t{1}, std::multiplies<>());
      values.push_back(Ort::Value::CreateTensor(
          memory, count == 0 ? &nothing : const_cast<void*>(input.data),
          static_cast<size_t>(count) * ElementBytes(input.type), input.shape.data(),
          input.shape.size(), ElementType(input.type)));
      input_names.push_back(input.name.c_str());
    }
    for (const std::string& output : outputs) output_names.push_back(output.c_str());
    std::vector<Ort::Value> results =
        impl_->session.Run(Ort::RunOptions{nullptr}, input_names.data(), values.data(),
                           values.size(), output_names.data(), output_names.size());
    std::vector<HeldTensor> out;
    for (Ort::Value& result : results) {
      const auto info = result.GetTensorTypeAndShapeInfo();
      if (info.GetElementType() != ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT) {
        return Error{Code::kUnsupported, "model: an output that isn't float32"};
      }
      const auto owner = std::make_shared<Ort::Value>(std::move(result));
      out.emplace_back(
          info.GetShape(),
          std::span<const float>(owner->GetTensorData<float>(), info.GetElementCount()), owner);
    }
    return out;
  } catch (const Ort::Exception& fault) {
    return Error{CodeOf(fault), "ONNX Runtime: " + Explain(fault)};
  } catch (const std::bad_alloc&) {
    return Error{Code::kExhausted, "ONNX Runtime: not enough memory"};
  }
}

}  // namespace msearch::embedding
