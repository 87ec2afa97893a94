// What tasks, settings and the messages of other programs carry.

#include "answer/answer.h"
#include "answer/question.h"
#include "answer/request.h"
#include "catalog/media_rows.h"
#include "celery/message.h"
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
  const auto read = ingest::ReadJob::FromJson(*json);
  if (read.ok()) (void)DumpJson(read->ToJson());
  (void)ingest::ReadingParcel::FromJson(*json);
  (void)ingest::TextsJob::FromJson(*json);
}

void Request(std::string_view bytes) {
  const auto json = ParseJson(std::string(bytes));
  if (!json.ok()) return;
  const auto request = answer::Request::FromJson(*json);
  if (request.ok()) (void)answer::TasksOf(*request);
  (void)answer::PassageFromJson(*json);
}

void Question(std::string_view bytes) { (void)answer::ReadQuestion(bytes); }

void CeleryMessage(std::string_view bytes) {
  celery::Call call;
  const Result<> read = celery::ReadMessage(bytes, &call);
  if (!read.ok()) (void)celery::ResultText(call.id, read.error(), 0);
}

// Blobs between steps.
void Found(std::string_view bytes) {
  const auto findings = ingest::DecodeFindings(bytes);
  if (findings.ok()) (void)ingest::EncodeFindings(*findings);
  const auto prepared = ingest::DecodePrepared(bytes);
  if (prepared.ok()) (void)ingest::EncodePrepared(*prepared);
}

void Boxes(std::string_view bytes) { (void)catalog::BoxesFromText(bytes); }

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
std::vector<std::string> Requests() {
  return {R"({"kind":"full_query","question":"q","context":"c","filters":{"root":["a"]},)"
          R"("image":{"media_id":1},"generate":true,"language":"zh","part":true})",
          R"({"segment_id":1,"media_id":2,"path":"p","text":"t","page":3,"boxes":[{"text":"t",)"
          R"("box":[0,0,1,1]}],"score":0.5})"};
}
std::vector<std::string> CeleryMessages() {
  return {
      R"({"body":"W1siYUdWcyJdLCB7ImEiOiAxfSwgeyJjaGFpbiI6IG51bGx9XQ==",)"
      R"("content-type":"application/json","headers":{"task":"worker.a","id":"2c","eta":null,)"
      R"("expires":"2026-01-31T12:00:00.250000+00:00"},"properties":{"body_encoding":"base64"}})",
      R"({"body":"[[1], {}, {}]","content-type":"application/json","headers":{"task":"a",)"
      R"("id":"b"}})"};
}
std::vector<std::string> Questions() {
  return {"When did the Marigold leave the harbour?", "这只青蛙是什么时候来的？"};
}
std::vector<std::string> FoundBlobs() {
  ingest::Findings findings;
  findings.segments = {{.kind = media::SegmentKind::kText, .text = "a", .page = 2}};
  findings.segments[0].boxes = {{"a", 0.1F, 0.2F, 0.3F, 0.4F}};
  media::Prepared prepared;
  prepared.mime = "image/jpeg";
  prepared.segments = {{.text = "a", .pixels = 0}};
  return {ingest::EncodeFindings(findings), ingest::EncodePrepared(prepared)};
}
std::vector<std::string> BoxTexts() {
  return {catalog::BoxesToText({{"a", 0.1F, 0.2F, 0.3F, 0.4F}})};
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
  return {{"payload", Payload, Payloads},        {"vectors", Vectors, VectorBytes},
          {"request", Request, Requests},        {"question", Question, Questions},
          {"findings", Found, FoundBlobs},       {"boxes", Boxes, BoxTexts},
          {"settings", Settings, SettingsFiles}, {"celery", CeleryMessage, CeleryMessages}};
}

}  // namespace msearch::fuzz
