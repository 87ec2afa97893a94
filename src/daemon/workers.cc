// The roles that work: monitor, task worker, embedding worker, and the embedding child.

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <filesystem>
#include <mutex>
#include <set>
#include <thread>

#include "base/log.h"
#include "compute/controller_blobs.h"
#include "compute/controller_link.h"
#include "compute/fetched_media.h"
#include "compute/media_cache.h"
#include "daemon/asking.h"
#include "daemon/library_guard.h"
#include "daemon/machine_queue.h"
#include "daemon/process.h"
#include "daemon/readers.h"
#include "daemon/stores.h"
#include "embedding/model_packs.h"
#include "ingest/capability.h"
#include "ingest/embed.h"
#include "ingest/ocr_reader.h"
#include "ingest/prepare.h"
#include "ingest/read.h"
#include "media/codec.h"
#include "media/format.h"
#include "net/http_client.h"
#include "queue/worker.h"
#include "storage/blob_store.h"
#include "watch/monitor.h"

namespace msearch::daemon {
namespace {

constexpr Milliseconds kGrace{8000};
constexpr Milliseconds kCatalogWait{10000};

// Another process may be making the same file right now; a disk may be full for a while. What
// only people can change isn't tried again.
int TryAgain(const Error& error) {
  LOG_ERROR("{}", error.message);
  return IsTransient(error.code) ? 1 : kCannotStart;
}

// Beside the controller a result goes on in the embedded queue when Redis is away.
std::string SpoolOf(const RoleProcess& process) {
  if (process.settings.Text("compute.controller").empty()) return "";
  return fmt::format("{}/spool/{}-{}", process.layout.data, process.arguments.role,
                     process.arguments.number);
}

Milliseconds LeaseDuration(const RoleProcess& process) {
  return Milliseconds(process.settings.Integer("queue.lease_seconds") * 1000);
}

media::CodecLimits CodecLimitsOf(const RoleProcess& process) {
  const Settings& settings = process.settings;
  media::CodecLimits limits;
  limits.memory_bytes_max =
      static_cast<uint64_t>(settings.Integer("processes.task_worker.memory_bytes_max"));
  limits.timeout_ms =
      static_cast<int>(settings.Integer("processes.task_worker.file_timeout")) * 1000;
  limits.files_per_child =
      static_cast<int>(settings.Integer("processes.task_worker.files_per_child"));
  limits.idle_memory_bytes_max =
      static_cast<uint64_t>(settings.Integer("processes.task_worker.child_memory_bytes_max"));
  return limits;
}

embedding::ModelPacks Packs(const RoleProcess& process) {
  return embedding::ModelPacks(
      {process.layout.manifests, process.layout.models, process.settings.Text("model.runtime")});
}

// Whether other workers may be able to do what this one can't.
bool WorkersDiffer(const RoleProcess& process) {
  return RedisOptions(process.settings).has_value();
}

// A codec child is started to be asked; absent when that can't be told.
std::optional<std::set<std::string>> InstalledHere() {
  const auto installed = media::InstalledFormats({"role", "codec"});
  if (installed.ok()) return std::set<std::string>(installed->begin(), installed->end());
  LOG_WARNING("formats: can't be told: {}", installed.message());
  return std::nullopt;
}

// Asks when the first file can't be opened. For one thread.
std::function<bool(std::string_view)> AskedWhenNeeded() {
  return [asked = false,
          formats = std::optional<std::set<std::string>>()](std::string_view format) mutable {
    if (!std::exchange(asked, true)) formats = InstalledHere();
    return !formats || formats->contains(std::string(format));
  };
}

// What the settings allow; where there may be workers that open more, of what is installed here: it
// decides then which tasks this one takes.
ingest::Reach ReachOf(const RoleProcess& process) {
  ingest::Reach reach;
  reach.hands_on = WorkersDiffer(process);
  const auto allowed = process.settings.TextList("processes.task_worker.formats");
  if (!allowed.empty()) reach.formats.emplace(allowed.begin(), allowed.end());
  if (!reach.hands_on) return reach;
  auto installed = InstalledHere();
  if (!installed) return reach;
  if (reach.formats) {
    std::erase_if(*installed,
                  [&](const std::string& format) { return !reach.formats->contains(format); });
  }
  reach.formats = std::move(installed);
  return reach;
}

std::set<std::string> FormatsOf(const ingest::Reach& reach) {
  if (reach.formats) return *reach.formats;
  std::set<std::string> all;
  for (const media::Format& format : media::Formats()) all.emplace(format.name);
  return all;
}

// Where a worker's files, blobs and knowledge of the catalog come from: this machine's data folder,
// or the controller over HTTP.
struct Sources {
  std::shared_ptr<compute::ControllerLink> link;  // null: the data folder
  std::shared_ptr<storage::BlobStore> blobs;
  std::shared_ptr<ingest::MediaAccess> media;
  std::shared_ptr<compute::MediaCache> cache;  // with `link`
  std::shared_ptr<LibraryGuard> guard;         // null: nothing to be on guard for
  ingest::ContentKnown known;
  std::string model;   // that the controller embeds with, as it said when met; empty: not asked
  std::string device;  // that it wants embedding to be done on; empty: any

