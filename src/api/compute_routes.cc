// What compute servers on other machines ask: files and contents of the catalog, blobs, and whether
// a content is known. Behind the access token like everything below /api.

#include "api/route_table.h"
#include "base/log.h"
#include "ingest/pipeline.h"
#include "ingest/served_files.h"
#include "storage/blob_store.h"

namespace msearch::api {
namespace {

constexpr uint64_t kBlobBytesMax = uint64_t{256} << 20;

net::Response BytesResponse(std::string bytes) {
  net::Response response;
  response.content_type = "application/octet-stream";
  response.body = std::move(bytes);
  return response;
}

net::Response FileResponse(Result<Fd> file, const std::string& etag) {
  if (!file.ok()) return ErrorResponse(file.error());
  net::Response response;
  response.content_type = "application/octet-stream";
  response.file = std::make_shared<Fd>(std::move(*file));
  response.etag = "\"" + etag + "\"";
  return response;
}

Result<std::pair<catalog::FileId, int64_t>> FileAndVersion(const net::Request& request) {
  const auto id = TRY(IdArgument(request, 0));
  return std::pair(id, TRY(IntParameter(request, "version", 0, 0, INT64_MAX)));
}

Result<Json> Hello(const Context& context) {
  const ingest::ModelState models = context.library->Models();
  return Json{{"version", context.version},
              {"library", TRY(context.catalog->GetSetting("library.id")).value_or("")},
              {"preparation", ingest::kPreparation},
              {"blobs_in_redis", context.blobs_in_redis},
              {"device", context.device},
              {"model", models.target.empty() ? models.active : models.target}};
}

Result<Json> IsKnown(const Context& context, const net::Request& request) {
  const Digest hash = TRY(Digest::FromHex(request.path_arguments[0]));
  return Json{
      {"known", TRY(context.catalog->HasContent(hash, request.Query("preparation").value_or(""),
                                                request.Query("model").value_or("")))}};
}

}  // namespace

void AddComputeRoutes(const Context& context, Table* table) {
  auto add = [&](const char* method, const char* pattern, const char* summary, auto handle) {
    table->push_back({.method = method, .pattern = pattern, .summary = summary, .handle = handle});
    return &table->back();  // valid until the next one is added
  };
  const std::vector<Parameter> version{
      {"version", "integer", "of the file, as the task that asks names it"}};
  add("GET", "/api/compute/hello", "What a compute server has to agree with",
      [context](const net::Request&) { return Answer(Hello(context)); });
  add("GET", "/api/compute/files/{id}", "A file of the catalog, for compute servers; ranges",
      [context](const net::Request& request) {
        const auto wanted = FileAndVersion(request);
        if (!wanted.ok()) return ErrorResponse(wanted.error());
        return FileResponse(context.served->Open(wanted->first, wanted->second),
                            fmt::format("{}-{}", wanted->first, wanted->second));
      })
      ->query = version;
  table->push_back({.method = "GET",
                    .pattern = "/api/compute/files/{id}/digest",
                    .summary = "SHA-256 and size of a file of the catalog",
                    .query = version,
                    .handle_async = [context](std::shared_ptr<const net::Request> request,
                                              net::Responder respond) {
                      const auto wanted = FileAndVersion(*request);
                      if (!wanted.ok()) return respond(ErrorResponse(wanted.error()));
                      context.served->Identify(
                          wanted->first, wanted->second,
                          [respond](Result<ingest::ServedFiles::Identity> identity) {
                            respond(identity.ok() ? JsonResponse({{"sha256", identity->hash.hex()},
                                                                  {"size", identity->size}})
                                                  : ErrorResponse(identity.error()));
                          });
                    }});
  add("GET", "/api/compute/content/{sha256}", "A content of the catalog by its hash; ranges",
      [context](const net::Request& request) {
        const auto hash = Digest::FromHex(request.path_arguments[0]);
        if (!hash.ok()) return ErrorResponse(hash.error());
        return FileResponse(context.served->OpenContent(*hash), hash->hex());
      });
  add("GET", "/api/compute/content/{sha256}/known",
      "Whether a content is complete for a preparation and a model",
      [context](const net::Request& request) { return Answer(IsKnown(context, request)); })
      ->query = {{"preparation", "string", ""}, {"model", "string", "its key; empty: any"}};
  add("GET", "/api/compute/models/{name}", "The files of a model pack, for compute servers",
      [context](const net::Request& request) {
        return Answer(context.packs->Inventory(request.path_arguments[0]));
      });
  add("GET", "/api/compute/models/{name}/{file}", "A file of a model pack; ranges",
      [context](const net::Request& request) {
        const auto& names = request.path_arguments;
        return FileResponse(context.packs->OpenFile(names[0], names[1]), names[0] + "-" + names[1]);
      });
  add("GET", "/api/compute/blobs", "Bytes between the steps, and how many there may be",
      [context](const net::Request&) {
        return JsonResponse(
            {{"bytes", context.blobs->bytes()}, {"bytes_max", context.blobs->bytes_max()}});
      });
  Entry* put = add("POST", "/api/compute/blobs", "Keep these bytes for the next step",
                   [context](const net::Request& request) {
                     return Answer(
                         [&]() -> Result<Json> {
                           return Json{{"id", TRY(context.blobs->Put(request.body))}};
                         }(),
                         201);
                   });
  put->body = "application/octet-stream";
  put->body_bytes_max = kBlobBytesMax;
  add("GET", "/api/compute/blobs/{id}", "The bytes of a blob",
      [context](const net::Request& request) {
        auto bytes = context.blobs->Get(request.path_arguments[0]);
        return bytes.ok() ? BytesResponse(std::move(*bytes)) : ErrorResponse(bytes.error());
      });
  add("DELETE", "/api/compute/blobs/{id}", "The blob has done its work",
      [context](const net::Request& request) {
        context.blobs->Remove(request.path_arguments[0]);
        net::Response response;
        response.status = 204;
        return response;
      });
}

}  // namespace msearch::api
