// Metrics of a network that is already on the device.
#pragma once

#include "core/train/engine.hpp"

namespace mlp::train {

// The data set as the device sees it: the caller's memory where the device reads that, else a copy.
// Assembles batches into an Engine. The Dataset has to live as long as this.
class ResidentData {
 public:
  ResidentData(kernels::Device& device, const Dataset& data);
  // Queues input and labels or targets of `rows` rows into the engine; `order` is on the device
  // and, with a state, starts at its first_row.
  void gather(Engine& engine, std::int64_t rows, const std::int32_t* order,
              const kernels::StepState* state) const;
  // The same in the device's memory: `rows` itself, or a copy held by `buffer`.
  const std::int32_t* place(std::span<const std::int32_t> rows, kernels::Buffer& buffer) const;

 private:
  const void* place(const void* data, std::size_t bytes);

  kernels::Device& device_;
  kernels::Stream stream_;
  std::vector<kernels::Buffer> copies_;
  kernels::GatherSpec input_;
  std::int64_t outputs_;
  const void* source_;
  const float *mean_, *scale_;
  const std::int32_t* labels_;
  const float* targets_;
};

// Forward passes over `rows` in batches of the engine's capacity or less; adds nothing that stays
// in engine.stats(). Throws kernels::Error.
[[nodiscard]] Metrics evaluate(kernels::Device& device, Engine& engine,
                               const ResidentData& resident, const Engine::LossSpec& loss,
                               const Dataset& data, std::span<const std::int32_t> rows,
                               std::int64_t batch);

} // namespace mlp::train
