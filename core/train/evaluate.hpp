// Metrics of a network that is already on the device.
#pragma once

#include "core/train/engine.hpp"

namespace mlp::train {

// An order of rows, as the host and as the device read it.
struct RowOrder {
  const std::int32_t* host = nullptr;
  const std::int32_t* device = nullptr;
};

// The data set as the device sees it: the caller's memory where the device reads that, else a copy;
// where the device has no room for one, batches are put together on the host in pinned memory and
// sent on streams of their own while the device computes the batch before. Assembles batches into
// an Engine. The Dataset has to live as long as this, the engine not.
class DeviceData {
 public:
  // Batches of at most max_rows rows, all queued on `stream`. Made after all else that is
  // allocated, so that what is left decides; a copy leaves `reserve` bytes of it.
  DeviceData(kernels::Device& device, const Dataset& data, std::int64_t max_rows,
             std::size_t reserve, kernels::Stream stream = {});
  ~DeviceData();
  DeviceData(const DeviceData&) = delete;
  DeviceData& operator=(const DeviceData&) = delete;

  // True if gather() copies from the host: it cannot be captured then.
  [[nodiscard]] bool streams() const noexcept { return slots_[0].pinned != nullptr; }
  // Queues input and labels or targets of the rows order[first, first + rows) into the engine; with
  // a state, which has to hold the same `first`, the device reads that from it.
  void gather(Engine& engine, std::int64_t rows, const RowOrder& order, std::int64_t first,
              const kernels::StepState* state);
  // The same in the device's memory too: `rows` itself, or a copy held by `buffer`.
  RowOrder place(std::span<const std::int32_t> rows, kernels::Buffer& buffer) const;

 private:
  // One of two batches on their way to the device.
  struct Slot {
    kernels::Stream stream;
    void* pinned = nullptr;
    kernels::Buffer staging;
  };

  const void* place(const void* data, std::size_t bytes);
  // Copies the rows to the device; false if there is no room for them and the reserve.
  bool hold(const void* rows, std::size_t bytes, std::size_t reserve);
  void open_slots(std::int64_t max_rows);
  void close_slots() noexcept;
  void send(Engine& engine, std::int64_t rows, const std::int32_t* order);

  kernels::Device& device_;
  kernels::Stream stream_;
  std::vector<kernels::Buffer> copies_;
  kernels::GatherSpec input_;
  std::int64_t outputs_;
  std::size_t row_bytes_ = 0;
  const void* source_ = nullptr;
  Slot slots_[2];
  std::size_t turn_ = 0;
  const float *mean_, *scale_;
  const std::int32_t* labels_;
  const float* targets_;
};

// Forward passes over `rows` in batches of the engine's capacity or less; adds nothing that stays
// in engine.stats(). `held` has the rows' numbers on the device, and grows if it is too small.
// Throws kernels::Error.
[[nodiscard]] Metrics evaluate(kernels::Device& device, Engine& engine, DeviceData& resident,
                               const Engine::LossSpec& loss, const Dataset& data,
                               std::span<const std::int32_t> rows, std::int64_t batch,
                               kernels::Buffer& held);

} // namespace mlp::train
