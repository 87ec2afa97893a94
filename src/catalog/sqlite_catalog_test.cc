#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/file.h"
#include "support/catalog_conformance.h"

namespace msearch::catalog {
namespace {

class SqliteUnderTest final : public CatalogUnderTest {
 public:
  std::unique_ptr<Catalog> Open() override {
    return Get(Catalog::OpenSqlite(directory_.path() + "/catalog.db", &clock_));
  }

 private:
  TemporaryDirectory directory_;
};

}  // namespace

INSTANTIATE_TEST_SUITE_P(Sqlite, CatalogConformance,
                         testing::Values(CatalogKind{
                             "Sqlite", [] { return std::make_unique<SqliteUnderTest>(); }}));

}  // namespace msearch::catalog
