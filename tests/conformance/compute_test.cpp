// What core/job/backend.hpp promises, for every compute backend. To add one: a Place that makes it,
// and a line in places().
#include "backends/compute/local/local.hpp"
#include "core/base/error.hpp"
#include "core/base/ids.hpp"
#include "core/base/process.hpp"
#include "core/config/project.hpp"
#include "core/job/supervisor.hpp"
#include "core/track/run_record.hpp"

#include <catch2/catch.hpp>
#include <fmt/format.h>

#include <csignal>
#include <functional>
#include <thread>

using namespace mlp;
using namespace mlp::job;
using track::RunState;

namespace {

struct Place {
  std::string name;
  std::function<std::unique_ptr<Backend>()> make;
};

std::vector<Place> places() {
  const std::string program = get_env("MLP").value_or("");
  return {{"local", [=] { return std::make_unique<local::LocalBackend>(program); }}};
}

// A project of one task, and runs of it.
struct Fixture {
  TemporaryDirectory folder;
  config::Project project{folder.path()};

  JobSpec job(const std::string& command, double grace = 5) {
    const std::string yaml =
        fmt::format("name: p\ntasks:\n  work:\n    run: |\n      {}\n", command);
    write_file_atomic(project.file(), yaml);
    config::make_state_folders(project);
    track::RunSpec spec;
    spec.created = wall_now();
    spec.id = new_run_id(spec.created);
    spec.task = "work";
    spec.command = command;
    spec.grace_seconds = grace;
    const track::RunFolder run = track::create_run(project.runs(), spec, yaml, "test");
    return {.run_id = spec.id, .run_folder = run.root, .project = project.root};
  }
};

bool wait_for(const std::function<bool()>& condition) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return true;
}

JobStatus status_of(Backend& backend, const std::string& handle) {
  return backend.poll(std::span(&handle, 1)).front();
}

JobStatus wait_end(Backend& backend, const std::string& handle) {
  CHECK(wait_for([&] { return !track::is_active(status_of(backend, handle).state); }));
  return status_of(backend, handle);
}

void wait_state(Backend& backend, const std::string& handle, RunState state) {
  CHECK(wait_for([&] { return status_of(backend, handle).state == state; }));
}

std::string read_log(Backend& backend, const std::string& handle, LogStream stream,
                     std::size_t limit) {
  std::string text;
  std::uint64_t offset = 0;
  for (int i = 0; i < 10'000; ++i) {
    const LogChunk chunk = backend.logs(handle, stream, offset, limit);
    text += chunk.text;
    offset = chunk.next;
    if (chunk.end) return text;
  }
  FAIL("the log has no end");
  return text;
}

template <class Body>
void for_each_place(const Body& body) {
  REQUIRE_FALSE(get_env("MLP").value_or("").empty());
  for (const Place& place : places())
    DYNAMIC_SECTION(place.name) {
      Fixture fixture;
      body(*place.make(), fixture);
    }
}

} // namespace

TEST_CASE("a job runs once and tells how it ended") {
  for_each_place([](Backend& backend, Fixture& f) {
    const JobSpec job = f.job("echo once >> count; echo out; echo err >&2; exit 3");
    const std::string handle = backend.submit(job);
    const JobStatus status = wait_end(backend, handle);
    CHECK(status.known);
    CHECK(status.handle == handle);
    CHECK(status.state == RunState::failed);
    CHECK(status.exit_code == 3);
    CHECK(status.reason.find('3') != std::string::npos);
    CHECK(read_log(backend, handle, LogStream::out, 1000) == "out\n");
    CHECK(read_log(backend, handle, LogStream::err, 1000) == "err\n");
    CHECK(backend.submit(job) == handle); // it has ended: nothing starts again
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    CHECK(read_file(f.project.root / "count") == "once\n");
  });
}

