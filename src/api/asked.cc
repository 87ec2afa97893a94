// What the routes of asking answer, for the description: how a request stands, and what comes of
// it. Made by answer/ and handed through, so that the shapes stand here by themselves.
#include <algorithm>

#include "answer/request.h"
#include "api/route_table.h"

namespace msearch::api {
namespace {

std::vector<Field> PlaceFields() {
  return {{"media_id", Type::kInteger, "0: none"}, {"segment_id", Type::kInteger, ""},
          {"segment_index", Type::kInteger, ""},   {"type", Type::kText, "of the media"},
          {"kind", Type::kText, "of the segment"}, {"root", Type::kText, ""},
          {"path", Type::kText, "below the root"}, {"start_time", Type::kNumber, "seconds"},
          {"end_time", Type::kNumber, "seconds"},  {"page", Type::kInteger, "from 1"}};
}

std::vector<Field> CitationFields() {
  std::vector<Field> fields = PlaceFields();
  fields.push_back({"number", Type::kInteger, "from 1, as claims name it"});
  fields.push_back({"quote", Type::kText, ""});
  fields.push_back({"url", Type::kText, "of the page"});
  fields.push_back({"box", Type::kAny, "[x, y, width, height] as fractions"});
  return fields;
}

std::vector<Field> AnalysisFields() {
  return {
      {"name", Type::kText, "of the file"},
      {"mime", Type::kText, ""},
      {"bytes", Type::kInteger, ""},
      {"width", Type::kInteger, ""},
      {"height", Type::kInteger, ""},
      {"media_id", Type::kInteger, "if it is one of the library"},
      Field{"exif", Type::kObject, ""}.Of(
          {{"captured_at", Type::kText, "RFC 3339"},
           {"camera", Type::kText, ""},
           Field{"gps", Type::kObject, ""}.Of(
               {{"lat", Type::kNumber, ""}, {"lon", Type::kNumber, ""}})}),
      Field{"labels", Type::kObjects, "what it shows"}.Of({{"label", Type::kText, ""},
                                                           {"probability", Type::kNumber, "0 to 1"},
                                                           {"generals", Type::kTexts, ""}}),
      Field{"colors", Type::kObjects, "most of the picture first"}.Of(
          {{"name", Type::kText, ""},
           {"name_zh", Type::kText, ""},
           {"share", Type::kNumber, "0 to 1"},
           {"rgb", Type::kText, "#rrggbb"}}),
      Field{"text", Type::kObjects, "what is written in it"}.Of(
          {{"text", Type::kText, ""},
           {"confidence", Type::kNumber, "0 to 1"},
           {"box", Type::kAny, "[x, y, width, height] as fractions"}}),
      {"text_from", Type::kText, "library: it was read when the picture was indexed"},
      Field{"near", Type::kObjects, "what in the library is like it"}.Of(
          {{"media_id", Type::kInteger, ""},
           {"root", Type::kText, ""},
           {"path", Type::kText, ""},
           {"type", Type::kText, ""},
           {"score", Type::kNumber, "0 to 1"},
           {"strength", Type::kText, ""},
           Field{"thumbnail", Type::kText, "address"}.OrNull()}),
      {"description", Type::kText, "composed of these"},
      {"description_mode", Type::kText, "composed"},
      {"generated_description", Type::kText, "by a language model"},
      {"model", Type::kText, "that generated it"},
      {"notices", Type::kTexts, "what couldn't be done, and why"}};
}

std::vector<Field> AnswerFields() {
  return {{"question", Type::kText, ""},
          {"answer", Type::kText, ""},
          Field{"mode", Type::kText, ""}.OneOf({"extractive", "generated"}),
          {"found", Type::kFlag, "false: it isn't in the library"},
          {"confidence", Type::kNumber, "0 to 1"},
          Field{"claims", Type::kObjects, "the answer's sentences"}.Of(
              {{"text", Type::kText, ""}, {"citations", Type::kAny, "numbers of citations"}}),
          Field{"citations", Type::kObjects, "where they stand"}.Of(CitationFields()),
          Field{"nearest", Type::kObjects, "when nothing was found"}.Of(CitationFields()),
          {"notice", Type::kText, "what couldn't be done, and why"},
          {"model", Type::kText, "that generated it"}};
}

}  // namespace

// An analysis, an answer, or an answer with the analysis of its picture.
Shape StandingAnswer() {
  std::vector<Field> result = AnswerFields();
  for (Field& field : AnalysisFields()) {
    const bool known =
        std::ranges::any_of(result, [&](const Field& other) { return other.name == field.name; });
    if (!known) result.push_back(std::move(field));
  }
  result.push_back(
      Field{"analysis", Type::kObject, "of a full query's picture"}.Of(AnalysisFields()));
  Shape shape{
      Field{"task_id", Type::kText, ""}.Required(),
      Field{"kind", Type::kText, ""}.Required().OneOf({std::string(answer::kAnalyze),
                                                       std::string(answer::kComplete),
                                                       std::string(answer::kFullQuery)}),
      Field{"status", Type::kText, ""}.Required().OneOf(
          {"queued", "started", "finished", "failed", "cancelled"}),
      Field{"progress", Type::kNumber, "0 to 1"}.Required(),
      Field{"accepted_at", Type::kText, "RFC 3339"}.Required(),
      {"reason", Type::kText, "paused, no worker, delayed, ..."},
      {"stage", Type::kText, ""},
      {"message", Type::kText, ""},
      {"partial", Type::kText, "of an answer that is being written"},
      Field{"position", Type::kInteger, "in its queue, from 1; while it is queued"}.OrNull(),
      Field{"eta", Type::kNumber, "seconds until its end; null when that can't be told"}.OrNull(),
      Field{"eta_basis", Type::kText, "usual: none of its kind has ended lately"},
      {"started_at", Type::kText, "RFC 3339"},
      {"finished_at", Type::kText, "RFC 3339"},
      {"attempts", Type::kInteger, ""}};
  shape.push_back(Field{"result", Type::kObject, "once it has finished"}.Of(std::move(result)));
  shape.push_back(Field{"error", Type::kObject, "once it has failed"}.Of(
      {{"code", Type::kText, ""}, {"message", Type::kText, ""}}));
  shape.push_back({"tasks", Type::kTexts, "the parts of its flow"});
  return shape;
}

}  // namespace msearch::api
