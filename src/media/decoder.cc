#include "media/decoder.h"

#include <algorithm>
#include <array>

#include "base/strings.h"
#include "media/document.h"
#include "media/film.h"
#include "media/pdf.h"
#include "media/picture.h"
#include "media/tiff.h"
#include "media/webp.h"

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
// Of cameras; others begin as any TIFF file does, and are told by their name.
bool IsRaw(Head head) {
  using namespace std::literals;
  return (At(head, 0, "II*\0"sv) && At(head, 8, "CR")) || At(head, 0, "FUJIFILMCCD-RAW") ||
         At(head, 0, "IIRO") || At(head, 0, "IIRS") || At(head, 0, "MMOR") ||
         At(head, 0, "IIU\0"sv) || HasBrand(head, {"crx "}) || (IsTiff(head) && IsDng(head));
}
bool IsJxl(Head head) {
  using namespace std::literals;
  return At(head, 0, "\xFF\x0A") || At(head, 0, "\0\0\0\x0CJXL \x0D\x0A\x87\x0A"sv);
}
// A series of pictures, though there may be but one.
bool IsAvifSeries(Head head) { return At(head, 4, "ftypavis"); }
// What says so comes before the first picture.
bool IsPngSeries(Head head) {
  return IsPng(head) && head.substr(0, head.find("IDAT")).find("acTL") != Head::npos;
}
bool IsAvif(Head head) { return HasBrand(head, {"avif", "avis"}); }
bool IsHeic(Head head) {
  return HasBrand(head, {"heic", "heix", "hevc", "hevx", "heim", "heis", "mif1", "msf1"});
}
// Older QuickTime files begin with any box; its size before the name tells it from a text that
// begins "The free ...".
bool IsMp4(Head head) {
  if (At(head, 4, "ftyp") || At(head, 4, "mdat")) return true;
  for (const char* box : {"moov", "wide", "free", "skip", "pnot"}) {
    if (At(head, 4, box) && head[0] == '\0') return true;
  }
  return false;
}
bool IsMatroska(Head head) { return At(head, 0, "\x1A\x45\xDF\xA3"); }
// Readers accept what comes before it, as printers and mail programs leave.
bool IsPdf(Head head) { return head.substr(0, 1024).find("%PDF-") != Head::npos; }
bool IsRtf(Head head) { return At(head, 0, "{\\rtf"); }
bool IsZip(Head head) { return At(head, 0, "PK\x03\x04"); }
// Office documents of before 2007, and later ones with a password.
bool IsOle(Head head) { return At(head, 0, "\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1"); }
bool IsGzip(Head head) { return At(head, 0, "\x1F\x8B"); }
bool IsElf(Head head) {
  return At(head, 0,
            "\x7F"
            "ELF");
}
bool IsAvi(Head head) { return At(head, 0, "RIFF") && At(head, 8, "AVI"); }
bool IsFlv(Head head) { return At(head, 0, "FLV\x01"); }
bool IsAsf(Head head) { return At(head, 0, "\x30\x26\xB2\x75\x8E\x66\xCF\x11"); }
bool IsMxf(Head head) { return At(head, 0, "\x06\x0E\x2B\x34\x02\x05\x01\x01\x0D\x01\x02"); }
bool IsOgg(Head head) { return At(head, 0, "OggS"); }
bool IsFlac(Head head) { return At(head, 0, "fLaC"); }
bool IsWave(Head head) {
  return (At(head, 0, "RIFF") || At(head, 0, "RF64")) && At(head, 8, "WAVE");
}
bool IsWave64(Head head) { return At(head, 0, "riff\x2E\x91\xCF\x11"); }
bool IsAiff(Head head) {
  return At(head, 0, "FORM") && (At(head, 8, "AIFF") || At(head, 8, "AIFC"));
}
bool IsAmr(Head head) { return At(head, 0, "#!AMR"); }
bool IsAu(Head head) { return At(head, 0, ".snd"); }
bool IsCaf(Head head) { return At(head, 0, "caff"); }
bool IsApe(Head head) { return At(head, 0, "MAC "); }
bool IsWavPack(Head head) { return At(head, 0, "wvpk"); }
bool IsTta(Head head) { return At(head, 0, "TTA1"); }
bool IsAc3(Head head) { return At(head, 0, "\x0B\x77"); }

