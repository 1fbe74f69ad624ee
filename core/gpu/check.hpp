// `mlp gpu check`: the state of the GPUs before, measuring them, their state after, and the
// verdict.
#pragma once

#include "core/gpu/measuring.hpp"
#include "core/gpu/nvml.hpp"
#include "core/gpu/verdict.hpp"

#include <optional>
#include <string>
#include <vector>

namespace mlp {
class Progress;
}

namespace mlp::gpu {

// Indices of the GPUs that CUDA_VISIBLE_DEVICES leaves (absent: all), in NVML's order. Its entries
// are indices or the beginnings of UUIDs; as in CUDA, the first that fits no GPU ends the list.
[[nodiscard]] std::vector<unsigned> visible_gpus(const Inventory& inventory,
                                                 const std::optional<std::string>& variable);

// The GPUs that a list like "0,2" or "GPU-5c3f,1" names. Throws Error(not_found) or Error(usage).
[[nodiscard]] std::vector<unsigned> named_gpus(const Inventory& inventory, std::string_view list);

struct CheckOptions {
  bool full = false;
  std::vector<unsigned> gpus;       // NVML's indices, at least one
  std::vector<std::string> program; // see MeasuringOptions
  std::stop_token stop;
  Progress* progress = nullptr; // may be null
};

struct CheckResult {
  std::vector<Subject> subjects; // in the order of CheckOptions::gpus
  Report report;
};

// Blocks for as long as the measuring takes. Throws what measure_apart() throws, and
// Error(conflict) for a GPU that is split by MIG: its instances are no GPUs to be compared.
[[nodiscard]] CheckResult check(Nvml& nvml, const Inventory& before, const CheckOptions& options);

} // namespace mlp::gpu
