// The kinds of packs: what a manifest's "kind" means. Each kind converts what was pulled and loads
// it for its purpose; one for searching also tells what its embedder will be.
#pragma once

#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include "base/result.h"
#include "embedding/embedder.h"
#include "embedding/manifest.h"
#include "embedding/model_packs.h"
#include "embedding/onnx_runtime.h"

namespace msearch::embedding {

struct PackContext {
  const Manifest& manifest;
  std::string folder;  // where the pulled files lie
  std::string key;     // ModelInfo::key
};

struct PackKind {
  const char* name;
  // Raised when this program prepares, converts or computes otherwise than before.
  int version;
  PackPurpose purpose = PackPurpose::kSearch;
  // Files that Convert leaves in the folder, beside the kept ones.
  std::vector<std::string> derived;
  std::function<Result<>(const PackContext&, const SessionOptions&,
                         const std::function<void(uint64_t done, uint64_t total)>&,
                         std::stop_token)>
      convert;  // may be empty
  // Those of the purpose.
  std::function<Result<ModelInfo>(const PackContext&)> info;
  std::function<Result<std::unique_ptr<Embedder>>(const PackContext&, const SessionOptions&)> load;
  std::function<Result<std::unique_ptr<Transcriber>>(const PackContext&, const SessionOptions&)>
      load_transcriber;
  std::function<Result<std::unique_ptr<TextReader>>(const PackContext&, const SessionOptions&)>
      load_text_reader;
  std::function<Result<std::unique_ptr<SoundTagger>>(const PackContext&, const SessionOptions&)>
      load_sound_tagger;
  bool needs_runtime = true;
};

const PackKind& BuiltinKind();   // builtin.cc
const PackKind& Open1kKind();    // open_1k.cc
const PackKind& TwoTowerKind();  // two_tower.cc
const PackKind& WhisperKind();   // whisper.cc
const PackKind& PpOcrKind();     // pp_ocr.cc
const PackKind& YamnetKind();    // yamnet.cc

// kUnsupported for an unknown kind.
Result<const PackKind*> FindKind(const Manifest& manifest);

// The manifest's figures for a probe, with as many slopes as the probe has views.
Calibration CalibrationOf(const Manifest& manifest, const std::string& probe, size_t views);

}  // namespace msearch::embedding
