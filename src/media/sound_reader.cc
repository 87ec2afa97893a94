#include "media/sound_reader.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace msearch::media {
namespace {

class Mixer {
 public:
  explicit Mixer(uint32_t rate) : rate_(rate) {}

  // False when these samples can't be converted.
  bool Convert(const AVFrame* frame, std::vector<float>* out) {
    const FfmpegLibrary& ffmpeg = *Ffmpeg();
    if (frame != nullptr && !Fits(*frame) && !SetUp(*frame)) return false;
    if (!resampler_) return false;
    const int in = frame != nullptr ? frame->nb_samples : 0;
    const int64_t room = static_cast<int64_t>(in) * rate_ / std::max(1, in_rate_) + 4096;
    out->resize(static_cast<size_t>(std::min<int64_t>(room, 1 << 24)));
    auto* to = reinterpret_cast<uint8_t*>(out->data());
    const uint8_t** from =
        frame != nullptr ? const_cast<const uint8_t**>(frame->extended_data) : nullptr;
    const int got =
        ffmpeg.swr_convert(resampler_.get(), &to, static_cast<int>(out->size()), from, in);
    out->resize(static_cast<size_t>(std::max(0, got)));
    for (float& sample : *out) sample = std::isfinite(sample) ? std::clamp(sample, -1.0F, 1.0F) : 0;
    return got >= 0;
  }

 private:
  bool Fits(const AVFrame& frame) const {
    return resampler_ && frame.format == format_ && frame.sample_rate == in_rate_ &&
           frame.ch_layout.nb_channels == channels_;
  }

  bool SetUp(const AVFrame& frame) {
    const FfmpegLibrary& ffmpeg = *Ffmpeg();
    if (frame.sample_rate <= 0 || frame.ch_layout.nb_channels <= 0 ||
        frame.ch_layout.nb_channels > 64) {
      return false;
    }
    AVChannelLayout mono = AV_CHANNEL_LAYOUT_MONO;
    AVChannelLayout from{};
    if (frame.ch_layout.order == AV_CHANNEL_ORDER_UNSPEC) {
      ffmpeg.av_channel_layout_default(&from, frame.ch_layout.nb_channels);
    } else if (ffmpeg.av_channel_layout_copy(&from, &frame.ch_layout) < 0) {
      return false;
    }
    SwrContext* made = nullptr;
    const int failed = ffmpeg.swr_alloc_set_opts2(
        &made, &mono, AV_SAMPLE_FMT_FLT, static_cast<int>(rate_), &from,
        static_cast<AVSampleFormat>(frame.format), frame.sample_rate, 0, nullptr);
    ffmpeg.av_channel_layout_uninit(&from);
    resampler_.reset(made);
    if (failed < 0 || ffmpeg.swr_init(made) < 0) {
      resampler_.reset();
      return false;
    }
    format_ = frame.format;
    in_rate_ = frame.sample_rate;
    channels_ = frame.ch_layout.nb_channels;
    return true;
  }

  uint32_t rate_;
  av::Resampler resampler_;
  int format_ = -1;
  int in_rate_ = 0;
  int channels_ = 0;
};

}  // namespace

Result<> ReadSound(AvFile& file, double start, uint32_t rate,
                   const std::function<bool(std::span<const float>)>& take, double* start_told) {
  const AVStream& stream = *file.audio();
  av::Codec codec = TRY(file.Decoder(stream, 1));
  if (start > 0) file.Seek(std::max(0.0, start - 0.2), stream);
  Mixer mixer(rate);
  const av::Packet packet = av::MakePacket();
  const av::Frame frame = av::MakeFrame();
  std::vector<float> samples;
  bool begun = false;
  bool any = false;
  int64_t skip = 0;  // samples before `start`
  // Where the sound begins is known by its first frame; from there on samples are counted, as
  // time stamps of single frames are often rounded.
  auto hand_on = [&] {
    if (samples.empty()) return true;
    any = true;
    const auto skipped =
        static_cast<size_t>(std::min<int64_t>(skip, static_cast<int64_t>(samples.size())));
    skip -= static_cast<int64_t>(skipped);
    if (skipped == samples.size()) return true;
    return take(std::span<const float>(samples).subspan(skipped));
  };
  auto decoded = [&](AVFrame* sound) {
    if (!begun) {
      const int64_t stamp = sound->best_effort_timestamp;
      const double time =
          stamp == AV_NOPTS_VALUE ? start : std::max(0.0, file.Seconds(stamp, stream));
      skip = std::max<int64_t>(0, std::llround((start - time) * rate));
      if (start_told != nullptr) *start_told = std::max(start, time);
      begun = true;
    }
    return !mixer.Convert(sound, &samples) || hand_on();
  };
  bool more = true;
  while (more && file.Read(stream, packet.get())) {
    more = DecodePacket(codec.get(), packet.get(), frame.get(), decoded);
  }
  if (more) more = DecodePacket(codec.get(), nullptr, frame.get(), decoded);
  if (more && mixer.Convert(nullptr, &samples)) hand_on();
  if (!any && start <= 0) {
    return Error{Code::kCorrupt, AvFile::CodecName(stream) + ": no sound could be decoded"};
  }
  return Ok{};
}

}  // namespace msearch::media
