// What strangers try at the API and on the command line: each mistake is told, and does nothing.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <filesystem>
#include <fstream>

#include "base/strings.h"
#include "net/http_client.h"
#include "support/pictures.h"
#include "system/server.h"

namespace msearch::test {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::UnorderedElementsAre;

void Write(const std::string& path, const std::string& bytes) {
  fs::create_directories(fs::path(path).parent_path());
  std::ofstream(path, std::ios::binary) << bytes;
}

TEST(Api, DataFolderInsideARootIsNotIndexed) {
  Server server;
  Write(server.files() + "/one.png", Encoded(Flat(64, 64, {10, 100, 200}), "png"));
  ASSERT_TRUE(server.Start()) << server.log();
  for (const std::string& path : {server.data(), server.data() + "/thumbnails"}) {
    const auto refused = server.Post("/api/roots", {{"path", path}});
    EXPECT_EQ(refused.status, 400) << refused.body;
    EXPECT_THAT(refused.body, HasSubstr("data folder"));
  }
  const std::string above = fs::path(server.data()).parent_path();
  ASSERT_EQ(server.Post("/api/roots", {{"path", above}, {"name", "all"}}).status, 201);
  ASSERT_TRUE(server.AwaitIdle());
  ASSERT_FALSE(fs::is_empty(server.data() + "/thumbnails"));
  ASSERT_EQ(server.Post("/api/build_index").status, 202);
  Write(server.files() + "/two.png", Encoded(Flat(65, 64, {10, 100, 200}), "png"));
  EXPECT_TRUE(Eventually([&] { return server.Find("two").size() == 1; }));
  ASSERT_TRUE(server.AwaitIdle());
  std::vector<std::string> paths;
  const Json all = server.Get("/api/media").json;
  for (const Json& media : all["media"]) {
    paths.push_back(media["paths"][0]["path"]);
  }
  EXPECT_THAT(paths, UnorderedElementsAre("files/one.png", "files/two.png"));
}

// As that of a compute server which the same user runs on this machine.
TEST(Api, DataFolderOfAnotherMsearchInsideARootIsNotIndexed) {
  Server other;
  Write(other.files() + "/one.png", Encoded(Flat(64, 64, {10, 100, 200}), "png"));
  ASSERT_TRUE(other.Start()) << other.log();
  other.AddRoot();
  ASSERT_TRUE(other.AwaitIdle());
  ASSERT_FALSE(fs::is_empty(other.data() + "/thumbnails"));
  Server server;
  ASSERT_TRUE(server.Start()) << server.log();
  const auto refused = server.Post("/api/roots", {{"path", other.data() + "/thumbnails"}});
  EXPECT_EQ(refused.status, 400) << refused.body;
  EXPECT_THAT(refused.body, HasSubstr("data folder"));
  const std::string above = fs::path(other.data()).parent_path();
  ASSERT_EQ(server.Post("/api/roots", {{"path", above}, {"name", "all"}}).status, 201);
  ASSERT_TRUE(server.AwaitIdle());
  const Json all = server.Get("/api/media").json;
  ASSERT_EQ(GetInt(all, "total"), 1) << all;
  EXPECT_EQ(all["media"][0]["paths"][0]["path"], "files/one.png");
}

int64_t Matched(const Server& server, const Json& body) {
  const auto answer = server.Post("/api/tasks/retry", body);
  EXPECT_EQ(answer.status, 200) << answer.body;
  return GetInt(answer.json, "matched").value_or(-1);
}

TEST(Api, WrongTypesAreRefusedAndNothingIsDone) {
  Server server;
  ASSERT_TRUE(server.Start()) << server.log();
  struct Case {
    const char* path;
    Json body;
    const char* complaint;
  };
  const std::vector<Case> cases{
      {"/api/tasks/retry", {{"queue", "tasks"}, {"dry_run", "yes"}}, "dry_run: true or false"},
      {"/api/tasks/retry", {{"queue", 5}}, "queue: a text"},
      {"/api/tasks/retry", {{"stuck", "x"}}, "stuck: true or false"},
      {"/api/tasks/retry", {{"status", "finished"}}, "status: finished is not one of"},
      {"/api/failures/retry", {{"dry_run", "x"}}, "dry_run: true or false"},
      {"/api/failures/retry", {{"code", {"corrupt"}}}, "code: a text"},
      {"/api/failures/retry", {{"root", 7}}, "root: a text"},
      {"/api/roots", {{"path", "/tmp"}, {"recursive", "no"}}, "recursive: true or false"},
      {"/api/roots", {{"path", "/tmp"}, {"scan_interval_s", 0}}, "scan_interval_s: a whole number"},
      {"/api/roots", Json::object(), "path is missing"},
      {"/api/build_index", {{"dataset_names", "files"}}, "dataset_names: a list of texts"},
      {"/api/build_index", {{"distributed", 1}}, "distributed: true or false"},
      {"/api/search", {{"q", "frog"}}, "there is query, image"},
      {"/api/search", {{"query", 5}}, "query: a text"},
      {"/api/search", {{"limit", "5"}}, "limit: a whole number"},
      {"/api/search", {{"image", {{"media_id", {1}}}}}, "image.media_id: an id"},
      {"/api/search", {{"filters", {{"size_min", "1"}}}}, "filters.size_min: a whole number"},
      {"/api/passages", {{"phrases", "frog"}}, "phrases: a list of texts"},
      {"/api/async/query", {{"question", 5}}, "question: a text"},
      {"/api/async/query", {{"question", "x"}, {"generate", "no"}}, "generate: true or false"},
      {"/api/async/analyze-image", {{"media_id", "1"}}, "media_id: a whole number"},
      {"/api/compute/feature_extraction", {{"image_path", 1}}, "image_path: a text"},
      {"/api/compute/batch_feature_extraction", {{"image_paths", "a"}}, "image_paths: a list"},
      {"/api/session", {{"token", 5}}, "token: a text"},
      {"/api/roots/files/scan", {{"full", true}}, "takes no body"},
      {"/api/queue/tasks/pause", {{"queue", "tasks"}}, "takes no body"},
  };
  for (const Case& one : cases) {
    const auto answer = server.Post(one.path, one.body);
    EXPECT_EQ(answer.status, 400) << one.path << DumpJson(one.body) << answer.body;
    EXPECT_THAT(GetString(answer.json, "detail").value_or(""), HasSubstr(one.complaint))
        << one.path << DumpJson(one.body);
    EXPECT_EQ(GetString(answer.json, "code"), "invalid");
  }
  EXPECT_EQ(Matched(server, {{"queue", "tasks"}, {"dry_run", true}}), 0);
  // Not every client says that it sends JSON; what is no JSON mustn't be taken for nothing.
  net::HttpRequest form;
  form.method = "POST";
  form.url = server.url() + "/api/tasks/retry";
  form.form = {{.name = "dry_run", .value = "true"}};
  const auto sent = net::Fetch(form);
  ASSERT_TRUE(sent.ok()) << sent.message();
  EXPECT_EQ(sent->status, 400) << sent->body;
  EXPECT_THAT(sent->body, HasSubstr("not a form"));
}

TEST(Api, UnknownParametersAreRefused) {
  Server server;
  ASSERT_TRUE(server.Start()) << server.log();
  for (const auto& [path, complaint] : std::vector<std::pair<const char*, const char*>>{
           {"/api/search?q=frog&typ=video", "did you mean type?"},
           {"/api/tasks?staus=failed", "did you mean status?"},
           {"/api/tasks?stuck=2", "stuck: true, false, 1 or 0"},
           {"/api/tasks?stuck=", "stuck: true, false, 1 or 0"},
           {"/api/media/1/content?download=2", "download: true, false, 1 or 0"},
           {"/api/roots?x=1", "there is none"},
           {"/api/media/1/clip?begin=3", "there is start, end"}}) {
    const auto answer = server.Get(path);
    EXPECT_EQ(answer.status, 400) << path << answer.body;
    EXPECT_THAT(answer.body, HasSubstr(complaint)) << path;
  }
  const auto scan = server.Post("/api/roots/files/scan?ful=1");
  EXPECT_EQ(scan.status, 400) << scan.body;
  for (const char* path :
       {"/api/search?q=frog&type[]=image&limit=5", "/api/search?query=frog", "/api/tasks?stuck=1",
        "/api/tasks?stuck=false", "/api/index/status?wait=0", "/health?probe=1"}) {
    EXPECT_EQ(server.Get(path).status, 200) << path << server.Get(path).body;
  }
}

TEST(Api, MisspeltNamesAreNotFound) {
  Server server;
  ASSERT_TRUE(server.Start()) << server.log();
  server.AddRoot();
  EXPECT_EQ(server.Post("/api/queue/nosuch/pause").status, 404);
  const auto nearest = server.Post("/api/queue/task/pause");
  EXPECT_EQ(nearest.status, 404);
  EXPECT_THAT(nearest.body, HasSubstr("did you mean tasks?"));
  EXPECT_THAT(server.Get("/api/queue/stats").body, testing::Not(HasSubstr("nosuch")));
  for (const char* queue : {"tasks", "tasks-pdf", "read-text-heif", "answered"}) {
    EXPECT_EQ(server.Post(std::string("/api/queue/") + queue + "/pause").status, 200) << queue;
    EXPECT_EQ(server.Post(std::string("/api/queue/") + queue + "/resume").status, 200) << queue;
  }
  EXPECT_EQ(server.Post("/api/tasks/retry", {{"queue", "nosuch"}}).status, 404);
  for (const char* path : {"/api/search?q=x&root=file", "/api/search?root=files,file&q=x",
                           "/api/media?root=file", "/api/failures?root=file"}) {
    const auto answer = server.Get(path);
    EXPECT_EQ(answer.status, 404) << path << answer.body;
    EXPECT_EQ(GetString(answer.json, "code"), "not_found");
    EXPECT_THAT(answer.body, HasSubstr("root file: no such root; did you mean files?")) << path;
  }
  EXPECT_EQ(server.Get("/api/search?q=x&root=files").status, 200);
  EXPECT_EQ(server.Post("/api/search", {{"query", "x"}, {"filters", {{"root", "no"}}}}).status,
            404);
  EXPECT_EQ(server.Post("/api/failures/retry", {{"root", "nosuch"}}).status, 404);
  EXPECT_EQ(
      server.Post("/api/async/query", {{"question", "frogs?"}, {"filters", {{"root", {"no"}}}}})
          .status,
      404);
  const auto searched = RunMsearch({"search", "x", "--root", "file", "--server", server.url()});
  EXPECT_NE(searched.status, 0);
  EXPECT_THAT(searched.err, HasSubstr("no such root; did you mean files?"));
}

// What of the value isn't as the schema says; empty: all of it is. With `whole` it is also told
// what the schema says nothing of.
std::string Misfit(const Json& value, const Json& schema, const std::string& at, bool whole) {
  if (schema.contains("anyOf")) {
    std::string all;
    for (const Json& one : schema["anyOf"]) {
      const std::string misfit = Misfit(value, one, at, whole);
      if (misfit.empty()) return "";
      all += misfit + " ";
    }
    return all;
  }
  const std::string type = schema.value("type", "");
  const bool fits =
      type.empty() || (type == "string" && value.is_string()) ||
      (type == "integer" && value.is_number_integer()) || (type == "number" && value.is_number()) ||
      (type == "boolean" && value.is_boolean()) || (type == "null" && value.is_null()) ||
      (type == "object" && value.is_object()) || (type == "array" && value.is_array());
  if (!fits) return at + ": not " + type;
  for (const Json& name : schema.value("required", Json::array())) {
    if (!value.contains(name.get<std::string>())) return at + ": lacks " + name.get<std::string>();
  }
  if (value.is_object() && schema.contains("properties")) {
    for (const auto& [key, part] : value.items()) {
      if (!schema["properties"].contains(key)) {
        if (whole) return at + "." + key + ": isn't described";
        continue;
      }
      const std::string misfit = Misfit(part, schema["properties"][key], at + "." + key, whole);
      if (!misfit.empty()) return misfit;
    }
  }
  if (value.is_array() && schema.contains("items")) {
    for (const Json& item : value) {
      const std::string misfit = Misfit(item, schema["items"], at + "[]", whole);
      if (!misfit.empty()) return misfit;
    }
  }
  return "";
}

TEST(Api, DescriptionTellsOfBodiesAndFitsAnswers) {
  Server server;
  Write(server.files() + "/frog.png", Encoded(Quarters(64, 48), "png"));
  Write(server.files() + "/pond.txt", "A frog sits in the pond and sings.");
  ASSERT_TRUE(server.Start()) << server.log();
  server.AddRoot();
  ASSERT_TRUE(server.AwaitIdle());
  const Json api = server.Get("/api/openapi.json").json;
  for (const auto& [path, methods] : api["paths"].items()) {
    for (const auto& [method, operation] : methods.items()) {
      if (!operation.contains("requestBody")) continue;
      const Json& content = operation["requestBody"]["content"];
      if (!content.contains("application/json")) continue;
      EXPECT_FALSE(content["application/json"]["schema"]["properties"].empty()) << path;
    }
  }
  const Json& search = api["paths"]["/api/search"]["post"]["requestBody"]["content"];
  EXPECT_EQ(search["application/json"]["schema"]["properties"]["limit"]["type"], "integer");
  EXPECT_TRUE(search["multipart/form-data"]["schema"]["properties"].contains("audio"));
  EXPECT_EQ(api["paths"]["/api/roots"]["post"]["requestBody"]["content"]["application/json"]
               ["schema"]["required"],
            Json::array({"path"}));

  const auto fits = [&](const char* method, const char* pattern, const Server::Answer& answer) {
    ASSERT_EQ(answer.status / 100, 2) << pattern << answer.body;
    const Json& success = api["paths"][pattern][method]["responses"]["2XX"];
    ASSERT_TRUE(success.contains("content")) << pattern;
    EXPECT_EQ(Misfit(answer.json, success["content"]["application/json"]["schema"], pattern, false),
              "");
  };
  const auto tasks = server.Get("/api/tasks");
  const std::string task = tasks.json["tasks"][0]["task_id"];
  const auto media = server.Get("/api/media");
  ASSERT_EQ(media.json["media"].size(), 2U);
  const std::string medium = std::to_string(media.json["media"][0]["media_id"].get<int64_t>());
  fits("get", "/api/roots", server.Get("/api/roots"));
  fits("get", "/api/roots/{name}", server.Get("/api/roots/files"));
  fits("get", "/api/search", server.Get("/api/search?q=frog"));
  fits("post", "/api/search", server.Post("/api/search", {{"query", "frog"}}));
  fits("get", "/api/tasks", tasks);
  fits("get", "/api/tasks/{id}", server.Get("/api/tasks/" + task));
  fits("post", "/api/tasks/retry", server.Post("/api/tasks/retry", {{"dry_run", true}}));
  fits("get", "/api/workers", server.Get("/api/workers"));
  fits("get", "/api/media", media);
  fits("get", "/api/media/{id}", server.Get("/api/media/" + medium));
  const auto build = server.Post("/api/build_index");
  fits("post", "/api/build_index", build);
  fits("get", "/api/build_index/{id}",
       server.Get("/api/build_index/" + GetString(build.json, "build_id").value_or("")));
}

TEST(Api, EveryAnswerInJsonIsDescribed) {
  Server server;
  ASSERT_TRUE(server.Start()) << server.log();
  const Json api = server.Get("/api/openapi.json").json;
  std::vector<std::string> undescribed;
  for (const auto& [path, methods] : api["paths"].items()) {
    for (const auto& [method, operation] : methods.items()) {
      if (!operation["responses"]["2XX"].contains("content")) {
        undescribed.push_back(method + " " + path);
      }
    }
  }
  // Bytes, streams, text, nothing, and what the parts of msearch tell each other.
  EXPECT_THAT(
      undescribed,
      UnorderedElementsAre(
          "get /", "get /metrics", "get /api/openapi.json", "get /api/events",
          "get /api/async/task/{id}/events", "post /api/async/input", "delete /api/roots/{name}",
          "get /api/media/{id}/content", "get /api/media/{id}/thumbnail",
          "get /api/media/{id}/clip", "get /api/media/{id}/filmstrip", "get /api/compute/hello",
          "get /api/compute/files/{id}", "get /api/compute/files/{id}/digest",
          "get /api/compute/content/{sha256}", "get /api/compute/content/{sha256}/known",
          "get /api/compute/models/{name}", "get /api/compute/models/{name}/{file}",
          "get /api/compute/blobs", "post /api/compute/blobs", "get /api/compute/blobs/{id}",
          "delete /api/compute/blobs/{id}"));
}

TEST(Api, AnswersOfAskingFailuresModelsAndQueuesAreAsDescribed) {
  Server server({"--workers", "1"});
  Write(server.files() + "/frog.png", Encoded(Quarters(64, 48), "png"));
  Write(server.files() + "/pond.txt", "A frog sits in the pond and sings.");
  Write(server.files() + "/broken.png", "no picture");
  ASSERT_TRUE(server.Start()) << server.log();
  server.AddRoot();
  ASSERT_TRUE(server.AwaitIdle());
  const Json api = server.Get("/api/openapi.json").json;
  const auto fits = [&](const char* method, const char* pattern, const Server::Answer& answer) {
    ASSERT_EQ(answer.status / 100, 2) << pattern << answer.body;
    const Json& success = api["paths"][pattern][method]["responses"]["2XX"];
    ASSERT_TRUE(success.contains("content")) << pattern;
    const Json& schema = success["content"]["application/json"]["schema"];
    EXPECT_EQ(Misfit(answer.json, schema, pattern, true), "") << answer.body;
  };
  const auto asked = [&](const char* pattern, const Json& body) {
    const auto accepted = server.Post(pattern, body);
    fits("post", pattern, accepted);
    const std::string id = GetString(accepted.json, "task_id").value_or("");
    const auto ended = server.Get("/api/async/task/" + id + "?wait=60");
    fits("get", "/api/async/task/{id}", ended);
    EXPECT_EQ(GetString(ended.json, "status"), "finished") << ended.body;
    EXPECT_TRUE(ended.json.contains("result")) << ended.body;
  };
  const Json picture{{"path", server.files() + "/frog.png"}};
  asked("/api/async/analyze-image", {{"image", picture}});
  asked("/api/async/complete-answer", {{"question", "Where does the frog sit?"}});
  asked("/api/async/complete-answer", {{"question", "When does the train leave?"}});
  asked("/api/async/query", {{"question", "Where does the frog sit?"}, {"image", picture}});

  // One that fails, and one that waits until it is cancelled.
  const auto failing =
      server.Post("/api/async/analyze-image",
                  {{"image", {{"base64", Base64Encode("nothing")}, {"name", "no.png"}}}});
  const std::string failed = GetString(failing.json, "task_id").value_or("");
  const auto why = server.Get("/api/async/task/" + failed + "?wait=60");
  fits("get", "/api/async/task/{id}", why);
  EXPECT_TRUE(why.json.contains("error")) << why.body;
  fits("post", "/api/queue/{name}/pause", server.Post("/api/queue/answer_generation/pause"));
  const auto waiting = server.Post("/api/async/complete-answer", {{"question", "Who sings?"}});
  const std::string id = GetString(waiting.json, "task_id").value_or("");
  fits("get", "/api/async/task/{id}", server.Get("/api/async/task/" + id));
  fits("delete", "/api/async/task/{id}", server.Delete("/api/async/task/" + id));
  fits("get", "/api/queue/stats", server.Get("/api/queue/stats"));
  fits("get", "/api/doctor", server.Get("/api/doctor"));
  fits("post", "/api/queue/{name}/resume", server.Post("/api/queue/answer_generation/resume"));

  const auto failures = server.Get("/api/failures");
  ASSERT_EQ(failures.json["failures"].size(), 1U);
  fits("get", "/api/failures", failures);
  fits("post", "/api/failures/retry", server.Post("/api/failures/retry", {{"dry_run", true}}));
  fits("get", "/api/models", server.Get("/api/models"));
  fits("post", "/api/models/{name}/use", server.Post("/api/models/builtin/use"));
  fits("get", "/health", server.Get("/health"));
  fits("get", "/api/roots", server.Get("/api/roots"));
  fits("get", "/api/index/status", server.Get("/api/index/status"));
  fits("post", "/api/index/verify", server.Post("/api/index/verify"));
  fits("post", "/api/roots/{name}/scan", server.Post("/api/roots/files/scan"));
  fits("post", "/api/passages", server.Post("/api/passages", {{"query", "frog"}}));
  fits("post", "/api/compute/feature_extraction",
       server.Post("/api/compute/feature_extraction",
                   {{"image_path", server.files() + "/frog.png"}}));
  fits("post", "/api/compute/batch_feature_extraction",
       server.Post("/api/compute/batch_feature_extraction",
                   {{"image_paths", {server.files() + "/frog.png", "/nowhere.png"}}}));
}

TEST(Api, TaskOfALivingWorkerIsNotReleased) {
  Server server({"--workers", "1"});
  for (int i = 0; i < 200; ++i) {
    const auto shade = static_cast<uint8_t>(i);
    const auto raster = Flat(64 + static_cast<uint32_t>(i), 64, {shade, 100, 200});
    Write(server.files() + "/picture-" + std::to_string(i) + ".png", Encoded(raster, "png"));
  }
  ASSERT_TRUE(server.Start()) << server.log();
  ASSERT_TRUE(Eventually([&] { return server.Pids("task_worker").size() == 1; }));
  const pid_t worker = server.Pids("task_worker").front();
  server.AddRoot();
  // Stopped in the middle of something, it keeps its lease for a while.
  std::string task;
  ASSERT_TRUE(Eventually([&] {
    kill(worker, SIGSTOP);
    const Json started = server.Get("/api/tasks?queue=tasks&status=started").json;
    if (!started.value("tasks", Json::array()).empty()) task = started["tasks"][0]["task_id"];
    if (!task.empty()) return true;
    kill(worker, SIGCONT);
    return false;
  }));
  const auto released = RunMsearch({"task", "release", task, "--server", server.url()});
  kill(worker, SIGCONT);
  EXPECT_NE(released.status, 0);
  EXPECT_THAT(released.err, HasSubstr("can't be released while its worker"));
  EXPECT_TRUE(server.AwaitIdle());
}

TEST(Api, SmallMistakesAreToldPlainly) {
  Server server;
  Write(server.files() + "/pond.txt", "A frog sits in the pond and sings.");
  ASSERT_TRUE(server.Start()) << server.log();
  server.AddRoot();
  ASSERT_TRUE(server.AwaitIdle());
  const auto method = server.Get("/api/tasks/retry");
  EXPECT_EQ(method.status, 405) << method.body;
  const auto text = server.Post("/api/compute/feature_extraction",
                                {{"image_path", server.files() + "/pond.txt"}});
  EXPECT_EQ(text.status, 415) << text.body;

  const auto command = [&](std::vector<std::string> words) {
    words.insert(words.end(), {"--server", server.url()});
    return RunMsearch(words);
  };
  const auto paused = command({"task", "pause", "read"});
  EXPECT_EQ(paused.status, 0) << paused.err;
  EXPECT_THAT(paused.out, HasSubstr("read: paused"));
  EXPECT_THAT(command({"task", "stats"}).out, HasSubstr("paused"));
  const auto resumed = command({"task", "resume", "read"});
  EXPECT_THAT(resumed.out, HasSubstr("read: goes on")) << resumed.err;
  EXPECT_NE(command({"task", "pause", "raed"}).status, 0);

  const auto workers = RunMsearch({"run", "both", "--workers", "-1"});
  EXPECT_NE(workers.status, 0);
  EXPECT_THAT(workers.err, HasSubstr("flag --workers"));
}

}  // namespace
}  // namespace msearch::test
