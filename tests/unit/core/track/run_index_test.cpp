// The index over the runs: kept up to date or made anew, it says the same.
#include "core/base/error.hpp"
#include "core/base/ids.hpp"
#include "core/base/json.hpp"
#include "core/db/database.hpp"
#include "core/track/annotations.hpp"
#include "core/track/run_folder.hpp"
#include "core/track/run_index.hpp"

#include <catch2/catch.hpp>
#include <sys/stat.h>
#include <unistd.h>

using namespace mlp;
using namespace mlp::track;

namespace {

struct Fixture {
  TemporaryDirectory folder;
  IndexPaths paths{folder.path() / "runs", folder.path() / "index.db", folder.path() / "lock"};
  WallTime now = *parse_time("2026-01-01T00:00:00.000Z");

  RunFolder add(std::string_view task = "train") {
    RunSpec spec;
    now += std::chrono::seconds(1);
    spec.id = new_run_id(now);
    spec.created = now;
    spec.task = task;
    spec.params = {{"lr", "0.1"}};
    return create_run(paths.runs, spec, "", "test");
  }
  static void end(const RunFolder& run, RunState state) {
    RunWriter writer(run);
    writer.state(RunState::queued, "");
    writer.state(RunState::starting, "");
    writer.state(RunState::running, "");
    JournalWriter(run.metrics()).append({{"loss", 0.5}});
    writer.state(state, "because", {{"exit_code", 0}});
  }
  std::string fresh_dump() {
    RunIndex index({paths.runs, folder.path() / "other.db", folder.path() / "other.lock"});
    index.rebuild();
    return index.dump();
  }
};

} // namespace

TEST_CASE("an index that was kept up to date equals one made anew", "[track]") {
  Fixture f;
  RunIndex index(f.paths);
  CHECK(index.sync() == 0);
  CHECK(index.list().empty());
  const RunFolder first = f.add();
  const RunFolder second = f.add("eval");
  CHECK(index.sync() == 2);
  CHECK(index.dump() == f.fresh_dump());
  Fixture::end(first, RunState::succeeded);
  Fixture::end(second, RunState::failed);
  CHECK(index.sync() == 2);
  CHECK(index.sync() == 0);
  CHECK(index.dump() == f.fresh_dump());
  RunWriter(second).state(RunState::queued, "resumed");
  CHECK(index.sync() == 1);
  const RunFolder third = f.add();
  remove_run(first);
  index.sync();
  CHECK(index.dump() == f.fresh_dump());

  const auto rows = index.list();
  REQUIRE(rows.size() == 2);
  CHECK(rows[0].id == third.id()); // newest first
  CHECK(rows[1].metrics.at("loss") == 0.5);
  CHECK(rows[1].params.at("lr") == "0.1");
  CHECK(index.is_stored());
}

TEST_CASE("list filters by state and task and stops at its limit", "[track]") {
  Fixture f;
  for (int i = 0; i < 3; ++i)
    Fixture::end(f.add(), RunState::succeeded);
  Fixture::end(f.add("eval"), RunState::failed);
  RunIndex index(f.paths);
  index.sync();
  CHECK(index.list({{RunState::succeeded}, "", 0}).size() == 3);
  CHECK(index.list({{RunState::succeeded, RunState::failed}, "", 0}).size() == 4);
  CHECK(index.list({{}, "eval", 0}).size() == 1);
  CHECK(index.list({{}, "", 2}).size() == 2);
  CHECK(index.list({{}, "x' OR 1 --", 0}).empty());
  CHECK(index.ids_containing("20260101", 10).size() == 4);
  CHECK(index.ids_containing("%", 10).empty());
}

