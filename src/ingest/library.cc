#include "ingest/library.h"

#include <algorithm>
#include <filesystem>
#include <set>

#include "base/log.h"
#include "base/strings.h"
#include "ingest/sound_spaces.h"
#include "watch/own_folder.h"

namespace msearch::ingest {
namespace {

constexpr std::string_view kActiveModel = "model.active";  // ModelInfo as JSON
constexpr std::string_view kQueueState = "queue.state_id";
constexpr std::string_view kPausedQueues = "queue.paused";  // by people: names, as a JSON array
constexpr auto kWorkersComeUp = std::chrono::seconds(5);    // after the controller

std::string FileNameFor(const embedding::ModelInfo& model) {
  std::string name = model.key;
  for (char& c : name) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '-' || c == '.';
    if (!plain) c = '_';
  }
  return name + ".index";
}

}  // namespace

watch::RootSpec SpecOf(const catalog::Root& root) {
  Json json = root.options.is_object() ? root.options : Json::object();
  json["name"] = root.name;
  json["path"] = root.path;
  auto spec = watch::RootSpec::FromJson(json);
  watch::RootSpec out = spec.ok() ? *spec : watch::RootSpec();
  out.name = root.name;
  out.path = root.path;
  out.paused = root.paused;
  return out;
}

Library::Library(std::shared_ptr<catalog::Catalog> catalog, std::shared_ptr<queue::TaskQueue> queue,
                 std::shared_ptr<storage::BlobStore> blobs, LibraryOptions options)
    : catalog_(std::move(catalog)),
      queue_(std::move(queue)),
      blobs_(std::move(blobs)),
      options_(std::move(options)),
      builds_(options_.build_directory),
      readings_(catalog_, queue_, blobs_, options_.readers, options_.workers_differ),
      thumbnails_(options_.thumbnail_directory) {}

Library::~Library() { Stop(); }

Result<> Library::Start() {
  std::filesystem::create_directories(options_.index_directory);
  builds_.Load();
  TRY(GuardAgainstLostQueue());
  TRY(ChooseModel(TRY(catalog_->GetSetting("model.chosen")).value_or(options_.model)));
  TRY(OpenSounds());
  for (const catalog::Root& root : TRY(catalog_->Roots())) {
    queue::NewTask task = ScanTask(SpecOf(root), false);
    task.unique_key = "scan-at-start:" + root.name;
    TRY(queue_->Enqueue(task));
  }
  threads_.emplace_back([this](std::stop_token stop) { HandleReports(stop); });
  threads_.emplace_back([this](std::stop_token stop) { HandleCommits(stop); });
  threads_.emplace_back([this](std::stop_token stop) { Reconcile(stop); });
  return Ok{};
}

void Library::Stop() {
  for (std::jthread& thread : threads_) thread.request_stop();
  Poke();
  threads_.clear();
  std::lock_guard lock(model_mutex_);
  active_.reset();
  target_.reset();
  sounds_.reset();
  fingerprints_.reset();
}

Result<> Library::OpenSounds() {
  std::unique_ptr<IndexFollower> follower;
  TRY(OpenFollower(SoundModel(), &follower));
  std::lock_guard lock(model_mutex_);
  sounds_ = std::move(follower);
  fingerprints_ = std::make_shared<FingerprintFollower>(catalog_.get());
  return Ok{};
}

bool Library::Searchable() const {
  return active_ != nullptr && active_->CaughtUp() && sounds_ != nullptr && sounds_->CaughtUp() &&
         fingerprints_ != nullptr && fingerprints_->CaughtUp();
}

ActiveSounds Library::Sounds() const {
  std::lock_guard lock(model_mutex_);
  ActiveSounds sounds;
  if (sounds_ != nullptr) sounds.alike = sounds_->index();
  if (fingerprints_ != nullptr) sounds.recordings = fingerprints_->index();
  return sounds;
}

