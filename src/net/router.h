// Which route a request belongs to. Immutable, so thread-safe.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "net/http_server.h"

namespace msearch::net {

class Router {
 public:
  // REQUIRES: patterns as documented at Route, "{rest...}" only as their last part.
  explicit Router(std::vector<Route> routes);

  struct Match {
    const Route* route = nullptr;        // null: 405 when `allow` isn't empty, else 404
    std::vector<std::string> arguments;  // what the {name} parts matched
    std::string allow;                   // "GET, HEAD, POST"
  };
  Match Find(std::string_view method, const std::vector<std::string>& parts) const;

 private:
  struct Part {
    enum Kind { kLiteral, kName, kRest };  // in the order in which they are tried
    Kind kind;
    std::string text;
  };
  struct Entry {
    Route route;
    std::vector<Part> parts;
    bool has_rest() const { return !parts.empty() && parts.back().kind == Part::kRest; }
  };
  static std::vector<Part> Compile(const std::string& pattern);
  static bool Fits(const Entry& entry, const std::vector<std::string>& parts);
  static bool SameKinds(const Entry& a, const Entry& b);
  static std::vector<std::string> Arguments(const Entry& entry,
                                            const std::vector<std::string>& parts);

  std::vector<Entry> entries_;  // the more specific first
};

}  // namespace msearch::net