TEST_CASE("runs of one second are listed in the order in which they were made", "[track]") {
  Fixture f;
  std::vector<std::string> made;
  for (int i = 0; i < 60; ++i) { // in three seconds
    if (i % 20 == 0) f.now += std::chrono::seconds(1);
    RunSpec spec;
    spec.created = f.now + std::chrono::milliseconds(i % 20 * 7);
    spec.id = new_run_id(spec.created);
    spec.task = i % 2 == 0 ? "even" : "odd";
    create_run(f.paths.runs, spec, "", "test");
    made.insert(made.begin(), spec.id);
  }
  RunIndex index(f.paths);
  index.sync();
  const auto ids = [&](const RunFilter& filter) {
    std::vector<std::string> out;
    for (const RunRow& row : index.list(filter))
      out.push_back(row.id);
    return out;
  };
  CHECK(ids({}) == made);
  for (const std::size_t limit : {1u, 5u, 20u, 25u})
    CHECK(ids({.limit = limit}) ==
          std::vector<std::string>(made.begin(), made.begin() + std::ptrdiff_t(limit)));
  RunFilter same;
  same.limit = 30;
  same.order = parse_run_order("state"); // all equal
  CHECK(ids(same) == std::vector<std::string>(made.begin(), made.begin() + 30));
  const std::vector<std::string> odd = ids({.task = "odd", .limit = 3});
  CHECK(odd == std::vector<std::string>{made[0], made[2], made[4]});
  CHECK(find_run(f.paths.runs, "latest") == made[0]);
  // What is listed first is looked at, whatever its random part.
  for (int i = 0; i < 5; ++i) {
    RunWriter writer({f.paths.runs / made[std::size_t(i)]});
    writer.state(RunState::cancelled, "because");
  }
  index.sync();
  for (int i = 0; i < 5; ++i)
    tag_run({f.paths.runs / made[std::size_t(i)]}, std::vector<std::string>{"new"}, {});
  index.sync(5);
  for (const RunRow& row : index.list({.limit = 5}))
    CHECK(row.tags == std::vector<std::string>{"new"});
}

TEST_CASE("a filter and an order choose among all runs, the limit counts what is left", "[track]") {
  Fixture f;
  std::vector<std::string> ids;
  for (int i = 0; i < 200; ++i) {
    const RunFolder run = f.add(i % 2 == 0 ? "train" : "eval");
    JournalWriter(run.metrics()).append({{"acc", (i * 37) % 200}});
    ids.push_back(run.id());
  }
  RunIndex index(f.paths);
  index.sync();
  RunFilter filter;
  filter.limit = 3;
  filter.where = RunExpression::parse("task = train and metrics.acc < 100", wall_now());
  filter.order = parse_run_order("-metrics.acc");
  const auto rows = index.list(filter);
  REQUIRE(rows.size() == 3);
  CHECK(rows[0].metrics.at("acc") == 98);
  CHECK(rows[1].metrics.at("acc") == 96);
  CHECK(rows[2].metrics.at("acc") == 94);
  CHECK(rows[0].params.at("lr") == "0.1");
  filter.order = parse_run_order("params.lr"); // all equal: the newest first
  filter.where.reset();
  CHECK(index.list(filter).front().id == ids.back());
  CHECK(index.names(RunField::Kind::metrics) == std::vector<std::string>{"acc"});
  CHECK(index.names(RunField::Kind::params) == std::vector<std::string>{"lr"});
}

TEST_CASE("tags and notes reach the index, also of a run that had succeeded", "[track]") {
  Fixture f;
  const RunFolder run = f.add();
  Fixture::end(run, RunState::succeeded);
  for (int i = 0; i < 5; ++i)
    Fixture::end(f.add(), RunState::succeeded);
  RunIndex index(f.paths);
  CHECK(index.sync() == 6);
  const std::string spec = read_file(run.spec());
  CHECK(tag_run(run, std::vector<std::string>{"keep", "a b"}, {}));
  CHECK(note_run(run, "first\nsecond"));
  CHECK(index.sync(2) == 0); // it is not among the two newest
  CHECK(index.sync() == 1);
  RunFilter filter;
  filter.where = RunExpression::parse("tags = 'a b'", wall_now());
  REQUIRE(index.list(filter).size() == 1);
  CHECK(index.list(filter)[0].note == "first\nsecond");
  CHECK(index.list(filter)[0].state == RunState::succeeded);
  CHECK(index.dump() == f.fresh_dump());
  CHECK(read_file(run.spec()) == spec);
}

TEST_CASE("an index of the first version is made anew with the same runs", "[track]") {
  Fixture f;
  Fixture::end(f.add(), RunState::succeeded);
  {
    db::Database old(f.paths.database);
    old.execute("CREATE TABLE runs(id TEXT PRIMARY KEY); CREATE INDEX runs_task ON runs(id);"
                "INSERT INTO runs VALUES ('20250101-000000-aaaaaa'); PRAGMA user_version=1;");
  }
  RunIndex index(f.paths);
  CHECK(index.sync() == 1);
  CHECK(index.dump() == f.fresh_dump());
  CHECK(index.is_stored());
}

