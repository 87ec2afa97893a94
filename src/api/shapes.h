// What JSON objects are made of: the one description from which request bodies are checked and
// GET /api/openapi.json tells of bodies and answers. Private to this folder.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace msearch::api {

enum class Type {
  kText,
  kInteger,
  kNumber,
  kFlag,
  kId,  // a whole number, or a text of its digits
  kTexts,
  kTextOrTexts,
  kObject,
  kObjects,  // a list of them
  kAny,
};

struct Field {
  std::string name;
  Type type = Type::kText;
  std::string description = "";
  bool required = false;
  bool nullable = false;                 // null is as good as absent
  std::vector<std::string> values = {};  // texts are one of these; empty: any
  std::vector<Field> fields = {};        // of objects; empty: any
  std::optional<int64_t> min = {};       // kInteger
  std::optional<int64_t> max = {};

  // The same field, but so.
  Field Required() &&;
  Field OrNull() &&;
  Field OneOf(std::vector<std::string> texts) &&;
  Field Of(std::vector<Field> parts) &&;
  Field From(int64_t least, std::optional<int64_t> most = {}) &&;
};
using Shape = std::vector<Field>;

// kInvalid, naming the key and what is expected there, for an object that has a key that isn't in
// the shape, lacks a required one, or has a value of another type. `what` is what the object is,
// for people: "retry"; `prefix` stands before the names of its keys: "filters.".
Result<> CheckShape(const Json& object, const Shape& shape, const std::string& what,
                    const std::string& prefix = "");

// "; did you mean NEAREST?", or what there is when nothing is near.
std::string Suggestion(const std::string& word, const std::vector<std::string>& known);

// JSON Schema, as OpenAPI 3.1 has it. `closed`: there are no other properties.
Json SchemaOf(const Shape& shape, bool closed);

}  // namespace msearch::api
