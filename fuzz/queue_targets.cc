// What the queue finds in Redis, in its own file and in the folder of results that waited.

#include "queue/embedded_queue.h"
#include "queue/event_log.h"
#include "queue/redis_task.h"
#include "queue/spool.h"
#include "queue/task_id.h"
#include "storage/redis_connection.h"
#include "targets.h"

namespace msearch::fuzz {
namespace {

// All pieces together are no longer than the text.
void Netstrings(std::string_view bytes) {
  const auto pieces = queue::CutNetstrings(bytes);
  if (!pieces.ok()) return;
  size_t size = 0;
  for (const std::string_view piece : *pieces) size += piece.size();
  if (size > bytes.size()) __builtin_trap();
}

std::string AnyId() { return queue::EncodeTaskId({queue::FirstRowAt(1'700'000'000'000), 7}); }

void Definition(std::string_view bytes) {
  const auto task = queue::UnpackNewTask(AnyId(), bytes);
  if (task.ok()) (void)ParseJson(task->payload);
}

// A flat list of fields and values, one a line, and the definition behind an empty line.
void TaskHash(std::string_view bytes) {
  storage::RedisReply hash;
  hash.type = storage::RedisReply::Type::kList;
  std::string_view definition;
  while (!bytes.empty()) {
    const size_t end = std::min(bytes.find('\n'), bytes.size());
    if (end == 0) {
      definition = bytes.substr(1);
      break;
    }
    storage::RedisReply item;
    item.type = storage::RedisReply::Type::kText;
    item.text = bytes.substr(0, end);
    hash.items.push_back(std::move(item));
    bytes.remove_prefix(std::min(end + 1, bytes.size()));
  }
  const auto task = queue::UnpackTask(AnyId(), hash, definition);
  if (task.ok()) (void)queue::HistoryOf(task->task, definition);
}

void Events(std::string_view bytes) { (void)queue::ParseEvents(1'700'000'000'000, bytes); }

void TaskIds(std::string_view bytes) {
  const auto key = queue::DecodeTaskId(bytes);
  if (key && queue::EncodeTaskId(*key) != bytes) __builtin_trap();
  (void)queue::CreatedAt(bytes);
}

// In two pieces, as from a socket.
void RedisReply(std::string_view bytes) {
  storage::RedisReplyReader reader;
  const size_t half = bytes.size() / 2;
  for (const std::string_view piece : {bytes.substr(0, half), bytes.substr(half)}) {
    reader.Feed(piece);
    for (auto reply = reader.Next(); reply.ok() && *reply; reply = reader.Next()) {
      (void)(*reply)->AsText();
      (void)(*reply)->AsInteger();
    }
  }
}

void RedisEndpoint(std::string_view bytes) {
  const auto endpoint = storage::ParseRedisEndpoint(bytes, 6379);
  if (endpoint.ok() && (endpoint->port < 1 || endpoint->port > 65535)) __builtin_trap();
}

// Files that a process left which died.
void SpoolFile(std::string_view bytes) {
  static const TemporaryDirectory kDisk;
  static const auto kQueue =
      queue::EmbeddedQueue::Open({.path = kDisk.path() + "/queue.db"}).value();
  const std::string folder = kDisk.path() + "/spool";
  queue::Spool spool(folder);
  (void)WriteFileAtomically(folder + "/task.cbor", bytes);
  (void)spool.Deliver(*kQueue);
}

queue::NewTask SomeTask() {
  queue::NewTask task;
  task.queue = "tasks";
  task.kind = "prepare";
  task.payload = {{"file", 1}};
  task.unique_key = "f1";
  return task;
}
std::vector<std::string> Netstringses() { return {"3:abc0:1:x", "2:ab1:c"}; }
std::vector<std::string> Definitions() {
  return {queue::PackDefinition(SomeTask(), R"({"file":1})")};
}
std::vector<std::string> TaskHashes() {
  return {
      "state\nstarted\nattempts\n1\nworker\nw\ntoken\n1-2\nprogress\n0.5\nmessage\nm\n"
      "error\n{\"code\":\"corrupt\",\"message\":\"m\"}\n\n" +
      queue::PackDefinition(SomeTask(), R"({"file":1})")};
}
std::vector<std::string> EventLogs() {
  return {queue::EventLine(queue::EventKind::kStarted, Milliseconds(5), "w") +
          queue::EventLine(queue::EventKind::kError, Milliseconds(9), "w", "corrupt: a")};
}
std::vector<std::string> Ids() { return {AnyId()}; }
std::vector<std::string> Replies() {
  return {"*3\r\n$2\r\nab\r\n:5\r\n*-1\r\n", "+OK\r\n-ERR no\r\n$-1\r\n"};
}
std::vector<std::string> Endpoints() { return {"host:1", "[::1]:6380", "h"}; }
std::vector<std::string> SpoolFiles() {
  static const TemporaryDirectory kDisk;
  queue::Completion completion;
  completion.lease.task.id = AnyId();
  completion.lease.task.queue = "tasks";
  completion.lease.worker = "w";
  completion.lease.token = {1, 2};
  completion.follow_ups = {SomeTask()};
  queue::Spool spool(kDisk.path());
  const std::string name = spool.Keep({&completion, 1});
  return {ReadFile(kDisk.path() + "/" + name).value_or("")};
}

}  // namespace

std::vector<Target> QueueTargets() {
  return {{"netstrings", Netstrings, Netstringses},
          {"task_definition", Definition, Definitions},
          {"task_hash", TaskHash, TaskHashes},
          {"task_events", Events, EventLogs},
          {"task_id", TaskIds, Ids},
          {"redis_reply", RedisReply, Replies},
          {"redis_endpoint", RedisEndpoint, Endpoints},
          {"spool", SpoolFile, SpoolFiles}};
}

}  // namespace msearch::fuzz
