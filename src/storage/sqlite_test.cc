#include "storage/sqlite.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <thread>

#include "base/file.h"

namespace msearch::storage {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class SqliteTest : public testing::Test {
 protected:
  std::unique_ptr<Sqlite> Open(const SqliteOptions& options = {}) {
    auto opened = Sqlite::Open(path_, options);
    EXPECT_TRUE(opened.ok()) << opened.message();
    return std::move(opened).value();
  }
  static int64_t Count(Sqlite& db, const std::string& sql) {
    const auto count = db.QueryInt(sql);
    EXPECT_TRUE(count.ok());
    return count.ok() ? (*count).value_or(-1) : -1;
  }
  static void Ok(const Result<>& result) { EXPECT_TRUE(result.ok()) << result.message(); }

  TemporaryDirectory directory_;
  const std::string path_ = directory_.path() + "/test.db";
};

TEST_F(SqliteTest, ValuesOfEveryKindComeBackAsTheyWere) {
  const auto db = Open();
  Ok(db->Execute("CREATE TABLE t(a,b,c,d,e)"));
  const std::string blob("\0\xFF\0", 3);
  {
    Statement row = db->Prepare("INSERT INTO t VALUES(?,?,?,?,?)").value();
    row.With(INT64_MIN, 0.1, std::string_view("a\0b", 3), std::optional<int64_t>())
        .BindBlob(5, blob);
    Ok(row.Run());
  }
  Statement row = db->Prepare("SELECT * FROM t").value();
  ASSERT_TRUE(row.Step().value());
  EXPECT_EQ(row.Int(0), INT64_MIN);
  EXPECT_EQ(row.Double(1), 0.1);
  EXPECT_EQ(row.Text(2), std::string_view("a\0b", 3));
  EXPECT_TRUE(row.IsNull(3));
  EXPECT_EQ(row.OptionalInt(3), std::nullopt);
  EXPECT_EQ(row.Blob(4), blob);
  EXPECT_FALSE(row.Step().value());
}

TEST_F(SqliteTest, EmptyTextAndBlobAreNotNull) {
  const auto db = Open();
  Statement row = db->Prepare("SELECT ?1 IS NULL, ?2 IS NULL").value();
  row.Bind(1, std::string_view()).BindBlob(2, {});
  ASSERT_TRUE(row.Step().value());
  EXPECT_EQ(row.Int(0), 0);
  EXPECT_EQ(row.Int(1), 0);
}

TEST_F(SqliteTest, FailedTransactionLeavesNothing) {
  const auto db = Open();
  Ok(db->Execute("CREATE TABLE t(a UNIQUE)"));
  const Result<> refused = db->Transact([&]() -> Result<> {
    TRY(db->Run("INSERT INTO t VALUES(1)"));
    return Error{Code::kStale, "it: too late"};
  });
  EXPECT_EQ(refused.code(), Code::kStale);
  EXPECT_EQ(refused.message(), "it: too late");
  EXPECT_FALSE(db->in_transaction());
  const Result<> twice = db->Transact([&]() -> Result<> {
    TRY(db->Run("INSERT INTO t VALUES(1)"));
    return db->Run("INSERT INTO t VALUES(1)");
  });
  EXPECT_EQ(twice.code(), Code::kConflict);
  EXPECT_EQ(Count(*db, "SELECT count(*) FROM t"), 0);
  Ok(db->Transact([&] { return db->Run("INSERT INTO t VALUES(1)"); }));
  EXPECT_EQ(Count(*db, "SELECT count(*) FROM t"), 1);
}

TEST_F(SqliteTest, ConstraintThatOnlyTheCommitChecksIsRolledBackToo) {
  const auto db = Open();
  Ok(
      db->Execute("CREATE TABLE a(id INTEGER PRIMARY KEY);"
                  "CREATE TABLE b(a REFERENCES a(id) DEFERRABLE INITIALLY DEFERRED)"));
  EXPECT_EQ(db->Transact([&] { return db->Run("INSERT INTO b VALUES(7)"); }).code(),
            Code::kConflict);
  EXPECT_FALSE(db->in_transaction());
  EXPECT_EQ(Count(*db, "SELECT count(*) FROM b"), 0);
}

TEST_F(SqliteTest, SnapshotSeesOneStateWhileAnotherConnectionWrites) {
  const auto writer = Open();
  Ok(writer->Execute("CREATE TABLE t(a)"));
  SqliteOptions options;
  options.read_only = true;
  const auto reader = Open(options);
  Ok(reader->Snapshot([&]() -> Result<> {
    EXPECT_EQ(Count(*reader, "SELECT count(*) FROM t"), 0);
    TRY(writer->Run("INSERT INTO t VALUES(1)"));
    EXPECT_EQ(Count(*reader, "SELECT count(*) FROM t"), 0);
    return msearch::Ok{};
  }));
  EXPECT_EQ(Count(*reader, "SELECT count(*) FROM t"), 1);
  EXPECT_EQ(reader->Run("INSERT INTO t VALUES(2)").code(), Code::kPermission);
}

TEST_F(SqliteTest, SecondWriterGivesUpWhenTheFirstKeepsTheLock) {
  const auto first = Open();
  SqliteOptions impatient;
  impatient.busy_timeout_ms = 1;
  const auto second = Open(impatient);
  Ok(first->Transact([&]() -> Result<> {
    EXPECT_EQ(second->Transact([] { return Result<>(msearch::Ok{}); }).code(), Code::kUnavailable);
    return msearch::Ok{};
  }));
  Ok(second->Transact([] { return Result<>(msearch::Ok{}); }));
}

TEST_F(SqliteTest, ManyThreadsMayOpenAndMigrateANewFileAtOnce) {
  constexpr int kThreads = 8;
  const std::vector<std::string_view> migrations = {"CREATE TABLE t(a)", "INSERT INTO t VALUES(1)"};
  std::vector<Result<>> results(kThreads, Result<>(msearch::Ok{}));
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < kThreads; ++i) {
      threads.emplace_back([&, i] {
        results[static_cast<size_t>(i)] = [&]() -> Result<> {
          const auto db = TRY(Sqlite::Open(path_));
          TRY(db->Migrate(migrations));
          return db->Transact([&] { return db->Run("INSERT INTO t VALUES(2)"); });
        }();
      });
    }
  }
  for (const Result<>& result : results) Ok(result);
  EXPECT_EQ(Count(*Open(), "SELECT count(*) FROM t"), 1 + kThreads);
}

