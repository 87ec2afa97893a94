#include "net/router.h"

#include <algorithm>
#include <cassert>
#include <set>

#include "base/strings.h"

namespace msearch::net {

std::vector<Router::Part> Router::Compile(const std::string& pattern) {
  assert(!pattern.empty() && pattern[0] == '/');
  std::vector<Part> parts;
  if (pattern == "/") return parts;
  for (std::string_view text : Split(std::string_view(pattern).substr(1), '/')) {
    assert(parts.empty() || parts.back().kind != Part::kRest);
    bool braces = text.size() > 2 && text.front() == '{' && text.back() == '}';
    Part::Kind kind = !braces ? Part::kLiteral : text.ends_with("...}") ? Part::kRest : Part::kName;
    parts.push_back({kind, std::string(text)});
  }
  return parts;
}

Router::Router(std::vector<Route> routes) {
  for (Route& route : routes) {
    assert(!route.handle != !route.handle_async);
    std::vector<Part> parts = Compile(route.pattern);
    entries_.push_back({std::move(route), std::move(parts)});
  }
  std::stable_sort(entries_.begin(), entries_.end(), [](const Entry& a, const Entry& b) {
    if (a.has_rest() != b.has_rest()) return b.has_rest();
    return std::lexicographical_compare(
        a.parts.begin(), a.parts.end(), b.parts.begin(), b.parts.end(),
        [](const Part& left, const Part& right) { return left.kind < right.kind; });
  });
}

bool Router::SameKinds(const Entry& a, const Entry& b) {
  return std::equal(a.parts.begin(), a.parts.end(), b.parts.begin(), b.parts.end(),
                    [](const Part& left, const Part& right) { return left.kind == right.kind; });
}

bool Router::Fits(const Entry& entry, const std::vector<std::string>& parts) {
  size_t count = entry.parts.size();
  if (entry.has_rest() ? parts.size() + 1 < count : parts.size() != count) return false;
  for (size_t i = 0; i < count; ++i) {
    const Part& part = entry.parts[i];
    if (part.kind == Part::kRest) return true;
    if (part.kind == Part::kName ? parts[i].empty() : parts[i] != part.text) return false;
  }
  return true;
}

std::vector<std::string> Router::Arguments(const Entry& entry,
                                           const std::vector<std::string>& parts) {
  std::vector<std::string> arguments;
  for (size_t i = 0; i < entry.parts.size(); ++i) {
    if (entry.parts[i].kind == Part::kName) arguments.push_back(parts[i]);
    if (entry.parts[i].kind == Part::kRest) {
      arguments.push_back(Join({parts.begin() + static_cast<ptrdiff_t>(i), parts.end()}, "/"));
    }
  }
  return arguments;
}

Router::Match Router::Find(std::string_view method, const std::vector<std::string>& parts) const {
  std::set<std::string> allowed;
  const Entry* first = nullptr;
  for (const Entry& entry : entries_) {
    if (!Fits(entry, parts)) continue;
    // What fits less closely stands behind what fits more closely, and doesn't count then; of
    // catch-alls all count.
    const bool rests = first != nullptr && first->has_rest() && entry.has_rest();
    if (first != nullptr && !rests && !SameKinds(*first, entry)) break;
    first = &entry;
    if (entry.route.method == method) return {&entry.route, Arguments(entry, parts), {}};
    allowed.insert(entry.route.method);
    if (entry.route.method == "GET") allowed.insert("HEAD");
  }
  return {nullptr, {}, Join({allowed.begin(), allowed.end()}, ", ")};
}

}  // namespace msearch::net
