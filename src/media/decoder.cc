#include "media/decoder.h"

#include <algorithm>

#include "base/strings.h"
#include "media/document.h"
#include "media/picture.h"

namespace msearch::media {
namespace {

using Head = std::string_view;

bool At(Head head, size_t offset, std::string_view bytes) {
  return head.size() >= offset && head.substr(offset).starts_with(bytes);
}

bool IsJpeg(Head head) { return At(head, 0, "\xFF\xD8\xFF"); }
bool IsPng(Head head) { return At(head, 0, "\x89PNG\r\n\x1A\n"); }
bool IsGif(Head head) { return At(head, 0, "GIF87a") || At(head, 0, "GIF89a"); }
bool IsWebp(Head head) { return At(head, 0, "RIFF") && At(head, 8, "WEBP"); }
bool IsTiff(Head head) {
  using namespace std::literals;
  return At(head, 0, "II*\0"sv) || At(head, 0, "MM\0*"sv) || At(head, 0, "II+\0"sv) ||
         At(head, 0, "MM\0+"sv);
}
// "BM" alone begins many a text, so the length of the second header must be one that exists.
bool IsBmp(Head head) {
  return At(head, 0, "BM") && head.size() >= 18 && head[15] == 0 && head[16] == 0 &&
         head[17] == 0 &&
         std::string_view("\x0C\x28\x34\x38\x40\x6C\x7C").find(head[14]) != std::string_view::npos;
}

// ISO media files name their kinds in the first box: the main one, and others they conform to.
bool HasBrand(Head head, std::initializer_list<std::string_view> brands) {
  if (!At(head, 4, "ftyp")) return false;
  size_t size = 0;
  for (int i = 0; i < 4; ++i) size = size << 8 | static_cast<uint8_t>(head[i]);
  size = std::min({size, head.size(), size_t{256}});
  for (size_t at = 8; at + 4 <= size; at += at == 8 ? 8 : 4) {
    if (std::find(brands.begin(), brands.end(), head.substr(at, 4)) != brands.end()) return true;
  }
  return false;
}
bool IsAvif(Head head) { return HasBrand(head, {"avif", "avis"}); }
bool IsHeic(Head head) {
  return HasBrand(head, {"heic", "heix", "hevc", "hevx", "heim", "heis", "mif1", "msf1"});
}
bool IsMp4(Head head) { return At(head, 4, "ftyp"); }
bool IsMatroska(Head head) { return At(head, 0, "\x1A\x45\xDF\xA3"); }
bool IsPdf(Head head) { return At(head, 0, "%PDF-"); }
bool IsZip(Head head) { return At(head, 0, "PK\x03\x04"); }
// Office documents of before 2007, and later ones with a password.
bool IsOle(Head head) { return At(head, 0, "\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1"); }
bool IsGzip(Head head) { return At(head, 0, "\x1F\x8B"); }
bool IsElf(Head head) {
  return At(head, 0,
            "\x7F"
            "ELF");
}
bool IsOgg(Head head) { return At(head, 0, "OggS"); }
bool IsFlac(Head head) { return At(head, 0, "fLaC"); }
bool IsWave(Head head) { return At(head, 0, "RIFF") && At(head, 8, "WAVE"); }
bool IsMp3(Head head) { return At(head, 0, "ID3"); }
bool Never(Head) { return false; }

template <PictureDecoder decode>
Result<Prepared> Picture(const MediaSource& source, const PrepareOptions& options) {
  return PreparePicture(decode, source, options);
}

template <PictureDecoder decode>
Result<View> PictureView(const MediaSource& source, const ViewWanted& wanted) {
  return ViewPicture(decode, source, wanted);
}

constexpr Decoder kDecoders[] = {
    {"image/jpeg", MediaType::kPicture, IsJpeg, Picture<DecodeJpeg>, PictureView<DecodeJpeg>},
    {"image/png", MediaType::kPicture, IsPng, Picture<DecodeWithVips>, PictureView<DecodeWithVips>},
    {"image/gif", MediaType::kPicture, IsGif, Picture<DecodeWithVips>, PictureView<DecodeWithVips>},
    {"image/webp", MediaType::kPicture, IsWebp, Picture<DecodeWithVips>,
     PictureView<DecodeWithVips>},
    {"image/tiff", MediaType::kPicture, IsTiff, Picture<DecodeWithVips>,
     PictureView<DecodeWithVips>},
    {"image/bmp", MediaType::kPicture, IsBmp, Picture<DecodeBmp>, PictureView<DecodeBmp>},
    {"image/avif", MediaType::kPicture, IsAvif, Picture<DecodeHeif>, PictureView<DecodeHeif>},
    {"image/heic", MediaType::kPicture, IsHeic, Picture<DecodeHeif>, PictureView<DecodeHeif>},
    {"video/mp4", MediaType::kVideo, IsMp4, nullptr},
    {"video/x-matroska", MediaType::kVideo, IsMatroska, nullptr},
    {"audio/ogg", MediaType::kAudio, IsOgg, nullptr},
    {"audio/flac", MediaType::kAudio, IsFlac, nullptr},
    {"audio/wav", MediaType::kAudio, IsWave, nullptr},
    {"audio/mpeg", MediaType::kAudio, IsMp3, nullptr},
    {"application/pdf", MediaType::kDocument, IsPdf, nullptr},
    {"application/zip", MediaType::kDocument, IsZip, PrepareArchive},
    {"application/x-ole-storage", MediaType::kDocument, IsOle, nullptr},
    {"application/gzip", MediaType::kDocument, IsGzip, nullptr},
    {"application/x-executable", MediaType::kDocument, IsElf, nullptr},
};

// What has no tell-tale bytes goes by its name.
struct TextKind {
  std::string_view extension;
  Decoder decoder;
};
constexpr TextKind kTextKinds[] = {
    {".md", {"text/markdown", MediaType::kDocument, Never, PrepareMarkdown}},
    {".markdown", {"text/markdown", MediaType::kDocument, Never, PrepareMarkdown}},
    {".html", {"text/html", MediaType::kDocument, Never, PrepareHtml}},
    {".htm", {"text/html", MediaType::kDocument, Never, PrepareHtml}},
    {".xhtml", {"application/xhtml+xml", MediaType::kDocument, Never, PrepareHtml}},
    {".srt", {"application/x-subrip", MediaType::kDocument, Never, PrepareSubtitles}},
    {".vtt", {"text/vtt", MediaType::kDocument, Never, PrepareSubtitles}},
    {".csv", {"text/csv", MediaType::kDocument, Never, PrepareText}},
    {".tsv", {"text/tab-separated-values", MediaType::kDocument, Never, PrepareText}},
    {".json", {"application/json", MediaType::kDocument, Never, PrepareText}},
};
constexpr Decoder kHtml = {"text/html", MediaType::kDocument, Never, PrepareHtml};
constexpr Decoder kText = {"text/plain", MediaType::kDocument, Never, PrepareText};

bool BeginsHtml(Head head) {
  if (At(head, 0, "\xEF\xBB\xBF")) head.remove_prefix(3);
  const std::string begin = AsciiLower(Trim(head.substr(0, 1024)).substr(0, 14));
  return begin == "<!doctype html" || begin.starts_with("<html>") || begin.starts_with("<html ");
}

}  // namespace

const Decoder* FindDecoder(std::string_view head, std::string_view name) {
  for (const Decoder& decoder : kDecoders) {
    if (decoder.matches(head)) return &decoder;
  }
  const std::string extension = AsciiLower(name.substr(std::min(name.rfind('.'), name.size())));
  for (const TextKind& kind : kTextKinds) {
    if (kind.extension == extension) return &kind.decoder;
  }
  if (BeginsHtml(head)) return &kHtml;
  if (TypeOfExtension(name).value_or(MediaType::kDocument) == MediaType::kDocument) return &kText;
  return nullptr;
}

namespace {

Result<const Decoder*> DecoderFor(const MediaSource& source) {
  if (source.size == 0) return Error{Code::kCorrupt, "file: empty"};
  const Decoder* decoder = FindDecoder(source.head, source.name);
  if (decoder == nullptr) return Error{Code::kCorrupt, "file: its content is of no known kind"};
  return decoder;
}

Error Unsupported(const Decoder& decoder, std::string_view fault) {
  return {Code::kUnsupported, std::string(decoder.mime) + ": " + std::string(fault)};
}

}  // namespace

Result<Prepared> PrepareMedia(const MediaSource& source, const PrepareOptions& options) {
  const Decoder& decoder = *TRY(DecoderFor(source));
  if (decoder.prepare == nullptr) return Unsupported(decoder, "nothing here reads it");
  Prepared prepared = TRY(decoder.prepare(source, options));
  if (prepared.mime.empty()) prepared.mime = decoder.mime;
  return prepared;
}

Result<View> ViewMedia(const MediaSource& source, const ViewWanted& wanted) {
  const Decoder& decoder = *TRY(DecoderFor(source));
  if (decoder.view == nullptr) return Unsupported(decoder, "there is nothing to look at");
  return decoder.view(source, wanted);
}

Result<std::vector<float>> SampleMedia(const MediaSource& source, const SamplesWanted& wanted) {
  const Decoder& decoder = *TRY(DecoderFor(source));
  if (decoder.samples == nullptr) return Unsupported(decoder, "there is nothing to hear");
  return decoder.samples(source, wanted);
}

}  // namespace msearch::media
