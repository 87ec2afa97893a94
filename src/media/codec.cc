#include "media/codec.h"

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cassert>
#include <charconv>
#include <utility>

#include "base/child.h"
#include "base/strings.h"
#include "media/decoder.h"
#include "media/wire.h"

namespace msearch::media {
namespace {

// The sanitizers reserve more address space than any limit.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kLimitMemory = false;
#else
constexpr bool kLimitMemory = true;
#endif

constexpr unsigned kFilesMax = 64;
// How often one who waits for a piece of a clip is asked whether it still wants it.
constexpr Milliseconds kAsk{100};

ChildOptions OptionsFor(std::vector<std::string> arguments, const CodecLimits& limits) {
  ChildOptions options;
  options.arguments = std::move(arguments);
  options.name = "codec child";
  if (kLimitMemory) options.memory_bytes_max = limits.memory_bytes_max;
  options.answer_bytes_max = limits.answer_bytes_max;
  options.files_max = kFilesMax;
  options.nice = limits.nice;
  return options;
}

bool HasEnded(pid_t pid) {
  siginfo_t info{};
  return waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
         info.si_pid == pid;
}

// Null: unreadable, or of no known kind.
const Decoder* DecoderOf(const Fd& file, const std::string& name) {
  std::string head(MediaSource::kHeadBytes, '\0');
  const Result<size_t> size = ReadAt(file.get(), 0, head.data(), head.size());
  if (!size.ok()) return nullptr;
  return FindDecoder(std::string_view(head).substr(0, *size), name);
}

// Resident bytes of a process; 0 when it is gone.
uint64_t MemoryOf(pid_t pid) {
  const auto statm = ReadFile("/proc/" + std::to_string(pid) + "/statm", 4096);
  if (!statm.ok()) return 0;
  const std::vector<std::string_view> pages = Split(*statm, ' ');
  uint64_t resident = 0;
  if (pages.size() > 1) {
    std::from_chars(pages[1].data(), pages[1].data() + pages[1].size(), resident);
  }
  return resident * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
}

// A child and how many files it was given.
struct Helper {
  explicit Helper(ChildOptions options) : child(std::move(options)) {}

  // A child that died while it had nothing to do is no fault of the next file.
  void Ready(const CodecLimits& limits) {
    if (child.running() && (files >= limits.files_per_child || HasEnded(child.pid()) ||
                            (files > 0 && MemoryOf(child.pid()) > limits.idle_memory_bytes_max))) {
      child.Kill();
    }
    if (!child.running()) files = 0;
    ++files;
  }

  Child child;
  int files = 0;
};

}  // namespace

struct Codec::Impl {
  Impl(std::vector<std::string> arguments, CodecLimits codec_limits)
      : limits(codec_limits),
        plain(OptionsFor(arguments, codec_limits)),
        with_tools(OptionsFor(arguments, codec_limits)) {}

  Error Explain(const Error& error, const Helper& helper, const Decoder* decoder,
                const std::string& name) const {
    std::string message = name + ": " + error.message;
    if (error.code == Code::kCrashed || error.code == Code::kTimeout) {
      // Told by the file, since the child can't any more.
      message += ", decoding ";
      message += decoder != nullptr ? decoder->mime : "what is of no known kind";
    }
    if (!helper.child.running()) {
      message += ", peak memory " + std::to_string(helper.child.peak_memory_bytes() >> 20) + " MiB";
    }
    return {error.code, std::move(message)};
  }

  // What a child was asked and hasn't answered yet.
  struct Asked {
    std::string name;
    const Decoder* decoder = nullptr;
    Helper* helper = nullptr;
  };

  void Begin(const Fd& file, const std::string& name, const Wanted& wanted,
             uint32_t seconds_max = 0) {
    const Decoder* decoder = DecoderOf(file, name);
    const bool by_tool = decoder != nullptr && decoder->by_tool;
    Helper& helper = by_tool ? with_tools : plain;
    helper.Ready(limits);
    Frame request;
    request.head = ToJson(CodecRequest{name, wanted, by_tool});
    request.fd = Fd(file.get());
    helper.child.Send(
        request, Milliseconds(seconds_max > 0 ? int64_t{seconds_max} * 1000 : limits.timeout_ms));
    request.fd.Release();  // lent
    assert(!asked);
    asked = {name, decoder, &helper};
  }

