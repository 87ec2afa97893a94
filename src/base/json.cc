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

}  // namespace

Result<Json> ParseJson(std::string_view text, int max_depth) {
  if (TooDeep(text, max_depth)) return Error{Code::kInvalid, "JSON: nested too deeply"};
  try {
    return Json::parse(text);
  } catch (const Json::exception& e) {
    return Error{Code::kInvalid, std::string("JSON: ") + e.what()};
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
    return Error{Code::kCorrupt, std::string("CBOR: ") + e.what()};
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
