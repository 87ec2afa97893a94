// What tasks and settings carry.

#include "daemon/settings.h"
#include "ingest/pipeline.h"
#include "targets.h"
#include "watch/monitor.h"

namespace msearch::fuzz {
namespace {

void Payload(std::string_view bytes) {
  const auto json = ParseJson(std::string(bytes));
  if (!json.ok()) return;
  const auto job = ingest::PrepareJob::FromJson(*json);
  if (job.ok()) (void)DumpJson(job->ToJson());
  (void)ingest::Parcel::FromJson(*json);
  (void)watch::RootSpec::FromJson(*json);
  (void)watch::Change::FromJson(*json);
}

void Vectors(std::string_view bytes) { (void)ingest::DecodeVectors(bytes); }

void Settings(std::string_view bytes) {
  static const TemporaryDirectory scratch;
  const std::string path = scratch.path() + "/config.yml";
  (void)WriteFileAtomically(path, bytes);
  (void)daemon::Settings::Load({.config = path});
}

std::vector<std::string> Payloads() {
  return {R"({"file":1,"version":2,"root":"r","root_path":"/r","path":"a.jpg","size":3,)"
          R"("modified_ns":4,"restarts":0,"model":{"name":"m","key":"k","image":{"width":2}}})",
          R"({"name":"r","path":"/r","recursive":true,"kind":"moved","old_path":"b"})"};
}
std::vector<std::string> VectorBytes() {
  embedding::Embedding embedding;
  embedding.views = {{1, 2, 3}};
  return {ingest::EncodeVectors({embedding})};
}
std::vector<std::string> SettingsFiles() {
  return {
      "processes:\n  task_worker:\n    num_instances: 2\nserver: {port: 1}\n"
      "model:\n  name: &a open-1k\n  directory: *a\n"};
}

}  // namespace

std::vector<Target> PayloadTargets() {
  return {{"payload", Payload, Payloads},
          {"vectors", Vectors, VectorBytes},
          {"settings", Settings, SettingsFiles}};
}

}  // namespace msearch::fuzz
