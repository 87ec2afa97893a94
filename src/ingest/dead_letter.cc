#include "ingest/dead_letter.h"

namespace msearch::ingest {

// It carries the failed task's payload: a prepare job, or a parcel with one.
Result<DeadLetter> ReadDeadLetter(const Json& payload) {
  const auto original = payload.find("payload");
  if (original == payload.end()) return Error{Code::kInvalid, "dead letter without payload"};
  DeadLetter letter;
  std::string step;
  if (original->contains("job")) {
    letter.parcel = TRY(Parcel::FromJson(*original));
    const bool embedded = !letter.parcel.job.model || !letter.parcel.vectors.empty();
    step = embedded ? "storing: " : "embedding: ";
  } else {
    letter.parcel.job = TRY(PrepareJob::FromJson(*original));
  }
  const Json why = payload.value("error", Json::object());
  letter.error.code = CodeFromName(GetString(why, "code").value_or("internal"));
  letter.error.message = step + GetString(why, "message").value_or("unknown");
  letter.attempts = static_cast<int>(GetInt(payload, "attempts").value_or(1));
  return letter;
}

}  // namespace msearch::ingest
