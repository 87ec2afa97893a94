#include "celery/message.h"

#include "base/strings.h"

namespace msearch::celery {
namespace {

struct Exception {
  std::string_view module;
  std::string_view type;
};

Exception ExceptionOf(Code code) {
  switch (code) {
    case Code::kInvalid:
    case Code::kCorrupt:
    case Code::kUnsupported:
    case Code::kTooLarge:
      return {"builtins", "ValueError"};
    case Code::kTimeout:
      return {"builtins", "TimeoutError"};
    case Code::kNotFound:
      return {"celery.exceptions", "NotRegistered"};
    case Code::kCancelled:
      return {"celery.exceptions", "TaskRevokedError"};
    default:
      return {"builtins", "RuntimeError"};
  }
}

Error Invalid(std::string_view what) {
  return {Code::kInvalid, "celery message: " + std::string(what)};
}
Error Unsupported(std::string_view what) {
  return {Code::kUnsupported, "celery message: " + std::string(what) + " isn't served here"};
}

// An absent or null member is none.
const Json* Member(const Json& object, const char* name) {
  const auto found = object.find(name);
  return found == object.end() || found->is_null() ? nullptr : &*found;
}

Result<std::string> BodyOf(const Json& message, const Json& headers, const Json& properties) {
  if (GetString(message, "content-type").value_or("") != "application/json") {
    return Unsupported("a body that is not JSON (task_serializer)");
  }
  if (Member(headers, "compression") != nullptr) return Unsupported("a compressed body");
  const std::optional<std::string> body = GetString(message, "body");
  if (!body) return Invalid("has no body");
  if (GetString(properties, "body_encoding").value_or("") != "base64") return *body;
  std::optional<std::string> decoded = Base64Decode(*body);
  if (!decoded) return Invalid("its body is no base64");
  return *std::move(decoded);
}

}  // namespace

Result<> ReadMessage(std::string_view message, Call* call) {
  const Json json = TRY(ParseJson(message));
  if (!json.is_object()) return Invalid("is no object");
  const Json* headers = Member(json, "headers");
  const Json* properties = Member(json, "properties");
  if (headers == nullptr || !headers->is_object()) return Invalid("has no headers");
  call->id = GetString(*headers, "id").value_or("");
  call->task = GetString(*headers, "task").value_or("");
  if (call->id.empty() || call->task.empty()) {
    return Invalid("names no task (version 2 of the protocol is expected)");
  }
  const bool described = properties != nullptr && properties->is_object();
  const std::string body = TRY(BodyOf(json, *headers, described ? *properties : Json::object()));
  const Json parts = TRY(ParseJson(body));
  if (!parts.is_array() || parts.size() < 2 || !parts[0].is_array() || !parts[1].is_object()) {
    return Invalid("its body is not [args, kwargs, ...]");
  }
  if (Member(*headers, "eta") != nullptr) return Unsupported("a time to start at (eta, countdown)");
  if (parts.size() > 2 && parts[2].is_object()) {
    for (const char* next : {"callbacks", "errbacks", "chain", "chord"}) {
      const Json* tasks = Member(parts[2], next);
      if (tasks != nullptr && !tasks->empty()) return Unsupported(next);
    }
  }
  if (const Json* expires = Member(*headers, "expires")) {
    const auto time = ParseRfc3339(expires->is_string() ? expires->get<std::string>() : "");
    if (!time.ok()) return Invalid("expires: no time");
    call->expires = *time;
  }
  call->args = parts[0];
  call->kwargs = parts[1];
  return Ok{};
}

std::string ResultText(const std::string& id, const Result<Json>& result, UnixMs now) {
  Json meta{{"status", "SUCCESS"},
            {"traceback", nullptr},
            {"children", Json::array()},
            {"date_done", FormatRfc3339(now)},
            {"task_id", id}};
  if (result.ok()) {
    meta["result"] = *result;
  } else {
    const Exception exception = ExceptionOf(result.code());
    meta["status"] = result.code() == Code::kCancelled ? "REVOKED" : "FAILURE";
    meta["result"] = {{"exc_module", exception.module},
                      {"exc_type", exception.type},
                      {"exc_message", {SanitizeUtf8(result.message())}}};
  }
  return DumpJson(meta);
}

}  // namespace msearch::celery
