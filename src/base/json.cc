#include "base/json.h"

namespace msearch {
namespace {

const Json* Find(const Json& object, std::string_view key) {
  if (!object.is_object()) return nullptr;
  auto found = object.find(key);
  return found == object.end() ? nullptr : &*found;
}

// Depth is checked on the text before parsing: the parser itself recurses only in destructors and
// dumps, which is where a deeply nested value would do harm.
bool TooDeep(std::string_view text, int max_depth) {
  int depth = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '[' || c == '{') {
      if (++depth > max_depth) return true;
    } else if (c == ']' || c == '}') {
      --depth;
    }
  }
  return false;
}

// "line 1, column 8: unexpected ..." of the library's "[json.exception.parse_error.101] parse error
// at line 1, column 8: ...".
std::string Plain(const Json::exception& e) {
  std::string_view text = e.what();
  if (const size_t end = text.find("] "); text.starts_with('[') && end != text.npos) {
    text.remove_prefix(end + 2);
  }
  constexpr std::string_view kAt = "parse error at ";
  if (text.starts_with(kAt)) text.remove_prefix(kAt.size());
  return std::string(text);
}

}  // namespace

Result<Json> ParseJson(std::string_view text, int max_depth) {
  if (TooDeep(text, max_depth)) return Error{Code::kInvalid, "JSON: nested too deeply"};
  try {
    return Json::parse(text);
  } catch (const Json::exception& e) {
    return Error{Code::kInvalid, "JSON: " + Plain(e)};
  }
}

std::string DumpJson(const Json& value, int indent) {
  return value.dump(indent, ' ', false, Json::error_handler_t::replace);
}

std::string ToCbor(const Json& value) {
  std::string out;
  Json::to_cbor(value, out);
  return out;
}

Result<Json> FromCbor(std::string_view bytes) {
  try {
    return Json::from_cbor(bytes);
  } catch (const Json::exception& e) {
    return Error{Code::kCorrupt, "CBOR: " + Plain(e)};
  }
}

std::optional<std::string> GetString(const Json& object, std::string_view key) {
  const Json* value = Find(object, key);
  if (value == nullptr || !value->is_string()) return std::nullopt;
  return value->get<std::string>();
}

std::optional<int64_t> GetInt(const Json& object, std::string_view key) {
  const Json* value = Find(object, key);
  if (value == nullptr || !value->is_number_integer()) return std::nullopt;
  return value->get<int64_t>();
}

std::optional<double> GetDouble(const Json& object, std::string_view key) {
  const Json* value = Find(object, key);
  if (value == nullptr || !value->is_number()) return std::nullopt;
  return value->get<double>();
}

std::optional<bool> GetBool(const Json& object, std::string_view key) {
  const Json* value = Find(object, key);
  if (value == nullptr || !value->is_boolean()) return std::nullopt;
  return value->get<bool>();
}

}  // namespace msearch
