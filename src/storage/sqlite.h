// SQLite connections and statements: no table, no domain. The one include of SQLite.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/result.h"

struct sqlite3;
struct sqlite3_stmt;

namespace msearch::storage {

struct SqliteOptions {
  bool read_only = false;
  // NORMAL: a committed transaction survives the death of any process; the last ones may be lost
  // (never torn) when the machine loses power. FULL: not even that.
  bool synchronous_full = false;
  int busy_timeout_ms = 10000;
  int cache_kib = 8192;
};

// A prepared statement, borrowed from its connection's cache: reset and its bindings cleared when
// it goes out of scope. Parameters are numbered from 1, columns from 0.
class Statement {
 public:
  Statement(sqlite3* db, sqlite3_stmt* statement, bool* in_use, bool owned)
      : db_(db), statement_(statement), in_use_(in_use), owned_(owned) {}
  Statement(Statement&& other) noexcept;
  Statement& operator=(Statement&&) = delete;
  ~Statement();

  Statement& Bind(int index, int64_t value);
  Statement& Bind(int index, int value) { return Bind(index, static_cast<int64_t>(value)); }
  Statement& Bind(int index, uint32_t value) { return Bind(index, static_cast<int64_t>(value)); }
  Statement& Bind(int index, bool value) { return Bind(index, static_cast<int64_t>(value)); }
  Statement& Bind(int index, double value);
  Statement& Bind(int index, std::string_view text);
  Statement& Bind(int index, const char* text) { return Bind(index, std::string_view(text)); }
  Statement& BindBlob(int index, std::string_view bytes);
  Statement& BindNull(int index);
  // For passes(x, ?) in the SQL (sqlite_functions.h). The predicate must outlive the statement.
  Statement& BindPredicate(int index, const std::function<bool(int64_t)>* predicate);
  template <typename T>
  Statement& Bind(int index, const std::optional<T>& value) {
    return value ? Bind(index, *value) : BindNull(index);
  }
  // Binds all arguments from 1 on.
  template <typename... Args>
  Statement& With(const Args&... args) {
    int index = 0;
    (Bind(++index, args), ...);
    return *this;
  }

  // True while there is a row.
  Result<bool> Step();
  // Steps to the end, and makes the statement ready to be bound and run again.
  Result<> Run();
  void Reset();

  bool IsNull(int column) const;
  int64_t Int(int column) const;
  double Double(int column) const;
  // Valid until the next Step or Reset.
  std::string_view Text(int column) const;
  std::string_view Blob(int column) const;
  std::string String(int column) const { return std::string(Text(column)); }
  std::optional<int64_t> OptionalInt(int column) const;
  std::optional<double> OptionalDouble(int column) const;
  std::optional<std::string> OptionalString(int column) const;

 private:
  sqlite3* db_;
  sqlite3_stmt* statement_;
  bool* in_use_;
  bool owned_;
  int bind_error_ = 0;
};

// One connection. Not thread-safe: one thread at a time.
class Sqlite {
 public:
  // WAL mode, foreign keys on. kCorrupt for a file that is no database, kUnavailable or
  // kExhausted for the operating system's reasons.
  static Result<std::unique_ptr<Sqlite>> Open(const std::string& path,
                                              const SqliteOptions& options = {});
  ~Sqlite();
  Sqlite(const Sqlite&) = delete;
  Sqlite& operator=(const Sqlite&) = delete;

  // For statements that run often: compiled once per connection.
  Result<Statement> Prepare(std::string_view sql);
  // One or several statements without parameters or rows.
  Result<> Execute(std::string_view sql);
  template <typename... Args>
  Result<> Run(std::string_view sql, const Args&... args) {
    Statement statement = TRY(Prepare(sql));
    statement.With(args...);
    return statement.Run();
  }
  // First column of the first row; nothing without a row or for NULL.
  template <typename... Args>
  Result<std::optional<int64_t>> QueryInt(std::string_view sql, const Args&... args) {
    Statement statement = TRY(Prepare(sql));
    statement.With(args...);
    if (!TRY(statement.Step())) return std::optional<int64_t>();
    return statement.OptionalInt(0);
  }
  template <typename... Args>
  Result<std::optional<std::string>> QueryString(std::string_view sql, const Args&... args) {
    Statement statement = TRY(Prepare(sql));
    statement.With(args...);
    if (!TRY(statement.Step())) return std::optional<std::string>();
    return statement.OptionalString(0);
  }

  // Runs `body` in BEGIN IMMEDIATE ... COMMIT; rolled back when it returns an error. Not nested.
  Result<> Transact(const std::function<Result<>()>& body);
  // A read transaction: all reads in `body` see one state.
  Result<> Snapshot(const std::function<Result<>()>& body);

  int64_t last_insert_id() const;
  int64_t changes() const;
  bool in_transaction() const;

  // Registers a scalar function: arguments and value are text.
  Result<> AddFunction(const std::string& name, int arguments,
                       std::function<std::string(const std::vector<std::string_view>&)> function);

  // Applies migrations[user_version..] each in a transaction of its own. kUnsupported when the
  // file was written by a newer program.
  Result<> Migrate(const std::vector<std::string_view>& migrations);

  // A consistent copy while others write, into a new file.
  Result<> BackupTo(const std::string& path);

 private:
  explicit Sqlite(sqlite3* db) : db_(db) {}

  struct Cached {
    sqlite3_stmt* statement = nullptr;
    bool in_use = false;
  };
  // Finds a statement by its text without copying the text.
  struct Hash {
    using is_transparent = void;
    size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
  };
  sqlite3* db_;
  std::unordered_map<std::string, std::unique_ptr<Cached>, Hash, std::equal_to<>> cache_;
};

}  // namespace msearch::storage
