#include "ingest/capability.h"

#include <algorithm>
#include <array>

#include "base/log.h"
#include "base/strings.h"
#include "ingest/ocr_reader.h"
#include "ingest/pipeline.h"
#include "ingest/sounds_reader.h"
#include "ingest/speech_reader.h"
#include "media/format.h"

namespace msearch::ingest {
namespace {

constexpr std::array kSteps = {kPrepareQueue, kReadQueue, kEmbedQueue, kAnalysisStep};
constexpr std::array<std::string_view, 4> kPictureFormats = {"picture", "heif", "jxl", "raw"};

struct ReaderWords {
  std::string_view reader;
  std::string_view does;
  bool hears;  // opens films and nothing else
};
constexpr std::array kReaders = {
    ReaderWords{kSpeechReader, "writes down what is said", true},
    ReaderWords{kTextReader, "reads text in pictures", false},
    ReaderWords{kSoundsReader, "tells what sounds are", true},
};

std::set<std::string> AllFormats() {
  std::set<std::string> all;
  for (const media::Format& format : media::Formats()) all.emplace(format.name);
  return all;
}

std::set<std::string> AllReaders() {
  std::set<std::string> all;
  for (const ReaderWords& words : kReaders) all.emplace(words.reader);
  return all;
}

std::set<std::string> ServedBy(const queue::WorkerInfo& worker) {
  std::set<std::string> served;
  if (!worker.detail.is_object() || !worker.detail.contains("queues")) return served;
  for (const Json& name : worker.detail["queues"]) {
    if (name.is_string()) served.insert(name.get<std::string>());
  }
  return served;
}

// "; HOST: PROBLEM" for each machine that says why it hasn't this reader.
std::string WhatIsTold(const std::vector<queue::WorkerInfo>& workers, std::string_view reader) {
  std::set<std::string> told;
  for (const queue::WorkerInfo& worker : workers) {
    for (const Lack& lack : LacksOf(worker)) {
      if (lack.reader == reader) told.insert("; " + worker.host + ": " + lack.problem);
    }
  }
  return Join(std::vector<std::string>(told.begin(), told.end()), "");
}

std::string OpensWhat(const media::Format& format) {
  return fmt::format(
      "opens {}: install {} where workers run, allow it in their "
      "processes.task_worker.formats, and start them again",
      format.title, format.software);
}

}  // namespace

std::string QueueNeeding(std::string_view step,
                         std::initializer_list<std::string_view> capabilities) {
  std::string name(step);
  for (const std::string_view capability : capabilities) {
    if (!capability.empty()) name.append("-").append(capability);
  }
  return name;
}

bool IsOfStep(std::string_view queue, std::string_view step) {
  return queue == step || (queue.starts_with(step) && queue[step.size()] == '-');
}

std::string StepOf(std::string_view queue) {
  for (const std::string_view step : kSteps) {
    if (IsOfStep(queue, step)) return std::string(step);
  }
  return std::string(queue);
}

std::vector<std::string> PrepareQueuesFor(const std::set<std::string>& formats,
                                          bool beside_controller) {
  std::vector<std::string> queues;
  if (beside_controller) queues.push_back(QueueNeeding(kPrepareQueue, {kBesideController}));
  for (const std::string& format : formats) queues.push_back(QueueNeeding(kPrepareQueue, {format}));
  return queues;
}

std::vector<std::string> ReadQueuesFor(const std::set<std::string>& readers,
                                       const std::set<std::string>& formats) {
  std::vector<std::string> queues;
  for (const ReaderWords& words : kReaders) {
    if (!readers.contains(std::string(words.reader))) continue;
    if (!words.hears) queues.push_back(QueueNeeding(kReadQueue, {words.reader}));
    for (const std::string& format : formats) {
      if (words.hears && format != "film") continue;
      queues.push_back(QueueNeeding(kReadQueue, {words.reader, format}));
    }
  }
  return queues;
}

std::vector<std::string> EmbedQueuesFor(const std::string& device, bool beside_controller) {
  std::vector<std::string> queues;
  if (beside_controller) queues.push_back(QueueNeeding(kEmbedQueue, {kBesideController}));
  if (!device.empty()) queues.push_back(QueueNeeding(kEmbedQueue, {device}));
  return queues;
}

bool IsOfPictures(std::string_view format) {
  return std::ranges::find(kPictureFormats, format) != kPictureFormats.end();
}

std::vector<std::string> AnalysisQueuesFor(bool reads_text, const std::set<std::string>& formats) {
  std::vector<std::string> queues;
  if (reads_text) queues.push_back(QueueNeeding(kAnalysisStep, {kTextReader}));
  for (const std::string& format : formats) {
    if (!IsOfPictures(format)) continue;
    if (reads_text) queues.push_back(QueueNeeding(kAnalysisStep, {kTextReader, format}));
    queues.push_back(QueueNeeding(kAnalysisStep, {format}));
  }
  return queues;
}

std::vector<std::string> PrepareQueues() {
  std::vector<std::string> queues = PrepareQueuesFor(AllFormats(), true);
  queues.emplace_back(kPrepareQueue);
  return queues;
}

std::vector<std::string> ReadQueues() {
  std::vector<std::string> queues = ReadQueuesFor(AllReaders(), AllFormats());
  queues.emplace_back(kReadQueue);
  return queues;
}

std::vector<std::string> QueuesBeside(std::string_view step, const std::string& device) {
  if (step == kPrepareQueue) return PrepareQueuesFor(AllFormats(), true);
  if (step == kReadQueue) return ReadQueuesFor(AllReaders(), AllFormats());
  if (step == kEmbedQueue) return EmbedQueuesFor(device, true);
  if (step == kAnalysisStep) return AnalysisQueuesFor(true, AllFormats());
  return {};
}

Error CannotOpen(std::string_view format) {
  const media::Format* known = media::FindFormat(format);
  if (known == nullptr) return {Code::kUnsupported, std::string(format) + ": nothing reads it"};
  return {Code::kUnsupported, fmt::format("{}: nothing here reads them; install {}, or allow {} in "
                                          "processes.task_worker.formats",
                                          known->title, known->software, format)};
}

Workforce::Workforce(const std::vector<queue::WorkerInfo>& workers) {
  for (const queue::WorkerInfo& worker : workers) {
    if (auto served = ServedBy(worker); !served.empty()) served_.push_back(std::move(served));
  }
}

bool Workforce::SomeLack(std::string_view step, const std::string& queue) const {
  return std::ranges::any_of(served_, [&](const std::set<std::string>& served) {
    return served.contains(std::string(step)) && !served.contains(queue);
  });
}

bool Workforce::SomeServe(const std::string& queue) const {
  return std::ranges::any_of(
      served_, [&](const std::set<std::string>& served) { return served.contains(queue); });
}

bool IsBesideController(const queue::WorkerInfo& worker) {
  return std::ranges::any_of(ServedBy(worker), [](const std::string& queue) {
    return queue == QueueNeeding(kPrepareQueue, {kBesideController}) ||
           queue == QueueNeeding(kEmbedQueue, {kBesideController});
  });
}

std::vector<Lack> LacksOf(const queue::WorkerInfo& worker) {
  std::vector<Lack> all;
  if (!worker.detail.is_object() || !worker.detail.contains("lacks")) return all;
  const auto add = [&](const Json& lack) {
    if (!lack.is_object() || lack.empty()) return;
    all.push_back({GetString(lack, "name").value_or(""), GetString(lack, "problem").value_or(""),
                   GetString(lack, "reader").value_or("")});
  };
  const Json& lacks = worker.detail["lacks"];
  if (!lacks.is_array()) add(lacks);
  if (lacks.is_array()) std::for_each(lacks.begin(), lacks.end(), add);
  return all;
}

std::vector<Unserved> FindUnserved(const std::vector<queue::QueueStats>& queues,
                                   const std::vector<queue::WorkerInfo>& workers) {
  std::set<std::string> served;
  for (const queue::WorkerInfo& worker : workers) served.merge(ServedBy(worker));
  std::vector<Unserved> all;
  for (const queue::QueueStats& stats : queues) {
    if (stats.queued == 0 || served.contains(stats.name)) continue;
    all.push_back({stats.name, stats.queued, LackOf(stats.name, workers)});
  }
  return all;
}

std::string Unserved::Sentence() const {
  return fmt::format("{} {} in queue {}: {}", tasks, tasks == 1 ? "task waits" : "tasks wait",
                     queue, why);
}

bool NeedsCapability(std::string_view queue) {
  return std::ranges::any_of(
      kSteps, [&](std::string_view step) { return queue != step && IsOfStep(queue, step); });
}

std::string LackOf(std::string_view queue, const std::vector<queue::WorkerInfo>& workers) {
  const auto step = std::ranges::find_if(
      kSteps, [&](std::string_view name) { return queue != name && IsOfStep(queue, name); });
  if (step == kSteps.end()) {
    const bool step_itself = std::ranges::find(kSteps, queue) != kSteps.end();
    return fmt::format("no worker serves queue {}{}", queue,
                       step_itself ? ": start msearch run compute, on any machine" : "");
  }
  const std::string_view needs = queue.substr(step->size() + 1);
  if (needs == kBesideController) {
    return "it is for the controller's own workers alone (distributed: false), and none of them "
           "runs";
  }
  if (*step == kEmbedQueue) {
    return fmt::format("no worker embeds on the device {} that model.device asks for", needs);
  }
  std::vector<std::string> lacking;
  std::string told;
  for (const std::string_view part : Split(needs, '-')) {
    const auto reader = std::ranges::find(kReaders, part, &ReaderWords::reader);
    if (reader != kReaders.end()) {
      told = WhatIsTold(workers, part);
      lacking.push_back(
          fmt::format("{} with the controller's pack (reading.{})", reader->does, reader->reader));
    } else if (const media::Format* format = media::FindFormat(part)) {
      lacking.push_back(OpensWhat(*format));
    }
  }
  if (lacking.empty()) return fmt::format("no worker serves queue {}", queue);
  return "no worker " + Join(lacking, " and ") + told;
}

}  // namespace msearch::ingest