// A queue in another state than last time has lost tasks, or tokens of another counter: the epoch
// rises, so that whatever still carries an old token is refused, and the reconciler does the rest.
Result<bool> Library::GuardAgainstLostQueue() {
  const std::string state = TRY(queue_->StateId());
  uint64_t epoch = TRY(catalog_->Epoch());
  const auto known = TRY(catalog_->GetSetting(std::string(kQueueState)));
  const bool changed = !known || *known != state;
  if (changed) {
    epoch = TRY(catalog_->RaiseEpoch());
    TRY(PauseAgain());
    if (known)
      LOG_WARNING("the queue's state is new: the catalog's pending files are queued again");
    TRY(catalog_->SetSetting(std::string(kQueueState), state));
    queue_lost_at_ = std::chrono::steady_clock::now();
    readings_.Restart();
  }
  TRY(queue_->RaiseEpoch(epoch));
  return changed;
}

// What was paused before anything was remembered, the queue itself says.
Result<std::set<std::string>> Library::PausedQueues() {
  std::set<std::string> paused;
  const auto text = TRY(catalog_->GetSetting(std::string(kPausedQueues)));
  if (!text) {
    for (const queue::QueueStats& stats : TRY(queue_->Stats())) {
      if (stats.paused) paused.insert(stats.name);
    }
    return paused;
  }
  for (const Json& name : TRY(ParseJson(*text))) {
    if (name.is_string()) paused.insert(name.get<std::string>());
  }
  return paused;
}

// Where all workers can do everything nothing is ever beside a step's queue.
Result<std::vector<std::string>> Library::QueuesCalled(const std::string& name) {
  std::vector<std::string> all{name};
  if (!options_.workers_differ || StepOf(name) != name) return all;
  for (std::string& beside : QueuesBeside(name, options_.device)) all.push_back(std::move(beside));
  // For a device that was wanted before, say.
  for (const queue::QueueStats& stats : TRY(queue_->Stats())) {
    if (StepOf(stats.name) == name && std::ranges::find(all, stats.name) == all.end()) {
      all.push_back(stats.name);
    }
  }
  return all;
}

Result<std::vector<std::string>> Library::PauseQueue(const std::string& queue, bool paused) {
  std::lock_guard lock(pause_mutex_);
  auto names = TRY(PausedQueues());
  auto called = TRY(QueuesCalled(queue));
  for (const std::string& name : called) {
    TRY(paused ? queue_->Pause(name) : queue_->Resume(name));
    if (paused) names.insert(name);
    if (!paused) names.erase(name);
  }
  TRY(catalog_->SetSetting(std::string(kPausedQueues), DumpJson(Json(names))));
  return called;
}

Result<> Library::PauseAgain() {
  std::lock_guard lock(pause_mutex_);
  auto names = TRY(PausedQueues());
  // A step that was paused while workers didn't differ yet.
  for (const std::string& name : std::set(names)) {
    const bool alone = std::ranges::none_of(
        names, [&](const std::string& other) { return other != name && StepOf(other) == name; });
    if (!alone) continue;
    for (std::string& called : TRY(QueuesCalled(name))) names.insert(std::move(called));
  }
  for (const std::string& name : names) TRY(queue_->Pause(name));
  // Resumed while another back end was current.
  for (const queue::QueueStats& stats : TRY(queue_->Stats())) {
    if (stats.paused && !names.contains(stats.name)) TRY(queue_->Resume(stats.name));
  }
  return Ok{};
}

Result<> Library::OpenFollower(const embedding::ModelInfo& model,
                               std::unique_ptr<IndexFollower>* out) {
  *out = TRY(IndexFollower::Open(options_.index_directory + "/" + FileNameFor(model), model,
                                 catalog_.get()));
  return Ok{};
}

Result<std::optional<embedding::ModelInfo>> Library::StoredModel() const {
  const auto text = TRY(catalog_->GetSetting(std::string(kActiveModel)));
  if (!text) return std::optional<embedding::ModelInfo>();
  return std::optional(TRY(embedding::ModelInfo::FromJson(TRY(ParseJson(*text)))));
}

