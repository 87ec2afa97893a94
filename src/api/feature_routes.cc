// Vectors of pictures by path or upload, for programs that search by themselves.

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cmath>

#include "api/route_table.h"
#include "base/log.h"
#include "base/strings.h"
#include "ingest/features.h"

namespace msearch::api {
namespace {

constexpr size_t kPathsMax = 1000;
const Shape kOne{Field{"image_path", Type::kText, "a picture inside a root"}.Required()};
const Shape kMany{Field{"image_paths", Type::kTexts, "pictures inside roots, 1 to 1000"}.Required(),
                  {"timeout", Type::kNumber, "seconds, at most 3600"}};
Shape FeaturesAnswer() {
  return {{"model", Type::kText, ""},
          {"model_key", Type::kText, ""},
          {"features", Type::kAny, "the vector that most programs want: numbers"},
          {"dimensions", Type::kInteger, "of it"},
          Field{"segments", Type::kObjects, "what it consists of"}.Of(
              {{"views", Type::kAny, "vectors: lists of numbers"},
               Field{"labels", Type::kObjects, ""}.Of(
                   {{"label", Type::kText, ""}, {"probability", Type::kNumber, "0 to 1"}})})};
}

Shape ManyFeaturesAnswer() {
  Shape one = FeaturesAnswer();
  one.push_back(Field{"image_path", Type::kText, ""}.Required());
  one.push_back(Field{"error", Type::kObject, "why it has none"}.Of(
      {{"code", Type::kText, ""}, {"message", Type::kText, ""}}));
  return {
      Field{"results", Type::kObjects, "in the order of image_paths"}.Required().Of(std::move(one)),
      {"model", Type::kText, ""},
      Field{"total", Type::kInteger, ""}.Required(),
      Field{"done", Type::kInteger, ""}.Required(),
      Field{"failed", Type::kInteger, ""}.Required(),
      {"took_ms", Type::kNumber, ""}};
}

constexpr int kRequestsMax = 4;  // at a time: each holds a thread that answers requests

Json FeaturesJson(const ingest::Features& features, const ingest::TargetModel& model) {
  Json json{{"model", model.name}, {"model_key", model.key}, {"segments", Json::array()}};
  for (const embedding::Embedding& one : features) {
    Json segment{{"views", one.views}};
    if (!one.labels.empty()) {
      segment["labels"] = Json::array();
      for (size_t i = 0; i < one.labels.size() && i < 5; ++i) {
        segment["labels"].push_back(
            {{"label", one.labels[i].text}, {"probability", one.labels[i].probability}});
      }
    }
    json["segments"].push_back(std::move(segment));
  }
  // The one vector that most programs want.
  if (!features.empty() && !features[0].views.empty()) {
    json["features"] = features[0].views[0];
    json["dimensions"] = features[0].views[0].size();
  }
  return json;
}

// A file without a picture, as a text, is prepared without fault: it just has no vectors.
Result<Json> AnswerOf(const Result<ingest::Features>& answer, const std::string& name,
                      const ingest::TargetModel& model) {
  if (!answer.ok()) return answer.error();
  const bool seen = std::any_of(answer->begin(), answer->end(),
                                [](const embedding::Embedding& one) { return !one.views.empty(); });
  if (!seen) return Error{Code::kUnsupported, SanitizeUtf8(name) + ": no picture is in it"};
  return FeaturesJson(*answer, model);
}

// Looked at when its turn comes, so that a thousand paths cost no thousand open files.
ingest::FeatureInput PathInput(const Context& context, const std::string& path) {
  const std::string name = path.substr(path.rfind('/') + 1);
  return {name.empty() ? "image" : name, [context, path]() -> Result<std::string> {
            const Fd file = TRY(OpenInsideRoot(*context.catalog, path));
            struct stat info {};
            if (fstat(file.get(), &info) != 0 || !S_ISREG(info.st_mode)) {
              return Error{Code::kUnsupported, path + ": not a regular file"};
            }
            if (static_cast<uint64_t>(info.st_size) > context.upload_bytes_max) {
              return Error{Code::kTooLarge, path + ": larger than server.upload_bytes_max"};
            }
            std::string bytes(static_cast<size_t>(info.st_size), '\0');
            size_t done = 0;
            while (done < bytes.size()) {
              const ssize_t got = pread(file.get(), bytes.data() + done, bytes.size() - done,
                                        static_cast<off_t>(done));
              if (got <= 0) return Error{Code::kUnavailable, path + ": can't be read"};
              done += static_cast<size_t>(got);
            }
            return bytes;
          }};
}

// Bounds how many requests wait for workers at a time.
class Turn {
 public:
  explicit Turn(std::atomic<int>& running) : running_(running), mine_(++running <= kRequestsMax) {}
  ~Turn() { --running_; }
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;
  Result<ingest::TargetModel> Model(const Context& context) const {
    if (!mine_) return Error{Code::kUnavailable, "features: too many requests wait already"};
    const auto model = context.library->EmbedsWith();
    if (!model || model->image.width == 0) {
      return Error{Code::kUnavailable, "features: no model that sees pictures is ready"};
    }
    return *model;
  }

