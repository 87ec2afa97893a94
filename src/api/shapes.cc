#include "api/shapes.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "base/log.h"
#include "base/strings.h"

namespace msearch::api {
namespace {

std::vector<std::string> NamesOf(const Shape& shape) {
  std::vector<std::string> names;
  for (const Field& field : shape) names.push_back(field.name);
  return names;
}

std::string Expected(const Field& field) {
  switch (field.type) {
    case Type::kText:
      return field.values.empty() ? "a text" : "one of " + Join(field.values, ", ");
    case Type::kInteger:
      if (field.min && field.max) {
        return fmt::format("a whole number from {} to {}", *field.min, *field.max);
      }
      return field.min ? fmt::format("a whole number of at least {}", *field.min)
                       : "a whole number";
    case Type::kNumber:
      return "a number";
    case Type::kFlag:
      return "true or false";
    case Type::kId:
      return "an id";
    case Type::kTexts:
      return "a list of texts";
    case Type::kTextOrTexts:
      return "a text or a list of texts";
    case Type::kObject:
      return "an object";
    case Type::kObjects:
      return "a list of objects";
    case Type::kAny:
      return "a value";
  }
  return "a value";
}

bool IsInteger(const Field& field, const Json& value) {
  constexpr uint64_t kMax = std::numeric_limits<int64_t>::max();
  if (!value.is_number_integer()) return false;
  if (value.is_number_unsigned() && value.get<uint64_t>() > kMax) return false;
  const auto number = value.get<int64_t>();
  return (!field.min || number >= *field.min) && (!field.max || number <= *field.max);
}

bool IsId(const Json& value) {
  if (!value.is_string()) return value.is_number_integer();
  const auto& text = value.get_ref<const std::string&>();
  return !text.empty() && text.size() < 19 &&
         text.find_first_not_of("0123456789") == std::string::npos;
}

bool AreAll(const Json& list, bool (Json::*is)() const noexcept) {
  return list.is_array() &&
         std::all_of(list.begin(), list.end(), [is](const Json& item) { return (item.*is)(); });
}

bool HasType(const Field& field, const Json& value) {
  switch (field.type) {
    case Type::kText:
      return value.is_string();
    case Type::kInteger:
      return IsInteger(field, value);
    case Type::kNumber:
      return value.is_number();
    case Type::kFlag:
      return value.is_boolean();
    case Type::kId:
      return IsId(value);
    case Type::kTexts:
      return AreAll(value, &Json::is_string);
    case Type::kTextOrTexts:
      return value.is_string() || AreAll(value, &Json::is_string);
    case Type::kObject:
      return value.is_object();
    case Type::kObjects:
      return AreAll(value, &Json::is_object);
    case Type::kAny:
      return true;
  }
  return false;
}

Result<> CheckField(const Field& field, const Json& value, const std::string& path) {
  if (value.is_null() && field.nullable) return Ok{};
  if (!HasType(field, value)) {
    return Error{Code::kInvalid, path + ": " + Expected(field) + " is expected"};
  }
  if (!field.values.empty()) {
    for (const Json& item : value.is_array() ? value : Json::array({value})) {
      const auto& text = item.get_ref<const std::string&>();
      if (std::find(field.values.begin(), field.values.end(), text) != field.values.end()) continue;
      return Error{Code::kInvalid,
                   path + ": " + SanitizeUtf8(text) + " is not one of " + Join(field.values, ", ")};
    }
  }
  if (field.type == Type::kObject && !field.fields.empty()) {
    return CheckShape(value, field.fields, path, path + ".");
  }
  return Ok{};
}

Json TypeSchema(const Field& field, bool closed) {
  const auto text = [&] {
    Json json{{"type", "string"}};
    if (!field.values.empty()) json["enum"] = field.values;
    return json;
  };
  const auto object = [&]() -> Json {
    if (field.fields.empty()) return {{"type", "object"}};
    return SchemaOf(field.fields, closed);
  };
  const auto list = [](const Json& items) -> Json { return {{"type", "array"}, {"items", items}}; };
  switch (field.type) {
    case Type::kText:
      return text();
    case Type::kInteger: {
      Json json{{"type", "integer"}};
      if (field.min) json["minimum"] = *field.min;
      if (field.max) json["maximum"] = *field.max;
      return json;
    }
    case Type::kNumber:
      return {{"type", "number"}};
    case Type::kFlag:
      return {{"type", "boolean"}};
    case Type::kId:
      return {{"type", Json::array({"integer", "string"})}};
    case Type::kTexts:
      return list(text());
    case Type::kTextOrTexts:
      return {{"anyOf", Json::array({text(), list(text())})}};
    case Type::kObject:
      return object();
    case Type::kObjects:
      return list(object());
    case Type::kAny:
      return Json::object();
  }
  return Json::object();
}

}  // namespace

Field Field::Required() && {
  required = true;
  return std::move(*this);
}

Field Field::OrNull() && {
  nullable = true;
  return std::move(*this);
}

Field Field::OneOf(std::vector<std::string> texts) && {
  values = std::move(texts);
  return std::move(*this);
}

Field Field::Of(std::vector<Field> parts) && {
  fields = std::move(parts);
  return std::move(*this);
}

Field Field::From(int64_t least, std::optional<int64_t> most) && {
  min = least;
  max = most;
  return std::move(*this);
}

std::string Suggestion(const std::string& word, const std::vector<std::string>& known) {
  if (const auto nearest = NearestWord(word, known)) return "; did you mean " + *nearest + "?";
  return known.empty() ? "; there is none" : "; there is " + Join(known, ", ");
}

Result<> CheckShape(const Json& object, const Shape& shape, const std::string& what,
                    const std::string& prefix) {
  if (!object.is_object()) return Error{Code::kInvalid, what + ": an object is expected"};
  for (const auto& [key, value] : object.items()) {
    const auto field =
        std::find_if(shape.begin(), shape.end(), [&](const Field& one) { return one.name == key; });
    if (field == shape.end()) {
      return Error{Code::kInvalid,
                   what + ": unknown key " + SanitizeUtf8(key) + Suggestion(key, NamesOf(shape))};
    }
    TRY(CheckField(*field, value, prefix + key));
  }
  for (const Field& field : shape) {
    if (!field.required || object.contains(field.name)) continue;
    return Error{Code::kInvalid,
                 what + ": " + field.name + " is missing; " + Expected(field) + " is expected"};
  }
  return Ok{};
}

Json SchemaOf(const Shape& shape, bool closed) {
  Json json{{"type", "object"}, {"properties", Json::object()}};
  Json required = Json::array();
  for (const Field& field : shape) {
    Json schema = TypeSchema(field, closed);
    if (field.nullable && !schema.empty()) {
      schema = {{"anyOf", Json::array({schema, {{"type", "null"}}})}};
    }
    if (!field.description.empty()) schema["description"] = field.description;
    json["properties"][field.name] = std::move(schema);
    if (field.required) required.push_back(field.name);
  }
  if (!required.empty()) json["required"] = std::move(required);
  if (closed) json["additionalProperties"] = false;
  return json;
}

}  // namespace msearch::api