// The wanted pack when it is there. When it isn't, the model of last time stays, so that a folder
// of models that is away for a while never costs a library its embeddings; a new library begins
// with the built-in pack, which is always there. What was searched with last time stays active
// until the wanted one's vectors are complete.
Result<> Library::ChooseModel(const std::string& name) {
  std::string problem;
  const auto before = TRY(StoredModel());
  auto wanted = options_.model_info(name);
  if (!wanted.ok()) {
    problem = wanted.message();
    wanted = before ? Result(*before) : options_.model_info("builtin");
    if (!wanted.ok()) return wanted.error();
    LOG_WARNING("model {}: {}; using {}", name, problem, wanted->name);
  }

  std::lock_guard lock(model_mutex_);
  std::unique_ptr<IndexFollower> follower;
  std::shared_ptr<IndexFollower> active = active_;
  std::shared_ptr<IndexFollower> target;
  if (active == nullptr && before) {
    TRY(OpenFollower(*before, &follower));
    active = std::move(follower);
  }
  if (active == nullptr || active->model().key != wanted->key) {
    TRY(OpenFollower(*wanted, &follower));
    target = std::move(follower);
  }
  if (active == nullptr) {
    active = std::exchange(target, nullptr);
    TRY(catalog_->SetSetting(std::string(kActiveModel), DumpJson(wanted->ToJson())));
  }
  active_ = active;
  target_ = target;
  model_problem_ = problem;
  TargetModel embed_with;
  embed_with.name = wanted->name;
  embed_with.key = wanted->key;
  embed_with.image = wanted->image;
  embed_with.embeds_passages = wanted->embeds_passages;
  embed_with.passage_words_max = wanted->passage_words_max;
  embed_with.device = options_.device;
  embed_with_ = embed_with;
  const int64_t outdated = TRY(catalog_->MarkOutdated(std::string(kPreparation), embed_with_->key));
  if (outdated > 0) LOG_INFO("model {}: {} files are to be embedded", wanted->name, outdated);
  return Ok{};
}

Result<ModelState> Library::UseModel(const std::string& name) {
  auto info = options_.model_info(name);
  if (!info.ok()) return info.error();
  TRY(catalog_->SetSetting("model.chosen", name));
  TRY(ChooseModel(name));
  Poke();
  return Models();
}

std::optional<TargetModel> Library::EmbedsWith() const {
  std::lock_guard lock(model_mutex_);
  return embed_with_;
}

void Library::SwitchModelIfReady() {
  std::lock_guard lock(model_mutex_);
  if (target_ == nullptr || !target_->CaughtUp() || !readings_.walked()) return;
  auto queues = queue_->Stats();
  if (!queues.ok()) return;
  for (const queue::QueueStats& stats : *queues) {
    // Texts of readers on their way to the new model.
    const bool concerns = IsOfStep(stats.name, kEmbedQueue) || stats.name == kCommitQueue;
    if (concerns && stats.queued + stats.started > 0) return;
  }
  auto counts = catalog_->CountsByRoot();
  if (!counts.ok()) return;
  for (const auto& [root, count] : *counts) {
    if (count.pending > 0) return;
  }
  const embedding::ModelInfo& model = target_->model();
  Result<> stored = catalog_->SetSetting(std::string(kActiveModel), DumpJson(model.ToJson()));
  if (!stored.ok()) return;
  const std::string old_path = active_->path();
  LOG_INFO("model {} is complete and is searched with from now on", model.name);
  active_ = std::exchange(target_, nullptr);
  // Searches under way keep the old index mapped until they end.
  std::error_code ignored;
  std::filesystem::remove(old_path, ignored);
  auto dropped = catalog_->DropOtherModels(
      std::array{model.key, std::string(kSoundSpace), std::string(kFingerprintSpace)});
  if (!dropped.ok()) LOG_WARNING("old embeddings: {}", dropped.message());
}

