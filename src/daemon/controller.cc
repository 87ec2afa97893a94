// The controller: REST API, catalog, index, reconciler. Never opens media and never loads a model
// itself: a codec child and an embedding child do that for queries.

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <filesystem>
#include <mutex>

#include "api/api.h"
#include "base/file.h"
#include "base/log.h"
#include "base/strings.h"
#include "daemon/asking.h"
#include "daemon/celery_tasks.h"
#include "daemon/commands.h"
#include "daemon/machine_queue.h"
#include "daemon/process.h"
#include "daemon/readers.h"
#include "daemon/redis_watch.h"
#include "daemon/stores.h"
#include "embedding/model_packs.h"
#include "ingest/library.h"
#include "ingest/ocr_reader.h"
#include "media/clips.h"
#include "media/codec.h"
#include "media/sound_print.h"
#include "net/http_server.h"
#include "storage/blob_store.h"

namespace msearch::daemon {
namespace {

// Gives searches the index of the active model, and an embedding child for its queries.
class Engines {
 public:
  Engines(std::shared_ptr<ingest::Library> library, std::vector<std::string> child_arguments,
          int idle_seconds)
      : library_(std::move(library)),
        child_arguments_(std::move(child_arguments)),
        idle_seconds_(idle_seconds) {}

  std::optional<search::Engine> Get() {
    const auto active = library_->Active();
    if (!active) return std::nullopt;
    std::lock_guard lock(mutex_);
    if (embedder_ == nullptr || key_ != active->model.key) {
      embedding::RemoteEmbedderOptions options;
      options.child_arguments = child_arguments_;
      options.child_arguments.insert(options.child_arguments.end(),
                                     {"--model", active->model.name});
      options.info = active->model;
      options.idle_seconds = idle_seconds_;
      embedder_ = embedding::MakeRemoteEmbedder(std::move(options));
      embedder_mutex_ = std::make_shared<std::mutex>();
      key_ = active->model.key;
    }
    return search::Engine{active->model, active->index, embedder_, embedder_mutex_};
  }

 private:
  const std::shared_ptr<ingest::Library> library_;
  const std::vector<std::string> child_arguments_;
  const int idle_seconds_;
  std::mutex mutex_;
  std::string key_;
  std::shared_ptr<embedding::Embedder> embedder_;
  std::shared_ptr<std::mutex> embedder_mutex_;
};

constexpr uint32_t kThumbnailSide = 320;
constexpr uint32_t kSoundSeconds = 20;

// What the controller has to decode for a request: query pictures and sounds, thumbnails that were
// deleted.
class QueryPictures {
 public:
  QueryPictures(std::shared_ptr<ingest::Library> library, media::CodecLimits limits,
                uint64_t pixels_max)
      : library_(std::move(library)), codec_({"role", "codec"}, limits), pixels_max_(pixels_max) {}

  Result<std::string> Decode(const Fd& file, const std::string& name) {
    const auto active = library_->Active();
    if (!active || active->model.image.width == 0) {
      return Error{Code::kUnavailable, "search: no model that sees pictures is ready"};
    }
    using Fit = embedding::ImageInputSpec::Fit;
    const embedding::ImageInputSpec& spec = active->model.image;
    media::PrepareOptions options;
    options.pixels.width = spec.width;
    options.pixels.height = spec.height;
    options.pixels.fit = spec.fit == Fit::kStretch      ? media::PixelsWanted::Fit::kStretch
                         : spec.fit == Fit::kCenterCrop ? media::PixelsWanted::Fit::kCenterCrop
                                                        : media::PixelsWanted::Fit::kPad;
    options.thumbnail_side_max = 0;
    options.picture_pixels_max = pixels_max_;
    std::lock_guard lock(mutex_);
    media::Prepared prepared = TRY(codec_.Prepare(file, name, options));
    if (prepared.pixels.empty()) return Error{Code::kUnsupported, name + ": not a picture"};
    return std::move(prepared.pixels.front());
  }

