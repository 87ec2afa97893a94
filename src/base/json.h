// The one include of the JSON library.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace msearch {

using Json = nlohmann::json;

// kInvalid with the position for anything that isn't one complete JSON value; `max_depth` bounds
// nesting, so that no input can exhaust the stack.
Result<Json> ParseJson(std::string_view text, int max_depth = 64);

// Never throws: bytes that aren't UTF-8 are replaced by U+FFFD.
std::string DumpJson(const Json& value, int indent = -1);

// Binary form (CBOR), for blobs and frames between our own processes.
std::string ToCbor(const Json& value);
Result<Json> FromCbor(std::string_view bytes);

// Typed look-ups that never throw: nothing when absent or of another type.
std::optional<std::string> GetString(const Json& object, std::string_view key);
std::optional<int64_t> GetInt(const Json& object, std::string_view key);
std::optional<double> GetDouble(const Json& object, std::string_view key);
std::optional<bool> GetBool(const Json& object, std::string_view key);

}  // namespace msearch
