// What a run's processes use of the machine, every few seconds, in the run's metrics under
// `system/`, by the names that MLflow gives them:
//   system/cpu_utilization_percentage         of all CPUs that the run may use
//   system/system_memory_usage_megabytes, …_percentage     of the run's processes
//   system/disk_usage_megabytes, …_percentage, system/disk_available_megabytes
//                                             of the file system that the run's folder lies on
//   system/gpu_<i>_utilization_percentage, …_memory_usage_megabytes, …_memory_usage_percentage,
//   …_power_usage_watts, …_power_usage_percentage   of the GPUs that the run sees, by NVML's index
// A megabyte is 1,000,000 bytes. Names: mlflow.org/docs/latest/system-metrics.
#pragma once

#include "core/gpu/nvml.hpp"
#include "core/secret/masker.hpp"
#include "core/track/run_folder.hpp"

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace mlp::job {

struct SampleOptions {
  std::chrono::milliseconds interval{10'000};
  std::optional<std::string> visible_gpus; // CUDA_VISIBLE_DEVICES of the program
};

// A thread that samples: first after the interval, but after five seconds at most, then once an
// interval. It takes less than half a percent of a CPU: where a sample took longer than that, the
// next one waits longer. The NVIDIA driver's library is opened by the first sample, where there is
// one, and not for a program that sees no GPU.
class MachineSamples {
 public:
  // The program was started just now. `secrets` as for MetricLines. Throws Error.
  MachineSamples(const track::RunFolder& run, const SampleOptions& options,
                 const secret::MaskedValues* secrets);
  // Waits for a sample that is being taken, but two seconds at most: a driver may hang, and its
  // thread is then left to itself.
  ~MachineSamples();
  MachineSamples(MachineSamples&&) = delete;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

using NamedValues = std::vector<std::pair<std::string, double>>;

// GPUs as metrics; those that `visible` names by index or by the beginning of their UUID, or all.
[[nodiscard]] NamedValues gpu_values(const std::vector<gpu::UseSample>& gpus,
                                     const std::optional<std::string>& visible);

} // namespace mlp::job
