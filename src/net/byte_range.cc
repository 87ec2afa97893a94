#include "net/byte_range.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include "base/strings.h"

namespace msearch::net {
namespace {

std::string_view WithoutWeakness(std::string_view tag) {
  return tag.starts_with("W/") ? tag.substr(2) : tag;
}

std::optional<uint64_t> ParseNumber(std::string_view text) {
  uint64_t value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// Nothing when the header isn't one well-formed range: it is then ignored, as the RFC says.
std::optional<Selection> ParseRange(std::string_view header, uint64_t size) {
  header = Trim(header);
  if (!header.starts_with("bytes=")) return std::nullopt;
  std::string_view range = Trim(header.substr(6));
  size_t dash = range.find('-');
  if (dash == std::string_view::npos || range.find(',') != std::string_view::npos) {
    return std::nullopt;
  }
  auto first = ParseNumber(Trim(range.substr(0, dash)));
  auto last = ParseNumber(Trim(range.substr(dash + 1)));
  if (dash > 0 && !first) return std::nullopt;
  if (dash + 1 < range.size() && !last) return std::nullopt;
  if (!first && !last) return std::nullopt;
  if (!first) {
    uint64_t count = std::min(*last, size);
    if (count == 0) return Selection{416, 0, 0};
    return Selection{206, size - count, count};
  }
  if (last && *last < *first) return std::nullopt;
  if (*first >= size) return Selection{416, 0, 0};
  uint64_t end = last ? std::min(*last, size - 1) : size - 1;
  return Selection{206, *first, end - *first + 1};
}

}  // namespace

bool IsUnchanged(const Request& request, const std::string& etag) {
  auto header = request.Header("if-none-match");
  if (!header || etag.empty()) return false;
  for (std::string_view tag : Split(*header, ',')) {
    tag = Trim(tag);
    if (tag == "*" || WithoutWeakness(tag) == WithoutWeakness(etag)) return true;
  }
  return false;
}

Selection SelectBytes(const Request& request, const std::string& etag, uint64_t size) {
  if (IsUnchanged(request, etag)) return {304, 0, 0};
  Selection whole{200, 0, size};
  auto range = request.Header("range");
  if (!range) return whole;
  if (auto condition = request.Header("if-range")) {
    // A weak tag never matches here, and a date isn't something that we send.
    bool same = !etag.empty() && !etag.starts_with("W/") && Trim(*condition) == etag;
    if (!same) return whole;
  }
  return ParseRange(*range, size).value_or(whole);
}

}  // namespace msearch::net
