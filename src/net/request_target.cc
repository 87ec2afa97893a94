#include "net/request_target.h"

#include <algorithm>
#include <optional>

#include "base/strings.h"

namespace msearch::net {
namespace {

constexpr size_t kFieldsMax = 1000;

int HexValue(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

// Nothing for a broken escape, NUL or text that isn't UTF-8.
std::optional<std::string> PercentDecode(std::string_view text, bool plus_is_space) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (c == '%') {
      if (i + 2 >= text.size()) return std::nullopt;
      int high = HexValue(text[i + 1]), low = HexValue(text[i + 2]);
      if (high < 0 || low < 0) return std::nullopt;
      c = static_cast<char>(high * 16 + low);
      i += 2;
    } else if (c == '+' && plus_is_space) {
      c = ' ';
    }
    if (c == '\0') return std::nullopt;
    out.push_back(c);
  }
  if (!IsUtf8(out)) return std::nullopt;
  return out;
}

bool HasParentPart(std::string_view path) {
  for (std::string_view part : Split(path, '/')) {
    if (part == "..") return true;
  }
  return false;
}

}  // namespace

Result<std::multimap<std::string, std::string>> ParseUrlEncoded(std::string_view text) {
  std::multimap<std::string, std::string> fields;
  if (text.empty()) return fields;
  for (std::string_view field : Split(text, '&')) {
    if (field.empty()) continue;
    if (fields.size() == kFieldsMax) return Error{Code::kInvalid, "query: too many fields"};
    size_t equals = std::min(field.find('='), field.size());
    auto name = PercentDecode(field.substr(0, equals), true);
    auto value = PercentDecode(field.substr(std::min(equals + 1, field.size())), true);
    if (!name || !value) return Error{Code::kInvalid, "query: not valid percent-encoded UTF-8"};
    fields.emplace(std::move(*name), std::move(*value));
  }
  return fields;
}

Result<RequestTarget> ParseRequestTarget(std::string_view raw) {
  RequestTarget target;
  raw = raw.substr(0, raw.find('#'));
  size_t question = std::min(raw.find('?'), raw.size());
  std::string_view path = raw.substr(0, question);
  if (path.empty() || path[0] != '/') return Error{Code::kInvalid, "path: must begin with a slash"};
  if (path.size() > 1) {
    for (std::string_view part : Split(path.substr(1), '/')) {
      auto decoded = PercentDecode(part, false);
      if (!decoded) return Error{Code::kInvalid, "path: not valid percent-encoded UTF-8"};
      target.path += "/" + *decoded;
      target.parts.push_back(std::move(*decoded));
    }
  } else {
    target.path = "/";
  }
  if (HasParentPart(target.path)) return Error{Code::kInvalid, "path: has a \"..\" part"};
  target.query = TRY(ParseUrlEncoded(raw.substr(std::min(question + 1, raw.size()))));
  return target;
}

std::map<std::string, std::string> ParseCookies(std::string_view header) {
  std::map<std::string, std::string> cookies;
  if (header.empty()) return cookies;
  for (std::string_view pair : Split(header, ';')) {
    size_t equals = pair.find('=');
    if (equals == std::string_view::npos || cookies.size() == kFieldsMax) continue;
    std::string_view name = Trim(pair.substr(0, equals)), value = Trim(pair.substr(equals + 1));
    if (value.size() >= 2 && value.front() == '"' && value.back() == '"') {
      value = value.substr(1, value.size() - 2);
    }
    if (!name.empty()) cookies.emplace(name, value);
  }
  return cookies;
}

}  // namespace msearch::net
