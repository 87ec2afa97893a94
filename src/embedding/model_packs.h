// Model packs: a manifest (JSON, docs/formats.md) naming a model's files with their SHA-256 and
// where each may be had (an npm package, a URL, a local folder), how to prepare inputs, which
// views come out, how to fuse and calibrate them, the licence, and in plain words the quality to
// expect. Most packs are for searching; others turn speech into words, read text in pictures or
// tell what sounds are. Manifests of the packs that msearch knows ship with the program; pulled
// files lie under the models folder.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "base/json.h"
#include "base/result.h"
#include "embedding/embedder.h"
#include "embedding/sound_tagger.h"
#include "embedding/text_reader.h"
#include "embedding/transcriber.h"

namespace msearch::embedding {

// What a pack's model does.
enum class PackPurpose {
  kSearch,  // Embedder
  kSpeech,  // Transcriber
  kText,    // TextReader
  kSounds,  // SoundTagger
};
std::string_view PurposeName(PackPurpose purpose);  // "search", "speech", "text", "sounds" (API)

struct PackStatus {
  std::string name;
  std::string title;
  std::string licence;
  std::string quality;          // what to expect, in one or two sentences
  uint64_t bytes = 0;           // on disk when pulled; 0 for none
  uint64_t download_bytes = 0;  // 0 when not known before
  PackPurpose purpose = PackPurpose::kSearch;
  std::string state;  // "ready", "not pulled", "damaged: FILE"; "not pulled" also when
                      // the program now converts otherwise or has another manifest
};

struct PullProgress {
  std::string file;
  uint64_t bytes_done = 0;
  uint64_t bytes_total = 0;  // 0 when not known
  std::string stage;         // "download", "verify", "convert"
};

struct PackPaths {
  std::string manifests;  // folder of NAME.json files that ship with the program
  std::string models;     // DATA/models: pulled files, one folder a pack
  std::string runtime;    // libonnxruntime.so.1; empty: beside the program, then the system's
};

// Thread-safe; pulls of one pack by several processes exclude each other.
class ModelPacks {
 public:
  explicit ModelPacks(PackPaths paths) : paths_(std::move(paths)) {}

  Result<std::vector<PackStatus>> List() const;
  // kNotFound names the nearest pack.
  Result<PackStatus> Status(const std::string& name) const;

  // Gets, verifies and converts what's missing. Interrupted downloads resume. Says kExhausted
  // before downloading when the space doesn't suffice, kCorrupt when a file isn't what the
  // manifest says (it is removed). `source` overrides the manifest's sources by a folder that
  // holds the files. Calls `progress` from the calling thread.
  Result<> Pull(const std::string& name, const std::string& source,
                const std::function<void(const PullProgress&)>& progress,
                std::stop_token stop = {}) const;

  // For another machine that wants the same pack: its files with sizes and SHA-256, as in
  // state.json. kNotFound when it isn't ready here.
  Result<Json> Inventory(const std::string& name) const;
  // One of these files.
  Result<Fd> OpenFile(const std::string& name, const std::string& file) const;
  // Writes the file of the inventory to `path`, continuing what lies there.
  using Fetch =
      std::function<Result<>(const std::string& file, const std::string& path, uint64_t bytes)>;
  // Takes a pack over from a machine that has it. kUnsupported when it has another version of it,
  // kCorrupt when a file isn't what the manifest, or else the inventory, says (it is removed).
  Result<> Copy(const std::string& name, const Json& inventory, const Fetch& fetch) const;

  // What the pack's embedder will be, without loading it; kNotFound when it wasn't pulled (with
  // the command that pulls it in the message), kUnavailable without the runtime, kUnsupported for
  // a pack that is not for searching.
  Result<ModelInfo> Info(const std::string& name) const;
  // What the pack's results are kept under (ModelInfo::key, Transcriber::key, ...),
  // without loading it. Errors as Info; kUnsupported for a pack of another purpose.
  Result<std::string> Key(const std::string& name, PackPurpose purpose) const;

  struct LoadOptions {
    std::string device = "auto";  // auto, cpu, cuda
    int threads = 1;
  };
  // What packs that need the runtime would run on; kUnavailable without it, kUnsupported for a
  // device that can't be had.
  Result<DeviceInfo> Device(const LoadOptions& options) const;
  // Errors as Key.
  Result<std::unique_ptr<Embedder>> Load(const std::string& name, const LoadOptions& options) const;
  Result<std::unique_ptr<Transcriber>> LoadTranscriber(const std::string& name,
                                                       const LoadOptions& options) const;
  Result<std::unique_ptr<TextReader>> LoadTextReader(const std::string& name,
                                                     const LoadOptions& options) const;
  Result<std::unique_ptr<SoundTagger>> LoadSoundTagger(const std::string& name,
                                                       const LoadOptions& options) const;

 private:
  PackPaths paths_;
};

// An embedder that lives in a child process ("msearch role embedder ..."): loading, running and
// crashing happen there; the process using this one never maps a model. The child starts at the
// first use and ends after `idle` without use.
struct RemoteEmbedderOptions {
  std::vector<std::string> child_arguments;
  ModelInfo info;
  int idle_seconds = 300;
  int timeout_ms = 60000;
};
std::unique_ptr<Embedder> MakeRemoteEmbedder(RemoteEmbedderOptions options);

// The child's side: answers until the parent goes away. Returns the exit status. A model that could
// not be loaded answers each call with that error, so that its parent can tell the reason.
int ServeEmbedder(Result<std::unique_ptr<Embedder>> loaded);

}  // namespace msearch::embedding