  bool BesideController() const { return link == nullptr; }
  bool Away() const { return link != nullptr && link->away(); }
  bool Reachable() const {
    return link == nullptr || ((guard == nullptr || guard->Ready()) && link->Reachable());
  }
  // For those who fetch media: why this machine can't take any now.
  std::string MediaProblem() const { return cache == nullptr ? "" : cache->problem(); }
  bool GetsMedia() const { return MediaProblem().empty() && Reachable(); }
  bool CantFetch() const { return Away() || !MediaProblem().empty(); }
  // For the heartbeat's "lacks".
  Json LackOfMedia() const { return {{"name", "media"}, {"problem", MediaProblem()}}; }
  std::string ControllersProblem() const {
    const std::string problem = guard == nullptr ? "" : guard->problem();
    return !problem.empty() || link == nullptr ? problem : link->problem();
  }
  Json LackOfController() const {
    return {{"name", "controller"}, {"problem", ControllersProblem()}};
  }
};

// Connects, and gives what the controller says of itself. One that isn't there yet is waited for.
Result<Json> Meet(const RoleProcess& process, const std::stop_token& stop,
                  std::shared_ptr<compute::ControllerLink>* met) {
  const Settings& settings = process.settings;
  auto link = std::make_shared<compute::ControllerLink>(
      compute::LinkOptions{settings.Text("compute.controller"), settings.Text("server.token")});
  for (bool told = false;; told = true) {
    auto hello = link->Greet();
    if (hello.ok()) {
      const std::string preparation = GetString(*hello, "preparation").value_or("");
      if (preparation == ingest::kPreparation) {
        *met = std::move(link);
        return hello;
      }
      return Error{Code::kUnsupported,
                   fmt::format("controller {}: prepares files in version {}, this program in "
                               "version {}; run the same msearch on both",
                               link->controller(), preparation, ingest::kPreparation)};
    }
    if (hello.code() != Code::kUnavailable || stop.stop_requested()) return hello.error();
    if (!told) {
      LOG_WARNING("{}; waiting for it", hello.message());
      TellWaiting(process, hello.message());
    }
    std::mutex mutex;
    std::unique_lock lock(mutex);
    std::condition_variable_any().wait_for(lock, stop, std::chrono::seconds(1),
                                           [] { return false; });
  }
}

// Of a controller that says which library it has. Where the queue is another one's people have to
// change something, unless a controller is just taking it over, which the other's claim keeps it
// from.
Result<std::shared_ptr<LibraryGuard>> MeetQueue(const Settings& settings, const Json& hello,
                                                const std::stop_token& stop) {
  constexpr std::chrono::seconds kTakeOver{20};
  const auto redis = RedisOptions(settings);
  const std::string library = GetString(hello, "library").value_or("");
  if (!redis || library.empty()) return std::shared_ptr<LibraryGuard>();
  storage::RedisOptions server = redis->server;
  server.route_key = redis->prefix + "queue:meta";
  auto guard =
      std::make_shared<LibraryGuard>(TRY(storage::Redis::Make(server)), redis->prefix, library);
  const SteadyTime until = std::chrono::steady_clock::now() + kTakeOver;
  for (bool told = false; !guard->Ours(); told = true) {
    if (stop.stop_requested() || std::chrono::steady_clock::now() > until) {
      return Error{Code::kInvalid, guard->problem()};
    }
    if (!told) LOG_WARNING("{}; waiting for that", guard->problem());
    std::mutex mutex;
    std::unique_lock lock(mutex);
    std::condition_variable_any().wait_for(lock, stop, std::chrono::seconds(1),
                                           [] { return false; });
  }
  return guard;
}

// Gives tasks of another library back, which may have taken the queue over meanwhile.
queue::BatchHandler OfOurLibrary(std::shared_ptr<LibraryGuard> guard, queue::BatchHandler handler) {
  if (guard == nullptr) return handler;
  return [guard = std::move(guard), handler = std::move(handler)](
             std::span<const std::unique_ptr<queue::TaskContext>> tasks) {
    if (guard->Ours()) return handler(tasks);
    LOG_WARNING("{}; {} tasks are given back", guard->problem(), tasks.size());
    std::vector<queue::Outcome> outcomes(tasks.size());
    for (queue::Outcome& outcome : outcomes) outcome.release = true;
    return outcomes;
  };
}

// The controller makes it when it starts for the first time, which may be at the same moment.
Result<> AwaitCatalog(const std::string& path, const std::stop_token& stop) {
  const SteadyTime until = std::chrono::steady_clock::now() + kCatalogWait;
  std::error_code ignored;
  while (!std::filesystem::exists(path, ignored)) {
    if (stop.stop_requested() || std::chrono::steady_clock::now() > until) {
      return Error{Code::kInvalid,
                   path +
                       ": not there; if the controller is on another machine, set "
                       "compute.controller (--controller http://HOST:PORT), else start msearch "
                       "run controller with this data folder"};
    }
    std::mutex mutex;
    std::unique_lock lock(mutex);
    std::condition_variable_any().wait_for(lock, stop, Milliseconds(200), [] { return false; });
  }
  return Ok{};
}

Result<Sources> OpenSources(const RoleProcess& process, const std::stop_token& stop) {
  const Settings& settings = process.settings;
  Sources sources;
  if (!settings.Text("compute.controller").empty()) {
    const Json hello = TRY(Meet(process, stop, &sources.link));
    sources.guard = TRY(MeetQueue(settings, hello, stop));
    sources.blobs = compute::OpenControllerBlobs(sources.link);
    sources.model = GetString(hello, "model").value_or("");
    sources.device = GetString(hello, "device").value_or("");
    if (GetBool(hello, "blobs_in_redis").value_or(false)) {
      sources.blobs = TRY(OpenBlobsInRedis(settings, compute::OpenControllerBlobs(sources.link)));
    }
    sources.cache = std::make_shared<compute::MediaCache>(
        process.layout.media, static_cast<uint64_t>(settings.Integer("compute.cache_bytes_max")),
        fmt::format("{}-{}", process.arguments.role, process.arguments.number));
    sources.media = compute::FetchedMedia(sources.link, sources.cache);
    sources.known = [link = sources.link](const Digest& hash,
                                          const std::string& model_key) -> Result<bool> {
      const Json answer = TRY(
          link->GetJson(fmt::format("/api/compute/content/{}/known?preparation={}&model={}",
                                    hash.hex(), ingest::kPreparation, net::UrlEncode(model_key)),
                        Milliseconds(15000)));
      return GetBool(answer, "known").value_or(false);
    };
    return sources;
  }
  sources.device = settings.Text("model.device");
  sources.blobs = TRY(OpenBlobs(settings, process.layout));
  sources.media = ingest::LocalMedia();
  TRY(AwaitCatalog(process.layout.catalog, stop));
  std::shared_ptr<catalog::Catalog> catalog =
      TRY(catalog::Catalog::OpenSqliteReadOnly(process.layout.catalog));
  sources.known = [catalog](const Digest& hash, const std::string& model_key) {
    return catalog->HasContent(hash, std::string(ingest::kPreparation), model_key);
  };
  return sources;
}

// The packs that are installed here, looked up now and then: for the heartbeat.
class InstalledModels {
 public:
  explicit InstalledModels(embedding::ModelPacks packs) : packs_(std::move(packs)) {}

