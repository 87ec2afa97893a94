#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>

#include "base/file.h"
#include "storage/sqlite.h"
#include "support/catalog_conformance.h"

namespace msearch::catalog {
namespace {

using storage::Sqlite;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;

std::unique_ptr<Sqlite> Connect(const std::string& path) { return Get(Sqlite::Open(path)); }

int64_t Count(Sqlite& db, const std::string& sql) { return Get(db.QueryInt(sql)).value_or(-1); }

// What must hold in the tables whenever no transaction is open (media_rows.h).
void CheckInvariants(const std::string& path) {
  const std::unique_ptr<Sqlite> db = Connect(path);
  EXPECT_EQ(Get(db->QueryString("PRAGMA integrity_check")), "ok");
  EXPECT_EQ(Count(*db, "SELECT count(*) FROM pragma_foreign_key_check"), 0);
  Expect(db->Execute("INSERT INTO words(words) VALUES('integrity-check')"));
  constexpr char kVisible[] =
      "(SELECT s.id FROM segments s JOIN media m ON m.id=s.media_id WHERE m.orphaned_at IS NULL)";
  for (const std::string& sql : {
           // Visible media are those that a file has.
           std::string("SELECT count(*) FROM media WHERE (orphaned_at IS NULL)<>"
                       "EXISTS(SELECT 1 FROM files WHERE media_id=media.id)"),
           // Every indexed file has one.
           std::string("SELECT count(*) FROM files WHERE state=1 AND media_id IS NULL"),
           // Exactly the visible segments have words,
           std::string("SELECT count(*) FROM words WHERE rowid NOT IN ") + kVisible,
           std::string("SELECT count(*) FROM ") + kVisible +
               " WHERE id NOT IN (SELECT rowid FROM words)",
           // and exactly their embeddings are in the log.
           std::string("SELECT count(*) FROM changes c WHERE removed=0 AND NOT EXISTS(SELECT 1 "
                       "FROM embeddings e WHERE e.segment_id=c.segment_id AND "
                       "e.model_id=c.model_id AND e.segment_id IN ") +
               kVisible + ")",
           std::string("SELECT count(*) FROM embeddings e WHERE segment_id IN ") + kVisible +
               " AND NOT EXISTS(SELECT 1 FROM changes c WHERE c.removed=0 AND "
               "c.segment_id=e.segment_id AND c.model_id=e.model_id)",
           std::string("SELECT count(*) FROM root_counts c WHERE (files,bytes)<>(SELECT count(*),"
                       "ifnull(sum(size),0) FROM files f WHERE f.root_id=c.root_id) OR "
                       "files<>indexed+pending+failed"),
       }) {
    EXPECT_EQ(Count(*db, sql), 0) << sql;
  }
}

class SqliteUnderTest final : public CatalogUnderTest {
 public:
  ~SqliteUnderTest() override { CheckInvariants(path()); }
  std::unique_ptr<Catalog> Open() override { return Get(Catalog::OpenSqlite(path(), &clock_)); }
  std::string path() const { return directory_.path() + "/catalog.db"; }

 private:
  TemporaryDirectory directory_;
};

INSTANTIATE_TEST_SUITE_P(Sqlite, CatalogConformance,
                         testing::Values(CatalogKind{
                             "Sqlite", [] { return std::make_unique<SqliteUnderTest>(); }}));

class SqliteCatalogTest : public testing::Test {
 protected:
  std::unique_ptr<Catalog> Open() { return Get(Catalog::OpenSqlite(path_)); }

  // Indexes one file with this text.
  static void Add(Catalog& catalog, const std::string& path) {
    if (Get(catalog.Roots()).empty()) {
      Root root;
      root.name = "notes";
      root.path = "/notes";
      Get(catalog.AddRoot(root));
    }
    Get(catalog.FilesPresent("notes", std::array{Fact(path)}));
    for (const File& file : Get(catalog.PendingFiles(0, 100))) {
      Commit commit;
      commit.file = file.id;
      commit.version = file.version;
      commit.token = {1, 1};
      commit.model_key = kModel;
      commit.content = Document(file.fact.path, {"word"});
      Expect(Get(catalog.Apply(std::span(&commit, 1))).at(0).status);
    }
  }

