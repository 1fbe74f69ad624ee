// SQLite as RAII: Database, Statement, Transaction, and numbered migrations from an explicit table.
// A store that a newer program made is opened read-only, never changed.
// Source: https://www.sqlite.org/c3ref/intro.html, https://www.sqlite.org/wal.html
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace mlp::db {

// One step of a schema: what takes a store from version - 1 to `version`. Versions in a table are
// 1, 2, 3, ...; a step that has been released never changes.
struct Migration {
  int version;
  const char* sql;
};

enum class OpenMode {
  read_write, // creates the file
  read_only,
};

class Database;

// A prepared statement. Not thread-safe; must not outlive its Database. Parameters and columns
// count as SQLite does: parameters from 1, columns from 0. Every method throws Error (see
// Database).
class Statement {
 public:
  ~Statement();
  Statement(Statement&& other) noexcept;
  Statement& operator=(Statement&&) = delete;

  // Text is copied. Each returns *this, so that binds chain.
  Statement& bind(int parameter, std::string_view text);
  Statement& bind(int parameter, std::int64_t number);
  Statement& bind(int parameter, double number);
  Statement& bind_null(int parameter);
  Statement& bind(int parameter, const std::optional<std::int64_t>& number);

  // True if there is a row. After false the statement is ready to be bound and run again.
  bool step();
  // Runs a statement that gives no rows.
  void run();

  [[nodiscard]] bool is_null(int column) const;
  [[nodiscard]] std::int64_t integer(int column) const;
  [[nodiscard]] std::optional<std::int64_t> optional_integer(int column) const;
  [[nodiscard]] double real(int column) const;
  [[nodiscard]] std::string text(int column) const;

 private:
  friend class Database;
  Statement(Database& database, void* handle) noexcept : database_(&database), handle_(handle) {}
  Database* database_;
  void* handle_;
};

// One connection. Not thread-safe: one thread at a time. Errors: integrity for a file that is not a
// database or is damaged, conflict when another process held it longer than the busy timeout,
// denied, failed (with a hint for a full disk); each names the file.
class Database {
 public:
  // ":memory:" is a database that lives as long as this object. Journals in WAL, waits up to
  // `busy_milliseconds` for other processes. Blocks on the file system.
  explicit Database(const std::filesystem::path& path, OpenMode mode = OpenMode::read_write,
                    int busy_milliseconds = 5000);
  ~Database();
  Database(Database&&) = delete;

  // Brings the schema to the last version of `table`, each step in a transaction of its own with
  // its version number, so that a crash between steps or inside one loses nothing. Two processes
  // may do it at once. A file with a higher version becomes read_only() and keeps its content.
  void migrate(std::span<const Migration> table);

  // True if opened so, or made so by migrate(): writes then throw Error(denied) that says why.
  [[nodiscard]] bool read_only() const noexcept { return read_only_; }
  // True if migrate() met a version above its table's last.
  [[nodiscard]] bool newer() const noexcept { return newer_; }
  [[nodiscard]] int schema_version();

  // Any number of statements, without parameters or rows.
  void execute(const char* sql);
  [[nodiscard]] Statement prepare(std::string_view sql);
  [[nodiscard]] std::int64_t changes() const noexcept; // rows that the last statement changed

  [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }

 private:
  friend class Statement;
  friend class Transaction;
  [[noreturn]] void fail(int code, std::string_view action) const;

  std::filesystem::path path_;
  void* handle_ = nullptr;
  bool read_only_ = false;
  bool newer_ = false;
};

// BEGIN IMMEDIATE; rolled back by the destructor unless commit() was called.
class Transaction {
 public:
  explicit Transaction(Database& database);
  ~Transaction();
  Transaction(Transaction&&) = delete;
  void commit();

 private:
  Database& database_;
  bool open_ = true;
};

} // namespace mlp::db