  Json List() {
    const std::lock_guard lock(mutex_);
    const SteadyTime now = std::chrono::steady_clock::now();
    if (now - listed_at_ < std::chrono::seconds(30) && !list_.is_null()) return list_;
    listed_at_ = now;
    list_ = Json::array();
    const auto all = packs_.List();
    if (!all.ok()) return list_;
    for (const embedding::PackStatus& pack : *all) {
      if (pack.state != "ready") continue;
      if (auto info = packs_.Info(pack.name); info.ok()) {
        list_.push_back({{"name", pack.name}, {"key", info->key}});
      }
    }
    return list_;
  }

 private:
  const embedding::ModelPacks packs_;
  std::mutex mutex_;
  SteadyTime listed_at_{};
  Json list_;
};

// Gets packs that are missing here from the controller, if it has them and is on another machine. A
// failure is tried again after a while, and is no reason not to start: who needs the pack says that
// it is missing. Thread-safe.
class ControllersModels {
 public:
  ControllersModels(std::shared_ptr<compute::ControllerLink> link, embedding::ModelPacks packs,
                    std::stop_token stop)
      : link_(std::move(link)), packs_(std::move(packs)), stop_(std::move(stop)) {}

  // `missed`: someone asked for it, so that its absence is told.
  void Want(const std::string& name, bool missed = true) {
    if (link_ == nullptr || name.empty()) return;
    const std::lock_guard lock(mutex_);
    const auto status = packs_.Status(name);
    if (status.ok() && status->state == "ready") Tell(name, "");
    if (!status.ok() || status->state == "ready") return;
    const SteadyTime now = std::chrono::steady_clock::now();
    const auto [last, first] = tried_at_.try_emplace(name, now);
    if (!first && now - last->second < std::chrono::seconds(30)) return;
    last->second = now;
    const Result<> copied = Copy(name);
    // That the controller hasn't it either, its own doctor says.
    const bool told = !copied.ok() && copied.code() != Code::kNotFound;
    Tell(name, told ? copied.message() : "");
    if (copied.ok()) {
      LOG_INFO("model {}: taken over from the controller", name);
    } else if (missed || copied.code() != Code::kNotFound) {
      LOG_WARNING("model {}: can't be taken over from the controller: {}", name, copied.message());
    }
  }

