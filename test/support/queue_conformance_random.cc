// Random operations against the model, the same for the same seed.
#include <array>
#include <random>
#include <set>

#include "support/queue_conformance.h"
#include "support/queue_model.h"

namespace msearch::queue {
namespace {

constexpr std::array<const char*, 3> kQueues{"tasks", "embed", "commit"};
constexpr std::array kCodes{Code::kUnavailable, Code::kTimeout, Code::kCrashed, Code::kInternal,
                            Code::kCorrupt,     Code::kInvalid, Code::kCrashed, Code::kExhausted};

class RandomRun {
 public:
  RandomRun(QueueUnderTest& state, unsigned seed)
      : state_(state),
        first_(state.Open()),
        second_(state.Open()),
        random_(seed),
        model_(state.clock().NowMs()) {}

  // What went wrong, and at which step; empty if nothing.
  std::string Run(int steps) {
    for (int step = 0; step < steps; ++step) {
      std::string fault = Step();
      if (fault.empty()) fault = model_.AdoptLetters(queue());
      if (fault.empty() && step % 20 == 0) fault = model_.Compare(queue());
      if (!fault.empty()) return "step " + std::to_string(step) + ": " + fault;
    }
    return model_.Compare(queue());
  }

 private:
  size_t Below(size_t limit) {
    return std::uniform_int_distribution<size_t>(0, limit - 1)(random_);
  }
  bool Chance(size_t of_hundred) { return Below(100) < of_hundred; }
  // One of the two users of the state, at random.
  TaskQueue& queue() { return Chance(50) ? *first_ : *second_; }
  template <typename Container>
  const auto& OneOf(const Container& container) {
    return *std::next(container.begin(), static_cast<std::ptrdiff_t>(Below(container.size())));
  }
  TaskId AnyTask() {
    if (model_.tasks().empty() || Chance(2)) return "t01JZZZZZZZZZZZZZZZZZZZZZZZ";
    return OneOf(model_.tasks()).first;
  }

  NewTask RandomTask() {
    NewTask task;
    task.queue = OneOf(kQueues);
    task.kind = Chance(50) ? "prepare" : "embed";
    task.payload = {{"n", ++number_}};
    task.priority = static_cast<Priority>(Below(3));
    if (Chance(20)) task.unique_key = "key" + std::to_string(Below(8));
    if (Chance(15)) task.delay = Milliseconds(1 + Below(20000));
    task.retry.errors_max = static_cast<int>(1 + Below(4));
    task.retry.losses_max = static_cast<int>(1 + Below(3));
    if (Chance(20)) {
      for (size_t i = Below(3) + 1; i > 0; --i) task.after.push_back(AnyTask());
    }
    if (Chance(20)) task.parent = AnyTask();
    if (Chance(20)) task.dead_letter = {OneOf(kQueues), "letter"};
    if (Chance(5)) task.payload["padding"] = std::string(5000, 'x');
    return task;
  }

  std::string Step() {
    const size_t choice = Below(100);
    if (choice < 25) return Enqueue();
    if (choice < 45) return Take();
    if (choice < 62) return Complete();
    if (choice < 70) return Fail();
    if (choice < 74) return Release();
    if (choice < 79) return Extend();
    if (choice < 82) return SetProgress();
    if (choice < 86) return Cancel();
    if (choice < 90) return Retry();
    if (choice < 93) return Pause();
    return Pass();
  }

  static std::string Expect(const std::optional<Code>& expected, const Result<>& actual,
                            const char* what) {
    if (!expected && actual.ok()) return "";
    if (expected && !actual.ok() && actual.code() == *expected) return "";
    return std::string(what) + ": " + (actual.ok() ? "succeeded" : actual.message());
  }

  std::string Enqueue() {
    const NewTask task = RandomTask();
    const auto id = queue().Enqueue(task);
    const auto refused = model_.RefusesNew(task);
    if (refused || !id.ok())
      return Expect(refused, id.ok() ? Result<>(Ok{}) : id.error(), "enqueue");
    return Added(task, *id);
  }

  std::string Added(const NewTask& task, const TaskId& id) {
    const auto holder = model_.Holder(task.unique_key);
    if (holder) return *holder == id ? "" : "unique key: gave another task";
    if (model_.tasks().contains(id)) return "id given twice";
    model_.Add(task, id);
    return "";
  }

  std::string Take() {
    LeaseRequest request;
    request.worker = "worker-" + std::to_string(Below(3));
    for (size_t i = 1 + Below(3); i > 0; --i) request.queues.emplace_back(OneOf(kQueues));
    request.count_max = 1 + Below(4);
    request.duration = Milliseconds(1000 + Below(10000));
    const auto leases = queue().TakeLeases(request);
    if (!leases.ok()) return leases.message();
    leases_.insert(leases_.end(), leases->begin(), leases->end());
    // Old ones stay for a while, so that late calls are tried, too.
    if (leases_.size() > 40) leases_.erase(leases_.begin(), leases_.begin() + 10);
    return model_.Take(request, *leases);
  }

