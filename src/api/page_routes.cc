#include <fcntl.h>
#include <sys/stat.h>

#include "api/route_table.h"
#include "base/log.h"

// The page: built files below one folder. Names with a hash in them never change and may be kept
// for ever; the rest is asked for again.

namespace msearch::api {
namespace {

struct Kind {
  std::string_view extension;
  std::string_view type;
};

constexpr Kind kKinds[] = {{".html", "text/html; charset=utf-8"},
                           {".js", "text/javascript; charset=utf-8"},
                           {".css", "text/css; charset=utf-8"},
                           {".svg", "image/svg+xml"},
                           {".png", "image/png"},
                           {".ico", "image/x-icon"},
                           {".json", "application/json"},
                           {".woff2", "font/woff2"},
                           {".webmanifest", "application/manifest+json"}};

std::string_view TypeOf(std::string_view path) {
  for (const Kind& kind : kKinds) {
    if (path.ends_with(kind.extension)) return kind.type;
  }
  return "application/octet-stream";
}

net::Response File(const Context& context, const std::string& path) {
  auto file = OpenFile(context.web_directory + "/" + path, O_RDONLY);
  struct stat info {};
  if (!file.ok() || fstat(file->get(), &info) != 0 || !S_ISREG(info.st_mode)) {
    return Problem(404, "not_found", "/" + path + ": no such page");
  }
  net::Response response;
  response.content_type = TypeOf(path);
  response.etag = fmt::format("\"{:x}-{:x}\"", info.st_mtim.tv_sec, info.st_size);
  response.file = std::make_shared<Fd>(std::move(*file));
  response.headers.emplace("Cache-Control", path.starts_with("assets/")
                                                ? "public, max-age=31536000, immutable"
                                                : "no-cache");
  response.headers.emplace("X-Content-Type-Options", "nosniff");
  response.headers.emplace("X-Frame-Options", "DENY");
  response.headers.emplace("Referrer-Policy", "no-referrer");
  response.headers.emplace(
      "Content-Security-Policy",
      "default-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; "
      "object-src 'none'; frame-ancestors 'none'; base-uri 'none'");
  return response;
}

}  // namespace

void AddPageRoutes(const Context& context, Table* table) {
  if (context.web_directory.empty()) return;
  table->push_back(
      {.method = "GET",
       .pattern = "/",
       .summary = "The page",
       .handle = [context](const net::Request&) { return File(context, "index.html"); }});
  table->push_back({.method = "GET",
                    .pattern = "/{file...}",
                    .summary = "The page's files",
                    .handle = [context](const net::Request& request) {
                      return File(context, request.path_arguments[0]);
                    }});
}

}  // namespace msearch::api