  TemporaryDirectory directory_;
  const std::string path_ = directory_.path() + "/catalog.db";
};

TEST_F(SqliteCatalogTest, FileThatIsNoDatabaseIsCorruptAndNamed) {
  Expect(WriteFileAtomically(path_, std::string(8192, 'x')));
  for (const auto& opened : {Catalog::OpenSqlite(path_), Catalog::OpenSqliteReadOnly(path_)}) {
    ASSERT_FALSE(opened.ok());
    EXPECT_EQ(opened.code(), Code::kCorrupt);
    EXPECT_THAT(opened.message(), HasSubstr(path_));
  }
}

TEST_F(SqliteCatalogTest, DamageInsideTheFileIsReportedNotReturned) {
  Add(*Open(), "a.txt");
  std::string bytes = Get(ReadFile(path_));
  // Everything but the header page, which opening reads.
  for (size_t i = 4096; i < bytes.size(); ++i) bytes[i] = '\xA5';
  Expect(WriteFileAtomically(path_, bytes));
  const auto opened = Catalog::OpenSqlite(path_);
  const Code code = opened.ok() ? (*opened)->GetMedia(1).code() : opened.code();
  EXPECT_EQ(code, Code::kCorrupt);
}

TEST_F(SqliteCatalogTest, NewerSchemaIsRefused) {
  Add(*Open(), "a.txt");
  Expect(Connect(path_)->Execute("PRAGMA user_version=1000"));
  for (const auto& opened : {Catalog::OpenSqlite(path_), Catalog::OpenSqliteReadOnly(path_)}) {
    ASSERT_FALSE(opened.ok());
    EXPECT_EQ(opened.code(), Code::kUnsupported);
    EXPECT_THAT(opened.message(), HasSubstr(path_));
  }
}

TEST_F(SqliteCatalogTest, MissingDirectoryIsAnError) {
  EXPECT_FALSE(Catalog::OpenSqlite(directory_.path() + "/none/catalog.db").ok());
  EXPECT_FALSE(Catalog::OpenSqliteReadOnly(path_).ok());
  EXPECT_NE(access(path_.c_str(), F_OK), 0);  // reading creates nothing
}

TEST_F(SqliteCatalogTest, ReadOnlyCatalogRefusesToWrite) {
  Add(*Open(), "a.txt");
  const std::unique_ptr<Catalog> reader = Get(Catalog::OpenSqliteReadOnly(path_));
  EXPECT_EQ(reader->SetSetting("a", "b").code(), Code::kPermission);
  EXPECT_EQ(reader->RaiseEpoch().code(), Code::kPermission);
  EXPECT_EQ(reader->FilesPresent("notes", std::array{Fact("b")}).code(), Code::kPermission);
  EXPECT_THAT(Get(reader->SearchText("word", {}, 10)), SizeIs(1));
}

// In the child: follows the change log until it has seen `count` additions.
int FollowInChild(const std::string& path, size_t count) {
  const auto catalog = Catalog::OpenSqliteReadOnly(path);
  if (!catalog.ok()) return 2;
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  uint64_t position = 0;
  size_t seen = 0;
  while (seen < count && std::chrono::steady_clock::now() < deadline) {
    bool restart = false;
    const auto changes = (*catalog)->ChangesFor(kModel, position, 7, &restart);
    if (!changes.ok() || restart) return 3;
    seen += changes->size();
    // Words are written in the same transaction as the log.
    const auto found = (*catalog)->SearchText("word", {}, count);
    if (!found.ok() || found->size() < seen) return 5;
    if (!changes->empty()) position = changes->back().position;
  }
  return seen == count ? 0 : 4;
}

TEST_F(SqliteCatalogTest, AnotherProcessReadsWhileThisOneWrites) {
  constexpr size_t kFiles = 60;
  Add(*Open(), "first.txt");  // closed again: a connection must not be carried through a fork
  const pid_t child = fork();
  if (child == 0) _exit(FollowInChild(path_, kFiles));
  const std::unique_ptr<Catalog> catalog = Open();
  for (size_t i = 1; i < kFiles; ++i) Add(*catalog, std::to_string(i) + ".txt");
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

TEST_F(SqliteCatalogTest, InterruptedRemovalOfARootIsFinishedAtTheNextOpening) {
  Add(*Open(), "a.txt");
  Expect(Connect(path_)->Execute("UPDATE roots SET removing=1, name='/removing/1'"));
  const std::unique_ptr<Catalog> catalog = Open();
  EXPECT_THAT(Get(catalog->Roots()), SizeIs(0));
  EXPECT_EQ(Count(*Connect(path_), "SELECT count(*) FROM files"), 0);
  EXPECT_EQ(Count(*Connect(path_), "SELECT count(*) FROM roots"), 0);
  EXPECT_EQ(Get(catalog->CountSegments(kModel)), 0);
}

TEST_F(SqliteCatalogTest, BackupIsAWholeCatalogAndOverwritesNothing) {
  const std::unique_ptr<Catalog> catalog = Open();
  Add(*catalog, "a.txt");
  const std::string copy = directory_.path() + "/copy.db";
  Expect(catalog->BackupTo(copy));
  Add(*catalog, "b.txt");
  EXPECT_EQ(catalog->BackupTo(copy).code(), Code::kConflict);
  const std::unique_ptr<Catalog> restored = Get(Catalog::OpenSqlite(copy));
  EXPECT_THAT(Get(restored->SearchText("word", {}, 10)), SizeIs(1));
  EXPECT_EQ(Get(restored->CountSegments(kModel)), 1);
  EXPECT_FALSE(catalog->BackupTo(directory_.path() + "/none/copy.db").ok());
}

}  // namespace
}  // namespace msearch::catalog
