// The cache of journals in SQLite: one row a run, with the lengths of the journals it was read
// from, so that a look at two file sizes tells whether it is still right; and the times of the
// folder of all runs, which tell whether one was added or removed.
#include "core/track/run_index.hpp"

#include "core/base/error.hpp"
#include "core/base/ids.hpp"
#include "core/base/json.hpp"
#include "core/base/log.hpp"
#include "core/db/database.hpp"
#include "core/track/run_record.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <functional>
#include <set>
#include <utility>

namespace mlp::track {

namespace {

constexpr db::Migration migrations[] = {
    {1, R"(
      CREATE TABLE runs(
        id TEXT PRIMARY KEY,
        task TEXT NOT NULL, name TEXT NOT NULL,
        state TEXT NOT NULL, reason TEXT NOT NULL,
        created INTEGER NOT NULL, started INTEGER, ended INTEGER,
        attempts INTEGER NOT NULL, exit_code INTEGER,
        user TEXT NOT NULL, host TEXT NOT NULL, source TEXT NOT NULL,
        models TEXT NOT NULL, params TEXT NOT NULL, metrics TEXT NOT NULL,
        problem TEXT NOT NULL,
        events_size INTEGER NOT NULL, metrics_size INTEGER NOT NULL
      ) WITHOUT ROWID;
      CREATE INDEX runs_task ON runs(task, id);
      CREATE INDEX runs_changing ON runs(id) WHERE state <> 'succeeded';
    )"},
    // A cache is not carried over: what is dropped is read again. `settled`: only an event can
    // change the run. runs_sizes has all that a look for changes needs.
    {2, R"(
      DROP TABLE runs;
      CREATE TABLE runs(
        id TEXT PRIMARY KEY,
        task TEXT NOT NULL, name TEXT NOT NULL,
        state TEXT NOT NULL, reason TEXT NOT NULL,
        created INTEGER NOT NULL, started INTEGER, ended INTEGER,
        attempts INTEGER NOT NULL, exit_code INTEGER,
        user TEXT NOT NULL, host TEXT NOT NULL, source TEXT NOT NULL,
        models TEXT NOT NULL, tags TEXT NOT NULL, note TEXT NOT NULL,
        params TEXT NOT NULL, metrics TEXT NOT NULL,
        problem TEXT NOT NULL,
        settled INTEGER NOT NULL, events_size INTEGER NOT NULL, metrics_size INTEGER NOT NULL
      ) WITHOUT ROWID;
      CREATE INDEX runs_task ON runs(task, id);
      CREATE INDEX runs_sizes ON runs(id, settled, events_size, metrics_size);
      CREATE INDEX runs_unsettled ON runs(id) WHERE settled = 0;
      CREATE TABLE folder(times TEXT NOT NULL);
      INSERT INTO folder VALUES ('');
    )"},
};

constexpr const char* row_columns =
    "id, task, name, state, reason, created, started, ended, attempts, exit_code, user, host, "
    "source, models, tags, note, params, metrics, problem";
constexpr int row_column_count = 19;

std::int64_t milliseconds(WallTime time) {
  return time.time_since_epoch().count();
}
WallTime wall_time(std::int64_t milliseconds) {
  return WallTime(std::chrono::milliseconds(milliseconds));
}
std::optional<std::int64_t> milliseconds(const std::optional<WallTime>& time) {
  if (!time) return std::nullopt;
  return milliseconds(*time);
}

// -1: no such file.
std::int64_t size_of(const fs::path& path) {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0 ? static_cast<std::int64_t>(info.st_size) : -1;
}

struct Sizes {
  std::int64_t events = -1, metrics = -1;
};
Sizes sizes_of(const RunFolder& run) {
  return {size_of(run.events()), size_of(run.metrics())};
}

void store(db::Database& database, const RunFolder& folder) {
  // Sizes are taken before the content: what is appended in between is seen next time.
  const Sizes sizes = sizes_of(folder);
  RunRecord run;
  std::string problem;
  try {
    run = read_run(folder);
  } catch (const Error& error) {
    if (size_of(folder.root) < 0) return; // it was removed meanwhile
    run.spec.id = folder.id();
    run.state = RunState::lost;
    problem = error.message();
  }
  Json params = json_object();
  for (const auto& [name, value] : run.params())
    params[name] = parse_json(value, name);
  db::Statement insert = database.prepare(
      "INSERT OR REPLACE INTO runs VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)");
  insert.bind(1, folder.id())
      .bind(2, run.spec.task)
      .bind(3, run.spec.name)
      .bind(4, state_name(run.state))
      .bind(5, run.reason)
      .bind(6, milliseconds(run.spec.created))
      .bind(7, milliseconds(run.started))
      .bind(8, milliseconds(run.ended))
      .bind(9, std::int64_t{run.attempts})
      .bind(10, run.exit_code ? std::optional<std::int64_t>(*run.exit_code) : std::nullopt)
      .bind(11, run.spec.user)
      .bind(12, run.spec.host)
      .bind(13, run.spec.source ? run.spec.source->commit : std::string())
      .bind(14, dump_json(Json(run.models)))
      .bind(15, dump_json(Json(run.tags)))
      .bind(16, run.note)
      .bind(17, dump_json(params))
      .bind(18, dump_json(Json(run.metrics)))
      .bind(19, problem)
      .bind(20, std::int64_t{!is_active(run.state) && problem.empty()})
      .bind(21, sizes.events)
      .bind(22, sizes.metrics)
      .run();
}

std::vector<std::string> texts(const std::string& json) {
  std::vector<std::string> out;
  if (json == "[]") return out;
  for (const Json& item : parse_json(json, "index"))
    out.push_back(item.get<std::string>());
  return out;
}

// Without params and metrics, which cost the most.
RunRow row_of(const db::Statement& statement) {
  RunRow row;
  row.id = statement.text(0);
  row.task = statement.text(1);
  row.name = statement.text(2);
  row.state = parse_state(statement.text(3)).value_or(RunState::lost);
  row.reason = statement.text(4);
  row.created = wall_time(statement.integer(5));
  if (const auto started = statement.optional_integer(6)) row.started = wall_time(*started);
  if (const auto ended = statement.optional_integer(7)) row.ended = wall_time(*ended);
  row.attempts = static_cast<int>(statement.integer(8));
  if (const auto code = statement.optional_integer(9)) row.exit_code = static_cast<int>(*code);
  row.user = statement.text(10);
  row.host = statement.text(11);
  row.commit = statement.text(12);
  row.models = texts(statement.text(13));
  row.tags = texts(statement.text(14));
  row.note = statement.text(15);
  row.problem = statement.text(18);
  return row;
}

void read_params(const db::Statement& statement, RunRow& row) {
  const Json params = parse_json(statement.text(16), "index");
  for (const auto& [name, value] : params.items())
    row.params.emplace(name, dump_json(value));
}
void read_metrics(const db::Statement& statement, RunRow& row) {
  const Json metrics = parse_json(statement.text(17), "index");
  for (const auto& [name, value] : metrics.items())
    if (value.is_number()) row.metrics.emplace(name, value.get<double>());
}

// What changes when an entry of `folder` is made, removed or renamed. Empty where it cannot be
// relied on: another change might yet fall on the same tick of the file system's clock.
std::string folder_times(const fs::path& folder) {
  struct stat info {};
  if (::stat(folder.c_str(), &info) != 0) return {};
  const auto changed = std::chrono::seconds(info.st_ctim.tv_sec);
  constexpr std::chrono::seconds tick(2); // FAT's is the longest
  if (wall_now().time_since_epoch() - changed <= tick) return {};
  return fmt::format("{} {}.{} {}.{}", info.st_ino, info.st_mtim.tv_sec, info.st_mtim.tv_nsec,
                     info.st_ctim.tv_sec, info.st_ctim.tv_nsec);
}

} // namespace

std::vector<std::string> run_ids(const fs::path& runs) {
  std::vector<std::string> ids;
  DIR* folder = ::opendir(runs.c_str());
  if (folder == nullptr) {
    if (errno == ENOENT) return ids;
    throw system_error(errno, "read", runs.native());
  }
  while (const dirent* entry = ::readdir(folder))
    if (is_run_id(entry->d_name)) ids.emplace_back(entry->d_name);
  ::closedir(folder);
  std::sort(ids.rbegin(), ids.rend());
  return ids;
}

RunIndex::RunIndex(IndexPaths paths) : paths_(std::move(paths)) {
  try {
    open();
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::integrity) {
      log_info(fmt::format("the index of runs is damaged and is made anew: {}", error.message()));
      try {
        rebuild();
        return;
      } catch (const Error& second) {
        log_debug(second.message());
      }
    } else {
      log_debug(fmt::format("the index of runs is kept in memory: {}", error.message()));
    }
    open_in_memory();
  }
}

