#include "daemon/asking.h"

#include <fcntl.h>
#include <pthread.h>

#include <filesystem>
#include <optional>

#include "answer/handlers.h"
#include "base/file.h"
#include "base/log.h"
#include "base/strings.h"
#include "daemon/readers.h"
#include "embedding/model_packs.h"
#include "ingest/capability.h"
#include "ingest/idle_model.h"
#include "ingest/ocr_reader.h"
#include "media/format.h"

namespace msearch::daemon {
namespace {

constexpr Milliseconds kGrace{8000};

// The controller of this data folder; its port may be another after a restart.
Result<std::string> AddressOf(const Layout& layout) {
  std::string address(Trim(TRY(ReadFile(layout.run + "/address", 4096))));
  // Listening everywhere is no place to go to.
  const std::string everywhere = "//0.0.0.0:";
  if (const size_t at = address.find(everywhere); at != std::string::npos) {
    address.replace(at, everywhere.size(), "//127.0.0.1:");
  }
  return address;
}

std::shared_ptr<answer::ControllerClient> ControllerOf(const RoleProcess& process) {
  answer::ControllerOptions options;
  const std::string elsewhere = process.settings.Text("compute.controller");
  options.address = [layout = process.layout, elsewhere]() -> Result<std::string> {
    if (!elsewhere.empty()) return elsewhere;
    return AddressOf(layout);
  };
  options.token = process.settings.Text("server.token");
  return std::make_shared<answer::ControllerClient>(std::move(options));
}

std::shared_ptr<answer::LanguageModel> ModelOf(const RoleProcess& process) {
  const Settings& settings = process.settings;
  answer::ModelOptions options;
  options.endpoint = settings.Text("answer.endpoint");
  options.model = settings.Text("answer.model");
  options.vision_model = settings.Text("answer.vision_model");
  options.key = settings.Text("answer.key");
  options.timeout = Milliseconds(settings.Integer("answer.timeout") * 1000);
  options.tokens_max = static_cast<int>(settings.Integer("answer.tokens_max"));
  options.concurrency = static_cast<int>(settings.Integer("answer.concurrency"));
  options.slot_directory = process.layout.run;
  return std::make_shared<answer::LanguageModel>(std::move(options));
}

queue::WorkerOptions WorkerOf(const RoleProcess& process, const std::string& role) {
  queue::WorkerOptions worker;
  worker.info = process.info;
  worker.info.role = role;
  worker.info.id = fmt::format("{}:{}:{}:{}", process.info.host, process.info.pid, role,
                               process.arguments.number);
  worker.lease_duration = Milliseconds(process.settings.Integer("queue.lease_seconds") * 1000);
  return worker;
}

// The dictionary of the pack open-1k, loaded by the first Chinese question. Where the pack isn't,
// questions stay as they are. For one thread.
class LazyDictionary {
 public:
  explicit LazyDictionary(std::string path) : path_(std::move(path)) {}
  void Explain(answer::Question* question) {
    std::error_code error;
    if (!dictionary_ && std::filesystem::exists(path_, error)) {
      auto loaded = embedding::ChineseDictionary::Load(path_);
      if (!loaded.ok()) LOG_WARNING("answer: {}", loaded.message());
      if (loaded.ok()) dictionary_ = std::move(*loaded);
    }
    if (dictionary_) answer::AddMeanings(*dictionary_, question);
  }

