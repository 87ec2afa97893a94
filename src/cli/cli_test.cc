#include "cli/cli.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <filesystem>
#include <mutex>

#include "base/file.h"
#include "base/json.h"
#include "net/http_server.h"

namespace msearch::cli {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

net::Response Answer(const Json& json, int status = 200) {
  net::Response response;
  response.status = status;
  response.body = DumpJson(json);
  return response;
}

net::Response Problem(int status, const std::string& title, const std::string& detail,
                      const std::string& code) {
  return Answer({{"title", title}, {"status", status}, {"detail", detail}, {"code", code}}, status);
}

// A small server that speaks the API and remembers what it was told.
class SmallServer {
 public:
  SmallServer() {
    net::HttpServerOptions options;
    options.stop_grace = Milliseconds(0);
    options.gate = [this](const net::Request& request) { return Gate(request); };
    options.problem = [](int status, const std::string& detail) {
      return Problem(status, "No such thing", detail, "not_found");
    };
    auto started = net::HttpServer::Start(options, Routes());
    EXPECT_TRUE(started.ok());
    server_ = std::move(*started);
  }
  std::string url() const { return "http://127.0.0.1:" + std::to_string(server_->port()); }

  struct State {
    std::string token;
    int polls_until_idle = 0;
    int64_t failed = 0;
    std::function<void()> on_status;  // called when the status is asked for
    Json last_body;
    std::vector<net::FormField> last_form;
    std::multimap<std::string, std::string> last_query;
    std::map<std::string, std::string> roots;
  };
  // The state, locked until the end of the expression.
  struct Access {
    std::unique_lock<std::mutex> lock;
    State* state;
    State* operator->() { return state; }
  };
  Access operator->() { return {std::unique_lock(mutex_), &state_}; }

 private:
  std::optional<net::Response> Gate(const net::Request& request) {
    std::lock_guard lock(mutex_);
    if (state_.token.empty() || request.Header("authorization") == "Bearer " + state_.token)
      return {};
    return Problem(401, "Access token needed", "", "unauthorized");
  }

  net::Response Roots(const net::Request&) {
    Json list = Json::array();
    for (const auto& [name, path] : state_.roots) {
      list.push_back(
          {{"name", name},
           {"path", path},
           {"state", "watching"},
           {"counts", {{"files", 1024}, {"indexed", 7}, {"pending", 1}, {"failed", 2}}}});
    }
    return Answer({{"roots", list}});
  }
  net::Response AddRoot(const net::Request& request) {
    state_.last_body = *ParseJson(request.body);
    std::string path = state_.last_body["path"];
    std::string name = state_.last_body.value("name", path.substr(path.rfind('/') + 1));
    if (!state_.roots.emplace(name, path).second) {
      return Problem(409, "Conflict", name + ": exists already", "conflict");
    }
    return Answer({{"name", name}, {"path", path}}, 201);
  }
  net::Response RemoveRoot(const net::Request& request) {
    if (state_.roots.erase(request.path_arguments[0]) == 0) {
      return Problem(404, "Not found", request.path_arguments[0] + ": no such root", "not_found");
    }
    net::Response response;
    response.status = 204;
    return response;
  }
  net::Response Scan(const net::Request& request) {
    state_.last_query = request.query;
    return Answer({{"task_id", "scan-1"}}, 202);
  }
  net::Response Search(const net::Request& request) {
    state_.last_form = request.form;
    state_.last_body = request.form.empty() ? *ParseJson(request.body) : Json();
    auto hit = [](int media, const char* path, double score, const char* strength) {
      return Json{
          {"media_id", media},    {"root", "stamps"},
          {"path", path},         {"score", score},
          {"strength", strength}, {"reasons", {{{"kind", "label"}, {"text", "label: tree frog"}}}}};
    };
    Json hits{hit(1, "animals/frog\x1b[2J.png", 0.914, "strong"), hit(2, "film.mp4", 0.5, "weak"),
              hit(2, "film.mp4", 0.4, "weak")};
    hits[1]["start_time"] = 12.0;
    hits[1]["end_time"] = 18.0;
    hits[2]["start_time"] = 60.0;
    hits[2]["end_time"] = 75.5;
    return Answer({{"hits", hits}, {"total", 1}, {"nothing_fits", false}, {"took_ms", 34.2}});
  }
  net::Response Status(const net::Request& request) {
    state_.last_query = request.query;
    if (state_.on_status) state_.on_status();
    const int left = state_.polls_until_idle > 0 ? state_.polls_until_idle-- : 0;
    return Answer({{"idle", left == 0},
                   {"files", 10},
                   {"indexed", 10 - state_.failed - left},
                   {"pending", left},
                   {"failed", state_.failed},
                   {"scans_pending", 0},
                   {"speed_files_s", 2.5},
                   {"roots", Json::array()}});
  }
  net::Response Failures(const net::Request&) {
    return Answer(
        {{"failures",
          {{{"root", "stamps"}, {"path", "broken.jpg"}, {"message", "broken.jpg: not a picture"}}}},
         {"total", state_.failed}});
  }
  net::Response Task(const net::Request& request) {
    const std::string& id = request.path_arguments[0];
    if (id != "t1") return Problem(404, "Not found", id + ": no such task", "not_found");
    return Answer({{"task_id", id},
                   {"status", request.method == "GET" ? "failed" : "queued"},
                   {"events", {{{"at", "2026-01-01T00:00:00Z"}, {"what", "failed"}}}}});
  }
  net::Response Tasks(const net::Request& request) {
    state_.last_query = request.query;
    return Answer({{"tasks",
                    {{{"task_id", "t1"},
                      {"kind", "prepare"},
                      {"status", "failed"},
                      {"reason", "quarantined"},
                      {"attempts", 3},
                      {"progress", 0.25},
                      {"error", {{"code", "crashed"}, {"message", "codec child died"}}}}}},
                   {"next", "t1"}});
  }
  net::Response RetryTasks(const net::Request& request) {
    state_.last_body = *ParseJson(request.body);
    return Answer({{"matched", 5}, {"retried", state_.last_body["dry_run"] == true ? 0 : 4}});
  }

