#include "api/api.h"

#include <arpa/inet.h>

#include <algorithm>

#include "api/events.h"
#include "api/route_table.h"
#include "net/http_client.h"

namespace msearch::api {
namespace {

// Compares without telling by its time how much was right.
bool SameSecret(std::string_view a, std::string_view b) {
  unsigned difference = a.size() == b.size() ? 0 : 1;
  for (size_t i = 0; i < a.size(); ++i) {
    difference |= static_cast<unsigned char>(a[i]) ^
                  static_cast<unsigned char>(b[b.empty() ? 0 : i % b.size()]);
  }
  return difference == 0;
}

// "example.org:80", "[::1]:80", "1.2.3.4" without port and brackets.
std::string HostName(std::string host) {
  if (host.starts_with('[')) return host.substr(1, host.find(']') - 1);
  if (std::count(host.begin(), host.end(), ':') == 1) host.resize(host.find(':'));
  return host;
}

bool IsAddress(const std::string& host) {
  in6_addr buffer{};
  return inet_pton(AF_INET, host.c_str(), &buffer) == 1 ||
         inet_pton(AF_INET6, host.c_str(), &buffer) == 1;
}

Json ParameterJson(const std::string& name, const std::string& in, const std::string& type,
                   const std::string& description) {
  Json json{{"name", name}, {"in", in}, {"required", in == "path"}, {"schema", {{"type", type}}}};
  if (!description.empty()) json["description"] = description;
  return json;
}

// The same as a form, in which these may be files; what isn't text is JSON in a field.
Json FormSchema(Json schema, const std::vector<std::string>& files) {
  const Json file{{"type", "string"}, {"format", "binary"}};
  for (const std::string& name : files) {
    Json& property = schema["properties"][name];
    property = property.is_null() ? file : Json{{"anyOf", Json::array({file, property})}};
  }
  schema.erase("required");
  return schema;
}

}  // namespace

Json OpenApi(const Table& table, const std::string& version) {
  Json paths = Json::object();
  for (const Entry& entry : table) {
    if (entry.pattern.find("...") != std::string::npos) continue;
    Json operation{{"summary", entry.summary}, {"parameters", Json::array()}};
    for (size_t at = entry.pattern.find('{'); at != std::string::npos;
         at = entry.pattern.find('{', at + 1)) {
      const std::string name = entry.pattern.substr(at + 1, entry.pattern.find('}', at) - at - 1);
      operation["parameters"].push_back(ParameterJson(name, "path", "string", ""));
    }
    for (const Parameter& parameter : entry.query) {
      operation["parameters"].push_back(
          ParameterJson(parameter.name, "query", parameter.type, parameter.description));
    }
    if (!entry.body.empty()) {
      const bool json = entry.body == "application/json";
      const Json schema =
          json ? SchemaOf(entry.takes, true) : Json{{"type", "string"}, {"format", "binary"}};
      operation["requestBody"] = {{"content", {{entry.body, {{"schema", schema}}}}}};
      if (!entry.files.empty()) {
        operation["requestBody"]["content"]["multipart/form-data"] = {
            {"schema", FormSchema(schema, entry.files)}};
      }
    }
    Json success{{"description", entry.answer.empty() ? "Success" : entry.answer}};
    if (!entry.gives.empty()) {
      success["content"] = {{"application/json", {{"schema", SchemaOf(entry.gives, false)}}}};
    }
    operation["responses"] = {{"2XX", success},
                              {"default",
                               {{"description", "application/problem+json with a stable code"},
                                {"content",
                                 {{"application/problem+json",
                                   {{"schema", {{"$ref", "#/components/schemas/Problem"}}}}}}}}}};
    std::string method = entry.method;
    std::transform(method.begin(), method.end(), method.begin(), ::tolower);
    paths[entry.pattern][method] = operation;
  }
  const Json text{{"type", "string"}};
  return {{"openapi", "3.1.0"},
          {"info", {{"title", "msearch"}, {"version", version}}},
          {"paths", paths},
          {"components",
           {{"schemas",
             {{"Problem",
               {{"type", "object"},
                {"properties",
                 {{"type", text},
                  {"title", text},
                  {"status", {{"type", "integer"}}},
                  {"detail", text},
                  {"code", text}}}}}}}}}};
}

struct Api::Impl {
  Context context;
  Events events;
  explicit Impl(Context with) : context(with), events(std::move(with)) {}
};

Api::Api(Context context) : impl_(std::make_unique<Impl>(std::move(context))) {}
Api::~Api() = default;
void Api::Stop() { impl_->events.Stop(); }

std::vector<net::Route> Api::Routes() {
  const Context& context = impl_->context;
  auto table = std::make_shared<Table>();
  AddSearchRoutes(context, table.get());
  AddRootRoutes(context, &impl_->events, table.get());
  AddMediaRoutes(context, table.get());
  AddTaskRoutes(context, table.get());
  AddAsyncRoutes(context, table.get());
  AddSystemRoutes(context, table.get());
  AddFeatureRoutes(context, table.get());
  AddComputeRoutes(context, table.get());
  table->push_back({.method = "GET",
                    .pattern = "/api/events",
                    .summary = "Server-sent events: roots, tasks, workers",
                    .handle = [this](const net::Request&) {
                      net::Response response;
                      response.content_type = "text/event-stream";
                      response.headers.emplace("Cache-Control", "no-store");
                      response.headers.emplace("X-Accel-Buffering", "no");
                      response.stream = [this](std::shared_ptr<net::Stream> stream) {
                        impl_->events.Add(std::move(stream));
                      };
                      return response;
                    }});
  table->push_back({.method = "GET",
                    .pattern = "/api/openapi.json",
                    .summary = "This description",
                    .handle = [table = std::weak_ptr<Table>(table), context](const net::Request&) {
                      const auto all = table.lock();
                      return JsonResponse(OpenApi(*all, context.version));
                    }});
  AddPageRoutes(context, table.get());
  std::vector<net::Route> routes;
  for (const Entry& entry : *table) {
    net::Route route{entry.method, entry.pattern, entry.body_bytes_max, entry.handle,
                     entry.handle_async};
    // The routes keep the table alive for the description of itself. The page's address has
    // parameters of its own, and probes of other programs may.
    const bool checked = entry.pattern.starts_with("/api/");
    if (route.handle) {
      route.handle = [table, checked, &entry](const net::Request& request) {
        const Result<> fine = checked ? CheckRequest(entry, request) : Ok{};
        return fine.ok() ? entry.handle(request) : ErrorResponse(fine.error());
      };
    } else {
      route.handle_async = [table, checked, &entry](std::shared_ptr<const net::Request> request,
                                                    net::Responder respond) {
        const Result<> fine = checked ? CheckRequest(entry, *request) : Ok{};
        if (!fine.ok()) return respond(ErrorResponse(fine.error()));
        entry.handle_async(std::move(request), std::move(respond));
      };
    }
    routes.push_back(std::move(route));
  }
  return routes;
}

std::optional<net::Response> Api::Gate(const net::Request& request) const {
  const Context& context = impl_->context;
  // A page of another site that gets a browser to speak to us names itself in Host (DNS
  // rebinding) or Origin (cross-site requests).
  const std::string host = request.Header("host").value_or("");
  const std::string name = HostName(host);
  const auto& allowed = context.allowed_hosts;
  if (!name.empty() && name != "localhost" && !IsAddress(name) &&
      std::find(allowed.begin(), allowed.end(), name) == allowed.end()) {
    return Problem(403, "host_not_allowed",
                   "Host " + name + ": not a name of this server; see server.allowed_hosts");
  }
  if (const auto origin = request.Header("origin")) {
    const size_t scheme = origin->find("://");
    if (scheme == std::string::npos || origin->substr(scheme + 3) != host) {
      return Problem(403, "origin_not_allowed", "Origin " + *origin + ": not this server");
    }
  }
  if (context.token.empty()) return std::nullopt;
  const bool open = !request.path.starts_with("/api/") && request.path != "/metrics";
  if (open || request.path == "/api/session") return std::nullopt;
  const std::string header = request.Header("authorization").value_or("");
  if (header.starts_with("Bearer ") && SameSecret(header.substr(7), context.token)) {
    return std::nullopt;
  }
  const auto cookie = request.cookies.find("msearch_token");
  if (cookie != request.cookies.end() &&
      (SameSecret(cookie->second, context.token) ||
       SameSecret(cookie->second, net::UrlEncode(context.token)))) {
    return std::nullopt;
  }
  net::Response response =
      Problem(401, "unauthorized", "an access token is needed: Authorization: Bearer TOKEN");
  response.headers.emplace("WWW-Authenticate", "Bearer");
  return response;
}

}  // namespace msearch::api
