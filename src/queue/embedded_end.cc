// What holders of leases and people do to tasks: each call is one transaction around a Change.
#include <algorithm>

#include "queue/embedded_queue.h"

namespace msearch::queue {
namespace {

Error Stale(const Lease& lease) {
  return Error{Code::kStale, "task " + lease.task.id + ": its lease is no longer the latest"};
}

}  // namespace

// A completion with everything checked that needs no database.
struct EmbeddedQueue::Checked {
  const Completion* completion = nullptr;
  std::string result;
  std::vector<Draft> follow_ups;
  std::optional<Error> fault;
};

Result<std::vector<TaskQueue::Held>> EmbeddedQueue::Extend(std::span<const Lease> leases,
                                                           Milliseconds duration) {
  std::vector<Held> held;
  if (leases.empty()) return held;
  TRY(Write([&](Change& change) -> Result<> {
    for (const Lease& lease : leases) held.push_back(TRY(change.Extend(lease, duration)));
    return Ok{};
  }));
  return held;
}

EmbeddedQueue::Checked EmbeddedQueue::CheckCompletion(const Completion& completion) {
  Checked checked;
  checked.completion = &completion;
  Result<std::string> result =
      CheckJson(completion.result, "result of task " + completion.lease.task.id);
  if (result.ok()) {
    checked.result = std::move(*result);
  } else {
    checked.fault = result.error();
  }
  for (const NewTask& task : completion.follow_ups) {
    Result<Draft> draft = CheckNewTask(task);
    if (draft.ok()) {
      checked.follow_ups.push_back(std::move(*draft));
    } else {
      checked.fault = draft.error();
    }
  }
  return checked;
}

Result<Result<>> EmbeddedQueue::CompleteOne(Change& change, const Checked& checked) {
  // All refusals come before the first write, so that a refused completion leaves no trace in
  // the transaction that it shares with others.
  const Lease& lease = checked.completion->lease;
  std::optional<Error> fault = checked.fault;
  for (const Draft& draft : checked.follow_ups) {
    const Result<> known = change.CheckFollowed(*draft.task);
    if (!known.ok() && known.code() != Code::kNotFound) return known.error();
    if (!known.ok() && !fault) fault = known.error();
  }
  bool done = !fault && TRY(change.Finish(lease, checked.result, false));
  if (!done) {
    const std::optional<TaskRow> row = TRY(change.Held(lease));
    if (!row) return Result<>(Stale(lease));
    if (row->cancel) {
      TRY(change.EndCancelled(*row));
      return Result<>(Code::kStale, "task " + lease.task.id + ": was cancelled");
    }
    if (fault) return Result<>(*fault);
    done = TRY(change.Finish(lease, checked.result, row->followed));
    if (!done) return Error{Code::kInternal, "queue: a held task can't be finished"};
  }
  for (const Draft& draft : checked.follow_ups) TRY(change.Add(draft));
  return Result<>(Ok{});
}

Result<std::vector<Result<>>> EmbeddedQueue::Complete(std::span<const Completion> completions) {
  std::vector<Checked> checked;
  for (const Completion& completion : completions) checked.push_back(CheckCompletion(completion));
  std::vector<Result<>> answers;
  if (checked.empty()) return answers;
  TRY(Write([&](Change& change) -> Result<> {
    for (const Checked& one : checked) answers.push_back(TRY(CompleteOne(change, one)));
    return Ok{};
  }));
  return answers;
}

Result<> EmbeddedQueue::WithHeld(const Lease& lease,
                                 const std::function<Result<>(Change&, const TaskRow&)>& body) {
  return Write([&](Change& change) -> Result<> {
    const std::optional<TaskRow> row = TRY(change.Held(lease));
    if (!row) return Stale(lease);
    return body(change, *row);
  });
}

Result<> EmbeddedQueue::Fail(const Failure& failure) {
  return WithHeld(failure.lease, [&](Change& change, const TaskRow& row) {
    return change.Fail(row, failure.error);
  });
}

Result<> EmbeddedQueue::Release(const Lease& lease, Milliseconds delay) {
  return WithHeld(lease,
                  [&](Change& change, const TaskRow& row) { return change.Release(row, delay); });
}

Result<> EmbeddedQueue::SetProgress(const Lease& lease, const Progress& progress) {
  return WithHeld(
      lease, [&](Change& change, const TaskRow& row) { return change.SetProgress(row, progress); });
}

Result<> EmbeddedQueue::Cancel(const TaskId& id) {
  return Write([&](Change& change) { return change.Cancel(id); });
}

Result<> EmbeddedQueue::Retry(const TaskId& id) {
  return Write([&](Change& change) { return change.Retry(id); });
}

Result<> EmbeddedQueue::Pause(const std::string& queue) {
  return Write([&](Change& change) { return change.SetPaused(queue, true); });
}

Result<> EmbeddedQueue::Resume(const std::string& queue) {
  return Write([&](Change& change) { return change.SetPaused(queue, false); });
}

}  // namespace msearch::queue