ModelState Library::Models() const {
  std::lock_guard lock(model_mutex_);
  ModelState state;
  if (active_ != nullptr) {
    state.active = active_->model().name;
    state.active_key = active_->model().key;
  }
  if (target_ != nullptr) {
    state.target = target_->model().name;
    state.target_key = target_->model().key;
  }
  state.problem = model_problem_;
  return state;
}

std::optional<ActiveIndex> Library::Active() const {
  std::lock_guard lock(model_mutex_);
  if (active_ == nullptr) return std::nullopt;
  return ActiveIndex{active_->model(), active_->index()};
}

Result<> Library::RequestScan(const catalog::Root& root, bool full, queue::TaskId* id) {
  const queue::TaskId made = TRY(queue_->Enqueue(ScanTask(SpecOf(root), full)));
  if (id != nullptr) *id = made;
  return Ok{};
}

Result<catalog::Root> Library::AddRoot(watch::RootSpec spec, const std::string& origin) {
  namespace fs = std::filesystem;
  std::error_code error;
  if (spec.path.empty()) return Error{Code::kInvalid, "root: path is missing"};
  const fs::path path = fs::canonical(spec.path, error);
  if (error) return Error{Code::kNotFound, spec.path + ": " + error.message()};
  if (!fs::is_directory(path)) return Error{Code::kInvalid, spec.path + ": not a folder"};
  if (path == "/") return Error{Code::kInvalid, "/: the whole file system can't be a root"};
  const std::string own = fs::canonical(options_.data_directory, error).string();
  if (!error && (path.string() + "/").starts_with(own + "/")) {
    return Error{Code::kInvalid,
                 spec.path + ": is or lies in the data folder of msearch, which is never indexed"};
  }
  if (const std::string marked = watch::MarkedFolderAround(path.string()); !marked.empty()) {
    return Error{Code::kInvalid, fmt::format("{}: is or lies in a data folder of msearch ({}), and "
                                             "these are never indexed",
                                             spec.path, marked)};
  }
  if (spec.name.empty()) {
    spec.name = path.filename().string();
    std::set<std::string> taken;
    for (const catalog::Root& other : TRY(catalog_->Roots())) taken.insert(other.name);
    const std::string base = spec.name;
    for (int n = 2; taken.contains(spec.name); ++n) spec.name = base + "-" + std::to_string(n);
  }
  if (spec.name.size() > 100 || spec.name.find('/') != std::string::npos ||
      Trim(spec.name).size() != spec.name.size() || !IsUtf8(spec.name)) {
    return Error{Code::kInvalid, "root: a name has 1 to 100 characters, none of them a slash"};
  }
  spec.path = path.string();
  if (spec.extensions.empty()) spec.extensions = options_.extensions;
  if (spec.scan_interval_s == watch::RootSpec().scan_interval_s) {
    spec.scan_interval_s = options_.scan_interval_s;
  }
  if (spec.extensions.empty()) spec.extensions = media::SupportedExtensions();
  catalog::Root root;
  root.name = spec.name;
  root.path = spec.path;
  root.origin = origin;
  root.options = spec.ToJson();
  root.paused = spec.paused;
  root.state = "scanning";
  catalog::Root added = TRY(catalog_->AddRoot(root));
  // The monitor may know a root of this name from a catalog that is gone, and report nothing anew.
  TRY(queue_->Enqueue(UnwatchTask(added.name)));
  TRY(RequestScan(added, false, nullptr));
  return added;
}

Result<> Library::RemoveRoot(const std::string& name) {
  const catalog::Root root = TRY(catalog_->GetRoot(name));
  if (root.origin == "config") {
    return Error{Code::kConflict,
                 name + ": this root stands in the configuration file; remove it there"};
  }
  TRY(queue_->Enqueue(UnwatchTask(name)));
  TRY(catalog_->RemoveRoot(name));
  Poke();
  return Ok{};
}

Result<queue::TaskId> Library::Scan(const std::string& name, bool full) {
  const catalog::Root root = TRY(catalog_->GetRoot(name));
  queue::TaskId id;
  TRY(RequestScan(root, full, &id));
  return id;
}

