// What Celery's programs and workers tell each other over Redis: version 2 of its messages, with
// bodies and results of JSON, its defaults (docs.celeryq.dev, "Message Protocol").
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/json.h"
#include "base/result.h"

namespace msearch::celery {

struct Call {
  std::string id;
  std::string task;  // "worker.generate_embeddings_task"
  Json args = Json::array();
  Json kwargs = Json::object();
  std::optional<UnixMs> expires;  // of no use to anybody after that
};

// kInvalid for what is no message of that kind; kUnsupported for one that asks for more than a
// result: other bodies than plain JSON, a time to start at, tasks to start afterwards. `call` has
// the id as soon as that is known, so that whoever waits can be told.
Result<> ReadMessage(std::string_view message, Call* call);

// What Celery's result back end keeps, and tells who waits. Errors become exceptions that Python
// knows: ValueError for a faulty argument, NotRegistered for kNotFound, TaskRevokedError for
// kCancelled, TimeoutError, RuntimeError.
std::string ResultText(const std::string& id, const Result<Json>& result, UnixMs now);

}  // namespace msearch::celery
