// The queue of a machine: order, what is held, and holders that die. The driver's folder here is a
// fake one; its files have the words of the real ones.
#include "core/base/error.hpp"
#include "core/job/host_queue.hpp"
#include "tests/unit/core/data/testing.hpp"

#include <catch2/catch.hpp>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <memory>
#include <set>
#include <thread>

using namespace mlp;
using namespace mlp::job;

namespace {

const HostCapacity machine{.millicpus = 4000,
                           .memory_mib = 1000,
                           .gpus = {{"GPU-aa", "NVIDIA H100 80GB HBM3"},
                                    {"GPU-bb", "NVIDIA H100 80GB HBM3"},
                                    {"GPU-cc", "NVIDIA A100-SXM4-40GB"}}};

struct Queue {
  TemporaryDirectory parent{"mlp-queue-"};
  fs::path folder = parent.path() / "queue";
  std::unique_ptr<QueuePlace> place(const Demand& demand, const std::string& run = "r") const {
    return std::make_unique<QueuePlace>(folder, machine, demand, run, "/p");
  }
};

bool is_readable(const QueuePlace& place) {
  pollfd entry{place.descriptor(), POLLIN, 0};
  return ::poll(&entry, 1, 2000) == 1;
}

} // namespace

TEST_CASE("a job starts when what it asks for is free, and only then") {
  Queue queue;
  auto first = queue.place({.millicpus = 3000});
  CHECK(first->try_start());
  auto second = queue.place({.millicpus = 2000});
  CHECK_FALSE(second->try_start());
  CHECK(second->reason().find("2 CPUs") != std::string::npos);
  first.reset();
  CHECK(is_readable(*second));
  CHECK(second->try_start());
  CHECK(second->try_start());
  auto memory = queue.place({.memory_mib = 900});
  CHECK(memory->try_start());
  auto more = queue.place({.memory_mib = 200});
  CHECK_FALSE(more->try_start());
}

TEST_CASE("first come, first served: nobody overtakes, even who would fit") {
  Queue queue;
  auto running = queue.place({.millicpus = 3000}, "a");
  REQUIRE(running->try_start());
  auto large = queue.place({.millicpus = 4000}, "b");
  auto small = queue.place({.millicpus = 1000}, "c");
  CHECK_FALSE(small->try_start());
  CHECK(small->reason() == "1 run is ahead of it");
  CHECK_FALSE(large->try_start());
  const auto entries = read_host_queue(queue.folder);
  REQUIRE(entries.size() == 3);
  CHECK(entries[0].run == "a");
  CHECK(entries[0].running);
  CHECK(entries[1].run == "b");
  CHECK(entries[2].run == "c");
  CHECK(entries[2].demand.millicpus == 1000);
  running.reset();
  CHECK(large->try_start());
  CHECK(is_readable(*small)); // the one before it has moved
  CHECK_FALSE(small->try_start());
  large.reset();
  CHECK(is_readable(*small));
  CHECK(small->try_start());
}

TEST_CASE("who gives up its place lets the others by") {
  Queue queue;
  auto running = queue.place({.millicpus = 4000});
  REQUIRE(running->try_start());
  auto second = queue.place({.millicpus = 1000});
  auto third = queue.place({.millicpus = 1000});
  CHECK_FALSE(third->try_start());
  second.reset();
  CHECK(is_readable(*third));
  CHECK_FALSE(third->try_start());
  running.reset();
  CHECK(is_readable(*third));
  CHECK(third->try_start());
}

TEST_CASE("no GPU belongs to two") {
  Queue queue;
  auto first = queue.place({.gpus = 1});
  auto second = queue.place({.gpus = 2});
  auto third = queue.place({.gpus = 1});
  REQUIRE(first->try_start());
  REQUIRE(second->try_start());
  CHECK_FALSE(third->try_start());
  std::set<std::string> held(first->gpus().begin(), first->gpus().end());
  held.insert(second->gpus().begin(), second->gpus().end());
  CHECK(held.size() == 3);
  first.reset();
  CHECK(third->try_start());
  second.reset();
  auto named = queue.place({.gpus = 1, .gpu_model = "a100"});
  // The A100 may be the third's.
  if (third->gpus().front() == "GPU-cc")
    CHECK_FALSE(named->try_start());
  else
    CHECK(named->try_start());
  third.reset();
  CHECK(named->try_start());
  CHECK(named->gpus() == std::vector<std::string>{"GPU-cc"});
}