Result<> Library::SetPaused(const std::string& name, bool paused) {
  std::unique_lock lock(roots_mutex_);
  catalog::Root root = TRY(catalog_->GetRoot(name));
  root.paused = paused;
  TRY(catalog_->UpdateRoot(root));
  lock.unlock();
  TRY(RequestScan(root, false, nullptr));
  readings_.Restart();
  Poke();
  return Ok{};
}

Result<> Library::SyncConfiguredRoots(const std::vector<watch::RootSpec>& specs) {
  std::lock_guard lock(roots_mutex_);
  std::map<std::string, catalog::Root> by_path;
  for (const catalog::Root& root : TRY(catalog_->Roots())) by_path[root.path] = root;
  std::set<std::string> wanted;
  for (const watch::RootSpec& spec : specs) {
    std::error_code error;
    const auto canonical = std::filesystem::weakly_canonical(spec.path, error).string();
    wanted.insert(canonical);
    auto known = by_path.find(canonical);
    if (known == by_path.end()) {
      auto added = AddRoot(spec, "config");
      if (!added.ok()) LOG_ERROR("configured folder {}", added.message());
      continue;
    }
    catalog::Root root = known->second;
    watch::RootSpec renamed = spec;
    renamed.name = root.name;
    renamed.path = root.path;
    renamed.extensions = options_.extensions;
    root.origin = "config";
    root.options = renamed.ToJson();
    TRY(catalog_->UpdateRoot(root));
  }
  for (const auto& [path, root] : by_path) {
    if (root.origin != "config" || wanted.contains(path)) continue;
    // Taken out of the file: from now on it's like one that was added by hand.
    catalog::Root kept = root;
    kept.origin = "api";
    TRY(catalog_->UpdateRoot(kept));
  }
  return Ok{};
}

Result<std::vector<RootView>> Library::Roots() {
  const auto look = LookAtQueue();
  return RootsSeenWith(look.ok() ? look->unserved : std::vector<Unserved>());
}

// A queue that is away is asked no second time: each time may take seconds.
Result<Library::QueueLook> Library::LookAtQueue() {
  QueueLook look;
  look.queues = TRY(queue_->Stats());
  look.unserved = FindUnserved(look.queues, TRY(queue_->Workers()));
  return look;
}

Result<std::vector<RootView>> Library::RootsSeenWith(const std::vector<Unserved>& unserved) {
  const auto roots = TRY(catalog_->Roots());
  const auto counts = TRY(catalog_->CountsByRoot());
  const std::string standstill = WhyNothingMoves(unserved);
  std::vector<RootView> views;
  for (const catalog::Root& root : roots) {
    RootView view;
    view.root = root;
    if (auto found = counts.find(root.name); found != counts.end()) view.counts = found->second;
    std::lock_guard lock(mutex_);
    if (auto speed = speeds_.find(root.name); speed != speeds_.end()) {
      view.speed_files_s = speed->second->FilesPerSecond();
      view.current = speed->second->current();
    }
    if (view.counts.pending > 0 && !root.paused) view.problem = standstill;
    if (view.counts.pending > 0 && view.speed_files_s > 0 && view.problem.empty()) {
      view.eta_s = static_cast<double>(view.counts.pending) / view.speed_files_s;
    }
    views.push_back(std::move(view));
  }
  return views;
}

Result<RootView> Library::GetRoot(const std::string& name) {
  for (RootView& view : TRY(Roots())) {
    if (view.root.name == name) return std::move(view);
  }
  return Error{Code::kNotFound, name + ": no such root"};
}

// Workers come up after the controller, so that they are missing for a moment is no news.
std::string Library::WhyNothingMoves(const std::vector<Unserved>& unserved) const {
  if (std::chrono::steady_clock::now() - started_at_ < kWorkersComeUp) return "";
  for (const Unserved& one : unserved) {
    if (one.queue == kPrepareQueue || one.queue == kEmbedQueue) return one.why;
  }
  return "";
}