TEST_CASE("of several submissions of one job, also at once, one starts it") {
  for_each_place([](Backend& backend, Fixture& f) {
    const JobSpec job = f.job("echo once >> count; sleep 0.3");
    std::vector<std::jthread> threads;
    for (int i = 0; i < 6; ++i)
      threads.emplace_back([&] { places().front().make()->submit(job); });
    threads.clear();
    const JobStatus status = wait_end(backend, backend.submit(job));
    CHECK(status.state == RunState::succeeded);
    CHECK(status.exit_code == 0);
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
    CHECK(read_file(f.project.root / "count") == "once\n");
    CHECK(track::read_run({job.run_folder}).attempts == 1);
  });
}

TEST_CASE("poll answers for many handles in their order") {
  for_each_place([](Backend& backend, Fixture& f) {
    std::vector<std::string> handles;
    for (int i = 0; i < 5; ++i)
      handles.push_back(backend.submit(f.job(fmt::format("exit {}", i))));
    handles.insert(handles.begin() + 2, (f.project.runs() / "nobody").native());
    for (const std::string& handle : handles)
      wait_for([&] { return !track::is_active(status_of(backend, handle).state); });
    const auto all = backend.poll(handles);
    REQUIRE(all.size() == 6);
    CHECK_FALSE(all[2].known);
    CHECK(all[0].state == RunState::succeeded);
    CHECK(all[1].exit_code == 1);
    CHECK(all[5].exit_code == 4);
    CHECK(backend.poll({}).empty());
  });
}

TEST_CASE("cancel gives the program time to end, and then none") {
  for_each_place([](Backend& backend, Fixture& f) {
    SECTION("a program that reacts") {
      const std::string handle = backend.submit(
          f.job("trap 'echo saved; exit 0' TERM; echo ready; while :; do sleep 0.05; done"));
      wait_for([&] { return backend.logs(handle, LogStream::out, 0, 100).text == "ready\n"; });
      backend.cancel(handle, "enough", false);
      const JobStatus status = wait_end(backend, handle);
      CHECK(status.state == RunState::cancelled);
      CHECK(status.reason == "enough");
      CHECK(read_log(backend, handle, LogStream::out, 100) == "ready\nsaved\n");
      backend.cancel(handle, "again", false); // harmless
      CHECK(status_of(backend, handle).reason == "enough");
    }
    SECTION("a program that does not") {
      const std::string handle =
          backend.submit(f.job("trap '' TERM; echo ready; while :; do sleep 0.05; done", 0.5));
      wait_for([&] { return backend.logs(handle, LogStream::out, 0, 100).text == "ready\n"; });
      backend.cancel(handle, "enough", false);
      const JobStatus status = wait_end(backend, handle);
      CHECK(status.state == RunState::cancelled);
      CHECK(status.exit_code == 128 + 9);
    }
    SECTION("at once") {
      const std::string handle =
          backend.submit(f.job("trap '' TERM; echo ready; while :; do sleep 0.05; done", 600));
      wait_for([&] { return backend.logs(handle, LogStream::out, 0, 100).text == "ready\n"; });
      backend.cancel(handle, "enough", true);
      CHECK(wait_end(backend, handle).state == RunState::cancelled);
    }
    SECTION("what the program started ends with it") {
      const std::string handle = backend.submit(
          f.job("(setsid sleep 300 & echo $! > child; wait) & echo $! > first; wait"));
      wait_for([&] { return fs::exists(f.project.root / "child"); });
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
      backend.cancel(handle, "enough", false);
      wait_end(backend, handle);
      for (const char* name : {"first", "child"}) {
        const pid_t pid = std::stoi(read_file(f.project.root / name));
        CHECK_FALSE(process_alive(pid, 0));
      }
    }
    SECTION("before it was started") {
      const JobSpec job = f.job("echo once >> count");
      job::enqueue({job.run_folder}, "test", backend.name());
      backend.cancel(job.run_folder.native(), "never mind", false);
      backend.submit(job);
      CHECK(wait_end(backend, job.run_folder.native()).state == RunState::cancelled);
      CHECK_FALSE(fs::exists(f.project.root / "count"));
    }
    SECTION("a job that nobody knows") {
      CHECK_THROWS_AS(backend.cancel((f.project.runs() / "x").native(), "", false), Error);
      CHECK_THROWS_AS(backend.logs((f.project.runs() / "x").native(), LogStream::out, 0, 10),
                      Error);
    }
  });
}

