#include "ingest/features.h"

#include <algorithm>
#include <atomic>
#include <thread>

#include "ingest/why.h"

namespace msearch::ingest {
namespace {

constexpr size_t kAtOnce = 16;
constexpr int kStepsMax = 12;  // of one input, started again after lost blobs included

Milliseconds Left(SteadyTime deadline) {
  return std::max(Milliseconds(0), std::chrono::duration_cast<Milliseconds>(
                                       deadline - std::chrono::steady_clock::now()));
}

}  // namespace

std::vector<Result<Features>> FeatureExtractor::Extract(const std::vector<FeatureInput>& inputs,
                                                        const TargetModel& model,
                                                        Milliseconds timeout,
                                                        const std::stop_token& stop) {
  const SteadyTime deadline = std::chrono::steady_clock::now() + timeout;
  std::vector<Result<Features>> answers(
      inputs.size(), Error{Code::kTimeout, "features: not begun in time; others went before"});
  std::atomic<size_t> next = 0;
  std::vector<std::jthread> threads;
  for (size_t i = 0; i < std::min(kAtOnce, inputs.size()); ++i) {
    threads.emplace_back([&] {
      for (size_t at = next++;
           at < inputs.size() && Left(deadline) > Milliseconds(0) && !stop.stop_requested();
           at = next++) {
        answers[at] = One(inputs[at], model, deadline, stop);
      }
    });
  }
  threads.clear();
  return answers;
}

Result<Features> FeatureExtractor::One(const FeatureInput& input, const TargetModel& model,
                                       SteadyTime deadline, const std::stop_token& stop) {
  PrepareJob job;
  job.path = input.name;
  job.model = model;
  job.upload = TRY(blobs_->Put(TRY(input.read())));
  auto task =
      queue_->EnqueueAndAwait(PrepareTask(job, queue::Priority::kHigh), Left(deadline), stop);
  Result<Features> features =
      task.ok() ? Follow(*std::move(task), deadline, stop) : Result<Features>(task.error());
  blobs_->Remove(job.upload);
  return features;
}

Error FeatureExtractor::NotInTime(const queue::Task& task) const {
  std::string why = WhyNotDone(*queue_, task).value_or("");
  if (why.empty()) why = "the queue can't be asked why";
  return {Code::kTimeout, "features: not done in time (" + task.kind + "): " + why};
}

Result<Features> FeatureExtractor::Follow(queue::Task task, SteadyTime deadline,
                                          const std::stop_token& stop) {
  for (int step = 0; step < kStepsMax; ++step) {
    if (task.status == queue::Status::kQueued || task.status == queue::Status::kStarted) {
      Error error = NotInTime(task);
      (void)queue_->Cancel(task.id);
      return error;
    }
    if (task.status == queue::Status::kCancelled) {
      return Error{Code::kCancelled, "features: the task was cancelled"};
    }
    if (task.status == queue::Status::kFailed) {
      return task.error.value_or(Error{Code::kInternal, "features: the task failed"});
    }
    if (const auto vectors = GetString(task.result.value_or(Json::object()), "vectors")) {
      const std::string bytes = TRY(blobs_->Get(*vectors));
      blobs_->Remove(*vectors);
      return DecodeVectors(bytes);
    }
    queue::TaskFilter next;
    next.parent = task.id;
    const auto children = TRY(queue_->List(next));
    if (children.empty()) return Error{Code::kInternal, "features: the next step is missing"};
    task = TRY(queue_->Await(children.front().id, Left(deadline), stop));
  }
  return Error{Code::kUnavailable, "features: intermediate data was lost again and again"};
}

}  // namespace msearch::ingest
