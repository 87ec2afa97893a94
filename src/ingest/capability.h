// What only some workers can do, and how tasks find one that can.
//
// The tasks of a step (prepare, read, embed) stand in the step's queue, which every worker of the
// step serves. What not all of them can do, a format whose software some lack, a reader whose pack
// they lack, a device, or being beside the controller, is a capability, and has queues of its own
// named by step and capabilities: "tasks-pdf", "read-text-heif", "embed-cuda". Only those workers
// serve them who have what they name, so the queues that a worker serves, which its heartbeat
// tells, are what it announces. In a system whose workers can all do everything these queues stay
// empty, and order and priorities are those of one queue.
//
// A task gets into such a queue in two ways. Who enqueues it sees that somebody who serves the step
// doesn't serve that queue (`Workforce`). Or a worker takes it, finds that it lacks something, by
// the name before the file is fetched, or by the content, and hands it on: that ends its task and
// enqueues the same one there in one step. So a task is handed on once at most, counts no attempt,
// and nobody looks at it who can't do it. If nobody can, it waits there and can say why.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "queue/task_queue.h"

namespace msearch::ingest {

// The step of analysing pictures for questions, which answer/ makes: to those who open the picture
// and read the text in it.
inline constexpr std::string_view kAnalysisStep = "image_analysis";

// Being on the controller's machine: builds that aren't distributed ask for it.
inline constexpr std::string_view kBesideController = "controller";

// The queue of this step for those who have all of these capabilities; empty ones don't count.
std::string QueueNeeding(std::string_view step,
                         std::initializer_list<std::string_view> capabilities);
// Whether it is the step's queue or one of those beside it.
bool IsOfStep(std::string_view queue, std::string_view step);

// The queue of the step that this one is beside; any other is its own.
std::string StepOf(std::string_view queue);

// The queues beside the step's own that a worker with these capabilities serves, those that are
// wanted most first.
std::vector<std::string> PrepareQueuesFor(const std::set<std::string>& formats,
                                          bool beside_controller);
std::vector<std::string> ReadQueuesFor(const std::set<std::string>& readers,
                                       const std::set<std::string>& formats);
std::vector<std::string> EmbedQueuesFor(const std::string& device, bool beside_controller);
std::vector<std::string> AnalysisQueuesFor(bool reads_text, const std::set<std::string>& formats);
// Whether it is one of pictures: others are analysed by nobody.
bool IsOfPictures(std::string_view format);
// All that there can be for the steps prepare and read, their own included.
std::vector<std::string> PrepareQueues();
std::vector<std::string> ReadQueues();
// All that there can be beside a step's own queue; none for a queue that is no step's. `device`:
// that has to embed.
std::vector<std::string> QueuesBeside(std::string_view step, const std::string& device);

// The formats that a worker opens, and what it does with a task whose format it doesn't.
struct Reach {
  std::optional<std::set<std::string>> formats;  // absent: all
  // There may be workers that open more: the task is handed on. Else it fails as unsupported.
  bool hands_on = false;
  bool Opens(std::string_view format) const {
    return format.empty() || !formats || formats->contains(std::string(format));
  }
};
// "PDF documents: nothing here reads them; install poppler-utils".
Error CannotOpen(std::string_view format);

// Who works, as seen at one moment.
class Workforce {
 public:
  Workforce() = default;  // everybody can do everything
  explicit Workforce(const std::vector<queue::WorkerInfo>& workers);
  // Whether there is a worker of the step that doesn't serve this queue beside it.
  bool SomeLack(std::string_view step, const std::string& queue) const;
  bool SomeServe(const std::string& queue) const;

 private:
  std::vector<std::set<std::string>> served_;  // by worker
};

bool IsBesideController(const queue::WorkerInfo& worker);

// What a worker would need for some of its tasks and hasn't, as its heartbeat's "lacks" tells: an
// object, or several in an array, of "name" and "problem", and "reader" where it is a reader's.
struct Lack {
  std::string name;     // of the model
  std::string problem;  // for people, with the reason: a full disk, a refused download
  std::string reader;
};
std::vector<Lack> LacksOf(const queue::WorkerInfo& worker);

// A queue in which tasks wait that nobody serves.
struct Unserved {
  std::string queue;
  int64_t tasks = 0;
  std::string why;  // as LackOf
  // In one sentence: "12 tasks wait in queue tasks-pdf: no worker opens ...".
  std::string Sentence() const;
};
std::vector<Unserved> FindUnserved(const std::vector<queue::QueueStats>& queues,
                                   const std::vector<queue::WorkerInfo>& workers);
// Whether it is one of the queues beside a step's own.
bool NeedsCapability(std::string_view queue);
// Why nobody serves this queue and what to do, in one sentence; with what workers of its step say
// that they lack, if it is that.
std::string LackOf(std::string_view queue, const std::vector<queue::WorkerInfo>& workers = {});

}  // namespace msearch::ingest
