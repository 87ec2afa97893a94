#include "queue/event_log.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "base/strings.h"

namespace msearch::queue {
namespace {

struct KindName {
  EventKind kind;
  std::string_view name;
};

constexpr std::array kKindNames{
    KindName{EventKind::kStarted, "started"},
    KindName{EventKind::kFinished, "finished"},
    KindName{EventKind::kError, "error"},
    KindName{EventKind::kCrash, "crash"},
    KindName{EventKind::kLost, "lost"},
    KindName{EventKind::kReleased, "released"},
    KindName{EventKind::kRetried, "retried"},
    KindName{EventKind::kCancelled, "cancelled"},
    KindName{EventKind::kQuarantined, "quarantined"},
};

constexpr size_t kDetailBytesMax = 500;

void AppendField(std::string& line, std::string_view text) {
  std::string clean = SanitizeUtf8(TruncateUtf8(text, kDetailBytesMax));
  std::replace_if(
      clean.begin(), clean.end(), [](char c) { return static_cast<unsigned char>(c) < ' '; }, ' ');
  line += '\t';
  line += clean;
}

bool ParseLine(std::string_view line, UnixMs created_at, std::string& worker, TaskEvent& event) {
  if (line.empty()) return false;
  const auto* name = std::find_if(kKindNames.begin(), kKindNames.end(), [&](const KindName& entry) {
    return static_cast<char>(entry.kind) == line[0];
  });
  if (name == kKindNames.end()) return false;
  const std::vector<std::string_view> fields = Split(line.substr(1), '\t');
  int64_t offset = 0;
  const auto [end, fault] =
      std::from_chars(fields[0].data(), fields[0].data() + fields[0].size(), offset);
  if (fault != std::errc() || end != fields[0].data() + fields[0].size()) return false;
  if (fields.size() > 1 && !fields[1].empty()) worker = fields[1];
  event.at = created_at + offset;
  event.what = name->name;
  event.worker = worker;
  event.detail = fields.size() > 2 ? std::string(fields[2]) : "";
  return true;
}

}  // namespace

std::string EventLine(EventKind kind, Milliseconds since_creation, std::string_view worker,
                      std::string_view detail) {
  std::string line(1, static_cast<char>(kind));
  line += std::to_string(since_creation.count());
  if (!worker.empty() || !detail.empty()) AppendField(line, worker);
  if (!detail.empty()) AppendField(line, detail);
  line += '\n';
  return line;
}

std::vector<TaskEvent> ParseEvents(UnixMs created_at, std::string_view log) {
  std::vector<TaskEvent> events;
  events.push_back({created_at, "enqueued", "", ""});
  std::string worker;
  for (const std::string_view line : Split(log, '\n')) {
    TaskEvent event;
    if (ParseLine(line, created_at, worker, event)) events.push_back(std::move(event));
  }
  return events;
}

}  // namespace msearch::queue
