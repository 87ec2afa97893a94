#include "api/events.h"

#include <algorithm>

#include "api/route_table.h"

namespace msearch::api {
namespace {

std::string Message(const std::string& event, const std::string& data) {
  return "event: " + event + "\ndata: " + data + "\n\n";
}

}  // namespace

Events::Events(Context context)
    : context_(std::move(context)), thread_([this](std::stop_token stop) { Run(stop); }) {}

void Events::Stop() {
  thread_.request_stop();
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
  std::unique_lock lock(mutex_);
  const auto waiters = std::exchange(waiters_, {});
  lock.unlock();
  for (const Waiter& waiter : waiters) waiter.answer();
  lock.lock();
  streams_.clear();
  new_streams_.clear();
}

void Events::Add(std::shared_ptr<net::Stream> stream) {
  {
    std::lock_guard lock(mutex_);
    new_streams_.push_back(std::move(stream));
  }
  changed_.notify_all();
}

void Events::AwaitIdle(SteadyTime end, std::function<void()> answer) {
  {
    std::lock_guard lock(mutex_);
    waiters_.push_back({end, std::move(answer)});
  }
  changed_.notify_all();
}

void Events::AnswerWaiters() {
  std::vector<Waiter> due;
  {
    std::lock_guard lock(mutex_);
    if (waiters_.empty()) return;
    const auto status = context_.library->Status();
    const bool over = !status.ok() || status->idle;
    const auto now = std::chrono::steady_clock::now();
    auto kept = std::partition(waiters_.begin(), waiters_.end(),
                               [&](const Waiter& waiter) { return !over && waiter.end > now; });
    due.assign(std::make_move_iterator(kept), std::make_move_iterator(waiters_.end()));
    waiters_.erase(kept, waiters_.end());
  }
  for (const Waiter& waiter : due) waiter.answer();
}

std::map<std::string, std::string> Events::State() const {
  std::map<std::string, std::string> state;
  if (auto roots = context_.library->Roots(); roots.ok()) {
    Json json{{"roots", Json::array()}};
    for (const ingest::RootView& view : *roots) json["roots"].push_back(RootJson(view));
    state["roots"] = DumpJson(json);
  }
  if (auto stats = context_.queue->Stats(); stats.ok()) {
    Json json{{"queues", Json::array()}};
    for (const queue::QueueStats& one : *stats) json["queues"].push_back(QueueJson(one));
    state["tasks"] = DumpJson(json);
  }
  if (auto workers = context_.queue->Workers(); workers.ok()) {
    Json json{{"workers", Json::array()}};
    for (const queue::WorkerInfo& worker : *workers) json["workers"].push_back(WorkerJson(worker));
    state["workers"] = DumpJson(json);
  }
  return state;
}

void Events::Run(std::stop_token stop) {
  constexpr auto kPeriod = std::chrono::seconds(1);
  constexpr auto kWaitersPeriod = Milliseconds(100);
  constexpr int kKeepAlivePeriods = 15;
  std::map<std::string, std::string> sent;
  int quiet = 0;
  SteadyTime state_at{};
  while (!stop.stop_requested()) {
    std::vector<std::shared_ptr<net::Stream>> known;
    std::vector<std::shared_ptr<net::Stream>> fresh;
    AnswerWaiters();
    {
      std::unique_lock lock(mutex_);
      const auto now = std::chrono::steady_clock::now();
      if (streams_.empty() && waiters_.empty()) {
        changed_.wait(lock, stop, [&] { return !new_streams_.empty() || !waiters_.empty(); });
      } else if (new_streams_.empty() && (streams_.empty() || now < state_at)) {
        changed_.wait_for(lock, stop, waiters_.empty() ? Milliseconds(kPeriod) : kWaitersPeriod,
                          [&] { return !new_streams_.empty(); });
      }
      const bool due = !streams_.empty() && std::chrono::steady_clock::now() >= state_at;
      if (new_streams_.empty() && !due) continue;
      known = streams_;
      fresh.swap(new_streams_);
    }
    state_at = std::chrono::steady_clock::now() + kPeriod;
    const auto state = State();
    std::string all;
    std::string news;
    for (const auto& [event, data] : state) {
      all += Message(event, data);
      if (sent[event] != data) news += Message(event, data);
    }
    sent = state;
    quiet = news.empty() ? quiet + 1 : 0;
    if (quiet >= kKeepAlivePeriods) {
      news = ": still here\n\n";
      quiet = 0;
    }
    for (const auto& stream : known) {
      if (!news.empty()) stream->Write(news);
    }
    for (const auto& stream : fresh) stream->Write(all);
    known.insert(known.end(), fresh.begin(), fresh.end());
    std::erase_if(known, [](const auto& stream) { return stream->closed(); });
    std::lock_guard lock(mutex_);
    streams_ = std::move(known);
  }
}

}  // namespace msearch::api
