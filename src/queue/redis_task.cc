#include "queue/redis_task.h"

#include <array>
#include <charconv>
#include <map>

#include "base/strings.h"
#include "queue/embedded_schema.h"
#include "queue/event_log.h"

namespace msearch::queue {
namespace {

using storage::RedisReply;

constexpr size_t kIdBytes = 27;
constexpr size_t kTimeDigits = 10;
constexpr std::string_view kAlphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
constexpr size_t kFields = 8;

void AppendField(std::string& out, std::string_view text) {
  out += std::to_string(text.size());
  out += ':';
  out += text;
}

int64_t Number(std::string_view text) {
  int64_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

// Cuts LENGTH:TEXT off the front; false if it isn't there.
bool CutNetstring(std::string_view& text, std::string_view& field) {
  const size_t colon = text.find(':');
  if (colon == std::string_view::npos || colon > 9) return false;
  const auto size = static_cast<size_t>(Number(text.substr(0, colon)));
  if (text.size() - colon - 1 < size) return false;
  field = text.substr(colon + 1, size);
  text.remove_prefix(colon + 1 + size);
  return true;
}

// Where a line of digits and words ends and a name that may hold spaces begins.
std::string_view CutWord(std::string_view& text) {
  const size_t space = text.find(' ');
  const std::string_view word = text.substr(0, space);
  text.remove_prefix(space == std::string_view::npos ? text.size() : space + 1);
  return word;
}

Result<> ReadDefinition(std::string_view text, StoredTask& stored) {
  Task& task = stored.task;
  std::array<std::string_view, kFields> fields;
  for (std::string_view& field : fields) {
    if (!CutNetstring(text, field)) {
      return Error{Code::kCorrupt, "task " + task.id + ": its definition is damaged or gone"};
    }
  }
  task.queue = fields[0];
  task.kind = fields[1];
  std::string_view numbers = fields[2];
  const int64_t priority = Number(CutWord(numbers));
  if (priority >= 0 && priority <= 2) task.priority = static_cast<Priority>(priority);
  task.timeout = NewTask().timeout;
  if (!numbers.empty()) task.timeout = Milliseconds(Number(CutWord(numbers)));
  task.retry = UnpackPolicy(numbers);
  task.parent = fields[3];
  task.unique_key = fields[4];
  for (const std::string_view id : Split(fields[5], ' ')) {
    if (!id.empty()) task.after.emplace_back(id);
  }
  stored.payload = text;
  return Ok{};
}

void ReadLease(std::string_view text, Task& task) {
  const std::string_view until = CutWord(text);
  CutWord(text);
  CutWord(text);
  const std::string_view started = CutWord(text);
  task.worker = text;
  if (started != "-") task.started_at = Number(started);
  if (task.status == Status::kStarted) task.lease_until = Number(until);
}

void ReadCounts(std::string_view text, Task& task) {
  for (int* count : {&task.attempts, &task.errors, &task.crashes, &task.losses}) {
    *count = static_cast<int>(Number(CutWord(text)));
  }
  // A finish is an attempt that is only implied.
  if (task.status == Status::kFinished) ++task.attempts;
}

}  // namespace

bool IsPlain(const NewTask& task) {
  return task.delay.count() <= 0 && task.unique_key.empty() && task.after.empty() &&
         task.parent.empty();
}

std::string PackDefinition(const NewTask& task, std::string_view payload) {
  std::string numbers = std::to_string(static_cast<int>(task.priority));
  const std::string policy = PackPolicy(task.retry);
  if (!policy.empty() || task.timeout != NewTask().timeout) {
    numbers += " " + std::to_string(task.timeout.count());
  }
  if (!policy.empty()) numbers += " " + policy;
  std::string out;
  out.reserve(payload.size() + 64);
  AppendField(out, task.queue);
  AppendField(out, task.kind);
  AppendField(out, numbers);
  AppendField(out, task.parent);
  AppendField(out, task.unique_key);
  AppendField(out, Join(task.after, " "));
  AppendField(out, task.dead_letter.queue);
  AppendField(out, task.dead_letter.kind);
  out += payload;
  return out;
}

std::optional<UnixMs> CreatedAt(std::string_view id) {
  if (id.size() != kIdBytes || id[0] != 't' || id[1] > '7') return std::nullopt;
  UnixMs time = 0;
  for (size_t i = 1; i < kIdBytes; ++i) {
    const size_t digit = kAlphabet.find(id[i]);
    if (digit == std::string_view::npos) return std::nullopt;
    if (i <= kTimeDigits) time = time * 32 + static_cast<UnixMs>(digit);
  }
  return time;
}

Result<StoredTask> UnpackNewTask(const std::string& id, std::string_view definition) {
  StoredTask stored;
  stored.task.id = id;
  TRY(ReadDefinition(definition, stored));
  stored.task.created_at = stored.task.available_at = CreatedAt(id).value_or(0);
  return stored;
}

Result<StoredTask> UnpackTask(const std::string& id, const RedisReply& hash,
                              std::string_view data) {
  StoredTask stored;
  Task& task = stored.task;
  task.id = id;
  std::map<std::string_view, std::string_view> fields;
  for (size_t i = 0; i + 1 < hash.items.size(); i += 2) {
    fields[hash.items[i].text] = hash.items[i + 1].text;
  }
  const auto field = [&](std::string_view name) {
    const auto found = fields.find(name);
    return found == fields.end() ? std::string_view() : found->second;
  };
  const auto status = StatusFromName(field("status"));
  if (!status) return Error{Code::kCorrupt, "task " + id + ": its status is damaged"};
  task.status = *status;
  std::string definition(data);
  for (int i = 0; definition.size() == data.size() + static_cast<size_t>(i) * 64; ++i) {
    const std::string_view piece = field(std::to_string(i));
    if (piece.empty()) break;
    definition += piece;
  }
  TRY(ReadDefinition(definition, stored));
  task.reason = field("reason");
  task.created_at = CreatedAt(id).value_or(0);
  task.available_at = fields.contains("due") ? Number(field("due")) : task.created_at;
  if (fields.contains("lease")) ReadLease(field("lease"), task);
  ReadCounts(field("n"), task);
  if (fields.contains("end")) task.finished_at = Number(field("end"));
  if (fields.contains("error")) task.error = UnpackError(field("error"));
  task.cancel_requested = field("x").find('c') != std::string_view::npos;
  return stored;
}

Result<std::vector<std::string_view>> CutNetstrings(std::string_view text) {
  std::vector<std::string_view> fields;
  while (!text.empty()) {
    if (!CutNetstring(text, fields.emplace_back())) {
      return Error{Code::kCorrupt, "redis: an answer that makes no sense"};
    }
  }
  return fields;
}

std::vector<TaskEvent> HistoryOf(const Task& task, std::string_view events) {
  // The lines carry absolute times.
  std::vector<TaskEvent> history = ParseEvents(0, events);
  history.front().at = task.created_at;
  const bool finished = task.status == Status::kFinished;
  if (task.started_at && (finished || task.status == Status::kStarted)) {
    history.push_back({*task.started_at, "started", task.worker, ""});
    if (finished) history.push_back({task.finished_at.value_or(0), "finished", task.worker, ""});
  }
  return history;
}

}  // namespace msearch::queue