 private:
  std::atomic<int>& running_;
  const bool mine_;
};

Result<ingest::FeatureInput> InputOf(const Context& context, const net::Request& request) {
  if (!request.Header("content-type").value_or("").starts_with("multipart/form-data")) {
    const Json body = TRY(JsonBody(request, kOne, "feature_extraction"));
    const std::string path = body["image_path"];
    TRY(OpenInsideRoot(*context.catalog, path));
    return PathInput(context, path);
  }
  for (const net::FormField& field : request.form) {
    if (field.name != "image") continue;
    const std::string name = field.file_name.empty() ? "image" : field.file_name;
    return ingest::FeatureInput{name, [&field]() -> Result<std::string> {
                                  if (field.spooled_path.empty()) return field.value;
                                  return ReadFile(field.spooled_path);
                                }};
  }
  return Error{Code::kInvalid, "image: a file is expected"};
}

Result<Json> ExtractOne(const Context& context, std::atomic<int>& running,
                        const net::Request& request) {
  const Turn turn(running);
  const auto model = TRY(turn.Model(context));
  const std::vector<ingest::FeatureInput> inputs{TRY(InputOf(context, request))};
  const auto answers = context.features->Extract(inputs, model, context.feature_timeout);
  if (!answers[0].ok()) {
    Error error = answers[0].error();
    if (error.code == Code::kTimeout) {
      error.message += fmt::format("; the limit is {} s (compute.feature_timeout)",
                                   context.feature_timeout.count() / 1000);
    }
    return error;
  }
  return AnswerOf(answers[0], inputs[0].name, model);
}

Result<Json> ExtractMany(const Context& context, std::atomic<int>& running,
                         const net::Request& request) {
  const auto begin = std::chrono::steady_clock::now();
  const Json body = TRY(JsonBody(request, kMany, "batch_feature_extraction"));
  const Json& paths = body["image_paths"];
  if (paths.empty() || paths.size() > kPathsMax) {
    return Error{Code::kInvalid,
                 fmt::format("image_paths: a list of 1 to {} paths is expected", kPathsMax)};
  }
  Milliseconds timeout = context.batch_feature_timeout;
  if (body.contains("timeout")) {
    const auto seconds = GetDouble(body, "timeout");
    if (!seconds || *seconds <= 0 || *seconds > 3600) {
      return Error{Code::kInvalid, "timeout: more than 0 and at most 3600 seconds are expected"};
    }
    timeout = Milliseconds(static_cast<int64_t>(*seconds * 1000));
  }
  std::vector<ingest::FeatureInput> inputs;
  for (const Json& path : paths) inputs.push_back(PathInput(context, path.get<std::string>()));
  const Turn turn(running);
  const auto model = TRY(turn.Model(context));
  const auto answers = context.features->Extract(inputs, model, timeout);
  Json json{{"results", Json::array()}, {"model", model.name}, {"total", inputs.size()}};
  int done = 0;
  for (size_t i = 0; i < answers.size(); ++i) {
    Json result{{"image_path", paths[i]}};
    const Result<Json> answer = AnswerOf(answers[i], inputs[i].name, model);
    if (answer.ok()) {
      ++done;
      result.update(*answer);
    } else {
      result["error"] = {{"code", CodeName(answer.code())}, {"message", answer.message()}};
    }
    json["results"].push_back(std::move(result));
  }
  const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - begin;
  json["done"] = done;
  json["failed"] = static_cast<int>(answers.size()) - done;
  json["took_ms"] = std::round(took.count());
  return json;
}

}  // namespace

void AddFeatureRoutes(const Context& context, Table* table) {
  auto running = std::make_shared<std::atomic<int>>(0);
  table->push_back({.method = "POST",
                    .pattern = "/api/compute/feature_extraction",
                    .summary = "Vectors of one picture: image_path inside a root, or an upload",
                    .body = "application/json",
                    .takes = kOne,
                    .files = {"image"},
                    .answer = "features, dimensions, segments, model",
                    .gives = FeaturesAnswer(),
                    .body_bytes_max = context.upload_bytes_max,
                    .handle = [context, running](const net::Request& request) {
                      return Answer(ExtractOne(context, *running, request));
                    }});
  table->push_back(
      {.method = "POST",
       .pattern = "/api/compute/batch_feature_extraction",
       .summary = "Vectors of pictures inside roots; what isn't done in time has a reason instead",
       .body = "application/json",
       .takes = kMany,
       .answer = "results in the order of image_paths, done, failed, took_ms",
       .gives = ManyFeaturesAnswer(),
       .handle = [context, running](const net::Request& request) {
         return Answer(ExtractMany(context, *running, request));
       }});
}

}  // namespace msearch::api