// Nothing is left of the readings when, before and after a look at the queues that shows no task,
// the walk stood at the catalog's revision, and that revision was the same: every task enqueued
// before would show, and every one that ended would have raised it.
Result<IndexStatus> Library::Status() {
  IndexStatus status;
  const int64_t revision = TRY(catalog_->Revision());
  bool read = readings_.walked() == revision;
  // A queue that can't be asked now is a reason to wait, not to answer nothing.
  const auto seen = LookAtQueue();
  const QueueLook look = seen.ok() ? *seen : QueueLook();
  status.unserved = look.unserved;
  status.roots = TRY(RootsSeenWith(look.unserved));
  int64_t waiting = 0;
  for (const RootView& view : status.roots) {
    status.files += view.counts.files;
    status.indexed += view.counts.indexed;
    status.pending += view.counts.pending;
    status.failed += view.counts.failed;
    status.speed_files_s += view.speed_files_s;
    if (!view.root.paused) waiting += view.counts.pending;
    if (!view.problem.empty()) status.problem = view.problem;
  }
  const bool stands = !status.problem.empty();
  if (!seen.ok()) {
    read = false;
    status.problem = seen.message();
  }
  std::set<std::string> paused;
  for (const queue::QueueStats& stats : look.queues) {
    if (stats.paused) paused.insert(stats.name);
  }
  for (const queue::QueueStats& stats : look.queues) {
    if (stats.name == kScanQueue || stats.name == kChangesQueue) {
      status.scans_pending += stats.queued + stats.started;
    }
    const bool reads = IsOfStep(stats.name, kReadQueue);
    if (reads) status.readings_pending += stats.queued + stats.started;
    const bool concerns = reads || IsOfStep(stats.name, kEmbedQueue) || stats.name == kCommitQueue;
    if (concerns && stats.queued + stats.started > 0) read = false;
    if (stats.paused && stats.queued > 0) {
      const std::string step = StepOf(stats.name);
      status.problem = fmt::format("queue {} is paused", paused.contains(step) ? step : stats.name);
    }
  }
  if (status.pending > 0 && status.speed_files_s > 0 && !stands) {
    status.eta_s = static_cast<double>(status.pending) / status.speed_files_s;
  }
  read = read && TRY(catalog_->Revision()) == revision;
  std::lock_guard lock(model_mutex_);
  const bool searchable = Searchable();
  status.idle =
      waiting == 0 && status.scans_pending == 0 && read && searchable && target_ == nullptr;
  if (active_ != nullptr && !active_->problem().empty()) status.problem = active_->problem();
  std::lock_guard problem_lock(mutex_);
  if (!problem_.empty()) status.problem = problem_;
  if (options_.queue_problem) {
    if (auto problem = options_.queue_problem(); !problem.empty()) status.problem = problem;
  }
  return status;
}

Result<int64_t> Library::RetryFailures(const catalog::FailureFilter& filter) {
  if (!filter.root.empty()) TRY(catalog_->GetRoot(filter.root));
  const int64_t retried = TRY(catalog_->RetryFailures(filter));
  readings_.Restart();
  Poke();
  return retried;
}

Result<Build> Library::BuildIndex(std::vector<std::string> names, bool distributed) {
  Build build;
  build.distributed = distributed;
  std::vector<catalog::Root> roots;
  for (const std::string& name : names) roots.push_back(TRY(catalog_->GetRoot(name)));
  if (names.empty()) roots = TRY(catalog_->Roots());
  build.id = HexEncode(RandomBytes(8));
  build.started_at = SystemClock().NowMs();
  for (const catalog::Root& root : roots) build.roots.push_back(root.name);
  // What the scans find is queued as the build says, so it has to be known before them.
  builds_.Put(build);
  std::vector<queue::TaskId> scans;
  for (const catalog::Root& root : roots) {
    const Result<> requested = RequestScan(root, false, &scans.emplace_back());
    if (requested.ok()) continue;
    builds_.Drop(build.id);
    return requested.error();
  }
  build.scans = std::move(scans);
  builds_.Put(build);
  Poke();
  return build;
}

