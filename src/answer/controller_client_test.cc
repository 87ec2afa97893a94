#include "answer/controller_client.h"

#include <gtest/gtest.h>

#include "net/http_server.h"

namespace msearch::answer {
namespace {

// Says what a controller says at one address.
class Controller {
 public:
  Controller(const std::string& pattern, Json answer) {
    net::HttpServerOptions options;
    options.problem = [](int status, const std::string& detail) {
      net::Response response;
      response.status = status;
      response.body = detail;
      return response;
    };
    net::Route route{"GET", pattern, 1 << 20, {}, {}};
    route.handle = [answer = std::move(answer)](const net::Request&) {
      net::Response response;
      response.body = DumpJson(answer);
      return response;
    };
    server_ = net::HttpServer::Start(options, {route}).value();
  }
  ControllerClient Client() const {
    ControllerOptions options;
    options.address = [port = server_->port()]() -> Result<std::string> {
      return "http://127.0.0.1:" + std::to_string(port);
    };
    return ControllerClient(std::move(options));
  }

 private:
  std::unique_ptr<net::HttpServer> server_;
};

TEST(ControllerClientTest, ReadersAreNoModelToSearchWith) {
  const Controller controller(
      "/api/models", {{"models",
                       {{{"name", "ocr-pp"}, {"purpose", "text"}, {"active", true}},
                        {{"name", "clip-vit-b32"}, {"purpose", "search"}, {"active", false}},
                        {{"name", "open-1k"}, {"purpose", "search"}, {"active", true}}}}});
  EXPECT_EQ(controller.Client().ActiveModel({}).value_or(""), "open-1k");
}

TEST(ControllerClientTest, WithoutAModelThereIsNone) {
  const Controller controller("/api/models", {{"models", Json::array()}});
  EXPECT_EQ(controller.Client().ActiveModel({}).value_or("x"), "");
}

}  // namespace
}  // namespace msearch::answer