  Result<std::string> Thumbnail(const Fd& file, const std::string& name,
                                std::optional<double> time) {
    media::ViewWanted wanted;
    wanted.side_max = kThumbnailSide;
    wanted.picture_pixels_max = pixels_max_;
    wanted.time = time;
    std::lock_guard lock(mutex_);
    return media::JpegOf(TRY(codec_.ViewOf(file, name, wanted)));
  }

  Result<search::SoundQuery> Hear(const Fd& file, const std::string& name) {
    media::PrepareOptions options;
    options.thumbnail_side_max = 0;
    options.shots_max = 0;
    options.seconds_max = kSoundSeconds;
    std::lock_guard lock(mutex_);
    const media::Prepared prepared = TRY(codec_.Prepare(file, name, options));
    if (prepared.sound.empty()) return Error{Code::kUnsupported, name + ": has no sound"};
    media::SoundPrint print = TRY(media::SoundPrint::Decode(prepared.sound));
    return search::SoundQuery{std::move(print.fingerprint), media::SoundPrint::kItemSeconds,
                              std::move(print.windows)};
  }

 private:
  const std::shared_ptr<ingest::Library> library_;
  std::mutex mutex_;
  media::Codec codec_;
  const uint64_t pixels_max_;
};

std::vector<watch::RootSpec> ConfiguredRoots(const Settings& settings) {
  std::vector<watch::RootSpec> specs;
  for (const std::string& path : settings.TextList("processes.file_monitor.watched_dirs")) {
    watch::RootSpec spec;
    spec.path = path;
    spec.recursive = settings.Boolean("processes.file_monitor.recursive");
    spec.exclude = settings.TextList("processes.file_monitor.exclude");
    spec.follow_links = settings.Boolean("processes.file_monitor.follow_links");
    spec.scan_interval_s =
        static_cast<int>(settings.Integer("processes.file_monitor.scan_interval"));
    specs.push_back(std::move(spec));
  }
  return specs;
}

// A clip in the making as the server sends it.
class SentClip : public net::GrowingFile {
 public:
  explicit SentClip(std::shared_ptr<media::ClipReader> reader) : reader_(std::move(reader)) {}
  Result<std::optional<size_t>> Read(uint64_t offset, char* out, size_t size,
                                     std::function<void()> more) override {
    return reader_->Read(offset, out, size, std::move(more));
  }

