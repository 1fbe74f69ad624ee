// The cache of journals in SQLite: one row a run, with the lengths of the journals it was read
// from, so that a look at two file sizes tells whether it is still right.
#include "core/track/run_index.hpp"

#include "core/base/error.hpp"
#include "core/base/ids.hpp"
#include "core/base/json.hpp"
#include "core/base/log.hpp"
#include "core/db/database.hpp"
#include "core/track/run_record.hpp"

#include <dirent.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <set>
#include <unordered_map>

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
};

constexpr const char* row_columns =
    "id, task, name, state, reason, created, started, ended, attempts, exit_code, user, host, "
    "source, models, params, metrics, problem";

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
  for (const auto& [name, value] : run.spec.params)
    params[name] = parse_json(value, name);
  db::Statement insert = database.prepare(
      "INSERT OR REPLACE INTO runs VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)");
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
      .bind(15, dump_json(params))
      .bind(16, dump_json(Json(run.metrics)))
      .bind(17, problem)
      .bind(18, sizes.events)
      .bind(19, sizes.metrics)
      .run();
}

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
  for (const Json& model : parse_json(statement.text(13), "index"))
    row.models.push_back(model.get<std::string>());
  const Json params = parse_json(statement.text(14), "index");
  for (const auto& [name, value] : params.items())
    row.params.emplace(name, dump_json(value));
  const Json metrics = parse_json(statement.text(15), "index");
  for (const auto& [name, value] : metrics.items())
    if (value.is_number()) row.metrics.emplace(name, value.get<double>());
  row.problem = statement.text(16);
  return row;
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
  sync_once(true);
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
  return sync_once(true);
}

std::size_t RunIndex::sync() {
  return repaired([&] { return sync_once(false); });
}

std::size_t RunIndex::sync_once(bool all) {
  const std::vector<std::string> ids = run_ids(paths_.runs);
  // Rows that may still change, with the sizes that they were read at.
  struct Known {
    bool final = false, settled = false;
    Sizes sizes;
  };
  std::unordered_map<std::string, Known> known;
  known.reserve(ids.size());
  db::Statement rows =
      database_->prepare("SELECT id, state, events_size, metrics_size, problem FROM runs");
  while (rows.step()) {
    const auto state = parse_state(rows.text(1));
    known.emplace(rows.text(0),
                  Known{state == RunState::succeeded,
                        state.has_value() && !is_active(*state) && rows.text(4).empty(),
                        {rows.integer(2), rows.integer(3)}});
  }
  std::vector<std::string> changed;
  for (const std::string& id : ids) {
    const auto found = known.find(id);
    if (found == known.end()) {
      changed.push_back(id);
      continue;
    }
    const Known row = found->second;
    known.erase(found); // what is left at the end has no folder
    if (all) {
      changed.push_back(id);
    } else if (!row.final) {
      const Sizes sizes = sizes_of(RunFolder{paths_.runs / id});
      if (!row.settled || sizes.events != row.sizes.events || sizes.metrics != row.sizes.metrics)
        changed.push_back(id);
    }
  }
  if (changed.empty() && known.empty()) return 0;
  db::Transaction transaction(*database_);
  for (const auto& [id, row] : known)
    database_->prepare("DELETE FROM runs WHERE id = ?").bind(1, id).run();
  for (const std::string& id : changed)
    store(*database_, RunFolder{paths_.runs / id});
  transaction.commit();
  return changed.size();
}

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
    if (filter.limit != 0) sql += fmt::format(" LIMIT {}", filter.limit);
    db::Statement statement = database_->prepare(sql);
    if (!filter.task.empty()) statement.bind(1, filter.task);
    std::vector<RunRow> out;
    while (statement.step())
      out.push_back(row_of(statement));
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
      for (int column = 0; column < 17; ++column)
        out += fmt::format("{}{}", column == 0 ? "" : "|",
                           statement.is_null(column) ? "-" : statement.text(column));
      out += '\n';
    }
    return out;
  });
}

} // namespace mlp::track