  std::string Complete() {
    if (leases_.empty()) return "";
    std::vector<Completion> completions;
    std::set<TaskId> ids;  // a task stands in a call once, lest its order mattered
    for (size_t i = 1 + Below(3); i > 0; --i) {
      Completion completion{OneOf(leases_), {{"n", ++number_}}, {}};
      if (!ids.insert(completion.lease.task.id).second) continue;
      if (Chance(20)) completion.follow_ups.push_back(RandomTask());
      if (!completion.follow_ups.empty())
        completion.follow_ups[0].parent = completion.lease.task.id;
      completions.push_back(std::move(completion));
    }
    const auto answers = queue().Complete(completions);
    if (!answers.ok()) return answers.message();
    for (size_t i = 0; i < completions.size(); ++i) {
      std::string fault = Completed(completions[i], (*answers)[i]);
      if (!fault.empty()) return fault;
    }
    return "";
  }

  std::string Completed(const Completion& completion, const Result<>& answer) {
    const Lease& lease = completion.lease;
    if (!model_.IsHeld(lease)) return Expect(Code::kStale, answer, "late completion");
    std::optional<Code> refused;
    for (const NewTask& task : completion.follow_ups) refused = model_.RefusesNew(task);
    const bool cancelled = model_.tasks().at(lease.task.id).shown.cancel_requested;
    if (refused && !cancelled) return Expect(refused, answer, "completion");
    if (!model_.Complete(lease, completion.result)) {
      return Expect(Code::kStale, answer, "completion of a cancelled task");
    }
    for (const NewTask& task : completion.follow_ups) {
      if (model_.Holder(task.unique_key)) continue;
      TaskFilter filter;
      filter.parent = lease.task.id;
      const auto children = queue().List(filter);
      if (!children.ok()) return children.message();
      for (const Task& child : *children) {
        if (child.payload == task.payload) model_.Add(task, child.id);
      }
    }
    return Expect(std::nullopt, answer, "completion");
  }

  std::string Fail() {
    if (leases_.empty()) return "";
    const Lease lease = OneOf(leases_);
    const Error error{OneOf(kCodes), "it: broke"};
    const Result<> answer = queue().Fail({lease, error});
    if (!model_.IsHeld(lease)) return Expect(Code::kStale, answer, "late failure");
    const auto seen = queue().Get(lease.task.id);
    if (!seen.ok() || !answer.ok()) return "fail: refused";
    return model_.Fail(lease, error, seen->available_at);
  }

  std::string Release() {
    if (leases_.empty()) return "";
    const Lease lease = OneOf(leases_);
    const Milliseconds delay(Chance(50) ? 0 : Below(3000));
    const Result<> answer = queue().Release(lease, delay);
    if (!model_.IsHeld(lease)) return Expect(Code::kStale, answer, "late release");
    model_.Release(lease, delay);
    return Expect(std::nullopt, answer, "release");
  }

  std::string Extend() {
    if (leases_.empty()) return "";
    const std::vector<Lease> leases{OneOf(leases_), OneOf(leases_)};
    const Milliseconds duration(1000 + Below(10000));
    const auto held = queue().Extend(leases, duration);
    if (!held.ok()) return held.message();
    for (size_t i = 0; i < leases.size(); ++i) {
      const TaskQueue::Held expected = model_.Extend(leases[i], duration);
      if (expected.held != (*held)[i].held || expected.cancelled != (*held)[i].cancelled) {
        return "extend: another answer";
      }
    }
    return "";
  }

  std::string SetProgress() {
    if (leases_.empty()) return "";
    const Lease lease = OneOf(leases_);
    const Progress progress{0.5, "stage" + std::to_string(Below(9)), ""};
    const Result<> answer = queue().SetProgress(lease, progress);
    if (!model_.IsHeld(lease)) return Expect(Code::kStale, answer, "late progress");
    model_.SetProgress(lease, progress);
    return Expect(std::nullopt, answer, "progress");
  }

  std::string Cancel() {
    const TaskId id = AnyTask();
    return Expect(model_.Cancel(id), queue().Cancel(id), "cancel");
  }

  std::string Retry() {
    const TaskId id = AnyTask();
    return Expect(model_.Retry(id), queue().Retry(id), "retry");
  }

  std::string Pause() {
    const std::string name = OneOf(kQueues);
    const bool paused = Chance(40);
    model_.SetPaused(name, paused);
    return Expect(std::nullopt, paused ? queue().Pause(name) : queue().Resume(name), "pause");
  }

  // Time goes on, and everything that is due happens.
  std::string Pass() {
    const Milliseconds by(Below(4000));
    state_.clock().Advance(by);
    model_.Advance(by);
    const Retention retention{Milliseconds(60000), Milliseconds(90000), 1'000'000};
    model_.Maintain(retention);
    return Expect(std::nullopt, queue().Maintain(retention), "maintain");
  }

  QueueUnderTest& state_;
  std::unique_ptr<TaskQueue> first_;
  std::unique_ptr<TaskQueue> second_;
  std::mt19937 random_;
  QueueModel model_;
  std::vector<Lease> leases_;
  int number_ = 0;
};

}  // namespace

TEST_P(QueueConformance, RandomOperationsShowWhatTheModelShows) {
  for (unsigned seed = 1; seed <= 6; ++seed) {
    const auto state = GetParam().make();
    ASSERT_EQ(RandomRun(*state, seed).Run(1500), "") << "seed " << seed;
  }
}

}  // namespace msearch::queue
