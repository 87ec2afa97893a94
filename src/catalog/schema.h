// The tables of the SQLite catalog, as migrations.
#pragma once

#include <string_view>
#include <vector>

namespace msearch::catalog {

// In order; the database's user_version counts those that were applied. A released one is never
// changed: what is to be different comes as a further one.
const std::vector<std::string_view>& Migrations();

}  // namespace msearch::catalog
