#include "queue/task.h"

#include <algorithm>
#include <array>

namespace msearch::queue {
namespace {

constexpr std::array<std::string_view, 3> kPriorities{"high", "normal", "low"};
constexpr std::array<std::string_view, 5> kStatuses{"queued", "started", "finished", "failed",
                                                    "cancelled"};

template <typename T, size_t N>
std::optional<T> Find(const std::array<std::string_view, N>& names, std::string_view name) {
  const auto found = std::find(names.begin(), names.end(), name);
  if (found == names.end()) return std::nullopt;
  return static_cast<T>(found - names.begin());
}

}  // namespace

std::string_view PriorityName(Priority priority) {
  return kPriorities[static_cast<size_t>(priority)];
}
std::optional<Priority> PriorityFromName(std::string_view name) {
  return Find<Priority>(kPriorities, name);
}

std::string_view StatusName(Status status) { return kStatuses[static_cast<size_t>(status)]; }
std::optional<Status> StatusFromName(std::string_view name) {
  return Find<Status>(kStatuses, name);
}

Milliseconds Backoff(const RetryPolicy& policy, int failures, double random) {
  // Doubling a double can't overflow into nonsense, and the bound comes before the conversion.
  double wait = static_cast<double>(std::max<int64_t>(policy.backoff_first.count(), 0));
  const double bound = static_cast<double>(std::max<int64_t>(policy.backoff_max.count(), 0));
  for (int i = 1; i < failures && wait < bound; ++i) wait *= 2;
  wait = std::min(wait, bound);
  return Milliseconds(static_cast<int64_t>(wait / 2 + wait / 2 * random));
}

}  // namespace msearch::queue
