#include "answer/language_model.h"

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <thread>

#include "base/log.h"
#include "base/strings.h"
#include "net/http_client.h"
#include "queue/task.h"

// An answer comes as server-sent events, each a JSON object with the next piece of the text, and
// ends with a reason ("stop", "length") and "[DONE]". A stream that ends without either was cut
// off, and is tried again from the beginning. Endpoints that don't stream answer with one object.
//
// The breaker: after failures_max failures in a row nobody asks for `rest`; then one caller tries,
// and whether the others follow depends on what becomes of it.

namespace msearch::answer {
namespace {

using Steady = std::chrono::steady_clock;

constexpr uint64_t kAnswerBytesMax = 8 << 20;
constexpr size_t kTextBytesMax = 64 << 10;

bool Sleep(Milliseconds time, const std::stop_token& stop) {
  std::mutex mutex;
  std::condition_variable_any changed;
  std::unique_lock lock(mutex);
  changed.wait_for(lock, stop, time, [] { return false; });
  return !stop.stop_requested();
}

std::string UrlOf(std::string endpoint) {
  while (endpoint.ends_with('/')) endpoint.pop_back();
  if (endpoint.ends_with("/chat/completions")) return endpoint;
  if (!endpoint.ends_with("/v1")) endpoint += "/v1";
  return endpoint + "/chat/completions";
}

Json MessageJson(const ChatMessage& message) {
  if (message.picture.empty()) return {{"role", message.role}, {"content", message.text}};
  return {
      {"role", message.role},
      {"content",
       {{{"type", "text"}, {"text", message.text}},
        {{"type", "image_url"},
         {"image_url", {{"url", "data:image/jpeg;base64," + Base64Encode(message.picture)}}}}}}};
}

// What the endpoint says about its refusal.
std::string DetailOf(const std::string& body) {
  const auto json = ParseJson(body);
  if (!json.ok() || !json->is_object()) return "";
  const Json error = json->value("error", Json());
  if (error.is_string()) return ": " + std::string(TruncateUtf8(error.get<std::string>(), 200));
  const auto text = error.is_object() ? GetString(error, "message") : std::nullopt;
  return text ? ": " + std::string(TruncateUtf8(*text, 200)) : "";
}

Error StatusError(const net::HttpResponse& response, const std::string& body) {
  const std::string text =
      "language model: status " + std::to_string(response.status) + DetailOf(body);
  const int status = response.status;
  if (status == 401 || status == 403) return {Code::kPermission, text};
  if (status == 408 || status == 409 || status == 429 || status >= 500) {
    return {Code::kUnavailable, text};
  }
  return {Code::kInvalid, text};
}

Milliseconds RetryAfterOf(const net::HttpResponse& response) {
  const auto found = response.headers.find("retry-after");
  if (found == response.headers.end()) return Milliseconds(0);
  const int64_t seconds = std::strtoll(found->second.c_str(), nullptr, 10);
  return Milliseconds(std::clamp<int64_t>(seconds, 0, 3600) * 1000);
}

// Gathers the text of a streamed answer, event by event.
struct StreamReader {
  std::string line;
  Generated generated;
  bool ended = false;
  std::optional<Error> fault;

  void Feed(std::string_view bytes) {
    for (const char c : bytes) {
      if (c != '\n') {
        line += c;
        if (line.size() > (1 << 20)) Fail("a line of more than 1 MiB");
        continue;
      }
      TakeLine();
      line.clear();
    }
  }

  void TakeLine() {
    const std::string_view text = Trim(line);
    if (!text.starts_with("data:")) return;
    const std::string_view data = Trim(text.substr(5));
    if (data == "[DONE]") {
      ended = true;
      return;
    }
    const auto json = ParseJson(data);
    if (!json.ok() || !json->is_object()) return Fail("an event that isn't JSON");
    if (json->contains("error")) {
      fault = Error{Code::kUnavailable, "language model: " + DetailOf(std::string(data))};
      return;
    }
    Take(*json, "delta");
  }

