// One thread, which sleeps between samples and looks at its own CPU time.
#include "core/job/machine_samples.hpp"

#include "core/base/error.hpp"
#include "core/base/text.hpp"
#include "core/base/time.hpp"
#include "core/job/metric_lines.hpp"
#include "core/job/process_usage.hpp"

#include <fmt/format.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <condition_variable>
#include <ctime>
#include <mutex>
#include <thread>

namespace mlp::job {

namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds first_sample{5'000};
constexpr std::chrono::seconds last_patience{2};
constexpr std::int64_t largest_share = 200; // of a CPU: one part in so many
constexpr double mega = 1e6;

double rounded(double value) {
  return std::round(value * 100) / 100;
}

std::chrono::nanoseconds thread_time() {
  timespec time{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
}

// Of processes of the run that are gone: this process has waited for them.
double ended_cpu_seconds() {
  rusage usage{};
  if (::getrusage(RUSAGE_CHILDREN, &usage) != 0) return 0.0;
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

int usable_cpus() {
  cpu_set_t set;
  CPU_ZERO(&set);
  return ::sched_getaffinity(0, sizeof set, &set) == 0 ? std::max(1, CPU_COUNT(&set)) : 1;
}

bool sees_gpus(const std::optional<std::string>& visible) {
  return !visible || (!visible->empty() && *visible != "-1" && *visible != "NoDevFiles");
}

void add_disk(const fs::path& folder, NamedValues& out) {
  struct statvfs info {};
  if (::statvfs(folder.c_str(), &info) != 0 || info.f_blocks == 0) return;
  const auto block = static_cast<double>(info.f_frsize);
  const double used = static_cast<double>(info.f_blocks - info.f_bfree) * block;
  const double available = static_cast<double>(info.f_bavail) * block;
  out.emplace_back("disk_usage_megabytes", rounded(used / mega));
  out.emplace_back("disk_available_megabytes", rounded(available / mega));
  if (used + available > 0)
    out.emplace_back("disk_usage_percentage", rounded(100 * used / (used + available)));
}

} // namespace

struct MachineSamples::State {
  State(const track::RunFolder& run_folder, const SampleOptions& given,
        const secret::MaskedValues* secrets)
      : run(run_folder), options(given), lines(run.metrics(), secrets) {}

  void work();
  void sample();
  void add_processes(NamedValues& out);

  const track::RunFolder run;
  const SampleOptions options;
  MetricLines lines;
  const int cpus = usable_cpus();
  double cpu_before = ended_cpu_seconds();
  Clock::time_point time_before = Clock::now();
  std::unique_ptr<gpu::Nvml> nvml; // once asked

  std::mutex mutex;
  std::condition_variable changed;
  bool stopping = false; // under the mutex, as `done`
  bool done = false;
};

void MachineSamples::State::add_processes(NamedValues& out) {
  const ProcessUsage usage = usage_below(::getpid());
  const double cpu = usage.cpu_seconds + ended_cpu_seconds();
  const auto now = Clock::now();
  const double seconds = std::chrono::duration<double>(now - time_before).count();
  // A process that ended unseen between two looks may take its time with it.
  const double used = std::max(0.0, cpu - cpu_before);
  if (seconds > 0) {
    const double share = 100 * used / (seconds * cpus);
    out.emplace_back("cpu_utilization_percentage", rounded(std::min(100.0, share)));
  }
  cpu_before = cpu;
  time_before = now;
  static const double all =
      static_cast<double>(::sysconf(_SC_PHYS_PAGES)) * static_cast<double>(::sysconf(_SC_PAGESIZE));
  const auto memory = static_cast<double>(usage.memory);
  out.emplace_back("system_memory_usage_megabytes", rounded(memory / mega));
  out.emplace_back("system_memory_usage_percentage", rounded(100 * memory / all));
}

void MachineSamples::State::sample() {
  NamedValues values;
  add_processes(values);
  add_disk(run.root, values);
  if (sees_gpus(options.visible_gpus)) {
    if (!nvml) nvml = std::make_unique<gpu::Nvml>();
    if (nvml->ok())
      for (auto& value : gpu_values(nvml->use(), options.visible_gpus))
        values.push_back(std::move(value));
  }
  // Once it is to stop, nothing of the owner's may be touched: what was asked may have taken long.
  const std::lock_guard lock(mutex);
  if (stopping) return;
  MetricPoint point;
  point.timestamp = wall_now().time_since_epoch().count();
  for (const auto& [name, value] : values) {
    point.key = "system/" + name;
    point.value = value;
    lines.add(point);
  }
  lines.flush();
}

void MachineSamples::State::work() {
  auto pause = std::min(options.interval, first_sample);
  std::unique_lock lock(mutex);
  while (!changed.wait_for(lock, pause, [&] { return stopping; })) {
    lock.unlock();
    const auto before = thread_time();
    try {
      sample();
    } catch (const std::exception&) { // no memory, no descriptor: the next one may go better
    }
    const auto cost = std::chrono::duration_cast<std::chrono::milliseconds>(
        (thread_time() - before) * largest_share);
    pause = std::max(options.interval, cost);
    lock.lock();
  }
  done = true;
  changed.notify_all();
}

MachineSamples::MachineSamples(const track::RunFolder& run, const SampleOptions& options,
                               const secret::MaskedValues* secrets)
    : state_(std::make_shared<State>(run, options, secrets)) {
  std::thread([state = state_] { state->work(); }).detach();
}

MachineSamples::~MachineSamples() {
  std::unique_lock lock(state_->mutex);
  state_->stopping = true;
  state_->changed.notify_all();
  state_->changed.wait_for(lock, last_patience, [&] { return state_->done; });
}

NamedValues gpu_values(const std::vector<gpu::UseSample>& gpus,
                       const std::optional<std::string>& visible) {
  const auto is_visible = [&](std::size_t index, const std::string& uuid) {
    if (!visible) return true;
    const std::vector<std::string> words = split(*visible, ',');
    return std::any_of(words.begin(), words.end(), [&](const std::string& raw) {
      const std::string_view word = trim(raw);
      return word == std::to_string(index) ||
             (word.starts_with("GPU-") && word.size() > 4 && uuid.starts_with(word));
    });
  };
  NamedValues out;
  for (std::size_t i = 0; i < gpus.size(); ++i) {
    const gpu::UseSample& gpu = gpus[i];
    if (!is_visible(i, gpu.uuid)) continue;
    const auto add = [&](const char* what, double value) {
      out.emplace_back(fmt::format("gpu_{}_{}", i, what), rounded(value));
    };
    if (gpu.utilization) add("utilization_percentage", *gpu.utilization);
    if (gpu.memory_used) {
      const auto used = static_cast<double>(*gpu.memory_used);
      add("memory_usage_megabytes", used / mega);
      if (gpu.memory_total.value_or(0) > 0)
        add("memory_usage_percentage", 100 * used / static_cast<double>(*gpu.memory_total));
    }
    if (gpu.power) {
      add("power_usage_watts", *gpu.power);
      if (gpu.power_limit.value_or(0) > 0)
        add("power_usage_percentage", 100 * *gpu.power / *gpu.power_limit);
    }
  }
  return out;
}

} // namespace mlp::job