RunIndex::~RunIndex() = default;

void RunIndex::open() {
  database_.reset();
  auto database = std::make_unique<db::Database>(paths_.database);
  database->migrate(migrations);
  // What cannot be written cannot be brought up to date.
  if (database->read_only())
    throw Error(ErrorKind::denied, fmt::format("'{}' is read-only", paths_.database.native()));
  database_ = std::move(database);
  stored_ = true;
}

void RunIndex::open_in_memory() {
  database_ = std::make_unique<db::Database>(":memory:");
  database_->migrate(migrations);
  stored_ = false;
}

// Runs `body`; if the file proves damaged on the way, or cannot be written any more, does without
// it.
template <class Body>
auto RunIndex::repaired(const Body& body) {
  try {
    return body();
  } catch (const Error& error) {
    if (!stored_) throw;
    if (error.kind() == ErrorKind::integrity) {
      log_info(fmt::format("the index of runs is damaged and is made anew: {}", error.message()));
      rebuild();
      return body();
    }
    log_debug(fmt::format("the index of runs is kept in memory: {}", error.message()));
  }
  open_in_memory();
  sync_once(0, true);
  return body();
}

std::size_t RunIndex::rebuild() {
  {
    const FileLock lock(paths_.lock, "the index of runs", std::chrono::seconds(10));
    database_.reset();
    for (const char* suffix : {"", "-wal", "-shm"}) {
      fs::path file = paths_.database;
      file += suffix;
      mlp::remove_all(file);
    }
    open();
  }
  return sync_once(0, true);
}

