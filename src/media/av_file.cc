#include "media/av_file.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>

#include "base/legacy_text.h"
#include "base/strings.h"
#include "base/unicode.h"

namespace msearch::media {
namespace {

constexpr int kBufferBytes = 256 << 10;
constexpr size_t kTagBytesMax = 2000;

// What may decode. All but dav1d are FFmpeg's own; other libraries, and whatever draws text or
// vectors, stay out.
constexpr char kCodecs[] =
    // films
    "h264,hevc,libdav1d,vp9,vp8,vp6,vp6a,vp6f,vp7,mpeg4,mpeg2video,mpeg1video,mpegvideo,msmpeg4v1,"
    "msmpeg4v2,msmpeg4,wmv1,wmv2,wmv3,vc1,flv,theora,h263,h263p,h263i,h261,mjpeg,prores,dnxhd,"
    "cfhd,ffv1,huffyuv,ffvhuff,utvideo,dvvideo,rawvideo,v210,cinepak,svq1,svq3,indeo3,indeo4,"
    "indeo5,qtrle,rpza,smc,msvideo1,msrle,cram,zmbv,tscc,flashsv,flashsv2,magicyuv,jpeg2000,"
    "gif,png,apng,bmp,"
    // sounds
    "aac,aac_latm,mp3float,mp3,mp2float,mp2,mp1float,mp1,ac3,eac3,dca,truehd,mlp,flac,alac,vorbis,"
    "opus,speex,wavpack,tta,ape,wmav1,wmav2,wmapro,wmalossless,wmavoice,amrnb,amrwb,nellymoser,"
    "qdm2,qdmc,cook,mace3,mace6,gsm,gsm_ms,g723_1,g729,adpcm_ms,adpcm_ima_wav,adpcm_ima_qt,"
    "adpcm_swf,adpcm_yamaha,adpcm_g722,adpcm_g726,adpcm_g726le,pcm_alaw,pcm_mulaw,pcm_u8,pcm_s8,"
    "pcm_s8_planar,pcm_s16le,pcm_s16be,pcm_s16le_planar,pcm_s16be_planar,pcm_u16le,pcm_u16be,"
    "pcm_s24le,pcm_s24be,pcm_s24le_planar,pcm_u24le,pcm_u24be,pcm_s32le,pcm_s32be,"
    "pcm_s32le_planar,pcm_u32le,pcm_u32be,pcm_f32le,pcm_f32be,pcm_f64le,pcm_f64be,pcm_bluray,"
    "pcm_dvd,pcm_lxf";

int RefuseToOpen(AVFormatContext*, AVIOContext** out, const char*, int, AVDictionary**) {
  *out = nullptr;
  return AVERROR(EACCES);
}

// Whether the boxes of an MP4 end, or are cut off, without the one that says where everything is.
bool LacksIndex(const MediaSource& source) {
  constexpr int kBoxesMax = 1000;
  constexpr uint64_t kHeader = 16;
  uint64_t at = 0;
  for (int box = 0; box < kBoxesMax && at + 8 <= source.size; ++box) {
    uint8_t head[kHeader] = {};
    const auto got = ReadAt(source, at, reinterpret_cast<char*>(head), kHeader);
    if (!got.ok() || *got < 8) return false;
    if (std::string_view(reinterpret_cast<const char*>(head) + 4, 4) == "moov") return false;
    uint64_t size = 0;
    for (int i = 0; i < 4; ++i) size = size << 8 | head[i];
    if (size == 1) {
      size = 0;
      for (int i = 8; i < 16; ++i) size = size << 8 | head[i];
    }
    if (size == 0) return true;  // to the end
    if (size < 8) return false;
    if (size > source.size - at) return true;
    at += size;
  }
  return true;
}

bool IsText(const AVStream& stream) {
  switch (stream.codecpar->codec_id) {
    case AV_CODEC_ID_SUBRIP:
    case AV_CODEC_ID_ASS:
    case AV_CODEC_ID_SSA:
    case AV_CODEC_ID_WEBVTT:
    case AV_CODEC_ID_MOV_TEXT:
    case AV_CODEC_ID_TEXT:
      return stream.codecpar->codec_type == AVMEDIA_TYPE_SUBTITLE;
    default:
      return false;
  }
}

// Letters that were taken for Latin-1, as readers of tags do, as the bytes that they were; nothing
// when they can't have been.
std::optional<std::string> AsLatin1(std::string_view utf8) {
  std::string bytes;
  for (char32_t point : ToCodePoints(utf8)) {
    if (point > 0xFF) return std::nullopt;
    bytes += static_cast<char>(point);
  }
  return bytes;
}

bool IsCover(const AVStream& stream) {
  return (stream.disposition & AV_DISPOSITION_ATTACHED_PIC) != 0;
}

}  // namespace

int AvFile::ReadBytes(void* self, uint8_t* out, int size) {
  AvFile& file = *static_cast<AvFile*>(self);
  if (file.past_deadline()) return AVERROR_EXIT;
  const int64_t left = file.size_ - file.at_;
  if (left <= 0 || size <= 0) return AVERROR_EOF;
  const auto got =
      ReadAt(file.source_, static_cast<uint64_t>(file.at_), reinterpret_cast<char*>(out),
             static_cast<size_t>(std::min<int64_t>(left, size)));
  if (!got.ok()) return AVERROR(EIO);
  if (*got == 0) return AVERROR_EOF;
  file.at_ += static_cast<int64_t>(*got);
  return static_cast<int>(*got);
}

int64_t AvFile::SeekBytes(void* self, int64_t offset, int whence) {
  AvFile& file = *static_cast<AvFile*>(self);
  whence &= ~AVSEEK_FORCE;
  if (whence == AVSEEK_SIZE) return file.size_;
  int64_t to = offset;
  if (whence == SEEK_CUR && __builtin_add_overflow(file.at_, offset, &to)) return AVERROR(EINVAL);
  if (whence == SEEK_END && __builtin_add_overflow(file.size_, offset, &to)) return AVERROR(EINVAL);
  if (to < 0) return AVERROR(EINVAL);
  file.at_ = to;
  return to;
}

Result<std::unique_ptr<AvFile>> AvFile::Open(
    const MediaSource& source, const char* demuxer,
    std::optional<std::chrono::steady_clock::time_point> deadline) {
  if (!Ffmpeg().ok()) return Ffmpeg().error();
  const FfmpegLibrary& ffmpeg = *Ffmpeg();
  std::unique_ptr<AvFile> file(new AvFile);
  file->source_ = source;
  file->size_ = static_cast<int64_t>(source.size);
  file->deadline_ = deadline;

  const AVInputFormat* format = ffmpeg.av_find_input_format(demuxer);
  if (format == nullptr)
    return Error{Code::kUnsupported, std::string("FFmpeg: reads no ") + demuxer};
  auto* buffer = static_cast<uint8_t*>(ffmpeg.av_malloc(kBufferBytes));
  file->io_ =
      ffmpeg.avio_alloc_context(buffer, kBufferBytes, 0, file.get(), ReadBytes, nullptr, SeekBytes);
  file->context_ = ffmpeg.avformat_alloc_context();
  if (file->io_ == nullptr || file->context_ == nullptr) {
    return Error{Code::kTooLarge, "file: no memory to open it"};
  }
  AVFormatContext* context = file->context_;
  context->pb = file->io_;
  context->flags |= AVFMT_FLAG_CUSTOM_IO;
  context->io_open = RefuseToOpen;
  context->max_streams = 64;
  context->interrupt_callback = {
      [](void* self) { return static_cast<AvFile*>(self)->past_deadline() ? 1 : 0; }, file.get()};
  AVDictionary* options = nullptr;
  ffmpeg.av_dict_set(&options, "protocol_whitelist", "none", 0);
  ffmpeg.av_dict_set(&options, "format_whitelist",
                     demuxer == std::string_view("mov") ? "mov,mp4,m4a,3gp,3g2,mj2" : format->name,
                     0);
  ffmpeg.av_dict_set(&options, "codec_whitelist", kCodecs, 0);
  const int opened = ffmpeg.avformat_open_input(&file->context_, nullptr, format, &options);
  ffmpeg.av_dict_free(&options);
  // A failed opening frees the context.
  if (opened == AVERROR_INVALIDDATA && demuxer == std::string_view("mov") && LacksIndex(source)) {
    return Error{Code::kCorrupt,
                 "film: has no index, so nothing in it can be found: it was never finished, or its "
                 "end is missing"};
  }
  if (opened < 0) return FfmpegError("file", opened);
  // What can't be found out of the streams is seen when they are decoded.
  (void)ffmpeg.avformat_find_stream_info(context, nullptr);

  const int video = ffmpeg.av_find_best_stream(context, AVMEDIA_TYPE_VIDEO, -1, -1, nullptr, 0);
  if (video >= 0 && !IsCover(*context->streams[video])) file->video_ = context->streams[video];
  const int audio = ffmpeg.av_find_best_stream(context, AVMEDIA_TYPE_AUDIO, -1, -1, nullptr, 0);
  if (audio >= 0) file->audio_ = context->streams[audio];
  for (unsigned i = 0; i < context->nb_streams; ++i) {
    AVStream* stream = context->streams[i];
    if (IsCover(*stream) && file->cover_ == nullptr) file->cover_ = stream;
    if (IsText(*stream) && file->texts_.size() < kTextsMax) file->texts_.push_back(stream);
    if (stream != file->video_ && stream != file->audio_) stream->discard = AVDISCARD_ALL;
  }
  if (file->video_ == nullptr && file->audio_ == nullptr) {
    return Error{Code::kCorrupt, "file: neither a film nor sound in it"};
  }
  file->FindTagEncoding();
  return file;
}

// Older tags are in the encoding of whoever wrote them, or seem to be Latin-1. One tag is too short
// to tell from; all of them together mostly aren't.
void AvFile::FindTagEncoding() {
  constexpr size_t kBytesMax = 64 << 10;
  std::string all;
  const AVDictionaryEntry* entry = nullptr;
  while ((entry = Ffmpeg()->av_dict_get(context_->metadata, "", entry, AV_DICT_IGNORE_SUFFIX)) !=
             nullptr &&
         all.size() < kBytesMax) {
    const std::string_view value = entry->value;
    const bool ascii =
        std::all_of(value.begin(), value.end(), [](char c) { return (c & 0x80) == 0; });
    if (!ascii) all += std::string(value) + "\n";
  }
  if (all.empty()) return;
  const bool utf8 = IsUtf8(all);
  const auto bytes = utf8 ? AsLatin1(all) : std::optional<std::string>(all);
  if (!bytes) return;
  const auto decoded = DecodeText(*bytes);
  if (!decoded.ok()) return;
  // Accents are common where they seem to be; what can only be read as Chinese, say, isn't Latin.
  const bool asian = decoded->encoding == "GB18030" || decoded->encoding == "Big5" ||
                     decoded->encoding == "Shift_JIS" || decoded->encoding.starts_with("EUC-");
  if (!utf8 || asian || decoded->encoding == "UTF-8") tag_encoding_ = decoded->encoding;
}

AvFile::~AvFile() {
  const FfmpegLibrary& ffmpeg = *Ffmpeg();
  ffmpeg.avformat_close_input(&context_);
  if (io_ != nullptr) ffmpeg.av_freep(&io_->buffer);
  ffmpeg.avio_context_free(&io_);
}

bool AvFile::past_deadline() const {
  return deadline_ && std::chrono::steady_clock::now() > *deadline_;
}

double AvFile::Seconds(int64_t timestamp, const AVStream& stream) const {
  const double begin = context_->start_time == AV_NOPTS_VALUE
                           ? 0
                           : static_cast<double>(context_->start_time) / AV_TIME_BASE;
  return static_cast<double>(timestamp) * av_q2d(stream.time_base) - begin;
}

int64_t AvFile::Timestamp(double seconds, const AVStream& stream) const {
  const double begin = context_->start_time == AV_NOPTS_VALUE
                           ? 0
                           : static_cast<double>(context_->start_time) / AV_TIME_BASE;
  const double unit = av_q2d(stream.time_base);
  return unit > 0 ? static_cast<int64_t>(std::llround((seconds + begin) / unit)) : 0;
}

double AvFile::duration() const {
  if (context_->duration > 0) return static_cast<double>(context_->duration) / AV_TIME_BASE;
  for (const AVStream* stream : {video_, audio_}) {
    if (stream != nullptr && stream->duration > 0) {
      return static_cast<double>(stream->duration) * av_q2d(stream->time_base);
    }
  }
  return 0;
}

bool AvFile::Read(const AVStream& stream, AVPacket* packet) {
  const FfmpegLibrary& ffmpeg = *Ffmpeg();
  // Some demuxers tell of a damaged spot by an error and go on behind it.
  int faults = 0;
  while (!past_deadline()) {
    ffmpeg.av_packet_unref(packet);
    const int got = ffmpeg.av_read_frame(context_, packet);
    if (got == AVERROR_EOF || got == AVERROR_EXIT) return false;
    if (got < 0 && (++faults > 100 || got != AVERROR_INVALIDDATA)) return false;
    if (got < 0) continue;
    if (packet->stream_index == stream.index) return true;
    if (take_text_ && IsText(*context_->streams[packet->stream_index])) take_text_(*packet);
  }
  return false;
}

void AvFile::ListenToTexts(std::function<void(const AVPacket&)> take) {
  for (AVStream* stream : texts_) stream->discard = AVDISCARD_DEFAULT;
  take_text_ = std::move(take);
}

void AvFile::ReadTextsToTheEnd() {
  for (AVStream* stream : {video_, audio_}) {
    if (stream != nullptr) stream->discard = AVDISCARD_ALL;
  }
  const av::Packet packet = av::MakePacket();
  for (const AVStream* stream : texts_) {
    while (Read(*stream, packet.get())) take_text_(*packet);
  }
}

bool AvFile::Seek(double seconds, const AVStream& stream) {
  return Ffmpeg()->av_seek_frame(context_, stream.index, Timestamp(seconds, stream),
                                 AVSEEK_FLAG_BACKWARD) >= 0;
}

Result<av::Codec> AvFile::Decoder(const AVStream& stream, uint64_t pixels_max) const {
  const FfmpegLibrary& ffmpeg = *Ffmpeg();
  const std::string name = CodecName(stream);
  const AVCodec* decoder = ffmpeg.avcodec_find_decoder(stream.codecpar->codec_id);
  if (decoder == nullptr) return Error{Code::kUnsupported, name + ": nothing here decodes it"};
  av::Codec codec(ffmpeg.avcodec_alloc_context3(decoder));
  if (!codec || ffmpeg.avcodec_parameters_to_context(codec.get(), stream.codecpar) < 0) {
    return Error{Code::kCorrupt, name + ": broken parameters"};
  }
  codec->thread_count = 1;
  codec->pkt_timebase = stream.time_base;
  codec->max_pixels = static_cast<int64_t>(std::min<uint64_t>(pixels_max, INT64_MAX));
  AVDictionary* options = nullptr;
  ffmpeg.av_dict_set(&options, "codec_whitelist", kCodecs, 0);
  const int opened = ffmpeg.avcodec_open2(codec.get(), decoder, &options);
  ffmpeg.av_dict_free(&options);
  if (opened == AVERROR(EINVAL)) return Error{Code::kUnsupported, name + ": not decoded here"};
  if (opened < 0) return FfmpegError(name, opened);
  return codec;
}

std::string AvFile::Tag(const char* name) const {
  const FfmpegLibrary& ffmpeg = *Ffmpeg();
  auto find = [&](const AVDictionary* tags) -> std::string {
    const AVDictionaryEntry* entry = ffmpeg.av_dict_get(tags, name, nullptr, 0);
    if (entry == nullptr) return "";
    std::string value(entry->value);
    if (!tag_encoding_.empty()) {
      const auto bytes = IsUtf8(value) ? AsLatin1(value) : std::optional<std::string>(value);
      if (bytes) value = DecodeTextAs(*bytes, tag_encoding_.c_str());
    }
    return SanitizeUtf8(TruncateUtf8(Trim(value), kTagBytesMax));
  };
  std::string value = find(context_->metadata);
  for (const AVStream* stream : {video_, audio_}) {
    if (value.empty() && stream != nullptr) value = find(stream->metadata);
  }
  return value;
}

std::string AvFile::CodecName(const AVStream& stream) {
  return Ffmpeg()->avcodec_get_name(stream.codecpar->codec_id);
}

}  // namespace msearch::media