 private:
  std::string path_;
  std::optional<embedding::ChineseDictionary> dictionary_;
};

Result<std::vector<answer::FoundText>> ReadText(ingest::IdleModel<embedding::TextReader>& model,
                                                const media::View& view) {
  std::vector<answer::FoundText> found;
  TRY(model.With([&](embedding::TextReader& reader) -> Result<> {
    for (const embedding::SeenLine& line : TRY(reader.Read({view.width, view.height, view.rgb}))) {
      found.push_back(
          {line.text, line.confidence, {line.box.x, line.box.y, line.box.width, line.box.height}});
    }
    return Ok{};
  }));
  return found;
}

// Of the picture that a request names; empty: one that everybody opens, or nothing known. A
// client's path isn't opened for this: its name has to do.
std::string FormatOfPicture(catalog::Catalog& catalog, const std::string& upload_directory,
                            const Json& image) {
  const std::string name = GetString(image, "name").value_or("");
  std::string_view format = media::FormatOfName(name);
  if (const auto id = GetInt(image, "media_id")) {
    if (const auto media = catalog.GetMedia(*id); media.ok()) {
      format = media::FormatOfMime(media->content.mime);
    }
  } else if (const auto upload = GetString(image, "upload")) {
    const auto file = OpenFile(upload_directory + "/" + *upload, O_RDONLY);
    if (file.ok()) format = media::FormatOf(*file, name);
  }
  return ingest::IsOfPictures(format) ? std::string(format) : "";
}

}  // namespace

static_assert(ingest::kAnalysisStep == answer::kAnalysisQueue);

std::function<std::string(const answer::Request&)> ChoiceOfAnalysisQueue(
    const RoleProcess& process, std::shared_ptr<catalog::Catalog> catalog,
    std::shared_ptr<queue::TaskQueue> queue, std::function<bool()> reads_text) {
  return
      [catalog = std::move(catalog), queue = std::move(queue), reads_text = std::move(reads_text),
       uploads = process.layout.asked](const answer::Request& request) {
        const std::string step(ingest::kAnalysisStep);
        const auto workers = queue->Workers();
        if (!workers.ok()) return step;
        const ingest::Workforce workforce(*workers);
        const std::string format = FormatOfPicture(*catalog, uploads, request.image);
        std::string name = ingest::QueueNeeding(step, {format});
        if (reads_text()) {
          const std::string with_text = ingest::QueueNeeding(step, {ingest::kTextReader, format});
          if (workforce.SomeServe(with_text)) name = with_text;
        }
        return workforce.SomeLack(step, name) ? name : step;
      };
}

answer::DeskOptions DeskOptionsOf(const RoleProcess& process) {
  answer::DeskOptions options;
  options.journal_path = process.layout.journal;
  options.upload_directory = process.layout.asked;
  options.upload_bytes_max =
      static_cast<uint64_t>(process.settings.Integer("answer.uploads_bytes_max"));
  options.result_age = Milliseconds(process.settings.Integer("answer.result_seconds") * 1000);
  options.worker_id = process.info.id;
  options.host = process.info.host;
  options.lease_duration = Milliseconds(process.settings.Integer("queue.lease_seconds") * 1000);
  // Of one core: quoting takes milliseconds, a small language model on it a quarter of a minute,
  // looking at a picture whose models have to be loaded first some seconds.
  const bool writes = !process.settings.Text("answer.endpoint").empty();
  options.usual_ms = {{std::string(answer::kAnalysisQueue), 3000},
                      {std::string(answer::kAnswerQueue), writes ? 15000 : 50},
                      {std::string(answer::kQueryQueue), 20}};
  return options;
}

void RunAnswerWorker(const RoleProcess& process, std::shared_ptr<queue::TaskQueue> queue,
                     std::stop_token stop) {
  pthread_setname_np(pthread_self(), "answers");
  auto parts = std::make_shared<answer::AnswerParts>();
  parts->queue = queue;
  const auto controller = ControllerOf(process);
  parts->retrieve = [controller](const answer::Question& question, const Json& filters,
                                 size_t limit, std::stop_token end) {
    return controller->FindPassages(question, filters, limit, std::move(end));
  };
  parts->explain = [dictionary = std::make_shared<LazyDictionary>(process.layout.models +
                                                                  "/open-1k/chinese.txt")](
                       answer::Question* question) { dictionary->Explain(question); };
  parts->model = ModelOf(process);
  queue::WorkerOptions worker = WorkerOf(process, "answer_worker");
  worker.queues = {std::string(answer::kAnswerQueue), std::string(answer::kQueryQueue)};
  worker.handlers = answer::AnswerHandlers(parts);
  queue::RunWorker(*queue, worker, std::move(stop), kGrace);
}

void RunAnalysisWorker(const RoleProcess& process, std::shared_ptr<queue::TaskQueue> queue,
                       std::shared_ptr<ingest::ModelHolder> model, const media::CodecLimits& limits,
                       std::optional<AnalysisReach> reach, std::stop_token stop) {
  pthread_setname_np(pthread_self(), "analyses");
  const auto packs = std::make_shared<embedding::ModelPacks>(embedding::PackPaths{
      process.layout.manifests, process.layout.models, process.settings.Text("model.runtime")});
  auto parts = std::make_shared<answer::AnalysisParts>();
  parts->codec = std::make_shared<media::Codec>(std::vector<std::string>{"role", "codec"}, limits);
  parts->prepare.picture_pixels_max =
      static_cast<uint64_t>(process.settings.Integer("processes.task_worker.picture_pixels_max"));
  parts->controller = ControllerOf(process);
  parts->model = ModelOf(process);
  parts->input = [packs](const std::string& name) -> Result<embedding::ImageInputSpec> {
    return TRY(packs->Info(name)).image;
  };
  parts->labels = [packs, model](const std::string& name,
                                 const std::string& rgb) -> Result<std::vector<embedding::Label>> {
    const embedding::ModelInfo info = TRY(packs->Info(name));
    std::vector<embedding::Label> labels;
    TRY(model->With(name, info.key, [&](embedding::Embedder& embedder) -> Result<> {
      const embedding::ImageInput input{rgb};
      labels = TRY(embedder.EmbedPictures({&input, 1})).front().labels;
      return Ok{};
    }));
    return labels;
  };
  std::shared_ptr<ingest::IdleModel<embedding::TextReader>> text;
  if (const std::string pack = TextPack(process.settings); !pack.empty()) {
    embedding::ModelPacks::LoadOptions load;
    load.device = process.settings.Text("processes.embedding_worker.device");
    text = std::make_shared<ingest::IdleModel<embedding::TextReader>>(
        [packs, pack, load] { return packs->LoadTextReader(pack, load); },
        Milliseconds(process.settings.Integer("processes.embedding_worker.idle_unload") * 1000));
    parts->read_text = [text](const media::View& view) { return ReadText(*text, view); };
  }
  queue::WorkerOptions worker = WorkerOf(process, "analysis_worker");
  if (text) worker.idle = [text] { text->UnloadIfIdle(); };
  worker.queues = {std::string(answer::kAnalysisQueue)};
  if (reach) {
    parts->opens = [formats = reach->formats](std::string_view format) {
      return !ingest::IsOfPictures(format) || formats.contains(std::string(format));
    };
    worker.more_queues = [reach = *reach] {
      return ingest::AnalysisQueuesFor(reach.reads_text(), reach.formats);
    };
  }
  worker.handlers = answer::AnalysisHandlers(queue, parts);
  queue::RunWorker(*queue, worker, std::move(stop), kGrace);
}

}  // namespace msearch::daemon
