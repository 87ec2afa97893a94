// Subtitles inside a film, as far as they are text: their packets hold the words nearly as a file
// of subtitles does, so they are read without a decoder. Those that are pictures (of discs) aren't.

#include "media/film_texts.h"

#include <algorithm>

#include "base/strings.h"

namespace msearch::media {
namespace {

constexpr size_t kCuesMax = 50'000;  // of a track
constexpr double kSecondsMax = 60;   // of a cue whose end isn't told, or is wrong

// "ReadOrder, Layer, Style, Name, three margins, Effect, Text".
std::string_view AssText(std::string_view packet) {
  for (int field = 0; field < 8; ++field) {
    const size_t comma = packet.find(',');
    if (comma == packet.npos) return "";
    packet.remove_prefix(comma + 1);
  }
  return packet;
}

// Line ends as they are written, and without drawings and overrides, which stand in braces.
std::string PlainAss(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '{') {
      const size_t end = text.find('}', i);
      if (text.substr(i, end - i).find("\\p1") != text.npos) return "";
      if (end == text.npos) break;
      i = end;
    } else if (text[i] == '\\' && i + 1 < text.size() &&
               (text[i + 1] == 'N' || text[i + 1] == 'n' || text[i + 1] == 'h')) {
      out += ' ';
      ++i;
    } else {
      out += text[i];
    }
  }
  return out;
}

std::string Words(AVCodecID codec, std::string_view packet) {
  if (codec == AV_CODEC_ID_MOV_TEXT) {
    if (packet.size() < 2) return "";
    const size_t size =
        static_cast<size_t>(static_cast<uint8_t>(packet[0])) << 8 | static_cast<uint8_t>(packet[1]);
    packet = packet.substr(2, size);
  }
  const bool ass = codec == AV_CODEC_ID_ASS || codec == AV_CODEC_ID_SSA;
  const std::string utf8 = SanitizeUtf8(ass ? PlainAss(AssText(packet)) : std::string(packet));
  std::string out;
  for (std::string_view line : Split(utf8, '\n')) {
    const std::string words = ass ? std::string(Trim(line)) : PlainCue(line);
    if (words.empty()) continue;
    if (!out.empty()) out += ' ';
    out += words;
  }
  return out;
}

}  // namespace

FilmTexts::FilmTexts(AvFile& file, const PrepareOptions& options)
    : file_(file), bytes_left_(options.text_bytes_max), words_max_(options.passage_words_max) {
  for (const AVStream* stream : file.texts()) tracks_.push_back({stream, {}});
  file.ListenToTexts([this](const AVPacket& packet) { Take(packet); });
}

FilmTexts::~FilmTexts() { file_.ListenToTexts(nullptr); }

void FilmTexts::Take(const AVPacket& packet) {
  const auto track = std::find_if(tracks_.begin(), tracks_.end(), [&](const Track& other) {
    return other.stream->index == packet.stream_index;
  });
  if (track == tracks_.end() || track->cues.size() >= kCuesMax || packet.size <= 0 ||
      packet.pts == AV_NOPTS_VALUE) {
    return;
  }
  const std::string_view data(reinterpret_cast<const char*>(packet.data),
                              static_cast<size_t>(packet.size));
  Cue cue;
  cue.text = Words(track->stream->codecpar->codec_id, data);
  if (cue.text.empty() || cue.text.size() > bytes_left_) return;
  bytes_left_ -= cue.text.size();
  cue.start = std::max(0.0, file_.Seconds(packet.pts, *track->stream));
  const double length = static_cast<double>(packet.duration) * av_q2d(track->stream->time_base);
  cue.end = cue.start + std::clamp(length, 0.0, kSecondsMax);
  track->cues.push_back(std::move(cue));
}

std::vector<Segment> FilmTexts::Finish() {
  if (!tracks_.empty()) file_.ReadTextsToTheEnd();
  std::vector<Segment> out;
  for (Track& track : tracks_) {
    std::stable_sort(track.cues.begin(), track.cues.end(),
                     [](const Cue& a, const Cue& b) { return a.start < b.start; });
    for (Segment& scene : SubtitleScenes(track.cues, words_max_)) out.push_back(std::move(scene));
  }
  return out;
}

}  // namespace msearch::media