  std::vector<net::Route> Routes() {
    using Handler = net::Response (SmallServer::*)(const net::Request&);
    std::vector<net::Route> routes;
    auto add = [&](const char* method, const char* pattern, Handler handler) {
      net::Route route;
      route.method = method;
      route.pattern = pattern;
      route.handle = [this, handler](const net::Request& request) {
        std::lock_guard lock(mutex_);
        return (this->*handler)(request);
      };
      routes.push_back(std::move(route));
    };
    auto add_fixed = [&](const char* method, const char* pattern, const Json& json) {
      net::Route route;
      route.method = method;
      route.pattern = pattern;
      route.handle = [this, json](const net::Request& request) {
        std::lock_guard lock(mutex_);
        if (!request.body.empty()) state_.last_body = *ParseJson(request.body);
        return Answer(json);
      };
      routes.push_back(std::move(route));
    };
    add("GET", "/api/roots", &SmallServer::Roots);
    add("POST", "/api/roots", &SmallServer::AddRoot);
    add("DELETE", "/api/roots/{name}", &SmallServer::RemoveRoot);
    add("POST", "/api/roots/{name}/scan", &SmallServer::Scan);
    add("POST", "/api/search", &SmallServer::Search);
    add("GET", "/api/index/status", &SmallServer::Status);
    add("GET", "/api/failures", &SmallServer::Failures);
    add("GET", "/api/tasks", &SmallServer::Tasks);
    add("GET", "/api/tasks/{id}", &SmallServer::Task);
    add("POST", "/api/tasks/{id}/retry", &SmallServer::Task);
    add("POST", "/api/tasks/{id}/cancel", &SmallServer::Task);
    add("POST", "/api/tasks/retry", &SmallServer::RetryTasks);
    add_fixed(
        "GET", "/api/queue/stats",
        {{"queues", {{{"name", "tasks"}, {"queued", 5}, {"mean_ms", 12.6}, {"paused", true}}}}});
    add_fixed("POST", "/api/index/verify", {{"ok", false}, {"problems", {"segment 7: no vector"}}});
    add_fixed("POST", "/api/build_index", {{"build_id", "b1"}});
    add_fixed("GET", "/api/models",
              {{"models",
                {{{"name", "open-1k"},
                  {"title", "Open"},
                  {"state", "ready"},
                  {"active", true},
                  {"bytes", 42 << 20},
                  {"licence", "Apache-2.0"},
                  {"quality", "Knows a thousand things."}}}}});
    add_fixed("POST", "/api/models/{name}/use",
              {{"model", "clip"}, {"active", "open-1k"}, {"target", "clip"}});
    add_fixed("GET", "/api/doctor",
              {{"checks",
                {{{"name", "model"}, {"ok", false}, {"detail", "none"}, {"advice", "pull one"}}}}});
    return routes;
  }