  template <typename Answer, typename Read>
  Result<Answer> End(Read&& read) {
    assert(asked);
    const Asked that = *std::exchange(asked, std::nullopt);
    Result<Frame> answer = that.helper->child.Receive();
    if (!answer.ok()) return Explain(answer.error(), *that.helper, that.decoder, that.name);
    Result<Answer> out = read(std::move(*answer));
    if (out.ok()) return out;
    that.helper->child.Kill();
    return Explain(out.error(), *that.helper, that.decoder, that.name);
  }

  // The pieces and the end of a clip.
  Result<Clip> ReceiveClip(Helper& helper, const ClipWanted& wanted, const TakeClip& take) {
    Clip clip;
    uint64_t bytes = 0;
    while (true) {
      while (!helper.child.HasAnswer(kAsk) && !helper.child.out_of_time()) {
        if (!take(clip, {})) return Error{Code::kCancelled, "clip: no longer wanted"};
      }
      const Frame frame = TRY(helper.child.Receive());
      helper.child.RestartTime();
      clip = TRY(ClipFromFrame(frame, wanted));
      if (frame.parts.empty()) return clip;
      bytes += frame.parts[0].size();
      if (bytes > wanted.bytes_max) return Error{Code::kCrashed, "codec child: sent too much"};
      if (!take(clip, frame.parts[0])) return Error{Code::kCancelled, "clip: no longer wanted"};
    }
  }

  CodecLimits limits;
  Helper plain;
  Helper with_tools;
  std::optional<Asked> asked;
  PrepareOptions preparing;  // what was asked with Codec::Begin
};

Codec::Codec(std::vector<std::string> child_arguments, CodecLimits limits)
    : impl_(std::make_unique<Impl>(std::move(child_arguments), limits)) {}

Codec::~Codec() = default;

void Codec::Begin(const Fd& file, const std::string& name, const PrepareOptions& options) {
  impl_->preparing = options;
  impl_->Begin(file, name, options, options.seconds_max);
}

Result<Prepared> Codec::End() {
  return impl_->End<Prepared>(
      [&](Frame answer) { return PreparedFromFrame(std::move(answer), impl_->preparing); });
}

Result<View> Codec::ViewOf(const Fd& file, const std::string& name, const ViewWanted& wanted) {
  impl_->Begin(file, name, wanted);
  return impl_->End<View>([&](Frame answer) { return ViewFromFrame(std::move(answer), wanted); });
}

Result<std::vector<float>> Codec::SamplesOf(const Fd& file, const std::string& name,
                                            const SamplesWanted& wanted) {
  impl_->Begin(file, name, wanted);
  return impl_->End<std::vector<float>>(
      [&](const Frame& answer) { return SamplesFromFrame(answer, wanted); });
}

Result<Clip> Codec::ClipOf(const Fd& file, const std::string& name, const ClipWanted& wanted,
                           const TakeClip& take) {
  impl_->Begin(file, name, wanted);
  const Impl::Asked that = *std::exchange(impl_->asked, std::nullopt);
  Result<Clip> clip = impl_->ReceiveClip(*that.helper, wanted, take);
  if (clip.ok()) return clip;
  // The rest of a clip that isn't wanted is nothing to wait for, nor is that of a child that lies.
  if (clip.code() == Code::kCancelled || clip.code() == Code::kCrashed) that.helper->child.Kill();
  return impl_->Explain(clip.error(), *that.helper, that.decoder, that.name);
}

uint64_t Codec::peak_memory_bytes() const {
  return std::max(impl_->plain.child.peak_memory_bytes(),
                  impl_->with_tools.child.peak_memory_bytes());
}

}  // namespace msearch::media