std::size_t RunIndex::sync(std::size_t newest) {
  return repaired([&] { return sync_once(newest, false); });
}

namespace {

struct FolderChanges {
  std::vector<std::string> added, removed;
  std::string times;  // to be stored
  bool stale = false; // the stored times are not `times`
};

FolderChanges folder_changes(db::Database& database, const fs::path& runs, bool all) {
  FolderChanges out;
  db::Statement stored = database.prepare("SELECT times FROM folder");
  const std::string before = stored.step() ? stored.text(0) : std::string();
  // Taken before the folder is read: what is added in between is seen next time.
  out.times = folder_times(runs);
  if (!all && !before.empty() && out.times == before) return out;
  out.stale = out.times != before;
  std::vector<std::string> there = run_ids(runs); // newest first
  std::size_t next = 0;
  db::Statement rows =
      database.prepare("SELECT id FROM runs INDEXED BY runs_sizes ORDER BY id DESC");
  while (rows.step()) {
    std::string id = rows.text(0);
    while (next < there.size() && there[next] > id)
      out.added.push_back(std::move(there[next++]));
    if (next < there.size() && there[next] == id)
      ++next;
    else
      out.removed.push_back(std::move(id));
  }
  for (; next < there.size(); ++next)
    out.added.push_back(std::move(there[next]));
  return out;
}

std::int64_t size_in(const File& folder, const std::string& id, std::string_view name) {
  struct stat info {};
  const std::string path = id + std::string(name);
  return ::fstatat(folder.fd(), path.c_str(), &info, 0) == 0
             ? static_cast<std::int64_t>(info.st_size)
             : -1;
}

// Ids of rows that are no longer right, or, being active, may not be.
std::vector<std::string> changed_rows(db::Database& database, const fs::path& runs,
                                      std::size_t newest, bool all) {
  std::vector<std::string> out;
  // Sizes are asked for relative to the open folder: its own path is looked up once.
  const File folder(::open(runs.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC), runs.native());
  // The first `most` (0: all), and the others of the last one's second: see ByCreation.
  const auto look = [&](db::Statement& rows, std::size_t most) {
    std::string last;
    for (std::size_t n = 1; rows.step(); ++n) {
      std::string id = rows.text(0);
      if (n == most) last = run_id_second(id);
      if (most != 0 && n > most && run_id_second(id) != last) break;
      bool changed = all || rows.integer(1) == 0;
      if (!changed)
        changed = size_in(folder, id, "/events.jsonl") != rows.integer(2) ||
                  size_in(folder, id, "/metrics.jsonl") != rows.integer(3);
      if (changed) out.push_back(std::move(id));
    }
  };
  const bool some = newest != 0 && !all;
  if (some) {
    db::Statement active =
        database.prepare("SELECT id, 0 FROM runs INDEXED BY runs_unsettled WHERE settled = 0");
    look(active, 0);
  }
  db::Statement rows = database.prepare("SELECT id, settled, events_size, metrics_size FROM runs "
                                        "INDEXED BY runs_sizes ORDER BY id DESC");
  look(rows, some ? newest : 0);
  std::ranges::sort(out);
  out.erase(std::unique(out.begin(), out.end()), out.end());
  return out;
}

} // namespace