  std::mutex mutex_;
  State state_;
  std::unique_ptr<net::HttpServer> server_;
};

class CliTest : public testing::Test {
 protected:
  CliTest() {
    unsetenv("MSEARCH_TOKEN");
    setenv("MSEARCH_SERVER", server_.url().c_str(), 1);
    program_.version = "1.2.3";
  }
  int Run(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "msearch");
    std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    testing::internal::CaptureStdout();
    testing::internal::CaptureStderr();
    int status = Main(static_cast<int>(argv.size()), argv.data(), program_);
    out_ = testing::internal::GetCapturedStdout();
    error_ = testing::internal::GetCapturedStderr();
    return status;
  }

  SmallServer server_;
  Program program_;
  std::string out_;
  std::string error_;
};

TEST_F(CliTest, VersionAndHelpSucceed) {
  program_.commands.push_back({"run", "Run a server", [](const auto&) { return 0; }});
  program_.commands.push_back({"role", "", [](const auto&) { return 0; }});
  EXPECT_EQ(Run({"--version"}), kExitOk);
  EXPECT_EQ(out_, "msearch 1.2.3\n");
  EXPECT_EQ(Run({"--help"}), kExitOk);
  EXPECT_THAT(out_, AllOf(HasSubstr("search"), HasSubstr("Run a server"), HasSubstr("Exit status"),
                          Not(HasSubstr("role"))));
  EXPECT_EQ(Run({"index", "status", "--help"}), kExitOk);
  EXPECT_THAT(out_, HasSubstr("--strict"));
}

TEST_F(CliTest, CommandsOfOthersGetTheirArgumentsUntouched) {
  std::vector<std::string> got;
  program_.commands.push_back({"run", "Run a server", [&](const std::vector<std::string>& rest) {
                                 got = rest;
                                 return 42;
                               }});
  EXPECT_EQ(Run({"run", "both", "--port", "0", "--help"}), 42);
  EXPECT_EQ(got, (std::vector<std::string>{"both", "--port", "0", "--help"}));
}

TEST_F(CliTest, WrongArgumentsAreUsageErrors) {
  EXPECT_EQ(Run({}), kExitUsage);
  EXPECT_EQ(Run({"serach", "frog"}), kExitUsage);
  EXPECT_THAT(error_, HasSubstr("did you mean search?"));
  EXPECT_EQ(Run({"search"}), kExitUsage);
  EXPECT_EQ(Run({"search", "frog", "--limit", "0"}), kExitUsage);
  EXPECT_EQ(Run({"search", "frog", "--type", "smell"}), kExitUsage);
  EXPECT_EQ(Run({"root", "add"}), kExitUsage);
  EXPECT_EQ(Run({"task", "retry"}), kExitUsage);
  EXPECT_EQ(Run({"root", "list", "--nonsense"}), kExitUsage);
  EXPECT_EQ(out_, "");
}

TEST_F(CliTest, ServerThatIsNotThereHasAStatusOfItsOwn) {
  // A port that was free a moment ago.
  uint16_t port = (*net::HttpServer::Start({}, {}))->port();
  EXPECT_EQ(Run({"root", "list", "--server", "127.0.0.1:" + std::to_string(port)}), kExitNoServer);
  EXPECT_THAT(error_, HasSubstr("no msearch server answers there"));
  EXPECT_EQ(out_, "");
}

TEST_F(CliTest, AnotherServersAnswerIsNotMistaken) {
  net::Route route;
  route.method = "GET";
  route.pattern = "/{rest...}";
  route.handle = [](const net::Request&) {
    net::Response response;
    response.body = "<html>";
    return response;
  };
  auto other = net::HttpServer::Start({}, {route});
  ASSERT_TRUE(other.ok());
  EXPECT_EQ(Run({"--server", "http://127.0.0.1:" + std::to_string((*other)->port()) + "/", "root",
                 "list"}),
            kExitFailure);
  EXPECT_THAT(error_, HasSubstr("not the answer of an msearch server"));
}

