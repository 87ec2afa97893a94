// The names of a model's classes, as AudioSet's lists have them: a CSV file with the columns index,
// mid (an identifier of the knowledge graph) and display_name.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace msearch::embedding {

// The names, by index. kCorrupt, naming the line, for anything but rows 0, 1, 2, ... with a name
// each under a heading.
Result<std::vector<std::string>> ParseClassMap(std::string_view csv);

}  // namespace msearch::embedding
