// On which devices a training runs: the settings and what the machine has, as a pure decision.
#pragma once

#include "core/config/trainer_spec.hpp"
#include "kernels/device.hpp"

#include <string>
#include <vector>

namespace mlp::train {

struct DevicePlan {
  std::vector<int> gpus; // one a rank: CUDA's number among the visible ones, or -1 for the CPU
  std::string message;   // a sentence for the log: where it trains, and why not on a GPU
};

// At least one rank. Where there is no GPU, as many ranks train on the CPU as GPUs were asked for,
// and `message` says why not there. Throws Error{config} for GPUs that are not there; `visible` is
// CUDA_VISIBLE_DEVICES, for that message.
[[nodiscard]] DevicePlan plan_devices(const config::TrainerDevices& devices,
                                      const kernels::CudaStatus& status,
                                      const std::string& visible = {});

// The same for this process and machine. A GPU that the settings do not name is only taken if what
// matrix products need can be loaded.
[[nodiscard]] DevicePlan choose_devices(const config::TrainerDevices& devices);

// Threads of each of `ranks` processes that share `threads` (0: all CPUs that this process may
// use); 0 for one rank that may use all. At least one each.
[[nodiscard]] int threads_of_rank(std::int64_t threads, std::size_t ranks);

} // namespace mlp::train