TEST_F(CliTest, StrangeAnswersDoNotCrash) {
  for (const Json& strange :
       {Json{{"roots", {1, "x", nullptr}},
             {"tasks", {2}},
             {"hits", {3}},
             {"models", {Json::array()}}},
        Json{{"roots", 5}, {"tasks", "x"}, {"hits", nullptr}, {"models", 1}}, Json::object()}) {
    std::vector<net::Route> routes;
    for (const char* method : {"GET", "POST", "DELETE"}) {
      net::Route route;
      route.method = method;
      route.pattern = "/{rest...}";
      route.handle = [strange](const net::Request&) { return Answer(strange); };
      routes.push_back(std::move(route));
    }
    auto other = net::HttpServer::Start({}, routes);
    ASSERT_TRUE(other.ok());
    setenv("MSEARCH_SERVER", ("127.0.0.1:" + std::to_string((*other)->port())).c_str(), 1);
    for (const std::vector<std::string>& command :
         std::vector<std::vector<std::string>>{{"root", "list"},
                                               {"root", "remove", "a"},
                                               {"search", "a"},
                                               {"index", "status"},
                                               {"task", "list"},
                                               {"task", "show", "a"},
                                               {"task", "stats"},
                                               {"model", "list"},
                                               {"model", "use", "a"},
                                               {"root", "add", "/a"}}) {
      EXPECT_EQ(Run(command), kExitOk) << command[0] << " " << error_;
    }
  }
}

TEST_F(CliTest, TokenComesFromFlagOrEnvironment) {
  server_->token = "secret";
  EXPECT_EQ(Run({"root", "list"}), kExitDenied);
  EXPECT_THAT(error_, HasSubstr("Access token needed (unauthorized)"));
  EXPECT_EQ(Run({"root", "list", "--token", "secret"}), kExitOk);
  setenv("MSEARCH_TOKEN", "secret", 1);
  EXPECT_EQ(Run({"root", "list"}), kExitOk);
}

TEST_F(CliTest, RootsAreAddedListedScannedAndRemoved) {
  EXPECT_EQ(Run({"root", "list"}), kExitOk);
  EXPECT_THAT(out_, HasSubstr("root add"));
  EXPECT_EQ(Run({"root", "add", "/media/./stamps/"}), kExitOk);
  EXPECT_EQ(out_, "Added stamps: /media/stamps\n");
  EXPECT_EQ(Run({"root", "add", "pictures", "--name", "my own"}), kExitOk);
  EXPECT_EQ(server_->last_body["path"], std::string(std::filesystem::current_path() / "pictures"));
  EXPECT_EQ(Run({"root", "add", "/media/stamps"}), kExitConflict);
  EXPECT_EQ(error_, "msearch: Conflict: stamps: exists already (conflict)\n");
  EXPECT_EQ(Run({"root", "list"}), kExitOk);
  EXPECT_THAT(out_,
              HasSubstr("stamps  watching   1024        7        1       2  /media/stamps\n"));
  EXPECT_EQ(Run({"root", "scan", "stamps", "--full"}), kExitOk);
  EXPECT_EQ(server_->last_query.count("full"), 1u);
  EXPECT_EQ(Run({"root", "remove", "my own"}), kExitOk);
  EXPECT_EQ(Run({"root", "remove", "my own", "--json"}), kExitNotFound);
  EXPECT_EQ(out_, "");
}

TEST_F(CliTest, HitsAreLinesWithRankScoreAndReason) {
  EXPECT_EQ(Run({"search", "tree", "frog"}), kExitOk);
  EXPECT_EQ(server_->last_body["query"], "tree frog");
  EXPECT_EQ(out_,
            "#  SCORE  FIT     FILE                  ROOT    WHY\n"
            "1   0.91  strong  animals/frog?[2J.png  stamps  label: tree frog\n"
            "2   0.50  weak    film.mp4 0:12-0:18    stamps  label: tree frog\n"
            "    0.40  weak    film.mp4 1:00-1:15    stamps  label: tree frog\n");
  EXPECT_EQ(error_, "1 fit (34 ms)\n");
}

