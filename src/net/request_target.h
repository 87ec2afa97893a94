// The textual parts of a request: its target, query and cookies. All input is hostile.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace msearch::net {

struct RequestTarget {
  std::string path;                // decoded
  std::vector<std::string> parts;  // of the path, decoded each by itself; empty for "/"
  std::multimap<std::string, std::string> query;
};

// From "/api/media/7?size=2". kInvalid for anything that isn't a path from the root in valid
// percent-encoding and UTF-8, or that holds NUL or a ".." part, however encoded.
Result<RequestTarget> ParseRequestTarget(std::string_view raw);

// "a=1&b=%20", "+" being a space; kInvalid for broken encoding, NUL or more than 1,000 fields.
Result<std::multimap<std::string, std::string>> ParseUrlEncoded(std::string_view text);

// From the Cookie header. What is malformed is left out; the first of equal names wins.
std::map<std::string, std::string> ParseCookies(std::string_view header);

}  // namespace msearch::net
