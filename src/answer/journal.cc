#include "answer/journal.h"

#include "base/strings.h"

namespace msearch::answer {
namespace {

constexpr std::string_view kSchema = R"sql(
CREATE TABLE entry(
  id TEXT PRIMARY KEY,
  key TEXT UNIQUE,
  digest TEXT NOT NULL,
  kind TEXT NOT NULL,
  request TEXT NOT NULL,
  tasks TEXT NOT NULL,
  last_task TEXT NOT NULL,
  accepted_at INTEGER NOT NULL,
  state INTEGER NOT NULL DEFAULT 0,
  ended_at INTEGER,
  forgotten INTEGER NOT NULL DEFAULT 0,
  result TEXT,
  error TEXT) WITHOUT ROWID;
CREATE INDEX entry_task ON entry(last_task);
CREATE INDEX entry_open ON entry(id) WHERE state = 0;
CREATE INDEX entry_ended ON entry(ended_at) WHERE ended_at IS NOT NULL;
)sql";

Entry ReadEntry(const storage::Statement& row) {
  Entry entry;
  entry.id = row.String(0);
  entry.key = row.String(1);
  entry.digest = row.String(2);
  entry.kind = row.String(3);
  if (auto request = ParseJson(row.Text(4)); request.ok()) entry.request = std::move(*request);
  for (const std::string_view task : Split(row.Text(5), ' ')) entry.tasks.emplace_back(task);
  entry.accepted_at = row.Int(6);
  entry.state = static_cast<EntryState>(row.Int(7));
  entry.ended_at = row.OptionalInt(8);
  entry.forgotten = row.Int(9) != 0;
  if (!row.IsNull(10)) {
    if (auto result = ParseJson(row.Text(10)); result.ok()) entry.result = std::move(*result);
  }
  if (!row.IsNull(11)) {
    const std::string_view text = row.Text(11);
    const size_t tab = text.find('\t');
    entry.error = Error{CodeFromName(text.substr(0, tab)),
                        std::string(tab == std::string_view::npos ? "" : text.substr(tab + 1))};
  }
  return entry;
}

std::optional<Entry> First(std::vector<Entry> entries) {
  if (entries.empty()) return std::nullopt;
  return std::move(entries.front());
}

}  // namespace

Result<std::unique_ptr<Journal>> Journal::Open(const std::string& path, const Clock* clock) {
  auto db = TRY(storage::Sqlite::Open(path));
  TRY(db->Migrate({kSchema}));
  TRY(db->Execute("PRAGMA wal_autocheckpoint=16000"));
  auto background = TRY(storage::Sqlite::Open(path));
  return std::unique_ptr<Journal>(
      new Journal(std::move(db), std::move(background), clock != nullptr ? *clock : SystemClock()));
}

template <typename... Args>
Result<std::vector<Entry>> Journal::Select(Side& side, const std::string& where,
                                           const Args&... args) {
  const std::lock_guard lock(side.mutex);
  storage::Statement select = TRY(side.db->Prepare(
      "SELECT id, key, digest, kind, request, tasks, accepted_at, state, ended_at, forgotten,"
      " result, error FROM entry WHERE " +
      where));
  select.With(args...);
  std::vector<Entry> entries;
  while (TRY(select.Step())) entries.push_back(ReadEntry(select));
  return entries;
}

Result<> Journal::Add(const Entry& entry) {
  if (entry.tasks.empty()) return Error{Code::kInvalid, "journal: an entry without a task"};
  const std::lock_guard lock(main_.mutex);
  const std::optional<std::string> key =
      entry.key.empty() ? std::nullopt : std::optional(entry.key);
  TRY(main_.db->Run(
      "INSERT INTO entry(id, key, digest, kind, request, tasks, last_task, accepted_at)"
      " VALUES(?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
      entry.id, key, entry.digest, entry.kind, DumpJson(entry.request), Join(entry.tasks, " "),
      entry.tasks.back(), entry.accepted_at != 0 ? entry.accepted_at : clock_.NowMs()));
  if (main_.db->changes() == 0) {
    return Error{Code::kConflict, "journal: the key or task " + entry.id + " is known already"};
  }
  return Ok{};
}

Result<std::optional<Entry>> Journal::Find(const std::string& id) {
  return First(TRY(Select(main_, "id = ?", id)));
}

Result<std::optional<Entry>> Journal::FindByKey(const std::string& key) {
  return First(TRY(Select(main_, "key = ?", key)));
}

Result<std::optional<Entry>> Journal::FindByTask(const queue::TaskId& task) {
  return First(TRY(Select(main_, "last_task = ?", task)));
}

Result<> Journal::SetTasks(const std::string& id, const std::vector<queue::TaskId>& tasks) {
  const std::lock_guard lock(main_.mutex);
  return main_.db->Run("UPDATE entry SET tasks = ?2, last_task = ?3 WHERE id = ?1", id,
                       Join(tasks, " "), tasks.back());
}

Result<bool> Journal::End(const std::string& id, EntryState state, const Json& result,
                          const std::optional<Error>& error) {
  const std::lock_guard lock(main_.mutex);
  std::optional<std::string> result_text;
  std::optional<std::string> error_text;
  if (!result.is_null()) result_text = DumpJson(result);
  if (error) {
    error_text = std::string(CodeName(error->code)) + '\t' + SanitizeUtf8(error->message);
  }
  TRY(
      main_.db->Run("UPDATE entry SET state = ?2, ended_at = ?3, result = ?4, error = ?5"
                    " WHERE id = ?1 AND (state = 0 OR (state = 2 AND ?2 = 1))",
                    id, static_cast<int>(state), clock_.NowMs(), result_text, error_text));
  return main_.db->changes() > 0;
}

Result<std::vector<Entry>> Journal::OpenEntries(const std::string& after, size_t limit) {
  return Select(background_, "state = 0 AND id > ? ORDER BY id LIMIT ?", after,
                static_cast<int64_t>(limit));
}

Result<int64_t> Journal::CountOpen() {
  const std::lock_guard lock(main_.mutex);
  return TRY(main_.db->QueryInt("SELECT count(*) FROM entry WHERE state = 0")).value_or(0);
}

Result<> Journal::Settle() {
  const std::lock_guard lock(background_.mutex);
  // Passive: it waits for no reader and no writer waits for it.
  TRY(background_.db->QueryInt("PRAGMA wal_checkpoint(PASSIVE)"));
  return Ok{};
}

Result<> Journal::Forget(Milliseconds result_age, Milliseconds entry_age) {
  const std::lock_guard lock(main_.mutex);
  const UnixMs now = clock_.NowMs();
  TRY(
      main_.db->Run("UPDATE entry SET forgotten = 1, result = NULL, request = '{}'"
                    " WHERE ended_at IS NOT NULL AND ended_at <= ? AND forgotten = 0",
                    now - result_age.count()));
  return main_.db->Run("DELETE FROM entry WHERE ended_at IS NOT NULL AND ended_at <= ?",
                       now - entry_age.count());
}

}  // namespace msearch::answer
