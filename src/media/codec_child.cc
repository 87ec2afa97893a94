#include <fcntl.h>
#include <malloc.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <exception>
#include <new>

#include "base/legacy_text.h"
#include "base/log.h"
#include "media/decoder.h"
#include "media/document.h"
#include "media/film.h"
#include "media/picture.h"
#include "media/sandbox.h"
#include "media/wire.h"

namespace msearch::media {
namespace {

// Beyond this, freed memory goes back to the system after a file.
constexpr size_t kIdleBytesMax = 16 << 20;

Result<Frame> AnswerFor(const MediaSource& source, const PrepareOptions& options) {
  return ToFrame(TRY(PrepareMedia(source, options)));
}
Result<Frame> AnswerFor(const MediaSource& source, const ViewWanted& wanted) {
  return ToFrame(TRY(ViewMedia(source, wanted)));
}
Result<Frame> AnswerFor(const MediaSource& source, const SamplesWanted& wanted) {
  return ToFrame(TRY(SampleMedia(source, wanted)));
}

Result<Frame> Answer(const Fd& file, const CodecRequest& request) {
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
  return std::visit([&](const auto& wanted) { return AnswerFor(source, wanted); }, request.wanted);
}

Result<Frame> Answer(const Frame& frame) {
  const CodecRequest request = TRY(RequestFromJson(frame.head));
  try {
    return Answer(frame.fd, request);
  } catch (const std::bad_alloc&) {
    return Error{Code::kTooLarge, "file: decoding it needs more memory than is allowed"};
  } catch (const std::exception& error) {
    return Error{Code::kCorrupt, std::string("file: ") + error.what()};
  }
}

void Preload() {
  PreloadPictureLibraries();
  PreloadDocumentLibraries();
  PreloadFilmLibraries();
  // Unicode tables and converters.
  (void)DecodeText("\xB0\xA1\xB0\xA2");
  (void)SplitSentences("One. Two.");
}

// The sanitizers' own look-ups and reports need what the sandbox takes away.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
void Enclose(const Channel&) {}
#else
void Enclose(const Channel& channel) {
  // Codecs write about broken files to stderr; what matters of it comes back as an error.
  const Fd terminal(dup(STDERR_FILENO));
  const Result<Fd> nowhere = OpenFile("/dev/null", O_WRONLY);
  if (nowhere.ok()) dup2(nowhere->get(), STDERR_FILENO);
  const Result<> caged = EnterSandbox(channel.fd());
  if (caged.ok()) return;
  dup2(terminal.get(), STDERR_FILENO);
  LOG_WARNING("codec child: runs without a sandbox: {}", caged.message());
}
#endif

}  // namespace

int ServeCodec() {
  // One heap whatever the number of threads: the limit on memory counts address space.
  mallopt(M_ARENA_MAX, 1);
  Channel channel = ParentChannel();
  Preload();
  Enclose(channel);
  ServeParent(channel, [](const Frame& request) {
    Result<Frame> answer = Answer(request);
    if (mallinfo2().fordblks > kIdleBytesMax) malloc_trim(0);
    return answer;
  });
  return 0;
}

}  // namespace msearch::media
