// Samples of the machine: what /proc says of a tree of processes, and the names of the metrics.
#include "core/base/ids.hpp"
#include "core/base/json.hpp"
#include "core/base/process.hpp"
#include "core/job/machine_samples.hpp"
#include "core/job/process_usage.hpp"
#include "core/track/run_record.hpp"

#include <catch2/catch.hpp>
#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include <thread>

using namespace mlp;
using namespace mlp::job;

namespace {

void process(const fs::path& proc, int pid, const std::string& name, int cpu, int pages,
             const std::string& children) {
  const fs::path folder = proc / std::to_string(pid);
  make_directories(folder / "task" / std::to_string(pid));
  write_file_atomic(folder / "stat",
                    fmt::format("{} ({}) S 1 1 1 0 -1 4194304 100 0 0 0 {} 1 2 3 20 0 1 0 500 "
                                "1000000 {} 18446744073709551615 1 1\n",
                                pid, name, cpu, pages));
  write_file_atomic(folder / "task" / std::to_string(pid) / "children", children);
}

} // namespace

TEST_CASE("a line of /proc/pid/stat is read behind its name, whatever that holds", "[job]") {
  const auto stat = parse_process_stat(
      "42 (a b) R 7) S 1 1 1 0 -1 0 0 0 0 0 10 20 3 4 20 0 1 0 5 1000 77 18446744073709551615 1");
  REQUIRE(stat);
  CHECK(stat->cpu_ticks == 37);
  CHECK(stat->resident_pages == 77);
  for (const char* line : {"", "42", "42 (x)", "42 (x) S", "42 (x) S 1 2 3", "42 (x) S 1 x"})
    CHECK_FALSE(parse_process_stat(line));
}

TEST_CASE("a tree of processes is summed without its root", "[job]") {
  const TemporaryDirectory proc;
  process(proc.path(), 1, "supervisor", 1000, 1000, "2 3 ");
  process(proc.path(), 2, "sh", 94, 10, "4 ");
  process(proc.path(), 3, "orphan)", 0, 1, "");
  process(proc.path(), 4, "python", 194, 100, "2 1 99 "); // what cannot be, and what is gone
  process(proc.path(), 5, "another's", 1000, 1000, "");
  const ProcessUsage usage = usage_below(1, proc.path());
  CHECK(usage.processes == 3);
  CHECK(usage.cpu_seconds * static_cast<double>(::sysconf(_SC_CLK_TCK)) ==
        Approx(94 + 194 + 3 * 6));
  CHECK(usage.memory == 111 * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE)));
  CHECK(usage_below(77, proc.path()).processes == 0);
}

TEST_CASE("GPUs are named by their index, and only those that the run sees", "[job]") {
  std::vector<gpu::UseSample> gpus(3);
  gpus[0] = {"GPU-aaaa", 50, 2'000'000, 8'000'000, 100.0, 400.0};
  gpus[2] = {"GPU-bbbb", 7, 1'000'000, std::nullopt, std::nullopt, std::nullopt};
  CHECK(gpu_values(gpus, std::nullopt) == NamedValues{{"gpu_0_utilization_percentage", 50},
                                                      {"gpu_0_memory_usage_megabytes", 2},
                                                      {"gpu_0_memory_usage_percentage", 25},
                                                      {"gpu_0_power_usage_watts", 100},
                                                      {"gpu_0_power_usage_percentage", 25},
                                                      {"gpu_2_utilization_percentage", 7},
                                                      {"gpu_2_memory_usage_megabytes", 1}});
  const NamedValues last = {{"gpu_2_utilization_percentage", 7},
                            {"gpu_2_memory_usage_megabytes", 1}};
  CHECK(gpu_values(gpus, "2") == last);
  CHECK(gpu_values(gpus, "GPU-bbbb") == last);
  CHECK(gpu_values(gpus, " 1, GPU-bb") == last);
  CHECK(gpu_values(gpus, "").empty());
  CHECK(gpu_values(gpus, "GPU-").empty());
}

TEST_CASE("a run that lasts is sampled", "[job]") {
  const TemporaryDirectory folder;
  track::RunSpec spec;
  spec.created = wall_now();
  spec.id = new_run_id(spec.created);
  spec.task = "train";
  const track::RunFolder run = track::create_run(folder.path() / "runs", spec, "", "test");
  Process busy = Process::spawn({.arguments = {"/bin/sh", "-c", "while :; do :; done"}});
  {
    const MachineSamples samples(run, {std::chrono::milliseconds(50), "-1"}, nullptr);
    for (int i = 0; i < 200 && track::read_journals(run).metrics.empty(); ++i)
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  busy.signal(SIGKILL);
  busy.wait();
  const auto metrics = track::read_journals(run).metrics;
  for (const char* name :
       {"cpu_utilization_percentage", "system_memory_usage_megabytes", "disk_usage_percentage"})
    CHECK(metrics.contains(std::string("system/") + name));
  const auto size = fs::file_size(run.metrics());
  std::this_thread::sleep_for(std::chrono::milliseconds(120));
  CHECK(fs::file_size(run.metrics()) == size); // none after the end
}