TEST_CASE("logs are read from any offset in pieces of any size") {
  for_each_place([](Backend& backend, Fixture& f) {
    const std::string handle =
        backend.submit(f.job("i=0; while [ $i -lt 500 ]; do echo line $i; i=$((i+1)); done"));
    wait_end(backend, handle);
    std::string wanted;
    for (int i = 0; i < 500; ++i)
      wanted += fmt::format("line {}\n", i);
    for (const std::size_t limit :
         {std::size_t{7}, std::size_t{4096}, wanted.size(), wanted.size() + 1})
      CHECK(read_log(backend, handle, LogStream::out, limit) == wanted);
    CHECK(backend.logs(handle, LogStream::out, 5, 6).text == "0\nline");
    const LogChunk beyond = backend.logs(handle, LogStream::out, 1 << 20, 10);
    CHECK(beyond.text.empty());
    CHECK(beyond.end);
    CHECK(read_log(backend, handle, LogStream::err, 10).empty());
  });
}

TEST_CASE("logs can be read while the job runs, where the place says so") {
  for_each_place([](Backend& backend, Fixture& f) {
    if (!backend.capabilities().logs_while_running) return;
    const std::string handle = backend.submit(f.job("echo first; sleep 30"));
    CHECK(wait_for([&] { return backend.logs(handle, LogStream::out, 0, 100).text == "first\n"; }));
    CHECK_FALSE(backend.logs(handle, LogStream::out, 6, 100).end);
    backend.cancel(handle, "", true);
    wait_end(backend, handle);
    CHECK(backend.logs(handle, LogStream::out, 6, 100).end);
  });
}

TEST_CASE("a job that can never run is refused before anything is changed") {
  for_each_place([](Backend& backend, Fixture& f) {
    JobSpec job = f.job("echo once >> count");
    if (!backend.capabilities().several_nodes) {
      job.num_nodes = 2;
      CHECK_THROWS_AS(backend.submit(job), Error);
      CHECK(track::read_run({job.run_folder}).state == RunState::pending);
    }
    job.num_nodes = 1;
    job.run_folder = f.project.runs() / "nobody";
    CHECK_THROWS_AS(backend.submit(job), Error);
  });
}

TEST_CASE("render tells what submit would hand over and changes nothing") {
  for_each_place([](Backend& backend, Fixture& f) {
    const JobSpec job = f.job("echo once >> count");
    const std::string text = backend.render(job);
    CHECK(text.find(job.run_folder.native()) != std::string::npos);
    CHECK(text == backend.render(job));
    CHECK(track::read_run({job.run_folder}).state == RunState::pending);
  });
}

TEST_CASE("probe finds at least one node") {
  for_each_place([](Backend& backend, Fixture&) {
    const auto nodes = backend.probe();
    REQUIRE_FALSE(nodes.empty());
    CHECK(nodes[0].cpus >= 1);
    CHECK(nodes[0].memory >= nodes[0].memory_free);
    CHECK(nodes[0].memory > 0);
  });
}

TEST_CASE("a job whose supervisor is killed is lost, and can be queued again") {
  for_each_place([](Backend& backend, Fixture& f) {
    const JobSpec job = f.job("echo $$ >> pids; sleep 300");
    const std::string handle = backend.submit(job);
    wait_state(backend, handle, RunState::running);
    wait_for([&] { return fs::exists(f.project.root / "pids"); });
    const pid_t supervisor = track::read_run({job.run_folder}).supervisor->pid;
    ::kill(supervisor, SIGKILL);
    wait_state(backend, handle, RunState::lost);
    const pid_t program = std::stoi(read_file(f.project.root / "pids"));
    CHECK(wait_for([&] { return !process_alive(program, 0); }));
    CHECK(job::enqueue({job.run_folder}, "again", backend.name()));
    backend.submit(job);
    wait_state(backend, handle, RunState::running);
    CHECK(track::read_run({job.run_folder}).attempts == 2);
    backend.cancel(handle, "", true);
    CHECK(wait_end(backend, handle).state == RunState::cancelled);
  });
}
