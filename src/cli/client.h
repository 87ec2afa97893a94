// The REST API of a running server, seen from a command.
#pragma once

#include <functional>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "net/http_client.h"

namespace msearch::cli {

// Names and values of a query string.
using Parameters = std::vector<std::pair<std::string, std::string>>;

// "/api/roots/" + UrlEncode and the like: the parts of a path, encoded and joined, then the query.
std::string Target(const std::vector<std::string>& parts, const Parameters& query = {});

// Each call is one request. An answer of 400 and above becomes an error whose message is
// "TITLE: DETAIL (code)" and whose code is chosen by the status: 400 kInvalid, 401 and 403
// kPermission, 404 kNotFound, 409 kConflict, 413 kTooLarge, 415 kUnsupported, 503 kUnavailable,
// else kInternal. A server that can't be reached is kUnavailable, too.
class Client {
 public:
  // `server` may lack "http://".
  Client(std::string server, std::string token, std::stop_token stop);

  Result<Json> Get(const std::string& target, Milliseconds timeout = kTimeout) const;
  Result<Json> Post(const std::string& target, const Json& body = Json::object(),
                    Milliseconds timeout = kTimeout) const;
  Result<Json> PostForm(const std::string& target, std::vector<net::FormPart> form) const;
  Result<Json> Delete(const std::string& target) const;
  // Gives the body of a success as it comes, however long that takes, until it ends or `on_data`
  // returns false.
  Result<> Stream(const std::string& target,
                  const std::function<bool(std::string_view)>& on_data) const;
  const std::string& server() const { return server_; }

 private:
  static constexpr Milliseconds kTimeout{60000};
  Result<Json> Send(net::HttpRequest request, const std::string& target,
                    Milliseconds timeout) const;

  std::string server_;
  std::string token_;
  std::stop_token stop_;
};

}  // namespace msearch::cli
