// Any endpoint that speaks the OpenAI protocol: a llama.cpp server, Ollama, vLLM, a cloud. The one
// client of language models.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "base/result.h"

namespace msearch::answer {

struct ModelOptions {
  std::string endpoint;             // "http://127.0.0.1:8080" or ".../v1"; empty: none
  std::string model;                // as the endpoint names it; empty: its default
  std::string vision_model;         // that sees pictures; empty: none
  std::string key;                  // "Authorization: Bearer"; empty: none
  Milliseconds timeout{120000};     // for a whole answer
  Milliseconds silence_max{60000};  // between pieces of a streamed answer
  int attempts_max = 3;             // of what may succeed when tried again
  Milliseconds backoff_first{500};
  Milliseconds backoff_max{10000};  // also the longest Retry-After that is waited for
  int tokens_max = 512;             // of an answer
  // At most so many answers at a time, of all processes that share the folder of the slots.
  int concurrency = 2;
  std::string slot_directory;  // empty: of this process alone
  // After so many failures in a row nothing is asked for a while.
  int failures_max = 3;
  Milliseconds rest{30000};
};

struct ChatMessage {
  std::string role;  // "system", "user"
  std::string text;
  std::string picture;  // JPEG bytes; empty: none
};

struct Generated {
  std::string text;
  std::string model;  // as the endpoint names it
  int64_t tokens = 0;
};

// Thread-safe.
class LanguageModel {
 public:
  explicit LanguageModel(ModelOptions options);

  bool configured() const { return !options_.endpoint.empty(); }
  bool sees() const { return configured() && !options_.vision_model.empty(); }

  // `on_text` gets all of the text so far whenever some came; after a failed attempt it begins
  // anew. kUnavailable (away, overloaded, cut off, or resting after failures), kTimeout,
  // kPermission (the key), kInvalid (the endpoint refuses the request), kCorrupt (not the
  // protocol), kCancelled.
  Result<Generated> Chat(const std::vector<ChatMessage>& messages,
                         const std::function<void(const std::string& so_far)>& on_text,
                         std::stop_token stop);

 private:
  struct Attempt;
  Result<Generated> Once(const std::string& body,
                         const std::function<void(const std::string&)>& on_text,
                         std::stop_token stop, Milliseconds* retry_after);
  Result<Fd> TakeSlot(const std::stop_token& stop);
  std::optional<Error> Resting();
  void Count(bool good, const std::string& why);

  const ModelOptions options_;
  std::string url_;
  std::mutex mutex_;
  int failures_ = 0;          // by mutex_
  std::string last_why_;      // by mutex_
  SteadyTime rests_until_{};  // by mutex_
};

}  // namespace msearch::answer