// Packets of 188 bytes that each begin with the same byte; discs put four more before each.
bool IsTransport(Head head) {
  for (const auto& [first, step] : {std::pair<size_t, size_t>{0, 188}, {4, 192}, {0, 204}}) {
    size_t packets = 0;
    while (packets < 5 && At(head, first + packets * step, "G")) ++packets;
    if (packets == 5) return true;
  }
  return false;
}
bool IsProgramStream(Head head) {
  using namespace std::literals;
  return At(head, 0, "\0\0\x01\xBA"sv);
}
bool IsMpegVideo(Head head) {
  using namespace std::literals;
  return At(head, 0, "\0\0\x01\xB3"sv);
}

int ByteAt(Head head, size_t at) { return at < head.size() ? static_cast<uint8_t>(head[at]) : -1; }

// The length of an MPEG audio frame of layer II or III whose header begins here; 0: none does.
size_t MpegAudioFrame(Head head, size_t at) {
  const int sync = ByteAt(head, at + 1);
  const int rates = ByteAt(head, at + 2);
  if (ByteAt(head, at) != 0xFF || sync < 0xE0 || rates < 0) return 0;
  const int version = sync >> 3 & 3;  // 0: 2.5, 2: 2, 3: 1
  const int layer = 4 - (sync >> 1 & 3);
  const int bit_rate = rates >> 4;
  const int sample_rate = rates >> 2 & 3;
  if (version == 1 || (layer != 2 && layer != 3) || bit_rate == 0 || bit_rate == 15 ||
      sample_rate == 3) {
    return 0;
  }
  static constexpr int kBitRates[3][16] = {
      {0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 0},  // 1, layer II
      {0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 0},   // 1, layer III
      {0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160, 0},       // 2
  };
  static constexpr int kSampleRates[] = {44100, 48000, 32000};
  const int hertz = kSampleRates[sample_rate] >> (version == 3 ? 0 : version == 2 ? 1 : 2);
  const int kilobits = kBitRates[version == 3 ? layer - 2 : 2][bit_rate];
  const int samples_8 = version != 3 && layer == 3 ? 72 : 144;
  return static_cast<size_t>(samples_8 * kilobits * 1000 / hertz + (rates >> 1 & 1));
}
// With tags in front, or two frames in a row: two bytes alone begin many another file.
bool IsMp3(Head head) {
  if (At(head, 0, "ID3")) return true;
  const size_t length = MpegAudioFrame(head, 0);
  return length > 0 && MpegAudioFrame(head, length) > 0;
}

// Behind something else, as recorders and broken downloads leave it; two frames by chance are rare.
bool HoldsMp3(Head head) {
  for (size_t at = 1; at + 4 <= head.size(); ++at) {
    const size_t length = MpegAudioFrame(head, at);
    if (length > 0 && MpegAudioFrame(head, at + length) > 0) return true;
  }
  return false;
}

size_t AdtsFrame(Head head, size_t at) {
  if (ByteAt(head, at) != 0xFF || (ByteAt(head, at + 1) & 0xF6) != 0xF0 || at + 6 > head.size()) {
    return 0;
  }
  return static_cast<size_t>((ByteAt(head, at + 3) & 3) << 11 | ByteAt(head, at + 4) << 3 |
                             ByteAt(head, at + 5) >> 5);
}
bool IsAdts(Head head) {
  const size_t length = AdtsFrame(head, 0);
  return length >= 7 && AdtsFrame(head, length) >= 7;
}
bool Never(Head) { return false; }

template <PictureDecoder decode>
Result<Prepared> Picture(const MediaSource& source, const PrepareOptions& options) {
  return PreparePicture(decode, source, options);
}

template <PictureDecoder decode>
Result<View> PictureView(const MediaSource& source, const ViewWanted& wanted) {
  return ViewPicture(decode, source, wanted);
}

// FFmpeg's names of containers.
constexpr char kMov[] = "mov";
constexpr char kGif[] = "gif";
constexpr char kApng[] = "apng";
constexpr char kMatroska[] = "matroska";
constexpr char kAvi[] = "avi";
constexpr char kFlv[] = "flv";
constexpr char kAsf[] = "asf";
constexpr char kMxf[] = "mxf";
constexpr char kTransport[] = "mpegts";
constexpr char kProgramStream[] = "mpeg";
constexpr char kMpegVideo[] = "mpegvideo";
constexpr char kOgg[] = "ogg";
constexpr char kFlac[] = "flac";
constexpr char kWave[] = "wav";
constexpr char kWave64[] = "w64";
constexpr char kAiff[] = "aiff";
constexpr char kAmr[] = "amr";
constexpr char kAu[] = "au";
constexpr char kCaf[] = "caf";
constexpr char kApe[] = "ape";
constexpr char kWavPack[] = "wv";
constexpr char kTta[] = "tta";
constexpr char kMp3[] = "mp3";
constexpr char kAac[] = "aac";
constexpr char kAc3[] = "ac3";

