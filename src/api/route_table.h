// What the route files share: the table, answers, parameters. Private to this folder.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "api/api.h"
#include "api/shapes.h"

namespace msearch::api {

class Events;

struct Parameter {
  std::string name;
  std::string type;  // "string", "integer", "number", "boolean"
  std::string description;
};

struct Entry {
  std::string method;
  std::string pattern;
  std::string summary;
  std::vector<Parameter> query;  // path parameters derive from the pattern
  std::string body;              // media type; empty: none, and one that says something is refused
  Shape takes = {};              // the body, where it is JSON: as the handler gives to JsonBody
  std::vector<std::string> files = {};  // fields that a form may have as files, where one is taken
  std::string answer;                   // what a success holds, in words
  Shape gives = {};                     // the answer, where it is JSON; empty: not described
  uint64_t body_bytes_max = 1 << 20;
  std::function<net::Response(const net::Request&)> handle;
  std::function<void(std::shared_ptr<const net::Request>, net::Responder)> handle_async;
};
using Table = std::vector<Entry>;

void AddSearchRoutes(const Context& context, Table* table);
void AddRootRoutes(const Context& context, Events* events, Table* table);
void AddMediaRoutes(const Context& context, Table* table);
void AddTaskRoutes(const Context& context, Table* table);
void AddAsyncRoutes(const Context& context, Table* table);
void AddSystemRoutes(const Context& context, Table* table);
void AddFeatureRoutes(const Context& context, Table* table);
void AddComputeRoutes(const Context& context, Table* table);
void AddPageRoutes(const Context& context, Table* table);

Json OpenApi(const Table& table, const std::string& version);

net::Response JsonResponse(const Json& json, int status = 200);
// The status that fits the error's code.
net::Response ErrorResponse(const Error& error);
// Turns a Result<Json> into an answer.
net::Response Answer(const Result<Json>& result, int status = 200);

// Parameters of the query string; kInvalid naming the parameter.
Result<int64_t> IntParameter(const net::Request& request, const std::string& name, int64_t fallback,
                             int64_t min, int64_t max);
bool FlagParameter(const net::Request& request, const std::string& name);
Result<int64_t> IdArgument(const net::Request& request, size_t index);
// kInvalid for parameters that the route doesn't know, for flags that are neither true nor false,
// and for a body where none is taken.
Result<> CheckRequest(const Entry& entry, const net::Request& request);
// A JSON object of this shape as the request's body; an empty body is an empty object. `what` as in
// CheckShape.
Result<Json> JsonBody(const net::Request& request, const Shape& shape, const std::string& what);
// Filters from a JSON object or from the query string: the same names.
const Shape& FilterShape();
Result<catalog::Filters> FiltersFromJson(const Json& json);
Result<catalog::Filters> FiltersFromQuery(const net::Request& request);

// kNotFound naming the first of these roots that doesn't exist.
Result<> CheckRoots(const catalog::Catalog& catalog, const std::vector<std::string>& names);
// kNotFound for a queue that is neither one of the program's own nor known to the task queue.
Result<> CheckQueue(const Context& context, const std::string& name);

// Bytes as an unnamed file, for the codec child.
Result<Fd> MemoryFile(std::string_view bytes);
// Opens a path that a client named, if it lies inside a root once links are resolved; else
// kPermission, whether or not there is such a file.
Result<Fd> OpenInsideRoot(const catalog::Catalog& catalog, const std::string& path);

// Results that came too late: refused by the catalog since the start, and by the queue, as told by
// the workers that are seen now.
struct StaleResults {
  uint64_t commits = 0;
  uint64_t results = 0;
};
StaleResults CountStale(const Context& context);

// What the following make, for the description.
Shape RootAnswer();
Shape TaskAnswer();
Shape MediaAnswer();
Shape WorkerAnswer();
Shape QueueAnswer();
Shape StandingAnswer();  // of a request of asking

Json RootJson(const ingest::RootView& view);
Json TaskJson(const queue::Task& task);
Json WorkerJson(const queue::WorkerInfo& worker);
Json QueueJson(const queue::QueueStats& stats);
Json MediaJson(const catalog::Media& media);
Json ModelsJson(const Context& context);
// Paths for people: names that aren't UTF-8 with replacement characters.
Json PathsJson(const std::vector<catalog::Media::Path>& paths);
// [x, y, width, height]
Json BoxJson(const catalog::TextBox& box);
Json BoxesJson(const std::vector<catalog::TextBox>& boxes);
// The smallest box that holds all. REQUIRES: not empty.
catalog::TextBox Around(const std::vector<catalog::TextBox>& boxes);
std::string ThumbnailUrl(catalog::MediaId media, const std::string& type, const Digest& hash,
                         const Json& attributes);
std::string StripUrl(catalog::MediaId media, const Digest& hash);

}  // namespace msearch::api