  // Why the last try to get it failed; empty: it didn't, or there was none. Doesn't wait for a try.
  std::string Problem(const std::string& name) const {
    const std::lock_guard lock(problems_mutex_);
    const auto found = problems_.find(name);
    return found == problems_.end() ? "" : found->second;
  }

 private:
  void Tell(const std::string& name, const std::string& problem) {
    const std::lock_guard lock(problems_mutex_);
    problems_.erase(name);
    if (!problem.empty()) {
      problems_[name] =
          fmt::format("model {}: can't be taken over from the controller: {}", name, problem);
    }
  }

  Result<> Copy(const std::string& name) {
    const std::string path = "/api/compute/models/" + net::UrlEncode(name);
    const Json inventory = TRY(link_->GetJson(path, Milliseconds(15000), stop_));
    const auto fetch = [&](const std::string& file, const std::string& to, uint64_t bytes) {
      return link_->Download(path + "/" + net::UrlEncode(file), to, bytes, stop_);
    };
    return packs_.Copy(name, inventory, fetch);
  }

  const std::shared_ptr<compute::ControllerLink>
      link_;  // null: the models are the controller's own
  const embedding::ModelPacks packs_;
  const std::stop_token stop_;
  std::mutex mutex_;
  std::map<std::string, SteadyTime> tried_at_;  // by mutex_
  mutable std::mutex problems_mutex_;
  std::map<std::string, std::string> problems_;  // by problems_mutex_
};

// Reports travel as tasks: durable, and in order.
class QueueReporter final : public watch::Reporter {
 public:
  explicit QueueReporter(std::shared_ptr<queue::TaskQueue> queue) : queue_(std::move(queue)) {}

  Result<> Report(const watch::RootSpec& root, const std::vector<watch::Change>& changes) override {
    // Long paths: a task's payload is bounded.
    constexpr size_t kBytesMax = queue::kPayloadBytesMax / 4;
    std::vector<queue::NewTask> tasks;
    std::vector<watch::Change> part;
    size_t bytes = 0;
    for (const watch::Change& change : changes) {
      part.push_back(change);
      bytes += change.path.size() + change.old_path.size() + 150;
      if (bytes < kBytesMax) continue;
      tasks.push_back(ingest::ChangesTask(root, part));
      part.clear();
      bytes = 0;
    }
    if (!part.empty()) tasks.push_back(ingest::ChangesTask(root, part));
    TRY(queue_->Enqueue(tasks));
    return Ok{};
  }