TEST_F(CliTest, FiltersReachTheServer) {
  EXPECT_EQ(Run({"search", "x", "--root", "a,b", "--root", "c", "--type", "image", "--from",
                 "2026-01-01", "--size-min", "2KB", "--limit", "7", "--path-prefix", "p/"}),
            kExitOk);
  EXPECT_EQ(server_->last_body["limit"], 7);
  EXPECT_EQ(server_->last_body["filters"], (Json{{"root", {"a", "b", "c"}},
                                                 {"type", {"image"}},
                                                 {"date_from", "2026-01-01"},
                                                 {"path_prefix", "p/"},
                                                 {"size_min", 2048}}));
}

TEST_F(CliTest, PictureIsUploaded) {
  TemporaryDirectory directory;
  std::string path = directory.path() + "/frog.png";
  ASSERT_TRUE(WriteFileAtomically(path, "\x89PNG bytes").ok());
  EXPECT_EQ(Run({"search", "--image", path, "green"}), kExitOk);
  std::map<std::string, std::string> fields;
  for (const net::FormField& field : server_->last_form) fields[field.name] = field.value;
  EXPECT_EQ(fields["image"], "\x89PNG bytes");
  EXPECT_EQ(fields["query"], "green");
  EXPECT_EQ(fields["limit"], "20");
  EXPECT_EQ(Run({"search", "--image", path + "x"}), kExitNotFound);
}

TEST_F(CliTest, JsonIsWhatTheApiAnswered) {
  EXPECT_EQ(Run({"search", "frog", "--json"}), kExitOk);
  auto json = ParseJson(out_);
  ASSERT_TRUE(json.ok());
  EXPECT_EQ((*json)["hits"].size(), 3u);
  EXPECT_EQ(error_, "");
}

TEST_F(CliTest, WaitingEndsWhenTheServerIsIdle) {
  server_->polls_until_idle = 3;
  server_->failed = 1;
  EXPECT_EQ(Run({"index", "status", "--wait"}), kExitOk);
  EXPECT_EQ(server_->polls_until_idle, 0);
  EXPECT_EQ(server_->last_query.count("wait"), 1u);
  EXPECT_THAT(out_, HasSubstr("total  idle"));
  EXPECT_THAT(error_, Not(HasSubstr("%")));  // no progress bar, this is no terminal
}

TEST_F(CliTest, StrictStatusTellsOfFailures) {
  server_->failed = 1;
  EXPECT_EQ(Run({"index", "status", "--wait", "--strict"}), kExitSomeFailed);
  EXPECT_EQ(error_, "failed: stamps: broken.jpg: not a picture (broken.jpg)\n");
  EXPECT_EQ(Run({"index", "status"}), kExitOk);
  server_->failed = 0;
  EXPECT_EQ(Run({"index", "status", "--strict"}), kExitOk);
}

TEST_F(CliTest, WaitingCanTimeOut) {
  server_->polls_until_idle = 1 << 30;
  EXPECT_EQ(Run({"index", "status", "--wait", "--timeout", "0.01"}), kExitNoServer);
  EXPECT_THAT(error_, HasSubstr("not done in time"));
}

// Waits for an index that never gets done, and is interrupted by the server's first answer. Every
// thread of the process leaves the signal to the command.
int WaitUntilInterrupted() {
  sigset_t interrupt;
  sigemptyset(&interrupt);
  sigaddset(&interrupt, SIGINT);
  pthread_sigmask(SIG_BLOCK, &interrupt, nullptr);
  SmallServer server;
  server->polls_until_idle = 1 << 30;
  std::once_flag once;
  server->on_status = [&once] { std::call_once(once, [] { kill(getpid(), SIGINT); }); };
  std::string url = server.url();
  std::array<const char*, 6> argv{"msearch", "--server", url.c_str(), "index", "status", "--wait"};
  return Main(6, const_cast<char**>(argv.data()), Program());
}

TEST(CliInterrupt, EndsWaiting) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(_exit(WaitUntilInterrupted()), testing::ExitedWithCode(kExitInterrupted),
              "interrupted");
}

TEST_F(CliTest, IndexIsBuiltAndVerified) {
  EXPECT_EQ(Run({"index", "build", "a", "b"}), kExitOk);
  EXPECT_EQ(server_->last_body["dataset_names"], (Json{"a", "b"}));
  EXPECT_EQ(server_->last_body["distributed"], true);
  EXPECT_THAT(out_, HasSubstr("b1"));
  EXPECT_EQ(Run({"index", "build", "--here"}), kExitOk);
  EXPECT_EQ(server_->last_body["distributed"], false);
  EXPECT_EQ(Run({"index", "verify"}), kExitFailure);
  EXPECT_EQ(out_, "segment 7: no vector\n");
}

