#include "storage/sqlite_functions.h"

#include <sqlite3.h>

#include <cstdint>
#include <functional>
#include <vector>

namespace msearch::storage {
namespace {

using Predicate = std::function<bool(int64_t)>;

void Passes(sqlite3_context* context, int /*count*/, sqlite3_value** values) {
  const auto* predicate =
      static_cast<const Predicate*>(sqlite3_value_pointer(values[1], kPredicateType));
  if (predicate == nullptr) {
    sqlite3_result_error(context, "passes: no predicate is bound", -1);
    return;
  }
  sqlite3_result_int(context, (*predicate)(sqlite3_value_int64(values[0])) ? 1 : 0);
}

int CountMatches(const Fts5ExtensionApi* api, Fts5Context* fts, std::vector<uint32_t>& counts) {
  const int columns = api->xColumnCount(fts);
  const int phrases = api->xPhraseCount(fts);
  counts.assign(static_cast<size_t>((phrases + 1) * columns), 0);
  int hits = 0;
  if (const int status = api->xInstCount(fts, &hits); status != SQLITE_OK) return status;
  for (int i = 0; i < hits; ++i) {
    int phrase = 0;
    int column = 0;
    int offset = 0;
    if (const int status = api->xInst(fts, i, &phrase, &column, &offset); status != SQLITE_OK) {
      return status;
    }
    ++counts[static_cast<size_t>(phrase * columns + column)];
  }
  for (int column = 0; column < columns; ++column) {
    int size = 0;
    if (const int status = api->xColumnSize(fts, column, &size); status != SQLITE_OK) return status;
    counts[static_cast<size_t>(phrases * columns + column)] = static_cast<uint32_t>(size);
  }
  return SQLITE_OK;
}

void MatchCounts(const Fts5ExtensionApi* api, Fts5Context* fts, sqlite3_context* context,
                 int /*count*/, sqlite3_value** /*values*/) {
  std::vector<uint32_t> counts;
  if (const int status = CountMatches(api, fts, counts); status != SQLITE_OK) {
    sqlite3_result_error_code(context, status);
    return;
  }
  sqlite3_result_blob64(context, counts.data(), counts.size() * sizeof(uint32_t), SQLITE_TRANSIENT);
}

// Null when this SQLite was built without FTS5.
fts5_api* Fts5(sqlite3* db) {
  fts5_api* api = nullptr;
  sqlite3_stmt* statement = nullptr;
  if (sqlite3_prepare_v2(db, "SELECT fts5(?)", -1, &statement, nullptr) != SQLITE_OK)
    return nullptr;
  sqlite3_bind_pointer(statement, 1, static_cast<void*>(&api), "fts5_api_ptr", nullptr);
  sqlite3_step(statement);
  sqlite3_finalize(statement);
  return api;
}

}  // namespace

int RegisterFunctions(sqlite3* db) {
  const int status = sqlite3_create_function_v2(db, "passes", 2, SQLITE_UTF8, nullptr, Passes,
                                                nullptr, nullptr, nullptr);
  if (status != SQLITE_OK) return status;
  fts5_api* fts = Fts5(db);
  if (fts == nullptr) return SQLITE_OK;
  return fts->xCreateFunction(fts, "match_counts", nullptr, MatchCounts, nullptr);
}

}  // namespace msearch::storage
