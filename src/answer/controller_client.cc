#include "answer/controller_client.h"

#include <condition_variable>
#include <mutex>
#include <set>

#include "base/strings.h"
#include "queue/task.h"

namespace msearch::answer {
namespace {

constexpr uint64_t kInputBytesMax = uint64_t{1} << 30;

// Waits; false when stopped.
bool Sleep(Milliseconds time, const std::stop_token& stop) {
  std::mutex mutex;
  std::condition_variable_any changed;
  std::unique_lock lock(mutex);
  changed.wait_for(lock, stop, time, [] { return false; });
  return !stop.stop_requested();
}

Code CodeOfStatus(int status) {
  switch (status) {
    case 401:
    case 403:
      return Code::kPermission;
    case 404:
    case 410:
      return Code::kNotFound;
    case 413:
      return Code::kTooLarge;
    case 415:
      return Code::kUnsupported;
    case 422:
      return Code::kCorrupt;
    case 507:
      return Code::kExhausted;
    default:
      return status >= 500 ? Code::kUnavailable : Code::kInvalid;
  }
}

Error ErrorOf(const net::HttpResponse& response) {
  const auto body = ParseJson(response.body);
  const std::string detail = body.ok() ? GetString(*body, "detail").value_or("") : std::string();
  return {CodeOfStatus(response.status),
          detail.empty() ? "controller: answered with status " + std::to_string(response.status)
                         : detail};
}

net::HttpRequest JsonRequest(const Json& body) {
  net::HttpRequest request;
  request.method = "POST";
  request.headers.push_back("Content-Type: application/json");
  request.body = DumpJson(body);
  return request;
}

// Other words for the question's: the terms' first ones, then their second ones, and so on, as far
// as there is room. They find passages, and don't count for how rare a term is.
void AddOtherWords(const Question& question, size_t phrases_max, Json* phrases) {
  constexpr size_t kOfEach = 6;
  std::vector<std::vector<std::string>> others;
  for (const QueryTerm& term : question.terms) {
    auto& words = others.emplace_back();
    for (const auto& stems : term.english) words.push_back(Join(stems, " "));
    words.insert(words.end(), term.synonyms.begin(), term.synonyms.end());
  }
  std::set<std::string> said;
  for (size_t nth = 0; nth < kOfEach; ++nth) {
    for (const auto& words : others) {
      if (nth >= words.size() || phrases->size() >= phrases_max) continue;
      if (!words[nth].empty() && said.insert(words[nth]).second) phrases->push_back(words[nth]);
    }
  }
}

}  // namespace

Result<net::HttpResponse> ControllerClient::Send(net::HttpRequest request,
                                                 const std::string& target,
                                                 std::stop_token stop) const {
  if (!options_.token.empty()) {
    request.headers.push_back("Authorization: Bearer " + options_.token);
  }
  request.stop = stop;
  request.timeout = Milliseconds(60000);
  const SteadyTime end = std::chrono::steady_clock::now() + options_.patience;
  for (int failures = 1;; ++failures) {
    Result<std::string> address = options_.address();
    Result<net::HttpResponse> response = address.ok() ? Result<net::HttpResponse>(Error{})
                                                      : Result<net::HttpResponse>(address.error());
    if (address.ok()) {
      request.url = *address + target;
      response = net::Fetch(request);
    }
    const bool away =
        response.ok() ? response->status == 503 || response->status == 502
                      : response.code() == Code::kUnavailable || response.code() == Code::kNotFound;
    if (!away && !response.ok()) return response.error();
    if (!away && response->status >= 400) return ErrorOf(*response);
    if (!away) return response;
    queue::RetryPolicy policy;
    policy.backoff_first = Milliseconds(100);
    policy.backoff_max = Milliseconds(2000);
    const Milliseconds wait = queue::Backoff(policy, failures, 0.5);
    if (std::chrono::steady_clock::now() + wait > end) {
      return Error{Code::kUnavailable, "controller: " + (response.ok() ? ErrorOf(*response).message
                                                                       : response.message())};
    }
    if (!Sleep(wait, stop)) return Error{Code::kCancelled, "controller: cancelled"};
  }
}

Result<Json> ControllerClient::SendForJson(net::HttpRequest request, const std::string& target,
                                           std::stop_token stop) const {
  const net::HttpResponse response = TRY(Send(std::move(request), target, std::move(stop)));
  auto json = ParseJson(response.body);
  if (!json.ok()) return Error{Code::kUnavailable, "controller: " + json.message()};
  return json;
}

Result<Evidence> ControllerClient::FindPassages(const Question& question, const Json& filters,
                                                size_t limit, std::stop_token stop) const {
  constexpr size_t kPhrasesMax = 48;
  Json body{{"query", question.words}, {"phrases", Json::array()}, {"limit", limit}};
  if (!filters.empty()) body["filters"] = filters;
  std::vector<size_t> term_of;  // of each phrase
  for (size_t i = 0; i < question.terms.size(); ++i) {
    for (const std::string& phrase : question.terms[i].phrases) {
      if (term_of.size() == kPhrasesMax) break;
      body["phrases"].push_back(phrase);
      term_of.push_back(i);
    }
  }
  AddOtherWords(question, kPhrasesMax, &body["phrases"]);
  const Json json = TRY(SendForJson(JsonRequest(body), "/api/passages", std::move(stop)));
  Evidence evidence;
  for (const Json& hit : json.value("passages", Json::array())) {
    evidence.passages.push_back(PassageFromJson(hit));
  }
  // A term is as rare as the most common of its forms.
  evidence.rarity.assign(question.terms.size(), 0);
  const Json rarity = json.value("rarity", Json::array());
  std::vector<bool> seen(question.terms.size());
  for (size_t i = 0; i < term_of.size() && i < rarity.size(); ++i) {
    if (!rarity[i].is_number()) continue;
    double& value = evidence.rarity[term_of[i]];
    value = seen[term_of[i]] ? std::min(value, rarity[i].get<double>()) : rarity[i].get<double>();
    seen[term_of[i]] = true;
  }
  evidence.notice = GetString(json, "notice").value_or("");
  return evidence;
}

Result<ControllerClient::Input> ControllerClient::GetInput(const Json& image,
                                                           std::stop_token stop) const {
  net::HttpRequest request = JsonRequest({{"image", image}});
  request.body_bytes_max = kInputBytesMax;
  net::HttpResponse response = TRY(Send(std::move(request), "/api/async/input", std::move(stop)));
  Input input{std::move(response.body), "picture"};
  if (auto name = GetString(image, "name"); name && !name->empty()) input.name = *name;
  return input;
}

Result<Json> ControllerClient::FindSimilar(const Json& image, const Input& input, size_t limit,
                                           std::stop_token stop) const {
  if (const auto id = GetInt(image, "media_id")) {
    return SendForJson(JsonRequest({{"image", {{"media_id", *id}}}, {"limit", limit}}),
                       "/api/search", std::move(stop));
  }
  net::HttpRequest request;
  request.method = "POST";
  request.form.push_back({.name = "limit", .value = std::to_string(limit)});
  request.form.push_back({.name = "image", .value = input.bytes});
  return SendForJson(std::move(request), "/api/search", std::move(stop));
}

Result<Json> ControllerClient::GetMedia(int64_t media_id, std::stop_token stop) const {
  return SendForJson({}, "/api/media/" + std::to_string(media_id), std::move(stop));
}

Result<std::string> ControllerClient::ActiveModel(std::stop_token stop) const {
  const Json json = TRY(SendForJson({}, "/api/models", std::move(stop)));
  for (const Json& model : json.value("models", Json::array())) {
    // Packs that read speech or text are in use, too.
    const bool searches = GetString(model, "purpose") == "search";
    if (searches && GetBool(model, "active").value_or(false)) {
      return GetString(model, "name").value_or("");
    }
  }
  return std::string();
}

}  // namespace msearch::answer