TEST_F(CliTest, TasksAreListedShownAndChanged) {
  EXPECT_EQ(Run({"task", "stats"}), kExitOk);
  EXPECT_THAT(out_, AllOf(HasSubstr("tasks"), HasSubstr("13 ms"), HasSubstr("paused")));
  EXPECT_EQ(Run({"task", "list", "--status", "failed", "--text", "a b"}), kExitOk);
  EXPECT_EQ(server_->last_query.find("text")->second, "a b");
  EXPECT_THAT(out_, AllOf(HasSubstr("failed (quarantined)"), HasSubstr("codec child died")));
  EXPECT_THAT(error_, HasSubstr("--before t1"));
  EXPECT_EQ(Run({"task", "show", "t1"}), kExitOk);
  EXPECT_THAT(out_, HasSubstr("2026-01-01T00:00:00Z  failed"));
  EXPECT_EQ(Run({"task", "show", "t/2"}), kExitNotFound);
  EXPECT_THAT(error_, HasSubstr("t/2: no such task"));
  EXPECT_EQ(Run({"task", "cancel", "t1"}), kExitOk);
  EXPECT_EQ(out_, "t1: queued\n");
  EXPECT_EQ(Run({"task", "retry", "t1"}), kExitOk);
}

TEST_F(CliTest, ManyTasksAreRetriedByFilter) {
  EXPECT_EQ(Run({"task", "retry", "--all", "--kind", "embed", "--dry-run"}), kExitOk);
  EXPECT_EQ(server_->last_body, (Json{{"kind", "embed"}, {"dry_run", true}}));
  EXPECT_EQ(out_, "5 tasks match\n");
  EXPECT_EQ(Run({"task", "retry", "--all"}), kExitOk);
  EXPECT_EQ(out_, "4 of 5 tasks queued again\n");
  EXPECT_EQ(Run({"task", "retry", "--dry-run"}), kExitUsage);
}

TEST_F(CliTest, ModelsAreListedAndSwitched) {
  EXPECT_EQ(Run({"model", "list"}), kExitOk);
  EXPECT_THAT(out_, AllOf(HasSubstr("open-1k"), HasSubstr("active"), HasSubstr("42 MiB"),
                          HasSubstr("Knows a thousand things.")));
  EXPECT_EQ(Run({"model", "use", "clip"}), kExitOk);
  EXPECT_THAT(out_, AllOf(HasSubstr("clip"), HasSubstr("until then open-1k answers")));
}

TEST_F(CliTest, PullNeedsNoServer) {
  setenv("MSEARCH_SERVER", "http://127.0.0.1:1", 1);
  PullRequest seen;
  program_.pull = [&](const PullRequest& request) -> Result<std::string> {
    seen = request;
    request.progress({"model.onnx", "download", 5, 10});
    if (request.model == "clap") return Error{Code::kNotFound, "clap: no such pack"};
    return std::string("say so to use it");
  };
  EXPECT_EQ(Run({"model", "pull", "clip", "--source", "/models", "--data", "/d"}), kExitOk);
  EXPECT_EQ(seen.source, "/models");
  EXPECT_EQ(seen.data, "/d");
  EXPECT_THAT(out_, HasSubstr("clip is ready; say so to use it"));
  EXPECT_EQ(error_, "");
  EXPECT_EQ(Run({"model", "pull", "clap"}), kExitNotFound);
  EXPECT_EQ(error_, "msearch: clap: no such pack\n");
}

TEST_F(CliTest, DoctorJoinsLocalChecksAndTheServers) {
  program_.local_checks = [] {
    return std::vector<Check>{{"runtime", true, "found", "never shown"}};
  };
  EXPECT_EQ(Run({"doctor"}), kExitFailure);
  EXPECT_THAT(out_, AllOf(HasSubstr("runtime"), HasSubstr("pull one"), Not(HasSubstr("never"))));
  EXPECT_EQ(Run({"doctor", "--json", "--server", "http://127.0.0.1:1"}), kExitFailure);
  auto json = ParseJson(out_);
  ASSERT_TRUE(json.ok());
  EXPECT_EQ((*json)["checks"].size(), 2u);
  EXPECT_EQ((*json)["checks"][1]["ok"], false);
}

}  // namespace
}  // namespace msearch::cli