TEST_F(SqliteTest, MigrationsRunOnceAndInOrder) {
  Ok(Open()->Migrate({"CREATE TABLE t(a)"}));
  const auto db = Open();
  Ok(db->Migrate({"CREATE TABLE t(a)", "INSERT INTO t VALUES(1)"}));
  Ok(db->Migrate({"CREATE TABLE t(a)", "INSERT INTO t VALUES(1)"}));
  EXPECT_EQ(Count(*db, "SELECT count(*) FROM t"), 1);
}

TEST_F(SqliteTest, FailedMigrationChangesNothingAndCanBeRepeated) {
  const auto db = Open();
  EXPECT_FALSE(db->Migrate({"CREATE TABLE t(a)", "INSERT INTO t VALUES(1); broken"}).ok());
  EXPECT_EQ(Count(*db, "SELECT count(*) FROM t"), 0);
  Ok(db->Migrate({"CREATE TABLE t(a)", "INSERT INTO t VALUES(1)"}));
  EXPECT_EQ(Count(*db, "SELECT count(*) FROM t"), 1);
}

TEST_F(SqliteTest, FileOfANewerProgramIsUnsupported) {
  const auto db = Open();
  Ok(db->Migrate({"CREATE TABLE t(a)", "CREATE TABLE u(a)"}));
  EXPECT_EQ(db->Migrate({"CREATE TABLE t(a)"}).code(), Code::kUnsupported);
}

TEST_F(SqliteTest, FileThatIsNoDatabaseIsCorrupt) {
  EXPECT_TRUE(WriteFileAtomically(path_, std::string(4096, 'x')).ok());
  for (const bool read_only : {false, true}) {
    SqliteOptions options;
    options.read_only = read_only;
    const auto opened = Sqlite::Open(path_, options);
    ASSERT_FALSE(opened.ok());
    EXPECT_EQ(opened.code(), Code::kCorrupt);
    EXPECT_THAT(opened.message(), HasSubstr(path_));
  }
}

