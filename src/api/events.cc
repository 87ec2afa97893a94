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
  std::lock_guard lock(mutex_);
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

size_t Events::listeners() const {
  std::lock_guard lock(mutex_);
  return streams_.size() + new_streams_.size();
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
  constexpr int kKeepAlivePeriods = 15;
  std::map<std::string, std::string> sent;
  int quiet = 0;
  while (!stop.stop_requested()) {
    std::vector<std::shared_ptr<net::Stream>> known;
    std::vector<std::shared_ptr<net::Stream>> fresh;
    {
      std::unique_lock lock(mutex_);
      if (streams_.empty()) {
        changed_.wait(lock, stop, [&] { return !new_streams_.empty(); });
      } else {
        changed_.wait_for(lock, stop, kPeriod, [&] { return !new_streams_.empty(); });
      }
      known = streams_;
      fresh.swap(new_streams_);
    }
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
