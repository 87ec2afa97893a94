// How tasks stand in Redis: packed by us, kept by the functions in redis/*.lua, read by us again.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "queue/task.h"
#include "storage/redis_reply.h"

namespace msearch::queue {

// Whether it's nothing but a definition in a queue.
bool IsPlain(const NewTask& task);

// What never changes about a task: eight fields as LENGTH:TEXT, then the payload.
std::string PackDefinition(const NewTask& task, std::string_view payload);

// When a task was made, by its id; nothing for text that isn't one.
std::optional<UnixMs> CreatedAt(std::string_view id);

struct StoredTask {
  Task task;            // without its payload, which may be parsed later
  std::string payload;  // as text
};
// `hash` is the flat list of fields and values of task:ID:status; `data` the definition where it
// doesn't stand in there. kCorrupt for what can't be read.
Result<StoredTask> UnpackTask(const std::string& id, const storage::RedisReply& hash,
                              std::string_view data);
// A task that was never touched since it was made.
Result<StoredTask> UnpackNewTask(const std::string& id, std::string_view definition);

// The pieces of a text that is nothing but LENGTH:TEXT, one after the other; kCorrupt otherwise.
Result<std::vector<std::string_view>> CutNetstrings(std::string_view text);

// A task's history: what its state implies, with the lines of task:ID:events in between.
std::vector<TaskEvent> HistoryOf(const Task& task, std::string_view events);

}  // namespace msearch::queue