TEST_CASE("what a holder that was killed held is free, and its place in the queue too") {
  Queue queue;
  int ready[2];
  REQUIRE(::pipe(ready) == 0);
  const auto holder = [&](const Demand& demand) {
    const pid_t child = ::fork();
    if (child == 0) {
      QueuePlace place(queue.folder, machine, demand, "dead", "/p");
      (void)place.try_start();
      (void)!::write(ready[1], "x", 1);
      ::pause();
      ::_exit(0);
    }
    char c = 0;
    REQUIRE(::read(ready[0], &c, 1) == 1);
    return child;
  };
  const pid_t running = holder({.millicpus = 4000});
  const pid_t waiting = holder({.millicpus = 4000});
  auto mine = queue.place({.millicpus = 1000});
  CHECK_FALSE(mine->try_start());
  ::kill(waiting, SIGKILL);
  ::waitpid(waiting, nullptr, 0);
  CHECK(is_readable(*mine));
  CHECK_FALSE(mine->try_start());
  ::kill(running, SIGKILL);
  ::waitpid(running, nullptr, 0);
  CHECK(is_readable(*mine));
  CHECK(mine->try_start());
  CHECK(read_host_queue(queue.folder).size() == 1);
  ::close(ready[0]);
  ::close(ready[1]);
}

TEST_CASE("what a machine can never give is refused with what it has") {
  CHECK_THROWS_WITH(check_demand({.millicpus = 5000}, machine),
                    Catch::Contains("5 CPUs") && Catch::Contains("4 CPUs"));
  CHECK_THROWS_AS(check_demand({.memory_mib = 1001}, machine), Error);
  CHECK_THROWS_AS(check_demand({.gpus = 4}, machine), Error);
  CHECK_THROWS_AS(check_demand({.gpus = 2, .gpu_model = "A100"}, machine), Error);
  CHECK_NOTHROW(check_demand({.gpus = 2, .gpu_model = "h100"}, machine));
}

TEST_CASE("strange files in the queue's folder count for nothing") {
  Queue queue;
  auto first = queue.place({.millicpus = 1000});
  for (const char* name : {"x", "1-c1-m1-g1.w.bak", "99999999999999999999-c1-m1-g1.w", "-c-m-g.r",
                           "0000000000000000001-c9999999-m1-g1.r"})
    test::write(queue.folder / name, "{");
  fs::create_symlink("/etc/passwd", queue.folder / "0000000000000000002-c4000-m0-g0.r");
  CHECK(first->try_start());
}

TEST_CASE("the GPUs of a machine are those of its driver that CUDA_VISIBLE_DEVICES leaves") {
  const TemporaryDirectory driver("mlp-driver-");
  for (const char* bus : {"0000:1a:00.0", "0000:3b:00.0"})
    test::write(driver.path() / bus / "information",
                std::string("Model: \t\t NVIDIA H200\nIRQ:   \t\t 120\nGPU UUID: \t GPU-") + bus +
                    "\nVideo BIOS: \t 96.00\n");
  ::unsetenv("CUDA_VISIBLE_DEVICES");
  REQUIRE(host_capacity(driver.path()).gpus.size() == 2);
  CHECK(host_capacity(driver.path()).gpus[0].model == "NVIDIA H200");
  CHECK(host_capacity(driver.path()).gpus[0].id == "GPU-0000:1a:00.0");
  ::setenv("CUDA_VISIBLE_DEVICES", "1", 1);
  REQUIRE(host_capacity(driver.path()).gpus.size() == 1);
  CHECK(host_capacity(driver.path()).gpus[0].id == "GPU-0000:3b:00.0");
  ::setenv("CUDA_VISIBLE_DEVICES", "GPU-0000:1a,7,0", 1);
  CHECK(host_capacity(driver.path()).gpus.size() == 1);
  ::setenv("CUDA_VISIBLE_DEVICES", "", 1);
  CHECK(host_capacity(driver.path()).gpus.empty());
  ::unsetenv("CUDA_VISIBLE_DEVICES");
  CHECK(host_capacity("/none").gpus.empty());
}
