#include "embedding/model_packs.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>

#include "base/digest.h"
#include "base/file.h"
#include "base/strings.h"
#include "embedding/manifest.h"
#include "embedding/pack_fetch.h"
#include "embedding/pack_kind.h"

// A pulled pack is a folder MODELS/NAME with the manifest's kept files, those that the conversion
// made, and state.json, written last: without it nothing counts. State names each file with its
// size and SHA-256, and the identity that it was pulled for; a program that has another manifest or
// converts otherwise asks for a new pull.

namespace msearch::embedding {
namespace {

namespace fs = std::filesystem;

constexpr char kState[] = "state.json";

struct StateFile {
  std::string name;
  uint64_t bytes = 0;
  std::string sha256;
};

struct State {
  std::string identity;
  std::vector<StateFile> files;
};

std::string FullIdentity(const Manifest& manifest, const PackKind& kind) {
  return Sha256(manifest.identity + ":" + std::to_string(kind.version)).hex();
}

State ParseState(const Json& json) {
  State state;
  state.identity = GetString(json, "identity").value_or("");
  const auto files = json.find("files");
  if (files != json.end() && files->is_array()) {
    for (const Json& file : *files) {
      state.files.push_back({GetString(file, "name").value_or(""),
                             static_cast<uint64_t>(GetInt(file, "bytes").value_or(0)),
                             GetString(file, "sha256").value_or("")});
    }
  }
  return state;
}

Result<State> ReadState(const std::string& folder) {
  const std::string text = TRY(ReadFile(folder + "/" + kState, 1 << 20));
  const Result<Json> json = ParseJson(text);
  if (!json.ok()) return Error{Code::kCorrupt, folder + "/" + kState + ": " + json.message()};
  return ParseState(*json);
}

Result<StateFile> Describe(const std::string& folder, const std::string& name) {
  const Fd fd = TRY(OpenFile(folder + "/" + name, O_RDONLY));
  const Digest digest = TRY(Sha256File(fd.get()));
  struct stat info {};
  if (fstat(fd.get(), &info) != 0) return ErrnoError(name, errno);
  return StateFile{name, static_cast<uint64_t>(info.st_size), digest.hex()};
}

// Of every kept file, in the manifest's order, then of the derived ones.
std::vector<std::string> FilesOf(const Manifest& manifest, const PackKind& kind) {
  std::vector<std::string> names;
  for (const PackFile& file : manifest.files) {
    if (file.keep) names.push_back(file.name);
  }
  names.insert(names.end(), kind.derived.begin(), kind.derived.end());
  return names;
}

Result<> WriteState(const std::string& folder, const Manifest& manifest, const PackKind& kind) {
  Json files = Json::array();
  auto add = [&](const std::string& name) -> Result<> {
    const StateFile file = TRY(Describe(folder, name));
    files.push_back({{"name", file.name}, {"bytes", file.bytes}, {"sha256", file.sha256}});
    return Ok{};
  };
  for (const std::string& name : FilesOf(manifest, kind)) TRY(add(name));
  const Json state = {{"format", 1}, {"identity", FullIdentity(manifest, kind)}, {"files", files}};
  return WriteFileAtomically(folder + "/" + kState, DumpJson(state, 2), true);
}

// The first file that is missing or of another size; empty when there's none.
std::string Damaged(const std::string& folder, const State& state) {
  for (const StateFile& file : state.files) {
    struct stat info {};
    if (stat((folder + "/" + file.name).c_str(), &info) != 0 ||
        static_cast<uint64_t>(info.st_size) != file.bytes) {
      return file.name;
    }
  }
  return "";
}

// Vectors depend on the files; the SHA-256 of those that the manifest leaves open is in the state.
std::string KeyOf(const Manifest& manifest, const PackKind& kind, const State& state) {
  Hasher hasher;
  hasher.Update(FullIdentity(manifest, kind));
  for (const PackFile& file : manifest.files) {
    if (!file.sha256.empty()) continue;
    for (const StateFile& known : state.files) {
      if (known.name == file.name) hasher.Update(known.sha256);
    }
  }
  return manifest.name + "-" + hasher.Finish().hex().substr(0, 16);
}

// A pack as it lies on disk.
struct Pack {
  Manifest manifest;
  const PackKind* kind = nullptr;
  std::string folder;
  std::string state;  // as PackStatus::state
  std::string key;    // when ready
  uint64_t bytes = 0;
};

Result<Pack> OpenPack(const PackPaths& paths, const std::string& name) {
  const std::string text = TRY(ReadFile(paths.manifests + "/" + name + ".json", 1 << 20));
  Pack pack;
  pack.manifest = TRY(ParseManifest(name, text));
  pack.kind = TRY(FindKind(pack.manifest));
  pack.folder = paths.models + "/" + name;
  State state;
  if (!pack.manifest.files.empty()) {
    const Result<State> read = ReadState(pack.folder);
    if (!read.ok() || read->identity != FullIdentity(pack.manifest, *pack.kind)) {
      pack.state = "not pulled";
      return pack;
    }
    state = *read;
  }
  const std::string damaged = Damaged(pack.folder, state);
  pack.state = damaged.empty() ? "ready" : "damaged: " + damaged;
  pack.key = KeyOf(pack.manifest, *pack.kind, state);
  for (const StateFile& file : state.files) pack.bytes += file.bytes;
  return pack;
}

std::vector<std::string> Names(const PackPaths& paths) {
  std::vector<std::string> names;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(paths.manifests, error)) {
    if (entry.path().extension() == ".json") names.push_back(entry.path().stem().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

Result<Pack> FindPack(const PackPaths& paths, const std::string& name) {
  const std::vector<std::string> names = Names(paths);
  if (std::find(names.begin(), names.end(), name) != names.end()) return OpenPack(paths, name);
  const auto nearest = NearestWord(name, names);
  return Error{Code::kNotFound,
               "model " + name + ": no such pack" +
                   (nearest ? ", did you mean " + *nearest + "?" : " among " + Join(names, ", "))};
}

PackStatus StatusOf(const Pack& pack) {
  return {pack.manifest.name,    pack.manifest.title, pack.manifest.licence,
          pack.manifest.quality, pack.bytes,          pack.manifest.download_bytes(),
          pack.kind->purpose,    pack.state};
}

// What was recorded at the first pull has to come back the same.
Manifest WithRecordedDigests(const Pack& pack) {
  Manifest manifest = pack.manifest;
  const Result<State> state = ReadState(pack.folder);
  if (!state.ok() || state->identity != FullIdentity(pack.manifest, *pack.kind)) return manifest;
  for (PackFile& file : manifest.files) {
    for (const StateFile& known : state->files) {
      if (file.sha256.empty() && known.name == file.name) file.sha256 = known.sha256;
    }
  }
  return manifest;
}

// What has to arrive under this name: the manifest's word goes before that of who sends it.
std::string WantedDigest(const Manifest& manifest, const StateFile& file) {
  for (const PackFile& known : manifest.files) {
    if (known.name == file.name && !known.sha256.empty()) return known.sha256;
  }
  return file.sha256;
}

Result<> CopyFile(const Pack& pack, const StateFile& file, const ModelPacks::Fetch& fetch) {
  const std::string wanted = WantedDigest(pack.manifest, file);
  const auto here = Describe(pack.folder, file.name);
  if (here.ok() && here->sha256 == wanted) return Ok{};
  const std::string part = file.name + ".part";
  TRY(fetch(file.name, pack.folder + "/" + part, file.bytes));
  std::error_code error;
  if (TRY(Describe(pack.folder, part)).sha256 != wanted) {
    fs::remove(pack.folder + "/" + part, error);
    return Error{Code::kCorrupt, "model " + pack.manifest.name + ": " + file.name +
                                     " from the other machine isn't what it should be"};
  }
  fs::rename(pack.folder + "/" + part, pack.folder + "/" + file.name, error);
  if (error) return ErrnoError(pack.folder + "/" + file.name, error.value());
  return Ok{};
}

// What a pack is, told when it was asked for something else.
std::string_view Does(PackPurpose purpose) {
  switch (purpose) {
    case PackPurpose::kSearch:
      return "is for searching; msearch model use chooses it";
    case PackPurpose::kSpeech:
      return "turns speech into words and can't be searched with; the setting reading.speech "
             "chooses it";
    case PackPurpose::kText:
      return "reads text in pictures and can't be searched with; the setting reading.text chooses "
             "it";
    case PackPurpose::kSounds:
      return "tells what sounds are and can't be searched with; the setting reading.sounds chooses "
             "it";
  }
  return "";
}

// A pack that can be loaded for this, or why not.
Result<Pack> ReadyPack(const PackPaths& paths, const std::string& name, PackPurpose purpose) {
  Pack pack = TRY(FindPack(paths, name));
  if (pack.kind->purpose != purpose) {
    return Error{Code::kUnsupported,
                 "model " + name + ": " + std::string(Does(pack.kind->purpose))};
  }
  if (pack.state == "ready") return pack;
  const std::string command = "get it with: msearch model pull " + name;
  if (pack.state == "not pulled") {
    return Error{Code::kNotFound, "model " + name + ": not pulled yet; " + command};
  }
  return Error{Code::kCorrupt, "model " + name + ": " + pack.state + "; " + command};
}

}  // namespace

Result<const PackKind*> FindKind(const Manifest& manifest) {
  for (const PackKind* kind : {&BuiltinKind(), &Open1kKind(), &TwoTowerKind(), &WhisperKind(),
                               &PpOcrKind(), &YamnetKind()}) {
    if (manifest.kind == kind->name) return kind;
  }
  return Error{Code::kUnsupported,
               "model " + manifest.name + ": unknown kind '" + manifest.kind + "'"};
}

std::string_view PurposeName(PackPurpose purpose) {
  switch (purpose) {
    case PackPurpose::kSearch:
      return "search";
    case PackPurpose::kSpeech:
      return "speech";
    case PackPurpose::kText:
      return "text";
    case PackPurpose::kSounds:
      return "sounds";
  }
  return "";
}

Calibration CalibrationOf(const Manifest& manifest, const std::string& probe, size_t views) {
  const auto known = manifest.calibration.find(probe);
  Calibration calibration = known == manifest.calibration.end() ? Calibration{} : known->second;
  calibration.slopes.resize(views, 0.0F);
  return calibration;
}

Result<std::vector<PackStatus>> ModelPacks::List() const {
  std::vector<PackStatus> list;
  for (const std::string& name : Names(paths_)) {
    list.push_back(StatusOf(TRY(OpenPack(paths_, name))));
  }
  return list;
}

Result<PackStatus> ModelPacks::Status(const std::string& name) const {
  return StatusOf(TRY(FindPack(paths_, name)));
}

Result<> ModelPacks::Pull(const std::string& name, const std::string& source,
                          const std::function<void(const PullProgress&)>& progress,
                          std::stop_token stop) const {
  const Pack pack = TRY(FindPack(paths_, name));
  if (pack.manifest.files.empty() || pack.state == "ready") return Ok{};
  std::error_code error;
  fs::create_directories(pack.folder, error);
  if (error) return ErrnoError(pack.folder, error.value());
  const Result<Fd> lock = LockFile(pack.folder + "/.lock");
  if (!lock.ok()) return Error{lock.code(), "model " + name + ": another pull is running"};

  TRY(FetchFiles(WithRecordedDigests(pack), {pack.folder, source, progress, stop}));
  if (pack.kind->convert) {
    const PackContext context{pack.manifest, pack.folder, ""};
    const SessionOptions options{paths_.runtime, "cpu", 1};
    auto report = [&](uint64_t done, uint64_t total) {
      if (progress) progress({name, done, total, "convert"});
    };
    TRY(pack.kind->convert(context, options, report, stop));
  }
  for (const PackFile& file : pack.manifest.files) {
    if (!file.keep) fs::remove(pack.folder + "/" + file.name, error);
  }
  return WriteState(pack.folder, pack.manifest, *pack.kind);
}

Result<Json> ModelPacks::Inventory(const std::string& name) const {
  const Pack pack = TRY(FindPack(paths_, name));
  if (pack.manifest.files.empty() || pack.state != "ready") {
    return Error{Code::kNotFound, "model " + name + ": " + pack.state};
  }
  return ParseJson(TRY(ReadFile(pack.folder + "/" + kState, 1 << 20)));
}

Result<Fd> ModelPacks::OpenFile(const std::string& name, const std::string& file) const {
  const State state = ParseState(TRY(Inventory(name)));
  for (const StateFile& known : state.files) {
    if (known.name == file) {
      return msearch::OpenFile(paths_.models + "/" + name + "/" + file, O_RDONLY);
    }
  }
  return Error{Code::kNotFound, "model " + name + ": has no file " + file};
}

Result<> ModelPacks::Copy(const std::string& name, const Json& inventory,
                          const Fetch& fetch) const {
  const Pack pack = TRY(FindPack(paths_, name));
  if (pack.manifest.files.empty() || pack.state == "ready") return Ok{};
  const State state = ParseState(inventory);
  std::vector<std::string> names;
  for (const StateFile& file : state.files) names.push_back(file.name);
  if (state.identity != FullIdentity(pack.manifest, *pack.kind) ||
      names != FilesOf(pack.manifest, *pack.kind)) {
    return Error{Code::kUnsupported, "model " + name + ": the other machine has another version"};
  }
  std::error_code error;
  fs::create_directories(pack.folder, error);
  if (error) return ErrnoError(pack.folder, error.value());
  const Result<Fd> lock = LockFile(pack.folder + "/.lock");
  if (!lock.ok()) return Error{lock.code(), "model " + name + ": another pull is running"};
  for (const StateFile& file : state.files) TRY(CopyFile(pack, file, fetch));
  return WriteState(pack.folder, pack.manifest, *pack.kind);
}

Result<ModelInfo> ModelPacks::Info(const std::string& name) const {
  const Pack pack = TRY(ReadyPack(paths_, name, PackPurpose::kSearch));
  if (pack.kind->needs_runtime) TRY(FindRuntime(paths_.runtime));
  return pack.kind->info({pack.manifest, pack.folder, pack.key});
}

Result<std::string> ModelPacks::Key(const std::string& name, PackPurpose purpose) const {
  const Pack pack = TRY(ReadyPack(paths_, name, purpose));
  if (pack.kind->needs_runtime) TRY(FindRuntime(paths_.runtime));
  return pack.key;
}

Result<DeviceInfo> ModelPacks::Device(const LoadOptions& options) const {
  return DeviceFor({paths_.runtime, options.device, options.threads});
}

Result<std::unique_ptr<Embedder>> ModelPacks::Load(const std::string& name,
                                                   const LoadOptions& options) const {
  const Pack pack = TRY(ReadyPack(paths_, name, PackPurpose::kSearch));
  return pack.kind->load({pack.manifest, pack.folder, pack.key},
                         {paths_.runtime, options.device, options.threads});
}

Result<std::unique_ptr<Transcriber>> ModelPacks::LoadTranscriber(const std::string& name,
                                                                 const LoadOptions& options) const {
  const Pack pack = TRY(ReadyPack(paths_, name, PackPurpose::kSpeech));
  return pack.kind->load_transcriber({pack.manifest, pack.folder, pack.key},
                                     {paths_.runtime, options.device, options.threads});
}

Result<std::unique_ptr<TextReader>> ModelPacks::LoadTextReader(const std::string& name,
                                                               const LoadOptions& options) const {
  const Pack pack = TRY(ReadyPack(paths_, name, PackPurpose::kText));
  return pack.kind->load_text_reader({pack.manifest, pack.folder, pack.key},
                                     {paths_.runtime, options.device, options.threads});
}

Result<std::unique_ptr<SoundTagger>> ModelPacks::LoadSoundTagger(const std::string& name,
                                                                 const LoadOptions& options) const {
  const Pack pack = TRY(ReadyPack(paths_, name, PackPurpose::kSounds));
  return pack.kind->load_sound_tagger({pack.manifest, pack.folder, pack.key},
                                      {paths_.runtime, options.device, options.threads});
}

}  // namespace msearch::embedding