  Result<> ScanEnded(const watch::RootSpec& root, const watch::RootStatus& status,
                     bool complete) override {
    TRY(queue_->Enqueue(ingest::ScanEndedTask(root, status, complete)));
    return Ok{};
  }

 private:
  const std::shared_ptr<queue::TaskQueue> queue_;
};

queue::Outcome HandleScan(watch::Monitor& monitor, const queue::TaskContext& task) {
  queue::Outcome outcome;
  outcome.status = [&]() -> Result<> {
    const Json& payload = task.lease().task.payload;
    const auto spec = TRY(watch::RootSpec::FromJson(payload.value("root", Json::object())));
    TRY(monitor.Watch(spec));
    if (spec.paused) return Ok{};
    const bool full = GetBool(payload, "full").value_or(false);
    const watch::RootStatus status = TRY(monitor.Scan(spec.name, full, task.stop_token()));
    outcome.result = status.ToJson();
    return Ok{};
  }();
  return outcome;
}

}  // namespace

int RunMonitor(const RoleProcess& process, StopSignals& signals) {
  auto opened_queue = OpenMachineQueue(process, "", signals.token());
  if (!opened_queue.ok()) return TryAgain(opened_queue.error());
  const auto queue = opened_queue->queue;
  QueueReporter reporter(queue);
  watch::MonitorOptions options;
  options.database = process.layout.monitor;
  options.own_folder = process.layout.data;
  options.settle = Milliseconds(process.settings.Integer("processes.file_monitor.settle_ms"));
  auto opened = watch::Monitor::Open(options, &reporter);
  if (!opened.ok()) return TryAgain(opened.error());
  watch::Monitor& monitor = **opened;

  queue::WorkerOptions worker;
  worker.info = process.info;
  worker.queues = {std::string(ingest::kScanQueue)};
  worker.lease_duration = LeaseDuration(process);
  worker.detail = [&] {
    Json roots = Json::array();
    for (const watch::RootStatus& status : monitor.Status()) roots.push_back(status.ToJson());
    return Json{{"roots", roots}};
  };
  worker.handlers["scan"] = [&](std::span<const std::unique_ptr<queue::TaskContext>> tasks) {
    std::vector<queue::Outcome> outcomes;
    for (const auto& task : tasks) outcomes.push_back(HandleScan(monitor, *task));
    return outcomes;
  };
  worker.handlers["unwatch"] = [&](std::span<const std::unique_ptr<queue::TaskContext>> tasks) {
    std::vector<queue::Outcome> outcomes;
    for (const auto& task : tasks) {
      const std::string root = GetString(task->lease().task.payload, "root").value_or("");
      Result<> done = monitor.Unwatch(root);
      if (!done.ok() && done.code() == Code::kNotFound) done = Ok{};
      outcomes.emplace_back().status = done;
    }
    return outcomes;
  };
  queue::RunWorker(*queue, worker, signals.token(), kGrace);
  return 0;
}

int RunTaskWorker(const RoleProcess& process, StopSignals& signals) {
  auto opened_queue = OpenMachineQueue(process, "", signals.token());
  if (!opened_queue.ok()) return TryAgain(opened_queue.error());
  const auto queue = opened_queue->queue;
  auto opened = OpenSources(process, signals.token());
  if (!opened.ok()) return TryAgain(opened.error());
  const Sources& sources = *opened;
  TellReady(process);

  const Settings& settings = process.settings;
  auto codec = std::make_shared<media::Codec>(std::vector<std::string>{"role", "codec"},
                                              CodecLimitsOf(process));
  ingest::PrepareOptions options;
  options.picture_pixels_max =
      static_cast<uint64_t>(settings.Integer("processes.task_worker.picture_pixels_max"));
  options.file_seconds =
      static_cast<uint32_t>(settings.Integer("processes.task_worker.file_timeout"));

  options.reach = ReachOf(process);
  options.installed = AskedWhenNeeded();

  queue::WorkerOptions worker;
  worker.info = process.info;
  worker.queues = {std::string(ingest::kPrepareQueue)};
  if (WorkersDiffer(process)) {
    for (std::string& more :
         ingest::PrepareQueuesFor(FormatsOf(options.reach), sources.BesideController())) {
      worker.queues.push_back(std::move(more));
    }
  }
  worker.spool_directory = SpoolOf(process);
  worker.batch_max = 4;
  worker.lease_duration = LeaseDuration(process);
  worker.handlers["prepare"] = OfOurLibrary(
      sources.guard,
      ingest::ReleasedWhile(
          [&] { return sources.CantFetch(); },
          ingest::PrepareHandler(sources.blobs, codec, sources.media, sources.known, options)));
  worker.ready = [&] { return sources.GetsMedia(); };
  worker.detail = [&sources, formats = options.reach.formats] {
    Json detail = Json::object();
    if (formats) detail["formats"] = *formats;
    if (!sources.ControllersProblem().empty()) detail["lacks"] = sources.LackOfController();
    if (!sources.MediaProblem().empty()) detail["lacks"] = sources.LackOfMedia();
    return detail;
  };
  const std::jthread answering([&] { RunAnswerWorker(process, queue, signals.token()); });
  queue::RunWorker(*queue, worker, signals.token(), kGrace);
  return 0;
}

namespace {

// Second looks, on a thread of their own and when nothing else wants the processor: a film may take
// an hour, and new files aren't to wait for it.
void RunReader(const RoleProcess& process, queue::TaskQueue& queue, const Sources& sources,
               const ingest::Readers& readers, const ReaderChoice& choice,
               const ingest::Reach& reach, ControllersModels& controllers, StopSignals& signals) {
  constexpr int kNice = 10;
  setpriority(PRIO_PROCESS, static_cast<id_t>(gettid()), kNice);  // of this thread, on Linux
  media::CodecLimits limits = CodecLimitsOf(process);
  limits.nice = kNice;
  auto codec = std::make_shared<media::Codec>(std::vector<std::string>{"role", "codec"}, limits);
  queue::WorkerOptions worker;
  worker.info = process.info;
  worker.info.id += ":read";
  worker.info.role = "reader";  // it shares the process, and is no worker that embeds
  worker.queues = {std::string(ingest::kReadQueue)};
  // An hour of listening to a film is not to be lost.
  if (const std::string spool = SpoolOf(process); !spool.empty()) {
    worker.spool_directory = spool + "-read";
  }
  worker.lease_duration = LeaseDuration(process);
  ingest::ReadOptions options;
  options.reach = reach;
  if (WorkersDiffer(process)) {
    options.has = [&](const ingest::ReadJob& job) {
      return choice.Has(job.reader, job.key,
                        [&](const std::string& pack) { controllers.Want(pack); });
    };
    worker.more_queues = [&choice, formats = FormatsOf(options.reach)] {
      std::set<std::string> here;
      for (const ingest::WantedReader& reader : choice.Wanted()) here.insert(reader.spec.name);
      return ingest::ReadQueuesFor(here, formats);
    };
  }
  std::mutex lacks_mutex;
  std::map<std::string, std::string> lacks;  // by lacks_mutex: by reader, whose model doesn't load
  options.lacks = [&](const std::string& reader, const std::string& problem) {
    const std::lock_guard lock(lacks_mutex);
    lacks.erase(reader);
    if (!problem.empty()) lacks[reader] = problem;
  };
  worker.detail = [&] {
    Json all = Json::array();
    const std::lock_guard lock(lacks_mutex);
    for (const api::ReaderState& state : choice.States()) {
      std::string problem = controllers.Problem(state.pack);
      if (const auto found = lacks.find(state.reader); problem.empty() && found != lacks.end()) {
        problem = found->second;
      }
      if (problem.empty()) continue;
      all.push_back({{"name", state.pack}, {"reader", state.reader}, {"problem", problem}});
    }
    if (!sources.MediaProblem().empty()) all.push_back(sources.LackOfMedia());
    return all.empty() ? Json::object() : Json{{"lacks", all}};
  };
  worker.handlers["read"] = OfOurLibrary(
      sources.guard, ingest::ReleasedWhile([&] { return sources.CantFetch(); },
                                           ingest::ReadHandler(sources.blobs, codec, readers,
                                                               sources.media, options)));
  worker.ready = [&] { return sources.GetsMedia(); };
  worker.idle = [&] {
    for (const auto& [name, reader] : readers) reader->UnloadIfIdle();
  };
  queue::RunWorker(queue, worker, signals.token(), kGrace);
}

}  // namespace

int RunEmbeddingWorker(const RoleProcess& process, StopSignals& signals) {
  auto opened_queue = OpenMachineQueue(process, "", signals.token());
  if (!opened_queue.ok()) return TryAgain(opened_queue.error());
  const auto queue = opened_queue->queue;
  auto opened = OpenSources(process, signals.token());
  if (!opened.ok()) return TryAgain(opened.error());
  const Sources& sources = *opened;
  TellReady(process);

  const Settings& settings = process.settings;
  const embedding::ModelPacks packs = Packs(process);
  embedding::ModelPacks::LoadOptions load;
  load.device = settings.Text("processes.embedding_worker.device");
  load.threads = static_cast<int>(settings.Integer("processes.embedding_worker.threads"));
  ControllersModels controllers(sources.link, packs, signals.token());
  for (const std::string& name :
       {sources.model, settings.Text("reading.speech"), TextPack(settings)}) {
    controllers.Want(name);
  }
  controllers.Want(SoundsPack(settings), !SoundsIfPulled(settings));
  auto model = std::make_shared<ingest::ModelHolder>(
      [&](const std::string& name) { return packs.Load(name, load); },
      Milliseconds(settings.Integer("processes.embedding_worker.idle_unload") * 1000),
      [&](const std::string& name) -> Result<std::string> {
        controllers.Want(name);
        const auto info = packs.Info(name);
        if (info.ok()) return info->key;
        // Why it couldn't be got says more than that it isn't here.
        const std::string problem = controllers.Problem(name);
        return problem.empty() ? info.error() : Error{Code::kUnavailable, problem};
      });

  queue::WorkerOptions worker;
  worker.info = process.info;
  worker.queues = {std::string(ingest::kEmbedQueue)};
  if (WorkersDiffer(process)) {
    std::string device;
    if (!sources.device.empty()) {
      // Opens the runtime's library, which is not to be done for nothing.
      const auto found = packs.Device(load);
      if (found.ok()) device = found->used;
      LOG_INFO("the controller wants embedding on {}, this worker has {}", sources.device,
               found.ok() ? device : found.message());
    }
    for (std::string& more : ingest::EmbedQueuesFor(device, sources.BesideController())) {
      worker.queues.push_back(std::move(more));
    }
  }
  worker.spool_directory = SpoolOf(process);
  worker.batch_max = static_cast<size_t>(settings.Integer("processes.embedding_worker.batch_size"));
  worker.lease_duration = LeaseDuration(process);
  const auto away = [&] { return sources.Away(); };
  worker.handlers["embed"] = OfOurLibrary(
      sources.guard,
      ingest::ReleasedWhile(away, ingest::EmbedHandler(sources.blobs, model, sources.known)));
  worker.handlers["embed_texts"] = OfOurLibrary(
      sources.guard, ingest::ReleasedWhile(away, ingest::EmbedTextsHandler(sources.blobs, model)));
  worker.ready = [&] { return sources.Reachable() && model->Ready(); };
  InstalledModels installed(packs);
  worker.detail = [&] {
    Json detail = model->Describe();
    detail["device_requested"] = load.device;
    detail["models"] = installed.List();
    if (!sources.ControllersProblem().empty()) detail["lacks"] = sources.LackOfController();
    return detail;
  };
  worker.idle = [&] { model->UnloadIfIdle(); };
  const auto shared_packs = std::make_shared<embedding::ModelPacks>(packs);
  const ingest::Readers readers = MakeReaders(settings, shared_packs, load);
  const ReaderChoice choice(settings, shared_packs);
  const ingest::Reach reach = ReachOf(process);
  std::jthread reading;
  if (!readers.empty()) {
    reading = std::jthread(
        [&] { RunReader(process, *queue, sources, readers, choice, reach, controllers, signals); });
  }
  std::optional<AnalysisReach> analyses;
  if (WorkersDiffer(process)) {
    analyses = {FormatsOf(reach), [&choice] { return choice.HasHere(ingest::kTextReader); }};
  }
  const std::jthread analysing([&] {
    RunAnalysisWorker(process, queue, model, CodecLimitsOf(process), analyses, signals.token());
  });
  queue::RunWorker(*queue, worker, signals.token(), kGrace);
  return 0;
}

int RunEmbedderChild(const RoleProcess& process) {
  embedding::ModelPacks::LoadOptions load;
  load.device = process.settings.Text("processes.embedding_worker.device");
  return embedding::ServeEmbedder(Packs(process).Load(process.arguments.model, load));
}

}  // namespace msearch::daemon
