// SQL functions that every connection has, besides SQLite's own:
//
// passes(x, ?)   whether the predicate bound there (Statement::BindPredicate) holds for the integer
// match_counts(t)  an auxiliary function of FTS5 tables: a blob of uint32 in native order; for each
//                phrase of the query and each column how often the phrase occurs there in this row,
//                then for each column its number of terms. The raw material of a ranking.
#pragma once

struct sqlite3;

namespace msearch::storage {

inline constexpr char kPredicateType[] = "msearch predicate";

// A status of SQLite.
int RegisterFunctions(sqlite3* db);

}  // namespace msearch::storage