  // Of a choice: its text, and why it ended.
  void Take(const Json& json, const char* part) {
    if (auto model = GetString(json, "model")) generated.model = *model;
    const Json usage = json.value("usage", Json());
    if (usage.is_object()) generated.tokens = GetInt(usage, "completion_tokens").value_or(0);
    const Json choices = json.value("choices", Json::array());
    if (!choices.is_array() || choices.empty() || !choices[0].is_object()) return;
    const Json piece = choices[0].value(part, Json());
    if (piece.is_object()) generated.text += GetString(piece, "content").value_or("");
    if (GetString(choices[0], "finish_reason")) ended = true;
    if (generated.text.size() > kTextBytesMax) Fail("more than 64 KiB of text");
  }

  void Fail(const std::string& what) { fault = Error{Code::kCorrupt, "language model: " + what}; }
};

}  // namespace

LanguageModel::LanguageModel(ModelOptions options)
    : options_(std::move(options)), url_(UrlOf(options_.endpoint)) {}

std::optional<Error> LanguageModel::Resting() {
  const std::lock_guard lock(mutex_);
  if (failures_ < options_.failures_max) return std::nullopt;
  if (Steady::now() < rests_until_) {
    return Error{Code::kUnavailable, "language model: not asked for a while after " +
                                         std::to_string(failures_) +
                                         " failures, the last: " + last_why_};
  }
  // This caller tries; the others go on resting until it knows.
  rests_until_ = Steady::now() + options_.rest;
  return std::nullopt;
}

void LanguageModel::Count(bool good, const std::string& why) {
  const std::lock_guard lock(mutex_);
  if (good) {
    failures_ = 0;
    return;
  }
  last_why_ = why;
  if (++failures_ >= options_.failures_max) rests_until_ = Steady::now() + options_.rest;
}

// A slot is a lock on one of a few files: a process that dies gives it back by dying.
Result<Fd> LanguageModel::TakeSlot(const std::stop_token& stop) {
  constexpr Milliseconds kLookEvery{50};
  const SteadyTime end = Steady::now() + options_.timeout;
  while (true) {
    for (int i = 0; i < options_.concurrency; ++i) {
      auto lock = LockFile(options_.slot_directory + "/model-" + std::to_string(i) + ".lock");
      if (lock.ok() || lock.code() != Code::kConflict) return lock;
    }
    if (Steady::now() > end) {
      return Error{Code::kTimeout, "language model: busy with other answers"};
    }
    if (!Sleep(kLookEvery, stop)) return Error{Code::kCancelled, "language model: cancelled"};
  }
}

Result<Generated> LanguageModel::Once(const std::string& body,
                                      const std::function<void(const std::string&)>& on_text,
                                      std::stop_token stop, Milliseconds* retry_after) {
  StreamReader reader;
  std::string raw;  // of an answer that is no stream
  std::stop_source silent;
  const std::stop_callback on_stop(stop, [&] { silent.request_stop(); });
  std::atomic<int64_t> last_ms{0};
  const SteadyTime begin = Steady::now();
  auto now_ms = [&] {
    return std::chrono::duration_cast<Milliseconds>(Steady::now() - begin).count();
  };
  // Ends the transfer when nothing came for too long.
  std::atomic<bool> fell_silent{false};
  std::jthread guard([&](const std::stop_token& done) {
    while (Sleep(Milliseconds(std::max<int64_t>(options_.silence_max.count() / 10, 10)), done)) {
      if (now_ms() - last_ms < options_.silence_max.count()) continue;
      fell_silent = true;
      silent.request_stop();
      return;
    }
  });
  net::HttpRequest request;
  request.method = "POST";
  request.url = url_;
  request.headers = {"Content-Type: application/json", "Accept: text/event-stream"};
  if (!options_.key.empty()) request.headers.push_back("Authorization: Bearer " + options_.key);
  request.body = body;
  request.timeout = options_.timeout;
  request.body_bytes_max = kAnswerBytesMax;
  request.stop = silent.get_token();
  request.on_data = [&](std::string_view bytes) {
    last_ms = now_ms();
    if (raw.size() < kAnswerBytesMax) raw += bytes;
    const size_t before = reader.generated.text.size();
    reader.Feed(bytes);
    if (reader.generated.text.size() > before && on_text) on_text(reader.generated.text);
    return !reader.fault;
  };
  const auto response = net::Fetch(request);
  guard.request_stop();
  guard.join();
  if (stop.stop_requested()) return Error{Code::kCancelled, "language model: cancelled"};
  if (reader.fault) return *reader.fault;
  if (fell_silent) return Error{Code::kTimeout, "language model: fell silent"};
  if (!response.ok()) return Error{response.code(), "language model: " + response.message()};
  if (response->status != 200) {
    *retry_after = RetryAfterOf(*response);
    return StatusError(*response, raw);
  }
  const auto type = response->headers.find("content-type");
  const bool stream =
      type != response->headers.end() && type->second.find("event-stream") != std::string::npos;
  if (!stream) {
    const auto json = ParseJson(raw);
    if (!json.ok() || !json->is_object()) {
      return Error{Code::kCorrupt, "language model: the answer isn't JSON"};
    }
    reader.Take(*json, "message");
    if (on_text && !reader.generated.text.empty()) on_text(reader.generated.text);
  }
  if (!reader.ended) return Error{Code::kUnavailable, "language model: the answer was cut off"};
  if (Trim(reader.generated.text).empty()) {
    return Error{Code::kCorrupt, "language model: an empty answer"};
  }
  return std::move(reader.generated);
}

Result<Generated> LanguageModel::Chat(const std::vector<ChatMessage>& messages,
                                      const std::function<void(const std::string&)>& on_text,
                                      std::stop_token stop) {
  if (!configured()) return Error{Code::kUnavailable, "language model: none is configured"};
  if (auto resting = Resting()) return *resting;
  Json body{{"stream", true}, {"temperature", 0}, {"max_tokens", options_.tokens_max}};
  body["messages"] = Json::array();
  bool picture = false;
  for (const ChatMessage& message : messages) {
    body["messages"].push_back(MessageJson(message));
    picture |= !message.picture.empty();
  }
  const std::string& model = picture ? options_.vision_model : options_.model;
  if (!model.empty()) body["model"] = model;
  const std::string text = DumpJson(body);
  Fd slot;
  if (!options_.slot_directory.empty()) slot = TRY(TakeSlot(stop));
  queue::RetryPolicy policy;
  policy.backoff_first = options_.backoff_first;
  policy.backoff_max = options_.backoff_max;
  for (int attempt = 1;; ++attempt) {
    Milliseconds retry_after{0};
    auto generated = Once(text, on_text, stop, &retry_after);
    if (generated.ok()) {
      Count(true, "");
      if (generated->model.empty()) generated->model = model;
      return generated;
    }
    if (generated.code() == Code::kCancelled) return generated;
    LOG_WARNING("{} (attempt {})", generated.message(), attempt);
    // Broken protocol may be a hiccup of a proxy; a refusal stays one.
    const bool again = generated.code() == Code::kUnavailable ||
                       generated.code() == Code::kTimeout || generated.code() == Code::kCorrupt;
    const Milliseconds wait = std::max(queue::Backoff(policy, attempt, 0.5), retry_after);
    if (!again || attempt >= options_.attempts_max || wait > options_.backoff_max) {
      Count(!again, generated.message());
      return generated;
    }
    if (!Sleep(wait, stop)) return Error{Code::kCancelled, "language model: cancelled"};
  }
}

}  // namespace msearch::answer
