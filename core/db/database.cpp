// Thin calls into SQLite; every result code becomes an Error in one place, fail().
#include "core/db/database.hpp"

#include "core/base/error.hpp"
#include "core/base/log.hpp"

#include <fmt/format.h>
#include <sqlite3.h>

#include <chrono>
#include <thread>
#include <utility>

namespace mlp::db {

namespace {

sqlite3* connection(void* handle) {
  return static_cast<sqlite3*>(handle);
}
sqlite3_stmt* statement(void* handle) {
  return static_cast<sqlite3_stmt*>(handle);
}

ErrorKind kind_of(int code) {
  switch (code & 0xff) {
  case SQLITE_CORRUPT:
  case SQLITE_NOTADB:
    return ErrorKind::integrity;
  case SQLITE_BUSY:
  case SQLITE_LOCKED:
    return ErrorKind::conflict;
  case SQLITE_READONLY:
  case SQLITE_PERM:
  case SQLITE_AUTH:
  case SQLITE_CANTOPEN:
    return ErrorKind::denied;
  default:
    return ErrorKind::failed;
  }
}

// SQLite does not wait here while others make the file a WAL one: it could be for each other.
int use_wal(sqlite3* raw, int busy_milliseconds) {
  const auto deadline =
      std::chrono::steady_clock::now() + std::chrono::milliseconds(busy_milliseconds);
  while (true) {
    const int code = sqlite3_exec(raw, "PRAGMA journal_mode=WAL", nullptr, nullptr, nullptr);
    if ((code & 0xff) != SQLITE_BUSY || std::chrono::steady_clock::now() > deadline) return code;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
}

} // namespace

void Database::fail(int code, std::string_view action) const {
  std::string reason =
      handle_ != nullptr ? sqlite3_errmsg(connection(handle_)) : sqlite3_errstr(code);
  if (newer_ && (code & 0xff) == SQLITE_READONLY) reason = "a newer mlp made it";
  Error error(kind_of(code), fmt::format("cannot {} '{}': {}", action, path_.native(), reason));
  if (newer_ && (code & 0xff) == SQLITE_READONLY) error.add_hint("install that version of mlp");
  if ((code & 0xff) == SQLITE_FULL) error.add_hint("free some space on this disk");
  throw error;
}

Database::Database(const std::filesystem::path& path, OpenMode mode, int busy_milliseconds)
    : path_(path), read_only_(mode == OpenMode::read_only) {
  sqlite3* raw = nullptr;
  const int flags = SQLITE_OPEN_NOMUTEX | (read_only_ ? SQLITE_OPEN_READONLY
                                                      : SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
  const int code = sqlite3_open_v2(path.c_str(), &raw, flags, nullptr);
  handle_ = raw;
  try {
    if (code != SQLITE_OK) fail(code, "open");
    sqlite3_extended_result_codes(raw, 1);
    sqlite3_busy_timeout(raw, busy_milliseconds);
    // In WAL mode NORMAL keeps the file sound over a power cut; only the last commits may be lost.
    if (!read_only_) {
      if (const int wal = use_wal(raw, busy_milliseconds); wal != SQLITE_OK) fail(wal, "use");
      execute("PRAGMA synchronous=NORMAL; PRAGMA foreign_keys=ON;");
    }
    // The first access to the file: what is not a database is found here.
    if (sqlite3_db_readonly(raw, "main") == 1) read_only_ = true;
    (void)schema_version();
  } catch (...) {
    sqlite3_close_v2(raw);
    throw;
  }
}

Database::~Database() {
  sqlite3_close_v2(connection(handle_));
}

int Database::schema_version() {
  Statement statement = prepare("PRAGMA user_version");
  return statement.step() ? static_cast<int>(statement.integer(0)) : 0;
}

void Database::migrate(std::span<const Migration> table) {
  const int last = table.empty() ? 0 : table.back().version;
  const int found = schema_version();
  if (found > last) {
    newer_ = true;
    if (!read_only_) execute("PRAGMA query_only=ON;");
    read_only_ = true;
    log_warning(fmt::format("'{}' was made by a newer mlp (schema {}, this one knows {}): it is "
                            "opened read-only",
                            path_.native(), found, last));
    return;
  }
  if (found == last) return;
  if (read_only_)
    throw Error(ErrorKind::denied,
                fmt::format("cannot bring '{}' up to date: it is read-only", path_.native()));
  for (const Migration& step : table) {
    Transaction transaction(*this);
    // Another process may have done this step while we waited for the lock.
    if (schema_version() >= step.version) continue;
    execute(step.sql);
    execute(fmt::format("PRAGMA user_version={}", step.version).c_str());
    transaction.commit();
  }
}

void Database::execute(const char* sql) {
  const int code = sqlite3_exec(connection(handle_), sql, nullptr, nullptr, nullptr);
  if (code != SQLITE_OK) fail(code, "use");
}

Statement Database::prepare(std::string_view sql) {
  sqlite3_stmt* raw = nullptr;
  const int code = sqlite3_prepare_v2(connection(handle_), sql.data(), static_cast<int>(sql.size()),
                                      &raw, nullptr);
  if (code != SQLITE_OK) fail(code, "use");
  return {*this, raw};
}

std::int64_t Database::changes() const noexcept {
  return sqlite3_changes64(connection(handle_));
}

Statement::~Statement() {
  if (handle_ != nullptr) sqlite3_finalize(statement(handle_));
}
Statement::Statement(Statement&& other) noexcept
    : database_(other.database_), handle_(std::exchange(other.handle_, nullptr)) {}

Statement& Statement::bind(int parameter, std::string_view text) {
  // A null pointer would bind NULL; SQLITE_TRANSIENT (-1) makes SQLite copy the text.
  const char* data = text.data() == nullptr ? "" : text.data();
  const int code = sqlite3_bind_text64(statement(handle_), parameter, data, text.size(),
                                       reinterpret_cast<sqlite3_destructor_type>(-1), SQLITE_UTF8);
  if (code != SQLITE_OK) database_->fail(code, "use");
  return *this;
}
Statement& Statement::bind(int parameter, std::int64_t number) {
  const int code = sqlite3_bind_int64(statement(handle_), parameter, number);
  if (code != SQLITE_OK) database_->fail(code, "use");
  return *this;
}
Statement& Statement::bind(int parameter, double number) {
  const int code = sqlite3_bind_double(statement(handle_), parameter, number);
  if (code != SQLITE_OK) database_->fail(code, "use");
  return *this;
}
Statement& Statement::bind_null(int parameter) {
  const int code = sqlite3_bind_null(statement(handle_), parameter);
  if (code != SQLITE_OK) database_->fail(code, "use");
  return *this;
}
Statement& Statement::bind(int parameter, const std::optional<std::int64_t>& number) {
  return number ? bind(parameter, *number) : bind_null(parameter);
}

bool Statement::step() {
  const int code = sqlite3_step(statement(handle_));
  if (code == SQLITE_ROW) return true;
  sqlite3_reset(statement(handle_));
  if (code != SQLITE_DONE) database_->fail(code, "use");
  return false;
}

void Statement::run() {
  while (step()) {
  }
}

bool Statement::is_null(int column) const {
  return sqlite3_column_type(statement(handle_), column) == SQLITE_NULL;
}
std::int64_t Statement::integer(int column) const {
  return sqlite3_column_int64(statement(handle_), column);
}
std::optional<std::int64_t> Statement::optional_integer(int column) const {
  if (is_null(column)) return std::nullopt;
  return integer(column);
}
double Statement::real(int column) const {
  return sqlite3_column_double(statement(handle_), column);
}
std::string Statement::text(int column) const {
  const void* data = sqlite3_column_text(statement(handle_), column);
  if (data == nullptr) return {};
  return {static_cast<const char*>(data),
          static_cast<std::size_t>(sqlite3_column_bytes(statement(handle_), column))};
}

Transaction::Transaction(Database& database) : database_(database) {
  database_.execute("BEGIN IMMEDIATE");
}
Transaction::~Transaction() {
  if (open_) sqlite3_exec(connection(database_.handle_), "ROLLBACK", nullptr, nullptr, nullptr);
}
void Transaction::commit() {
  database_.execute("COMMIT");
  open_ = false;
}

} // namespace mlp::db