template <const char* demuxer>
Result<Prepared> Film(const MediaSource& source, const PrepareOptions& options) {
  return PrepareFilm(source, demuxer, options);
}
template <const char* demuxer>
Result<View> FilmView(const MediaSource& source, const ViewWanted& wanted) {
  return ViewFilm(source, demuxer, wanted);
}
template <const char* demuxer>
Result<std::vector<float>> FilmSamples(const MediaSource& source, const SamplesWanted& wanted) {
  return SampleFilm(source, demuxer, wanted);
}

template <const char* demuxer>
Result<Clip> FilmClip(const MediaSource& source, const ClipWanted& wanted, const TakeClip& take) {
  return CutFilm(source, demuxer, wanted, take);
}

// What the container holds, its content says: a row's mime and type are for messages.
template <const char* demuxer>
constexpr Decoder FilmRow(std::string_view mime, bool (*matches)(Head)) {
  return {mime,
          MediaType::kVideo,
          matches,
          Film<demuxer>,
          FilmView<demuxer>,
          FilmSamples<demuxer>,
          FilmClip<demuxer>};
}
template <const char* demuxer>
constexpr Decoder SoundRow(std::string_view mime, bool (*matches)(Head)) {
  return {mime,    MediaType::kAudio,    matches,          Film<demuxer>,
          nullptr, FilmSamples<demuxer>, FilmClip<demuxer>};
}

// One that moves is a short film.
template <const char* demuxer, PrepareFunction prepare>
Result<Prepared> PrepareMoving(const MediaSource& source, const PrepareOptions& options) {
  if (HasMotion(source, demuxer)) return PrepareFilm(source, demuxer, options);
  return prepare(source, options);
}
template <const char* demuxer, ViewFunction view>
Result<View> ViewMoving(const MediaSource& source, const ViewWanted& wanted) {
  if (wanted.time && HasMotion(source, demuxer)) return ViewFilm(source, demuxer, wanted);
  return view(source, wanted);
}
template <const char* demuxer, PrepareFunction prepare, ViewFunction view>
constexpr Decoder MovingRow(std::string_view mime, bool (*matches)(Head)) {
  return {mime,
          MediaType::kPicture,
          matches,
          PrepareMoving<demuxer, prepare>,
          ViewMoving<demuxer, view>,
          nullptr,
          FilmClip<demuxer>};
}

constexpr Decoder kDecoders[] = {
    {"image/jpeg", MediaType::kPicture, IsJpeg, Picture<DecodeJpeg>, PictureView<DecodeJpeg>},
    MovingRow<kApng, Picture<DecodeWithVips>, PictureView<DecodeWithVips>>("image/png",
                                                                           IsPngSeries),
    {"image/png", MediaType::kPicture, IsPng, Picture<DecodeWithVips>, PictureView<DecodeWithVips>},
    MovingRow<kGif, Picture<DecodeWithVips>, PictureView<DecodeWithVips>>("image/gif", IsGif),
    {"image/webp", MediaType::kPicture, IsWebp, PrepareWebp, ViewWebp, nullptr, CutWebp},
    {"image/x-dcraw", MediaType::kPicture, IsRaw, Picture<DecodeRaw>, PictureView<DecodeRaw>},
    {"image/tiff", MediaType::kPicture, IsTiff, PrepareTiff, ViewTiff},
    {"image/jxl", MediaType::kPicture, IsJxl, Picture<DecodeJxl>, PictureView<DecodeJxl>},
    {"image/bmp", MediaType::kPicture, IsBmp, Picture<DecodeBmp>, PictureView<DecodeBmp>},
    MovingRow<kMov, PrepareHeif, ViewHeif>("image/avif", IsAvifSeries),
    {"image/avif", MediaType::kPicture, IsAvif, PrepareHeif, ViewHeif},
    {"image/heic", MediaType::kPicture, IsHeic, PrepareHeif, ViewHeif},
    FilmRow<kMov>("video/mp4", IsMp4),
    FilmRow<kMatroska>("video/x-matroska", IsMatroska),
    FilmRow<kAvi>("video/x-msvideo", IsAvi),
    FilmRow<kFlv>("video/x-flv", IsFlv),
    FilmRow<kAsf>("video/x-ms-wmv", IsAsf),
    FilmRow<kMxf>("application/mxf", IsMxf),
    FilmRow<kTransport>("video/mp2t", IsTransport),
    FilmRow<kProgramStream>("video/mpeg", IsProgramStream),
    FilmRow<kMpegVideo>("video/mpeg", IsMpegVideo),
    FilmRow<kOgg>("video/ogg", IsOgg),
    SoundRow<kFlac>("audio/flac", IsFlac),
    SoundRow<kWave>("audio/wav", IsWave),
    SoundRow<kWave64>("audio/x-w64", IsWave64),
    SoundRow<kAiff>("audio/aiff", IsAiff),
    SoundRow<kAmr>("audio/amr", IsAmr),
    SoundRow<kAu>("audio/basic", IsAu),
    SoundRow<kCaf>("audio/x-caf", IsCaf),
    SoundRow<kApe>("audio/x-ape", IsApe),
    SoundRow<kWavPack>("audio/x-wavpack", IsWavPack),
    SoundRow<kTta>("audio/x-tta", IsTta),
    SoundRow<kMp3>("audio/mpeg", IsMp3),
    SoundRow<kAac>("audio/aac", IsAdts),
    SoundRow<kAc3>("audio/ac3", IsAc3),
    {"application/pdf", MediaType::kDocument, IsPdf, PreparePdf, ViewPdf, nullptr, nullptr, true},
    {"application/rtf", MediaType::kDocument, IsRtf, PrepareRtf},
    {"application/zip", MediaType::kDocument, IsZip, PrepareArchive},
    {"application/x-ole-storage", MediaType::kDocument, IsOle, nullptr},
    {"application/gzip", MediaType::kDocument, IsGzip, nullptr},
    {"application/x-executable", MediaType::kDocument, IsElf, nullptr},
};

