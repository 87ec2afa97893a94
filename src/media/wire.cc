#include "media/wire.h"

#include <cmath>

#include "base/strings.h"

namespace msearch::media {
namespace {

constexpr size_t kThumbnailBytesMax = 16 << 20;
constexpr size_t kSegmentsMax = 1 << 20;

Error Misfit(const std::string& fault) {
  return {Code::kCrashed, "codec child: its answer doesn't fit the question: " + fault};
}

uint32_t Number(const Json& json, std::string_view key) {
  const int64_t value = GetInt(json, key).value_or(0);
  return value < 0 || value > UINT32_MAX ? 0 : static_cast<uint32_t>(value);
}

Json ToJson(const Segment& segment) {
  Json json = {{"index", segment.index}, {"pixels", segment.pixels}};
  if (!segment.text.empty()) json["text"] = segment.text;
  if (segment.start_time) json["start_time"] = *segment.start_time;
  if (segment.end_time) json["end_time"] = *segment.end_time;
  if (segment.page) json["page"] = *segment.page;
  return json;
}

Segment SegmentFromJson(const Json& json) {
  Segment segment;
  segment.index = Number(json, "index");
  segment.pixels = static_cast<int32_t>(GetInt(json, "pixels").value_or(-1));
  segment.text = SanitizeUtf8(GetString(json, "text").value_or(""));
  segment.start_time = GetDouble(json, "start_time");
  segment.end_time = GetDouble(json, "end_time");
  if (json.contains("page")) segment.page = Number(json, "page");
  return segment;
}

std::optional<std::pair<double, double>> PositionFromJson(const Json& json) {
  if (!json.is_array() || json.size() != 2 || !json[0].is_number() || !json[1].is_number()) {
    return std::nullopt;
  }
  const std::pair<double, double> position(json[0].get<double>(), json[1].get<double>());
  if (!(std::abs(position.first) <= 90 && std::abs(position.second) <= 180)) return std::nullopt;
  return position;
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

Json Prepared::Head() const {
  Json json = {{"type", TypeName(type)}, {"mime", mime}};
  if (width > 0) json["width"] = width;
  if (height > 0) json["height"] = height;
  if (captured_at) json["captured_at"] = *captured_at;
  if (!camera.empty()) json["camera"] = camera;
  if (gps) json["gps"] = {gps->first, gps->second};
  if (perceptual_hash) json["perceptual_hash"] = HashToHex(*perceptual_hash);
  if (!title.empty()) json["title"] = title;
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
  for (const Json& segment : *segments) out.segments.push_back(SegmentFromJson(segment));
  return out;
}

Json ToJson(const PrepareRequest& request) {
  const PrepareOptions& options = request.options;
  return {{"name", SanitizeUtf8(request.name)},
          {"width", options.pixels.width},
          {"height", options.pixels.height},
          {"fit", static_cast<int>(options.pixels.fit)},
          {"thumbnail_side_max", options.thumbnail_side_max},
          {"picture_pixels_max", options.picture_pixels_max},
          {"text_bytes_max", options.text_bytes_max},
          {"passage_words_max", options.passage_words_max}};
}

Result<PrepareRequest> RequestFromJson(const Json& json) {
  const auto name = GetString(json, "name");
  const int64_t fit = GetInt(json, "fit").value_or(-1);
  const auto pixels_max = GetInt(json, "picture_pixels_max");
  const auto bytes_max = GetInt(json, "text_bytes_max");
  if (!name || fit < 0 || fit > 2 || !pixels_max || !bytes_max) {
    return Error{Code::kInvalid, "codec child: broken request"};
  }
  PrepareRequest request;
  request.name = *name;
  request.options.pixels = {Number(json, "width"), Number(json, "height"),
                            static_cast<PixelsWanted::Fit>(fit)};
  request.options.thumbnail_side_max = Number(json, "thumbnail_side_max");
  request.options.picture_pixels_max = static_cast<uint64_t>(*pixels_max);
  request.options.text_bytes_max = static_cast<uint64_t>(*bytes_max);
  request.options.passage_words_max = Number(json, "passage_words_max");
  return request;
}

Frame ToFrame(Prepared prepared) {
  Frame frame;
  frame.head = prepared.Head();
  frame.parts.push_back(std::move(prepared.thumbnail));
  for (std::string& pixels : prepared.pixels) frame.parts.push_back(std::move(pixels));
  return frame;
}

Result<Prepared> PreparedFromFrame(Frame frame, const PrepareOptions& options) {
  Result<Prepared> head = Prepared::FromHead(frame.head);
  if (!head.ok()) return Misfit(head.message());
  if (frame.parts.empty() || frame.parts[0].size() > kThumbnailBytesMax) return Misfit("thumbnail");
  Prepared out = std::move(*head);
  out.thumbnail = std::move(frame.parts[0]);
  const size_t pixels_size = size_t{options.pixels.width} * options.pixels.height * 3;
  for (size_t i = 1; i < frame.parts.size(); ++i) {
    if (frame.parts[i].size() != pixels_size) return Misfit("size of the pixels");
    out.pixels.push_back(std::move(frame.parts[i]));
  }
  for (const Segment& segment : out.segments) {
    if (segment.pixels >= static_cast<int64_t>(out.pixels.size())) return Misfit("pixels missing");
  }
  return out;
}

}  // namespace msearch::media