Result<Json> Library::FailuresOf(const std::vector<std::string>& roots) const {
  constexpr size_t kShown = 100;
  Json failures = Json::array();
  for (const std::string& root : roots) {
    int64_t total = 0;
    for (const catalog::FailureInfo& one :
         TRY(catalog_->Failures({.root = root}, 0, kShown - failures.size(), &total))) {
      failures.push_back({{"root", one.root},
                          {"path", SanitizeUtf8(one.path)},
                          {"code", CodeName(one.error.code)},
                          {"message", SanitizeUtf8(one.error.message)}});
    }
    if (failures.size() >= kShown) break;
  }
  return failures;
}

// Scanning ends with the scans, and with the reports that they left; what they found is pending by
// then. Finished is what has committed and can be found: so 1.0 can't be seen before.
Result<> Library::UpdateBuild(Build build) {
  if (build.scans.size() < build.roots.size()) return Ok{};  // it is just beginning
  bool scanning = false;
  for (const queue::TaskId& id : build.scans) {
    auto scan = queue_->Get(id);
    if (!scan.ok() && scan.code() != Code::kNotFound) return scan.error();
    scanning |= scan.ok() &&
                (scan->status == queue::Status::kQueued || scan->status == queue::Status::kStarted);
  }
  for (const queue::QueueStats& stats : TRY(queue_->Stats())) {
    if (stats.name == kChangesQueue) scanning |= stats.queued + stats.started > 0;
  }
  const int64_t failed_before = build.failed;
  build.files = build.indexed = build.pending = build.failed = 0;
  const auto counts = TRY(catalog_->CountsByRoot());
  for (const std::string& root : build.roots) {
    const auto found = counts.find(root);
    if (found == counts.end()) continue;
    build.files += found->second.files;
    build.indexed += found->second.indexed;
    build.pending += found->second.pending;
    build.failed += found->second.failed;
  }
  if (build.failed != failed_before) build.failures = TRY(FailuresOf(build.roots));
  bool searchable = false;
  {
    std::lock_guard lock(model_mutex_);
    searchable = Searchable();
  }
  const bool done = !scanning && build.pending == 0 && searchable;
  const double part = build.files == 0 ? 0
                                       : static_cast<double>(build.indexed + build.failed) /
                                             static_cast<double>(build.files);
  build.state = done ? "finished" : scanning ? "scanning" : "indexing";
  build.progress = done ? 1 : std::min(part, 0.99);
  if (done) build.finished_at = SystemClock().NowMs();
  builds_.Put(build);
  return Ok{};
}

void Library::UpdateBuilds() {
  bool here = false;
  for (const Build& build : builds_.Running()) {
    here |= !build.distributed;
    Result<> updated = UpdateBuild(build);
    if (!updated.ok()) LOG_WARNING("build {}: {}", build.id, updated.message());
  }
  if (options_.works_here && std::exchange(works_here_, here) != here) options_.works_here(here);
}

Result<std::vector<std::string>> Library::Verify() {
  std::vector<std::string> problems;
  const auto active = Active();
  if (!active) return problems;
  const int64_t expected = TRY(catalog_->CountSegments(active->model.key));
  const auto actual = static_cast<int64_t>(active->index->size());
  if (expected != actual) {
    problems.push_back(fmt::format("index of {}: {} segments, the catalog has {}",
                                   active->model.name, actual, expected));
  }
  return problems;
}

void Library::Poke() {
  {
    std::lock_guard lock(mutex_);
    poke_ = true;
  }
  poked_.notify_all();
}

void Library::Count(const std::string& root, const std::string& path) {
  std::lock_guard lock(mutex_);
  auto& speed = speeds_[root];
  if (speed == nullptr) speed = std::make_unique<Speed>();
  speed->Count(path);
}

}  // namespace msearch::ingest
