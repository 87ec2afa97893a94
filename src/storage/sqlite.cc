#include "storage/sqlite.h"

#include <sqlite3.h>

#include <utility>

#include "storage/sqlite_functions.h"

namespace msearch::storage {
namespace {

Error MakeError(sqlite3* db, int status, std::string_view object) {
  Code code = Code::kInternal;
  switch (status & 0xFF) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
    case SQLITE_PROTOCOL:
      code = Code::kUnavailable;
      break;
    case SQLITE_FULL:
    case SQLITE_NOMEM:
      code = Code::kExhausted;
      break;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      code = Code::kCorrupt;
      break;
    case SQLITE_CONSTRAINT:
      code = Code::kConflict;
      break;
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH:
      code = Code::kPermission;
      break;
    case SQLITE_TOOBIG:
      code = Code::kTooLarge;
      break;
    case SQLITE_INTERRUPT:
      code = Code::kCancelled;
      break;
    case SQLITE_ERROR:
      code = Code::kInvalid;
      break;
    default:
      break;
  }
  const char* message = db != nullptr ? sqlite3_errmsg(db) : sqlite3_errstr(status);
  return Error{code, std::string(object) + ": " + message};
}

}  // namespace

Statement::Statement(Statement&& other) noexcept
    : db_(other.db_),
      statement_(std::exchange(other.statement_, nullptr)),
      in_use_(std::exchange(other.in_use_, nullptr)),
      owned_(other.owned_),
      bind_error_(other.bind_error_) {}

Statement::~Statement() {
  if (statement_ == nullptr) return;
  if (owned_) {
    sqlite3_finalize(statement_);
    return;
  }
  sqlite3_reset(statement_);
  sqlite3_clear_bindings(statement_);
  *in_use_ = false;
}

Statement& Statement::Bind(int index, int64_t value) {
  if (int status = sqlite3_bind_int64(statement_, index, value)) bind_error_ = status;
  return *this;
}
Statement& Statement::Bind(int index, double value) {
  if (int status = sqlite3_bind_double(statement_, index, value)) bind_error_ = status;
  return *this;
}
Statement& Statement::Bind(int index, std::string_view text) {
  // A null pointer would bind NULL.
  const char* data = text.data() != nullptr ? text.data() : "";
  if (int status = sqlite3_bind_text64(statement_, index, data, text.size(), SQLITE_TRANSIENT,
                                       SQLITE_UTF8)) {
    bind_error_ = status;
  }
  return *this;
}
Statement& Statement::BindBlob(int index, std::string_view bytes) {
  const char* data = bytes.data() != nullptr ? bytes.data() : "";
  if (int status = sqlite3_bind_blob64(statement_, index, data, bytes.size(), SQLITE_TRANSIENT)) {
    bind_error_ = status;
  }
  return *this;
}
Statement& Statement::BindNull(int index) {
  if (int status = sqlite3_bind_null(statement_, index)) bind_error_ = status;
  return *this;
}

Statement& Statement::BindPredicate(int index, const std::function<bool(int64_t)>* predicate) {
  // SQLite hands the pointer back to the function as it is; nothing writes through it.
  void* pointer = const_cast<std::function<bool(int64_t)>*>(predicate);
  if (int status = sqlite3_bind_pointer(statement_, index, pointer, kPredicateType, nullptr)) {
    bind_error_ = status;
  }
  return *this;
}

Result<bool> Statement::Step() {
  if (bind_error_ != 0) return MakeError(db_, bind_error_, "database: bind");
  const int status = sqlite3_step(statement_);
  if (status == SQLITE_ROW) return true;
  if (status == SQLITE_DONE) return false;
  return MakeError(db_, status, "database");
}

Result<> Statement::Run() {
  while (TRY(Step())) {
  }
  Reset();
  return Ok{};
}

void Statement::Reset() {
  sqlite3_reset(statement_);
  bind_error_ = 0;
}

bool Statement::IsNull(int column) const {
  return sqlite3_column_type(statement_, column) == SQLITE_NULL;
}
int64_t Statement::Int(int column) const { return sqlite3_column_int64(statement_, column); }
double Statement::Double(int column) const { return sqlite3_column_double(statement_, column); }
std::string_view Statement::Text(int column) const {
  const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(statement_, column));
  if (text == nullptr) return {};
  return {text, static_cast<size_t>(sqlite3_column_bytes(statement_, column))};
}
std::string_view Statement::Blob(int column) const {
  const auto* bytes = static_cast<const char*>(sqlite3_column_blob(statement_, column));
  if (bytes == nullptr) return {};
  return {bytes, static_cast<size_t>(sqlite3_column_bytes(statement_, column))};
}
std::optional<int64_t> Statement::OptionalInt(int column) const {
  return IsNull(column) ? std::nullopt : std::optional(Int(column));
}
std::optional<double> Statement::OptionalDouble(int column) const {
  return IsNull(column) ? std::nullopt : std::optional(Double(column));
}
std::optional<std::string> Statement::OptionalString(int column) const {
  return IsNull(column) ? std::nullopt : std::optional(String(column));
}