std::size_t RunIndex::sync_once(std::size_t newest, bool all) {
  const FolderChanges folder = folder_changes(*database_, paths_.runs, all);
  // A row that was added needs no second look, one that was removed is not read again.
  std::vector<std::string> changed = changed_rows(*database_, paths_.runs, newest, all);
  if (folder.added.empty() && folder.removed.empty() && changed.empty() && !folder.stale) return 0;
  db::Transaction transaction(*database_);
  for (const std::string& id : folder.removed)
    database_->prepare("DELETE FROM runs WHERE id = ?").bind(1, id).run();
  const std::set<std::string_view> gone(folder.removed.begin(), folder.removed.end());
  std::erase_if(changed, [&](const std::string& id) { return gone.contains(id); });
  for (const auto* ids : {&folder.added, &std::as_const(changed)})
    for (const std::string& id : *ids)
      store(*database_, RunFolder{paths_.runs / id});
  if (folder.stale) database_->prepare("UPDATE folder SET times = ?").bind(1, folder.times).run();
  transaction.commit();
  return folder.added.size() + changed.size();
}

namespace {

// Rows that come by id, the newest first, in the order in which they were made: ids tell seconds,
// `created` milliseconds. Keeps the rows of one second.
class ByCreation {
 public:
  // `each` gets the rows and returns false to stop.
  explicit ByCreation(std::function<bool(RunRow)> each) : each_(std::move(each)) {}

  bool take(RunRow row) {
    if (!rows_.empty() && run_id_second(rows_.front().id) != run_id_second(row.id) && !flush())
      return false;
    rows_.push_back(std::move(row));
    return true;
  }
  bool flush() {
    std::ranges::stable_sort(
        rows_, [](const RunRow& a, const RunRow& b) { return a.created > b.created; });
    bool more = true;
    for (RunRow& row : rows_)
      more = more && each_(std::move(row));
    rows_.clear();
    return more;
  }

 private:
  std::function<bool(RunRow)> each_;
  std::vector<RunRow> rows_;
};

// The first rows by an order of the user's; keeps at most twice as many as are wanted.
class FirstRows {
 public:
  FirstRows(const RunFilter& filter, WallTime now) : filter_(filter), now_(now) {}

  // False if no later row can matter. Rows come newest first.
  bool take(RunRow row) {
    if (!filter_.order) {
      rows_.push_back({{}, std::move(row)});
      return rows_.size() != filter_.limit;
    }
    rows_.push_back({run_value(row, filter_.order->field, now_), std::move(row)});
    if (filter_.limit != 0 && rows_.size() >= 2 * filter_.limit + 64) cut();
    return true;
  }

