#include "media/wire.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/strings.h"
#include "media/sound_print.h"

namespace msearch::media {
namespace {

constexpr size_t kThumbnailBytesMax = 16 << 20;
constexpr size_t kSegmentsMax = 1 << 20;
constexpr size_t kAttributesBytesMax = 64 << 10;

Error Misfit(const std::string& fault) {
  return {Code::kCrashed, "codec child: its answer doesn't fit the question: " + fault};
}

uint32_t Number(const Json& json, std::string_view key) {
  const int64_t value = GetInt(json, key).value_or(0);
  return value < 0 || value > UINT32_MAX ? 0 : static_cast<uint32_t>(value);
}

constexpr size_t kBoxesMax = 4096;

// A broken file can't make more of its boxes than a picture holds.
float Fraction(const Json& json, size_t index) {
  if (!json.is_array() || index >= json.size() || !json[index].is_number()) return 0;
  const float value = json[index].get<float>();
  return value >= 0 && value <= 1 ? value : 0;
}

std::optional<std::pair<double, double>> PositionFromJson(const Json& json) {
  if (!json.is_array() || json.size() != 2 || !json[0].is_number() || !json[1].is_number()) {
    return std::nullopt;
  }
  const std::pair<double, double> position(json[0].get<double>(), json[1].get<double>());
  if (!(std::abs(position.first) <= 90 && std::abs(position.second) <= 180)) return std::nullopt;
  return position;
}

// Valid UTF-8, and small enough to be shown.
Json AttributesFromJson(const Json& json) {
  constexpr size_t kBytesMax = 256 << 10;
  if (!json.is_object()) return Json::object();
  const std::string text = json.dump(-1, ' ', false, Json::error_handler_t::replace);
  return text.size() <= kBytesMax ? Json::parse(text) : Json::object();
}

std::optional<uint64_t> HashFromHex(std::string_view hex) {
  const auto bytes = HexDecode(hex);
  if (!bytes || bytes->size() != 8) return std::nullopt;
  uint64_t hash = 0;
  for (unsigned char byte : *bytes) hash = hash << 8 | byte;
  return hash;
}

std::string HashToHex(uint64_t hash) {
  std::string bytes(8, '\0');
  for (int i = 0; i < 8; ++i) bytes[i] = static_cast<char>(hash >> (56 - 8 * i));
  return HexEncode(bytes);
}

}  // namespace

Json ToJson(const Segment& segment) {
  Json json = {
      {"index", segment.index}, {"kind", KindName(segment.kind)}, {"pixels", segment.pixels}};
  if (!segment.text.empty()) json["text"] = segment.text;
  if (segment.start_time) json["start_time"] = *segment.start_time;
  if (segment.end_time) json["end_time"] = *segment.end_time;
  if (segment.page) json["page"] = *segment.page;
  for (const TextBox& box : segment.boxes) {
    json["boxes"].push_back({{"text", box.text}, {"box", {box.x, box.y, box.width, box.height}}});
  }
  return json;
}

Segment SegmentFromJson(const Json& json) {
  Segment segment;
  segment.index = Number(json, "index");
  segment.kind = KindFromName(GetString(json, "kind").value_or("")).value_or(SegmentKind::kPicture);
  segment.pixels = static_cast<int32_t>(GetInt(json, "pixels").value_or(-1));
  segment.text = SanitizeUtf8(GetString(json, "text").value_or(""));
  segment.start_time = GetDouble(json, "start_time");
  segment.end_time = GetDouble(json, "end_time");
  if (json.is_object() && json.contains("page")) segment.page = Number(json, "page");
  const Json boxes = json.is_object() ? json.value("boxes", Json::array()) : Json::array();
  for (const Json& item : boxes) {
    if (!item.is_object() || segment.boxes.size() == kBoxesMax) break;
    const Json at = item.value("box", Json::array());
    segment.boxes.push_back({SanitizeUtf8(GetString(item, "text").value_or("")), Fraction(at, 0),
                             Fraction(at, 1), Fraction(at, 2), Fraction(at, 3)});
  }
  return segment;
}

Json Prepared::Head() const {
  Json json = {{"type", TypeName(type)}, {"mime", mime}};
  if (width > 0) json["width"] = width;
  if (height > 0) json["height"] = height;
  if (captured_at) json["captured_at"] = *captured_at;
  if (!camera.empty()) json["camera"] = camera;
  if (gps) json["gps"] = {gps->first, gps->second};
  if (perceptual_hash) json["perceptual_hash"] = HashToHex(*perceptual_hash);
  if (!title.empty()) json["title"] = title;
  if (duration > 0) json["duration"] = duration;
  if (!attributes.empty()) json["attributes"] = attributes;
  Json list = Json::array();
  for (const Segment& segment : segments) list.push_back(ToJson(segment));
  json["segments"] = std::move(list);
  return json;
}

Result<Prepared> Prepared::FromHead(const Json& head) {
  const auto type = TypeFromName(GetString(head, "type").value_or(""));
  const auto segments = head.is_object() ? head.find("segments") : head.end();
  if (!type || segments == head.end() || !segments->is_array() || segments->empty() ||
      segments->size() > kSegmentsMax) {
    return Error{Code::kInvalid, "prepared media: neither type nor segments"};
  }
  Prepared out;
  out.type = *type;
  out.mime = SanitizeUtf8(GetString(head, "mime").value_or(""));
  out.width = Number(head, "width");
  out.height = Number(head, "height");
  out.captured_at = GetInt(head, "captured_at");
  out.camera = SanitizeUtf8(GetString(head, "camera").value_or(""));
  if (head.contains("gps")) out.gps = PositionFromJson(head["gps"]);
  out.perceptual_hash = HashFromHex(GetString(head, "perceptual_hash").value_or(""));
  out.title = SanitizeUtf8(GetString(head, "title").value_or(""));
  out.duration = std::max(0.0, GetDouble(head, "duration").value_or(0));
  if (head.contains("attributes")) out.attributes = AttributesFromJson(head["attributes"]);
  for (const Json& segment : *segments) out.segments.push_back(SegmentFromJson(segment));
  return out;
}

namespace {

Json Fields(const PrepareOptions& options) {
  return {{"ask", "prepare"},
          {"width", options.pixels.width},
          {"height", options.pixels.height},
          {"fit", static_cast<int>(options.pixels.fit)},
          {"thumbnail_side_max", options.thumbnail_side_max},
          {"picture_pixels_max", options.picture_pixels_max},
          {"text_bytes_max", options.text_bytes_max},
          {"passage_words_max", options.passage_words_max},
          {"shots_max", options.shots_max},
          {"seconds_max", options.seconds_max}};
}

Json Fields(const ViewWanted& wanted) {
  Json json = {{"ask", "view"},
               {"side_max", wanted.side_max},
               {"picture_pixels_max", wanted.picture_pixels_max}};
  if (wanted.page) json["page"] = *wanted.page;
  if (wanted.time) json["time"] = *wanted.time;
  return json;
}

Json Fields(const SamplesWanted& wanted) {
  return {{"ask", "samples"},
          {"start", wanted.start},
          {"seconds", wanted.seconds},
          {"rate", wanted.rate}};
}

Json Fields(const ClipWanted& wanted) {
  return {{"ask", "clip"},
          {"start", wanted.start},
          {"end", wanted.end},
          {"bytes_max", wanted.bytes_max},
          {"picture_pixels_max", wanted.picture_pixels_max}};
}

Result<Wanted> WantedFromJson(const Json& json) {
  const Error broken{Code::kInvalid, "codec child: broken request"};
  const std::string ask = GetString(json, "ask").value_or("");
  const auto pixels_max = GetInt(json, "picture_pixels_max");
  if (ask == "prepare") {
    const int64_t fit = GetInt(json, "fit").value_or(-1);
    const auto bytes_max = GetInt(json, "text_bytes_max");
    if (fit < 0 || fit > 2 || !pixels_max || !bytes_max) return broken;
    PrepareOptions options;
    options.pixels = {Number(json, "width"), Number(json, "height"),
                      static_cast<PixelsWanted::Fit>(fit)};
    options.thumbnail_side_max = Number(json, "thumbnail_side_max");
    options.picture_pixels_max = static_cast<uint64_t>(*pixels_max);
    options.text_bytes_max = static_cast<uint64_t>(*bytes_max);
    options.passage_words_max = Number(json, "passage_words_max");
    options.shots_max = Number(json, "shots_max");
    options.seconds_max = Number(json, "seconds_max");
    return Wanted(options);
  }
  if (ask == "view") {
    ViewWanted wanted;
    if (json.contains("page")) wanted.page = Number(json, "page");
    wanted.time = GetDouble(json, "time");
    wanted.side_max = Number(json, "side_max");
    if (!pixels_max || wanted.side_max == 0) return broken;
    wanted.picture_pixels_max = static_cast<uint64_t>(*pixels_max);
    return Wanted(wanted);
  }
  if (ask == "clip") {
    ClipWanted wanted;
    wanted.start = GetDouble(json, "start").value_or(-1);
    wanted.end = GetDouble(json, "end").value_or(-1);
    const int64_t bytes_max = GetInt(json, "bytes_max").value_or(0);
    const bool fits = wanted.start >= 0 && wanted.end > wanted.start &&
                      wanted.end - wanted.start <= kClipSecondsMax && bytes_max > 0 && pixels_max;
    if (!fits) return broken;
    wanted.bytes_max = static_cast<uint64_t>(bytes_max);
    wanted.picture_pixels_max = static_cast<uint64_t>(*pixels_max);
    return Wanted(wanted);
  }
  if (ask == "samples") {
    SamplesWanted wanted;
    wanted.start = GetDouble(json, "start").value_or(0);
    wanted.seconds = GetDouble(json, "seconds").value_or(0);
    wanted.rate = Number(json, "rate");
    const bool fits = wanted.start >= 0 && wanted.seconds > 0 &&
                      wanted.seconds <= kSamplesSecondsMax && wanted.rate >= 8000 &&
                      wanted.rate <= 48000;
    if (!fits) return broken;
    return Wanted(wanted);
  }
  return broken;
}

}  // namespace

Json FormatsRequest() { return {{"ask", "formats"}}; }

Json ToJson(const CodecRequest& request) {
  Json json = std::visit([](const auto& wanted) { return Fields(wanted); }, request.wanted);
  json["name"] = SanitizeUtf8(request.name);
  json["by_tool"] = request.by_tool;
  return json;
}

Result<CodecRequest> RequestFromJson(const Json& json) {
  const auto name = GetString(json, "name");
  if (!name) return Error{Code::kInvalid, "codec child: broken request"};
  return CodecRequest{*name, TRY(WantedFromJson(json)), GetBool(json, "by_tool").value_or(false)};
}

Frame ToFrame(Prepared prepared) {
  Frame frame;
  frame.head = prepared.Head();
  frame.parts.push_back(std::move(prepared.thumbnail));
  frame.parts.push_back(std::move(prepared.strip));
  frame.parts.push_back(std::move(prepared.sound));
  for (std::string& pixels : prepared.pixels) frame.parts.push_back(std::move(pixels));
  return frame;
}

Frame ToFrame(View view) {
  Frame frame;
  frame.head = {{"width", view.width}, {"height", view.height}};
  frame.parts.push_back(std::move(view.rgb));
  return frame;
}

Frame ToFrame(const std::vector<float>& samples) {
  Frame frame;
  frame.head = Json::object();
  frame.parts.emplace_back(reinterpret_cast<const char*>(samples.data()),
                           samples.size() * sizeof(float));
  return frame;
}

Frame ToFrame(const Clip& clip, std::string piece) {
  Frame frame;
  frame.head = {{"mime", clip.mime}, {"start", clip.start}, {"end", clip.end}};
  if (!piece.empty()) frame.parts.push_back(std::move(piece));
  return frame;
}

Result<Clip> ClipFromFrame(const Frame& frame, const ClipWanted& wanted) {
  Clip clip;
  clip.mime = GetString(frame.head, "mime").value_or("");
  clip.start = GetDouble(frame.head, "start").value_or(-1);
  clip.end = GetDouble(frame.head, "end").value_or(-1);
  const bool known = clip.mime == "video/mp4" || clip.mime == "audio/mp4";
  const bool placed = clip.start >= 0 && clip.start <= wanted.end && clip.end >= clip.start &&
                      std::isfinite(clip.end);
  const bool fits = frame.parts.empty() || (frame.parts.size() == 1 && !frame.parts[0].empty() &&
                                            frame.parts[0].size() <= kClipPieceBytesMax);
  if (!known || !placed || !fits) return Misfit("clip");
  return clip;
}

Result<Prepared> PreparedFromFrame(Frame frame, const PrepareOptions& options) {
  Result<Prepared> head = Prepared::FromHead(frame.head);
  if (!head.ok()) return Misfit(head.message());
  if (frame.parts.size() < 3 || frame.parts[0].size() > kThumbnailBytesMax) {
    return Misfit("thumbnail");
  }
  if (frame.parts[1].size() > kThumbnailBytesMax) return Misfit("film strip");
  Prepared out = std::move(*head);
  if (DumpJson(out.attributes).size() > kAttributesBytesMax) return Misfit("attributes");
  out.thumbnail = std::move(frame.parts[0]);
  out.strip = std::move(frame.parts[1]);
  out.sound = std::move(frame.parts[2]);
  const size_t pixels_size = size_t{options.pixels.width} * options.pixels.height * 3;
  for (size_t i = 3; i < frame.parts.size(); ++i) {
    if (frame.parts[i].size() != pixels_size) return Misfit("size of the pixels");
    out.pixels.push_back(std::move(frame.parts[i]));
  }
  for (const Segment& segment : out.segments) {
    if (segment.pixels >= static_cast<int64_t>(out.pixels.size())) return Misfit("pixels missing");
  }
  if (!out.sound.empty()) {
    const auto print = SoundPrint::Decode(out.sound);
    const auto windows =
        std::count_if(out.segments.begin(), out.segments.end(),
                      [](const Segment& segment) { return segment.kind == SegmentKind::kSound; });
    if (!print.ok() || static_cast<size_t>(windows) != print->windows.size()) {
      return Misfit("sound print");
    }
  }
  return out;
}

Result<View> ViewFromFrame(Frame frame, const ViewWanted& wanted) {
  View view;
  view.width = Number(frame.head, "width");
  view.height = Number(frame.head, "height");
  const uint32_t longer = std::max(view.width, view.height);
  const bool fits = longer > 0 && longer <= wanted.side_max && frame.parts.size() == 1 &&
                    frame.parts[0].size() == size_t{view.width} * view.height * 3;
  if (!fits) return Misfit("size of the view");
  view.rgb = std::move(frame.parts[0]);
  return view;
}

Result<std::vector<float>> SamplesFromFrame(const Frame& frame, const SamplesWanted& wanted) {
  const double most = wanted.seconds * wanted.rate + 1;
  const size_t count = frame.parts.empty() ? 0 : frame.parts[0].size() / sizeof(float);
  if (frame.parts.size() != 1 || frame.parts[0].size() % sizeof(float) != 0 ||
      static_cast<double>(count) > most) {
    return Misfit("number of samples");
  }
  std::vector<float> samples(frame.parts[0].size() / sizeof(float));
  std::memcpy(samples.data(), frame.parts[0].data(), frame.parts[0].size());
  for (float& sample : samples) {
    if (!std::isfinite(sample)) sample = 0;
  }
  return samples;
}

}  // namespace msearch::media