Result<std::unique_ptr<Sqlite>> Sqlite::Open(const std::string& path,
                                             const SqliteOptions& options) {
  sqlite3* db = nullptr;
  const int flags =
      options.read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE;
  const int status = sqlite3_open_v2(path.c_str(), &db,
                                     flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, nullptr);
  if (status != SQLITE_OK) {
    Error error = MakeError(db, status, path);
    sqlite3_close(db);
    return error;
  }
  sqlite3_busy_timeout(db, options.busy_timeout_ms);
  std::unique_ptr<Sqlite> connection(new Sqlite(db));
  if (const int registered = RegisterFunctions(db); registered != SQLITE_OK) {
    return MakeError(db, registered, path);
  }
  std::string pragmas =
      options.synchronous_full ? "PRAGMA synchronous=FULL;" : "PRAGMA synchronous=NORMAL;";
  pragmas +=
      "PRAGMA foreign_keys=ON; PRAGMA temp_store=MEMORY; PRAGMA journal_size_limit=67108864;";
  pragmas += "PRAGMA cache_size=-" + std::to_string(options.cache_kib) + ";";
  if (!options.read_only) pragmas = "PRAGMA journal_mode=WAL;" + pragmas;
  Result<> configured = connection->Execute(pragmas);
  if (!configured.ok()) return Error{configured.code(), path + ": " + configured.message()};
  return connection;
}

Sqlite::~Sqlite() {
  for (auto& [sql, cached] : cache_) sqlite3_finalize(cached->statement);
  sqlite3_close(db_);
}

Result<Statement> Sqlite::Prepare(std::string_view sql) {
  auto found = cache_.find(sql);
  if (found == cache_.end()) found = cache_.emplace(sql, std::make_unique<Cached>()).first;
  const auto& cached = found->second;
  const bool nested = cached->in_use;
  sqlite3_stmt* statement = nested ? nullptr : cached->statement;
  if (statement == nullptr) {
    const int status =
        sqlite3_prepare_v3(db_, sql.data(), static_cast<int>(sql.size()),
                           nested ? 0 : SQLITE_PREPARE_PERSISTENT, &statement, nullptr);
    if (status != SQLITE_OK) return MakeError(db_, status, "database");
    if (!nested) cached->statement = statement;
  }
  if (!nested) cached->in_use = true;
  return Statement(db_, statement, &cached->in_use, nested);
}

Result<> Sqlite::Execute(std::string_view sql) {
  const int status = sqlite3_exec(db_, std::string(sql).c_str(), nullptr, nullptr, nullptr);
  if (status != SQLITE_OK) return MakeError(db_, status, "database");
  return Ok{};
}

Result<> Sqlite::Transact(const std::function<Result<>()>& body) {
  TRY(Run("BEGIN IMMEDIATE"));
  Result<> done = body();
  if (done.ok()) done = Run("COMMIT");
  if (!done.ok() && in_transaction()) (void)Execute("ROLLBACK");
  return done;
}

Result<> Sqlite::Snapshot(const std::function<Result<>()>& body) {
  TRY(Run("BEGIN"));
  Result<> done = body();
  if (in_transaction()) (void)Execute("ROLLBACK");
  return done;
}

int64_t Sqlite::last_insert_id() const { return sqlite3_last_insert_rowid(db_); }
int64_t Sqlite::changes() const { return sqlite3_changes64(db_); }
bool Sqlite::in_transaction() const { return sqlite3_get_autocommit(db_) == 0; }

namespace {

using TextFunction = std::function<std::string(const std::vector<std::string_view>&)>;

void CallTextFunction(sqlite3_context* context, int count, sqlite3_value** values) {
  std::vector<std::string_view> arguments;
  for (int i = 0; i < count; ++i) {
    const auto* text = reinterpret_cast<const char*>(sqlite3_value_text(values[i]));
    arguments.emplace_back(
        text != nullptr ? text : "",
        text != nullptr ? static_cast<size_t>(sqlite3_value_bytes(values[i])) : 0);
  }
  const std::string value = (*static_cast<TextFunction*>(sqlite3_user_data(context)))(arguments);
  sqlite3_result_text64(context, value.data(), value.size(), SQLITE_TRANSIENT, SQLITE_UTF8);
}

}  // namespace

Result<> Sqlite::AddFunction(const std::string& name, int arguments, TextFunction function) {
  auto* owned = new TextFunction(std::move(function));
  const int status = sqlite3_create_function_v2(
      db_, name.c_str(), arguments, SQLITE_UTF8 | SQLITE_DETERMINISTIC, owned, CallTextFunction,
      nullptr, nullptr, [](void* data) { delete static_cast<TextFunction*>(data); });
  if (status != SQLITE_OK) return MakeError(db_, status, name);
  return Ok{};
}

Result<> Sqlite::Migrate(const std::vector<std::string_view>& migrations) {
  const int64_t target = static_cast<int64_t>(migrations.size());
  auto current = [&]() -> Result<int64_t> {
    return TRY(QueryInt("SELECT user_version FROM pragma_user_version")).value_or(0);
  };
  if (TRY(current()) > target) {
    return Error{Code::kUnsupported, "database: written by a newer version of msearch"};
  }
  while (TRY(current()) < target) {
    // Read again inside the transaction: several processes may start at once.
    TRY(Transact([&]() -> Result<> {
      const int64_t version = TRY(current());
      if (version >= target) return Ok{};
      TRY(Execute(migrations[static_cast<size_t>(version)]));
      return Execute("PRAGMA user_version=" + std::to_string(version + 1));
    }));
  }
  return Ok{};
}

Result<> Sqlite::BackupTo(const std::string& path) { return Run("VACUUM INTO ?", path); }

}  // namespace msearch::storage
