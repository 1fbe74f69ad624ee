// SQLite as the project uses it: types, transactions, migrations, other versions.
#include "core/base/error.hpp"
#include "core/base/fs.hpp"
#include "core/db/database.hpp"

#include <catch2/catch.hpp>

#include <atomic>
#include <thread>

using namespace mlp;
using namespace mlp::db;

namespace {
constexpr Migration first[] = {{1, "CREATE TABLE t(id INTEGER PRIMARY KEY, name TEXT)"}};
constexpr Migration both[] = {
    {1, "CREATE TABLE t(id INTEGER PRIMARY KEY, name TEXT)"},
    {2, "ALTER TABLE t ADD COLUMN size INTEGER; UPDATE t SET size = length(name);"},
};
constexpr Migration broken[] = {
    {1, "CREATE TABLE t(id INTEGER PRIMARY KEY, name TEXT)"},
    {2, "ALTER TABLE t ADD COLUMN size INTEGER; INSERT INTO absent VALUES (1);"},
};

ErrorKind kind_thrown(const auto& body) {
  try {
    body();
  } catch (const Error& error) {
    return error.kind();
  }
  FAIL("nothing was thrown");
  return ErrorKind::failed;
}
} // namespace

TEST_CASE("values of every type come back as they were bound", "[db]") {
  Database database(":memory:");
  database.execute("CREATE TABLE v(a, b, c, d, e)");
  const std::string text("with\0 NUL and 'quotes'", 22);
  database.prepare("INSERT INTO v VALUES (?,?,?,?,?)")
      .bind(1, text)
      .bind(2, std::int64_t{-9'000'000'000})
      .bind(3, 0.1)
      .bind_null(4)
      .bind(5, std::string_view())
      .run();
  Statement row = database.prepare("SELECT a, b, c, d, e FROM v");
  REQUIRE(row.step());
  CHECK(row.text(0) == text);
  CHECK(row.integer(1) == -9'000'000'000);
  CHECK(row.real(2) == 0.1);
  CHECK(row.is_null(3));
  CHECK_FALSE(row.optional_integer(3));
  CHECK_FALSE(row.is_null(4));
  CHECK(row.text(4).empty());
  CHECK_FALSE(row.step());
}

TEST_CASE("a transaction that is not committed leaves nothing", "[db]") {
  Database database(":memory:");
  database.migrate(first);
  {
    Transaction transaction(database);
    database.execute("INSERT INTO t(name) VALUES ('a')");
  }
  {
    Transaction transaction(database);
    database.execute("INSERT INTO t(name) VALUES ('b')");
    transaction.commit();
  }
  Statement rows = database.prepare("SELECT group_concat(name) FROM t");
  REQUIRE(rows.step());
  CHECK(rows.text(0) == "b");
}

TEST_CASE("a migration runs once and keeps the rows", "[db]") {
  TemporaryDirectory folder;
  {
    Database database(folder.path() / "x.db");
    database.migrate(first);
    database.execute("INSERT INTO t(name) VALUES ('four')");
  }
  for (int i = 0; i < 2; ++i) {
    Database database(folder.path() / "x.db");
    database.migrate(both);
    CHECK(database.schema_version() == 2);
    Statement row = database.prepare("SELECT size FROM t");
    REQUIRE(row.step());
    CHECK(row.integer(0) == 4);
  }
}

TEST_CASE("a migration that fails leaves the store at the version before it", "[db]") {
  TemporaryDirectory folder;
  Database database(folder.path() / "x.db");
  CHECK_THROWS_AS(database.migrate(broken), Error);
  CHECK(database.schema_version() == 1);
  CHECK_THROWS_AS(database.prepare("SELECT size FROM t"), Error);
  database.migrate(both);
  CHECK(database.schema_version() == 2);
}

TEST_CASE("a store of a newer program is read, never written", "[db]") {
  TemporaryDirectory folder;
  {
    Database database(folder.path() / "x.db");
    database.migrate(both);
    database.execute("INSERT INTO t(name) VALUES ('kept')");
  }
  Database database(folder.path() / "x.db");
  database.migrate(first);
  CHECK(database.newer());
  CHECK(database.read_only());
  Statement row = database.prepare("SELECT name FROM t");
  REQUIRE(row.step());
  CHECK(row.text(0) == "kept");
  try {
    database.execute("INSERT INTO t(name) VALUES ('no')");
    FAIL("the write went through");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::denied);
    CHECK(error.message().find("a newer mlp made it") != std::string::npos);
  }
}

TEST_CASE("a file that is no database is an integrity error that names it", "[db]") {
  TemporaryDirectory folder;
  write_file_atomic(folder.path() / "x.db", std::string(8192, 'x'));
  CHECK(kind_thrown([&] { Database database(folder.path() / "x.db"); }) == ErrorKind::integrity);
  CHECK(kind_thrown([&] { Database database(folder.path() / "absent" / "x.db"); }) ==
        ErrorKind::denied);
}

TEST_CASE("several that make a database at once wait for each other", "[db]") {
  for (int round = 0; round < 20; ++round) {
    TemporaryDirectory folder;
    std::atomic<int> failures{0};
    {
      std::vector<std::jthread> threads;
      for (int w = 0; w < 8; ++w)
        threads.emplace_back([&] {
          try {
            Database database(folder.path() / "x.db");
            database.migrate(both);
          } catch (const Error&) {
            ++failures;
          }
        });
    }
    CHECK(failures == 0);
  }
}

TEST_CASE("writers on several threads wait for each other", "[db]") {
  TemporaryDirectory folder;
  constexpr int writers = 4;
  constexpr int rows = 50;
  std::atomic<int> failures{0};
  {
    std::vector<std::jthread> threads;
    for (int w = 0; w < writers; ++w)
      threads.emplace_back([&] {
        try {
          Database database(folder.path() / "x.db");
          database.migrate(both);
          for (int i = 0; i < rows; ++i) {
            Transaction transaction(database);
            database.execute("INSERT INTO t(name) VALUES ('r')");
            transaction.commit();
          }
        } catch (const Error&) {
          ++failures;
        }
      });
  }
  CHECK(failures == 0);
  Database database(folder.path() / "x.db", OpenMode::read_only);
  Statement count = database.prepare("SELECT count(*) FROM t");
  REQUIRE(count.step());
  CHECK(count.integer(0) == writers * rows);
}