 private:
  std::shared_ptr<media::ClipReader> reader_;
};

Result<api::ClipFile> ClipFileOf(const std::shared_ptr<media::ClipReader>& reader) {
  api::ClipFile file;
  const bool complete = reader->complete();
  const media::Clip clip = reader->clip();
  file.type = clip.mime;
  file.start = clip.start;
  if (complete) {
    file.end = clip.end;
    file.file = std::make_shared<Fd>(fcntl(reader->fd(), F_DUPFD_CLOEXEC, 0));
    if (!file.file->valid()) return ErrnoError("clip", errno);
  } else {
    file.growing = std::make_shared<SentClip>(reader);
  }
  return file;
}

// Cuts for the API, in children of their own: queries don't wait for them.
std::shared_ptr<media::Clips> MakeClips(const RoleProcess& process) {
  const Settings& settings = process.settings;
  media::ClipsOptions options;
  options.child_arguments = {"role", "codec"};
  options.limits.memory_bytes_max =
      static_cast<uint64_t>(settings.Integer("processes.task_worker.memory_bytes_max"));
  options.limits.timeout_ms = 60000;
  options.limits.answer_bytes_max = 1 << 20;
  options.directory = process.layout.uploads;
  return std::make_shared<media::Clips>(std::move(options));
}

void CutClip(media::Clips& clips, uint64_t pixels_max, api::ClipRequest request,
             std::function<void(Result<api::ClipFile>)> done) {
  media::ClipWanted wanted;
  wanted.start = request.start;
  wanted.end = request.end;
  wanted.picture_pixels_max = pixels_max;
  clips.Get(std::move(request.file), request.name, wanted, request.key, request.whole,
            [done = std::move(done)](const Result<std::shared_ptr<media::ClipReader>>& reader) {
              done(reader.ok() ? ClipFileOf(*reader) : Result<api::ClipFile>(reader.error()));
            });
}

struct Controller {
  std::shared_ptr<catalog::Catalog> catalog;
  std::string library_id;
  MachineQueue opened_queue;
  std::shared_ptr<queue::TaskQueue> queue;  // the same
  std::shared_ptr<storage::BlobStore> blobs;
  std::shared_ptr<ingest::Library> library;
  std::shared_ptr<answer::Desk> desk;
  std::shared_ptr<ingest::FeatureExtractor> features;
  std::shared_ptr<Engines> engines;
  std::shared_ptr<QueryPictures> pictures;
  std::shared_ptr<media::Clips> clips;
  std::unique_ptr<api::Api> api;
  std::unique_ptr<net::HttpServer> server;
  std::unique_ptr<celery::Gateway> celery;  // null: none is wanted
};

ingest::LibraryOptions OptionsFor(const RoleProcess& process,
                                  std::shared_ptr<embedding::ModelPacks> packs,
                                  std::shared_ptr<ReaderChoice> readers) {
  const Settings& settings = process.settings;
  ingest::LibraryOptions options;
  options.data_directory = process.layout.data;
  options.index_directory = process.layout.index;
  options.thumbnail_directory = process.layout.thumbnails;
  options.build_directory = process.layout.builds;
  options.worker_id = process.info.id;
  options.host = process.info.host;
  options.model = settings.Text("model.name");
  options.model_info = [packs](const std::string& name) { return packs->Info(name); };
  options.readers = [readers] { return readers->Wanted(); };
  options.workers_differ = RedisOptions(settings).has_value();
  if (options.workers_differ) {
    options.device = settings.Text("model.device");
    options.works_here = [path = WorksHerePath(process.layout)](bool here) {
      std::error_code ignored;
      if (!here) std::filesystem::remove(path, ignored);
      if (!here) return;
      const Result<> written = WriteFileAtomically(path, "");
      if (!written.ok()) LOG_WARNING("{}", written.message());
    };
    options.works_here(false);  // what the last process left
  }
  options.retention.finished = Milliseconds(settings.Integer("queue.retention_seconds") * 1000);
  options.retention.failed = Milliseconds(settings.Integer("queue.failures_seconds") * 1000);
  options.lease_duration = Milliseconds(settings.Integer("queue.lease_seconds") * 1000);
  options.extensions = settings.TextList("processes.file_monitor.supported_extensions");
  options.scan_interval_s =
      static_cast<int>(settings.Integer("processes.file_monitor.scan_interval"));
  return options;
}

// What the monitor knows of the roots of a catalog that is gone, and would go on watching. One that
// runs keeps it; a root that is added again is forgotten there first.
void ForgetSnapshot(const Layout& layout) {
  std::error_code ignored;
  if (!std::filesystem::exists(layout.monitor, ignored)) return;
  const auto lock = LockFile(layout.monitor + ".lock");
  if (!lock.ok()) return;
  for (const char* end : {"", "-wal", "-shm"}) {
    std::filesystem::remove(layout.monitor + end, ignored);
  }
}

// Made with the catalog, and gone with it.
Result<std::string> LibraryId(catalog::Catalog& catalog, const Layout& layout) {
  const std::string key = "library.id";
  if (const auto known = TRY(catalog.GetSetting(key))) return *known;
  ForgetSnapshot(layout);
  const std::string id = HexEncode(RandomBytes(16));
  TRY(catalog.SetSetting(key, id));
  return id;
}

Result<> OpenStores(const RoleProcess& process, Controller* controller) {
  const Settings& settings = process.settings;
  controller->catalog = TRY(catalog::Catalog::OpenSqlite(process.layout.catalog));
  controller->library_id = TRY(LibraryId(*controller->catalog, process.layout));
  controller->opened_queue = TRY(OpenMachineQueue(process, controller->library_id, {}));
  controller->queue = controller->opened_queue.queue;
  controller->blobs = TRY(OpenBlobs(settings, process.layout));
  auto packs = std::make_shared<embedding::ModelPacks>(embedding::PackPaths{
      process.layout.manifests, process.layout.models, settings.Text("model.runtime")});
  auto readers = std::make_shared<ReaderChoice>(settings, packs);
  ingest::LibraryOptions library_options = OptionsFor(process, packs, readers);
  std::shared_ptr<RedisWatch> watch;
  if (const auto redis = RedisOptions(settings)) {
    watch = std::make_shared<RedisWatch>(TRY(storage::Redis::Make(redis->server)));
  }
  library_options.queue_problem = [queue = controller->opened_queue, watch] {
    const std::string problem = queue.problem();
    return problem.empty() && watch != nullptr ? watch->problem() : problem;
  };
  controller->library = std::make_shared<ingest::Library>(
      controller->catalog, controller->queue, controller->blobs, std::move(library_options));
  answer::DeskOptions desk = DeskOptionsOf(process);
  if (RedisOptions(settings)) {
    desk.analysis_queue =
        ChoiceOfAnalysisQueue(process, controller->catalog, controller->queue,
                              [readers] { return readers->HasHere(ingest::kTextReader); });
  }
  controller->desk = TRY(answer::Desk::Open(controller->queue, std::move(desk)));
  controller->engines = std::make_shared<Engines>(
      controller->library,
      std::vector<std::string>{"role", "embedder", "--settings", process.arguments.settings_file},
      static_cast<int>(settings.Integer("processes.embedding_worker.idle_unload")));
  media::CodecLimits limits;
  limits.memory_bytes_max =
      static_cast<uint64_t>(settings.Integer("processes.task_worker.memory_bytes_max"));
  limits.timeout_ms = 20000;
  limits.answer_bytes_max = 64 << 20;  // ample for what queries ask of it
  controller->pictures = std::make_shared<QueryPictures>(
      controller->library, limits,
      static_cast<uint64_t>(settings.Integer("processes.task_worker.picture_pixels_max")));

  api::Context context;
  context.catalog = controller->catalog;
  context.queue = controller->queue;
  context.library = controller->library;
  context.served = std::make_shared<ingest::ServedFiles>(controller->catalog);
  context.blobs = controller->blobs;
  context.packs = packs;
  context.device = settings.Text("model.device");
  context.blobs_in_redis = settings.Boolean("blobs.in_redis");
  context.desk = controller->desk;
  controller->features =
      std::make_shared<ingest::FeatureExtractor>(controller->queue, controller->blobs);
  context.features = controller->features;
  context.feature_timeout = Milliseconds(1000 * settings.Integer("compute.feature_timeout"));
  context.batch_feature_timeout =
      Milliseconds(1000 * settings.Integer("compute.batch_feature_timeout"));
  context.queue_place = [place = QueuePlace(settings)] { return place; };
  context.queue_problem = [queue = controller->opened_queue] { return queue.problem(); };
  if (const auto redis = RedisOptions(settings)) {
    context.queue_checks = [redis = *redis] {
      std::vector<api::Check> checks;
      for (cli::Check& check : RedisChecks(redis)) {
        checks.push_back(
            {std::move(check.name), check.ok, std::move(check.detail), std::move(check.advice)});
      }
      return checks;
    };
  }
  context.engine = [engines = controller->engines] { return engines->Get(); };
  context.decode_picture = [pictures = controller->pictures](const Fd& file,
                                                             const std::string& name) {
    return pictures->Decode(file, name);
  };
  context.make_thumbnail = [pictures = controller->pictures](const Fd& file,
                                                             const std::string& name,
                                                             std::optional<double> time) {
    return pictures->Thumbnail(file, name, time);
  };
  context.sounds = [library = controller->library] {
    const ingest::ActiveSounds active = library->Sounds();
    return search::Sounds{active.alike, active.recordings};
  };
  context.decode_sound = [pictures = controller->pictures](const Fd& file,
                                                           const std::string& name) {
    return pictures->Hear(file, name);
  };
  controller->clips = MakeClips(process);
  context.cut = [clips = controller->clips, pixels_max = static_cast<uint64_t>(settings.Integer(
                                                "processes.task_worker.picture_pixels_max"))](
                    api::ClipRequest request, std::function<void(Result<api::ClipFile>)> done) {
    CutClip(*clips, pixels_max, std::move(request), std::move(done));
  };
  context.models = [packs] { return packs->List(); };
  context.readers = [readers] { return readers->States(); };
  context.web_directory = process.layout.web;
  context.data_directory = process.layout.data;
  context.version = kVersion;
  context.token = settings.Text("server.token");
  context.allowed_hosts = settings.TextList("server.allowed_hosts");
  context.upload_bytes_max = static_cast<uint64_t>(settings.Integer("server.upload_bytes_max"));
  context.started_at = process.info.started_at;
  controller->api = std::make_unique<api::Api>(std::move(context));
  return Ok{};
}

Result<> Serve(const RoleProcess& process, Controller* controller) {
  const Settings& settings = process.settings;
  net::HttpServerOptions options;
  options.host = settings.Text("server.host");
  options.port = static_cast<uint16_t>(
      process.arguments.port >= 0 ? process.arguments.port : settings.Integer("server.port"));
  options.threads = static_cast<int>(settings.Integer("server.threads"));
  options.spool_directory = process.layout.uploads;
  options.gate = [api = controller->api.get()](const net::Request& request) {
    return api->Gate(request);
  };
  options.problem = [](int status, const std::string& detail) {
    const std::string code = status == 404   ? "not_found"
                             : status == 405 ? "method_not_allowed"
                             : status == 413 ? "too_large"
                             : status == 503 ? "unavailable"
                             : status >= 500 ? "internal"
                                             : "invalid";
    return api::Problem(status, code, detail);
  };
  controller->server = TRY(net::HttpServer::Start(options, controller->api->Routes()));
  controller->celery =
      TRY(StartCelery(process, controller->library_id, controller->library, controller->features));
  return Ok{};
}

void TellPort(const RoleProcess& process, uint16_t port) {
  LOG_INFO("serving on http://{}:{}", process.settings.Text("server.host"), port);
  if (process.arguments.ready_fd < 0) return;
  const std::string line = std::to_string(port) + "\n";
  (void)!write(process.arguments.ready_fd, line.data(), line.size());
  close(process.arguments.ready_fd);
}

// Uploads of a process that died, and room for many connections.
void Tidy(const Layout& layout) {
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(layout.uploads, error)) {
    std::error_code ignored;
    std::filesystem::remove(entry.path(), ignored);
  }
  rlimit files{};
  if (getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur >= files.rlim_max) return;
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
}

}  // namespace

int RunController(const RoleProcess& process, StopSignals& signals) {
  Tidy(process.layout);
  Controller controller;
  Result<> started = OpenStores(process, &controller);
  if (started.ok()) started = controller.library->Start();
  if (started.ok())
    started = controller.library->SyncConfiguredRoots(ConfiguredRoots(process.settings));
  if (started.ok()) started = Serve(process, &controller);
  if (!started.ok()) {
    LOG_ERROR("{}", started.message());
    const bool hopeless = !IsTransient(started.code());
    return hopeless ? kCannotStart : 1;
  }
  TellPort(process, controller.server->port());
  signals.Wait();

  // In order: no new requests, no new work, then the stores.
  controller.api->Stop();
  controller.celery.reset();
  controller.desk->Stop();
  controller.server.reset();
  controller.library->Stop();
  (void)controller.queue->Forget(process.info.id);
  return 0;
}

}  // namespace msearch::daemon