TEST_F(SqliteTest, MissingFileIsNotMadeByReading) {
  SqliteOptions options;
  options.read_only = true;
  EXPECT_FALSE(Sqlite::Open(path_, options).ok());
  EXPECT_FALSE(std::filesystem::exists(path_));
}

TEST_F(SqliteTest, StatementInUseMayBePreparedAgain) {
  const auto db = Open();
  Ok(db->Execute("CREATE TABLE t(a); INSERT INTO t VALUES(1),(2),(3)"));
  std::vector<int64_t> pairs;
  Statement outer = db->Prepare("SELECT a FROM t ORDER BY a").value();
  while (outer.Step().value()) {
    Statement inner = db->Prepare("SELECT a FROM t ORDER BY a").value();
    while (inner.Step().value()) pairs.push_back(outer.Int(0) * 10 + inner.Int(0));
  }
  EXPECT_THAT(pairs, ElementsAre(11, 12, 13, 21, 22, 23, 31, 32, 33));
}

TEST_F(SqliteTest, StatementComesBackFromTheCacheWithoutItsBindings) {
  const auto db = Open();
  db->Prepare("SELECT ?").value().Bind(1, 5);
  Statement again = db->Prepare("SELECT ?").value();
  ASSERT_TRUE(again.Step().value());
  EXPECT_TRUE(again.IsNull(0));
}

TEST_F(SqliteTest, WrongStatementsAreErrors) {
  const auto db = Open();
  EXPECT_FALSE(db->Prepare("SELECT FROM").ok());
  EXPECT_FALSE(db->Run("INSERT INTO none VALUES(1)").ok());
  EXPECT_FALSE(db->Run("SELECT ?1", 1, 2).ok());  // more values than parameters
}

TEST_F(SqliteTest, PredicateDecidesWhichRowsCome) {
  const auto db = Open();
  Ok(db->Execute("CREATE TABLE t(a); INSERT INTO t VALUES(1),(2),(3),(4)"));
  const std::function<bool(int64_t)> even = [](int64_t value) { return value % 2 == 0; };
  Statement rows = db->Prepare("SELECT a FROM t WHERE passes(a,?) ORDER BY a").value();
  rows.BindPredicate(1, &even);
  std::vector<int64_t> found;
  while (rows.Step().value()) found.push_back(rows.Int(0));
  EXPECT_THAT(found, ElementsAre(2, 4));
  EXPECT_FALSE(db->Run("SELECT passes(1, 2)").ok());
}

TEST_F(SqliteTest, MatchCountsAreByPhraseAndColumnAndThenSizes) {
  const auto db = Open();
  Ok(db->Execute("CREATE VIRTUAL TABLE t USING fts5(a,b); INSERT INTO t VALUES('x y x','z x z')"));
  Statement row =
      db->Prepare("SELECT match_counts(t) FROM t WHERE t MATCH 'x AND \"y x\"'").value();
  ASSERT_TRUE(row.Step().value());
  std::vector<uint32_t> counts(row.Blob(0).size() / sizeof(uint32_t));
  std::memcpy(counts.data(), row.Blob(0).data(), row.Blob(0).size());
  EXPECT_THAT(counts, ElementsAre(2, 1, 1, 0, 3, 3));
}

TEST_F(SqliteTest, BackupIsWholeAndDoesNotOverwrite) {
  const auto db = Open();
  Ok(db->Execute("CREATE TABLE t(a); INSERT INTO t VALUES(1)"));
  const std::string copy = directory_.path() + "/copy.db";
  Ok(db->BackupTo(copy));
  EXPECT_FALSE(db->BackupTo(copy).ok());
  const auto restored = Sqlite::Open(copy);
  ASSERT_TRUE(restored.ok());
  EXPECT_EQ(Count(**restored, "SELECT count(*) FROM t"), 1);
}

}  // namespace
}  // namespace msearch::storage
