// Copies of run folders: limits, cancellation, and that a copy is there whole or not at all.
#include "core/base/error.hpp"
#include "core/base/ids.hpp"
#include "core/base/json.hpp"
#include "core/track/run_copy.hpp"
#include "core/track/run_index.hpp"

#include <catch2/catch.hpp>

using namespace mlp;
using namespace mlp::track;

namespace {

struct Fixture {
  TemporaryDirectory folder;
  fs::path runs = folder.path() / "runs", other = folder.path() / "other";
  Progress& progress = no_progress();
  RunFolder run = make();

  RunFolder make() const {
    RunSpec spec;
    spec.created = wall_now();
    spec.id = new_run_id(spec.created);
    spec.task = "train";
    RunFolder made = create_run(runs, spec, "name: p\n", "test");
    RunWriter writer(made);
    for (const RunState state :
         {RunState::queued, RunState::starting, RunState::running, RunState::succeeded})
      writer.state(state, "");
    write_file_atomic(made.outs() / "weights", std::string(100'000, 'w'));
    return made;
  }
  CopiedRun import(const CopyLimits& limits = {}, const std::stop_token& stop = {}) {
    return import_run(run.root, other, stop, progress, limits);
  }
  // What is left below the target, hidden or not.
  [[nodiscard]] bool is_empty() const {
    return !fs::exists(other) || fs::directory_iterator(other) == fs::directory_iterator();
  }
};

ErrorKind kind_of(const std::function<void()>& body) {
  try {
    body();
  } catch (const Error& error) {
    return error.kind();
  }
  FAIL("no error");
  return ErrorKind::failed;
}

} // namespace

TEST_CASE("an import copies a run once and knows it again", "[track]") {
  Fixture f;
  const CopiedRun first = f.import();
  CHECK(first.copied);
  CHECK(first.files == 5); // spec, mlp.yaml, params, events, weights
  CHECK(run_ids(f.other) == std::vector<std::string>{f.run.id()});
  CHECK_FALSE(f.import().copied);
  // More events on either side: ours are kept, theirs would be lost.
  RunWriter(first.run).event("tag", json_object());
  CHECK_FALSE(f.import().copied);
  RunWriter(f.run).event("note", json_object());
  CHECK(kind_of([&] { f.import(); }) == ErrorKind::conflict);
}

TEST_CASE("an import beyond a limit, or interrupted, leaves nothing", "[track]") {
  Fixture f;
  CHECK(kind_of([&] { f.import({.bytes = 50'000}); }) == ErrorKind::integrity);
  CHECK(f.is_empty());
  CHECK(kind_of([&] { f.import({.entries = 3}); }) == ErrorKind::integrity);
  CHECK(f.is_empty());
  CHECK(kind_of([&] { f.import({.depth = 0}); }) == ErrorKind::integrity);
  CHECK(f.is_empty());
  std::stop_source stop;
  stop.request_stop();
  CHECK(kind_of([&] { f.import({}, stop.get_token()); }) == ErrorKind::interrupted);
  CHECK(f.is_empty());
}

TEST_CASE("an export names what it leaves out", "[track]") {
  Fixture f;
  fs::create_symlink("/etc", f.run.outs() / "etc");
  fs::create_symlink("weights", f.run.outs() / "same");
  const CopiedRun copy = export_run(f.run, f.other, {}, f.progress);
  CHECK(copy.left_out == std::vector<std::string>{"outs/etc"});
  CHECK(fs::read_symlink(copy.run.outs() / "same") == "weights");
  CHECK_FALSE(fs::exists(fs::symlink_status(copy.run.outs() / "etc")));
  CHECK_FALSE(export_run(f.run, f.other, {}, f.progress).copied);
  CHECK(kind_of([&] { static_cast<void>(f.import({}, {})); }) == ErrorKind::integrity);
}