TEST_CASE("a damaged, cut or foreign index is made anew without a word to the user", "[track]") {
  Fixture f;
  Fixture::end(f.add(), RunState::succeeded);
  Fixture::end(f.add(), RunState::failed);
  {
    RunIndex index(f.paths);
    index.sync();
  }
  const std::string wanted = f.fresh_dump();
  std::string content = read_file(f.paths.database);
  SECTION("not a database") {
    write_file_atomic(f.paths.database, std::string(5000, 'x'));
  }
  SECTION("empty") {
    write_file_atomic(f.paths.database, "");
  }
  SECTION("cut") {
    write_file_atomic(f.paths.database, content.substr(0, content.size() / 2));
  }
  SECTION("pages overwritten") {
    std::fill(content.begin() + 4200, content.end(), '\xff');
    write_file_atomic(f.paths.database, content);
  }
  SECTION("deleted") {
    fs::remove(f.paths.database);
  }
  RunIndex index(f.paths);
  index.sync();
  CHECK(index.list().size() == 2);
  CHECK(index.dump() == wanted);
  CHECK(index.is_stored());
}

TEST_CASE("an index of a newer mlp stays as it is, and reading works", "[track]") {
  Fixture f;
  Fixture::end(f.add(), RunState::succeeded);
  {
    db::Database database(f.paths.database);
    database.execute("CREATE TABLE new_shape(x); PRAGMA user_version=99;");
  }
  RunIndex index(f.paths);
  index.sync();
  CHECK(index.list().size() == 1);
  CHECK_FALSE(index.is_stored());
  CHECK(db::Database(f.paths.database, db::OpenMode::read_only).schema_version() == 99);
}

TEST_CASE("a project that cannot be written is listed from memory", "[track]") {
  if (::geteuid() == 0) {
    // root writes anywhere: a folder where the file should be has the same effect
    Fixture f;
    Fixture::end(f.add(), RunState::succeeded);
    fs::create_directories(f.paths.database);
    RunIndex index(f.paths);
    index.sync();
    CHECK(index.list().size() == 1);
    CHECK_FALSE(index.is_stored());
    return;
  }
  Fixture f;
  Fixture::end(f.add(), RunState::succeeded);
  ::chmod(f.folder.path().c_str(), 0555);
  RunIndex index(f.paths);
  index.sync();
  CHECK(index.list().size() == 1);
  CHECK_FALSE(index.is_stored());
  ::chmod(f.folder.path().c_str(), 0755);
}

TEST_CASE("a run that cannot be read is listed with the reason", "[track]") {
  Fixture f;
  const RunFolder run = f.add();
  write_file_atomic(run.spec(), "{");
  RunIndex index(f.paths);
  index.sync();
  const auto rows = index.list();
  REQUIRE(rows.size() == 1);
  CHECK(rows[0].problem.find("spec.json") != std::string::npos);
  CHECK(index.dump() == f.fresh_dump());
}

TEST_CASE("a run is found by any part of its id that is its own", "[track]") {
  Fixture f;
  const auto fails = [&](std::string_view reference) {
    try {
      (void)find_run(f.paths.runs, reference);
    } catch (const Error& error) {
      return error.message() + " / " + (error.hints().empty() ? "" : error.hints().front());
    }
    return std::string("found");
  };
  CHECK(fails("latest") == "no run 'latest' / there is no run yet: start one with mlp train");
  const std::string first = f.add().id();
  const std::string second = f.add().id();
  CHECK(find_run(f.paths.runs, first) == first);
  CHECK(find_run(f.paths.runs, first.substr(16)) == first);
  CHECK(find_run(f.paths.runs, "latest") == second);
  CHECK(fails("2026") ==
        "'2026' is part of the ids of 2 runs / they are: " + second + ", " + first);
  CHECK(fails("") == "no run '' / see them with: mlp runs ls");
  std::string slip = first;
  slip[18] = slip[18] == 'a' ? 'b' : 'a';
  CHECK(fails(slip).starts_with("no run '" + slip + "' / did you mean '"));
  CHECK(fails("../../etc").starts_with("no run '../../etc'"));
}
