// What the parts of ask_bench share: asking a running server.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <string>

#include "system/server.h"

namespace msearch::bench {

[[noreturn]] inline void Die(const std::string& why) {
  std::fprintf(stderr, "ask_bench: %s\n", why.c_str());
  std::exit(1);
}

// The task's id.
inline std::string Submit(const test::Server& server, const std::string& question) {
  const auto answer = server.Post("/api/async/complete-answer", {{"question", question}});
  if (answer.status != 202) Die(answer.body);
  return GetString(answer.json, "task_id").value_or("");
}

// How the task stands once it has ended.
inline Json Ended(const test::Server& server, const std::string& id) {
  while (true) {
    const auto answer = server.Get("/api/async/task/" + id + "?wait=30");
    const std::string status = GetString(answer.json, "status").value_or("");
    if (answer.status != 200) Die(answer.body);
    if (status != "queued" && status != "started") return answer.json;
  }
}

// ask_bench quality QUESTIONS SET PACK
int Quality(const std::string& file, const std::string& set, const std::string& pack);

}  // namespace msearch::bench