// TIFF files that are raw pictures. One that is none after all is read as TIFF.
constexpr std::array kRawExtensions = {".3fr", ".arw", ".cr2", ".dcr", ".dng", ".erf",
                                       ".fff", ".iiq", ".kdc", ".mef", ".mos", ".nef",
                                       ".nrw", ".pef", ".rwl", ".sr2", ".srf", ".srw"};
Result<DecodedPicture> DecodeTiffRaw(const MediaSource& source, const PictureRequest& request) {
  Result<DecodedPicture> raw = DecodeRaw(source, request);
  if (raw.ok() || raw.code() != Code::kUnsupported) return raw;
  return DecodeWithVips(source, request);
}
constexpr Decoder kTiffRaw = {"image/x-dcraw", MediaType::kPicture, Never, Picture<DecodeTiffRaw>,
                              PictureView<DecodeTiffRaw>};

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
constexpr Decoder kNamedMp3 = SoundRow<kMp3>("audio/mpeg", Never);
constexpr Decoder kHtml = {"text/html", MediaType::kDocument, Never, PrepareHtml};
constexpr Decoder kText = {"text/plain", MediaType::kDocument, Never, PrepareText};

bool BeginsHtml(Head head) {
  if (At(head, 0, "\xEF\xBB\xBF")) head.remove_prefix(3);
  const std::string begin = AsciiLower(Trim(head.substr(0, 1024)).substr(0, 14));
  return begin == "<!doctype html" || begin.starts_with("<html>") || begin.starts_with("<html ");
}

}  // namespace

const Decoder* FindDecoder(std::string_view head, std::string_view name) {
  const std::string extension = AsciiLower(name.substr(std::min(name.rfind('.'), name.size())));
  if (IsTiff(head) &&
      std::find(kRawExtensions.begin(), kRawExtensions.end(), extension) != kRawExtensions.end()) {
    return &kTiffRaw;
  }
  for (const Decoder& decoder : kDecoders) {
    if (decoder.matches(head)) return &decoder;
  }
  for (const TextKind& kind : kTextKinds) {
    if (kind.extension == extension) return &kind.decoder;
  }
  if ((extension == ".mp3" || extension == ".mp2") && HoldsMp3(head)) return &kNamedMp3;
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

Result<Clip> CutMedia(const MediaSource& source, const ClipWanted& wanted, const TakeClip& take) {
  const Decoder* decoder = TRY(DecoderFor(source));
  if (decoder->clip == nullptr) return Unsupported(*decoder, "can't be cut");
  return decoder->clip(source, wanted, take);
}

Result<std::vector<float>> SampleMedia(const MediaSource& source, const SamplesWanted& wanted) {
  const Decoder& decoder = *TRY(DecoderFor(source));
  if (decoder.samples == nullptr) return Unsupported(decoder, "there is nothing to hear");
  return decoder.samples(source, wanted);
}

}  // namespace msearch::media
