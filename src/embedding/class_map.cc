#include "embedding/class_map.h"

#include <optional>

#include "base/strings.h"

namespace msearch::embedding {
namespace {

constexpr size_t kClassesMax = 65536;

// The fields of a line; a quoted one may hold commas, and quotes twice. Nothing for a quotation
// that doesn't end, or that doesn't fill its field.
std::optional<std::vector<std::string>> Fields(std::string_view line) {
  std::vector<std::string> fields;
  size_t at = 0;
  while (true) {
    std::string& field = fields.emplace_back();
    if (at < line.size() && line[at] == '"') {
      for (++at; at < line.size(); ++at) {
        if (line[at] != '"') {
          field += line[at];
        } else if (at + 1 < line.size() && line[at + 1] == '"') {
          field += line[at++];
        } else {
          break;
        }
      }
      if (at++ >= line.size()) return std::nullopt;
    } else {
      while (at < line.size() && line[at] != ',') field += line[at++];
    }
    if (at == line.size()) return fields;
    if (line[at++] != ',') return std::nullopt;
  }
}

}  // namespace

Result<std::vector<std::string>> ParseClassMap(std::string_view csv) {
  std::vector<std::string> names;
  size_t number = 0;
  for (std::string_view line : Split(csv, '\n')) {
    ++number;
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty()) continue;
    auto corrupt = [&](const std::string& fault) {
      return Error{Code::kCorrupt, "class map: line " + std::to_string(number) + ": " + fault};
    };
    const auto fields = Fields(line);
    if (!fields) return corrupt("a quotation that isn't one field");
    if (fields->size() != 3) return corrupt("not three fields");
    if (number == 1) {
      if ((*fields)[0] != "index") return corrupt("not the heading index,mid,display_name");
      continue;
    }
    if (names.size() == kClassesMax) return corrupt("more classes than any model has");
    if ((*fields)[0] != std::to_string(names.size())) {
      return corrupt("not class " + std::to_string(names.size()));
    }
    if (Trim((*fields)[2]).empty()) return corrupt("no name");
    names.emplace_back(Trim((*fields)[2]));
  }
  if (names.empty()) return Error{Code::kCorrupt, "class map: no classes"};
  return names;
}

}  // namespace msearch::embedding