  std::vector<RunRow> finish() {
    if (filter_.order) cut();
    std::vector<RunRow> out;
    out.reserve(rows_.size());
    for (Entry& entry : rows_)
      out.push_back(std::move(entry.row));
    return out;
  }

 private:
  struct Entry {
    RunValue key;
    RunRow row;
  };

  void cut() {
    std::ranges::stable_sort(rows_, [&](const Entry& a, const Entry& b) {
      return comes_before(a.key, b.key, filter_.order->descending);
    });
    if (filter_.limit != 0 && rows_.size() > filter_.limit)
      rows_.erase(rows_.begin() + static_cast<std::ptrdiff_t>(filter_.limit), rows_.end());
  }

  const RunFilter& filter_;
  WallTime now_;
  std::vector<Entry> rows_;
};

bool uses(const RunFilter& filter, RunField::Kind group) {
  const auto is_group = [&](const RunField& field) { return field.kind == group; };
  return (filter.order && is_group(filter.order->field)) ||
         (filter.where && std::ranges::any_of(filter.where->fields(), is_group));
}

} // namespace

std::vector<RunRow> RunIndex::list(const RunFilter& filter) {
  return repaired([&] {
    std::string sql = fmt::format("SELECT {} FROM runs WHERE 1", row_columns);
    if (!filter.task.empty()) sql += " AND task = ?1";
    if (!filter.states.empty()) {
      sql += " AND state IN (";
      for (const RunState state : filter.states)
        sql += fmt::format("'{}',", state_name(state));
      sql.back() = ')';
    }
    sql += " ORDER BY id DESC";
    db::Statement statement = database_->prepare(sql);
    if (!filter.task.empty()) statement.bind(1, filter.task);
    // Params and metrics are read before the filter only where it asks for them.
    const bool params = uses(filter, RunField::Kind::params);
    const bool metrics = uses(filter, RunField::Kind::metrics);
    FirstRows out(filter, wall_now());
    ByCreation by_creation([&](RunRow row) { return out.take(std::move(row)); });
    bool more = true;
    while (more && statement.step()) {
      RunRow row = row_of(statement);
      if (params) read_params(statement, row);
      if (metrics) read_metrics(statement, row);
      if (filter.where && !filter.where->matches(row)) continue;
      if (!params) read_params(statement, row);
      if (!metrics) read_metrics(statement, row);
      more = by_creation.take(std::move(row));
    }
    if (more) by_creation.flush();
    return out.finish();
  });
}

std::vector<std::string> RunIndex::names(RunField::Kind group, std::size_t limit) {
  return repaired([&] {
    const bool tags = group == RunField::Kind::tags;
    db::Statement statement = database_->prepare(
        fmt::format("SELECT DISTINCT entry.{} FROM runs, json_each(runs.{}) AS entry "
                    "ORDER BY 1 LIMIT {}",
                    tags ? "value" : "key",
                    tags                              ? "tags"
                    : group == RunField::Kind::params ? "params"
                                                      : "metrics",
                    limit));
    std::vector<std::string> out;
    while (statement.step())
      out.push_back(statement.text(0));
    return out;
  });
}

std::vector<std::string> RunIndex::ids_containing(std::string_view part, std::size_t limit) {
  return repaired([&] {
    db::Statement statement =
        database_->prepare("SELECT id FROM runs WHERE instr(id, ?1) > 0 ORDER BY id DESC LIMIT ?2");
    statement.bind(1, part).bind(2, static_cast<std::int64_t>(limit));
    std::vector<std::string> out;
    while (statement.step())
      out.push_back(statement.text(0));
    return out;
  });
}

std::string RunIndex::dump() {
  return repaired([&] {
    db::Statement statement =
        database_->prepare(fmt::format("SELECT {} FROM runs ORDER BY id", row_columns));
    std::string out;
    while (statement.step()) {
      for (int column = 0; column < row_column_count; ++column)
        out += fmt::format("{}{}", column == 0 ? "" : "|",
                           statement.is_null(column) ? "-" : statement.text(column));
      out += '\n';
    }
    return out;
  });
}

} // namespace mlp::track
