#include <fcntl.h>
#include <malloc.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <exception>
#include <new>
#include <optional>

#include "base/legacy_text.h"
#include "base/log.h"
#include "media/decoder.h"
#include "media/document.h"
#include "media/film.h"
#include "media/format.h"
#include "media/picture.h"
#include "media/sandbox.h"
#include "media/sound_print.h"
#include "media/wire.h"

namespace msearch::media {
namespace {

// Beyond this, freed memory goes back to the system after a file.
constexpr size_t kIdleBytesMax = 16 << 20;

Result<Frame> AnswerFor(const MediaSource& source, const PrepareOptions& options, Channel&) {
  return ToFrame(TRY(PrepareMedia(source, options)));
}
Result<Frame> AnswerFor(const MediaSource& source, const ViewWanted& wanted, Channel&) {
  return ToFrame(TRY(ViewMedia(source, wanted)));
}
Result<Frame> AnswerFor(const MediaSource& source, const SamplesWanted& wanted, Channel&) {
  return ToFrame(TRY(SampleMedia(source, wanted)));
}

// All but the end of a clip is sent while it is made.
Result<Frame> AnswerFor(const MediaSource& source, const ClipWanted& wanted, Channel& channel) {
  const Clip clip = TRY(CutMedia(source, wanted, [&](const Clip& so_far, std::string_view piece) {
    return channel.Send(ToFrame(so_far, std::string(piece))).ok();
  }));
  return ToFrame(clip, "");
}

Result<Frame> AnswerTo(const Fd& file, const CodecRequest& request, Channel& channel) {
  struct stat info {};
  if (!file.valid() || fstat(file.get(), &info) != 0 || !S_ISREG(info.st_mode)) {
    return Error{Code::kInvalid, "file: not a regular one"};
  }
  MediaSource source;
  source.fd = file.get();
  source.size = static_cast<uint64_t>(info.st_size);
  source.name = request.name;
  std::string head(MediaSource::kHeadBytes, '\0');
  head.resize(TRY(ReadAt(source.fd, 0, head.data(), head.size())));
  source.head = head;
  const Decoder* decoder = FindDecoder(source.head, source.name);
  if (decoder != nullptr && decoder->by_tool != request.by_tool) {
    return Error{Code::kUnavailable, "file: changed while it was opened"};
  }
  return std::visit([&](const auto& wanted) { return AnswerFor(source, wanted, channel); },
                    request.wanted);
}

void Preload(bool by_tool) {
  if (!by_tool) {
    PreloadPictureLibraries();
    PreloadDocumentLibraries();
    PreloadFilmLibraries();
    PreloadSoundLibraries();
  }
  // Unicode tables and converters.
  (void)DecodeText("\xB0\xA1\xB0\xA2");
  (void)SplitSentences("One. Two.");
}

// The sanitizers' own look-ups and reports need what the sandbox takes away.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
void Enclose(const Channel&, bool) {}
#else
void Enclose(const Channel& channel, bool by_tool) {
  // Codecs write about broken files to stderr; what matters of it comes back as an error.
  const Fd terminal(fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0));
  const Result<Fd> nowhere = OpenFile("/dev/null", O_WRONLY);
  if (nowhere.ok()) dup2(nowhere->get(), STDERR_FILENO);
  const Result<> caged = by_tool ? EnterToolSandbox() : EnterSandbox(channel.fd());
  if (caged.ok()) return;
  dup2(terminal.get(), STDERR_FILENO);
  LOG_WARNING("codec child: runs without a sandbox: {}", caged.message());
}
#endif

// One kind of cage for all of its life, as the first request says.
class Server {
 public:
  explicit Server(Channel& channel) : channel_(channel) {}

  Result<Frame> Serve(const Frame& frame) {
    if (frame.head == FormatsRequest() && !by_tool_) {
      Frame answer;
      answer.head = {{"formats", FindInstalledFormats()}};
      return answer;
    }
    const CodecRequest request = TRY(RequestFromJson(frame.head));
    if (!by_tool_) {
      by_tool_ = request.by_tool;
      Preload(*by_tool_);
      Enclose(channel_, *by_tool_);
    }
    if (*by_tool_ != request.by_tool) return Error{Code::kInternal, "codec child: of another kind"};
    Result<Frame> answer = Answer(frame.fd, request);
    if (mallinfo2().fordblks > kIdleBytesMax) malloc_trim(0);
    return answer;
  }

 private:
  Result<Frame> Answer(const Fd& file, const CodecRequest& request) {
    try {
      return AnswerTo(file, request, channel_);
    } catch (const std::bad_alloc&) {
      return Error{Code::kTooLarge, "file: decoding it needs more memory than is allowed"};
    } catch (const std::exception& error) {
      return Error{Code::kCorrupt, std::string("file: ") + error.what()};
    }
  }

  Channel& channel_;
  std::optional<bool> by_tool_;
};

}  // namespace

int ServeCodec() {
  // One heap whatever the number of threads: the limit on memory counts address space.
  mallopt(M_ARENA_MAX, 1);
  Channel channel = ParentChannel();
  fcntl(channel.fd(), F_SETFD, FD_CLOEXEC);
  Server server(channel);
  ServeParent(channel, [&](const Frame& request) { return server.Serve(request); });
  return 0;
}

}  // namespace msearch::media
